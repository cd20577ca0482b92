"""The pilot against worlds of known variance, and what the planner concludes from it."""

from dataclasses import replace

import numpy as np
import pytest
import toys
from plans import a_pilot, plan
from scipy.stats import spearmanr
from simulation import N_SEGMENTS, World, mixed_effects

import r2rise
from r2rise import Plan, Study
from r2rise.ask.pilot import N_PAIRS, N_SEEDS, Cost, measure
from r2rise.ask.proposal import best_episodes
from r2rise.errors import NotReady, StudyError
from r2rise.ledger.ledger import Ledger
from r2rise.ledger.record import Record
from r2rise.statistics.prediction import expected_reliability, masks_for

N_EPISODES = 5


def draw_records(generator: np.random.Generator, sds: dict[str, float]) -> list[Record]:
    """Records of a two-way table: masks in pairs of opposite effect, seeds, both, episodes."""
    pairs = generator.normal(0, sds["masks"], N_PAIRS)
    masks = np.column_stack([pairs, -pairs]).ravel()
    both = generator.normal(0, sds["both"], (N_SEEDS, 2 * N_PAIRS))
    seeds = generator.normal(0, sds["seeds"], N_SEEDS)
    records = []
    for s in range(N_SEEDS):
        shared = generator.normal(0, 20.0, N_EPISODES)  # initial states that all masks meet
        for m in range(2 * N_PAIRS):
            own = generator.normal(0, sds["episodes"], N_EPISODES)
            mean = masks[m] + seeds[s] + both[s, m]
            records.append(
                Record("pilot", len(records), b"\1", s, s, 0, mean + shared - shared.mean() + own,
                       seconds=3.0, evaluation_seconds=1.0)
            )  # fmt: skip
    return records


def test_the_pilot_measures_each_part_of_the_variance():
    sds = {"masks": 3.0, "seeds": 2.0, "both": 1.5, "episodes": 4.0}
    generator = np.random.default_rng(0)
    pilots = [measure(draw_records(generator, sds), N_EPISODES) for _ in range(400)]
    parts = np.array([list(pilot.variance.model_dump().values()) for pilot in pilots])
    expected = [9.0 * 16 / 15, 4.0, 2.25, 16.0 / N_EPISODES]
    std_error = parts.std(axis=0, ddof=1) / np.sqrt(len(parts))
    # estimates below 0 are cut to 0, which lifts the mean of the seeds' part a little
    np.testing.assert_array_less(np.abs(parts.mean(axis=0) - expected), 3.5 * std_error + 0.15)
    noise = np.array([pilot.noise for pilot in pilots])
    assert noise.mean() == pytest.approx(2.25 + 16.0 / N_EPISODES, rel=0.03)
    episode_noise = np.mean([pilot.episode_noise for pilot in pilots])
    assert episode_noise == pytest.approx(16.0, rel=0.03)
    # E[between / within]: 1 + S * signal / (noise / 2), times d / (d - 2) of the F distribution
    within = N_PAIRS * (N_SEEDS - 1)
    ratio = (1 + N_SEEDS * 9.0 / (5.45 / 2)) * within / (within - 2)
    assert np.mean([pilot.f for pilot in pilots]) == pytest.approx(ratio, rel=0.06)
    assert pilots[0].cost == Cost(2.0, 1.0 / N_EPISODES)


def test_the_interval_of_f_covers():
    sds = {"masks": 2.0, "seeds": 1.0, "both": 2.0, "episodes": 2.0}
    true_f = 1 + N_SEEDS * 4.0 / ((4.0 + 4.0 / N_EPISODES) / 2)
    generator = np.random.default_rng(1)
    inside = [
        low <= true_f <= high
        for low, high in (
            measure(draw_records(generator, sds), N_EPISODES).f_interval(0.8) for _ in range(500)
        )
    ]
    assert 0.76 <= np.mean(inside) <= 0.84


