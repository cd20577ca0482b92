"""Help texts: commands in groups, each with its whole first sentence; defaults in words."""

import re
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandFunctionType


class HelpfulGroup(TyperGroup):
    """Lists its commands under the titles of their panels, with their summaries uncut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section of commands for each panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            title = command.rich_help_panel or "Commands"
            sections.setdefault(title, []).append((name, _summary(command.help)))
        width = max(len(name) for rows in sections.values() for name, _ in rows)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), summary) for name, summary in rows])


def _summary(help_text: str) -> str:
    """Return the first paragraph of a help text, on one line."""
    return " ".join(help_text.partition("\n\n")[0].split())


class HelpfulCommand(TyperCommand):
    """Shows arguments by their names alone, and limits of numbers in words."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line; braces would mean a choice."""
        return [
            piece.translate({ord("{"): None, ord("}"): None})
            for piece in super().collect_usage_pieces(ctx)
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section of arguments and one of options."""
        for kind in ("argument", "option"):
            params = [param for param in self.get_params(ctx) if param.param_type_name == kind]
            rows = [_row(*row) for param in params if (row := param.get_help_record(ctx))]
            if rows:
                with formatter.section(f"{kind.capitalize()}s"):
                    formatter.write_dl(rows)


def _row(name: str, text: str) -> tuple[str, str]:
    """Return the row of a parameter without Python's types and without formulas."""
    text = re.sub(r"\[default: \((.*?)\)", r"[default: \1", text)
    text = re.sub(r"(\S+)<=x<=(\S+)\]", r"from \1 to \2]", text)
    return name.partition(" <")[0], re.sub(r"x>=(\S+)\]", r"at least \1]", text)


class Commands(typer.Typer):
    """Commands whose help is that of `HelpfulCommand`."""

    def command(
        self, *args: Any, **options: Any
    ) -> Callable[[CommandFunctionType], CommandFunctionType]:
        """Register a command, as `typer.Typer` does."""
        return super().command(*args, **{"cls": HelpfulCommand} | options)
