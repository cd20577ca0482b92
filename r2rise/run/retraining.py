"""Retraining: masks -> train -> evaluate -> records.

A plain importable module of plain data: any process that has the study and the demonstrations
computes the same records.
"""

import functools
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from r2rise.algorithms import (
    Algorithm,
    Policy,
    ProgressCallback,
    TrainsMany,
    follows_one_path,
    leaves_amount_open,
    make_algorithm,
    uses_next_obs,
    with_amount,
)
from r2rise.data.demonstrations import Demonstrations
from r2rise.data.transitions import Transitions
from r2rise.design.seeds import Seeds, seeded_globals
from r2rise.design.tasks import Task
from r2rise.environments import Environment
from r2rise.errors import Canceled, Diverged
from r2rise.evaluation import Returns, evaluate, evaluate_many
from r2rise.evaluation.backends import EnvironmentCache
from r2rise.ledger.record import EMPTY_MASK, Record
from r2rise.run.shards import Shard
from r2rise.study.study import Study


class Retrainer:
    """Retrains the algorithm of a resolved study, one mask after another, in this process."""

    def __init__(self, study: Study, demonstrations: Demonstrations) -> None:
        self.study = study
        self._demonstrations = demonstrations
        self.segments = demonstrations.segments(study.masking)
        self._environment = Environment(study.environment)
        self._environment_cache = EnvironmentCache()
        self._algorithms: dict[int, Algorithm] = {}
        with seeded_globals(0, study.execution.threads):  # loads torch before anything is timed
            algorithm = self._algorithm(1 if leaves_amount_open(study.algorithm) else 0)
        self.uses_next_obs = uses_next_obs(algorithm)
        self.trains_many = isinstance(algorithm, TrainsMany)
        if isinstance(algorithm, TrainsMany):
            self._warm_up(algorithm)

    def _algorithm(self, amount: int) -> Algorithm:
        """Return the algorithm that trains for an amount, or with 0 for as long as the study says.

        The same one each time: what it keeps of a block is of use to the next shard.
        """
        if amount not in self._algorithms:
            spec = self.study.algorithm
            self._algorithms[amount] = make_algorithm(with_amount(spec, amount) if amount else spec)
        return self._algorithms[amount]

    def _warm_up(self, algorithm: TrainsMany) -> None:
        """Compile and load before the first shard, so that no retraining is timed with it."""
        with seeded_globals(0, self.study.execution.threads):
            policies = algorithm.warm_up(self._environment)
            briefly = {"max_steps": 1, "n_episodes": 1, "score": "return"}
            evaluation = self.study.evaluation.model_copy(update=briefly)
            evaluate_many(policies, self._environment, evaluation, 0, progress=keep_going)

    def close(self) -> None:
        """Close the environments that are kept for the next shard."""
        self._environment_cache.close()

    def run(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
        """Do the retrainings of a shard, in order.

        Raises:
            Canceled: When `progress` says so.
        """
        if self.trains_many and shard.tasks[0].kind != "random_policy":
            records = self._retrain_together(shard.tasks, progress)
        else:
            records = [self.retrain(task, progress) for task in shard.tasks]
        return [replace(record, attempts=shard.attempts + 1) for record in records]

    def _retrain_together(self, tasks: Sequence[Task], progress: ProgressCallback) -> list[Record]:
        """Train and evaluate masks that share their seeds at once."""
        started = time.perf_counter()
        found = {task.key: Record.failed(task, EMPTY_MASK) for task in tasks}
        kept = self._kept(tasks)
        groups: dict[Seeds, list[int]] = {}
        for row, task in enumerate(tasks):
            if kept[row].any():
                groups.setdefault(task.seeds, []).append(row)
        evaluation_seconds = 0.0
        for rows in groups.values():
            own = [tasks[row] for row in rows]
            try:
                for some, scores, seconds in self._returns_together(own, kept[rows], progress):
                    evaluation_seconds += seconds
                    for task, scored in zip(some, scores, strict=True):
                        found[task.key] = _record(task, scored)
            except Canceled:
                raise
            except Exception as error:
                for task in own:
                    found[task.key] = Record.failed(task, _reason(error))
        seconds = (time.perf_counter() - started) / len(tasks)
        share = evaluation_seconds / len(tasks)
        return [
            replace(found[task.key], seconds=seconds, evaluation_seconds=share) for task in tasks
        ]

    def _returns_together(
        self, tasks: Sequence[Task], kept: NDArray[np.bool_], progress: ProgressCallback
    ) -> Iterator[tuple[Sequence[Task], list[Returns | Exception], float]]:
        """Yield tasks, what `evaluate_many` gives for each, and the seconds that it took.

        Args:
            tasks: They share their seeds.
            kept: (n_tasks, n_frames) bool.
            progress: Called now and then.
        """
        threads, seeds = self.study.execution.threads, tasks[0].seeds
        with threadpool_limits(threads):
            for own, policies in self._trained_together(tasks, kept, progress):
                checked = policies
                if not hasattr(policies, "predict_many"):
                    checked = [_checked(policy) for policy in policies]
                started = time.perf_counter()
                with seeded_globals(seeds.evaluation, threads):
                    scores = evaluate_many(
                        checked, self._environment, self.study.evaluation, seeds.evaluation,
                        progress=progress, cache=self._environment_cache,
                    )  # fmt: skip
                yield own, scores, time.perf_counter() - started

    def _trained_together(
        self, tasks: Sequence[Task], kept: NDArray[np.bool_], progress: ProgressCallback
    ) -> Iterator[tuple[Sequence[Task], Sequence[Policy]]]:
        """Yield the tasks of each amount of training with their policies; see above."""
        threads, seed = self.study.execution.threads, tasks[0].training_seed
        rows: dict[int, list[int]] = {}
        for row, task in enumerate(tasks):
            rows.setdefault(task.amount, []).append(row)
        amounts, masks = sorted(rows), [kept[rows[amount]] for amount in sorted(rows)]
        last = self._algorithm(amounts[-1])
        same_masks = all(np.array_equal(own, masks[0]) for own in masks)
        with seeded_globals(seed, threads):
            if same_masks and len(amounts) > 1 and follows_one_path(last):
                paths = last.train_along(
                    self._demonstrations, masks[0], self._environment, seed, amounts,
                    threads=threads, progress=progress,
                )  # fmt: skip
            else:
                paths = [
                    cast("TrainsMany", self._algorithm(amount)).train_many(
                        self._demonstrations, own, self._environment, seed,
                        threads=threads, progress=progress,
                    )
                    for amount, own in zip(amounts, masks, strict=True)
                ]  # fmt: skip
        for amount, policies in zip(amounts, paths, strict=True):
            yield [tasks[row] for row in rows[amount]], policies

    def retrain(self, task: Task, progress: ProgressCallback) -> Record:
        """Train and evaluate once; whatever the algorithm raises becomes a failed record.

        Raises:
            Canceled: When `progress` says so.
        """
        started = time.perf_counter()
        record = Record.failed(task, EMPTY_MASK)
        [kept] = self._kept([task])
        if task.kind == "random_policy" or kept.any():
            try:
                returns, seconds = self._returns(task, kept, progress)
                record = Record(*task.key, returns, evaluation_seconds=seconds)
            except Canceled:
                raise
            except Exception as error:
                record = Record.failed(task, _reason(error))
        return replace(record, seconds=time.perf_counter() - started)

    def _kept(self, tasks: Sequence[Task]) -> NDArray[np.bool_]:
        """Return the frames that each task trains on, (n_tasks, n_frames) bool."""
        masks = np.array([task.mask(len(self.segments)) for task in tasks])
        return self._demonstrations.trainable(
            self.segments.frames(masks),
            frame_stack=self.study.masking.frame_stack,
            next_obs=self.uses_next_obs,
        )

    def _returns(
        self, task: Task, kept: NDArray[np.bool_], progress: ProgressCallback
    ) -> tuple[Returns, float]:
        """Return scores (n_episodes,) and the seconds that evaluation took."""
        with threadpool_limits(self.study.execution.threads):
            policy = None
            if task.kind != "random_policy":
                with seeded_globals(task.training_seed, self.study.execution.threads):
                    policy = _checked(
                        self._algorithm(task.amount).train(
                            self._transitions(kept),
                            self._environment,
                            task.training_seed,
                            progress=progress,
                        )
                    )
            started = time.perf_counter()
            with seeded_globals(task.evaluation_seed, self.study.execution.threads):
                returns = evaluate(
                    policy,
                    self._environment,
                    self.study.evaluation,
                    task.evaluation_seed,
                    progress=progress,
                    cache=self._environment_cache,
                )
            return returns, time.perf_counter() - started

    def _transitions(self, frames: NDArray[np.bool_]) -> Transitions:
        kept = self._demonstrations.transitions(frames)
        obs_dtype = self._environment.observation_space.dtype
        return replace(
            kept,
            obs=kept.obs.astype(obs_dtype, copy=False),
            acts=kept.acts.astype(self._environment.action_space.dtype, copy=False),
            next_obs=kept.next_obs.astype(obs_dtype, copy=False),
        )


class Retrains(Protocol):
    """What does the retrainings of a shard: a `Retrainer`, or one in a child process."""

    def run(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
        """Do the retrainings of a shard, in order."""


def keep_going(_fraction: float) -> None:
    """Progress that nobody listens to and nobody cancels."""


def pack(study: Study, demonstrations: Path) -> bytes:
    """Return what another process needs to retrain: the study and where the arrays lie.

    Objects of the user's own program travel by value.
    """
    return bytes(cloudpickle.dumps((study, demonstrations)))


@functools.lru_cache(maxsize=8)
def unpack_retrainer(packed: bytes) -> Retrainer:
    """Return the retrainer that `pack` describes, kept for the next shard of the same study."""
    study, demonstrations = cloudpickle.loads(packed)
    return Retrainer(study, Demonstrations.open(demonstrations))


def _checked(policy: Policy) -> Policy:
    """Return what training gave, if it is a policy; evaluation would take None for chance.

    Raises:
        TypeError: When it is none.
    """
    if not callable(getattr(policy, "predict", None)):
        raise TypeError(
            f"training should return a policy with a method predict(observation, *, "
            f"deterministic), got {policy!r}"
        )
    return policy


def _record(task: Task, scored: Returns | Exception) -> Record:
    """Return the record of what evaluation gave for a task."""
    if isinstance(scored, Exception):
        return Record.failed(task, _reason(scored))
    return Record(*task.key, scored)


def _reason(error: Exception) -> str:
    """Return `Type: message (file:line)`, the place being the innermost outside libraries.

    That training diverged has no place, nor has what evaluation found without raising it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or isinstance(error, Diverged):
        return f"{type(error).__name__}: {error}"
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{type(error).__name__}: {error} ({Path(own[-1].filename).name}:{own[-1].lineno})"
