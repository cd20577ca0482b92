"""Demonstrations from episodes in memory: plain ones, of torch, of imitation and of Minari."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from r2rise import Demonstrations
from r2rise.errors import DemonstrationsError

RNG = np.random.default_rng(0)
LENGTHS = (3, 1, 4)
OBS = [RNG.normal(size=(n + 1, 2)).astype(np.float32) for n in LENGTHS]
ACTS = [RNG.integers(0, 3, n) for n in LENGTHS]
REWS = [RNG.normal(size=n) for n in LENGTHS]
TERMINAL = (True, False, True)
WANT = Demonstrations(
    obs=np.concatenate(OBS),
    acts=np.concatenate(ACTS),
    lengths=np.array(LENGTHS),
    rews=np.concatenate(REWS),
    terminal=np.array(TERMINAL),
    meta={"source": "here"},
)


@dataclass
class Minari:
    """The fields of an episode of Minari."""

    id: int
    observations: Any
    actions: Any
    rewards: Any
    terminations: Any
    truncations: Any
    infos: dict


def of_minari(number: int, observations: Any) -> Minari:
    n = LENGTHS[number]
    ends = np.arange(n) == n - 1
    return Minari(
        number, observations, ACTS[number], REWS[number], ends & TERMINAL[number],
        ends & (not TERMINAL[number]), {},
    )  # fmt: skip


def dicts(convert=lambda array: array) -> list[dict]:
    return [
        {"obs": convert(o), "acts": convert(a), "rews": convert(r), "terminal": t}
        for o, a, r, t in zip(OBS, ACTS, REWS, TERMINAL, strict=True)
    ]


def of_torch(array: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(array).clone().requires_grad_(array.dtype.kind == "f")


def from_imitation() -> list[Any]:
    types = pytest.importorskip("imitation.data.types")
    return [
        types.TrajectoryWithRew(obs=o, acts=a, rews=r, infos=None, terminal=t)
        for o, a, r, t in zip(OBS, ACTS, REWS, TERMINAL, strict=True)
    ]


def from_minari() -> list[Any]:
    data = pytest.importorskip("minari.dataset.episode_data")
    return [data.EpisodeData(**vars(of_minari(n, obs))) for n, obs in enumerate(OBS)]


KINDS = {
    "dicts": dicts,
    "objects": lambda: [SimpleNamespace(**episode) for episode in dicts()],
    "torch": lambda: dicts(of_torch),
    "lists of torch": lambda: dicts(lambda array: list(of_torch(array))),
    "imitation": from_imitation,
    "Minari": from_minari,
    "like Minari": lambda: [of_minari(n, obs) for n, obs in enumerate(OBS)],
    "a generator": lambda: (episode for episode in dicts()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_episodes_become_the_arrays_that_they_hold(kind):
    found = Demonstrations.from_episodes(KINDS[kind](), meta={"source": "here"})
    assert found.content_hash == WANT.content_hash


def test_lists_are_arrays_of_pythons_numbers():
    found = Demonstrations.from_episodes(dicts(lambda array: array.tolist()))
    assert np.array_equal(found.obs, WANT.obs.astype(np.float64))
    assert found.acts.tolist() == WANT.acts.tolist()


def test_what_episodes_lack_demonstrations_lack():
    found = Demonstrations.from_episodes(
        [{"obs": o, "acts": a} for o, a in zip(OBS, ACTS, strict=True)]
    )
    assert (found.rews, found.terminal, dict(found.meta)) == (None, None, {})


def test_the_last_action_goes_where_no_observation_follows(caplog):
    found = Demonstrations.from_episodes(
        [{"obs": OBS[n][:-1], "acts": ACTS[n], "terminal": True} for n in (0, 2)]
    )
    assert found.lengths.tolist() == [2, 3]
    assert found.terminal.tolist() == [False, False]
    assert "no observation after the last action of 2 demonstrations" in caplog.text


def test_dict_observations_are_concatenated_by_key():
    robots = [{"arm": {"x": obs[:, :1], "y": obs[:, 1:]}, "goal": obs[:, 0]} for obs in OBS]
    episodes = [of_minari(n, obs) for n, obs in enumerate(robots)]
    found = Demonstrations.from_episodes(episodes, obs_keys=("arm/y", "arm/x"))
    assert np.array_equal(found.obs, WANT.obs[:, ::-1])
    with pytest.raises(
        DemonstrationsError, match="Episode 0: obs is a dict: .* arm/x, arm/y, goal"
    ):
        Demonstrations.from_episodes(episodes)
    with pytest.raises(DemonstrationsError, match="no observation 'arm/z'. Did you mean 'arm/"):
        Demonstrations.from_episodes(episodes, obs_keys=("arm/z",))


def test_dict_observations_of_imitation():
    types = pytest.importorskip("imitation.data.types")
    episodes = [
        types.Trajectory(obs=types.DictObs({"a": o, "b": o[:, :1]}), acts=a, infos=None, terminal=t)
        for o, a, t in zip(OBS, ACTS, TERMINAL, strict=True)
    ]
    found = Demonstrations.from_episodes(episodes, obs_keys=("b", "a"))
    assert np.array_equal(found.obs, np.hstack([WANT.obs[:, :1], WANT.obs]))


GOOD = {"obs": OBS[0], "acts": ACTS[0]}


@pytest.mark.parametrize(
    ("episodes", "message"),
    [
        (GOOD, "Expected a list of episodes, .* got dict. Put a single episode into a list"),
        ("demos.npz", "Expected a list of episodes, .* got str"),
        ([], "the list of episodes holds no demonstration"),
        ([GOOD, {"obs": OBS[1]}], "Episode 1: acts or actions is missing. .* got dict"),
        ([(OBS[0], ACTS[0])], "Episode 0: obs or observations is missing. .* got tuple"),
        ([GOOD | {"reward": REWS[0]}], "unknown part 'reward'. Did you mean 'rewards'"),
        ([GOOD | {"acts": [[1], [2, 3], [4]]}], "acts should be one array of numbers: "),
        ([GOOD | {"acts": ["a", "b", "c"]}], "acts should hold numbers, got dtype <U1"),
        ([GOOD | {"acts": 3}], "acts should have a row for each frame, got a single number"),
        ([GOOD | {"acts": np.zeros(9)}], "demonstration 0 has 9 actions and 4 observations: exp"),
        ([GOOD | {"rews": REWS[1]}], "demonstration 0 has 3 actions, but 1 rews"),
        ([GOOD, GOOD | {"rews": REWS[0]}], "demonstration 1 has rews, those before it have no"),
        ([GOOD, GOOD | {"obs": OBS[0][:, :1]}], r"demonstration 1 has obs of shape \(1,\)"),
        ([GOOD | {"obs": np.full((4, 2), np.nan)}], "obs holds NaN"),
    ],
)
def test_what_cannot_be_used_is_named(episodes, message):
    with pytest.raises(DemonstrationsError, match=message):
        Demonstrations.from_episodes(episodes)


def test_obs_keys_without_dict_observations_are_refused():
    with pytest.raises(DemonstrationsError, match="obs_keys are for dict observations"):
        Demonstrations.from_episodes([GOOD], obs_keys=("a",))
