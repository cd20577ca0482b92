"""The text of a table: separators, compression, and the names of columns."""

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError

DEMONSTRATION, TIME, REWARD, TERMINAL = "demonstration", "time", "reward", "terminal"

_NAMES = (DEMONSTRATION, TIME, "obs", "act", REWARD, TERMINAL)

_EMPTY = ("", "nan")
"""Cells without a number, in lower case; pandas writes NaN where it is asked to."""

_DELIMITERS = (",", ";", "\t")
_GZIP_SIGNATURE = b"\x1f\x8b"

_OTHER_NAMES = {
    **dict.fromkeys(("episode", "episode_id", "trajectory", "traj", "demo"), DEMONSTRATION),
    **dict.fromkeys(("step", "timestep", "t"), TIME),
    **dict.fromkeys(("action", "actions", "acts"), "act"),
    **dict.fromkeys(("observation", "observations", "state"), "obs"),
    **dict.fromkeys(("rewards", "rews", "rew"), REWARD),
    **dict.fromkeys(("terminated", "terminals"), TERMINAL),
}
"""Our name of a column by the names that it often has elsewhere."""


def header(start: bytes) -> list[str]:
    """Return the names of the columns of a table that starts with these bytes."""
    if start.startswith(_GZIP_SIGNATURE):
        try:
            start = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(start, len(start))
        except zlib.error:
            return []
    line = start.decode("utf-8-sig", "replace").partition("\n")[0]
    return [name.strip().strip('"') for name in line.split(_delimiter(line))]


def _delimiter(line: str) -> str:
    """Return what separates the cells of a line; a comma if nothing does."""
    return max(_DELIMITERS, key=line.count)


@contextmanager
def open_table(path: Path) -> Iterator[tuple[Iterator[tuple[int, dict[str, str]]], Sequence[str]]]:
    """Open a table, and yield its rows with their line numbers, and the names of its columns."""
    try:
        with _open_text(path) as file:
            delimiter = _delimiter(file.readline())
            file.seek(0)
            reader = csv.DictReader(
                file, restval="", strict=True, skipinitialspace=True, delimiter=delimiter
            )
            reader.fieldnames = names = [name.strip() for name in reader.fieldnames or ()]
            yield ((reader.line_num, row) for row in reader if not _is_blank(row)), names
    except FileNotFoundError:
        raise DemonstrationsError(f"There is no file {path}.") from None
    except UnicodeDecodeError:
        raise DemonstrationsError(
            f"Cannot read {path}: it is not text in UTF-8. Save the table as CSV in UTF-8."
        ) from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise DemonstrationsError(f"Cannot read {path}: {error}.") from None
    except DemonstrationsError as error:
        names_path = str(error).startswith(str(path))
        raise DemonstrationsError(str(error) if names_path else f"{path}, {error}") from None


def _is_blank(row: dict[str, str]) -> bool:
    """Return whether a row has no cell with text, as spreadsheets append them."""
    return None not in row and not any(cell.strip() for cell in row.values())


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """Open a file of text, which may be compressed."""
    with path.open("rb") as file:
        is_compressed = file.read(2) == _GZIP_SIGNATURE
        file.seek(0)
        content = gzip.GzipFile(fileobj=file) if is_compressed else file
        with io.TextIOWrapper(content, newline="", encoding="utf-8-sig") as text:
            yield text


def renaming_hint(names: Sequence[str]) -> str:
    """Return ` Did you mean ...?` for columns under other usual names, or an empty string."""
    pairs = []
    for name in names:
        stem = re.sub(r"_\d+$", "", name)
        ours = _OTHER_NAMES.get(stem.lower(), stem.lower())
        if ours in _NAMES and ours != stem:
            pairs.append(f"{ours}{name.removeprefix(stem)} for {name}")
    return f" Did you mean {', '.join(pairs)}?" if pairs else ""


def is_empty(cell: str) -> bool:
    """Return whether a cell holds no number."""
    return cell.strip().lower() in _EMPTY


def _is_number(text: str) -> bool:
    """Return whether a text is a number other than NaN; Python's own 1_000 is not."""
    try:
        return not math.isnan(float(text)) and "_" not in text
    except ValueError:
        return False


def _without_underscore(cell: str) -> str:
    if "_" in cell:  # which Python takes for digits that are grouped
        raise ValueError
    return cell


def parse_numbers(
    lines: list[tuple[int, dict[str, str]]], names: list[str], is_integer: bool
) -> NDArray[Any]:
    """Return columns as a matrix, or as (n_rows,) for a column whose name has no number."""
    convert = int if is_integer else float
    values = []
    for line, row in lines:
        try:
            values.append([convert(_without_underscore(row[name])) for name in names])
        except ValueError:
            invalid = next(name for name in names if not _is_number(row[name]))
            hint = " Write numbers with points." if "," in row[invalid] else ""
            raise DemonstrationsError(
                f"line {line}: {invalid} should be a number, got {row[invalid]!r}.{hint}"
            ) from None
    single = names[0] in ("obs", "act", REWARD)
    try:
        matrix = np.array(values, dtype=np.int64 if is_integer else np.float64)
    except OverflowError:
        raise DemonstrationsError(
            f"line {lines[0][0]} and after: {names[0]} holds whole numbers of more than 64 bits."
        ) from None
    matrix = matrix.reshape(len(lines), len(names))
    return matrix[:, 0] if single else matrix
