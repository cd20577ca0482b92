"""Behavioural cloning behind the seam."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import Progress
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.policies import Clone, Clones
from r2rise.algorithms.bc.schedule import Schedule, TrainingData, hold_out
from r2rise.algorithms.bc.settings import BCSettings
from r2rise.demonstrations import Demonstrations, Transitions
from r2rise.environments import Environment

LARGEST_SHARD = 64
SHARD_OPERATIONS = int(3e11)
COMPILED_PARAMETERS = 500_000
"""Networks up to this size are trained by the compiled loop on a CPU; larger ones by torch."""


class BC:
    """Behavioural cloning that trains many masks at once.

    Where settings agree its mathematics are those of `imitation`'s BC: the same network, loss,
    optimizer and batches.
    """

    Settings = BCSettings

    def __init__(self, settings: BCSettings) -> None:
        self.settings = settings

    @staticmethod
    def resolve_settings(settings: BCSettings) -> BCSettings:
        """Fill in the device, so that a study says where it was trained."""
        if settings.device != "auto":
            return settings
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return settings.model_copy(update={"device": device})

    def check_environment(self, environment: Environment) -> None:
        """Check that a network fits the spaces; see `ChecksEnvironment`."""
        self._network(environment)

    def masks_at_once(self, n_frames: int, environment: Environment) -> int:
        """Return the largest power of two up to 64 whose training costs at most 3e11 operations."""
        network, settings = self._network(environment), self.settings
        epochs = settings.n_epochs or 1
        updates = settings.n_updates or epochs * max(1, n_frames // settings.batch_size)
        per_mask = 6 * updates * settings.batch_size * network.n_products
        affordable = max(2, min(LARGEST_SHARD, SHARD_OPERATIONS // per_mask))
        return int(2 ** (affordable.bit_length() - 1))

    def warm_up(self, environment: Environment) -> Clones:
        """Compile or load what training needs, by training on a frame of zeros."""
        network = self._network(environment)
        observation = np.zeros((1, *(environment.observation_space.shape or ())))
        observation = observation.astype(environment.observation_space.dtype)
        action = np.zeros((1, *(environment.action_space.shape or ())))
        targets = np.maximum(network.targets(action.astype(environment.action_space.dtype)), 0)
        data = TrainingData(network.features(observation), targets, np.ones((1, 1), dtype=bool))
        return self._train(network, data, 0, 1, lambda _: None)

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: Progress,
    ) -> Clone:
        """Train one policy; see `Algorithm.train`."""
        network = self._network(environment)
        n_frames = int(transitions.frame.max()) + 1
        kept = np.zeros((1, n_frames), dtype=bool)
        kept[0, transitions.frame] = True
        features = network.features(transitions.obs)
        targets = network.targets(transitions.acts)
        spread = TrainingData(
            features=_spread(features, transitions.frame, n_frames),
            targets=_spread(targets, transitions.frame, n_frames),
            kept=kept,
        )
        return self._train(network, spread, seed, 1, progress)[0]

    def train_many(
        self,
        demonstrations: Demonstrations,
        kept: NDArray[np.bool_],
        environment: Environment,
        seed: int,
        *,
        threads: int,
        progress: Progress,
    ) -> Clones:
        """Train a policy for each mask; see `TrainsMany.train_many`."""
        network = self._network(environment)
        every = demonstrations.transitions(np.ones(demonstrations.n_frames, dtype=bool))
        data = TrainingData(network.features(every.obs), network.targets(every.acts), kept)
        return self._train(network, data, seed, threads, progress)

    def _network(self, environment: Environment) -> Network:
        spaces = environment.observation_space, environment.action_space
        return Network.of(*spaces, self.settings)

    def _train(
        self, network: Network, data: TrainingData, seed: int, threads: int, progress: Progress
    ) -> Clones:
        settings = self.settings
        if settings.validation_share > 0:
            held_out = hold_out(data.kept, seed, settings.validation_share)
            data = TrainingData(data.features, data.targets, data.kept & ~held_out, held_out)
        schedule = Schedule.of(data.kept, seed, settings)
        parameters = np.tile(network.initial(seed), (len(data.kept), 1))
        if uses_compiled_loop(network, settings):
            from r2rise.algorithms.bc.compiled import train

            train(network, data, schedule, parameters, settings, threads=threads, progress=progress)
        else:
            import torch

            from r2rise.algorithms.bc.stacked import Trainer

            trainer = Trainer(network, data, schedule, settings, settings.device)
            try:
                parameters = trainer.train(parameters, progress)
            except torch.OutOfMemoryError as error:
                raise MemoryError(
                    f"{len(parameters)} masks at once do not fit the memory of "
                    f"{settings.device!r}: set a smaller execution.shard_size ({error})"
                ) from None
        return Clones(network, parameters, settings.device)


def uses_compiled_loop(network: Network, settings: BCSettings) -> bool:
    """Say whether the compiled loop trains this network: a fixed rule of the study."""
    return (
        len(network.convolutions) <= 1
        and network.n_parameters <= COMPILED_PARAMETERS
        and settings.device == "cpu"
        and settings.validation_share == 0
    )


def _spread(rows: NDArray[Any], frame: NDArray[np.int64], n_frames: int) -> NDArray[Any]:
    """Put rows where their frames are among all frames."""
    spread = np.zeros((n_frames, *rows.shape[1:]), rows.dtype)
    spread[frame] = rows
    return spread