def test_failed_pairs_are_left_out_and_too_few_are_refused():
    records = draw_records(np.random.default_rng(2), dict.fromkeys(
        ("masks", "seeds", "both", "episodes"), 1.0))  # fmt: skip
    without = [r for r in records if r.index % 16 not in (2, 3)]
    failed = [Record.failed(r, "no") if r.index == 16 + 3 else r for r in records]
    pilot = measure(failed, N_EPISODES)
    assert pilot.degrees == (7, 21)
    returns = np.array([r.returns.mean() for r in without]).reshape(N_SEEDS, 7, 2)
    differences = (returns[:, :, 0] - returns[:, :, 1]) / 2
    within = differences.var(axis=0).sum() * N_SEEDS / 21
    assert pilot.noise == pytest.approx(2 * within)
    broken = [Record.failed(r, "no") if r.index < 10 else r for r in records]
    with pytest.raises(NotReady, match="at least 4 of 8 pairs"):
        measure(broken, N_EPISODES)


@pytest.mark.parametrize(
    ("noise", "episode_noise", "cost"),
    [(30.0, 40.0, Cost(1.0, 0.5)), (5.0, 90.0, Cost(3.0, 0.01)), (9.0, 2.0, Cost(0.1, 5.0))],
)
def test_the_best_number_of_episodes_is_the_cheapest_of_all(noise, episode_noise, cost):
    pilot = a_pilot(noise=noise, episode_noise=episode_noise, cost=cost)
    training = max(noise - episode_noise / 20, 0.2 * noise)
    prices = {n: (training + episode_noise / n) * cost.of(n) for n in range(2, 101)}
    cheapest = min(prices, key=prices.get)
    worth_it = prices[cheapest] < 0.8 * prices[20]
    assert abs(best_episodes(pilot) - (cheapest if worth_it else 20)) <= 1


def test_blur_gives_the_reliability_of_a_study():
    # F = 9 over 4 seeds: signal is 2 s^2, noise of a mask 2 s^2: one mask is half noise
    assert a_pilot().blur() == 1.0
    assert a_pilot(f=1.0).blur() == float("inf")


@pytest.mark.parametrize("n_segments", [4, 20, 50])
@pytest.mark.parametrize("n", [32, 256])
def test_expected_reliability_is_spearmans_correlation_of_two_maps(n, n_segments):
    """Maps of normal effects of variance 1 with errors of variance segments * blur / masks."""
    blur, generator = 3.0, np.random.default_rng(0)
    effects = generator.standard_normal((4000, n_segments))
    errors = np.sqrt(n_segments * blur / n) * generator.standard_normal((2, 4000, n_segments))
    found = [spearmanr(*pair).statistic for pair in zip(*(effects + errors), strict=True)]
    want = float(expected_reliability(n, n_segments, blur))
    assert np.mean(found) == pytest.approx(want, abs=0.02)
    assert masks_for(want, n_segments, blur) == pytest.approx(n)


@pytest.fixture(scope="module")
def world() -> World:
    return World(mixed_effects(3))


def test_a_plan_within_the_limits_is_the_study_as_asked(world):
    found = plan(world)
    assert found.outcome == "as_asked"
    predicted = found.study.prediction
    assert predicted.reliability >= found.goal == 0.9
    assert predicted.reliability_low < predicted.reliability < predicted.reliability_high
    n = predicted.retrainings
    assert n % 64 == 0
    assert n >= 128
    if found.study.evaluation.n_episodes == 20:
        want = expected_reliability(n, N_SEGMENTS, found.blur)
        assert predicted.reliability == pytest.approx(float(want))
    assert predicted.seconds == pytest.approx(
        (n + 20) * (0.4 + found.study.evaluation.n_episodes * 0.1 / 20)
    )
    assert (found.n_retrainings, found.seconds_training) == (64, pytest.approx(0.4))
    assert found.study.until.reliability == 0.9
    assert found.study.masking.segment_length == 10
    assert "Within the limits" in found.in_words()


