"""`r2rise convert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import Force, Format, MinFrames, ObsKeys, split_commas
from r2rise_service.cli.ready import check_files, get_ready

if TYPE_CHECKING:
    from r2rise import Curation, Demonstrations


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="File or folder to read.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File or folder to write.")],
    format: Format = None,  # noqa: A002
    to: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Format of OUT, if its extension does not identify it; see docs/formats.md.",
        ),
    ] = None,
    obs_keys: ObsKeys = None,
    min_frames: MinFrames = 1,
    map: Annotated[  # noqa: A002
        Path | None,
        typer.Option(
            metavar="MAP",
            help="Importance map of IN, or its directory; for robomimic and LeRobot.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Convert demonstrations between file formats.

    Example: r2rise convert demos.hdf5 demos.npz --obs-keys object,robot0_eef_pos
    """
    from r2rise import ImportanceMap
    from r2rise.formats import format_to_write, read_demonstrations, write_demonstrations

    get_ready()
    _check_target(source, target, force=force)
    name = to or format_to_write(target)
    importance = None if map is None else ImportanceMap.load(map)
    curation = None if map is None else _curation_beside(map)
    demonstrations = read_demonstrations(
        source, format=format, obs_keys=split_commas(obs_keys) or (), min_frames=min_frames
    )
    notes = write_demonstrations(
        demonstrations, target, format=name, importance=importance, curation=curation
    )
    for note in notes:
        typer.echo(f"Left out: {note}.", err=True)
    typer.echo(f"Written: {target}, {name}, {_size(demonstrations)}.", err=True)


def _check_target(source: Path, target: Path, *, force: bool) -> None:
    """Check the target before anything is read.

    Raises:
        InputError: When it is the source, or cannot be written.
    """
    from r2rise.errors import InputError

    if target.exists() and source.exists() and source.samefile(target):
        raise InputError(f"OUT should not be IN, {target}: give another name.")
    if not target.is_dir():  # in a directory, the format decides which files are written
        check_files(target, force=force, option="OUT")


def _curation_beside(map_: Path) -> "Curation | None":
    from r2rise import Curation

    path = (map_ if map_.is_dir() else map_.parent) / Curation.file_name
    return Curation.load(path) if path.exists() else None


def _size(demonstrations: "Demonstrations") -> str:
    from r2rise.statistics.wording import counted

    return (
        f"{counted(len(demonstrations), 'demonstration')}, "
        f"{counted(demonstrations.n_frames, 'frame')}"
    )
