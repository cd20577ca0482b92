"""The progress bar, with rate and time left. It is shown on terminals only."""

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

from r2rise import Progress

OnProgress = Callable[[Progress], None]


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
def progress_bar(label: str = "Retraining", *, at_most: bool = False) -> Iterator[OnProgress]:
    """Show a progress bar on a terminal, remove it at the end, and yield its callback.

    In work of several stages, each stage restarts the bar.

    Args:
        label: Name of the work.
        at_most: Whether the work may end before its total.
    """
    console = Console(stderr=True)
    bar = Bar(
        SpinnerColumn(),
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left at most" if at_most else "left"),
        _TimeLeftColumn(),
        TextColumn("{task.fields[failed]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=None, resumed=0, failed="", deadline=None)

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

        yield on_progress
