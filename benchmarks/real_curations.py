"""How often does a curation of real retrainings end as it should? Ten studies of each kind.

    python benchmarks/real_curations.py [--cases gain ...]

Writes `results/real_curations.json`, study by study: each has its own masks, training and
evaluation seeds. What is true is known from `longer_training.py`, but for `random`: demonstrations
of random actions.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from real_answers import cut

import r2rise
from r2rise import Demonstrations, Study

RESULTS = Path(__file__).parent / "results" / "real_curations.json"
N_STUDIES = 10


def at_random(n_demonstrations: int = 12) -> Demonstrations:
    """Return episodes of uniformly random actions on CartPole."""
    env = gym.make("CartPole-v1")
    env.action_space.seed(0)
    obs, acts, lengths = [], [], []
    for seed in range(n_demonstrations):
        observation, _ = env.reset(seed=seed)
        ended, before = False, len(acts)
        obs.append(observation)
        while not ended:
            acts.append(env.action_space.sample())
            observation, _, ended, _, _ = env.step(acts[-1])
            obs.append(observation)
        lengths.append(len(acts) - before)
    return Demonstrations(
        obs=np.array(obs), acts=np.array(acts), lengths=np.array(lengths),
        terminal=np.ones(n_demonstrations, dtype=bool), rews=np.ones(len(acts), np.float32),
    )  # fmt: skip


CASES = {
    "gain": lambda: (cut("cartpole", range(5, 10), 100), "CartPole-v1"),
    "trains_faster": lambda: (cut("cartpole", range(5), 100), "CartPole-v1"),
    "random": lambda: (at_random(), "CartPole-v1"),
    "no_gain": lambda: (cut("pendulum", range(5), 200), "Pendulum-v1"),
}


def study(name: str, seed: int) -> dict[str, Any]:
    """Return the figures of one study."""
    demonstrations, environment = CASES[name]()
    importance = r2rise.explain(demonstrations, Study(environment=environment, seed=seed))
    found = r2rise.curate(demonstrations, importance)
    curve, confirmed = importance.study.training.curve, found.confirmation
    assert curve is not None
    return {
        "chosen": curve.chosen,
        "finding": curve.finding,
        "outcome": found.outcome,
        "n_dropped": len(found.edits),
        "gain": None if confirmed is None else str(confirmed.gain),
        "over_random": None if confirmed is None else str(confirmed.gain_over_random),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    for name in parser.parse_args().cases:
        for seed in range(1, N_STUDIES + 1):
            known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            known.setdefault(name, {})[str(seed)] = study(name, seed)
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        print(name, Counter(own["outcome"] for own in known[name].values()), flush=True)


if __name__ == "__main__":
    main()
