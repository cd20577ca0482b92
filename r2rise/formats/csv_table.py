"""CSV: a row for each frame, and a row for the observation after the last action.

Columns: `demonstration`, `time`, `obs` or `obs_0`, `obs_1`, ..., `act` or `act_0`, ..., and if
known `reward` and `terminal`. The last row of a demonstration has only an observation. Cells are
separated by commas, semicolons or tabs; the file may be compressed by gzip.
"""

import logging
import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.errors import DemonstrationsError
from r2rise.files import atomic_file
from r2rise.formats.csv_text import (
    DEMONSTRATION,
    REWARD,
    TERMINAL,
    TIME,
    is_empty,
    open_table,
    parse_numbers,
    renaming_hint,
)
from r2rise.formats.episodes import episodes_of, join
from r2rise.formats.hdf5 import as_columns

logger = logging.getLogger(__name__)

_FLAGS = dict.fromkeys(("0", "0.0", "false"), False) | dict.fromkeys(("1", "1.0", "true"), True)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")


class _Columns(NamedTuple):
    """The columns of a table by name, in order.

    Attributes:
        obs, act, optional: Those of observations and actions, and the optional ones it has.
        is_integer: For `obs`, `act` and `reward`, whether all of their numbers are integers.
        n_bytes: Size of the numbers of observations and actions.
    """

    obs: list[str]
    act: list[str]
    optional: list[str]
    is_integer: dict[str, bool]
    n_bytes: int

    @property
    def all_names(self) -> set[str]:
        """Names of all columns that are read."""
        return {DEMONSTRATION, *self.obs, *self.act, *self.optional}


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:  # noqa: ARG001
    """Read a table of episodes.

    Args:
        path: The file.
        obs_keys: Not used: all `obs` columns are observations.

    Raises:
        DemonstrationsError: If the table cannot be used. The message names the line.
    """
    with open_table(path) as (rows, names):
        columns = _inspect_columns(rows, names)
    _warn_of_ignored(path, [name for name in names if name not in columns.all_names])
    with open_table(path) as (rows, _):
        return join(path, _episodes(rows, columns), n_bytes=columns.n_bytes, meta={})


def _warn_of_ignored(path: Path, names: list[str]) -> None:
    if not names:
        return
    listed = ", ".join(name or "without a name (an index?)" for name in names)
    logger.warning("%s: the columns %s are not read.%s", path, listed, renaming_hint(names))


def write(demonstrations: Demonstrations, path: Path) -> list[str]:
    """Write a table of episodes. Reading it returns exactly the same numbers.

    Args:
        demonstrations: The demonstrations.
        path: The file.

    Returns:
        A line for each thing that the table cannot hold.
    """
    obs, acts = as_columns(demonstrations.obs[:1]), as_columns(demonstrations.acts[:1])
    names = [
        *(DEMONSTRATION, TIME),
        *_column_names("obs", obs.shape[1], single=demonstrations.obs.ndim == 1),
        *_column_names("act", acts.shape[1], single=demonstrations.acts.ndim == 1),
        *([] if demonstrations.rews is None else [REWARD]),
        *([] if demonstrations.terminal is None else [TERMINAL]),
    ]
    with atomic_file(path) as file:
        file.write(",".join(names).encode() + b"\n")
        for number, episode in enumerate(episodes_of(demonstrations)):
            for row in _episode_rows(number, episode):
                file.write(",".join(row).encode() + b"\n")
    return _loss_notes(demonstrations)


def _column_names(name: str, width: int, *, single: bool) -> list[str]:
    return [name] if single else [f"{name}_{i}" for i in range(width)]


def _episode_rows(number: int, episode: Episode) -> Iterator[list[str]]:
    obs, acts = as_columns(episode.obs), as_columns(episode.acts)
    length = len(acts)
    for time in range(length):
        row = [str(number), str(time), *_cells(obs[time]), *_cells(acts[time])]
        if episode.rews is not None:
            row += _cells(episode.rews[time : time + 1])
        if episode.terminal is not None:
            row.append(str(int(episode.terminal and time == length - 1)))
        yield row
    n_empty = acts.shape[1] + (episode.rews is not None) + (episode.terminal is not None)
    yield [str(number), str(length), *_cells(obs[length]), *[""] * n_empty]


def _cells(values: NDArray[Any]) -> list[str]:
    """Return each number as the shortest text that is parsed to the same number."""
    if values.dtype.kind == "f":
        return [repr(value) for value in values.astype(np.float64).tolist()]
    return [str(int(value)) for value in values.tolist()]


def _loss_notes(demonstrations: Demonstrations) -> list[str]:
    notes = []
    if demonstrations.frames is not None:
        notes.append("pictures: csv cannot hold them")
    if demonstrations.meta:
        notes.append(f"meta ({', '.join(map(str, demonstrations.meta))}): csv cannot hold it")
    for key in ("obs", "acts", "rews"):
        array = getattr(demonstrations, key)
        if array is None:
            continue
        if array.ndim > 2:
            notes.append(f"the shape {array.shape[1:]} of {key}: csv has only columns")
        if array.dtype not in (np.float64, np.int64):
            kind = "float64" if array.dtype.kind == "f" else "int64"
            notes.append(f"the type {array.dtype} of {key}: values are kept, as {kind}")
    return notes


