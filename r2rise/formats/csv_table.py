"""CSV: a row for each frame, and a row for the observation after the last action.

Columns: `demonstration`, `time`, `obs` or `obs_0`, `obs_1`, ..., `act` or `act_0`, ..., and if
known `reward` and `terminal`. The last row of a demonstration has only an observation.
"""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.episodes import Episode
from r2rise.errors import DemonstrationsError
from r2rise.files import atomic_file
from r2rise.formats.episodes import episodes_of, join
from r2rise.formats.hdf5 import as_columns

logger = logging.getLogger(__name__)

_DEMONSTRATION, _TIME, _REWARD, _TERMINAL = "demonstration", "time", "reward", "terminal"
_FLAGS = dict.fromkeys(("0", "0.0", "false"), False) | dict.fromkeys(("1", "1.0", "true"), True)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")


class _Columns(NamedTuple):
    """The columns of a table by name, in order.

    Attributes:
        obs, act, optional: Those of observations and actions, and the optional ones it has.
        is_integer: For `obs`, `act` and `reward`, whether all of their numbers are integers.
    """

    obs: list[str]
    act: list[str]
    optional: list[str]
    is_integer: dict[str, bool]

    @property
    def all_names(self) -> set[str]:
        """Names of all columns that are read."""
        return {_DEMONSTRATION, *self.obs, *self.act, *self.optional}


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:  # noqa: ARG001
    """Read a table of episodes.

    Args:
        path: The file.
        obs_keys: Not used: all `obs` columns are observations.

    Raises:
        DemonstrationsError: If the table cannot be used. The message names the line.
    """
    with _open_table(path) as (rows, names):
        columns = _inspect_columns(rows, names)
    ignored = [name for name in names if name not in columns.all_names]
    if ignored:
        logger.warning("%s: the columns %s are not read.", path, ", ".join(ignored))
    with _open_table(path) as (rows, _):
        size = path.stat().st_size
        return join(path, _episodes(rows, columns), n_bytes=size, meta={})


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
        *(_DEMONSTRATION, _TIME),
        *_column_names("obs", obs.shape[1], single=demonstrations.obs.ndim == 1),
        *_column_names("act", acts.shape[1], single=demonstrations.acts.ndim == 1),
        *([] if demonstrations.rews is None else [_REWARD]),
        *([] if demonstrations.terminal is None else [_TERMINAL]),
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
            notes.append(f"the shape {array.shape[1:]} of {key}: csv has columns only")
        if array.dtype not in (np.float64, np.int64):
            kind = "float64" if array.dtype.kind == "f" else "int64"
            notes.append(f"the type {array.dtype} of {key}: values are kept, as {kind}")
    return notes


