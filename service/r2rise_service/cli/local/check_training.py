"""`r2rise check-training`."""

from pathlib import Path
from typing import Annotated

import typer

from r2rise_service.cli.options import (
    Base,
    Demos,
    Frames,
    Learner,
    Maps,
    Workers,
    study_of,
    with_option_groups,
)
from r2rise_service.cli.reading import Reading
from r2rise_service.cli.ready import get_ready


@with_option_groups
def check_training(
    *,
    demonstrations: Demos,
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Directory for training_check.json, its figure and study.yaml."
        ),
    ],
    learner: Learner,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of training seeds.",
            show_default="16; 4 for slow algorithms",
        ),
    ] = None,
    doublings: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of times the smallest amount is doubled.",
            show_default="6; 4 for slow algorithms",
        ),
    ] = None,
    maps: Maps = False,
    reading: Reading,
    frames: Frames,
    base: Base,
    workers: Workers = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the check as JSON.")] = False,
) -> None:
    """Choose how long to train, by training on all frames for increasing amounts.

    Example: r2rise check-training demos.npz --env CartPole-v1 --out out/
    """
    import r2rise
    from r2rise.ask.directory import OutputDirectory
    from r2rise.formats import read_demonstrations
    from r2rise.run.progress_bar import progress_bar
    from r2rise_service.cli.output import say, say_curve

    get_ready()
    training = {"check_seeds": seeds, "check_doublings": doublings}
    study = study_of(base, learner, frames, other_fields={"training": training})
    directory = OutputDirectory(out)
    directory.check()
    directory.check_own(*directory.files_of(r2rise.TrainingCheck))
    loaded = read_demonstrations(
        demonstrations, obs_keys=study.environment.obs_keys, **reading.arguments()
    )
    directory.check_study(study.model_copy(update={"demonstrations": loaded.content_hash}))
    with progress_bar("Training check") as on_progress:
        check = r2rise.check_training(
            loaded,
            study,
            maps=maps,
            ledger=directory.training_ledger,
            workers=workers,
            progress=on_progress,
        )
    directory.write_study(check.study, loaded)
    directory.write(check)
    if json:
        typer.echo(check.to_json(), nl=False)
        return
    say_curve(check.curve)
    say(check.in_words(), *(f"Warning ({n.code}): {n.detail}" for n in check.notices()))
    typer.echo(
        f"Written to {out}: training_check.json, training_check.png, study.yaml. Continue with"
    )
    typer.echo(f"  r2rise explain {demonstrations} --study {out / 'study.yaml'} --out {out}")