def _inspect_columns(rows: Iterator[tuple[int, dict[str, str]]], names: Sequence[str]) -> _Columns:
    """Return the columns of a table. All rows are read, to find columns of integers."""
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise DemonstrationsError(f"line 1: the columns {', '.join(duplicates)} occur twice.")
    obs, act = _numbered_columns(names, "obs"), _numbered_columns(names, "act")
    missing = [
        name
        for name, is_present in (
            (DEMONSTRATION, DEMONSTRATION in names), ("obs_0", obs), ("act_0", act),
        )
        if not is_present
    ]  # fmt: skip
    if missing:
        raise DemonstrationsError(
            f"line 1: the columns {', '.join(missing)} are missing; found "
            f"{', '.join(names) or 'nothing'}. Expected names with commas between them."
            f"{renaming_hint(names)}"
        )
    optional = [name for name in (TIME, REWARD, TERMINAL) if name in names]
    groups = {"obs": obs, "act": act, REWARD: [REWARD] if REWARD in names else []}
    is_integer = dict.fromkeys(groups, True)
    n_rows = 0
    for line, row in rows:
        n_rows += 1
        if None in row:
            raise DemonstrationsError(f"line {line}: more cells than columns.")
        for key, columns in groups.items():
            is_integer[key] = is_integer[key] and all(
                is_empty(row[name]) or _INTEGER.fullmatch(row[name]) for name in columns
            )
    return _Columns(obs, act, optional, is_integer, 8 * n_rows * (len(obs) + len(act)))


def _numbered_columns(names: Sequence[str], name: str) -> list[str]:
    """Return the column `<name>`, or the columns `<name>_0`, `<name>_1`, ... in order."""
    numbered = [column for column in names if re.fullmatch(rf"{name}_\d+", column)]
    matching = [column for column in names if column == name] + numbered
    expected = [name] if name in names else [f"{name}_{i}" for i in range(len(numbered))]
    if sorted(matching) != sorted(expected):
        raise DemonstrationsError(
            f"line 1: {name} columns should be {name}_0 to {name}_{len(numbered) - 1}, or {name} "
            f"alone, got {', '.join(matching)}."
        )
    return expected


def _episodes(rows: Iterator[tuple[int, dict[str, str]]], columns: _Columns) -> Iterator[Episode]:
    finished: list[str] = []
    for label, group in groupby(rows, key=lambda row: row[1][DEMONSTRATION].strip()):
        lines = list(group)
        if not label:
            raise DemonstrationsError(
                f"line {lines[0][0]}: {DEMONSTRATION} is empty: every row needs the number of its "
                f"demonstration."
            )
        if label in finished:
            raise DemonstrationsError(
                f"line {lines[0][0]}: demonstration {label!r} continues after another one. Sort "
                f"the rows by demonstration and time."
            )
        finished.append(label)
        yield _episode(lines, columns)
    if finished != [str(number) for number in range(len(finished))]:
        logger.warning(
            "Demonstrations are numbered from 0 in the order of the file; their names in the file "
            "(%s) are not kept.", textwrap.shorten(", ".join(finished), 100),
        )  # fmt: skip


def _episode(lines: list[tuple[int, dict[str, str]]], columns: _Columns) -> Episode:
    for expected, (line, row) in enumerate(lines):
        if TIME in columns.optional and row[TIME].strip() not in (f"{expected}", f"{expected}.0"):
            raise DemonstrationsError(
                f"line {line}: expected time {expected}, got {row[TIME]!r}. Times of a "
                f"demonstration count up from 0."
            )
    actions = lines
    if all(is_empty(lines[-1][1][name]) for name in columns.act):
        actions = lines[:-1]
        _check_last_row(lines[-1], columns)
    has_rews = REWARD in columns.optional
    return Episode(
        obs=parse_numbers(lines, columns.obs, columns.is_integer["obs"]),
        acts=parse_numbers(actions, columns.act, columns.is_integer["act"]),
        rews=parse_numbers(actions, [REWARD], columns.is_integer[REWARD]) if has_rews else None,
        terminal=_is_terminal(actions) if TERMINAL in columns.optional else None,
    )


def _check_last_row(last: tuple[int, dict[str, str]], columns: _Columns) -> None:
    """Check that the row of the last observation has no reward and no terminal flag."""
    line, row = last
    for name in (REWARD, TERMINAL):
        cell = row[name].strip() if name in columns.optional else ""
        if not is_empty(cell) and _FLAGS.get(cell.lower(), True):
            raise DemonstrationsError(
                f"line {line}: {name} is {cell!r}, but there is no action. The last row of a "
                f"demonstration has only an observation; a reward belongs to the row of its action."
            )


def _is_terminal(actions: list[tuple[int, dict[str, str]]]) -> bool:
    """Return whether the last action led to a terminal state. No earlier one may."""
    terminal = False
    for line, row in actions:
        if terminal:
            raise DemonstrationsError(
                f"line {line}: the demonstration continues after terminal was 1. Give the next "
                f"rows another number in the column {DEMONSTRATION}."
            )
        flag = _FLAGS.get(row[TERMINAL].strip().lower())
        if flag is None:
            raise DemonstrationsError(
                f"line {line}: terminal should be 0 or 1, got {row[TERMINAL]!r}."
            )
        terminal = flag
    return terminal
