"""Environments with batched equations, and their initial states."""

import math
from dataclasses import dataclass

import numpy as np
from gymnasium.utils.seeding import np_random
from numpy.typing import NDArray

CARTPOLE, PENDULUM, MOUNTAIN_CAR = range(3)


@dataclass(frozen=True)
class Dynamics:
    """An environment with batched equations.

    Attributes:
        kind: The equations: `CARTPOLE`, `PENDULUM` or `MOUNTAIN_CAR`. The pendulum's are in NumPy,
            whose sine and cosine gymnasium uses for it; the others are compiled.
        low, high: Bounds of the uniform initial state.
        n_observed: Length of an observation.
    """

    kind: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    n_observed: int

    def initial(self, seeds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the initial states of gymnasium's `reset(seed)`, (n_seeds, n_values) float64."""
        return np.array([self._initial(int(seed)) for seed in seeds])

    def _initial(self, seed: int) -> NDArray[np.float64]:
        generator, _ = np_random(seed)
        if self.kind == MOUNTAIN_CAR:
            return np.array([generator.uniform(self.low[0], self.high[0]), 0.0])
        return generator.uniform(np.array(self.low), np.array(self.high))


DYNAMICS = {
    "CartPole-v1": Dynamics(CARTPOLE, (-0.05,) * 4, (0.05,) * 4, 4),
    "Pendulum-v1": Dynamics(PENDULUM, (-math.pi, -1.0), (math.pi, 1.0), 3),
    "MountainCar-v0": Dynamics(MOUNTAIN_CAR, (-0.6,), (-0.4,), 2),
}