def test_less_time_means_longer_segments_and_too_little_is_refused(world):
    needed = plan(world).study.prediction.retrainings
    tight = plan(world, max_retrainings=needed - 64)
    assert tight.outcome in ("coarser", "short")
    if tight.outcome == "coarser":
        assert tight.study.masking.segment_length in (20, 40, 80, "all")
    noisy = replace(world, training_noise=400.0)
    refused = plan(noisy, max_retrainings=64)
    assert refused.outcome == "refused"
    assert "Refused" in refused.in_words()
    if refused.study.prediction is not None:
        assert refused.study.prediction.retrainings > 64
    lengths = [option.segment_length for option in refused.options]
    assert lengths == [10, 20, 40, 80, "all"]
    assert [option.n_segments for option in refused.options] == [20, 10, 6, 4, 2]


def test_the_goal_and_the_time_of_the_study_count(world):
    high = plan(world, until={"reliability": 0.97})
    low = plan(world, until={"reliability": 0.6})
    assert high.goal == 0.97
    assert high.study.prediction.retrainings > low.study.prediction.retrainings
    short = plan(world, until={"seconds": 20.0})
    assert short.outcome in ("coarser", "short", "refused")
    assert short.study.until.seconds == 20.0


def test_a_floor_is_pointed_out():
    """Half of the frames are worth nothing: every segment is needed, as in a product."""
    effects = np.full(N_SEGMENTS, 100.0 / N_SEGMENTS * 2)
    found = plan(World(effects + mixed_effects(0, 1.0)))
    assert any("keep_probability 0.8" in advice for advice in found.advice)


def test_the_directory_holds_plan_proposal_and_pilot(tmp_path, demonstrations, study):
    found = r2rise.plan(demonstrations, study, out=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"plan.json", "plan.yaml", "pilot.npz"}
    assert Plan.load(tmp_path).to_json() == found.to_json()
    ledger = Ledger.load(tmp_path / "pilot.npz")
    pilot = ledger.records("pilot")
    assert len(pilot) == 64
    assert len({record.packed_mask for record in pilot}) <= 16
    assert len({record.training_seed for record in pilot}) == 4
    kept = np.array([record.mask(8) for record in pilot[:16]])
    assert (kept.sum(axis=1) == 4).all()
    assert (kept[::2] == ~kept[1::2]).all()
    told = []
    again = r2rise.plan(demonstrations, study, out=tmp_path, progress=told.append)
    assert told == []
    assert again.study == found.study
    # the proposed study runs beside its pilot, and carries what was predicted into the map
    proposed = Study.load(tmp_path / "plan.yaml").model_copy(
        update={"environment": study.environment, "algorithm": study.algorithm}
    )
    importance = r2rise.explain(demonstrations, proposed, out=tmp_path)
    assert importance.study.prediction == found.study.prediction


def test_without_noise_two_blocks_are_enough(demonstrations, study):
    found = r2rise.plan(demonstrations, study)
    assert found.outcome == "as_asked"
    assert found.study.prediction.retrainings == 64
    assert found.study.prediction.reliability == pytest.approx(1.0)


def test_what_cannot_be_planned(demonstrations, study):
    gentle = study.model_copy(update={"masking": r2rise.Masking(keep_probability=0.8)})
    with pytest.raises(StudyError, match="keep half of the segments"):
        r2rise.plan(demonstrations, gentle)
    whole = study.model_copy(update={"masking": r2rise.Masking(segment_length="all")})
    with pytest.raises(NotReady, match="at least 4 segments"):
        r2rise.plan(demonstrations, whole)
    constant = Study(
        environment=toys.OneStep, algorithm=lambda *_, **__: toys.Constant(3.0), budget=64
    )
    found = r2rise.plan(demonstrations, constant)
    assert found.outcome == "refused"
    assert found.study.prediction is None
    assert found.in_words() == "Refused: every mask of the pilot has the same mean return."
    assert found.advice == ()
