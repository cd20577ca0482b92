"""Fake algorithms of known worth in an environment where random actions are worth 0."""

import json
import os
import time
from typing import Any

import numpy as np
import toys
from pydantic import BaseModel, ConfigDict

import r2rise
from r2rise import Demonstrations, ImportanceMap, Study
from r2rise.results.result import Result

FRAMES = 10
"""Frames of a segment."""


class Known(toys.OneStep):
    """The reward is the action, where that is a sensible number; random ones never are."""

    def step(self, action):
        observation, reward, *ended, info = super().step(action)
        return observation, reward if abs(reward) < 1000 else 0.0, *ended, info


class Worth:
    """Return = worth of the segments whose frames are kept, a base and noise.

    It takes as many seconds as the environment variable WORTH_SECONDS says.

    Settings:
        worth: Of each segment of 10 frames.
        seed_noise: Standard deviation of noise that all masks of a training seed share.
        noise: Standard deviation of noise that each mask of each seed has by itself.
        base: Return of any mask, over and above.
        refuses: It fails where seed and frames together are divisible by this; 0 never fails.
    """

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        worth: tuple[float, ...]
        seed_noise: float = 0.0
        noise: float = 0.0
        base: float = 0.0
        refuses: int = 0

    def __init__(self, settings: Settings):
        self.settings = settings

    def train(self, transitions, environment, seed, *, progress):
        own = self.settings
        time.sleep(float(os.environ.get("WORTH_SECONDS", "0")))
        if own.refuses and (seed + len(transitions)) % own.refuses == 0:
            raise ValueError("not with this seed")
        segment = transitions.frame // FRAMES
        worth = np.array(own.worth)[segment].sum() / FRAMES
        shared = np.random.default_rng(seed).normal() * own.seed_noise
        single = np.random.default_rng([seed, *np.unique(segment)]).normal() * own.noise
        return toys.Constant(float(own.base + worth + shared + single))


def demonstrations(n_segments: int, n_demos: int = 2) -> Demonstrations:
    """Return demonstrations that are cut into so many segments of 10 frames."""
    return toys.demonstrations(n_demos, n_segments // n_demos * FRAMES)


def study(
    worth: tuple[float, ...], *, budget: int = 64, masking: Any = None, **settings: Any
) -> Study:
    """Return a study whose learner makes these segments worth that much."""
    return Study(
        environment="worth:Known",
        algorithm={"name": "worth:Worth", "settings": {"worth": list(worth), **settings}},
        masking=masking or {"segment_length": FRAMES},
        evaluation={"n_episodes": 1, "max_steps": 2},
        budget={"retrainings": budget, "baseline_retrainings": 2},
    )


def changed(study: Study, **parts: Any) -> Study:
    """Return a study with some parts given anew, checked as any other."""
    return Study.parse(study.model_dump() | parts)


def explained(worth: tuple[float, ...], n_demos: int = 2, **more: Any) -> ImportanceMap:
    """Return the map of a study whose learner makes these segments worth that much."""
    return r2rise.explain(demonstrations(len(worth), n_demos), study(worth, **more))


def ranked(importance: ImportanceMap, *values: float) -> ImportanceMap:
    """Return a map with other values, whatever its learner thinks of the segments."""
    return importance.model_copy(update={"importance": np.array(values)})


def learned(importance: ImportanceMap, worth: tuple[float, ...], **settings: Any) -> ImportanceMap:
    """Return a map as it is, of a learner to which the segments are worth something else."""
    execution = {"max_failed_share": 1.0, "shard_size": importance.study.execution.shard_size}
    algorithm = {"name": "worth:Worth", "settings": {"worth": list(worth), **settings}}
    other = changed(importance.study, algorithm=algorithm, execution=execution)
    return importance.model_copy(update={"study": other})


def without_time(result: Result) -> str:
    """Return the JSON of a result, but when it was made and how long that took."""
    fields = json.loads(result.to_json())
    return json.dumps(_without_time(fields))


def _without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_time(v) for k, v in value.items() if k not in ("created_at", "seconds")}
    return [_without_time(v) for v in value] if isinstance(value, list) else value
