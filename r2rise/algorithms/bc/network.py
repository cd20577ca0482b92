"""The network of a policy: its layers, its parameter vector, its inputs and its targets.

A policy's parameters are one flat vector: for each layer the weights (n_in, n_out) and the biases
(n_out,), and for Box actions the logarithms of the standard deviations at the end. The parameters
of many policies are a matrix (n_policies, n_parameters).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.algorithms.bc.settings import BCSettings
from r2rise.environments import discrete_bounds
from r2rise.errors import EnvironmentMismatch
from r2rise.observations import is_image

Floats = NDArray[np.float32]

NATURE_CNN = ((32, 8, 4), (64, 4, 2), (64, 3, 1))
"""Channels, kernel and stride by Mnih et al. (2015), for images of at least 36 by 36 pixels."""
SMALL_CNN = ((16, 3, 1),)
"""The same for smaller images, as Young and Tian (2019) use for MinAtar."""
_NATURE_PIXELS = 36
_MAX_CHANNELS = 16
_HIDDEN_GAIN, _HEAD_GAIN = math.sqrt(2), 0.01


@dataclass(frozen=True)
class Convolution:
    """A convolution without padding over (channels, height, width)."""

    channels: int
    kernel: int
    stride: int
    n_inputs: int  # input channels times kernel pixels
    n_positions: int  # pixels of the output


@dataclass(frozen=True)
class Head:
    """The meaning of the last layer's outputs.

    Attributes:
        kind: `categorical` (Discrete, MultiDiscrete) or `gaussian` (Box).
        sizes: Number of choices of each discrete action, or the number of Box dimensions.
        starts: First value of each discrete action; empty for Box.
    """

    kind: Literal["categorical", "gaussian"]
    sizes: tuple[int, ...]
    starts: tuple[int, ...] = ()

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the last layer."""
        return sum(self.sizes)

    @classmethod
    def of(cls, space: spaces.Space[Any]) -> "Head":
        """Return the head for an action space.

        Raises:
            EnvironmentMismatch: If behavioural cloning cannot handle the space.
        """
        is_vector = isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1
        if isinstance(space, spaces.Discrete) or is_vector:
            return cls("categorical", _choices(space), _starts(space))
        if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
            return cls("gaussian", (math.prod(space.shape),))
        raise EnvironmentMismatch(
            f"Behavioural cloning expects Discrete, MultiDiscrete or Box (float) actions, got "
            f"{space}."
        )


