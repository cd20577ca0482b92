"""Demonstrations in other forms than the environment's: what is taken as the same, and what not."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from places import ROOT

import r2rise
from r2rise import Demonstrations
from r2rise.environments import Environment
from r2rise.errors import EnvironmentMismatch
from r2rise.evaluation.fit import fit
from r2rise.study.specs import EnvironmentSpec

CARTPOLE = Demonstrations.load(ROOT / "examples" / "cartpole.npz")


def make(spec) -> Environment:
    return Environment(EnvironmentSpec.model_validate(spec))


def demos(obs, acts, **fields) -> Demonstrations:
    return Demonstrations(obs=obs, acts=acts, lengths=np.array([len(acts)]), **fields)


@pytest.mark.parametrize(
    ("obs", "acts", "reason"),
    [
        (np.zeros((5, 3), np.float32), np.zeros(4, int), r"obs has shape \(3,\).* expects \(4,\)"),
        (np.zeros((5, 4), np.float32), np.eye(2)[[0, 1, 1, 0]], "one_hot, or save acts.arg"),
        (np.zeros((5, 4), np.float32), np.zeros((4, 1, 1), int), r"acts has shape \(1, 1\)"),
        (np.zeros((5, 4), np.float32), np.full(4, 0.5), "acts has dtype float64, which cannot be"),
        (np.zeros((5, 4), np.float32), np.full(4, 2), "acts has values from 2 to 2"),
        (np.zeros((5, 4), np.float32), np.full((4, 1), 2.0), "acts has values from 2.0 to"),
        (np.zeros((5, 4), np.float32), np.full(4, -1), "acts has values from -1"),
    ],
)
def test_demonstrations_of_another_environment_are_refused(obs, acts, reason):
    with pytest.raises(EnvironmentMismatch, match=reason):
        fit(demos(obs, acts), make("CartPole-v1"))


def test_actions_outside_a_box_are_counted_and_kept():
    acts = np.array([[0.0], [2.5], [-3.0]])
    given = demos(np.zeros((4, 3)), acts)
    fitted, [notice] = fit(given, make("Pendulum-v1"))
    assert fitted is given
    assert notice.code == "actions_outside_bounds"
    assert notice.detail.startswith("2 of 3 actions lie outside")


OTHER_FORMS = {
    "column": CARTPOLE.acts[:, None],
    "floats": CARTPOLE.acts.astype(np.float64),
    "column of floats": CARTPOLE.acts[:, None].astype(np.float32),
    "uint8": CARTPOLE.acts.astype(np.uint8),
}


@pytest.mark.parametrize("form", OTHER_FORMS)
@pytest.mark.parametrize("algorithm", ["bc", f"{__name__}:Sees"])
def test_choices_in_another_form_give_the_same_map(form, algorithm):
    study = r2rise.Study(
        environment="CartPole-v1",
        algorithm={"name": algorithm, "settings": {"n_updates": 8} if algorithm == "bc" else {}},
        masking={"segment_length": 50},
        evaluation={"n_episodes": 2},
        budget={"retrainings": 16, "baseline_retrainings": 2},
    )
    given = dataclasses.replace(CARTPOLE, acts=OTHER_FORMS[form])
    expected, found = (r2rise.explain(one, study) for one in (CARTPOLE, given))
    assert found.baseline.all_frames == expected.baseline.all_frames
    assert [row.importance for row in found.top(10)] == [row.importance for row in expected.top(10)]
    assert found.study.demonstrations == given.content_hash  # what is asked about is the file
    codes = [notice.code for notice in found.warnings]
    assert ("converted_to_space" in codes) == (form != "uint8")


class Sees:
    """Acts as most of the kept actions did, which it takes as they are."""

    def train(self, transitions, environment, seed, *, progress):
        assert transitions.acts.shape == (len(transitions),)
        assert transitions.acts.dtype.kind in "iu"
        return Majority(int(np.bincount(transitions.acts).argmax()))


class Majority:
    def __init__(self, act):
        self._act = act

    def predict(self, observations, *, deterministic=True):
        return np.full(len(observations), self._act), None


def test_a_box_of_one_number_is_a_column_or_not():
    rows = np.random.default_rng(0).uniform(-2, 2, 3)
    fitted, [notice] = fit(demos(np.zeros((4, 3)), rows), make("Pendulum-v1"))
    assert fitted.acts.tolist() == rows[:, None].tolist()
    assert notice.detail == (
        "acts are stored with shape () float64 for each frame, and used as the environment's "
        "(1,) float64."
    )


class Signs(gym.Env):
    """Observations are one of 3 choices that start at 5."""

    metadata = {"render_modes": []}
    observation_space = spaces.Discrete(3, start=5)
    action_space = spaces.MultiDiscrete([2, 3])


def test_observations_and_several_choices_are_taken_in_other_forms_too():
    obs, acts = np.array([[5.0], [7.0], [6.0]]), np.array([[0.0, 2.0], [1.0, 0.0]])
    fitted, notices = fit(demos(obs, acts), make(Signs))
    assert fitted.obs.tolist() == [5, 7, 6]
    assert fitted.acts.tolist() == [[0, 2], [1, 0]]
    assert {fitted.obs.dtype.kind, fitted.acts.dtype.kind} == {"i"}
    assert [notice.code for notice in notices] == ["converted_to_space"] * 2
    with pytest.raises(EnvironmentMismatch, match=r"save obs.argmax\(axis=1\) \+ 5 instead"):
        fit(demos(np.eye(3), acts), make(Signs))


@pytest.mark.parametrize(
    ("meta", "terminal", "told"),
    [
        ({"source": "imitation"}, [True, False, False], "they count as cut off"),
        ({"source": "robomimic", "env_args": {}}, [True, False, False], "they count as cut off"),
        ({}, [True, True, False], "They count as terminal. If the limit cut them off, set"),
        ({"source": "minari"}, [True, True, False], None),
        ({"source": "d4rl"}, [True, True, False], None),
        ({"recording": {}}, [True, True, False], None),
    ],
)
def test_an_end_at_the_step_limit_is_terminal_only_where_the_file_knows(meta, terminal, told):
    """Pendulum never terminates; the first demonstration ends earlier, the second at its limit."""
    given = Demonstrations(
        obs=np.zeros((63, 3)),
        acts=np.zeros((60, 1)),
        lengths=np.array([15, 20, 25]),
        terminal=np.array([True, True, False]),
        meta=meta,
    )
    environment = make({"id": "Pendulum-v1", "kwargs": {"max_episode_steps": 20}})
    fitted, notices = fit(given, environment)
    assert fitted.terminal.tolist() == terminal
    assert len(notices) == (told is not None)
    for notice in notices:
        assert notice.code == "terminal_at_step_limit"
        assert "1 of 3 demonstrations are marked as terminal" in notice.detail
        assert told in notice.detail
