"""From pairs of observations to policies: the lines of BCO(alpha), Algorithm 1 of the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.base import ProgressCallback
from r2rise.algorithms.bc.network import Floats, Network
from r2rise.algorithms.bc.policies import Clones
from r2rise.algorithms.bc.schedule import TrainingData
from r2rise.algorithms.bc.training import train_networks
from r2rise.algorithms.bco.interaction import Experience, Interaction
from r2rise.algorithms.bco.inverse import InverseModel
from r2rise.algorithms.bco.settings import BCOSettings
from r2rise.environments import Environment
from r2rise.errors import Diverged

_GATHER, _MODEL, _CLONE = range(3)


@dataclass(frozen=True, eq=False)
class Pairs:
    """All frames as an observer sees them.

    Attributes:
        obs: (n_frames, *obs_shape).
        next_obs: (n_frames, *obs_shape).
    """

    obs: NDArray[Any]
    next_obs: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Beginning:
    """What all masks of a block share.

    Attributes:
        seed, environment: All that it depends on.
        experience: Of random actions.
        model: The inverse model that was learned from it.
    """

    seed: int
    environment: Environment
    experience: Experience
    model: InverseModel


def begin(
    interaction: Interaction,
    environment: Environment,
    seed: int,
    settings: BCOSettings,
    progress: ProgressCallback,
) -> Beginning:
    """Act at random, and learn the first inverse model."""
    experience = interaction.gather(
        None, settings.interactions, _seed(seed, _GATHER, 0), part(progress, 0, 0.3)
    )
    model_seed = _seed(seed, _MODEL, 0)
    untrained = InverseModel.of(environment, model_seed, settings.inverse)
    model = untrained.trained(experience, model_seed, part(progress, 0.3, 1))
    return Beginning(seed, environment, experience, model)


class Cloning:
    """Clones policies from labelled pairs.

    Args:
        network: Layers and head of the policies.
        pairs: What the demonstrations show.
        settings: Those of `bco`.
        seed: Training seed of the block.
    """

    def __init__(self, network: Network, pairs: Pairs, settings: BCOSettings, seed: int) -> None:
        self._network, self._pairs, self._settings = network, pairs, settings
        self._seed = seed
        self._features = network.features(pairs.obs)

    def labels(self, model: InverseModel, progress: ProgressCallback) -> NDArray[Any]:
        """Return the action that the model sees in each pair, (n_frames, *act_shape)."""
        return model.label(self._pairs.obs, self._pairs.next_obs, progress)

    def clone(
        self,
        labels: NDArray[Any],
        kept: NDArray[np.bool_],
        *,
        amounts: Sequence[int] | None = None,
        iteration: int = 0,
        initial: Floats | None = None,
        threads: int,
        progress: ProgressCallback,
    ) -> list[Clones]:
        """Return policies for each mask, at each amount; at first those of `bc` for these actions.

        Args:
            labels: (n_frames, *act_shape).
            kept: (n_masks, n_frames) bool.
            amounts: Updates at which policies are asked for; in the end when left out.
            iteration: Number of the alpha-iteration, which has its own batch order; 0 before.
            initial: (n_masks, n_parameters) to go on from.
            threads: Threads to use; they change no bit.
            progress: Called now and then.
        """
        data = TrainingData(self._features, self._network.targets(labels), kept)
        seed = _seed(self._seed, _CLONE, iteration) if iteration else self._seed
        return train_networks(
            self._network, data, seed, self._settings,
            amounts=amounts, initial=initial, threads=threads, progress=progress,
        )  # fmt: skip

    def iterate(
        self,
        beginning: Beginning,
        labels: NDArray[Any],
        kept: NDArray[np.bool_],
        interaction: Interaction,
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> Clones:
        """Return the policy of one mask, (1, n_frames) bool, after all alpha-iterations.

        Its parameters are NaN where it or its model diverged on the way.
        """
        try:
            return self._iterate(
                beginning, labels, kept, interaction, threads=threads, progress=progress
            )
        except Diverged:
            nowhere = np.full((1, self._network.n_parameters), np.nan, np.float32)
            return Clones(self._network, nowhere, self._settings.device)

    def _iterate(
        self,
        beginning: Beginning,
        labels: NDArray[Any],
        kept: NDArray[np.bool_],
        interaction: Interaction,
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> Clones:
        model, experience = beginning.model, beginning.experience
        n, n_steps = self._settings.alpha_iterations, self._settings.alpha_interactions
        first = part(progress, 0, 1 / (n + 1))
        [policy] = self.clone(labels, kept, threads=threads, progress=first)
        for number in range(1, n + 1):
            own = part(progress, number / (n + 1), (number + 1) / (n + 1))
            seed = _seed(self._seed, _GATHER, number)
            experience += interaction.gather(policy, n_steps, seed, part(own, 0, 0.3))
            seed = _seed(self._seed, _MODEL, number)
            model = model.trained(experience, seed, part(own, 0.3, 0.6))
            labels = self.labels(model, part(own, 0.6, 0.7))
            [policy] = self.clone(
                labels, kept, iteration=number, initial=policy.parameters,
                threads=threads, progress=part(own, 0.7, 1),
            )  # fmt: skip
        return policy


def part(progress: ProgressCallback, start: float, stop: float) -> ProgressCallback:
    """Return the progress of a part of the work, from one share of the whole to another."""
    return lambda fraction: progress(start + (stop - start) * min(fraction, 1.0))


def _seed(seed: int, purpose: int, iteration: int) -> int:
    """Return a seed of its own for everything that is drawn."""
    sequence = np.random.SeedSequence(seed, spawn_key=(purpose, iteration))
    return int(sequence.generate_state(1)[0] >> 1)