@dataclass(frozen=True)
class Network:
    """Layers and head of a policy.

    Attributes:
        observation_space, action_space: Spaces of the environment.
        convolutions: Convolutions for images; empty for an MLP.
        sizes: Widths of the fully connected layers, from input to head.
        activation: `tanh` or `relu`.
        head: Meaning of the outputs.
    """

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    convolutions: tuple[Convolution, ...]
    sizes: tuple[int, ...]
    activation: Literal["tanh", "relu"]
    head: Head

    @classmethod
    def of(
        cls,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        settings: BCSettings,
        *,
        n_observations: int = 1,
    ) -> "Network":
        """Return the network for an environment.

        Args:
            observation_space: Space of an observation.
            action_space: Space of the actions.
            settings: Kind and width of the network.
            n_observations: Number of observations in an input. Several are concatenated, images
                along the channels.

        Raises:
            EnvironmentMismatch: If the network cannot handle the spaces.
        """
        head = Head.of(action_space)
        image = image_shape(observation_space)
        use_cnn = settings.network == "cnn" or (settings.network == "auto" and image is not None)
        if use_cnn and image is None:
            raise EnvironmentMismatch(
                f"network 'cnn' expects image observations (height, width, channels) or "
                f"(channels, height, width), got {observation_space}."
            )
        convolutions: tuple[Convolution, ...] = ()
        n_inputs = spaces.flatdim(observation_space) * n_observations
        if use_cnn and image is not None:
            channels, *sides = image
            convolutions, n_inputs = _convolutions((channels * n_observations, *sides))
        return cls(
            observation_space,
            action_space,
            convolutions,
            (n_inputs, *settings.hidden_sizes, head.n_outputs),
            "relu" if use_cnn else settings.activation,
            head,
        )

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Numbers of inputs and outputs of every layer, convolutions first."""
        dense = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        return [(c.n_inputs, c.channels) for c in self.convolutions] + dense

    @property
    def n_parameters(self) -> int:
        """Length of a policy's parameter vector."""
        n_deviations = self.head.n_outputs if self.head.kind == "gaussian" else 0
        return sum((a + 1) * b for a, b in self.shapes) + n_deviations

    @property
    def n_products(self) -> int:
        """Number of multiplications of an input with a weight for one observation."""
        positions = [convolution.n_positions for convolution in self.convolutions]
        dense = [1] * (len(self.sizes) - 1)
        return sum(a * b * n for (a, b), n in zip(self.shapes, positions + dense, strict=True))

    def initial(self, seed: int) -> Floats:
        """Return initial parameters, (n_parameters,) float32.

        Orthogonal weights with gain sqrt(2) and 0.01 for the head, zero biases and zero log
        deviations, as in Stable-Baselines3.
        """
        parts: list[NDArray[Any]] = []
        gains = [_HIDDEN_GAIN] * (len(self.shapes) - 1) + [_HEAD_GAIN]
        for weights in _orthogonal(self.shapes, gains, seed):
            parts += [weights.ravel(), np.zeros(weights.shape[1])]
        flat = np.zeros(self.n_parameters, dtype=np.float32)
        joined = np.concatenate(parts)
        flat[: len(joined)] = joined
        return flat

    @cached_property
    def _scales(self) -> bool:
        """Whether an MLP scales its observations; asked at each step of an episode."""
        return is_image(self.observation_space)

    def features(self, observations: NDArray[Any]) -> Floats:
        """Return the inputs of the first layer.

        Args:
            observations: (n, *obs_shape).

        Returns:
            (n, sizes[0]) float32, one-hot for discrete observations. For a CNN, float32 images
            (n, channels, height, width). Images (uint8, 0 to 255) are scaled to the range 0 to 1,
            as Stable-Baselines3 2.2.1 does (`preprocess_obs`).
        """
        n = len(observations)
        if self.convolutions:
            images = observations.astype(np.float32)
            if self.observation_space.dtype == np.uint8:
                images /= 255.0
            channels_last = not _channels_first(self.observation_space.shape or ())
            return np.moveaxis(images, -1, 1) if channels_last else images
        space = self.observation_space
        if isinstance(space, spaces.Box | spaces.MultiBinary):
            flat: Floats = observations.reshape(n, -1).astype(np.float32)
            return flat / np.float32(255) if self._scales else flat
        columns = observations.reshape(n, -1, 1).astype(np.int64)
        one_hot = [
            columns[:, i] == np.arange(start, start + size)
            for i, (start, size) in enumerate(zip(_starts(space), _choices(space), strict=True))
        ]
        return np.concatenate(one_hot, axis=1).astype(np.float32)

    def targets(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Return actions as training targets, (n, n_actions): int64 if discrete, else float32."""
        columns = actions.reshape(len(actions), -1)
        if self.head.kind == "gaussian":
            return columns.astype(np.float32)
        choices: NDArray[Any] = columns.astype(np.int64) - np.array(self.head.starts)
        return choices

    def actions(self, columns: NDArray[Any]) -> NDArray[Any]:
        """Return targets in the form of the action space; the inverse of `targets`.

        Args:
            columns: (..., n_actions).

        Returns:
            (..., *act_shape).
        """
        shape = self.action_space.shape or ()
        if self.head.kind == "categorical":
            columns = columns + np.array(self.head.starts)
        return columns.reshape(*columns.shape[:-1], *shape).astype(self.action_space.dtype)


def _orthogonal(shapes: list[tuple[int, int]], gains: list[float], seed: int) -> list[Floats]:
    """Return orthogonal weights (n_in, n_out) of each layer.

    They are computed with one thread, as the number of threads changes the last bits.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            torch.nn.init.orthogonal_(torch.empty(n_out, n_in), gain, generator=generator).T.numpy()
            for (n_in, n_out), gain in zip(shapes, gains, strict=True)
        ]
    finally:
        torch.set_num_threads(threads)


def _choices(space: Any) -> tuple[int, ...]:
    """Return the number of choices of each part of a Discrete or MultiDiscrete space."""
    sizes = space.n if isinstance(space, spaces.Discrete) else space.nvec
    return tuple(np.ravel(sizes).tolist())


def _starts(space: Any) -> tuple[int, ...]:
    """Return the first value of each part of a Discrete or MultiDiscrete space."""
    first, _ = discrete_bounds(space)
    return tuple(np.ravel(first).tolist())


def image_shape(space: spaces.Space[Any]) -> tuple[int, int, int] | None:
    """Return (channels, height, width) of image observations, or None for other spaces."""
    shape = space.shape or ()
    if not isinstance(space, spaces.Box) or len(shape) != 3 or max(shape) < 8:
        return None
    channels_first = _channels_first(shape)
    channels = shape[0] if channels_first else shape[2]
    if channels > _MAX_CHANNELS:
        return None
    height, width = shape[1:] if channels_first else shape[:2]
    return channels, height, width


def _channels_first(shape: tuple[int, ...]) -> bool:
    return shape[0] < shape[2]


def _convolutions(image: tuple[int, ...]) -> tuple[tuple[Convolution, ...], int]:
    """Return the convolutions for an image, and the size of their flattened output."""
    channels, height, width = image
    large = min(height, width) >= _NATURE_PIXELS
    convolutions = []
    for n_out, kernel, stride in NATURE_CNN if large else SMALL_CNN:
        height, width = ((side - kernel) // stride + 1 for side in (height, width))
        n_inputs = channels * kernel * kernel
        convolutions.append(Convolution(n_out, kernel, stride, n_inputs, height * width))
        channels = n_out
    return tuple(convolutions), channels * height * width
