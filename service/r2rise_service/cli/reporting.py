"""`r2rise report`."""

import typer

from r2rise_service.cli.common import Directory


def report(directory: Directory) -> None:
    """Write everything that is known of a study as one page, report.html.

    Example: r2rise report out/
    """
    from r2rise.report import write_report

    typer.echo(f"Written: {write_report(directory)}.")
