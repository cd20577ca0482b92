"""`r2rise plan`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise.limits import OPEN_BUDGET
from r2rise_service.cli.options import (
    Base,
    Demos,
    Frames,
    Goals,
    Learner,
    Maps,
    Workers,
    study_of,
    with_option_groups,
)
from r2rise_service.cli.reading import Reading
from r2rise_service.cli.ready import get_ready

if TYPE_CHECKING:
    from r2rise import Plan


@with_option_groups
def plan(
    *,
    demonstrations: Demos,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Directory for plan.json, plan.yaml and the pilot's ledger."
        ),
    ],
    learner: Learner,
    goals: Goals,
    max_retrainings: Annotated[
        int, typer.Option(metavar="N", help="Maximum number of retrainings.")
    ] = OPEN_BUDGET,
    maps: Maps = False,
    reading: Reading,
    frames: Frames,
    base: Base,
    workers: Workers = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Run a pilot of 64 retrainings, predict what a study takes, and propose one.

    Example: r2rise plan demos.npz --env CartPole-v1 --until reliability=0.9 --out out/
    """
    import r2rise
    from r2rise.formats import read_demonstrations
    from r2rise.run.progress_bar import progress_bar

    get_ready()
    study = study_of(base, learner, frames, goals)
    loaded = read_demonstrations(
        demonstrations, obs_keys=study.environment.obs_keys, **reading.arguments()
    )
    with progress_bar("Pilot") as on_progress:
        result = r2rise.plan(
            loaded,
            study,
            maps=maps,
            max_retrainings=max_retrainings,
            out=out,
            workers=workers,
            progress=on_progress,
        )
    if json:
        typer.echo(result.to_json(), nl=False)
    else:
        _print_plan(result)
    if result.outcome == "refused":
        if not json:
            typer.echo(f"Written to {out}: plan.json, plan.png, pilot.npz.")
        raise typer.Exit(1)
    if not json:
        typer.echo(f"Written to {out}: plan.json, plan.png, plan.yaml, pilot.npz. Continue with")
        typer.echo(f"  r2rise explain {demonstrations} --study {out / 'plan.yaml'} --out {out}")


def _print_plan(plan: "Plan") -> None:
    from r2rise.results.training_check import training_words
    from r2rise.statistics.wording import counted, per_cents, share_of_one
    from r2rise_service.cli.output import number, say, say_curve, say_table

    names = {
        "masks": "which frames are kept",
        "training_seeds": "training seeds",
        "masks_by_seeds": "frames that matter differently with each training seed",
        "episodes": "evaluation episodes",
    }
    shares = plan.variance.shares()
    percents = dict(zip(shares, per_cents(list(shares.values())), strict=True))
    if plan.study.training.curve is not None:
        say_curve(plan.study.training.curve)
        say(training_words(plan.study.training.curve))
    say(
        f"Pilot: {counted(plan.n_retrainings, 'retraining')}, mean return "
        f"{number(plan.mean_return)}. Its variance comes from:",
        *(f"  {percents[name]:3d}% {words}" for name, words in names.items()),
        f"One retraining: {number(plan.seconds_training)} s of training, "
        f"{number(plan.seconds_episode)} s an episode.",
    )
    verdicts = " and a verdict on every segment" if plan.study.until.verdicts else ""
    say_table(
        f"What reliability {plan.goal:g}{verdicts} takes, and what is reached within the limits",
        ["segment length", "segments", "retrainings", "seconds", "reliability within limits"],
        (
            [
                "own" if option.segment_length is None else str(option.segment_length),
                str(option.n_segments),
                "-" if option.retrainings is None else str(option.retrainings),
                number(option.seconds),
                share_of_one(option.reliability) if option.reliability else "-",
            ]
            for option in plan.options
        ),
    )
    say(plan.in_words(), *plan.advice)
