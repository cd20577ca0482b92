"""The inverse dynamics model p(action | observation, the one that followed)."""

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
FARTHEST = 3.0
"""Standard deviations from the mean; a vector beyond is seen as if it lay there."""
_CONSTANT = 1e-6


@dataclass(frozen=True, eq=False)
class InverseModel:
    """Says which action led from an observation to the one that followed.

    A vector is seen as itself and the change to the next, both standardised by all experience so
    far and cut off where it has nothing to say; images are stacked along the channels.

    Attributes:
        network: Layers and head.
        center: (2, n_inputs) means of what vectors show and of its changes; 0 for all else.
        scale: (2, n_inputs) their standard deviations; 1 for all else.
        parameters: (1, n_parameters) float32.
        settings: Of its training.
    """

    network: Network
    center: Floats
    scale: Floats
    parameters: Floats
    settings: BCSettings

    @classmethod
    def of(cls, environment: Environment, seed: int, settings: BCSettings) -> "InverseModel":
        """Return an untrained model."""
        spaces_of = environment.observation_space, environment.action_space
        network = Network.of(*spaces_of, settings, n_observations=2)
        center, scale = np.zeros((2, 1), np.float32), np.ones((2, 1), np.float32)
        return cls(network, center, scale, network.initial(seed)[None], settings)

    def features(self, obs: NDArray[Any], next_obs: NDArray[Any]) -> Floats:
        """Return what the first layer sees of pairs (n, *obs_shape): (n, ...) float32."""
        shown = self._shown(obs, next_obs)
        if not self.network.convolutions:
            shown = [
                np.clip((part - center) / scale, -FARTHEST, FARTHEST)
                for part, center, scale in zip(shown, self.center, self.scale, strict=True)
            ]
        return np.concatenate(shown, axis=1)

    def _shown(self, obs: NDArray[Any], next_obs: NDArray[Any]) -> list[Floats]:
        """Return images and those that followed, or vectors and their changes, (n, ...) each."""
        now, after = self.network.features(obs), self.network.features(next_obs)
        return [now, after if self.network.convolutions else after - now]

    def _rescaled(self, experience: Experience) -> "InverseModel":
        """Return the model with the scale of the experience."""
        observed = self.network.observation_space
        if self.network.convolutions or not isinstance(observed, spaces.Box):
            return self
        shown = np.stack(self._shown(experience.obs, experience.next_obs)).astype(np.float64)
        deviation = shown.std(axis=1)
        scale = np.where(deviation > _CONSTANT, deviation, 1)
        return replace(
            self,
            center=shown.mean(axis=1).astype(np.float32),
            scale=scale.astype(np.float32),
        )

    def trained(
        self, experience: Experience, seed: int, progress: ProgressCallback
    ) -> "InverseModel":
        """Return the model after more training, on all of the experience and to its scale.

        Raises:
            Diverged: When its parameters are not finite numbers.
        """
        model = self._rescaled(experience)
        data = TrainingData(
            model.features(experience.obs, experience.next_obs),
            model.network.targets(experience.acts),
            np.ones((1, len(experience)), dtype=bool),
        )
        [found] = train_networks(
            model.network, data, seed, model.settings,
            initial=model.parameters, threads=1, progress=progress,
        )  # fmt: skip
        if (why := divergence(found[0])) is not None:
            raise Diverged(f"inverse model: {why}")
        return replace(model, parameters=found.parameters)

    def label(
        self, obs: NDArray[Any], next_obs: NDArray[Any], progress: ProgressCallback
    ) -> NDArray[Any]:
        """Return the most likely actions, (n, *act_shape), between observations (n, *obs_shape).

        Every product of matrices has the same shape, so that a label depends on its pair and its
        place alone, to the last bit.
        """
        clones = Clones(self.network, self.parameters, self.settings.device)
        size = IMAGES_AT_ONCE if self.network.convolutions else VECTORS_AT_ONCE
        found = []
        for start in range(0, len(obs), size):
            seen = self.features(obs[start : start + size], next_obs[start : start + size])
            padded = np.zeros((size, *seen.shape[1:]), np.float32)
            padded[: len(seen)] = seen
            found.append(clones.act(padded[None])[0][: len(seen)])
            progress((start + len(seen)) / len(obs))
        return np.concatenate(found)
