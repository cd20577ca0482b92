"""Studies for commands, of learners and an environment of known worth."""

import numpy as np
import toys
from gymnasium import spaces

STUDY = """
environment: small_studies:Small
algorithm: {name: "toys:Additive", settings: {seed_noise: 0.5}}
evaluation: {n_episodes: 4, max_steps: 5}
budget: {retrainings: 64, baseline_retrainings: 5}
"""
NO_NEED = STUDY.replace("toys:Additive", "small_studies:OnlyGood")


class Small(toys.OneStep):
    """Random actions earn about -10, everything kept about 0."""

    def __init__(self):
        super().__init__()
        self.action_space = spaces.Box(-40.0, 20.0, (1,), np.float64)


class Double(toys.Additive):
    """Every frame is worth twice as much."""

    def train(self, transitions, environment, seed, *, progress):
        value = super().train(transitions, environment, seed, progress=progress).value
        return toys.Constant(2 * value)


class OnlyGood(toys.Additive):
    """Every frame is worth 0.2."""

    def train(self, transitions, environment, seed, *, progress):
        return toys.Constant(0.2 * len(transitions))


class Fickle(toys.Additive):
    """What the frames are worth depends on the training seed; all frames are best."""

    def train(self, transitions, environment, seed, *, progress):
        worth = np.random.default_rng(seed).normal(size=80)[transitions.frame].sum()
        return toys.Constant(float(worth))


class Same(toys.Additive):
    """Whatever is kept, the policy is the same."""

    def train(self, transitions, environment, seed, *, progress):
        return toys.Constant(1.0)
