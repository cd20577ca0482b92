"""Compiled equations of small gymnasium environments, bitwise equal to gymnasium's.

A state is (n_values,) float64, as in gymnasium. In float32 it is also the observation.
"""

import math
from typing import Any

from numba import njit

from r2rise.evaluation.dynamics import CARTPOLE

# Without fast math: the same operations in the same order as gymnasium's. All options are explicit
# because omitted ones are inherited from the first compiled function that calls these.
jit = njit(cache=True, nogil=True, error_model="numpy", fastmath=False)


@jit
def step(kind: int, state: Any, action: float) -> Any:
    """Advance a state in place; return the reward and whether the new state is terminal."""
    if kind == CARTPOLE:
        return _cartpole(state, action)
    return _mountain_car(state, action)


@jit
def _cartpole(state: Any, action: float) -> Any:
    # Florian (2007) with gymnasium's constants: force 10, gravity 9.8, masses 1 of the cart and 0.1
    # of the pole, half length of the pole 0.5, time step 0.02.
    x, x_dot, theta, theta_dot = state[0], state[1], state[2], state[3]
    force = 10.0 if action == 1 else -10.0
    cosine, sine = math.cos(theta), math.sin(theta)
    temp = (force + 0.05 * (theta_dot * theta_dot) * sine) / 1.1
    theta_acc = (9.8 * sine - cosine * temp) / (0.5 * (4.0 / 3.0 - 0.1 * (cosine * cosine) / 1.1))
    x_acc = temp - 0.05 * theta_acc * cosine / 1.1
    # Explicit Euler: positions advance by the old velocities.
    state[0] = x + 0.02 * x_dot
    state[1] = x_dot + 0.02 * x_acc
    state[2] = theta + 0.02 * theta_dot
    state[3] = theta_dot + 0.02 * theta_acc
    limit = 12 * 2 * math.pi / 360
    ended = state[0] < -2.4 or state[0] > 2.4 or state[2] < -limit or state[2] > limit
    return 1.0, ended


@jit
def _mountain_car(state: Any, action: float) -> Any:
    # Moore (1990) with gymnasium's constants: force 0.001, gravity 0.0025, goal at 0.5.
    position, velocity = state[0], state[1]
    velocity += (action - 1) * 0.001 + math.cos(3 * position) * (-0.0025)
    velocity = min(max(velocity, -0.07), 0.07)
    position += velocity
    position = min(max(position, -1.2), 0.6)
    if position == -1.2 and velocity < 0:  # the left wall stops the car
        velocity = 0.0
    state[0], state[1] = position, velocity
    return -1.0, position >= 0.5 and velocity >= 0


@jit
def step_all(kind: int, states: Any, actions: Any, rewards: Any, ended: Any) -> None:
    """Advance states, (n, n_values), in place; fill `rewards` and `ended`, (n,) each."""
    for i in range(states.shape[0]):
        rewards[i], ended[i] = step(kind, states[i], actions[i])
