"""The progress bar, with rate and time left: on terminals and in notebooks.

Elsewhere, such as in a pipe, a line a minute says how far the work is.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from r2rise.errors import InputError
from r2rise.run.progress import OnProgress, Progress

_SECONDS_BETWEEN_LINES = 60
_SECONDS_BETWEEN_PICTURES = 0.2


class _RateColumn(TextColumn):
    """Retrainings per second, not counting resumed ones."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["resumed"]
        rate = done / task.elapsed if task.elapsed else 0.0
        return Text(f"{rate:.1f}/s" if done else "")


class _TimeLeftColumn(TimeRemainingColumn):
    """Time left at the rate so far, at most until the time limit of the work."""

    def render(self, task: Task) -> Text:
        deadline = task.fields["deadline"]
        remaining = task.time_remaining
        if task.finished or deadline is None:
            return super().render(task)
        time_allowed = max(deadline - monotonic(), 0.0)
        seconds = math.ceil(time_allowed if remaining is None else min(remaining, time_allowed))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours:d}:{minutes:02d}:{seconds:02d}", style="progress.remaining")


@contextmanager
def shown(
    progress: bool | OnProgress, label: str = "Retraining", *, at_most: bool = False
) -> Iterator[OnProgress | None]:
    """Yield what is to be called with the progress: the callback of a bar, the user's, or None.

    Args:
        progress: Whether to show a bar, or the user's own function.
        label: Name of the work, for the bar.
        at_most: Whether the work may end before its total.

    Raises:
        InputError: When it is neither.
    """
    if callable(progress):
        yield progress
    elif not isinstance(progress, bool):
        raise InputError(f"progress should be True, False or a function, got {progress!r}.")
    elif progress:
        with progress_bar(label, at_most=at_most) as on_progress:
            yield on_progress
    else:
        yield None


@contextmanager
def progress_bar(label: str = "Retraining", *, at_most: bool = False) -> Iterator[OnProgress]:
    """Show the progress, and yield the callback; a bar is removed at the end.

    In work of several stages, each stage restarts the bar.

    Args:
        label: Name of the work.
        at_most: Whether the work may end before its total.
    """
    console = Console(stderr=True)
    columns = [
        TextColumn(label),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left at most" if at_most else "left"),
        _TimeLeftColumn(),
        TextColumn("{task.fields[failed]}"),
    ]
    if console.is_terminal or console.is_jupyter:
        columns = [SpinnerColumn(), columns[0], BarColumn(), *columns[1:]]
    bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task("", total=None, resumed=0, failed="", deadline=None)
    with bar, _shown_bar(bar) as show:

        def on_progress(progress: Progress) -> None:
            if progress.done < bar.tasks[task].completed:
                bar.reset(task)
            seconds_left = progress.seconds_left
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                resumed=progress.resumed,
                failed=f"{progress.failed} failed" if progress.failed else "",
                deadline=None if seconds_left is None else monotonic() + seconds_left,
            )
            show()

        yield on_progress


@contextmanager
def _shown_bar(bar: Bar) -> Iterator[Callable[[], None]]:
    """Yield what shows a change of the bar; on a terminal the bar draws itself."""
    if bar.console.is_terminal:
        yield lambda: None
    elif bar.console.is_jupyter:
        from IPython.display import display

        picture = display(bar, display_id=True)
        try:
            yield _at_most_every(_SECONDS_BETWEEN_PICTURES, lambda: picture.update(bar))
        finally:
            picture.update({"text/plain": ""}, raw=True)
    else:
        yield _at_most_every(_SECONDS_BETWEEN_LINES, lambda: bar.console.print(bar))


def _at_most_every(seconds: float, act: Callable[[], None]) -> Callable[[], None]:
    """Return a function that acts at most every so many seconds."""
    last = monotonic()

    def act_if_due() -> None:
        nonlocal last
        if monotonic() - last >= seconds:
            last = monotonic()
            act()

    return act_if_due
