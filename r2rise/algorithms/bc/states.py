"""What the batched trainer keeps of each mask between updates."""

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
    """Adam with a count of updates for each mask.

    Attributes:
        first, second: (n_masks, n_parameters) moments.
        updates: (n_masks, 1) updates so far.
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
        """Return the updated parameters of some masks with their step sizes, (n, 1)."""
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
        totals: (n_masks, n_parameters) float64 sums so far.
        start: (n_masks,) updates before the first that counts.
        n: (n_masks,) updates that count; 0 for the parameters themselves.
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
        """Take in the parameters of some masks after an update, numbered from 0."""
        rows = rows[update >= self.start[rows]]
        if len(rows):
            self.totals[rows] += parameters[rows]

    def at(self, parameters: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Return what is asked of some masks that have ended."""
        if not self.n.any():
            return parameters[rows]
        return self.totals[rows] / torch.as_tensor(self.n[rows, None], device=self.totals.device)


@dataclass
class EarlyStopping:
    """The parameters of lowest validation loss so far, and who is still running.

    Attributes:
        best: (n_masks, n_parameters), NaN where no loss was finite yet.
        lowest: (n_masks,) lowest validation losses.
        waited: (n_masks,) epochs since then.
        patience: Epochs to wait.
    """

    best: Tensor
    lowest: NDArray[Any]
    waited: NDArray[np.int64]
    patience: int

    @classmethod
    def of(cls, parameters: Tensor, patience: int) -> "EarlyStopping":
        """Return the state before the first epoch."""
        n = len(parameters)
        nowhere = torch.full_like(parameters, torch.nan)
        return cls(nowhere, np.full(n, np.inf), np.zeros(n, np.int64), patience)

    @property
    def running(self) -> NDArray[np.bool_]:
        """Masks that go on, (n_masks,) bool."""
        return self.waited < self.patience

    def check(self, parameters: Tensor, rows: NDArray[np.int64], found: NDArray[Any]) -> None:
        """Take in the losses of some masks after an epoch; -infinity is always better."""
        better = (found < self.lowest[rows]) | np.isneginf(found)
        self.best[rows[better]] = parameters[rows[better]]
        self.lowest[rows[better]] = found[better]
        self.waited[rows] = np.where(better, 0, self.waited[rows] + 1)
