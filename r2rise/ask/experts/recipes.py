"""Settings of PPO for each kind of environment."""

from dataclasses import dataclass, replace

from gymnasium import spaces

from r2rise.environments import Environment
from r2rise.limits import check_count

LARGE_PIXELS = 36
"""Shorter side of the smallest image for the Atari network."""

MAX_STEPS = 10_000_000_000
MAX_ENVS = 4096
_MANY_ENVS = "More environments side by side take memory and do not learn faster."

SMALLEST_PIXELS = 3
"""Shorter side of the smallest image that convolutions are used for."""


@dataclass(frozen=True)
class Recipe:
    """Settings of PPO.

    Attributes:
        steps: Total steps of the environment.
        n_envs: Parallel environments.
        n_steps: Steps of each environment between two updates.
        batch_size: Largest number of frames in a gradient step.
        n_epochs: Passes over the collected frames in an update.
        learning_rate: Adam's step size at the start; it falls to 0.
        gamma: Discount factor.
        gae_lambda: Lambda of generalized advantage estimation.
        ent_coef: Weight of the entropy bonus.
        clip_range: Clipping range of the ratio of probabilities.
        device: Device of the network; `auto` is a GPU if there is one. Small networks are faster on
            a CPU.
    """

    steps: int
    n_envs: int
    n_steps: int
    batch_size: int
    n_epochs: int
    learning_rate: float
    gamma: float = 0.99
    gae_lambda: float = 0.95
    ent_coef: float = 0.0
    clip_range: float = 0.2
    device: str = "cpu"

    @property
    def even_batch_size(self) -> int:
        """`batch_size`, or fewer frames, so that the collected frames split into equal batches."""
        frames = self.n_steps * self.n_envs
        while frames > self.batch_size and frames % 2 == 0:
            frames //= 2
        return frames


VECTORS = Recipe(1_000_000, 16, 256, 256, 10, 1e-3, gamma=0.995)
SMALL_IMAGES = Recipe(2_000_000, 128, 64, 1024, 4, 2.5e-3, ent_coef=0.01)
LARGE_IMAGES = Recipe(
    10_000_000, 8, 128, 256, 4, 2.5e-4, ent_coef=0.01, clip_range=0.1, device="auto"
)
"""Atari settings of Schulman et al. 2017 (arXiv 1707.06347)."""


def recipe_for(
    environment: Environment, *, steps: int | None = None, n_envs: int | None = None
) -> Recipe:
    """Return the settings that suit an environment's observations.

    Raises:
        InputError: When there are too few steps or environments, or too many environments.
    """
    if steps is not None:
        check_count("steps", steps, least=1, most=MAX_STEPS, reason="More would take months.")
    if n_envs is not None:
        check_count("envs", n_envs, least=1, most=MAX_ENVS, reason=_MANY_ENVS)
    recipe = VECTORS
    pixels = image_pixels(environment.observation_space)
    if pixels is not None:
        recipe = LARGE_IMAGES if pixels >= LARGE_PIXELS else SMALL_IMAGES
    return replace(recipe, steps=steps or recipe.steps, n_envs=n_envs or recipe.n_envs)


def image_pixels(space: spaces.Space[object]) -> int | None:
    """Return the shorter side of image observations, or None for other observations."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        return None
    shorter = sorted(channels_first(space.shape)[1:])[0]
    return shorter if shorter >= SMALLEST_PIXELS else None


def channels_first(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (channels, height, width); the channels are last unless there are more of them."""
    a, b, c = shape
    return (a, b, c) if a < c else (c, a, b)
