"""CSV: a row for each frame, and one for the observation after the last action.

Columns: `demonstration`, `time`, `obs` or `obs_0`, `obs_1`, ..., `act` or `act_0`, ..., and if
known `reward` and `terminal`. The last row of a demonstration has an observation alone.
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
from r2rise.errors import DemonstrationsError
from r2rise.files import atomic_file
from r2rise.formats.episodes import Episode, episodes_of, join
from r2rise.formats.hdf5 import as_columns

logger = logging.getLogger(__name__)

_DEMONSTRATION, _TIME, _REWARD, _TERMINAL = "demonstration", "time", "reward", "terminal"
_FLAGS = dict.fromkeys(("0", "0.0", "false"), False) | dict.fromkeys(("1", "1.0", "true"), True)
_WHOLE_NUMBER = re.compile(r"\s*[+-]?\d+\s*")


class _Columns(NamedTuple):
    """Which columns hold what, and whether all of their numbers are whole."""

    obs: list[str]
    act: list[str]
    others: list[str]
    whole: dict[str, bool]

    @property
    def read(self) -> set[str]:
        """Names of all columns that say something."""
        return {_DEMONSTRATION, *self.obs, *self.act, *self.others}


def read(path: Path, *, obs_keys: tuple[str, ...] = ()) -> Demonstrations:  # noqa: ARG001
    """Read a table of episodes.

    Args:
        path: The file.
        obs_keys: Not used: all `obs` columns are observations.

    Raises:
        DemonstrationsError: Naming the line that cannot be used.
    """
    with _rows(path) as (rows, names):
        columns = _columns(rows, names)
    unread = [name for name in names if name not in columns.read]
    if unread:
        logger.warning("%s: the columns %s are not read.", path, ", ".join(unread))
    with _rows(path) as (rows, _):
        size = path.stat().st_size
        return join(path, _episodes(rows, columns), n_bytes=size, meta={})


def write(demonstrations: Demonstrations, path: Path) -> list[str]:
    """Write a table of episodes; every number comes back exactly.

    Args:
        demonstrations: What to write.
        path: The file.

    Returns:
        What the table cannot hold.
    """
    obs, acts = as_columns(demonstrations.obs[:1]), as_columns(demonstrations.acts[:1])
    names = [
        *(_DEMONSTRATION, _TIME),
        *_names("obs", obs.shape[1], single=demonstrations.obs.ndim == 1),
        *_names("act", acts.shape[1], single=demonstrations.acts.ndim == 1),
        *([] if demonstrations.rews is None else [_REWARD]),
        *([] if demonstrations.terminal is None else [_TERMINAL]),
    ]
    with atomic_file(path) as file:
        file.write(",".join(names).encode() + b"\n")
        for number, episode in enumerate(episodes_of(demonstrations)):
            for row in _lines(number, episode):
                file.write(",".join(row).encode() + b"\n")
    return _left_out(demonstrations)


def _names(name: str, width: int, *, single: bool) -> list[str]:
    return [name] if single else [f"{name}_{i}" for i in range(width)]


def _lines(number: int, episode: Episode) -> Iterator[list[str]]:
    obs, acts = as_columns(episode.obs), as_columns(episode.acts)
    length = len(acts)
    for time in range(length):
        row = [str(number), str(time), *_cells(obs[time]), *_cells(acts[time])]
        if episode.rews is not None:
            row += _cells(episode.rews[time : time + 1])
        if episode.terminal is not None:
            row.append(str(int(episode.terminal and time == length - 1)))
        yield row
    n_others = acts.shape[1] + (episode.rews is not None) + (episode.terminal is not None)
    yield [str(number), str(length), *_cells(obs[length]), *[""] * n_others]


def _cells(values: NDArray[Any]) -> list[str]:
    """Return numbers as the shortest text that gives them back."""
    if values.dtype.kind == "f":
        return [repr(value) for value in values.astype(np.float64).tolist()]
    return [str(int(value)) for value in values.tolist()]


def _left_out(demonstrations: Demonstrations) -> list[str]:
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
def _rows(path: Path) -> Iterator[tuple[Iterator[tuple[int, dict[str, str]]], Sequence[str]]]:
    """Open a table: its lines with their numbers, and the names of its columns."""
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
        told = str(error).startswith(str(path))
        raise DemonstrationsError(str(error) if told else f"{path}, {error}") from None


def _columns(rows: Iterator[tuple[int, dict[str, str]]], names: Sequence[str]) -> _Columns:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DemonstrationsError(f"line 1: the columns {', '.join(twice)} are there twice.")
    obs, act = _part(names, "obs"), _part(names, "act")
    missing = [
        name
        for name, found in (
            (_DEMONSTRATION, _DEMONSTRATION in names), ("obs_0", obs), ("act_0", act),
        )
        if not found
    ]  # fmt: skip
    if missing:
        raise DemonstrationsError(
            f"line 1: the columns {', '.join(missing)} are missing; found "
            f"{', '.join(names) or 'nothing'}. Expected names with commas between them."
        )
    others = [name for name in (_TIME, _REWARD, _TERMINAL) if name in names]
    groups = {"obs": obs, "act": act, _REWARD: [_REWARD] if _REWARD in names else []}
    whole = dict.fromkeys(groups, True)
    for line, row in rows:
        if None in row:
            raise DemonstrationsError(f"line {line}: more cells than columns.")
        for key, own in groups.items():
            whole[key] = whole[key] and all(
                not row[name] or _WHOLE_NUMBER.fullmatch(row[name]) for name in own
            )
    return _Columns(obs, act, others, whole)


def _part(names: Sequence[str], name: str) -> list[str]:
    """Return the columns `<name>`, or `<name>_0`, `<name>_1`, ... in order."""
    numbered = [own for own in names if re.fullmatch(rf"{name}_\d+", own)]
    found = [own for own in names if own == name] + numbered
    expected = [name] if name in names else [f"{name}_{i}" for i in range(len(numbered))]
    if sorted(found) != sorted(expected):
        raise DemonstrationsError(
            f"line 1: {name} columns should be {name}_0 to {name}_{len(numbered) - 1}, or {name} "
            f"alone, got {', '.join(found)}."
        )
    return expected


def _episodes(rows: Iterator[tuple[int, dict[str, str]]], columns: _Columns) -> Iterator[Episode]:
    seen: set[str] = set()
    for label, group in groupby(rows, key=lambda row: row[1][_DEMONSTRATION]):
        lines = list(group)
        if label in seen:
            raise DemonstrationsError(
                f"line {lines[0][0]}: demonstration {label!r} goes on after another one. Sort the "
                f"rows by demonstration and time."
            )
        seen.add(label)
        yield _episode(lines, columns)


def _episode(lines: list[tuple[int, dict[str, str]]], columns: _Columns) -> Episode:
    for expected, (line, row) in enumerate(lines):
        if _TIME in columns.others and row[_TIME].strip() != str(expected):
            raise DemonstrationsError(
                f"line {line}: expected time {expected}, got {row[_TIME]!r}. Times of a "
                f"demonstration count up from 0."
            )
    acted = lines
    if not any(lines[-1][1][name] for name in columns.act):
        acted = lines[:-1]
        _check_closing(lines[-1], columns)
    has_rews = _REWARD in columns.others
    return Episode(
        obs=_numbers(lines, columns.obs, columns.whole["obs"]),
        acts=_numbers(acted, columns.act, columns.whole["act"]),
        rews=_numbers(acted, [_REWARD], columns.whole[_REWARD]) if has_rews else None,
        terminal=_ended(acted) if _TERMINAL in columns.others else None,
    )


def _check_closing(last: tuple[int, dict[str, str]], columns: _Columns) -> None:
    """Check that the row of the last observation says nothing of an action that is not there."""
    line, row = last
    for name in (_REWARD, _TERMINAL):
        cell = row[name].strip() if name in columns.others else ""
        if cell and _FLAGS.get(cell.lower(), True):
            raise DemonstrationsError(
                f"line {line}: {name} is {cell!r}, but there is no action. The last row of a "
                f"demonstration has an observation alone; rewards stand beside their actions."
            )


def _ended(acted: list[tuple[int, dict[str, str]]]) -> bool:
    """Return whether the last action ended the episode."""
    ended = False
    for line, row in acted:
        if ended:
            raise DemonstrationsError(
                f"line {line}: the demonstration goes on after terminal was 1. Give what follows "
                f"another number in the column {_DEMONSTRATION}."
            )
        flag = _FLAGS.get(row[_TERMINAL].strip().lower())
        if flag is None:
            raise DemonstrationsError(
                f"line {line}: terminal should be 0 or 1, got {row[_TERMINAL]!r}."
            )
        ended = flag
    return ended


def _numbers(
    lines: list[tuple[int, dict[str, str]]], names: list[str], whole: bool
) -> NDArray[Any]:
    """Return columns as (rows,), where there is one without a number in its name, or a matrix."""
    convert = int if whole else float
    values = []
    for line, row in lines:
        try:
            values.append([convert(row[name]) for name in names])
        except ValueError:
            bad = next(name for name in names if not _is_number(row[name]))
            raise DemonstrationsError(
                f"line {line}: {bad} should be a number, got {row[bad]!r}."
            ) from None
    single = names[0] in ("obs", "act", _REWARD)
    try:
        matrix = np.array(values, dtype=np.int64 if whole else np.float64)
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
