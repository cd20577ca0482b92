"""Policies and environment equations compiled into one loop, for small networks on a CPU."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.bc.activations import jit
from r2rise.algorithms.bc.compiled import forward, layer_table
from r2rise.algorithms.bc.policies import Clones
from r2rise.environments import Environment
from r2rise.evaluation.dynamics import DYNAMICS
from r2rise.evaluation.equations import jit as exact
from r2rise.evaluation.equations import step


def roll_out(
    policies: Clones, environment: Environment, seeds: NDArray[np.int64], max_steps: int
) -> NDArray[np.float64]:
    """Return the returns of policies with an MLP, (n_policies, n_episodes) float64.

    The returns of a policy with a non-finite output are NaN.
    """
    dynamics, network = DYNAMICS[environment.spec.id], policies.network
    returns = np.zeros((len(policies), len(seeds)))
    _roll_out(
        dynamics.kind, dynamics.initial(seeds), policies.parameters, *layer_table(network),
        network.activation == "tanh", max_steps, returns,
    )  # fmt: skip
    return returns


@jit
def _roll_out(
    kind: int, starts: Any, parameters: Any, shapes: Any, repeats: Any, use_tanh: bool,
    max_steps: int, returns: Any,
) -> None:  # fmt: skip
    """Fill `returns`, (n_policies, n_episodes)."""
    n_episodes, n_inputs, n_outputs = starts.shape[0], shapes[0, 0], shapes[-1, 1]
    n_values = n_inputs + shapes[:, 1].sum()
    buffer = np.empty(n_episodes * n_values, parameters.dtype)
    # running[:n] are the episodes that have not ended. Ended ones are dropped from the batch.
    running = np.empty(n_episodes, np.int64)
    for p in range(parameters.shape[0]):
        states = starts.copy()
        n = n_episodes
        for i in range(n):
            running[i] = i
        for _ in range(max_steps):
            layers = buffer[: n * n_values]  # inputs and outputs of all layers; see `forward`
            observations = layers[: n * n_inputs].reshape(n, n_inputs)
            for i in range(n):
                for j in range(n_inputs):
                    observations[i, j] = states[running[i], j]
            forward(parameters[p], layers, shapes, repeats, n, use_tanh)
            outputs = layers[n * (n_values - n_outputs) :].reshape(n, n_outputs)
            left = 0  # never above i, so that `running` can be compacted in place
            for i in range(n):
                episode = running[i]
                action = _choose(outputs, i)
                if action < 0:
                    returns[p] = np.nan
                    left = 0
                    break
                reward, ended = step(kind, states[episode], action)
                returns[p, episode] += reward
                if not ended:
                    running[left] = episode
                    left += 1
            n = left
            if n == 0:
                break


@exact
def _choose(outputs: Any, i: int) -> float:
    """Return the index of the largest output, or -1 where an output is not finite."""
    best = 0
    for j in range(outputs.shape[1]):
        if not math.isfinite(outputs[i, j]):
            return -1.0
        if outputs[i, j] > outputs[i, best]:
            best = j
    return np.float64(best)
