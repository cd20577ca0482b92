"""Behavioural cloning from observation behind the seam."""

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
from r2rise.algorithms.bc.schedule import only, spread_rows
from r2rise.algorithms.bc.training import masks_within, training_operations
from r2rise.algorithms.bco.cloning import Beginning, Cloning, Pairs, begin, part
from r2rise.algorithms.bco.interaction import Experience, Interaction
from r2rise.algorithms.bco.inverse import InverseModel
from r2rise.algorithms.bco.settings import BCOSettings
from r2rise.data.demonstrations import Demonstrations
from r2rise.data.transitions import Transitions
from r2rise.environments import Environment
from r2rise.errors import Diverged

STEP_OPERATIONS = int(1e6)
"""What a step of the environment counts for in the size of a shard."""


class BCO:
    """Behavioural cloning from observation (Torabi, Warnell and Stone 2018, arXiv 1805.01954).

    An inverse dynamics model, learned from the agent's own interaction, labels the demonstrations'
    pairs of observations with actions; a policy is cloned from them. The demonstrations' own
    actions are never used.
    """

    Settings = BCOSettings
    resolve_settings = staticmethod(BC.resolve_settings)
    training_amount: ClassVar[TrainingAmount] = UPDATES
    uses_next_obs = True

    def __init__(self, settings: BCOSettings) -> None:
        self.settings = settings
        self._beginning: Beginning | None = None

    def check_environment(self, environment: Environment) -> None:
        """Check that networks fit the spaces; see `ChecksEnvironment`."""
        self._network(environment)

    def least_amount(self, n_frames: int) -> int:
        """Return the smallest number of updates worth trying; see `CountsTraining`."""
        return self.settings.least_updates(n_frames)

    def masks_at_once(self, n_frames: int, environment: Environment) -> int:
        """Return the largest power of two up to 64 whose training costs at most 3e11 operations.

        What all masks share does not count.
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
        with contextlib.suppress(Diverged):  # each training says so for itself
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
        [clones] = self._train(pairs, only(frame), environment, seed, None, 1, progress)
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
        """Say whether policies at several amounts lie on one path; see `TrainsAlong`."""
        return self.settings.alpha_iterations == 0 and not self.settings.knows_its_end

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
            beginning = self._begin(interaction, environment, seed, part(progress, 0, 0.3))
            cloning = Cloning(network, pairs, settings, seed)
            labels = cloning.labels(beginning.model, part(progress, 0.3, 0.4))
            rest = part(progress, 0.4, 1)
            if not settings.alpha_iterations:
                return cloning.clone(labels, kept, amounts=amounts, threads=threads, progress=rest)
            found = [
                cloning.iterate(
                    beginning, labels, kept[i : i + 1], interaction,
                    threads=threads, progress=part(rest, i / len(kept), (i + 1) / len(kept)),
                )
                for i in range(len(kept))
            ]  # fmt: skip
        parameters = np.concatenate([clones.parameters for clones in found])
        return [Clones(network, parameters, settings.device)]

    def _begin(
        self,
        interaction: Interaction,
        environment: Environment,
        seed: int,
        progress: ProgressCallback,
    ) -> Beginning:
        """Return what all masks of a block share, kept for the block's next shard."""
        known = self._beginning
        if known is None or known.seed != seed or known.environment is not environment:
            known = self._beginning = begin(interaction, environment, seed, self.settings, progress)
        return known


def _all_pairs(demonstrations: Demonstrations) -> Pairs:
    every = demonstrations.transitions(np.ones(demonstrations.n_frames, dtype=bool))
    return Pairs(every.obs, every.next_obs)
