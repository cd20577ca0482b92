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
    out: Annotated[Path, typer.Option(help="File for the better demonstrations, .npz.")],
    without_gain: Annotated[
        bool, typer.Option("--without-gain", help="Write them even if no gain was confirmed.")
    ] = False,
    force: Force = False,
    workers: Workers = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the curation as JSON.")] = False,
) -> None:
    """Leave out the frames that hurt, as many as retraining shows, and confirm the gain.

    Example: r2rise curate out/ --out better.npz
    """
    import r2rise
    from r2rise.ask.directory import OutputDirectory
    from r2rise.errors import InputError
    from r2rise_service.cli.progress import progress_bar

    if out.suffix != ".npz":
        raise InputError(f"--out should end in .npz, got {out}.")
    files = OutputDirectory(directory)
    usual = files.files_of(r2rise.Curation)
    check_files(out, _edits_beside(out), force=force, study=files, usual=usual)
    get_ready()
    demonstrations, importance = files.demonstrations(), files.importance_map()
    with progress_bar(CURATE.doing) as on_progress:
        found = r2rise.curate(
            demonstrations,
            importance,
            ledger=files.ledger,
            workers=workers,
            on_progress=on_progress,
        )
    files.write(found)
    if json:
        typer.echo(found.to_json(), nl=False)
    else:
        print_curation(found)
    written = _write(found, demonstrations, files, out, without_gain)
    typer.echo(f"Written to {directory}: curation.json, curation.png, ledger.npz.", err=json)
    typer.echo(written, err=json)


def _edits_beside(out: Path) -> Path:
    return out.with_suffix(".edits.json")


def _write(
    found: "Curation",
    demonstrations: "Demonstrations",
    files: "OutputDirectory",
    out: Path,
    without_gain: bool,
) -> str:
    """Write the better demonstrations, if they are to be written; say what was done."""
    from r2rise.results.edits import Edits

    if not found.edits:
        return f"{out} is not written: there is nothing to leave out."
    if not (found.is_worth_applying or without_gain):
        return (
            f"{out} is not written: no gain was confirmed. --without-gain writes it all the same."
        )
    list_of_edits = _edits_beside(out)
    found.apply(demonstrations, without_gain=without_gain).save(out)
    Edits.of(found).save(list_of_edits)
    files.written.remember(out, list_of_edits)
    return f"Written: {out}, {list_of_edits}."


def print_curation(found: "Curation") -> None:
    """Print what was tried, what fresh seeds confirmed, and what follows."""
    from r2rise.statistics.wording import failed_words
    from r2rise_service.cli.output import say, say_table

    if found.trials:
        say_table(
            f"Leaving out what hurts most: returns of {found.algorithm}",
            ["segments left out", "return", "gain over all frames"],
            ([str(t.n_dropped), str(t.mean_return), str(t.gain)] for t in found.trials),
        )
    longer = found.longer_training
    if longer is not None and longer.unit:
        say_table(
            f"The best of these with fresh seeds, {len(found.edits)} left out, trained for longer",
            [longer.unit, "all frames", "curated"],
            zip(
                map(str, longer.amounts),
                map(str, longer.all_frames),
                map(str, longer.curated),
                strict=True,
            ),
        )
    if found.confirmation is not None:
        say_table(
            "The best of these with fresh seeds, each trained for as long as is best for it",
            ["left out", "return", "what the curated ones gain over it"],
            _rows(found.confirmation, len(found.edits)),
        )
    if found.n_failed:
        say(failed_words(found.n_failed, found.n_retrainings, "their repetitions"))
    say(found.in_words())


def _rows(confirmed: "Confirmation", n: int) -> list[tuple[str, str, str]]:
    return [
        ("nothing", str(confirmed.all_frames), str(confirmed.gain)),
        (f"{n} random segments", str(confirmed.random_drop), str(confirmed.gain_over_random)),
        (f"the {n} that hurt most", str(confirmed.curated), ""),
    ]
