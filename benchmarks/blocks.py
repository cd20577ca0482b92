"""A bank of blocks of real retrainings, to judge every statistic by.

    python benchmarks/blocks.py [--cases cartpole-0 ...]      make what is missing of the bank

Each case is one study of many fold-over blocks; `data/blocks_<case>.npz` keeps its masks and mean
returns. Studies drawn from it are disjoint sets of blocks, and what is true is the mean over the
blocks that a study did not see: nothing is assumed of how returns come about.
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from real_answers import cut

from r2rise import Demonstrations, Study
from r2rise.data.segments import Segments
from r2rise.design.tasks import baseline_tasks, design_tasks
from r2rise.run.resolve import resolve
from r2rise.run.runner import Runner
from r2rise.statistics.baselines import measured_baseline
from r2rise.statistics.estimators import MaskedReturns

DATA = Path(__file__).parent / "data"


class Case(NamedTuple):
    """Demonstrations, a study of them, and how many blocks are made."""

    demonstrations: Demonstrations
    study: Study
    n_blocks: int


def _cartpole(first: int, settings: dict[str, int], n_blocks: int = 300) -> Case:
    study = Study(
        environment="CartPole-v1",
        algorithm={"name": "bc", "settings": settings},
        budget={"retrainings": 128 * n_blocks},
    )
    return Case(cut("cartpole", range(first, first + 5), 100), study, n_blocks)


def _pendulum(settings: dict[str, int], n_blocks: int = 100) -> Case:
    study = Study(
        environment="Pendulum-v1",
        algorithm={"name": "bc", "settings": settings},
        masking={"segment_length": 40},
        budget={"retrainings": 64 * n_blocks},
    )
    return Case(cut("pendulum", range(5), 200), study, n_blocks)


CASES = {
    "cartpole-0": lambda: _cartpole(0, {"n_updates": 800}),
    "cartpole-5": lambda: _cartpole(5, {"n_updates": 1600}),
    "pendulum": lambda: _pendulum({"n_updates": 1600}),
    "cartpole-0-short": lambda: _cartpole(0, {"n_epochs": 10}),
}
"""The amount that the training check chooses, or 1 600 updates where that is less; the last one is
far from trained, and its effects vary with the training seed much more."""


class Bank(NamedTuple):
    """Blocks of one study.

    Attributes:
        masks: (n_blocks, block_size, n_segments) bool, True = kept.
        returns: (n_blocks, block_size) mean returns.
        n_frames: (n_segments,) frames of each segment.
        gain: Mean return of all frames above that of random actions.
    """

    masks: NDArray[np.bool_]
    returns: NDArray[np.float64]
    n_frames: NDArray[np.int64]
    gain: float

    def sample(self, blocks: NDArray[np.int64]) -> MaskedReturns:
        """Return what a study of some of the blocks would have seen."""
        chosen = self.masks[blocks].reshape(-1, self.masks.shape[2])
        return MaskedReturns(
            packed_masks=np.packbits(chosen, axis=1),
            returns=self.returns[blocks].ravel(),
            block=np.repeat(np.arange(len(blocks)), self.masks.shape[1]),
            n_frames=self.n_frames,
        )


def load(name: str) -> Bank:
    """Return a case of the bank."""
    with np.load(DATA / f"blocks_{name}.npz") as arrays:
        n_frames, returns = arrays["n_frames"], arrays["returns"]
        masks = np.unpackbits(arrays["masks"], axis=2, count=len(n_frames)).astype(bool)
        gain = float(arrays["gain"])
    return Bank(masks, returns.astype(np.float64), n_frames, gain)


def make(case: Case) -> dict[str, NDArray[Any]]:
    """Retrain all blocks of a case."""
    study = resolve(case.study, case.demonstrations).study
    segments = Segments.of(case.demonstrations.lengths, study.masking)
    n = study.budget.retrainings
    with Runner(study, case.demonstrations) as runner:
        runner.run(baseline_tasks(study, len(segments), study.budget.baseline_retrainings))
        records = runner.run(design_tasks(study, len(segments), range(n)))
        gain = measured_baseline(runner.ledger, study).gain
    if any(record.status != "ok" for record in records):
        raise SystemExit("A retraining failed: the bank needs whole blocks.")
    masks = np.array([np.frombuffer(record.packed_mask, np.uint8) for record in records])
    returns = np.array([record.returns.mean() for record in records], dtype=np.float32)
    shape = (case.n_blocks, n // case.n_blocks)
    return {
        "masks": masks.reshape(*shape, -1),
        "returns": returns.reshape(shape),
        "n_frames": segments.n_frames,
        "gain": np.array(gain),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    for name in parser.parse_args().cases:
        path = DATA / f"blocks_{name}.npz"
        if not path.exists():
            started = time.monotonic()
            np.savez_compressed(path, allow_pickle=False, **make(CASES[name]()))
            size = path.stat().st_size / 1e6
            print(f"{name}: {time.monotonic() - started:.0f} s, {size:.2f} MB", flush=True)


if __name__ == "__main__":
    main()
