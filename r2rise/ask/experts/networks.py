"""Feature extractors of experts; model files refer to these classes by name: do not rename them.

This module imports Stable-Baselines3, so it is imported only where an expert is trained or read.
"""

from typing import Any

import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from r2rise.ask.experts.recipes import LARGE_PIXELS, channels_first


class Images(BaseFeaturesExtractor):
    """Convolutions and a linear layer, for images of at least 3 x 3 pixels.

    Large images get the Atari network (Mnih et al. 2015), small ones that of MinAtar (Young and
    Tian 2019, arXiv 1903.03176), for which Stable-Baselines3 has none.
    """

    def __init__(self, observation_space: spaces.Box, features_dim: int = 0) -> None:
        self._shape = channels_first(observation_space.shape)
        large = min(self._shape[1:]) >= LARGE_PIXELS
        super().__init__(observation_space, features_dim or (512 if large else 128))
        self._channels_last = observation_space.shape != self._shape
        convolutions = self._large() if large else self._small()
        with torch.no_grad():
            n_features = convolutions(torch.zeros(1, *self._shape)).shape[1]
        self._layers = nn.Sequential(
            convolutions, nn.Linear(n_features, self.features_dim), nn.ReLU()
        )

    def _large(self) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(self._shape[0], 32, kernel_size=8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, kernel_size=3),
            nn.ReLU(),
            nn.Flatten(),
        )

    def _small(self) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(self._shape[0], 16, kernel_size=3), nn.ReLU(), nn.Flatten())

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return features (n, features_dim) of observations (n, *obs_shape), float."""
        images = observations.permute(0, 3, 1, 2) if self._channels_last else observations
        features: torch.Tensor = self._layers(images)
        return features


class Vectors(BaseFeaturesExtractor):
    """Standardizes each number of a vector by its running mean and standard deviation.

    This is part of the network and not a wrapper, so that the expert takes plain observations.
    """

    CLIP = 10.0

    mean: torch.Tensor
    variance: torch.Tensor
    count: torch.Tensor

    def __init__(self, observation_space: spaces.Box) -> None:
        n_numbers = spaces.flatdim(observation_space)
        super().__init__(observation_space, n_numbers)
        self.register_buffer("mean", torch.zeros(n_numbers, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(n_numbers, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """Return features (n, n_numbers) of observations (n, *obs_shape), float."""
        flat = observations.flatten(start_dim=1)
        deviation = torch.sqrt(self.variance + 1e-8).to(flat)
        return ((flat - self.mean.to(flat)) / deviation).clamp(-self.CLIP, self.CLIP)

    def learn(self, observations: NDArray[Any]) -> None:
        """Update mean and variance with observations (n, *obs_shape) (Chan et al. 1979)."""
        new = torch.as_tensor(observations, dtype=torch.float64).flatten(start_dim=1)
        total = self.count + len(new)
        shift = new.mean(dim=0) - self.mean
        squares = self.variance * self.count + new.var(dim=0, unbiased=False) * len(new)
        squares += shift**2 * self.count * len(new) / total
        self.mean += shift * len(new) / total
        self.variance.copy_(squares / total)
        self.count.copy_(total)
