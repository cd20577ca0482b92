"""Retrainings per second: `bc` against `imitation` one by one, on the same cores in one run.

    python benchmarks/speed.py [--repetitions 5] [--processes 2] [--only NAME]

`imitation` is a plain loop as a user would write it, in as many processes as there are cores. The
two alternate; figures are medians over the repetitions. One entry a study goes to
`benchmarks/results/speed.json`.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from r2rise import Demonstrations, Masking, Study
from r2rise.algorithms.bc import BC
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.design.masks import make_design, mask_matrix
from r2rise.design.seeds import seeded_globals
from r2rise.design.tasks import design_tasks
from r2rise.environments import Environment
from r2rise.results.result import versions
from r2rise.run.resolve import resolve
from r2rise.run.retraining import Retrainer, keep_going
from r2rise.run.shards import Shard

HERE = Path(__file__).parent
RESULT = HERE / "results" / "speed.json"
SHARD = 64


@dataclass(frozen=True)
class Case:
    """A study to time.

    Attributes:
        environment: Where policies are evaluated; None times training alone on made-up images.
        data: The demonstrations.
        settings: Those of `bc`; `imitation` gets the same.
        n_episodes: Evaluation episodes.
        n_theirs: Retrainings of `imitation` in each process and repetition.
        n_shards: Shards of ours.
    """

    environment: str | None
    data: str
    settings: dict[str, Any]
    n_episodes: int
    n_theirs: int
    n_shards: int = 2
    shard: int = SHARD
    parts: tuple[str, ...] = ("train", "evaluate")
    backend: str = "auto"


CASES = {
    "CartPole-v1, 5 x 100 frames": Case(
        "CartPole-v1", "../examples/cartpole-0-4.npz", {"n_epochs": 10}, 20, 8, 8
    ),
    "Hopper-v4, 2 x 1000 frames": Case(
        "Hopper-v4", "data/hopper.npz", {"n_epochs": 50}, 5, 1, 1, 16
    ),
    "Hopper-v4, evaluated in envpool": Case(
        "Hopper-v4", "data/hopper.npz", {"n_epochs": 50}, 5, 1, 1, 16, ("evaluate",), "envpool"
    ),
    "Pendulum-v1, 56 x 200 frames": Case(
        "Pendulum-v1", "data/pendulum.npz", {"n_epochs": 5}, 10, 1, 1
    ),
    "images 10 x 10 x 4, CNN": Case(
        None, "", {"n_epochs": 5, "hidden_sizes": (128,)}, 0, 2, 1, 16, ("train",)
    ),
}


class Images:
    """The spaces of made-up small images, in the place of an environment."""

    observation_space = spaces.Box(0, 255, (4, 10, 10), np.uint8)
    action_space = spaces.Discrete(3)


@cache
def demonstrations(name: str) -> Demonstrations:
    """Return the demonstrations of a case."""
    case = CASES[name]
    if case.environment is not None:
        return Demonstrations.load(HERE / case.data)
    generator = np.random.default_rng(0)
    return Demonstrations(
        obs=generator.integers(0, 256, (1001, 4, 10, 10)).astype(np.uint8),
        acts=generator.integers(0, 3, 1000),
        lengths=np.array([1000]),
    )


@cache
def kept_frames(name: str, n: int) -> NDArray[np.bool_]:
    """Return the frames that the first n masks keep, (n, n_frames)."""
    segments = demonstrations(name).segments()
    design = make_design(Masking(design="balanced", block_size=64), len(segments), 0)
    return np.repeat(mask_matrix(design, range(n)), segments.n_frames, axis=1)


@cache
def environment(name: str) -> Any:
    """Return what algorithms need to know of the environment."""
    case = CASES[name]
    if case.environment is None:
        return Images()
    return Environment(Study(environment=case.environment).environment)


@cache
def retrainer(name: str) -> Retrainer:
    """Return the library's retrainer of a study."""
    case = CASES[name]
    study = Study.parse(
        {
            "environment": case.environment,
            "algorithm": {"name": "bc", "settings": {**case.settings, "device": "cpu"}},
            "evaluation": {"n_episodes": case.n_episodes, "backend": case.backend},
            "masking": {"design": "balanced"},
        }
    )
    return Retrainer(resolve(study, demonstrations(name)).study, demonstrations(name))


