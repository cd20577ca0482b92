"""A plan keeps its limits, says what its pilot cannot see, and refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest
from plans import a_pilot, asked, plan
from scipy.stats import f as f_distribution
from scipy.stats import norm
from simulation import N_SEGMENTS, SimulatedEngine, World, demonstrations, mixed_effects

from r2rise import Plan, explain
from r2rise.ask.pilot import N_SEEDS, Cost
from r2rise.ask.proposal import Proposer
from r2rise.statistics.prediction import expected_reliability, masks_for
from r2rise.statistics.wording import share_of_one

BLOCK = 64
"""Masks of a fold-over block of 20 segments."""


@pytest.fixture(scope="module")
def world() -> World:
    return World(mixed_effects(3))


def table(found: Plan) -> dict:
    return {option.segment_length: option for option in found.options}


@pytest.mark.parametrize("most", [1, 20, 63, 100, 127, 128, 200, 300, 1000])
def test_no_more_is_proposed_than_may_be_spent(world, most):
    found = plan(world, max_retrainings=most)
    predicted, chosen = found.study.prediction, table(found)[found.study.masking.segment_length]
    for option in found.options:
        block = 2 * 2 ** option.n_segments.bit_length()
        paired = option.training_seeds == "pair"
        spent = min(option.retrainings, most // block * block)
        spent = spent if spent >= (block if paired else 2 * block) else 0
        if paired:  # 8 degrees of freedom and more, and no room for a second block
            assert block / 2 - option.n_segments >= 8
            assert block <= most < 2 * block
        want = expected_reliability(spent, option.n_segments, found.blur)
        assert option.reliability == pytest.approx(float(want))
    if found.outcome == "refused":
        assert predicted.retrainings > most
        assert found.in_words().startswith("Refused: the limits allow no ranking")
    else:
        assert predicted.retrainings <= found.study.budget.retrainings <= most
        assert predicted.reliability == pytest.approx(chosen.reliability)
        assert f"reach reliability {share_of_one(chosen.reliability)} (" in found.in_words()


def test_too_little_for_what_compares_seeds_is_refused(world):
    """4 segments, the fewest that are ranked, take blocks of 16, and 32 where seeds are paired."""
    assert plan(world, max_retrainings=31).outcome == "refused"
    assert plan(world, max_retrainings=32).outcome in ("coarser", "short")


def test_one_block_of_pairs_is_proposed_where_there_is_room_for_no_second(world):
    """20 segments: blocks of 64 masks, whose 32 pairs leave 12 degrees of freedom."""
    quiet = replace(world, seed_effects=0.1, training_noise=0.5, episode_noise=0.5)
    few = plan(quiet, max_retrainings=100)
    assert (few.outcome, few.study.masking.training_seeds) == ("as_asked", "pair")
    assert few.study.prediction.retrainings == BLOCK
    assert "64 retrainings of segments of 10 frames (one block, with a training seed" in (
        few.in_words()
    )
    found = explain(demonstrations(), few.study, engine=SimulatedEngine(quiet))
    assert found.study.masking.block_size == BLOCK
    assert found.verdicts.covers == "training_seeds"
    assert np.isfinite(found.std_error).all()
    enough = plan(quiet)
    assert enough.study.masking.training_seeds == "block"
    assert table(enough)[10].retrainings == 2 * BLOCK


def test_a_study_that_asks_for_pairs_is_planned_with_pairs(world):
    found = plan(world, masking={"training_seeds": "pair"})
    assert {option.training_seeds for option in found.options} == {"pair"}
    assert found.study.masking.training_seeds == "pair"


def test_the_baselines_count_within_the_time(world):
    seconds = 100.0
    found = plan(world, until={"seconds": seconds, "reliability": 0.999})
    assert found.outcome == "short"
    assert found.study.prediction.seconds <= seconds
    assert f"Less reliable than requested (0.999): {found.study.prediction.retrainings}" in (
        found.in_words()
    )


def test_reliabilities_near_one_are_told_from_one():
    assert [share_of_one(r) for r in (0.9, 0.994, 0.9987, 0.999, 1.0)] == [
        "0.90", "0.994", "0.9987", "0.999", "1.00"
    ]  # fmt: skip


def test_verdicts_alone_are_what_the_proposed_study_waits_for(world):
    found = plan(world, until={"verdicts": True})
    until = found.study.until
    assert (until.verdicts, until.reliability) == (True, None)
    both = plan(world, until={"verdicts": True, "reliability": 0.8}).study.until
    assert (both.verdicts, both.reliability) == (True, 0.8)
    ranking = plan(world)
    assert table(found)[10].retrainings > table(ranking)[10].retrainings


def test_masks_for_verdicts_shrink_the_error_into_the_margin():
    """An effect at which both tests are as hard is then resolved as often as not."""
    study = asked(until={"verdicts": True}, masking={"segment_length": 10})
    pilot = a_pilot(noise=5e4, episode_noise=4e5, cost=Cost(3.0, 0.1))
    proposer = Proposer(study, demonstrations(), pilot, 0.5, 10**7, 100.0)
    option = proposer.options()[0]
    assert proposer.n_episodes == pilot.n_episodes
    margin = 0.02 * 100.0
    std_error = math.sqrt(4 * 5e4 / option.retrainings)  # kept minus masked, half of them each
    hardest = margin * norm.ppf(0.975) / (norm.ppf(0.975) + norm.ppf(0.95))
    assert hardest / std_error == pytest.approx(norm.ppf(0.975), rel=1e-3)
    assert (margin - hardest) / std_error == pytest.approx(norm.ppf(0.95), rel=1e-3)
    assert option.retrainings % BLOCK == 0
    # without a gain there is no margin
    [nothing, *_] = Proposer(study, demonstrations(), pilot, 0.5, 10**7, None).options()
    assert nothing.retrainings is None


def test_a_plan_says_what_its_limits_mean_for_verdicts(world):
    enough = plan(replace(world, training_noise=1.0, episode_noise=1.0), until={"verdicts": True})
    assert enough.outcome == "as_asked"
    assert "about enough for a verdict on every segment" in enough.in_words()
    few = plan(world, until={"verdicts": True}, max_retrainings=320)
    wanted = table(few)[few.study.masking.segment_length].retrainings
    assert few.outcome == "short"
    assert few.in_words().startswith("Not everything that was requested: ")
    assert f"reliability 0.9, take about {wanted} retrainings." in few.in_words()
    assert few.study.budget.retrainings <= 320 < wanted


def test_what_the_pilot_cannot_see_is_no_fact():
    """F of 0.9 with 8 and 24 degrees: a signal of up to (0.9 / F_0.05 - 1) s^2 / 4 is possible."""
    blind = plan(World(mixed_effects(3) * 0.01, training_noise=30.0), seed=0)
    assert blind.blur is None
    assert blind.outcome == "refused"
    assert "sees no effect" in blind.in_words()
    assert "It may exist, but be too small for the pilot." in blind.in_words()
    assert "no difference" not in blind.in_words()
    seen, onward, *_ = blind.advice
    assert "does not show an effect of the frames" in seen
    assert "explain with 512 retrainings would reach reliability 0.5" in onward
    pilot = a_pilot(f=0.9, noise=8.0, episode_noise=0.0, mean_return=120.0)
    high = 0.9 / f_distribution.ppf(0.05, 8, 24)
    signal = 4.0 * (high - 1) / N_SEEDS
    assert not pilot.sees_effects
    assert pilot.largest_signal == pytest.approx(signal)
    proposer = Proposer(asked(), demonstrations(), pilot, 0.9, 1000, 100.0)
    n = proposer.masks_to_see(N_SEGMENTS)
    assert 0 <= n - masks_for(0.5, N_SEGMENTS, 8.0 / signal) < BLOCK
    assert n % BLOCK == 0


def test_a_pilot_that_sees_its_effect_does_not_doubt_it(world):
    assert not any("does not show an effect" in advice for advice in plan(world).advice)
