"""`r2rise record` and `r2rise train-expert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import Force, ObsKeys, environment_fields
from r2rise_service.cli.ready import check_files, get_ready

if TYPE_CHECKING:
    from r2rise import Demonstrations
    from r2rise.ask.experts import Expert
    from r2rise.environments import Environment

EnvironmentId = Annotated[
    str,
    typer.Option(
        "--env", metavar="ID", help="Environment: gymnasium id, module:Env-v0 or module:factory."
    ),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all random numbers.")]


def record(
    env: EnvironmentId,
    policy: Annotated[
        str,
        typer.Option(
            metavar="SOURCE",
            help="Model file of Stable-Baselines3 (.zip), module:policy, or 'random'. A model file "
            "is unpickled, which runs any code in it: use only files that you trust.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File for the demonstrations, .npz.")],
    demonstrations: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of episodes to record.")
    ] = 10,
    max_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Maximum number of frames of each episode.",
            show_default="limit of the environment",
        ),
    ] = None,
    stochastic: Annotated[
        bool, typer.Option("--stochastic", help="Sample actions instead of taking the most likely.")
    ] = False,
    seed: Seed = 0,
    pictures: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS", min=1, help="Store pictures of the frames, at most this high."
        ),
    ] = None,
    worse_share: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Share of demonstrations that are made worse."
        ),
    ] = 0.0,
    worse_epsilon: Annotated[
        float,
        typer.Option(min=0, max=1, metavar="SHARE", help="Probability of random actions in these."),
    ] = 0.5,
    obs_keys: ObsKeys = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Record demonstrations of a policy.

    Example: r2rise record --env CartPole-v1 --policy expert.zip --demonstrations 10 --out demos.npz
    """
    import r2rise
    from r2rise.run.progress_bar import progress_bar

    _check_out(out, ".npz", force=force)
    get_ready()
    environment = _make_environment(env, obs_keys)
    with progress_bar("Recording") as on_progress:
        result = r2rise.record(
            environment,
            policy,
            progress=on_progress,
            n_demonstrations=demonstrations,
            max_steps=max_steps,
            stochastic=stochastic,
            seed=seed,
            pictures=pictures,
            worse_share=worse_share,
            worse_epsilon=worse_epsilon,
        )
    result.save(out)
    _print_summary(result, json=json)
    typer.echo(f"Written: {out}.", err=json)


def train_expert(
    env: EnvironmentId,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Model file for `r2rise record`, .zip.")
    ],
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Total steps of the environment.",
            show_default="1000000; more for images",
        ),
    ] = None,
    envs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of parallel environments.",
            show_default="16; 128 or 8 for images",
        ),
    ] = None,
    seed: Seed = 0,
    obs_keys: ObsKeys = None,
    force: Force = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train an expert by PPO, for recording demonstrations.

    Example: r2rise train-expert --env CartPole-v1 --steps 100000 --out expert.zip
    """
    from r2rise.ask.experts import train_expert as train
    from r2rise.run.progress_bar import progress_bar

    _check_out(out, ".zip", force=force)
    get_ready()
    environment = _make_environment(env, obs_keys)
    with progress_bar("Training") as on_progress:
        expert = train(environment, out, steps=steps, n_envs=envs, seed=seed, progress=on_progress)
    if json:
        typer.echo(expert.model_dump_json(indent=2))
    else:
        _print_expert(expert)
    typer.echo(f"Written: {out}.", err=json)


def _check_out(out: Path, ending: str, *, force: bool) -> None:
    from r2rise.errors import InputError

    if out.suffix != ending:
        raise InputError(f"--out should end in {ending}, got {out}.")
    check_files(out, force=force)


def _make_environment(env: str, obs_keys: str | None) -> "Environment":
    from r2rise.ask.record import environment_of

    fields = environment_fields(env, obs_keys)
    return environment_of({name: value for name, value in fields.items() if value is not None})


def _print_summary(demonstrations: "Demonstrations", *, json: bool) -> None:
    import json as json_module

    import numpy as np

    from r2rise.statistics.intervals import mean_interval
    from r2rise.statistics.wording import counted
    from r2rise_service.cli.output import say

    returns = np.array(demonstrations.meta["returns"])
    epsilon = np.array(demonstrations.meta["epsilon"])
    is_worse = (epsilon > 0) & (epsilon < 1)
    if json:
        summary = {
            "demonstrations": len(demonstrations),
            "frames": demonstrations.n_frames,
            "returns": mean_interval(returns).model_dump(mode="json"),
            "content_hash": demonstrations.content_hash,
            "meta": dict(demonstrations.meta),
        }
        typer.echo(json_module.dumps(summary, indent=2))
        return
    say(
        f"{counted(len(demonstrations), 'demonstration')}, "
        f"{counted(demonstrations.n_frames, 'frame')}",
        f"Mean return: {mean_interval(returns)}",
    )
    if is_worse.any() and not is_worse.all():
        say(
            f"{is_worse.sum()} made worse: {mean_interval(returns[is_worse])}; "
            f"others: {mean_interval(returns[~is_worse])}"
        )


def _print_expert(expert: "Expert") -> None:
    from r2rise_service.cli.output import say

    say(
        f"{expert.total_steps} steps in {expert.seconds:.0f} s; the best was found at step "
        f"{expert.steps}",
        f"Mean return of {expert.returns.n} episodes: {expert.returns}",
        f"With sampled actions: {expert.returns_sampled}",
    )
