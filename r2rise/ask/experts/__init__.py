"""Training of experts to record: PPO with settings that suit the kind of environment."""

from pathlib import Path
from time import perf_counter

from r2rise.ask.experts.recipes import Recipe, recipe_for
from r2rise.ask.record import AnyEnvironment, environment_of
from r2rise.design.seeds import seeded_globals
from r2rise.environments import failures_of
from r2rise.errors import Canceled, InputError, require
from r2rise.evaluation.loop import evaluate
from r2rise.evaluation.reuse import check_first_step
from r2rise.files import to_path
from r2rise.run.progress import OnProgress
from r2rise.run.progress_bar import shown
from r2rise.run.retraining import keep_going
from r2rise.statistics.intervals import MeanInterval, mean_interval
from r2rise.study.parts import Evaluation, StudyPart

__all__ = ["N_EPISODES", "Expert", "Recipe", "recipe_for", "train_expert"]

N_EPISODES = 20
"""Episodes of an expert's evaluation."""


class Expert(StudyPart):
    """The result of training.

    Attributes:
        environment: Its id.
        steps: Steps of the environment until the expert that is kept.
        total_steps: Steps of the environment in all.
        seconds: Of training.
        returns: Of 20 episodes with the most likely actions.
        returns_sampled: Of 20 episodes with sampled actions.
    """

    environment: str
    steps: int
    total_steps: int
    seconds: float
    returns: MeanInterval
    returns_sampled: MeanInterval


def train_expert(
    environment: AnyEnvironment,
    out: str | Path,
    *,
    steps: int | None = None,
    n_envs: int | None = None,
    seed: int = 0,
    progress: bool | OnProgress = False,
) -> Expert:
    """Train an expert by PPO; during training, `out` holds the best expert so far.

    The same seed gives the same expert on the same kind of machine and library versions.

    Args:
        environment: The environment that it acts in, as for `record`.
        out: Model file of Stable-Baselines3 (`.zip`). It is checked 50 times, and when training
            ends or is interrupted, whether the mean return of the last 100 episodes is the best so
            far; then the file is replaced. A file of an earlier training is replaced, too.
        steps: Steps of the environment; by default they depend on the kind of observations.
        n_envs: Parallel environments; likewise.
        seed: Seed of all random numbers.
        progress: Whether to show a progress bar, or a function to call from time to time with the
            number of steps done.

    Raises:
        InputError: When `out` is not a .zip file, steps or environments are too few or too many, or
            the seed is too large.
        EnvironmentMismatch: When the environment fails, or gives values that are not finite.
        MissingExtra: When Stable-Baselines3 is not installed.
    """
    out = to_path(out, "out")
    if out.suffix != ".zip":
        raise InputError(f"out should end in .zip, got {out}.")
    require("stable_baselines3", "Training an expert", "imitation")
    from r2rise.ask.experts.ppo import Keeper, make_ppo, open_envs

    environment = environment_of(environment)
    recipe = recipe_for(environment, steps=steps, n_envs=n_envs)
    if not 0 <= seed < 2**32:
        raise InputError(f"The seed of an expert should be from 0 to {2**32 - 1}, got {seed}.")
    check_first_step(environment)
    start = perf_counter()
    with seeded_globals(seed, threads=1), shown(progress, "Training") as on_progress:
        with failures_of(environment):
            envs = open_envs(environment, recipe)
        model = make_ppo(envs, recipe, seed)
        keeper = Keeper(out, recipe.steps, on_progress)
        try:
            with failures_of(environment):
                model.learn(recipe.steps, callback=keeper)
            keeper.keep()
        except (KeyboardInterrupt, Canceled):
            keeper.keep()
            raise
        finally:
            envs.close()
        seconds = perf_counter() - start
        best = type(model).load(out, device="cpu")
        likely, sampled = (
            mean_interval(
                evaluate(
                    best,
                    environment,
                    Evaluation(n_episodes=N_EPISODES, deterministic=deterministic),
                    seed,
                    progress=keep_going,
                )
            )
            for deterministic in (True, False)
        )
    return Expert(
        environment=environment.spec.id,
        steps=keeper.steps,
        total_steps=model.num_timesteps,
        seconds=seconds,
        returns=likely,
        returns_sampled=sampled,
    )
