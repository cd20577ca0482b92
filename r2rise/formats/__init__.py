"""Readers and writers of demonstrations files.

`read_demonstrations` knows a file by its content, `write_demonstrations` by the ending of its
name. Readers unpickle nothing and follow no link out of a file.
"""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import InputError, suggestion
from r2rise.formats.recognition import recognise
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap

__all__ = [
    "FORMATS",
    "Format",
    "format_to_write",
    "read_demonstrations",
    "recognise",
    "write_demonstrations",
]


class Format(NamedTuple):
    """A format of files.

    Attributes:
        reader: `module:function` below `r2rise.formats` that reads it; empty for one-way formats.
        writer: The same that writes it.
        ending: Of names that mean it without being told.
        folder: Whether it is a folder instead of a file.
        takes_map: Whether the writer can make something of an importance map.
        needs_map: Whether it must have one.
        cuts: Whether the writer leaves frames out, as a curation of the map found.
    """

    reader: str
    writer: str
    ending: str = ""
    folder: bool = False
    takes_map: bool = False
    needs_map: bool = False
    cuts: bool = False


FORMATS = {
    "npz": Format("npz:load_npz", "npz:save_npz", ".npz"),
    "imitation": Format("imitation:read", "imitation:write", folder=True),
    "minari": Format("minari:read", "minari:write", folder=True),
    "robomimic": Format("robomimic:read", "robomimic:write", takes_map=True, cuts=True),
    "d4rl": Format("d4rl:read", "d4rl:write"),
    "csv": Format("csv_table:read", "csv_table:write", ".csv"),
    "lerobot-weights": Format(
        "", "lerobot:write_weights", ".parquet", takes_map=True, needs_map=True
    ),
    "lerobot-trims": Format(
        "", "lerobot:write_trims", ".json", takes_map=True, needs_map=True, cuts=True
    ),
}
"""All formats by name."""


def read_demonstrations(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    obs_keys: Sequence[str] = (),
) -> Demonstrations:
    """Read demonstrations from a file or folder of any known format.

    Args:
        path: The file or folder.
        format: Its format, if it cannot be told from what it holds.
        obs_keys: For dict observations: the keys to concatenate.

    Raises:
        DemonstrationsError: With the exact reason why it cannot be used.
        InputError: When there is no format of that name.
        MissingExtra: When an optional package is needed.
    """
    path = Path(path)
    name = recognise(path) if format is None else format
    readable = [known for known, own in FORMATS.items() if own.reader]
    if name not in readable:
        raise InputError(f"No format {name!r} can be read. {suggestion(name, readable)}")
    read = _function(FORMATS[name].reader)
    found: Demonstrations = read(path, obs_keys=tuple(obs_keys))
    return found


def write_demonstrations(
    demonstrations: Demonstrations,
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    importance: ImportanceMap | None = None,
    curation: Curation | None = None,
) -> list[str]:
    """Write demonstrations, or what a map says of them, to a file or folder.

    Args:
        demonstrations: What to write.
        path: The file, which is replaced, or the folder, which must not be there yet.
        format: A name in `FORMATS`, if the ending of the path does not tell it.
        importance: A map of these demonstrations, for formats that take one.
        curation: What a curation of the map found; it decides what is left out.

    Returns:
        What could not be written, one line each.

    Raises:
        InputError: When the format is unknown, or needs a map, or has no use for one.
        MissingExtra: When an optional package is needed.
    """
    path = Path(path)
    name = format or format_to_write(path)
    if name not in FORMATS:
        raise InputError(f"There is no format {name!r}. {suggestion(name, FORMATS)}")
    own = FORMATS[name]
    if path.is_dir() and not own.folder:
        raise InputError(f"{name} is a file, but {path} is a folder: choose another name.")
    if own.needs_map and importance is None:
        raise InputError(f"{name} is written from an importance map: give one (--map map.json).")
    if importance is not None and not own.takes_map:
        takers = ", ".join(known for known, other in FORMATS.items() if other.takes_map)
        raise InputError(f"{name} holds nothing of an importance map; these do: {takers}.")
    options: dict[str, Any] = {} if importance is None else {"importance": importance}
    if own.cuts and importance is not None:
        options["curation"] = curation
    return [*(_function(own.writer)(demonstrations, path, **options) or ())]


def format_to_write(path: Path) -> str:
    """Return the format that the ending of a path means.

    Raises:
        InputError: When it means none, or more than one; it lists the candidates.
    """
    ending = path.suffix.lower()
    for name, own in FORMATS.items():
        if own.ending and ending == own.ending:
            return name
    if ending in (".hdf5", ".h5"):
        candidates = ["robomimic", "d4rl"]
    else:
        candidates = ["imitation", "minari"] if not ending else list(FORMATS)
    raise InputError(f"Which format should {path} have? Give --to {' or --to '.join(candidates)}.")


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(
        importlib.import_module(f"r2rise.formats.{module}"), function
    )
    return found
