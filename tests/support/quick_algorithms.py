"""Every installed algorithm with settings that train in a moment, and what a policy has learnt."""

import pickle

import numpy as np

from r2rise.algorithms import check_algorithm, make_algorithm
from r2rise.design.seeds import seeded_globals
from r2rise.environments import Environment
from r2rise.run.retraining import keep_going
from r2rise.study.specs import AlgorithmSpec

ADVERSARIAL = {
    "total_steps": 64,
    "n_envs": 2,
    "n_steps": 16,
    "batch_size": 16,
    "n_epochs": 2,
    "demo_batch_size": 16,
    "hidden_sizes": [8],
    "reward_hidden_sizes": [8],
}
QUICK = {
    "airl": ADVERSARIAL,
    "bc": {"n_epochs": 2, "hidden_sizes": [8]},
    "bco": {"n_epochs": 2, "hidden_sizes": [8], "interactions": 50, "inverse_epochs": 2},
    "gail": ADVERSARIAL,
    "imitation-bc": {"n_epochs": 2, "hidden_sizes": [8]},
    "sqil": {"total_steps": 40, "learning_starts": 10, "batch_size": 8, "hidden_sizes": [8]},
}
"""Settings by algorithm: one that is installed has a row here."""


def spec_of(algorithm) -> AlgorithmSpec:
    return check_algorithm(AlgorithmSpec.model_validate(algorithm))


def quick(name: str) -> dict:
    return {"name": name, "settings": QUICK[name]}


def train(algorithm, transitions, environment: Environment, seed: int, progress=keep_going):
    with seeded_globals(seed, 1):
        return make_algorithm(spec_of(algorithm)).train(
            transitions, environment, seed, progress=progress
        )


def learnt(policy) -> np.ndarray:
    """All numbers that a policy has learnt, or else the bytes of its pickle."""
    if hasattr(policy, "state_dict"):
        tensors = policy.state_dict().values()
        return np.concatenate([tensor.numpy().ravel().astype(float) for tensor in tensors])
    if hasattr(policy, "clones"):
        return policy.clones.parameters.ravel()
    return np.frombuffer(pickle.dumps(policy), np.uint8)
