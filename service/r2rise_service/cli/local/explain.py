"""`r2rise explain`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import (
    ESTIMATORS,
    Base,
    Demos,
    Frames,
    Goals,
    Learner,
    Retrainings,
    Workers,
    study_of,
    with_option_groups,
)
from r2rise_service.cli.reading import Reading
from r2rise_service.cli.ready import get_ready
from r2rise_service.kinds import EXPLAIN

if TYPE_CHECKING:
    from r2rise import ImportanceMap


@with_option_groups
def explain(
    *,
    demonstrations: Demos,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Directory for study, ledger and map; run again to resume."
        ),
    ],
    learner: Learner,
    retrainings: Retrainings = None,
    goals: Goals,
    frames: Frames,
    reading: Reading,
    estimator: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"One of {ESTIMATORS}.", show_default="auto"),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Set of defaults: 'paper' (arXiv 2301.01088)."),
    ] = None,
    base: Base,
    workers: Workers = 0,
    ledger: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ledger file.", show_default="ledger.npz in --out"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the map as JSON.")] = False,
) -> None:
    """Compute an importance map from demonstrations.

    Example: r2rise explain demos.npz --env CartPole-v1 --retrainings 384 --workers 2 --out out/
    """
    import r2rise
    from r2rise.formats import read_demonstrations
    from r2rise.run.progress_bar import progress_bar

    get_ready()
    other_fields = {
        "budget": {"retrainings": retrainings},
        "estimator": estimator,
        "preset": preset,
    }
    study = study_of(base, learner, frames, goals, other_fields)
    loaded = read_demonstrations(
        demonstrations, obs_keys=study.environment.obs_keys, **reading.arguments()
    )
    with progress_bar(EXPLAIN.activity, at_most=study.until.may_end_early) as on_progress:
        importance = r2rise.explain(
            loaded,
            study,
            out=out,
            ledger=ledger,
            workers=workers,
            progress=on_progress,
        )
    if json:
        typer.echo(importance.to_json(), nl=False)
    else:
        print_result(importance)
        typer.echo(f"Written to {out}: map.json, map.csv, map.png, ledger.npz, study.yaml.")


def print_result(importance_map: "ImportanceMap") -> None:
    """Print a map."""
    from r2rise_service.cli.output import print_map

    print_map(importance_map)
