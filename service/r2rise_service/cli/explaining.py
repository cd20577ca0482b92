"""`r2rise explain`."""

from pathlib import Path
from typing import Annotated

import typer

from r2rise_service.cli import asking
from r2rise_service.cli.common import Workers, get_ready
from r2rise_service.kinds import EXPLAIN


def explain(
    demonstrations: asking.Demos,
    out: Annotated[
        Path, typer.Option(help="Directory for study, ledger and map; run again to go on.")
    ],
    env: asking.Env = None,
    algorithm: asking.Algorithm = None,
    retrainings: Annotated[int | None, typer.Option(help="Masks to retrain on.")] = None,
    until: asking.Goals = None,
    max_time: asking.MaxTime = None,
    segment_length: asking.SegmentLength = None,
    segments: asking.OwnSegments = None,
    frame_stack: asking.FrameStack = None,
    obs_keys: asking.ObsKeys = None,
    estimator: Annotated[
        str | None, typer.Option(help="difference, ridge, rise or rise_normalized.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Set of defaults: 'paper' (arXiv 2301.01088).")
    ] = None,
    study: asking.StudyFile = None,
    seed: asking.Seed = None,
    workers: Workers = 0,
    ledger: Annotated[Path | None, typer.Option(help="Ledger file, if not OUT/ledger.npz.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the map as JSON.")] = False,
) -> None:
    """Compute an importance map from demonstrations.

    Example: r2rise explain demos.npz --env CartPole-v1 --retrainings 384 --workers 2 --out out/
    """
    import r2rise
    from r2rise_service.cli.progress import progress_bar
    from r2rise_service.cli.summary import print_map

    get_ready()
    question = asking.study_of(
        study,
        {
            "environment": asking.environment_fields(env, obs_keys),
            "algorithm": {"name": algorithm},
            "masking": asking.masking_fields(segment_length, segments, frame_stack),
            "budget": {"retrainings": retrainings},
            "until": asking.until_fields(until or (), max_time),
            "estimator": estimator,
            "preset": preset,
            "seed": seed,
        },
    )
    with progress_bar(EXPLAIN.doing, at_most=question.until.may_end_early) as on_progress:
        importance = r2rise.explain(
            demonstrations,
            question,
            out=out,
            ledger=ledger,
            workers=workers,
            on_progress=on_progress,
        )
    if json:
        typer.echo(importance.to_json(), nl=False)
    else:
        print_map(importance)
        typer.echo(f"Written to {out}: map.json, map.csv, map.png, ledger.npz, study.yaml.")
