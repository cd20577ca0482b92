"""Lines and tables on standard output."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from r2rise import Segment
from r2rise.statistics.wording import in_digits

WIDTH = 100


def say(*lines: str) -> None:
    """Print lines."""
    console = Console(width=WIDTH, highlight=False)
    for line in lines:
        console.print(line, markup=False)


def say_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(title=Text(title, style="table.title"), title_justify="left")
    for column in columns:
        whole = column == "id"  # to be copied from here
        table.add_column(Text(column), justify="right", no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=WIDTH, highlight=False).print(table)


def number(value: float | None) -> str:
    """Return three digits, or a dash where there is no number."""
    return in_digits(value, 3)


def place(segment: Segment) -> tuple[str, str]:
    """Return the demonstration and the frames of a segment."""
    return str(segment.demonstration), f"{segment.start}-{segment.stop - 1}"
