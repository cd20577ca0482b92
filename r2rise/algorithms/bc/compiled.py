"""Trains small networks on a CPU with a compiled loop over masks.

The parameters, moments and batch of one mask fit the nearest cache; BLAS computes the matrix
products. The mathematics is that of `stacked.py`, with the gradient written out.

With layers l = 1 ... L, inputs x_0, weights W_l, biases b_l, activation f and outputs z_L:

    z_l = x_{l-1} W_l + b_l,    x_l = f(z_l)
    delta_L = d loss / d z_L,   delta_{l-1} = (delta_l W_l^T) * f'(z_{l-1})
    d loss / d W_l = x_{l-1}^T delta_l,   d loss / d b_l = sum of the rows of delta_l
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
"""Operations of a call of the compiled loop: less than a second. It can be canceled in between."""
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
        network: An MLP, optionally with one convolution before it.
        data: The frames.
        schedule: The batches of each mask, and the updates after which to take its parameters.
        initial: (n_masks, n_parameters) initial parameters, float32 or float64.
        settings: Loss and step size.
        threads: Number of threads over masks. It does not change a single bit of the result.
        progress: Called after every few masks, and at least about once a second.

    Returns:
        (n_stops, n_masks, n_parameters) parameters at each stop of the schedule.
    """
    parameters, dtype = initial.copy(), initial.dtype
    snapshots = np.zeros((len(schedule.stops), *parameters.shape), dtype)
    loss_weights = np.array([settings.l2_weight, settings.ent_weight], dtype)
    n_averaged, averaged_from = schedule.n_averaged, schedule.n_updates - schedule.n_averaged
    sums = np.zeros(parameters.shape)  # float64, as many parameters are summed
    shapes, repeats = layer_table(network)
    head_sizes = np.array(network.head.sizes, dtype=np.int64)
    head_kind = CATEGORICAL if network.head.kind == "categorical" else GAUSSIAN
    features = input_rows(network, data.features.astype(dtype, copy=False))

    def update(mask: int, moments: NDArray[Any], start: int, stop: int) -> None:
        # The range is cut at the mask's stops, to take the parameters there.
        for number, end in enumerate(schedule.stops[:, mask].tolist()):
            until = min(stop, end)
            if start < until:
                rates = schedule.rates(mask, np.arange(start, until)).astype(dtype)
                _train_mask(
                    features, data.targets, schedule.batches(mask, start, until), parameters[mask],
                    moments[0], moments[1], start, rates, sums[mask], averaged_from[mask],
                    loss_weights, shapes, repeats, head_sizes, head_kind,
                    network.activation == "tanh",
                )  # fmt: skip
                start = until
                if start == end:
                    n = n_averaged[mask]
                    snapshots[number, mask] = sums[mask] / n if n else parameters[mask]

    n_masks = min(MASKS_AT_ONCE, len(parameters))
    operations = 6 * n_masks * int(schedule.batch_size.max()) * network.n_products  # of an update
    moments = np.zeros((2, parameters.shape[1]), dtype)
    calls = ThreadedUpdates(update, moments, MASKS_AT_ONCE, max(1, CALL_OPERATIONS // operations))
    calls.run(schedule.n_updates, threads, progress)
    return snapshots


def input_rows(network: Network, features: NDArray[Any]) -> NDArray[Any]:
    """Return the inputs of the first layer, a row for each frame; for images their patches.

    With patches extracted beforehand, a convolution in the first layer is a matrix product.
    """
    if not network.convolutions:
        return features
    first = network.convolutions[0]
    windows = np.lib.stride_tricks.sliding_window_view(
        features, (first.kernel, first.kernel), axis=(2, 3)
    )[:, :, :: first.stride, :: first.stride]
    # Within a patch: channel, row, column, which is the order of torch's `unfold` in `stacked.py`.
    return np.moveaxis(windows, 1, 3).reshape(len(features), -1)


def layer_table(network: Network) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return inputs and outputs of each layer, (n_layers, 2), and its rows (patches) per frame."""
    repeats = [convolution.n_positions for convolution in network.convolutions]
    repeats += [1] * (len(network.sizes) - 1)
    return np.array(network.shapes, dtype=np.int64), np.array(repeats, dtype=np.int64)


@jit
def _head_gradient(
    outputs: Any, targets: Any, batch: Any, head_sizes: Any, head_kind: int, log_std: Any,
    log_std_gradient: Any, ent_weight: Any,
) -> None:  # fmt: skip
    """Replace the outputs, (n, n_outputs), by d loss / d outputs, and set d loss / d log_std.

    loss = mean of -log p(action) - ent_weight * entropy. For a Gaussian with mean m, log deviation
    s and action a, up to constants: -log p = (m - a)^2 e^(-2s) / 2 + s, and entropy = s.
    """
    n = outputs.shape[0]
    log_std_gradient[:] = -ent_weight  # `log_std` is empty for a categorical head
    for i in range(n):
        first = 0
        for a in range(head_sizes.shape[0]):
            if head_kind == CATEGORICAL:
                stop = first + head_sizes[a]
                _categorical_gradient(outputs, i, first, stop, targets[batch[i], a], ent_weight)
            else:
                for j in range(head_sizes[a]):  # a Gaussian head has one group of outputs
                    precision = math.exp(-2 * log_std[j])
                    error = outputs[i, j] - targets[batch[i], j]
                    outputs[i, j] = error * precision / n
                    log_std_gradient[j] += (1 - error * error * precision) / n
            first += head_sizes[a]


@jit
def _categorical_gradient(
    outputs: Any, i: int, first: int, stop: int, action: int, ent_weight: Any
) -> None:
    """Replace the logits outputs[i, first:stop] of one action by d loss / d logits.

    With probabilities p and entropy H, the derivatives by logit j are p_j - [j = action] of
    -log p_action, and -p_j (log p_j + H) of H.
    """
    n = outputs.dtype.type(outputs.shape[0])
    # Without subtracting the largest logit, the exponentials might overflow.
    largest = outputs[i, first]
    for j in range(first + 1, stop):
        largest = max(largest, outputs[i, j])
    total = n - n  # zero of the outputs' dtype, so that float32 is not promoted to float64
    for j in range(first, stop):
        total += math.exp(outputs[i, j] - largest)
    log_total = largest + math.log(total)
    entropy = n - n
    for j in range(first, stop):
        outputs[i, j] -= log_total  # now log p_j
        entropy -= math.exp(outputs[i, j]) * outputs[i, j]
    for j in range(first, stop):
        p = math.exp(outputs[i, j])
        outputs[i, j] = (p + ent_weight * p * (outputs[i, j] + entropy)) / n
    outputs[i, first + int(action)] -= 1 / n


@jit
def _adam(
    parameters: Any, gradient: Any, first: Any, second: Any, update: int, rate: Any, l2_weight: Any
) -> None:
    """Do Adam's step number `update`, from 1, in place (Kingma and Ba 2015, algorithm 1).

    `step` and `scale` hold the corrections of the moments' bias. The L2 penalty is l2_weight / 2
    times the squared norm of the parameters.
    """
    # An array casts the constants to the parameters' dtype. float64 would slow down the loop below.
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
    """Compute the outputs of all layers for n frames.

    `layers` is a flat buffer: the inputs, filled by the caller, then the outputs of each layer. A
    layer reads n * repeats rows. The rows of a convolution's outputs are pixels, with the channels
    side by side; the next layer reads the same memory as one row for each frame.
    """
    offset, inputs_start = 0, 0
    for layer in range(shapes.shape[0]):
        n_in, n_out = shapes[layer]
        rows = n * repeats[layer]
        outputs_start = inputs_start + rows * n_in
        inputs = layers[inputs_start:outputs_start].reshape(rows, n_in)
        outputs = layers[outputs_start : outputs_start + rows * n_out].reshape(rows, n_out)
        weights = parameters[offset : offset + n_in * n_out].reshape(n_in, n_out)
        np.dot(inputs, weights, outputs)  # views: nothing is copied
        offset += n_in * n_out
        if layer == shapes.shape[0] - 1:
            add_biases(outputs, parameters[offset : offset + n_out])
        else:
            activate(outputs, parameters[offset : offset + n_out], use_tanh)
        offset += n_out
        inputs_start = outputs_start


@jit
def _backward(
    parameters: Any, gradient: Any, layers: Any, deltas: Any, shapes: Any, repeats: Any, n: int,
    use_tanh: bool, n_weights: int,
) -> None:  # fmt: skip
    """Set the gradient of all weights and biases, the first `n_weights` parameters.

    `deltas` has the layout of `layers`, where `_head_gradient` has replaced the head's outputs.
    """
    offset, outputs_start = n_weights, layers.shape[0] - n * shapes[-1, 1]
    deltas[outputs_start:] = layers[outputs_start:]
    ones = np.ones(n * repeats.max(), parameters.dtype)
    for layer in range(shapes.shape[0] - 1, -1, -1):
        n_in, n_out = shapes[layer]
        rows = n * repeats[layer]
        inputs_start = outputs_start - rows * n_in
        inputs = layers[inputs_start:outputs_start].reshape(rows, n_in)
        delta = deltas[outputs_start : outputs_start + rows * n_out].reshape(rows, n_out)
        offset -= n_out
        bias_gradient = gradient[offset : offset + n_out].reshape(1, n_out)
        np.dot(ones[:rows].reshape(1, rows), delta, bias_gradient)  # sums the rows by BLAS
        offset -= n_in * n_out
        np.dot(inputs.T, delta, gradient[offset : offset + n_in * n_out].reshape(n_in, n_out))
        if layer:  # the inputs of the network need no gradient
            weights = parameters[offset : offset + n_in * n_out].reshape(n_in, n_out)
            input_delta = deltas[inputs_start:outputs_start].reshape(rows, n_in)
            np.dot(delta, weights.T, input_delta)
            _through_activation(input_delta, inputs, use_tanh)
        outputs_start = inputs_start


@jit
def _through_activation(delta: Any, outputs: Any, use_tanh: bool) -> None:
    """Multiply delta in place by f' in terms of the outputs y: 1 - y^2 or, for ReLU, [y > 0]."""
    zero = delta.dtype.type(0)
    for i in range(delta.shape[0]):
        if use_tanh:
            for j in range(delta.shape[1]):
                delta[i, j] -= delta[i, j] * outputs[i, j] * outputs[i, j]
        else:
            for j in range(delta.shape[1]):
                delta[i, j] = delta[i, j] if outputs[i, j] > zero else zero


@jit
def _train_mask(
    features: Any, targets: Any, batches: Any, parameters: Any, first: Any, second: Any, start: int,
    rates: Any, parameter_sum: Any, averaged_from: int, loss_weights: Any, shapes: Any,
    repeats: Any, head_sizes: Any, head_kind: int, use_tanh: bool,
) -> None:  # fmt: skip
    """Do the updates of a mask on its next batches, (n_updates, n), after `start` updates.

    `parameters` and Adam's moments, `first` and `second`, are changed in place. `parameter_sum`
    sums the parameters after all updates but the first `averaged_from`.
    """
    n = batches.shape[1]
    n_values, n_weights = n * repeats[0] * shapes[0, 0], 0
    inputs_end = n_values
    for layer in range(shapes.shape[0]):
        n_values += n * repeats[layer] * shapes[layer, 1]
        n_weights += (shapes[layer, 0] + 1) * shapes[layer, 1]
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
        log_std, log_std_gradient = parameters[n_weights:], gradient[n_weights:]
        _head_gradient(
            head, targets, batch, head_sizes, head_kind, log_std, log_std_gradient, loss_weights[1]
        )
        _backward(parameters, gradient, layers, deltas, shapes, repeats, n, use_tanh, n_weights)
        n_done = start + update + 1
        _adam(parameters, gradient, first, second, n_done, rates[update], loss_weights[0])
        if n_done > averaged_from:
            for k in range(parameter_sum.shape[0]):
                parameter_sum[k] += parameters[k]
