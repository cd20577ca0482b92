"""Training of small networks on a CPU: a compiled loop over masks.

One mask's parameters, moments and batch stay in the nearest cache; matrix products are BLAS's. The
same mathematics as `stacked.py`, with the gradient written out.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc.activations import activate, add_biases, jit
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.schedule import Schedule, TrainingData
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bc.threaded_updates import ThreadedUpdates

CATEGORICAL, GAUSSIAN = 0, 1
MASKS_AT_ONCE = 16
CALL_OPERATIONS = int(2e9)
"""Of a call of the compiled loop: less than a second, after which it can be canceled."""
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Adam (Kingma and Ba 2015)


def train(
    network: Network,
    data: TrainingData,
    schedule: Schedule,
    initial: NDArray[Any],
    settings: BCSettings,
    *,
    threads: int,
    progress: ProgressCallback,
) -> NDArray[Any]:
    """Train a network for each mask.

    Args:
        network: An MLP, or one convolution before it.
        data: The frames.
        schedule: The batches of each mask, and when its parameters are asked for.
        initial: (n_masks, n_parameters) initial parameters, float32 or float64.
        settings: Loss and step size.
        threads: Threads over masks; they change no bit.
        progress: Told after every few masks, and at least about once a second.

    Returns:
        (n_stops, n_masks, n_parameters).
    """
    parameters, dtype = initial.copy(), initial.dtype
    found = np.zeros((len(schedule.stops), *parameters.shape), dtype)
    weights = np.array([settings.l2_weight, settings.ent_weight], dtype)
    n_averaged = schedule.n_averaged
    averaged_from, totals = schedule.n_updates - n_averaged, np.zeros(parameters.shape)
    shapes, repeats = layer_table(network)
    sizes = np.array(network.head.sizes, dtype=np.int64)
    kind = CATEGORICAL if network.head.kind == "categorical" else GAUSSIAN
    features = input_rows(network, data.features.astype(dtype, copy=False))

    def update(mask: int, moments: NDArray[Any], start: int, stop: int) -> None:
        for number, end in enumerate(schedule.stops[:, mask].tolist()):
            last = min(stop, end)
            if start < last:
                rates = schedule.rates(mask, np.arange(start, last)).astype(dtype)
                _train_one(
                    features, data.targets, schedule.batches(mask, start, last), parameters[mask],
                    moments[0], moments[1], start, rates, totals[mask], averaged_from[mask],
                    weights, shapes, repeats, sizes, kind, network.activation == "tanh",
                )  # fmt: skip
                start = last
                if start == end:
                    n = n_averaged[mask]
                    found[number, mask] = totals[mask] / n if n else parameters[mask]

    size = min(MASKS_AT_ONCE, len(parameters))
    operations = 6 * size * int(schedule.batch_size.max()) * network.n_products
    moments = np.zeros((2, parameters.shape[1]), dtype)
    calls = ThreadedUpdates(update, moments, MASKS_AT_ONCE, max(1, CALL_OPERATIONS // operations))
    calls.run(schedule.n_updates, threads, progress)
    return found


def input_rows(network: Network, features: NDArray[Any]) -> NDArray[Any]:
    """Return what the first layer works on, a row for each frame: for images their patches."""
    if not network.convolutions:
        return features
    first = network.convolutions[0]
    windows = np.lib.stride_tricks.sliding_window_view(
        features, (first.kernel, first.kernel), axis=(2, 3)
    )[:, :, :: first.stride, :: first.stride]
    return np.moveaxis(windows, 1, 3).reshape(len(features), -1)


def layer_table(network: Network) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return inputs and outputs of each layer, (n_layers, 2), and the rows of each for an input."""
    repeats = [convolution.n_positions for convolution in network.convolutions]
    repeats += [1] * (len(network.sizes) - 1)
    return np.array(network.shapes, dtype=np.int64), np.array(repeats, dtype=np.int64)


@jit
def _head_gradient(
    outputs: Any, targets: Any, batch: Any, sizes: Any, kind: int, log_std: Any,
    log_std_gradient: Any, ent_weight: Any,
) -> None:  # fmt: skip
    """Put d loss / d outputs in the place of the outputs, (n, n_outputs), and set that of log_std.

    loss = mean of -log p(action) - ent_weight * entropy.
    """
    n = outputs.shape[0]
    log_std_gradient[:] = -ent_weight
    for i in range(n):
        first = 0
        for a in range(sizes.shape[0]):
            if kind == CATEGORICAL:
                last = first + sizes[a]
                _categorical_gradient(outputs, i, first, last, targets[batch[i], a], ent_weight)
            else:
                for j in range(sizes[a]):
                    precision = math.exp(-2 * log_std[j])
                    error = outputs[i, j] - targets[batch[i], j]
                    outputs[i, j] = error * precision / n
                    log_std_gradient[j] += (1 - error * error * precision) / n
            first += sizes[a]


@jit
def _categorical_gradient(
    outputs: Any, i: int, first: int, last: int, action: int, ent_weight: Any
) -> None:
    n = outputs.dtype.type(outputs.shape[0])
    largest = outputs[i, first]
    for j in range(first + 1, last):
        largest = max(largest, outputs[i, j])
    total = n - n
    for j in range(first, last):
        total += math.exp(outputs[i, j] - largest)
    log_total = largest + math.log(total)
    entropy = n - n
    for j in range(first, last):
        outputs[i, j] -= log_total
        entropy -= math.exp(outputs[i, j]) * outputs[i, j]
    for j in range(first, last):
        p = math.exp(outputs[i, j])
        outputs[i, j] = (p + ent_weight * p * (outputs[i, j] + entropy)) / n
    outputs[i, first + int(action)] -= 1 / n


