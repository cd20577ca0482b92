"""The inverse dynamics model p(action | observation, next observation)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc.network import Floats, Network
from r2rise.algorithms.bc.policies import Clones
from r2rise.algorithms.bc.schedule import TrainingData
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bc.training import train_networks
from r2rise.algorithms.bco.interaction import Experience
from r2rise.algorithms.divergence import divergence
from r2rise.environments import Environment
from r2rise.errors import Diverged

VECTORS_AT_ONCE, IMAGES_AT_ONCE = 1024, 64
MAX_DEVIATIONS = 3.0
"""Features are clipped at this distance from the mean, in standard deviations."""
_SMALLEST_DEVIATION = 1e-6
"""Features with smaller standard deviations are taken as constant, and not scaled."""


@dataclass(frozen=True, eq=False)
class InverseModel:
    """Predicts the action that led from an observation to the next one.

    The inputs for a vector are the observation and its change to the next one. Both are
    standardised by all experience so far, and clipped where experience is too sparse. Images are
    stacked along the channels.

    Attributes:
        network: Layers and head.
        center: (2, n_inputs) means of vectors and of their changes; (2, 1) zeros if the inputs are
            not standardised.
        scale: (2, n_inputs) standard deviations of both; (2, 1) ones if they are not.
        parameters: (1, n_parameters) float32.
        settings: Settings of its training.
    """

    network: Network
    center: Floats
    scale: Floats
    parameters: Floats
    settings: BCSettings

    @classmethod
    def of(cls, environment: Environment, seed: int, settings: BCSettings) -> "InverseModel":
        """Return an untrained model."""
        env_spaces = environment.observation_space, environment.action_space
        network = Network.of(*env_spaces, settings, n_observations=2)
        center, scale = np.zeros((2, 1), np.float32), np.ones((2, 1), np.float32)
        return cls(network, center, scale, network.initial(seed)[None], settings)

    def features(self, obs: NDArray[Any], next_obs: NDArray[Any]) -> Floats:
        """Return the inputs of the first layer, (n, ...) float32, for pairs (n, *obs_shape)."""
        parts = self._input_parts(obs, next_obs)
        if not self.network.convolutions:
            parts = [
                np.clip((part - center) / scale, -MAX_DEVIATIONS, MAX_DEVIATIONS)
                for part, center, scale in zip(parts, self.center, self.scale, strict=True)
            ]
        return np.concatenate(parts, axis=1)

    def _input_parts(self, obs: NDArray[Any], next_obs: NDArray[Any]) -> list[Floats]:
        """Return images and the next images, or vectors and their changes, (n, ...) each."""
        current, following = self.network.features(obs), self.network.features(next_obs)
        return [current, following if self.network.convolutions else following - current]

    def _rescaled(self, experience: Experience) -> "InverseModel":
        """Return the model with center and scale of the experience."""
        space = self.network.observation_space
        if self.network.convolutions or not isinstance(space, spaces.Box):
            return self
        parts = np.stack(self._input_parts(experience.obs, experience.next_obs)).astype(np.float64)
        deviation = parts.std(axis=1)
        scale = np.where(deviation > _SMALLEST_DEVIATION, deviation, 1)
        return replace(
            self,
            center=parts.mean(axis=1).astype(np.float32),
            scale=scale.astype(np.float32),
        )

    def trained(
        self, experience: Experience, seed: int, progress: ProgressCallback
    ) -> "InverseModel":
        """Return the model rescaled to all of the experience, and trained further on it.

        Raises:
            Diverged: If its parameters are not finite or too large.
        """
        model = self._rescaled(experience)
        data = TrainingData(
            model.features(experience.obs, experience.next_obs),
            model.network.targets(experience.acts),
            np.ones((1, len(experience)), dtype=bool),
        )
        [clones] = train_networks(
            model.network, data, seed, model.settings,
            initial=model.parameters, threads=1, progress=progress,
        )  # fmt: skip
        if (error := divergence(clones[0])) is not None:
            raise Diverged(f"inverse model: {error}")
        return replace(model, parameters=clones.parameters)

    def label(
        self, obs: NDArray[Any], next_obs: NDArray[Any], progress: ProgressCallback
    ) -> NDArray[Any]:
        """Return the most likely actions, (n, *act_shape), between observations (n, *obs_shape).

        All matrix products have the same shape, as BLAS may round differently for other shapes.
        To the last bit, a label thus depends on its pair and its index alone.
        """
        clones = Clones(self.network, self.parameters, self.settings.device)
        size = IMAGES_AT_ONCE if self.network.convolutions else VECTORS_AT_ONCE
        labels = []
        for start in range(0, len(obs), size):
            features = self.features(obs[start : start + size], next_obs[start : start + size])
            padded = np.zeros((size, *features.shape[1:]), np.float32)
            padded[: len(features)] = features
            labels.append(clones.act(padded[None])[0][: len(features)])
            progress((start + len(features)) / len(obs))
        return np.concatenate(labels)
