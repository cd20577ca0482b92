"""Environments with planted frames: their rules, and what each segment is worth."""

import runpy

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from places import ROOT
from sklearn.metrics import roc_auc_score

import r2rise
from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch, UnknownName
from r2rise.evaluation import evaluate
from r2rise.evaluation.fit import fit
from r2rise.run.retraining import keep_going
from r2rise.study.parts import Evaluation
from r2rise.study.specs import EnvironmentSpec
from r2rise_envs.planted import IDS, Table, expert, planted, truth
from r2rise_envs.planted.measuring import measure, play

CORRIDOR, ROUNDS, REACH = IDS


def environment(name: str, **kwargs) -> Environment:
    return Environment(EnvironmentSpec(id=name, kwargs=kwargs))


def study(name: str, algorithm, retrainings: int, **fields) -> r2rise.Study:
    budget = {"retrainings": retrainings, "baseline_retrainings": 1}
    return r2rise.Study(environment=name, algorithm=algorithm, budget=budget, **fields)


@pytest.mark.parametrize("name", IDS)
def test_they_follow_gymnasiums_rules_and_draw_themselves(name):
    env = environment(name, render_mode="rgb_array").make(0).unwrapped
    check_env(env)
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) >= 3


@pytest.mark.parametrize("name", IDS)
def test_the_picture_follows_the_agent_and_shows_the_dark(name):
    env = environment(name, render_mode="rgb_array").make(0)
    observation, _ = env.reset(seed=0)
    pictures = [env.render()]
    for _ in range(12):
        action = expert(environment(name)).predict(observation[None])[0][0]
        observation, *_ = env.step(action)
        pictures.append(env.render())
    assert (pictures[-1] != pictures[-2]).any()
    assert name == CORRIDOR or (pictures[9] != pictures[10]).any()


@pytest.mark.parametrize("name", IDS)
def test_the_expert_gets_all_there_is_and_no_policy_at_all_gets_nothing(name):
    place, evaluation = environment(name), Evaluation(n_episodes=30)
    best = evaluate(expert(place), place, evaluation, 0, progress=keep_going)
    assert best.tolist() == [10.0] * 30
    frames = planted(name).demonstrations.transitions(
        np.zeros(planted(name).demonstrations.n_frames, bool)
    )
    empty = Table().train(frames, place, 0, progress=keep_going)
    assert not evaluate(empty, place, evaluation, 0, progress=keep_going).any()


def test_no_action_moves_anything_in_the_dark():
    for name in (ROUNDS, REACH):
        env = environment(name).make(0)
        env.action_space.seed(0)
        before, _ = env.reset(seed=0)
        for _ in range(9):
            after, reward, *_ = env.step(env.action_space.sample())
            assert np.array_equal(before, after)
            assert reward == 0
        after, *_ = env.step(env.action_space.sample())
        assert after.any()


def test_every_start_can_be_asked_for_and_is_drawn():
    for name in (ROUNDS, REACH):
        env = environment(name).make(0)
        seen = set()
        for start in range(6):
            env.reset(seed=0, options={"start": start})
            seen.add(tuple([env.step(env.action_space.sample())[0] for _ in range(10)][-1][:24]))
        assert len(seen) == 6
        drawn = set()
        for seed in range(40):
            env.reset(seed=seed)
            zero = np.zeros_like(env.action_space.sample())
            drawn.add(tuple([env.step(zero)[0] for _ in range(10)][-1][:24]))
        assert len(drawn) == 6


@pytest.mark.parametrize("name", IDS)
def test_the_segments_of_a_default_study_are_the_planted_ones(name):
    own = planted(name)
    segments = own.demonstrations.segments()
    assert set(segments.n_frames.tolist()) == {10}
    assert len(segments) == len(own.kinds) == len(own.starts)
    assert set(own.kinds) == {"decisive", "redundant", "useless", "harmful"}
    assert fit(own.demonstrations, environment(name)) == (own.demonstrations, [])
    assert own.demonstrations.content_hash == planted(name).demonstrations.content_hash


@pytest.mark.parametrize("name", IDS)
def test_the_stored_truth_is_what_retraining_on_every_mask_gives(name):
    assert measure(name) == truth(name)


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        # found if none of two takes and one of five approaches is kept: each by its probability
        (CORRIDOR, "decisive", [10 * 31 / 32 / 4]),
        (CORRIDOR, "redundant", [10 / 8 / 16] * 5),
        (CORRIDOR, "harmful", [-10 * 31 / 32 / 4] * 2),
        # one of six rooms; two to four demonstrations of it, each of which is enough
        (ROUNDS, "decisive", [10 / 6] * 2),
        (ROUNDS, "redundant", [10 / 48] * 4 + [10 / 12] * 2 + [10 / 48] * 3 + [10 / 24] * 2),
        (ROUNDS, "harmful", [-10 / 6 * 7 / 8, -10 / 6 * 3 / 4]),
        (REACH, "decisive", [10 / 6] * 2),
        (REACH, "redundant", [10 / 48] * 4 + [10 / 12] * 2 + [10 / 24] * 4),
        (REACH, "harmful", [-10 / 6 * 3 / 4] * 2),
    ],
)  # fmt: skip
def test_the_truth_is_what_probability_says(name, kind, values):
    known = truth(name)
    assert known.importance[known.are(kind)] == pytest.approx(values)
    assert not known.importance[known.are("useless")].any()


