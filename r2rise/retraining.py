"""Retraining: masks -> train -> evaluate -> records.

A plain importable module of plain data: any process that has the study and the demonstrations
computes the same records.
"""

import contextlib
import functools
import random
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol, cast

import cloudpickle
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from r2rise.algorithms import Progress, TrainsMany, make_algorithm
from r2rise.demonstrations import Demonstrations, Transitions
from r2rise.environments import Environment
from r2rise.errors import Canceled
from r2rise.evaluation import Returns, evaluate, evaluate_many
from r2rise.ledger import EMPTY_MASK, Record, pack_mask
from r2rise.masks import make_design
from r2rise.seeds import Kind, Seeds, retraining_seeds
from r2rise.segments import Segments
from r2rise.study import Study


@dataclass(frozen=True)
class Shard:
    """A fixed run of retrainings that one worker does in one call.

    Attributes:
        kind: What they are for.
        indices: Their numbers.
        attempts: How often each was tried before.
    """

    kind: Kind
    indices: tuple[int, ...]
    attempts: int = 0


class Assignment(NamedTuple):
    """What one retraining is about: which segments are kept, and its seeds."""

    mask: NDArray[np.bool_]
    seeds: Seeds


class Assignments:
    """Which mask and seeds every retraining of a study has."""

    def __init__(self, study: Study, segments: Segments) -> None:
        self._seed = study.seed
        self._design = make_design(study.masking, len(segments), study.seed)

    def __call__(self, kind: Kind, index: int) -> Assignment:
        """Return mask and seeds of retraining `index` of a kind."""
        if kind == "design":
            mask = self._design.mask(index)
            number = index // self._design.block_size
        else:
            mask = np.full(self._design.n_segments, kind == "baseline")
            number = index
        return Assignment(mask, retraining_seeds(self._seed, kind, number))

    def failed(self, kind: Kind, index: int, reason: str) -> Record:
        """Return the record of a retraining that failed."""
        mask, seeds = self(kind, index)
        return Record(
            kind=kind,
            index=index,
            packed_mask=pack_mask(mask),
            training_seed=seeds.training,
            evaluation_seed=seeds.evaluation,
            returns=np.zeros(0),
            status="failed",
            reason=reason,
        )


