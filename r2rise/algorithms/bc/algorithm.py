"""Behavioural cloning as an algorithm of R2RISE."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.amounts import UPDATES, check_along
from r2rise.algorithms.base import Policy, ProgressCallback, TrainingAmount
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.policies import Clone, Clones
from r2rise.algorithms.bc.schedule import TrainingData, mask_of, spread_rows
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.algorithms.bc.training import masks_within, train_networks, training_operations
from r2rise.data.demonstrations import Demonstrations
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment


class BC:
    """Behavioural cloning that trains many masks at once.

    With equal settings its mathematics is that of `imitation`'s BC: the same network, loss,
    optimizer and batches.
    """

    Settings = BCSettings
    training_amount: ClassVar[TrainingAmount] = UPDATES

    def __init__(self, settings: BCSettings) -> None:
        self.settings = settings

    @staticmethod
    def resolve_settings(settings: BCSettings) -> BCSettings:
        """Replace the device `auto`, so that a study records the device of its training."""
        if settings.device != "auto":
            return settings
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return settings.model_copy(update={"device": device})

    def check_environment(self, environment: Environment) -> None:
        """Check that a network fits the spaces; see `ChecksEnvironment`."""
        self._network(environment)

    def least_amount(self, n_frames: int) -> int:
        """Return the smallest number of updates worth trying; see `CountsTraining`."""
        return self.settings.least_updates(n_frames)

    def masks_at_once(self, n_frames: int, environment: Environment) -> int:
        """Return the largest power of two up to 64 that trains in 3e11 operations; at least 2."""
        network = self._network(environment)
        return masks_within(training_operations(network, self.settings, n_frames))

    def warm_up(self, environment: Environment) -> Clones:
        """Compile or load what training needs, by a single update on a frame of zeros."""
        network = self._network(environment)
        spaces = environment.observation_space, environment.action_space
        observation, action = (np.array([space.sample()]) for space in spaces)
        features, targets = network.features(observation), network.targets(action)
        data = TrainingData(
            np.zeros_like(features), np.zeros_like(targets), np.ones((1, 1), dtype=bool)
        )
        one_update = self.settings.model_copy(update={"n_updates": 1, "n_epochs": None})
        [clones] = train_networks(network, data, 0, one_update, threads=1, progress=lambda _: None)
        return clones

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: ProgressCallback,
    ) -> Clone:
        """Train one policy; see `Algorithm.train`."""
        network = self._network(environment)
        frame = transitions.frame
        data = TrainingData(
            features=spread_rows(network.features(transitions.obs), frame),
            targets=spread_rows(network.targets(transitions.acts), frame),
            kept=mask_of(frame),
        )
        [clones] = self._train(network, data, seed, None, 1, progress)
        return clones[0]

    def train_many(
        self,
        demonstrations: Demonstrations,
        kept: NDArray[np.bool_],
        environment: Environment,
        seed: int,
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> Clones:
        """Train a policy for each mask; see `TrainsMany.train_many`."""
        network = self._network(environment)
        data = _data(network, demonstrations, kept)
        [clones] = self._train(network, data, seed, None, threads, progress)
        return clones

    def trains_along(self) -> bool:
        """Return whether one training run gives policies at several amounts; see `TrainsAlong`."""
        return not self.settings.depends_on_length

    def train_along(
        self,
        demonstrations: Demonstrations,
        kept: NDArray[np.bool_],
        environment: Environment,
        seed: int,
        amounts: Sequence[int],
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> list[Sequence[Policy]]:
        """Train once for several amounts; see `TrainsAlong.train_along`."""
        check_along(self, amounts)
        network = self._network(environment)
        data = _data(network, demonstrations, kept)
        return [*self._train(network, data, seed, amounts, threads, progress)]

    def _network(self, environment: Environment) -> Network:
        spaces = environment.observation_space, environment.action_space
        return Network.of(*spaces, self.settings)

    def _train(
        self,
        network: Network,
        data: TrainingData,
        seed: int,
        amounts: Sequence[int] | None,
        threads: int,
        progress: ProgressCallback,
    ) -> list[Clones]:
        return train_networks(
            network, data, seed, self.settings,
            amounts=amounts, threads=threads, progress=progress,
        )  # fmt: skip


def _data(
    network: Network, demonstrations: Demonstrations, kept: NDArray[np.bool_]
) -> TrainingData:
    transitions = demonstrations.transitions(np.ones(demonstrations.n_frames, dtype=bool))
    return TrainingData(network.features(transitions.obs), network.targets(transitions.acts), kept)
