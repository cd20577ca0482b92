"""What the work costs: overhead around a black box, workers, memory, and time against size.

    python benchmarks/scaling.py [--quick]

Writes `benchmarks/results/scaling.json`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from r2rise import Demonstrations, Study, explain
from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc import BC
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment
from r2rise.results.result import versions
from r2rise.run.retraining import keep_going

HERE = Path(__file__).parent
RESULT = HERE / "results" / "scaling.json"
EXCERPT = HERE.parent / "examples" / "cartpole-0-4.npz"
SECONDS = 0.5


class Right:
    """Always pushes right: an episode of about ten steps."""

    def predict(self, observation: Any, *, deterministic: bool = True) -> tuple[Any, None]:
        """Return the same action for all."""
        assert deterministic
        return np.ones(len(observation), np.int64), None


def busy(
    _transitions: Transitions, _environment: Environment, _seed: int, *, progress: ProgressCallback
) -> Right:
    """Compute for half a second of one core, as a black box would."""
    ends = time.thread_time() + SECONDS
    while time.thread_time() < ends:
        progress(0.0)
    return Right()


def seconds_of_black_box(retrainings: int, workers: int) -> tuple[float, float]:
    """Return wall seconds of the retrainings, start-up excluded, and the black box's own."""
    study = Study(
        environment="CartPole-v1",
        algorithm=busy,
        evaluation={"n_episodes": 1},
        masking={"design": "balanced"},
        budget={"retrainings": retrainings, "baseline_retrainings": 2 * workers or 2},
    )
    told: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as out:
        explain(
            EXCERPT, study, ledger=Path(out) / "ledger.npz", workers=workers,
            progress=lambda p: told.append((p.done, time.perf_counter())),
        )  # fmt: skip
    first = next(i for i, (done, _) in enumerate(told) if done > 1 + (2 * workers or 2))
    done = told[-1][0] - told[first][0]
    return told[-1][1] - told[first][1], done * SECONDS


class Vectors:
    """Spaces of 20 numbers and 4 choices, in the place of an environment."""

    observation_space = spaces.Box(-np.inf, np.inf, (20,), np.float32)
    action_space = spaces.Discrete(4)


def vectors(n_frames: int) -> Demonstrations:
    """Return made-up demonstrations."""
    generator = np.random.default_rng(0)
    return Demonstrations(
        obs=generator.standard_normal((n_frames + 1, 20), dtype=np.float32),
        acts=generator.integers(0, 4, n_frames),
        lengths=np.array([n_frames]),
    )


def seconds_of_bc(n_masks: int, n_frames: int) -> float:
    """Return the seconds that training takes for an epoch, in shards of 64 masks."""
    demonstrations, environment = vectors(n_frames), Vectors()
    algorithm = BC(BCSettings(n_epochs=1, device="cpu"))
    algorithm.warm_up(environment)  # type: ignore[arg-type]
    started = time.perf_counter()
    for start in range(0, n_masks, 64):
        generator = np.random.default_rng(start)
        kept = generator.random((min(64, n_masks - start), n_frames)) < 0.5
        algorithm.train_many(
            demonstrations, kept, environment, start, threads=1, progress=keep_going  # type: ignore[arg-type]
        )  # fmt: skip
    return time.perf_counter() - started


def peak_memory_mb() -> float:
    """Return the largest memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured_alone(expression: str) -> Any:
    """Evaluate an expression of this module in a fresh process."""
    code = f"import json, scaling; print(json.dumps({expression}))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, check=True
    )
    return json.loads(found.stdout.splitlines()[-1])


def slope(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of log seconds against log size; 1 is a straight line through 0."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small run; nothing is written")
    quick = parser.parse_args().quick
    n = 8 if quick else 128
    wall, own = seconds_of_black_box(n, 0)
    one, _ = seconds_of_black_box(n, 1)
    two, _ = seconds_of_black_box(n, 2)
    masks = [100, 1_000] if quick else [100, 1_000, 10_000]
    frames = [1_000, 10_000] if quick else [1_000, 10_000, 100_000]
    by_masks = [measured_alone(f"scaling.seconds_of_bc({m}, 1000)") for m in masks]
    by_frames = [
        statistics.median(measured_alone(f"scaling.seconds_of_bc(64, {f})") for _ in range(3))
        for f in frames
    ]
    memory = measured_alone("(scaling.seconds_of_bc(700, 20000), scaling.peak_memory_mb())[1]")
    result = {
        "black_box_seconds": SECONDS,
        "overhead_share": round(wall / own - 1, 4),
        "speedup_of_2_workers": round(one / two, 3),
        "seconds_with_1_worker": round(one, 1),
        "peak_memory_mb_700_masks_20000_frames": round(memory),
        "seconds_by_masks": dict(zip(map(str, masks), by_masks, strict=True)),
        "slope_by_masks": round(slope(masks, by_masks), 3),
        "seconds_by_frames": dict(zip(map(str, frames), by_frames, strict=True)),
        "slope_by_frames": round(slope(frames, by_frames), 3),
        "versions": versions(),
    }
    print(json.dumps(result, indent=2))
    if not quick:
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