@contextmanager
def _open_table(path: Path) -> Iterator[tuple[Iterator[tuple[int, dict[str, str]]], Sequence[str]]]:
    """Open a table, and yield its rows with their line numbers, and the names of its columns."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", strict=True, skipinitialspace=True)
            names = reader.fieldnames or ()
            yield ((reader.line_num, row) for row in reader), names
    except FileNotFoundError:
        raise DemonstrationsError(f"There is no file {path}.") from None
    except UnicodeDecodeError:
        raise DemonstrationsError(
            f"Cannot read {path}: it is not text in UTF-8. Save the table as CSV in UTF-8."
        ) from None
    except (OSError, csv.Error) as error:
        raise DemonstrationsError(f"Cannot read {path}: {error}.") from None
    except DemonstrationsError as error:
        names_path = str(error).startswith(str(path))
        raise DemonstrationsError(str(error) if names_path else f"{path}, {error}") from None


def _inspect_columns(rows: Iterator[tuple[int, dict[str, str]]], names: Sequence[str]) -> _Columns:
    """Return the columns of a table. All rows are read, to find columns of integers."""
    duplicates = [name for name, count in Counter(names).items() if count > 1]
    if duplicates:
        raise DemonstrationsError(f"line 1: the columns {', '.join(duplicates)} are there twice.")
    obs, act = _numbered_columns(names, "obs"), _numbered_columns(names, "act")
    missing = [
        name
        for name, is_present in (
            (_DEMONSTRATION, _DEMONSTRATION in names), ("obs_0", obs), ("act_0", act),
        )
        if not is_present
    ]  # fmt: skip
    if missing:
        raise DemonstrationsError(
            f"line 1: the columns {', '.join(missing)} are missing; found "
            f"{', '.join(names) or 'nothing'}. Expected names with commas between them."
        )
    optional = [name for name in (_TIME, _REWARD, _TERMINAL) if name in names]
    groups = {"obs": obs, "act": act, _REWARD: [_REWARD] if _REWARD in names else []}
    is_integer = dict.fromkeys(groups, True)
    for line, row in rows:
        if None in row:
            raise DemonstrationsError(f"line {line}: more cells than columns.")
        for key, columns in groups.items():
            is_integer[key] = is_integer[key] and all(
                not row[name] or _INTEGER.fullmatch(row[name]) for name in columns
            )
    return _Columns(obs, act, optional, is_integer)


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
    finished: set[str] = set()
    for label, group in groupby(rows, key=lambda row: row[1][_DEMONSTRATION]):
        lines = list(group)
        if label in finished:
            raise DemonstrationsError(
                f"line {lines[0][0]}: demonstration {label!r} goes on after another one. Sort the "
                f"rows by demonstration and time."
            )
        finished.add(label)
        yield _episode(lines, columns)


def _episode(lines: list[tuple[int, dict[str, str]]], columns: _Columns) -> Episode:
    for expected, (line, row) in enumerate(lines):
        if _TIME in columns.optional and row[_TIME].strip() != str(expected):
            raise DemonstrationsError(
                f"line {line}: expected time {expected}, got {row[_TIME]!r}. Times of a "
                f"demonstration count up from 0."
            )
    actions = lines
    if not any(lines[-1][1][name] for name in columns.act):
        actions = lines[:-1]
        _check_last_row(lines[-1], columns)
    has_rews = _REWARD in columns.optional
    return Episode(
        obs=_parse_numbers(lines, columns.obs, columns.is_integer["obs"]),
        acts=_parse_numbers(actions, columns.act, columns.is_integer["act"]),
        rews=_parse_numbers(actions, [_REWARD], columns.is_integer[_REWARD]) if has_rews else None,
        terminal=_is_terminal(actions) if _TERMINAL in columns.optional else None,
    )


def _check_last_row(last: tuple[int, dict[str, str]], columns: _Columns) -> None:
    """Check that the row of the last observation has no reward and no terminal flag."""
    line, row = last
    for name in (_REWARD, _TERMINAL):
        cell = row[name].strip() if name in columns.optional else ""
        if cell and _FLAGS.get(cell.lower(), True):
            raise DemonstrationsError(
                f"line {line}: {name} is {cell!r}, but there is no action. The last row of a "
                f"demonstration has an observation alone; rewards stand beside their actions."
            )


def _is_terminal(actions: list[tuple[int, dict[str, str]]]) -> bool:
    """Return whether the last action led to a terminal state. No earlier one may."""
    terminal = False
    for line, row in actions:
        if terminal:
            raise DemonstrationsError(
                f"line {line}: the demonstration goes on after terminal was 1. Give what follows "
                f"another number in the column {_DEMONSTRATION}."
            )
        flag = _FLAGS.get(row[_TERMINAL].strip().lower())
        if flag is None:
            raise DemonstrationsError(
                f"line {line}: terminal should be 0 or 1, got {row[_TERMINAL]!r}."
            )
        terminal = flag
    return terminal


def _parse_numbers(
    lines: list[tuple[int, dict[str, str]]], names: list[str], is_integer: bool
) -> NDArray[Any]:
    """Return columns as a matrix, or as (n_rows,) for a column whose name has no number."""
    convert = int if is_integer else float
    values = []
    for line, row in lines:
        try:
            values.append([convert(row[name]) for name in names])
        except ValueError:
            invalid = next(name for name in names if not _is_number(row[name]))
            raise DemonstrationsError(
                f"line {line}: {invalid} should be a number, got {row[invalid]!r}."
            ) from None
    single = names[0] in ("obs", "act", _REWARD)
    try:
        matrix = np.array(values, dtype=np.int64 if is_integer else np.float64)
    except OverflowError:
        raise DemonstrationsError(
            f"line {lines[0][0]} and after: {names[0]} holds whole numbers of more than 64 bits."
        ) from None
    matrix = matrix.reshape(len(lines), len(names))
    return matrix[:, 0] if single else matrix


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
