"""A fake algorithm that counts its training, with a known return at every amount."""

from typing import Literal

import numpy as np
import toys
from pydantic import BaseModel, ConfigDict
from worth import FRAMES

import r2rise
from r2rise.algorithms import TrainingAmount

LEAST = 100
CURVES = {
    "plateau": lambda amount: 100 * (1 - np.exp(-amount / 150)),
    "rises": lambda amount: 10 * np.log2(amount / 10),
    "falls": lambda amount: 100 - 10 * np.log2(amount / 50),
    "two peaks": lambda amount: 60 + 40 * np.cos(np.pi * np.log2(amount / 100)),
    "flat": lambda amount: 100.0,
    "nothing": lambda amount: -5.0,
}
"""Return of all frames over the amount of training."""


class Learns:
    """Return = its curve at the amount, times base and worth of what is kept, and noise.

    Settings:
        n_updates: The amount; None leaves it to the training check.
        curve: Which curve.
        worth: Share of the return that each segment of 10 frames is worth; None is all alike.
        base: Share of the return whatever is kept.
        ceiling: The highest return.
        noise: Standard deviation of noise of each training seed and amount.
        refuses: Raises for training seeds that this divides; 0 never does.
    """

    training_amount = TrainingAmount("n_updates", "updates", True)

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid")
        n_updates: int | None = None
        curve: Literal["plateau", "rises", "falls", "two peaks", "flat", "nothing"] = "plateau"
        worth: tuple[float, ...] | None = None
        base: float = 0.0
        ceiling: float = 1e9
        noise: float = 0.5
        refuses: int = 0

    def __init__(self, settings: Settings):
        self.settings = settings

    def least_amount(self, n_frames: int) -> int:
        return LEAST

    def train(self, transitions, environment, seed, *, progress):
        own, n_frames = self.settings, transitions.n_frames_in_all
        if own.refuses and seed % own.refuses == 0:
            raise ValueError("not with this seed")
        worth = np.full(n_frames // FRAMES, FRAMES / n_frames) if own.worth is None else own.worth
        kept = np.array(worth)[transitions.frame // FRAMES].sum() / FRAMES
        noise = np.random.default_rng([seed, own.n_updates]).normal() * own.noise
        learned = CURVES[own.curve](own.n_updates) * (own.base + kept)
        return toys.Constant(float(min(learned, own.ceiling) + noise))


def study(*, budget: int = 64, **settings) -> r2rise.Study:
    """Return a study whose amount of training is open, unless the settings name it."""
    return r2rise.Study(
        environment="worth:Known",
        algorithm={"name": "learning:Learns", "settings": settings},
        evaluation={"n_episodes": 1, "max_steps": 2},
        budget={"retrainings": budget, "baseline_retrainings": 2},
    )
