"""Retraining: masks -> train -> evaluate -> records.

Any process that has the study and the demonstrations computes the same records.
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
from r2rise.environments import Environment, failures_of
from r2rise.errors import Canceled, Diverged
from r2rise.evaluation import Returns, evaluate, evaluate_many
from r2rise.evaluation.backends import EnvironmentCache
from r2rise.evaluation.fit import fit
from r2rise.ledger.record import EMPTY_MASK, Record
from r2rise.run.shards import Shard
from r2rise.study.study import Study


class Retrainer:
    """Retrains the algorithm of a resolved study in this process."""

    def __init__(self, study: Study, demonstrations: Demonstrations) -> None:
        self.study = study
        self._environment = Environment(study.environment)
        self._demonstrations = fit(demonstrations, self._environment).demonstrations
        self.segments = demonstrations.segments(study.masking)
        self._environment_cache = EnvironmentCache()
        self._algorithms: dict[int, Algorithm] = {}
        with seeded_globals(0, study.execution.threads):  # loads torch before anything is timed
            algorithm = self._algorithm(1 if leaves_amount_open(study.algorithm) else 0)
        self.uses_next_obs = uses_next_obs(algorithm)
        self.trains_many = isinstance(algorithm, TrainsMany)
        if isinstance(algorithm, TrainsMany):
            self._warm_up(algorithm)

    def _algorithm(self, amount: int) -> Algorithm:
        """Return the algorithm that trains for `amount`, or with 0 for the study's own amount.

        The object is reused: it may cache data of a block that the next shard needs, too.
        """
        if amount not in self._algorithms:
            spec = self.study.algorithm
            self._algorithms[amount] = make_algorithm(with_amount(spec, amount) if amount else spec)
        return self._algorithms[amount]

    def _warm_up(self, algorithm: TrainsMany) -> None:
        """Compile and load before the first shard, so that no retraining's time includes it."""
        with seeded_globals(0, self.study.execution.threads):
            policies = algorithm.warm_up(self._environment)
            one_step = {"max_steps": 1, "n_episodes": 1, "score": "return"}
            evaluation = self.study.evaluation.model_copy(update=one_step)
            with failures_of(self._environment):
                evaluate_many(policies, self._environment, evaluation, 0, progress=keep_going)

    def close(self) -> None:
        """Close the environments that are kept open between shards."""
        self._environment_cache.close()

    def run(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
        """Do the retrainings of a shard, in order.

        Raises:
            Canceled: When `progress` raises it.
        """
        if self.trains_many and shard.tasks[0].kind != "random_policy":
            records = self._retrain_together(shard.tasks, progress)
        else:
            records = [self.retrain(task, progress) for task in shard.tasks]
        return [replace(record, attempts=shard.attempts + 1) for record in records]

    def _retrain_together(self, tasks: Sequence[Task], progress: ProgressCallback) -> list[Record]:
        """Train and evaluate together the tasks that share their seeds."""
        started = time.perf_counter()
        records = {task.key: Record.failed(task, EMPTY_MASK) for task in tasks}
        kept = self._kept_frames(tasks)
        groups: dict[Seeds, list[int]] = {}
        for row, task in enumerate(tasks):
            if kept[row].any():
                groups.setdefault(task.seeds, []).append(row)
        evaluation_seconds = 0.0
        for rows in groups.values():
            group = [tasks[row] for row in rows]
            try:
                results = self._returns_together(group, kept[rows], progress)
                for scored, outcomes, seconds in results:
                    evaluation_seconds += seconds
                    for task, outcome in zip(scored, outcomes, strict=True):
                        records[task.key] = _record(task, outcome)
            except Canceled:
                raise
            except Exception as error:
                for task in group:
                    records[task.key] = Record.failed(task, _failure_reason(error))
        seconds = (time.perf_counter() - started) / len(tasks)
        share = evaluation_seconds / len(tasks)
        return [
            replace(records[task.key], seconds=seconds, evaluation_seconds=share) for task in tasks
        ]

    def _returns_together(
        self, tasks: Sequence[Task], kept: NDArray[np.bool_], progress: ProgressCallback
    ) -> Iterator[tuple[Sequence[Task], list[Returns | Exception], float]]:
        """Yield the tasks of one amount, their outcomes, and the seconds that evaluation took.

        An outcome is the returns of a policy, or the error that its evaluation met.

        Args:
            tasks: Tasks that share their seeds.
            kept: (n_tasks, n_frames) bool.
            progress: Called from time to time.
        """
        threads, seeds = self.study.execution.threads, tasks[0].seeds
        with threadpool_limits(threads):
            for trained, policies in self._train_together(tasks, kept, progress):
                checked = policies
                if not hasattr(policies, "predict_many"):
                    checked = [_checked_policy(policy) for policy in policies]
                started = time.perf_counter()
                with seeded_globals(seeds.evaluation, threads):
                    outcomes = evaluate_many(
                        checked, self._environment, self.study.evaluation, seeds.evaluation,
                        progress=progress, cache=self._environment_cache,
                    )  # fmt: skip
                yield trained, outcomes, time.perf_counter() - started

    def _train_together(
        self, tasks: Sequence[Task], kept: NDArray[np.bool_], progress: ProgressCallback
    ) -> Iterator[tuple[Sequence[Task], Sequence[Policy]]]:
        """Yield the tasks of each amount with their policies, on one path if possible."""
        threads, seed = self.study.execution.threads, tasks[0].training_seed
        rows: dict[int, list[int]] = {}
        for row, task in enumerate(tasks):
            rows.setdefault(task.amount, []).append(row)
        amounts, masks = sorted(rows), [kept[rows[amount]] for amount in sorted(rows)]
        longest = self._algorithm(amounts[-1])
        same_masks = all(np.array_equal(other, masks[0]) for other in masks)
        with seeded_globals(seed, threads):
            if same_masks and len(amounts) > 1 and follows_one_path(longest):
                policies_by_amount = longest.train_along(
                    self._demonstrations, masks[0], self._environment, seed, amounts,
                    threads=threads, progress=progress,
                )  # fmt: skip
            else:
                policies_by_amount = [
                    cast("TrainsMany", self._algorithm(amount)).train_many(
                        self._demonstrations, amount_masks, self._environment, seed,
                        threads=threads, progress=progress,
                    )
                    for amount, amount_masks in zip(amounts, masks, strict=True)
                ]  # fmt: skip
        for amount, policies in zip(amounts, policies_by_amount, strict=True):
            yield [tasks[row] for row in rows[amount]], policies

    def retrain(self, task: Task, progress: ProgressCallback) -> Record:
        """Train and evaluate once; an error of the algorithm becomes a failed record.

        Raises:
            Canceled: When `progress` raises it.
        """
        started = time.perf_counter()
        record = Record.failed(task, EMPTY_MASK)
        [kept] = self._kept_frames([task])
        if task.kind == "random_policy" or kept.any():
            try:
                returns, seconds = self._returns(task, kept, progress)
                record = Record(*task.key, returns, evaluation_seconds=seconds)
            except Canceled:
                raise
            except Exception as error:
                record = Record.failed(task, _failure_reason(error))
        return replace(record, seconds=time.perf_counter() - started)

    def _kept_frames(self, tasks: Sequence[Task]) -> NDArray[np.bool_]:
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
        """Return the returns, (n_episodes,), and the seconds that evaluation took."""
        with threadpool_limits(self.study.execution.threads):
            policy = None
            if task.kind != "random_policy":
                with seeded_globals(task.training_seed, self.study.execution.threads):
                    policy = _checked_policy(
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

    def _transitions(self, kept: NDArray[np.bool_]) -> Transitions:
        transitions = self._demonstrations.transitions(kept)
        obs_dtype = self._environment.observation_space.dtype
        return replace(
            transitions,
            obs=transitions.obs.astype(obs_dtype, copy=False),
            acts=transitions.acts.astype(self._environment.action_space.dtype, copy=False),
            next_obs=transitions.next_obs.astype(obs_dtype, copy=False),
        )


class Retrains(Protocol):
    """Does the retrainings of a shard: a `Retrainer`, or one in a child process."""

    def run(self, shard: Shard, progress: ProgressCallback) -> list[Record]:
        """Do the retrainings of a shard, in order."""


def keep_going(_fraction: float) -> None:
    """Ignore progress and never cancel: a `ProgressCallback` for callers that need neither."""


def pack(study: Study, demonstrations: Path) -> bytes:
    """Pickle the study and the folder of the unpacked demonstrations for another process.

    Objects of the user's own program are pickled by value.
    """
    return bytes(cloudpickle.dumps((study, demonstrations)))


@functools.lru_cache(maxsize=8)
def unpack_retrainer(packed: bytes) -> Retrainer:
    """Return the retrainer that `pack` describes; it is cached for later shards of the study."""
    study, demonstrations = cloudpickle.loads(packed)
    return Retrainer(study, Demonstrations.open(demonstrations))


def _checked_policy(policy: Policy) -> Policy:
    """Check what training returned: evaluation would take None for random actions.

    Raises:
        TypeError: When it is not a policy.
    """
    if not callable(getattr(policy, "predict", None)):
        raise TypeError(
            f"training should return a policy with a method predict(observation, *, "
            f"deterministic), got {policy!r}"
        )
    return policy


def _record(task: Task, outcome: Returns | Exception) -> Record:
    """Return the record of a task with this outcome of its evaluation."""
    if isinstance(outcome, Exception):
        return Record.failed(task, _failure_reason(outcome))
    return Record(*task.key, outcome)


def _failure_reason(error: Exception) -> str:
    """Return `Type: message (file:line)` with the innermost place outside of libraries.

    Divergence, and errors that evaluation returned and did not raise, have no place.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or isinstance(error, Diverged):
        return f"{type(error).__name__}: {error}"
    innermost = ([f for f in frames if "site-packages" not in f.filename] or frames)[-1]
    return f"{type(error).__name__}: {error} ({Path(innermost.filename).name}:{innermost.lineno})"
