"""`r2rise certify`."""

from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import Directory, Repetitions, Workers
from r2rise_service.cli.ready import get_ready
from r2rise_service.kinds import CERTIFY, REPETITIONS

if TYPE_CHECKING:
    from r2rise import Certificate
    from r2rise.results.certificate import KeepLevel
    from r2rise.statistics.intervals import MeanInterval


def certify(
    directory: Directory,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 unless the map passes.")
    ] = False,
    repetitions: Repetitions = REPETITIONS,
    workers: Workers = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the certificate as JSON.")] = False,
) -> None:
    """Is the map right? Retrain on what it calls important, unimportant, and on random segments.

    Example: r2rise certify out/ --check
    """
    import r2rise
    from r2rise.ask.directory import OutputDirectory
    from r2rise_service.cli.progress import progress_bar

    get_ready()
    files = OutputDirectory(directory)
    files.check_own(*files.files_of(r2rise.Certificate))
    demonstrations, importance = files.demonstrations(), files.importance_map()
    with progress_bar(CERTIFY.doing) as on_progress:
        found = r2rise.certify(
            demonstrations,
            importance,
            repetitions=repetitions,
            ledger=files.ledger,
            workers=workers,
            on_progress=on_progress,
        )
    files.write(found)
    if json:
        typer.echo(found.to_json(), nl=False)
    else:
        print_certificate(found)
        typer.echo(f"Written to {directory}: certificate.json, certificate.png, ledger.npz.")
    if check and found.outcome != "pass":
        raise typer.Exit(1)


def print_certificate(found: "Certificate") -> None:
    """Print the returns of every arm, and what they say about the map."""
    from r2rise.statistics.wording import failed_words
    from r2rise_service.cli.output import say, say_table

    say_table(
        f"Return of {found.algorithm} after training on some of the segments",
        ["kept", "top", "random, like top", "random, like bottom", "bottom"],
        (_row(level) for level in found.levels),
    )
    luck = "cannot be told" if found.luck_p is None else f"p = {found.luck_p:.4f}"
    say(
        f"Top above random, mean over these levels: {found.area_top_random}",
        f"Random above bottom: {found.area_random_bottom}",
        f"Top above bottom: {found.area_top_bottom}",
        f"Could luck do that? {luck} (importance shuffled among the segments)",
    )
    if found.leaving_out_bottom and found.keeping_top:
        say(
            f"Leaving out the bottom helps: {found.leaving_out_bottom}",
            f"Keeping only the top suffices: {found.keeping_top}",
        )
    if found.n_failed:
        say(failed_words(found.n_failed, found.n_retrainings, "their repetitions"))
    say(found.in_words())


def _row(level: "KeepLevel") -> list[str]:
    arms = (level.top, level.random_as_top, level.random_as_bottom, level.bottom)
    return [f"{level.n_segments} ({level.keep:.0%})", *(_two_lines(arm) for arm in arms)]


def _two_lines(arm: "MeanInterval") -> str:
    return str(arm).replace(" ", "\n", 1)
