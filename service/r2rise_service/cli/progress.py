"""The progress bar: rate and time left, on a terminal only."""

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
    """Retrainings a second in this run."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        done = task.completed - task.fields["resumed"]
        rate = done / task.elapsed if task.elapsed else 0.0
        return Text(f"{rate:.1f}/s" if done else "")


class _TimeLeftColumn(TimeRemainingColumn):
    """Time left at the rate so far, at most what may be worked."""

    def render(self, task: Task) -> Text:
        ends = task.fields["ends"]
        left = task.time_remaining
        if task.finished or ends is None:
            return super().render(task)
        may_work = max(ends - monotonic(), 0.0)
        seconds = math.ceil(may_work if left is None else min(left, may_work))
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return Text(f"{hours:d}:{minutes:02d}:{seconds:02d}", style="progress.remaining")


@contextmanager
def progress_bar(label: str = "Retraining", *, at_most: bool = False) -> Iterator[OnProgress]:
    """Yield what is to be told of progress; the bar shows on a terminal and goes at the end.

    Work of several stages starts the bar anew with each.

    Args:
        label: What is done.
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
        task = bar.add_task("", total=None, resumed=0, failed="", ends=None)

        def on_progress(progress: Progress) -> None:
            if progress.done < bar.tasks[task].completed:
                bar.reset(task)
            bar.update(
                task,
                total=progress.total,
                completed=progress.done,
                resumed=progress.resumed,
                failed=f"{progress.failed} failed" if progress.failed else "",
                ends=None if progress.seconds_left is None else monotonic() + progress.seconds_left,
            )

        yield on_progress
