"""Stacked observations are recognized by what they repeat."""

import gymnasium as gym
import numpy as np
import pytest

import r2rise
from r2rise.data.stacking import n_stacked
from r2rise.design.choice import frame_stack_notices


def stacked(n: int, axis: int, *, newest_first: bool = False) -> r2rise.Demonstrations:
    """Two demonstrations of 20 and 30 frames whose observations show n pictures of 6 x 5."""
    generator = np.random.default_rng(1)
    parts = []
    for length in (20, 30):
        pictures = generator.integers(0, 255, (length + n, 6, 5), dtype=np.uint8)
        rows = np.stack([pictures[i : i + n] for i in range(length + 1)])
        parts.append(np.moveaxis(rows[:, ::-1] if newest_first else rows, 1, axis))
    acts = np.zeros(50, np.int64)
    return r2rise.Demonstrations(
        obs=np.ascontiguousarray(np.concatenate(parts)), acts=acts, lengths=np.array([20, 30])
    )


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("axis", [1, -1], ids=["first", "last"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_stacks_are_recognized(n, axis, newest_first):
    demonstrations = stacked(n, axis, newest_first=newest_first)
    assert n_stacked(demonstrations) == n
    [notice] = frame_stack_notices(r2rise.Masking(), demonstrations)
    assert notice.code == "stacked_observations"
    assert f"set masking.frame_stack to {n}" in notice.detail
    assert frame_stack_notices(r2rise.Masking(frame_stack=n), demonstrations) == []


@pytest.mark.parametrize("colours", [1, 3])
def test_pictures_that_move_or_stand_still_are_none(colours):
    generator = np.random.default_rng(2)
    moving = generator.integers(0, 255, (21, 6, 5, 1), dtype=np.uint8).repeat(colours, -1)
    still = np.broadcast_to(generator.integers(0, 255, (6, 5, 3), dtype=np.uint8), (21, 6, 5, 3))
    for obs in (moving, still, generator.normal(size=(21, 4)), np.zeros((21, 4, 4))):
        made = r2rise.Demonstrations(
            obs=np.array(obs), acts=np.zeros(20, np.int64), lengths=np.array([20])
        )
        assert n_stacked(made) == 1


def test_a_wrapper_of_gymnasium_is_recognized():
    stack = getattr(gym.wrappers, "FrameStackObservation", None) or gym.wrappers.FrameStack
    environment = stack(gym.make("CartPole-v1"), 3)
    acts = [0, 1, 0, 1, 1]
    seen = [environment.reset(seed=0)[0], *(environment.step(action)[0] for action in acts)]
    obs = np.array([[observation[i] for i in range(3)] for observation in seen])
    made = r2rise.Demonstrations(obs=obs, acts=np.array(acts), lengths=np.array([5]))
    assert n_stacked(made) == 3
