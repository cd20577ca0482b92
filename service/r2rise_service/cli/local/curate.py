"""`r2rise curate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import Directory, Force, Workers
from r2rise_service.cli.ready import check_files, get_ready
from r2rise_service.kinds import CURATE

if TYPE_CHECKING:
    from r2rise import Curation, Demonstrations
    from r2rise.ask.directory import OutputDirectory
    from r2rise.results.curation import Confirmation


def curate(
    directory: Directory,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File for the curated demonstrations, .npz.")
    ],
    without_gain: Annotated[
        bool, typer.Option("--without-gain", help="Write the files even if no gain was confirmed.")
    ] = False,
    force: Force = False,
    workers: Workers = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the curation as JSON.")] = False,
) -> None:
    """Find out which frames to leave out, and write the curated demonstrations.

    Example: r2rise curate out/ --out better.npz
    """
    import r2rise
    from r2rise.ask.directory import OutputDirectory
    from r2rise.errors import InputError
    from r2rise.run.progress_bar import progress_bar

    if out.suffix != ".npz":
        raise InputError(f"--out should end in .npz, got {out}.")
    files = OutputDirectory(directory)
    default_paths = files.files_of(r2rise.Curation)
    check_files(out, _edits_path(out), force=force, study=files, default_paths=default_paths)
    get_ready()
    demonstrations, importance = files.demonstrations(), files.importance_map()
    with progress_bar(CURATE.activity) as on_progress:
        curation = r2rise.curate(
            demonstrations,
            importance,
            ledger=files.ledger,
            workers=workers,
            progress=on_progress,
        )
    files.write(curation)
    if json:
        typer.echo(curation.to_json(), nl=False)
    else:
        print_result(curation)
    message = _write(curation, demonstrations, files, out, without_gain)
    typer.echo(f"Written to {directory}: curation.json, curation.png, ledger.npz.", err=json)
    typer.echo(message, err=json)


def _edits_path(out: Path) -> Path:
    return out.with_suffix(".edits.json")


def _write(
    curation: "Curation",
    demonstrations: "Demonstrations",
    files: "OutputDirectory",
    out: Path,
    without_gain: bool,
) -> str:
    """Write the curated demonstrations if they are to be written, and return a line about it."""
    from r2rise.results.edits import Edits

    if not curation.edits:
        return f"{out} is not written: there is nothing to leave out."
    if not (curation.is_worth_applying or without_gain):
        return (
            f"{out} is not written: no gain was confirmed. To write it anyway, give --without-gain."
        )
    edits_path = _edits_path(out)
    curation.apply(demonstrations, without_gain=without_gain).save(out)
    Edits.of(curation).save(edits_path)
    files.written.remember(out, edits_path)
    return f"Written: {out}, {edits_path}."


def print_result(curation: "Curation") -> None:
    """Print the trials, their confirmation with fresh seeds, and the conclusion."""
    from r2rise.statistics.wording import failed_words
    from r2rise_service.cli.output import say, say_table

    if curation.trials:
        say_table(
            f"Leaving out what hurts most: returns of {curation.algorithm}",
            ["segments left out", "return", "gain over all frames"],
            (
                [str(trial.n_dropped), str(trial.mean_return), str(trial.gain)]
                for trial in curation.trials
            ),
        )
    longer_training = curation.longer_training
    if longer_training is not None and longer_training.unit:
        say_table(
            f"The best of these with fresh seeds, {len(curation.edits)} left out, "
            "trained for longer",
            [longer_training.unit, "all frames", "curated"],
            zip(
                map(str, longer_training.amounts),
                map(str, longer_training.all_frames),
                map(str, longer_training.curated),
                strict=True,
            ),
        )
    if curation.confirmation is not None:
        say_table(
            "The best of these with fresh seeds, each trained for as long as is best for it",
            ["left out", "return", "what the curated ones gain over it"],
            _rows(curation.confirmation, len(curation.edits)),
        )
    if curation.n_failed:
        say(failed_words(curation.n_failed, curation.n_retrainings, "their repetitions"))
    say(curation.in_words())


def _rows(confirmation: "Confirmation", n: int) -> list[tuple[str, str, str]]:
    return [
        ("nothing", str(confirmation.all_frames), str(confirmation.gain)),
        (f"{n} random segments", str(confirmation.random_drop), str(confirmation.gain_over_random)),
        (f"the {n} that hurt most", str(confirmation.curated), ""),
    ]
