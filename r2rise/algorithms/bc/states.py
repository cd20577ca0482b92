"""State of each mask that the batched trainer keeps between updates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2rise.algorithms.bc.schedule import Schedule

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam (Kingma and Ba 2015)


@dataclass
class Adam:
    """Adam with a separate number of updates for each mask.

    Attributes:
        first, second: (n_masks, n_parameters) moments.
        updates: (n_masks, 1) number of updates so far.
    """

    first: Tensor
    second: Tensor
    updates: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> "Adam":
        """Return the state before the first update."""
        zeros = torch.zeros_like(parameters)
        return cls(zeros, zeros.clone(), zeros[:, :1].clone())

    def step(self, rows: Tensor, parameters: Tensor, gradient: Tensor, rates: Tensor) -> Tensor:
        """Return the updated parameters of the masks `rows`; `rates` are step sizes, (n, 1)."""
        updates = self.updates[rows] + 1
        first = self.first[rows].lerp(gradient, 1 - _BETA1)
        second = self.second[rows].mul(_BETA2).addcmul(gradient, gradient, value=1 - _BETA2)
        self.first[rows], self.second[rows], self.updates[rows] = first, second, updates
        scale = 1 / torch.sqrt(1 - _BETA2**updates)
        step = rates / (1 - _BETA1**updates)
        return parameters - step * first / (second.sqrt() * scale + _EPSILON)


@dataclass
class Means:
    """The mean of each mask's parameters over its last updates.

    Attributes:
        totals: (n_masks, n_parameters) float64 sums so far; empty if nothing is averaged.
        start: (n_masks,) number of the first update that is averaged, from 0.
        n: (n_masks,) number of updates that are averaged; 0 for the last parameters themselves.
    """

    totals: Tensor
    start: NDArray[np.int64]
    n: NDArray[np.int64]

    @classmethod
    def of(cls, parameters: Tensor, schedule: Schedule) -> "Means":
        """Return the state before the first update."""
        n = schedule.n_averaged
        totals = torch.zeros_like(parameters if n.any() else parameters[:0], dtype=torch.float64)
        return cls(totals, schedule.n_updates - n, n)

    def add(self, parameters: Tensor, rows: NDArray[np.int64], update: int) -> None:
        """Add the parameters of the masks `rows` after an update, numbered from 0."""
        rows = rows[update >= self.start[rows]]
        if len(rows):
            self.totals[rows] += parameters[rows]

    def final(self, parameters: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Return the parameters of policies whose training has ended: means, or the last ones."""
        if not self.n.any():
            return parameters[rows]
        return self.totals[rows] / torch.as_tensor(self.n[rows, None], device=self.totals.device)


@dataclass
class EarlyStopping:
    """The parameters of lowest validation loss so far, and the masks that are still training.

    Attributes:
        best: (n_masks, n_parameters) parameters of lowest loss; NaN until a loss is finite.
        lowest: (n_masks,) lowest validation losses.
        waited: (n_masks,) epochs since the lowest loss.
        patience: Epochs to wait for a lower loss.
    """

    best: Tensor
    lowest: NDArray[Any]
    waited: NDArray[np.int64]
    patience: int

    @classmethod
    def of(cls, parameters: Tensor, patience: int) -> "EarlyStopping":
        """Return the state before the first epoch."""
        n = len(parameters)
        best = torch.full_like(parameters, torch.nan)
        return cls(best, np.full(n, np.inf), np.zeros(n, np.int64), patience)

    @property
    def running(self) -> NDArray[np.bool_]:
        """(n_masks,) bool, the masks that have not stopped early."""
        return self.waited < self.patience

    def check(self, parameters: Tensor, rows: NDArray[np.int64], losses: NDArray[Any]) -> None:
        """Record the losses of the masks `rows` after an epoch.

        A loss of -infinity, of masks without held-out frames, is always an improvement.
        """
        better = (losses < self.lowest[rows]) | np.isneginf(losses)
        self.best[rows[better]] = parameters[rows[better]]
        self.lowest[rows[better]] = losses[better]
        self.waited[rows] = np.where(better, 0, self.waited[rows] + 1)
