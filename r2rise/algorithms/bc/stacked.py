"""Trains and evaluates many networks at once with batched torch operations.

It is used for images, large networks, GPUs and early stopping. The mathematics is that of
`compiled.py`, with the gradient by autograd. Every mask is a slice of each tensor; masks share
nothing but the frames.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.schedule import Schedule, TrainingData
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bc.states import Adam, EarlyStopping, Means

UPDATES_AHEAD = 128
"""Number of updates whose batches are computed in one go."""


def forward(network: Network, parameters: Tensor, features: Tensor) -> Tensor:
    """Return the outputs of many networks.

    Args:
        network: Layers of the networks.
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
        values = values.movedim(2, -1)  # flattened with channels last, as in the compiled loop
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
    """Convolve images, (n_masks, n, channels, height, width), as a matrix product of patches."""
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
    """Return the weighted mean of -log p(action) - ent_weight * entropy of each mask, (n_masks,).

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

    All masks do their updates side by side. A mask that is finished or has stopped early is left
    out of further updates. A loss of zero would not be enough, because Adam's momentum would still
    change its parameters.

    Args:
        network: Layers of the networks.
        data: The frames, and those held out.
        schedule: The batches of each mask, and the updates after which to take its parameters.
        settings: Loss and early stopping.
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

    def train(self, initial: NDArray[Any], progress: ProgressCallback) -> NDArray[Any]:
        """Return the trained parameters, (n_stops, n_masks, n_parameters).

        All computations have the dtype of the initial parameters, (n_masks, n_parameters). If
        frames are held out, the parameters of the last stop are those of lowest validation loss.
        """
        parameters = torch.tensor(initial, device=self._device)
        self._features = torch.as_tensor(self._data.features, device=self._device).to(
            parameters.dtype
        )
        targets = torch.as_tensor(self._data.targets, device=self._device)
        self._targets = targets.to(parameters.dtype) if targets.is_floating_point() else targets
        snapshots = np.zeros((len(self._schedule.stops), *initial.shape), initial.dtype)
        means = Means.of(parameters, self._schedule)
        state = Adam.of(parameters)
        stopping = EarlyStopping.of(parameters, self._settings.patience)
        n_updates = self._schedule.n_updates
        for update in range(int(n_updates.max())):
            if update % UPDATES_AHEAD == 0:
                upcoming = [self._batches(mask, update) for mask in range(len(n_updates))]
            rows = np.flatnonzero((n_updates > update) & stopping.running)
            if not len(rows):
                break
            offset = update % UPDATES_AHEAD
            rates = self._schedule.rates(rows, update)
            batches = [upcoming[row][offset] for row in rows]
            self._update(parameters, state, rows, batches, rates)
            means.add(parameters, rows, update)
            for number, stops in enumerate(self._schedule.stops):
                if (ended := np.flatnonzero(stops == update + 1)).size:
                    snapshots[number, ended] = means.final(parameters, ended).cpu().numpy()
            self._validate(parameters, stopping, rows, update + 1)
            progress((update + 1) / int(n_updates.max()))
        if self._data.held_out is not None:
            snapshots[-1] = stopping.best.cpu().numpy()
        return snapshots

    def _batches(self, mask: int, start: int) -> NDArray[np.int64]:
        """Return the frames of a mask's next updates, (n_updates, batch_size)."""
        stop = min(start + UPDATES_AHEAD, int(self._schedule.n_updates[mask]))
        if start >= stop:
            return np.zeros((0, 1), np.int64)
        return self._schedule.batches(mask, start, stop)

    def _update(
        self,
        parameters: Tensor,
        state: Adam,
        rows: NDArray[np.int64],
        batches: list[NDArray[np.int64]],
        rates: NDArray[np.float64],
    ) -> None:
        frames, shares = _pad_batches(batches)
        indices = torch.as_tensor(rows, device=self._device)
        selected = parameters[indices].requires_grad_()
        # The gradient of the sum is each mask's own gradient: masks share no parameters.
        loss = self._losses(selected, frames, shares).sum()
        loss = loss + self._settings.l2_weight * selected.square().sum() / 2
        (gradient,) = torch.autograd.grad(loss, selected)
        step_sizes = torch.as_tensor(rates, device=self._device, dtype=selected.dtype).unsqueeze(1)
        parameters[indices] = state.step(indices, selected.detach(), gradient, step_sizes)

    def _losses(
        self, parameters: Tensor, frames: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> Tensor:
        indices = torch.as_tensor(frames, device=self._device)
        weights = torch.as_tensor(shares, device=self._device, dtype=parameters.dtype)
        outputs = forward(self._network, parameters, self._features[indices])
        return losses(
            self._network, parameters, outputs, self._targets[indices], weights,
            self._settings.ent_weight,
        )  # fmt: skip

    def _validate(
        self,
        parameters: Tensor,
        stopping: EarlyStopping,
        rows: NDArray[np.int64],
        n_done: int,
    ) -> None:
        """Check the masks whose epoch or training ends with update number `n_done`, from 1."""
        held_out, schedule = self._data.held_out, self._schedule
        if held_out is None:
            return
        ended = (n_done % schedule.n_batches == 0) | (n_done == schedule.n_updates)
        rows = rows[ended[rows]]
        if len(rows):
            stopping.check(parameters, rows, self._validation_losses(parameters, held_out, rows))

    def _validation_losses(
        self, parameters: Tensor, held_out: NDArray[np.bool_], rows: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Return the validation losses of the masks `rows`; -infinity where nothing is held out."""
        frames, shares = _pad_batches(
            [np.flatnonzero(is_held_out) for is_held_out in held_out[rows]]
        )
        with torch.no_grad():
            values = self._losses(parameters[rows], frames, shares).cpu().numpy()
        return np.where(held_out[rows].any(axis=1), values, -np.inf)


def _pad_batches(batches: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the frames of each mask's batch, (n_masks, longest), and their shares of its mean.

    A shorter batch is padded with its own first frame at a share of 0. The loss of any other frame
    might be infinite, and 0 times infinity is NaN.
    """
    sizes = np.array([len(batch) for batch in batches])
    frames = np.zeros((len(batches), sizes.max()), dtype=np.int64)
    for row, batch in zip(frames, batches, strict=True):
        if len(batch):
            row[: len(batch)], row[len(batch) :] = batch, batch[0]
    shares = (np.arange(sizes.max()) < sizes[:, None]) / np.maximum(sizes, 1)[:, None]
    return frames, shares
