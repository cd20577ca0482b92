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
from typing import TextIO

from r2rise.errors import DemonstrationsError

DEMONSTRATION, TIME, REWARD, TERMINAL = "demonstration", "time", "reward", "terminal"

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
            names = reader.fieldnames or ()
            yield ((reader.line_num, row) for row in reader), names
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
        ours = _OTHER_NAMES.get(stem.lower())
        if ours is not None:
            pairs.append(f"{ours}{name.removeprefix(stem)} for {name}")
    return f" Did you mean {', '.join(pairs)}?" if pairs else ""


def is_empty(cell: str) -> bool:
    """Return whether a cell holds no number."""
    return cell.strip().lower() in _EMPTY


def is_number(text: str) -> bool:
    """Return whether a text is a number other than NaN."""
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False
