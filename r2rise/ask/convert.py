"""Conversion of demonstrations between file formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from r2rise.ask.arguments import AnyMap, to_map
from r2rise.data.demonstrations import Demonstrations
from r2rise.errors import InputError
from r2rise.files import to_path
from r2rise.formats import format_to_write, read_demonstrations, write_demonstrations
from r2rise.results.curation import Curation


class Conversion(NamedTuple):
    """What was converted.

    Attributes:
        demonstrations: What was read.
        format: Name of the format that was written.
        left_out: A line for each thing that this format cannot hold.
    """

    demonstrations: Demonstrations
    format: str
    left_out: list[str]


def convert(  # noqa: PLR0913
    source: str | Path,
    target: str | Path,
    *,
    format: str | None = None,  # noqa: A002
    to: str | None = None,
    obs_keys: Sequence[str] = (),
    min_frames: int = 1,
    one_hot: bool = False,
    importance_map: AnyMap | None = None,
    curation: Curation | str | Path | None = None,
) -> Conversion:
    """Convert a file or folder of demonstrations to another format.

    Args:
        source: The file or folder to read.
        target: The file to write, which is replaced, or the folder, which must not exist yet.
        format: Format of the source, if its content does not identify it.
        to: Format of the target, if its ending does not identify it.
        obs_keys: For dict observations, the keys to concatenate.
        min_frames: Demonstrations of fewer frames are left out.
        one_hot: Whether actions are one-hot. Each is read as the number of its 1, from 0 on.
        importance_map: A map of these demonstrations, its file or its directory, for the formats of
            robomimic and LeRobot.
        curation: What `curate` returned for the map, its file or its directory. It decides which
            frames these formats leave out.

    Raises:
        DemonstrationsError: When the source cannot be used. The message gives the exact reason.
        InputError: When another argument cannot be used.
        MissingExtra: When an optional package is missing.
    """
    source = to_path(source, "source", "file or directory")
    target = to_path(target, "target", "file or directory")
    if target.exists() and source.exists() and source.samefile(target):
        raise InputError(f"{target} is what is read: give another name to write to.")
    name = to or format_to_write(target)
    loaded_map = None if importance_map is None else to_map(importance_map)
    if curation is not None and not isinstance(curation, Curation):
        curation = Curation.load(to_path(curation, "curation", "file or directory"))
    demonstrations = read_demonstrations(
        source, format=format, obs_keys=obs_keys, min_frames=min_frames, one_hot=one_hot
    )
    left_out = write_demonstrations(
        demonstrations, target, format=name, importance=loaded_map, curation=curation
    )
    return Conversion(demonstrations, name, left_out)
