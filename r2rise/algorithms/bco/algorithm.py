"""Behavioural cloning from observation as an algorithm of R2RISE."""

import contextlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from r2rise.algorithms.amounts import UPDATES, check_along
from r2rise.algorithms.base import Policy, ProgressCallback, TrainingAmount
from r2rise.algorithms.bc.algorithm import BC
from r2rise.algorithms.bc.network import Network
from r2rise.algorithms.bc.policies import Clone, Clones
from r2rise.algorithms.bc.schedule import mask_of, spread_rows
from r2rise.algorithms.bc.training import masks_within, training_operations
from r2rise.algorithms.bco.cloning import Cloning, Pairs, SharedStart, prepare_start, subprogress
from r2rise.algorithms.bco.interaction import Experience, Interaction
from r2rise.algorithms.bco.inverse import InverseModel
from r2rise.algorithms.bco.settings import BCOSettings
from r2rise.data.demonstrations import Demonstrations
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment
from r2rise.errors import Diverged

STEP_OPERATIONS = int(1e6)
"""Operations that a step of the environment is assumed to cost, for the size of a shard."""


class BCO:
    """Behavioural cloning from observation (Torabi, Warnell and Stone 2018, arXiv 1805.01954).

    An inverse dynamics model is learned from the agent's own interaction. It labels the pairs of
    observations in the demonstrations with actions, and a policy is cloned from them. The actions
    of the demonstrations are never used.
    """

    Settings = BCOSettings
    resolve_settings = staticmethod(BC.resolve_settings)
    training_amount: ClassVar[TrainingAmount] = UPDATES
    uses_next_obs = True

    def __init__(self, settings: BCOSettings) -> None:
        self.settings = settings
        self._cached_start: SharedStart | None = None

    def check_environment(self, environment: Environment) -> None:
        """Check that networks fit the spaces; see `ChecksEnvironment`."""
        self._network(environment)

    def least_amount(self, n_frames: int) -> int:
        """Return the smallest number of updates worth trying; see `CountsTraining`."""
        return self.settings.least_updates(n_frames)

    def masks_at_once(self, n_frames: int, environment: Environment) -> int:
        """Return the largest power of two up to 64 that trains in 3e11 operations; at least 2.

        Work that all masks share is not included.
        """
        settings, network = self.settings, self._network(environment)
        inverse = self._network(environment, n_observations=2)
        per_mask = training_operations(network, settings, n_frames)
        for iteration in range(1, settings.alpha_iterations + 1):
            n_steps = settings.interactions + iteration * settings.alpha_interactions
            per_mask += training_operations(network, settings, n_frames)
            per_mask += training_operations(inverse, settings.inverse, n_steps)
            per_mask += settings.alpha_interactions * STEP_OPERATIONS
        return masks_within(per_mask)

    def warm_up(self, environment: Environment) -> Clones:
        """Compile or load what training needs; see `TrainsMany.warm_up`."""
        spaces = environment.observation_space, environment.action_space
        observation, action = (np.array([space.sample()]) for space in spaces)
        experience = Experience(observation, action, observation)
        model = InverseModel.of(environment, 0, self.settings.inverse)
        with contextlib.suppress(Diverged):  # training itself reports it
            trained = model.trained(experience, 0, lambda _: None)
            trained.label(observation, observation, lambda _: None)
        return BC(self.settings).warm_up(environment)

    def train(
        self,
        transitions: Transitions,
        environment: Environment,
        seed: int,
        *,
        progress: ProgressCallback,
    ) -> Clone:
        """Train one policy; see `Algorithm.train`."""
        frame = transitions.frame
        pairs = Pairs(spread_rows(transitions.obs, frame), spread_rows(transitions.next_obs, frame))
        [clones] = self._train(pairs, mask_of(frame), environment, seed, None, 1, progress)
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
        pairs = _all_pairs(demonstrations)
        [clones] = self._train(pairs, kept, environment, seed, None, threads, progress)
        return clones

    def trains_along(self) -> bool:
        """Return whether one training run gives policies at several amounts; see `TrainsAlong`."""
        return self.settings.alpha_iterations == 0 and not self.settings.depends_on_length

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
        pairs = _all_pairs(demonstrations)
        return [*self._train(pairs, kept, environment, seed, amounts, threads, progress)]

    def _network(self, environment: Environment, *, n_observations: int = 1) -> Network:
        settings = self.settings if n_observations == 1 else self.settings.inverse
        spaces = environment.observation_space, environment.action_space
        return Network.of(*spaces, settings, n_observations=n_observations)

    def _train(
        self,
        pairs: Pairs,
        kept: NDArray[np.bool_],
        environment: Environment,
        seed: int,
        amounts: Sequence[int] | None,
        threads: int,
        progress: ProgressCallback,
    ) -> list[Clones]:
        settings, network = self.settings, self._network(environment)
        with Interaction(environment) as interaction:
            start = self._shared_start(
                interaction, environment, seed, subprogress(progress, 0, 0.3)
            )
            cloning = Cloning(network, pairs, settings, seed)
            labels = cloning.labels(start.model, subprogress(progress, 0.3, 0.4))
            progress = subprogress(progress, 0.4, 1)
            if not settings.alpha_iterations:
                return cloning.clone(
                    labels, kept, amounts=amounts, threads=threads, progress=progress
                )
            n = len(kept)
            clones_of_masks = [
                cloning.iterate(
                    start, labels, kept[i : i + 1], interaction,
                    threads=threads, progress=subprogress(progress, i / n, (i + 1) / n),
                )
                for i in range(n)
            ]  # fmt: skip
        parameters = np.concatenate([clones.parameters for clones in clones_of_masks])
        return [Clones(network, parameters, settings.device)]

    def _shared_start(
        self,
        interaction: Interaction,
        environment: Environment,
        seed: int,
        progress: ProgressCallback,
    ) -> SharedStart:
        """Return what all masks of a block share. It is cached for the block's next shard."""
        start = self._cached_start
        if start is None or start.seed != seed or start.environment is not environment:
            start = prepare_start(interaction, environment, seed, self.settings, progress)
            self._cached_start = start
        return start


def _all_pairs(demonstrations: Demonstrations) -> Pairs:
    transitions = demonstrations.transitions(np.ones(demonstrations.n_frames, dtype=bool))
    return Pairs(transitions.obs, transitions.next_obs)
