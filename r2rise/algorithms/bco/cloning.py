"""Clones policies from pairs of observations: the steps of BCO(alpha), algorithm 1 of the paper."""

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

_GATHER, _MODEL, _CLONE = range(3)  # purposes of random numbers; see `_seed`


@dataclass(frozen=True, eq=False)
class Pairs:
    """The observations of all frames, without the actions.

    Attributes:
        obs: (n_frames, *obs_shape).
        next_obs: (n_frames, *obs_shape).
    """

    obs: NDArray[Any]
    next_obs: NDArray[Any]


@dataclass(frozen=True, eq=False)
class SharedStart:
    """The first inverse model, which all masks of a block share.

    Attributes:
        seed, environment: Together they determine the experience and the model.
        experience: Experience of random actions.
        model: The inverse model that is learned from it.
    """

    seed: int
    environment: Environment
    experience: Experience
    model: InverseModel


def prepare_start(
    interaction: Interaction,
    environment: Environment,
    seed: int,
    settings: BCOSettings,
    progress: ProgressCallback,
) -> SharedStart:
    """Act at random, and learn the first inverse model."""
    experience = interaction.gather(
        None, settings.interactions, _seed(seed, _GATHER, 0), subprogress(progress, 0, 0.3)
    )
    model_seed = _seed(seed, _MODEL, 0)
    untrained = InverseModel.of(environment, model_seed, settings.inverse)
    model = untrained.trained(experience, model_seed, subprogress(progress, 0.3, 1))
    return SharedStart(seed, environment, experience, model)


class Cloning:
    """Clones policies from labelled pairs.

    Args:
        network: Layers and head of the policies.
        pairs: The observations of the demonstrations.
        settings: Settings of `bco`.
        seed: Training seed of the block.
    """

    def __init__(self, network: Network, pairs: Pairs, settings: BCOSettings, seed: int) -> None:
        self._network, self._pairs, self._settings = network, pairs, settings
        self._seed = seed
        self._features = network.features(pairs.obs)

    def labels(self, model: InverseModel, progress: ProgressCallback) -> NDArray[Any]:
        """Return the model's most likely action of each pair, (n_frames, *act_shape)."""
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
        """Return policies for each mask, after each amount.

        Before the alpha-iterations they are those of `bc` for the labels as actions.

        Args:
            labels: (n_frames, *act_shape).
            kept: (n_masks, n_frames) bool.
            amounts: Numbers of updates after which policies are returned. Defaults to the end of
                training.
            iteration: Number of the alpha-iteration, which has its own batch order; 0 before them.
            initial: (n_masks, n_parameters) parameters to continue from.
            threads: Number of threads. It does not change a single bit of the result.
            progress: Called from time to time.
        """
        data = TrainingData(self._features, self._network.targets(labels), kept)
        seed = _seed(self._seed, _CLONE, iteration) if iteration else self._seed
        return train_networks(
            self._network, data, seed, self._settings,
            amounts=amounts, initial=initial, threads=threads, progress=progress,
        )  # fmt: skip

    def iterate(
        self,
        start: SharedStart,
        labels: NDArray[Any],
        kept: NDArray[np.bool_],
        interaction: Interaction,
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> Clones:
        """Return the policy of one mask, (1, n_frames) bool, after all alpha-iterations.

        Its parameters are NaN if it or its inverse model diverged.
        """
        try:
            return self._iterate(
                start, labels, kept, interaction, threads=threads, progress=progress
            )
        except Diverged:
            parameters = np.full((1, self._network.n_parameters), np.nan, np.float32)
            return Clones(self._network, parameters, self._settings.device)

    def _iterate(
        self,
        start: SharedStart,
        labels: NDArray[Any],
        kept: NDArray[np.bool_],
        interaction: Interaction,
        *,
        threads: int,
        progress: ProgressCallback,
    ) -> Clones:
        model, experience = start.model, start.experience
        n, n_steps = self._settings.alpha_iterations, self._settings.alpha_interactions
        initial_progress = subprogress(progress, 0, 1 / (n + 1))
        [policy] = self.clone(labels, kept, threads=threads, progress=initial_progress)
        for number in range(1, n + 1):
            iteration_progress = subprogress(progress, number / (n + 1), (number + 1) / (n + 1))
            seed = _seed(self._seed, _GATHER, number)
            gathering = subprogress(iteration_progress, 0, 0.3)
            experience += interaction.gather(policy, n_steps, seed, gathering)
            seed = _seed(self._seed, _MODEL, number)
            model = model.trained(experience, seed, subprogress(iteration_progress, 0.3, 0.6))
            labels = self.labels(model, subprogress(iteration_progress, 0.6, 0.7))
            [policy] = self.clone(
                labels, kept, iteration=number, initial=policy.parameters,
                threads=threads, progress=subprogress(iteration_progress, 0.7, 1),
            )  # fmt: skip
        return policy


def subprogress(progress: ProgressCallback, start: float, stop: float) -> ProgressCallback:
    """Return a callback for the fractions `start` to `stop` of the whole work."""
    return lambda fraction: progress(start + (stop - start) * min(fraction, 1.0))


def _seed(seed: int, purpose: int, iteration: int) -> int:
    """Return a separate seed for each purpose and iteration."""
    sequence = np.random.SeedSequence(seed, spawn_key=(purpose, iteration))
    return int(sequence.generate_state(1)[0] >> 1)
