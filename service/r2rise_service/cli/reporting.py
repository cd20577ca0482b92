"""`r2rise report`."""

import typer

from r2rise_service.cli.common import Directory, Force, check_files


def report(directory: Directory, force: Force = False) -> None:
    """Write everything that is known of a study as one page, report.html.

    Example: r2rise report out/
    """
    from r2rise.ask.directory import OutputDirectory
    from r2rise.report.report import FILE_NAME, write_report

    check_files(force=force, study=OutputDirectory(directory), usual=[directory / FILE_NAME])
    typer.echo(f"Written: {write_report(directory)}.")
