"""The commands of `r2rise`. Each imports what it needs when it runs."""

from typing import Annotated

import typer

from r2rise_service.cli import server
from r2rise_service.cli.exits import ReportingGroup
from r2rise_service.cli.help import Commands
from r2rise_service.cli.local import (
    check_training,
    compare,
    convert,
    module_of,
    plan,
    record,
    show,
)
from r2rise_service.cli.remote.datasets import datasets
from r2rise_service.cli.remote.jobs import jobs
from r2rise_service.kinds import KINDS

ASK, DATA, SERVER = "Analysis", "Data", "Server"
"""Titles of the groups of commands in the help text."""

app = Commands(
    name="r2rise",
    cls=ReportingGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        import r2rise

        typer.echo(f"r2rise {r2rise.__version__}")
        raise typer.Exit


@app.callback(
    help="Show which frames of your demonstrations make a policy good, which make it worse, and "
    "how certain each answer is."
)
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


app.command("check-training", rich_help_panel=ASK)(check_training.check_training)
app.command("plan", rich_help_panel=ASK)(plan.plan)
for _kind in KINDS:
    app.command(_kind, rich_help_panel=ASK)(getattr(module_of(_kind), _kind))
app.command("compare", rich_help_panel=ASK)(compare.compare)
app.command("show", rich_help_panel=ASK)(show.show)
app.command("report", rich_help_panel=ASK)(show.report)
app.command("algorithms", rich_help_panel=ASK)(show.algorithms)
app.command("environments", rich_help_panel=ASK)(show.environments)
app.command("train-expert", rich_help_panel=DATA)(record.train_expert)
app.command("record", rich_help_panel=DATA)(record.record)
app.command("convert", rich_help_panel=DATA)(convert.convert)
app.command("serve", rich_help_panel=SERVER)(server.serve)
app.command("worker", rich_help_panel=SERVER)(server.worker)
app.add_typer(server.keys, name="keys", rich_help_panel=SERVER)
app.add_typer(server.db, name="db", rich_help_panel=SERVER)
app.add_typer(datasets, name="datasets", rich_help_panel=SERVER)
app.add_typer(jobs, name="jobs", rich_help_panel=SERVER)