@jit
def _adam(
    parameters: Any, gradient: Any, first: Any, second: Any, update: int, rate: Any, l2_weight: Any
) -> None:
    """Do Adam's step number `update`, from 1; the constants have the parameters' dtype."""
    c = np.empty(7, parameters.dtype)
    c[0], c[1], c[2], c[3] = _BETA1, 1 - _BETA1, _BETA2, 1 - _BETA2
    c[4] = rate / (1 - _BETA1**update)
    c[5] = 1 / math.sqrt(1 - _BETA2**update)
    c[6] = _EPSILON
    keep1, take1, keep2, take2, step, scale, epsilon = c[0], c[1], c[2], c[3], c[4], c[5], c[6]
    for k in range(parameters.shape[0]):
        g = gradient[k] + l2_weight * parameters[k]
        first[k] = keep1 * first[k] + take1 * g
        second[k] = keep2 * second[k] + take2 * g * g
        parameters[k] -= step * first[k] / (np.sqrt(second[k]) * scale + epsilon)


@jit
def forward(
    parameters: Any, layers: Any, shapes: Any, repeats: Any, n: int, use_tanh: bool
) -> None:
    """Fill the outputs of all layers; `layers` starts with the inputs.

    A layer works on n * repeats rows: a convolution on every patch of an image, one layer deep.
    """
    at, below = 0, 0
    for number in range(shapes.shape[0]):
        n_in, n_out = shapes[number]
        rows = n * repeats[number]
        above = below + rows * n_in
        inputs = layers[below:above].reshape(rows, n_in)
        outputs = layers[above : above + rows * n_out].reshape(rows, n_out)
        weights = parameters[at : at + n_in * n_out].reshape(n_in, n_out)
        np.dot(inputs, weights, outputs)
        at += n_in * n_out
        if number == shapes.shape[0] - 1:
            add_biases(outputs, parameters[at : at + n_out])
        else:
            activate(outputs, parameters[at : at + n_out], use_tanh)
        at += n_out
        below = above


@jit
def _backward(
    parameters: Any, gradient: Any, layers: Any, deltas: Any, shapes: Any, repeats: Any, n: int,
    use_tanh: bool, end: int,
) -> None:  # fmt: skip
    """Set the gradient of all weights and biases; the head's delta lies in its outputs' place."""
    at, above = end, layers.shape[0] - n * shapes[-1, 1]
    deltas[above:] = layers[above:]
    ones = np.ones(n * repeats.max(), parameters.dtype)
    for number in range(shapes.shape[0] - 1, -1, -1):
        n_in, n_out = shapes[number]
        rows = n * repeats[number]
        below = above - rows * n_in
        inputs = layers[below:above].reshape(rows, n_in)
        delta = deltas[above : above + rows * n_out].reshape(rows, n_out)
        at -= n_out
        np.dot(ones[:rows].reshape(1, rows), delta, gradient[at : at + n_out].reshape(1, n_out))
        at -= n_in * n_out
        np.dot(inputs.T, delta, gradient[at : at + n_in * n_out].reshape(n_in, n_out))
        if number:
            weights = parameters[at : at + n_in * n_out].reshape(n_in, n_out)
            lower = deltas[below:above].reshape(rows, n_in)
            np.dot(delta, weights.T, lower)
            _through_activation(lower, inputs, use_tanh)
        above = below


@jit
def _through_activation(delta: Any, outputs: Any, use_tanh: bool) -> None:
    zero = delta.dtype.type(0)
    for i in range(delta.shape[0]):
        if use_tanh:
            for j in range(delta.shape[1]):
                delta[i, j] -= delta[i, j] * outputs[i, j] * outputs[i, j]
        else:
            for j in range(delta.shape[1]):
                delta[i, j] = delta[i, j] if outputs[i, j] > zero else zero


@jit
def _train_one(
    features: Any, targets: Any, batches: Any, parameters: Any, first: Any, second: Any, start: int,
    rates: Any, total: Any, averaged_from: int, weights: Any, shapes: Any, repeats: Any, sizes: Any,
    kind: int, use_tanh: bool,
) -> None:  # fmt: skip
    """Do the updates of a mask on its next batches, (n_updates, n); `start` came before.

    `parameters` and Adam's moments, `first` and `second`, are changed in place; `total` sums the
    parameters after all updates but the first `averaged_from`.
    """
    n = batches.shape[1]
    n_values, end = n * repeats[0] * shapes[0, 0], 0
    inputs_end = n_values
    for number in range(shapes.shape[0]):
        n_values += n * repeats[number] * shapes[number, 1]
        end += (shapes[number, 0] + 1) * shapes[number, 1]
    layers, deltas = np.empty(n_values, parameters.dtype), np.empty(n_values, parameters.dtype)
    gradient = np.zeros_like(parameters)
    head = layers[n_values - n * shapes[-1, 1] :].reshape(n, shapes[-1, 1])
    inputs = layers[:inputs_end].reshape(n, features.shape[1])
    for update in range(batches.shape[0]):
        batch = batches[update]
        for i in range(n):
            for j in range(inputs.shape[1]):
                inputs[i, j] = features[batch[i], j]
        forward(parameters, layers, shapes, repeats, n, use_tanh)
        _head_gradient(
            head, targets, batch, sizes, kind, parameters[end:], gradient[end:], weights[1]
        )
        _backward(parameters, gradient, layers, deltas, shapes, repeats, n, use_tanh, end)
        done = start + update + 1
        _adam(parameters, gradient, first, second, done, rates[update], weights[0])
        if done > averaged_from:
            for k in range(total.shape[0]):
                total[k] += parameters[k]