class Retrainer:
    """Retrains the algorithm of a resolved study, one mask after another, in this process."""

    def __init__(self, study: Study, demonstrations: Demonstrations) -> None:
        self._study = study
        self._demonstrations = demonstrations
        self._segments = demonstrations.segments(study.masking)
        self._environment = Environment(study.environment)
        self._algorithm = make_algorithm(study.algorithm)
        self.assignments = Assignments(study, self._segments)
        if isinstance(self._algorithm, TrainsMany):
            self._warm_up(self._algorithm)

    def _warm_up(self, algorithm: TrainsMany) -> None:
        """Compile and load before the first shard, so that no retraining is timed with it."""
        with seeded_globals(0, self._study.execution.threads):
            policies = algorithm.warm_up(self._environment)
            briefly = {"max_steps": 1, "n_episodes": 1, "score": "return"}
            evaluation = self._study.evaluation.model_copy(update=briefly)
            evaluate_many(policies, self._environment, evaluation, 0, progress=keep_going)

    @property
    def trains_many(self) -> bool:
        """Whether the masks of a shard are trained together."""
        return isinstance(self._algorithm, TrainsMany)

    def run(self, shard: Shard, progress: Progress) -> list[Record]:
        """Do the retrainings of a shard, in order.

        Raises:
            Canceled: When `progress` says so.
        """
        if self.trains_many and shard.kind != "random_policy":
            records = self._retrain_together(shard, progress)
        else:
            records = [self.retrain(shard.kind, index, progress) for index in shard.indices]
        return [replace(record, attempts=shard.attempts + 1) for record in records]

    def _retrain_together(self, shard: Shard, progress: Progress) -> list[Record]:
        """Train and evaluate masks that share their seeds at once."""
        started = time.perf_counter()
        found = {i: self.assignments.failed(shard.kind, i, EMPTY_MASK) for i in shard.indices}
        assigned = {i: self.assignments(shard.kind, i) for i in shard.indices}
        groups: dict[Seeds, list[int]] = {}
        for index, (mask, seeds) in assigned.items():
            if mask.any():
                groups.setdefault(seeds, []).append(index)
        for seeds, indices in groups.items():
            masks = np.array([assigned[index].mask for index in indices])
            try:
                returns = self._returns_together(masks, seeds, progress)
                for index, own in zip(indices, returns, strict=True):
                    found[index] = replace(found[index], returns=own, status="ok", reason="")
            except Canceled:
                raise
            except Exception as error:
                for index in indices:
                    found[index] = replace(found[index], reason=_reason(error))
        seconds = (time.perf_counter() - started) / len(shard.indices)
        return [replace(found[index], seconds=seconds) for index in shard.indices]

    def _returns_together(
        self, masks: NDArray[np.bool_], seeds: Seeds, progress: Progress
    ) -> Returns:
        threads = self._study.execution.threads
        kept = np.repeat(masks, self._segments.n_frames, axis=1)
        with threadpool_limits(threads):
            with seeded_globals(seeds.training, threads):
                policies = cast("TrainsMany", self._algorithm).train_many(
                    self._demonstrations, kept, self._environment, seeds.training,
                    threads=threads, progress=progress,
                )  # fmt: skip
            with seeded_globals(seeds.evaluation, threads):
                return evaluate_many(
                    policies, self._environment, self._study.evaluation, seeds.evaluation,
                    progress=progress,
                )  # fmt: skip

    def retrain(self, kind: Kind, index: int, progress: Progress) -> Record:
        """Train and evaluate once; whatever the algorithm raises becomes a failed record.

        Raises:
            Canceled: When `progress` says so.
        """
        started = time.perf_counter()
        assignment = self.assignments(kind, index)
        record = self.assignments.failed(kind, index, EMPTY_MASK)
        if kind == "random_policy" or assignment.mask.any():
            try:
                returns = self._returns(kind, assignment, progress)
                record = replace(record, returns=returns, status="ok", reason="")
            except Canceled:
                raise
            except Exception as error:
                record = replace(record, reason=_reason(error))
        return replace(record, seconds=time.perf_counter() - started)

    def _returns(self, kind: Kind, assignment: Assignment, progress: Progress) -> Returns:
        mask, seeds = assignment
        with threadpool_limits(self._study.execution.threads):
            policy = None
            if kind != "random_policy":
                with seeded_globals(seeds.training, self._study.execution.threads):
                    policy = self._algorithm.train(
                        self._transitions(mask),
                        self._environment,
                        seeds.training,
                        progress=progress,
                    )
            with seeded_globals(seeds.evaluation, self._study.execution.threads):
                return evaluate(
                    policy,
                    self._environment,
                    self._study.evaluation,
                    seeds.evaluation,
                    progress=progress,
                )

    def _transitions(self, mask: NDArray[np.bool_]) -> Transitions:
        kept = self._demonstrations.transitions(self._segments.frames(mask))
        obs_dtype = self._environment.observation_space.dtype
        return replace(
            kept,
            obs=kept.obs.astype(obs_dtype, copy=False),
            acts=kept.acts.astype(self._environment.action_space.dtype, copy=False),
            next_obs=kept.next_obs.astype(obs_dtype, copy=False),
        )


class Retrains(Protocol):
    """What does the retrainings of a shard: a `Retrainer`, or one in a child process."""

    def run(self, shard: Shard, progress: Progress) -> list[Record]:
        """Do the retrainings of a shard, in order."""


def keep_going(_fraction: float) -> None:
    """Progress that nobody listens to and nobody cancels."""


def pack(study: Study, demonstrations: Path) -> bytes:
    """Return what another process needs to retrain: the study and where the arrays lie.

    Objects of the user's own program travel by value.
    """
    return bytes(cloudpickle.dumps((study, demonstrations)))


@functools.lru_cache(maxsize=2)
def unpack_retrainer(packed: bytes) -> Retrainer:
    """Return the retrainer that `pack` describes, kept for the next shard of the same study."""
    study, demonstrations = cloudpickle.loads(packed)
    return Retrainer(study, Demonstrations.open(demonstrations))


@contextlib.contextmanager
def seeded_globals(seed: int, threads: int) -> Iterator[None]:
    """Seed torch's, NumPy's and Python's global generators, and put them back afterwards."""
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    threads_before = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
            torch.set_num_threads(threads_before)


def _reason(error: Exception) -> str:
    """Return `Type: message (file:line)`, the place being the innermost outside libraries."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{type(error).__name__}: {error} ({Path(own[-1].filename).name}:{own[-1].lineno})"