def ours(name: str, part: str, number: int) -> int:
    """Retrain one shard; return how many retrainings that was."""
    case = CASES[name]
    if part == "evaluate":
        mine = retrainer(name)
        indices = range(number * case.shard, (number + 1) * case.shard)
        tasks = design_tasks(mine.study, len(mine.segments), indices)
        records = mine.run(Shard(tuple(tasks)), keep_going)
        assert all(record.status == "ok" for record in records)
    else:
        with threadpool_limits(1), seeded_globals(0, 1):
            BC(BCSettings(**case.settings, device="cpu")).train_many(
                demonstrations(name), kept_frames(name, case.shard), environment(name), number,
                threads=1, progress=keep_going,
            )  # fmt: skip
    return case.shard


def theirs(name: str, part: str, number: int) -> int:
    """Retrain with `imitation`, one mask after another, as a user would write it."""
    import torch
    from imitation.algorithms import bc
    from imitation.data.types import Transitions
    from imitation.util.logger import HierarchicalLogger
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.logger import Logger

    torch.set_num_threads(1)
    case, demos = CASES[name], demonstrations(name)
    for mask in kept_frames(name, case.n_theirs):
        kept = demos.transitions(mask)
        trainer = bc.BC(
            observation_space=environment(name).observation_space,
            action_space=environment(name).action_space,
            rng=np.random.default_rng(number),
            policy=their_cnn() if case.environment is None else None,
            demonstrations=Transitions(
                obs=kept.obs,
                acts=kept.acts,
                infos=np.array([{}] * len(kept)),
                next_obs=kept.next_obs,
                dones=kept.terminal,
            ),
            device="cpu",
            custom_logger=HierarchicalLogger(Logger(folder=None, output_formats=[])),
        )
        trainer.train(n_epochs=case.settings["n_epochs"], progress_bar=False)
        if part == "evaluate" and case.environment is not None:
            venv = make_vec_env(case.environment, n_envs=8, seed=number)
            evaluate_policy(trainer.policy, venv, n_eval_episodes=case.n_episodes)
            venv.close()
    return case.n_theirs


def their_cnn() -> Any:
    """Return a policy with the same small CNN."""
    import torch
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    class SmallCNN(BaseFeaturesExtractor):
        def __init__(self, space: spaces.Space[Any]) -> None:
            super().__init__(space, 16 * 8 * 8)
            self.layers = torch.nn.Sequential(
                torch.nn.Conv2d(4, 16, 3), torch.nn.ReLU(), torch.nn.Flatten()
            )

        def forward(self, images: Any) -> Any:
            return self.layers(images)

    return ActorCriticPolicy(
        Images.observation_space, Images.action_space, lambda _: 1e-3, net_arch=[128],
        activation_fn=torch.nn.ReLU, features_extractor_class=SmallCNN,
    )  # fmt: skip


def rate(
    pool: ProcessPoolExecutor, work: Callable[..., int], name: str, part: str, n_tasks: int
) -> float:
    """Return retrainings per second of some tasks over all processes."""
    started = time.perf_counter()
    done = sum(pool.map(work, [name] * n_tasks, [part] * n_tasks, range(n_tasks)))
    return done / (time.perf_counter() - started)


def time_case(pool: ProcessPoolExecutor, name: str, repetitions: int, processes: int) -> Any:
    """Return the figures of a case; ours and theirs alternate."""
    case, found = CASES[name], {}
    for part in case.parts:
        rate(pool, ours, name, part, processes)  # imports, compiled code, data
        rate(pool, theirs, name, part, processes)
        pairs = [
            (
                rate(pool, ours, name, part, processes * case.n_shards),
                rate(pool, theirs, name, part, processes),
            )
            for _ in range(repetitions)
        ]
        label = "training alone" if part == "train" else "with evaluation"
        found[label] = {
            "ours_per_second": round(statistics.median(a for a, _ in pairs), 2),
            "imitation_per_second": round(statistics.median(b for _, b in pairs), 3),
            "ratio": round(statistics.median(a / b for a, b in pairs), 1),
            "ratios": [round(a / b, 1) for a, b in pairs],
        }
        print(name, label, found[label], flush=True)
    ratio = next(iter(found.values()))["ratio"]
    return {"ratio": ratio, **found, "settings": case.settings, "n_episodes": case.n_episodes}


def peak_memory(_: int) -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=list(CASES), help="one study; the others' results stay")
    options = parser.parse_args()
    names = [options.only] if options.only else list(CASES)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        studies = {
            name: time_case(pool, name, options.repetitions, options.processes) for name in names
        }
        memory = max(pool.map(peak_memory, range(options.processes)))
    if options.only:
        studies = {**json.loads(RESULT.read_text())["studies"], **studies}
    result = {
        "studies": {name: studies[name] for name in CASES if name in studies},
        "processes": options.processes,
        "repetitions": options.repetitions,
        "peak_memory_mb": memory,
        "machine": platform.machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
