"""Training and acting of many networks at once with batched torch operations.

For images, large networks, GPUs and early stopping. The same mathematics as `compiled.py`, with
the gradient by autograd. Every mask is a slice of each tensor; nothing is shared but the frames.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from r2rise.algorithms.base import Progress
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.schedule import Schedule, TrainingData
from r2rise.algorithms.bc.settings import BCSettings

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam (Kingma and Ba 2015)


def forward(network: Network, parameters: Tensor, features: Tensor) -> Tensor:
    """Return the outputs of many networks.

    Args:
        network: Their layers.
        parameters: (n_masks, n_parameters).
        features: (n_masks, n, n_inputs), or images (n_masks, n, channels, height, width).

    Returns:
        (n_masks, n, n_outputs).
    """
    layers = _layers(network, parameters)
    values = features
    for convolution, (weights, biases) in zip(network.convolutions, layers, strict=False):
        values = torch.relu(_convolve(values, weights, biases, convolution))
    if network.convolutions:
        values = values.movedim(2, -1)
    values = values.flatten(start_dim=2)
    dense = layers[len(network.convolutions) :]
    activate = torch.tanh if network.activation == "tanh" else torch.relu
    for weights, biases in dense[:-1]:
        values = activate(torch.baddbmm(biases, values, weights))
    return torch.baddbmm(dense[-1][1], values, dense[-1][0])


def _layers(network: Network, parameters: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return weights (n_masks, n_in, n_out) and biases (n_masks, 1, n_out) of each layer."""
    sizes = [size for n_in, n_out in network.shapes for size in (n_in * n_out, n_out)]
    parts = parameters.split([*sizes, parameters.shape[1] - sum(sizes)], dim=1)
    return [
        (parts[2 * i].reshape(-1, n_in, n_out), parts[2 * i + 1].unsqueeze(1))
        for i, (n_in, n_out) in enumerate(network.shapes)
    ]


