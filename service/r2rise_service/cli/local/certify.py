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
        bool, typer.Option("--check", help="Exit with status 1 unless the map passes.")
    ] = False,
    repetitions: Repetitions = REPETITIONS,
    workers: Workers = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the certificate as JSON.")] = False,
) -> None:
    """Test a map by retraining on its top, its bottom and random segments.

    Example: r2rise certify out/ --check
    """
    import r2rise
    from r2rise.ask.directory import OutputDirectory
    from r2rise.run.progress_bar import progress_bar

    get_ready()
    files = OutputDirectory(directory)
    files.check_own(*files.files_of(r2rise.Certificate))
    demonstrations, importance = files.demonstrations(), files.importance_map()
    with progress_bar(CERTIFY.activity) as on_progress:
        certificate = r2rise.certify(
            demonstrations,
            importance,
            repetitions=repetitions,
            ledger=files.ledger,
            workers=workers,
            progress=on_progress,
        )
    files.write(certificate)
    if json:
        typer.echo(certificate.to_json(), nl=False)
    else:
        print_result(certificate)
        typer.echo(f"Written to {directory}: certificate.json, certificate.png, ledger.npz.")
    if check and certificate.outcome != "pass":
        raise typer.Exit(1)


def print_result(certificate: "Certificate") -> None:
    """Print the returns of every arm, and the conclusions about the map."""
    from r2rise.statistics.wording import failed_words
    from r2rise_service.cli.output import say, say_table

    say_table(
        f"Return of {certificate.algorithm} after training on some of the segments",
        ["kept", "top", "random, like top", "random, like bottom", "bottom"],
        (_row(level) for level in certificate.levels),
    )
    luck_words = "unknown" if certificate.luck_p is None else f"p = {certificate.luck_p:.4f}"
    say(
        f"Top above random, mean over these levels: {certificate.area_top_random}",
        f"Random above bottom: {certificate.area_random_bottom}",
        f"Top above bottom: {certificate.area_top_bottom}",
        f"Could luck do that? {luck_words} (importance shuffled among the segments)",
    )
    if certificate.leaving_out_bottom and certificate.keeping_top:
        say(
            f"Leaving out the bottom helps: {certificate.leaving_out_bottom}",
            f"Keeping only the top suffices: {certificate.keeping_top}",
        )
    if certificate.n_failed:
        say(failed_words(certificate.n_failed, certificate.n_retrainings, "their repetitions"))
    say(certificate.in_words())


def _row(level: "KeepLevel") -> list[str]:
    arms = (level.top, level.random_as_top, level.random_as_bottom, level.bottom)
    return [f"{level.n_segments} ({level.keep:.0%})", *(_two_lines(arm) for arm in arms)]


def _two_lines(arm: "MeanInterval") -> str:
    return str(arm).replace(" ", "\n", 1)
