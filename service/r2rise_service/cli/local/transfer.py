"""`r2rise transfer`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import Force, Repetitions, Workers
from r2rise_service.cli.ready import check_files, get_ready
from r2rise_service.kinds import REPETITIONS, TRANSFER

if TYPE_CHECKING:
    from r2rise import Transfer
    from r2rise.ask.directory import OutputDirectory
    from r2rise.results.transfer import Cell


def transfer(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR", help="Two or more directories written by `r2rise explain --out`."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File to write.", show_default="transfer.json in the first DIR"
        ),
    ] = None,
    force: Force = False,
    repetitions: Repetitions = REPETITIONS,
    workers: Workers = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the matrix as JSON.")] = False,
) -> None:
    """Test whether the segments that matter to one algorithm matter to the others.

    Example: r2rise transfer out-bc/ out-gail/
    """
    import r2rise
    from r2rise.ask.directory import OutputDirectory
    from r2rise.run.progress_bar import progress_bar

    first = OutputDirectory(directories[0])
    target = out or first.path / r2rise.Transfer.file_name
    paths, default_paths = ((), (target,)) if out is None else ((target,), ())
    check_files(*paths, force=force, study=first, default_paths=default_paths)
    get_ready()
    directory_by_name = _name_directories([OutputDirectory(path) for path in directories])
    demonstrations = first.demonstrations()
    with progress_bar(TRANSFER.activity) as on_progress:
        result = r2rise.transfer(
            demonstrations,
            {name: directory.importance_map() for name, directory in directory_by_name.items()},
            repetitions=repetitions,
            ledgers={name: directory.ledger for name, directory in directory_by_name.items()},
            workers=workers,
            progress=on_progress,
        )
    result.save(target)
    first.written.remember(target)
    if json:
        typer.echo(result.to_json(), nl=False)
    else:
        print_result(result)
        typer.echo(f"Written: {target}.")


def _name_directories(
    output_directories: Sequence["OutputDirectory"],
) -> dict[str, "OutputDirectory"]:
    """Name directories by their last part, or by their full paths where that is ambiguous.

    Raises:
        InputError: When a directory is given twice.
    """
    from r2rise.errors import InputError

    names = [directory.path.resolve().name for directory in output_directories]
    if len(set(names)) < len(names):
        names = [str(directory.path.resolve()) for directory in output_directories]
    if len(set(names)) < len(names):
        raise InputError("A directory is given twice: give each one once.")
    return dict(zip(names, output_directories, strict=True))


def print_result(result: "Transfer") -> None:
    """Print the matrix: a row for each retrained algorithm, a column for each map."""
    from r2rise_service.cli.output import say_table

    say_table(
        "Top above bottom of each map, as a share of what all frames gain",
        ["retrained", *(f"map of {name}" for name in result.names)],
        ([learner, *_cells(result, learner)] for learner in result.names),
    )


def _cells(result: "Transfer", learner: str) -> list[str]:
    return [_cell_words(result.cell(learner, ranking)) for ranking in result.names]


def _cell_words(cell: "Cell") -> str:
    from r2rise.results.certificate import OUTCOME_WORDS

    words = ["-" if cell.share is None else f"{cell.share:.2f}"]
    if cell.is_undecided and cell.share_interval is not None:
        words.append("({:.2f} to {:.2f})".format(*cell.share_interval))
    return " ".join([*words, OUTCOME_WORDS[cell.certificate.outcome]])