def _convolve(images: Tensor, weights: Tensor, biases: Tensor, convolution: Any) -> Tensor:
    """Convolve (n_masks, n, channels, height, width), as one matrix product over patches."""
    n_masks, n = images.shape[:2]
    kernel, stride = convolution.kernel, convolution.stride
    patches = functional.unfold(images.flatten(0, 1), kernel, stride=stride)
    rows = patches.transpose(1, 2).reshape(n_masks, -1, convolution.n_inputs)
    values = torch.baddbmm(biases, rows, weights)
    height, width = ((side - kernel) // stride + 1 for side in images.shape[3:])
    return values.reshape(n_masks, n, height, width, -1).permute(0, 1, 4, 2, 3)


def losses(
    network: Network, parameters: Tensor, outputs: Tensor, targets: Tensor, shares: Tensor,
    ent_weight: float,
) -> Tensor:  # fmt: skip
    """Return for each mask the weighted mean of -log p(action) - ent_weight * entropy, (n_masks,).

    Args:
        network: Layers and head.
        parameters: (n_masks, n_parameters).
        outputs: (n_masks, n, n_outputs).
        targets: (n_masks, n, n_actions).
        shares: (n_masks, n) weights of the frames; each row sums to 1.
        ent_weight: Weight of the entropy.
    """
    if network.head.kind == "categorical":
        total = torch.zeros_like(shares)
        for a, logits in enumerate(outputs.split(list(network.head.sizes), dim=2)):
            log_p = functional.log_softmax(logits, dim=2)
            entropy = -(log_p.exp() * log_p).sum(dim=2)
            chosen = log_p.gather(2, targets[:, :, a : a + 1]).squeeze(2)
            total = total - chosen - ent_weight * entropy
        return (total * shares).sum(dim=1)
    log_std = parameters[:, -network.head.n_outputs :].unsqueeze(1)
    errors = (outputs - targets) * torch.exp(-log_std)
    negative_log_p = 0.5 * errors**2 + log_std + 0.5 * math.log(2 * math.pi)
    entropy = 0.5 + 0.5 * math.log(2 * math.pi) + log_std
    return ((negative_log_p - ent_weight * entropy).sum(dim=2) * shares).sum(dim=1)


class Trainer:
    """Trains a network for each mask.

    A mask that has had its last update of an epoch, or has stopped early, takes no part in an
    update: zero loss would not be enough, since Adam's momentum would still move it.

    Args:
        network: Their layers.
        data: The frames and which of them each mask keeps.
        schedule: The batches.
        settings: Loss, step size and early stopping.
        device: Where to train.
    """

    def __init__(
        self,
        network: Network,
        data: TrainingData,
        schedule: Schedule,
        settings: BCSettings,
        device: str,
    ) -> None:
        self._network, self._settings, self._schedule = network, settings, schedule
        self._data, self._device = data, device

    def train(self, initial: NDArray[Any], progress: Progress) -> NDArray[Any]:
        """Return the trained parameters, (n_masks, n_parameters), of initial ones.

        The work is done in the dtype of the initial parameters.
        """
        parameters = torch.tensor(initial, device=self._device)
        self._features = torch.as_tensor(self._data.features, device=self._device).to(
            parameters.dtype
        )
        targets = torch.as_tensor(self._data.targets, device=self._device)
        self._targets = targets.to(parameters.dtype) if targets.is_floating_point() else targets
        state = _Adam.of(parameters)
        stopping = _EarlyStopping.of(parameters, self._settings.patience)
        n_epochs, kept = len(self._schedule.order), self._data.kept
        for epoch, order in enumerate(self._schedule.order):
            visits = [order[kept[i][order]] for i in range(len(kept))]
            left = self._schedule.left_in_epoch(epoch) * stopping.running
            for number in range(int(left.max())):
                rows = np.flatnonzero(left > number)
                self._update(parameters, state, rows, visits, number)
                progress((epoch + (number + 1) / int(left.max())) / n_epochs)
            if self._data.held_out is not None:
                found = self._validation_losses(parameters)
                stopping.check(parameters, found, self._data.held_out)
                if not stopping.running.any():
                    break
        best = stopping.best if self._data.held_out is not None else parameters
        return best.cpu().numpy()

    def _update(
        self,
        parameters: Tensor,
        state: "_Adam",
        rows: NDArray[np.int64],
        visits: list[NDArray[np.int64]],
        number: int,
    ) -> None:
        sizes = self._schedule.batch_size
        frames, shares = _filled_up(
            [visits[row][number * sizes[row] : (number + 1) * sizes[row]] for row in rows]
        )
        chosen = torch.as_tensor(rows, device=self._device)
        own = parameters[chosen].requires_grad_()
        loss = self._losses(own, frames, shares).sum()
        loss = loss + self._settings.l2_weight * own.square().sum() / 2
        (gradient,) = torch.autograd.grad(loss, own)
        parameters[chosen] = state.step(chosen, own.detach(), gradient, self._settings)

    def _losses(
        self, parameters: Tensor, frames: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> Tensor:
        at = torch.as_tensor(frames, device=self._device)
        weights = torch.as_tensor(shares, device=self._device, dtype=parameters.dtype)
        outputs = forward(self._network, parameters, self._features[at])
        return losses(
            self._network, parameters, outputs, self._targets[at], weights,
            self._settings.ent_weight,
        )  # fmt: skip

    def _validation_losses(self, parameters: Tensor) -> NDArray[Any]:
        held_out = self._data.held_out
        assert held_out is not None  # noqa: S101  (called with held-out frames only)
        frames, shares = _filled_up([np.flatnonzero(own) for own in held_out])
        with torch.no_grad():
            return self._losses(parameters, frames, shares).cpu().numpy()


def _filled_up(batches: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the frames of each mask's batch, (n_masks, longest), and their shares of its mean.

    Shorter batches are filled up with frames of their own: a share of 0 would not hide a masked
    frame whose loss is infinite.
    """
    sizes = np.array([len(batch) for batch in batches])
    frames = np.zeros((len(batches), sizes.max()), dtype=np.int64)
    for row, batch in zip(frames, batches, strict=True):
        if len(batch):
            row[: len(batch)], row[len(batch) :] = batch, batch[0]
    shares = (np.arange(sizes.max()) < sizes[:, None]) / np.maximum(sizes, 1)[:, None]
    return frames, shares


@dataclass
class _Adam:
    """Adam with a count of updates for each mask.

    Attributes:
        first, second: (n_masks, n_parameters) moments.
        updates: (n_masks, 1) updates so far.
    """

    first: Tensor
    second: Tensor
    updates: Tensor

    @classmethod
    def of(cls, parameters: Tensor) -> "_Adam":
        """Return the state before the first update."""
        zeros = torch.zeros_like(parameters)
        return cls(zeros, zeros.clone(), zeros[:, :1].clone())

    def step(
        self, rows: Tensor, parameters: Tensor, gradient: Tensor, settings: BCSettings
    ) -> Tensor:
        """Return the updated parameters of some masks."""
        updates = self.updates[rows] + 1
        first = self.first[rows].lerp(gradient, 1 - _BETA1)
        second = self.second[rows].mul(_BETA2).addcmul(gradient, gradient, value=1 - _BETA2)
        self.first[rows], self.second[rows], self.updates[rows] = first, second, updates
        scale = 1 / torch.sqrt(1 - _BETA2**updates)
        step = settings.learning_rate / (1 - _BETA1**updates)
        return parameters - step * first / (second.sqrt() * scale + _EPSILON)


@dataclass
class _EarlyStopping:
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
    def of(cls, parameters: Tensor, patience: int) -> "_EarlyStopping":
        """Return the state before the first epoch."""
        n = len(parameters)
        nowhere = torch.full_like(parameters, torch.nan)
        return cls(nowhere, np.full(n, np.inf), np.zeros(n, np.int64), patience)

    @property
    def running(self) -> NDArray[np.bool_]:
        """Masks that go on, (n_masks,) bool."""
        return self.waited < self.patience

    def check(self, parameters: Tensor, found: NDArray[Any], held_out: NDArray[np.bool_]) -> None:
        """Take in the validation losses after an epoch; masks without any frame train on."""
        better = ((found < self.lowest) | ~held_out.any(axis=1)) & self.running
        self.best[better] = parameters[better]
        self.lowest = np.where(better, found, self.lowest)
        self.waited = np.where(better, 0, self.waited + 1)
