"""Help texts: commands in groups, each with its whole first sentence."""

from typing import Any

from typer.core import TyperGroup


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