@pytest.mark.parametrize("name", [ROUNDS, REACH])
def test_segments_of_other_starts_change_nothing(name):
    """What the exhaustive measurement rests on."""
    own, place = planted(name), environment(name)
    env, generator = place.make(0), np.random.default_rng(0)
    segments = own.demonstrations.segments()
    for _ in range(20):
        mask = generator.random(len(segments)) < 0.5
        start = int(generator.integers(6))
        returns = [
            play(
                Table().train(
                    own.demonstrations.transitions(segments.frames(kept)),
                    place,
                    0,
                    progress=keep_going,
                ),
                env,
                start,
            )
            for kept in (mask, mask & (np.array(own.starts) == start))
        ]
        assert returns[0] == returns[1]


def test_leaving_one_out_misses_what_masks_at_random_show():
    known = truth(CORRIDOR)
    assert not any(segment.leave_one_out for segment in known.segments)
    found = {lesson.segments: lesson.joint for lesson in known.lessons}
    assert found[0, 5, 6, 7, 8] == 10 / 8  # together; each alone 0.08


def test_the_table_votes_and_knows_what_it_does_not_know():
    own, place = planted(ROUNDS), environment(ROUNDS)
    only = np.zeros(len(own.kinds), bool)
    only[list(own.kinds).index("decisive")] = True
    frames = own.demonstrations.transitions(own.demonstrations.segments().frames(only))
    policy = Table().train(frames, place, 0, progress=keep_going)
    assert policy.predict(frames.obs)[0].tolist() == frames.acts.tolist()
    assert policy.predict(frames.obs + 1)[0].tolist() == [0] * 10


def test_the_nearest_frames_act_together_and_only_nearby():
    own, place = planted(REACH), environment(REACH)
    everything = own.demonstrations.transitions(np.ones(own.demonstrations.n_frames, bool))
    policy = Table().train(everything, place, 0, progress=keep_going)
    start = np.zeros((1, 8), np.float32)
    start[0, 2] = 1.0  # shown twice by the expert, once with the wrong direction
    first = expert(place).predict(start)[0]
    assert policy.predict(start)[0] == pytest.approx(first / 3, abs=1e-6)
    assert policy.predict(start + 1)[0].tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("name", IDS)
def test_a_map_of_the_table_is_the_truth_within_its_errors(name):
    found = r2rise.explain(planted(name).demonstrations, study(name, Table, 128))
    error = (found.importance - truth(name).importance) / found.std_error
    assert np.abs(error).max() < 4.5
    decisive = truth(name).are("decisive")
    # two blocks whose columns meet different interactions: large effects rest on one degree
    assert (found.importance > 1.5 * found.std_error)[decisive].all()


def check_found(name: str, importance) -> None:
    """Decisive and harmful segments stand out, with the right signs."""
    known = truth(name)
    strong = known.are("decisive", "harmful")
    assert roc_auc_score(strong, np.abs(importance)) >= 0.95
    assert roc_auc_score(known.are("harmful"), -importance) == pytest.approx(1.0)
    assert (importance[known.are("decisive")] > 0).all()
    assert (importance[known.are("harmful")] < 0).all()


@pytest.mark.slow
def test_the_defaults_find_what_is_planted():
    found = r2rise.explain(planted(ROUNDS).demonstrations, r2rise.Study(environment=ROUNDS))
    check_found(ROUNDS, found.importance)


@pytest.mark.parametrize("name", IDS)
def test_behavioural_cloning_that_is_trained_to_the_end_finds_it_with_fewer(name):
    algorithm = {"name": "bc", "settings": {"n_epochs": 100}}
    found = r2rise.explain(planted(name).demonstrations, study(name, algorithm, 192))
    check_found(name, found.importance)


def test_what_is_not_planted_is_refused():
    with pytest.raises(UnknownName, match="not a planted environment"):
        planted("r2rise/PlantedRound-v0")
    with pytest.raises(EnvironmentMismatch, match="CartPole-v1"):
        expert(environment("CartPole-v1"))


def test_the_tables_of_the_page_are_the_benchmarks_results():
    module = runpy.run_path(str(ROOT / "benchmarks" / "planted.py"))
    page = (ROOT / "docs" / "planted.md").read_text()
    assert module["page"](page) == page
    assert all(module["row_of"](row).name in page for row in module["stored_rows"]())
