"""Readers and writers of demonstrations files.

`read_demonstrations` recognises a format by the content of a file, `write_demonstrations` by the
extension. Readers never unpickle anything, and never follow a link out of a file.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from r2rise.data.demonstrations import Demonstrations
from r2rise.data.keys import select_keys, warn_of_flattened
from r2rise.data.segments import Segment
from r2rise.errors import DemonstrationsError, InputError, suggestion
from r2rise.formats.one_hot import without_one_hot
from r2rise.formats.recognition import recognise
from r2rise.limits import check_count
from r2rise.results.curation import Curation
from r2rise.results.importance_map import ImportanceMap
from r2rise.statistics.wording import counted

__all__ = [
    "FORMATS",
    "Format",
    "format_to_write",
    "observation_keys",
    "read_demonstrations",
    "recognise",
    "write_demonstrations",
]


logger = logging.getLogger(__name__)


class Format(NamedTuple):
    """A file format.

    Attributes:
        reader: `module:function` in `r2rise.formats`, `(path, *, obs_keys) -> Demonstrations`;
            empty if it is write-only.
        writer: `module:function` in `r2rise.formats`, `(demonstrations, path) -> notes`: a line for
            each thing that the format cannot hold. It is also given `importance` if `takes_map`,
            and `curation` if `cuts`.
        ending: File name extension that selects it for writing; empty if none does.
        folder: Whether it is a folder instead of a file.
        takes_map: Whether the writer accepts an importance map.
        needs_map: Whether the writer requires one.
        keys: `module:function` in `r2rise.formats`, `path -> shape of each key` of dict
            observations; empty if it has none.
        cuts: Whether the writer leaves out frames, as a curation of the map recommends.
    """

    reader: str
    writer: str
    ending: str = ""
    folder: bool = False
    takes_map: bool = False
    needs_map: bool = False
    keys: str = ""
    cuts: bool = False


FORMATS = {
    "npz": Format("npz:load_npz", "npz:save_npz", ".npz", keys="npz:keys"),
    "imitation": Format("imitation:read", "imitation:write", folder=True),
    "minari": Format("minari:read", "minari:write", folder=True, keys="minari:keys"),
    "robomimic": Format(
        "robomimic:read", "robomimic:write", takes_map=True, cuts=True, keys="robomimic:keys"
    ),
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
    min_frames: int = 1,
    one_hot: bool = False,
) -> Demonstrations:
    """Read demonstrations from a file or folder of any known format.

    Args:
        path: The file or folder.
        format: Its format, if the content does not identify it.
        obs_keys: For dict observations, the keys to concatenate. Other observations are read as
            they are: they may have been concatenated already.
        min_frames: Demonstrations of fewer frames are left out.
        one_hot: Whether actions are one-hot. Each is read as the number of its 1, from 0 on.

    Raises:
        DemonstrationsError: If the file cannot be used. The message gives the exact reason.
        InputError: If there is no format of that name, or an argument cannot be used.
        MissingExtra: If an optional package is missing.
    """
    check_count("min_frames", min_frames, least=1)
    if isinstance(obs_keys, str):
        raise InputError(f"obs_keys should be a list of keys, such as [{obs_keys!r}], got a text.")
    path = Path(path)
    name = _readable_format(path, format)
    read = _import_function(FORMATS[name].reader)
    demonstrations: Demonstrations = read(path, obs_keys=tuple(obs_keys))
    if obs_keys:
        shapes = observation_keys(path, format=name)
        keys = select_keys(path, shapes, tuple(obs_keys)) if shapes else []
        warn_of_flattened(str(path), {key: shapes[key] for key in keys})
    if one_hot:
        demonstrations = without_one_hot(path, demonstrations)
    return _without_short(path, demonstrations, min_frames)


def observation_keys(
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002
) -> dict[str, tuple[int, ...]]:
    """Return the shape of each key of a file's dict observations; empty for other observations.

    Args:
        path: The file or folder.
        format: Its format, if the content does not identify it.

    Raises:
        DemonstrationsError: If the file cannot be used.
        InputError: If there is no format of that name.
        MissingExtra: If an optional package is missing.
    """
    path = Path(path)
    function = FORMATS[_readable_format(path, format)].keys
    return _import_function(function)(path) if function else {}


def _readable_format(path: Path, format: str | None) -> str:  # noqa: A002
    name = recognise(path) if format is None else format
    readable = [key for key, known_format in FORMATS.items() if known_format.reader]
    if name not in readable:
        raise InputError(f"No format {name!r} can be read. {suggestion(name, readable)}")
    return name


def _without_short(path: Path, demonstrations: Demonstrations, min_frames: int) -> Demonstrations:
    lengths = demonstrations.lengths.tolist()
    kept = [Segment(i, 0, length) for i, length in enumerate(lengths) if length >= min_frames]
    if len(kept) == len(lengths):
        return demonstrations
    if not kept:
        raise DemonstrationsError(
            f"{path}: no demonstration has {min_frames} frames; the longest has {max(lengths)}. "
            f"Use a smaller min_frames."
        )
    n_short = counted(len(lengths) - len(kept), "demonstration")
    logger.warning("%s: left out %s with fewer than %d frames.", path, n_short, min_frames)
    return demonstrations.select(keep=kept)


def write_demonstrations(
    demonstrations: Demonstrations,
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    importance: ImportanceMap | None = None,
    curation: Curation | None = None,
) -> list[str]:
    """Write demonstrations, or the contents of an importance map of them, to a file or folder.

    Args:
        demonstrations: The demonstrations.
        path: The file, which is replaced, or the folder, which must not exist yet.
        format: A name in `FORMATS`, if the extension of the path does not identify it.
        importance: A map of these demonstrations, for formats that accept one.
        curation: The result of a curation of the map. It decides which frames are left out.

    Returns:
        A line for each thing that could not be written.

    Raises:
        InputError: If the format is unknown, requires a map, or does not accept one.
        MissingExtra: If an optional package is missing.
    """
    path = Path(path)
    name = format or format_to_write(path)
    if name not in FORMATS:
        raise InputError(f"There is no format {name!r}. {suggestion(name, FORMATS)}")
    output_format = FORMATS[name]
    if path.is_dir() and not output_format.folder:
        raise InputError(f"{name} is a file, but {path} is a folder: choose another name.")
    if output_format.needs_map and importance is None:
        raise InputError(f"{name} is written from an importance map: give one.")
    if importance is not None and not output_format.takes_map:
        takers = ", ".join(key for key, candidate in FORMATS.items() if candidate.takes_map)
        raise InputError(f"{name} does not use an importance map; these formats do: {takers}.")
    options: dict[str, Any] = {} if importance is None else {"importance": importance}
    if output_format.cuts and importance is not None:
        options["curation"] = curation
    write = _import_function(output_format.writer)
    return [*(write(demonstrations, path, **options) or ())]


def format_to_write(path: Path) -> str:
    """Return the format that the extension of a path identifies.

    Raises:
        InputError: If it identifies none, or more than one. The message lists the candidates.
    """
    ending = path.suffix.lower()
    for name, candidate in FORMATS.items():
        if candidate.ending and ending == candidate.ending:
            return name
    if ending in (".hdf5", ".h5"):
        candidates = ["robomimic", "d4rl"]
    else:
        candidates = ["imitation", "minari"] if not ending else list(FORMATS)
    raise InputError(f"Which format should {path} have? Name one: {', '.join(candidates)}.")


def _import_function(name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    module = importlib.import_module(f"r2rise.formats.{module_name}")
    function: Callable[..., Any] = getattr(module, function_name)
    return function
