"""`r2rise convert`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from r2rise_service.cli.options import Force, Format, ObsKeys, split_commas, with_option_groups
from r2rise_service.cli.reading import Reading, check_keys
from r2rise_service.cli.ready import check_files, get_ready

if TYPE_CHECKING:
    from r2rise import Curation, Demonstrations


@with_option_groups
def convert(
    *,
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
    reading: Reading,
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
    import r2rise

    get_ready()
    _check_target(source, target, force=force)
    check_keys(source, format, obs_keys)
    conversion = r2rise.convert(
        source,
        target,
        format=format,
        to=to,
        obs_keys=split_commas(obs_keys) or (),
        importance_map=map,
        curation=None if map is None else _curation_beside(map),
        **reading.arguments(),
    )
    for note in conversion.left_out:
        typer.echo(f"Left out: {note}.", err=True)
    size = _size(conversion.demonstrations)
    typer.echo(f"Written: {target}, {conversion.format}, {size}.", err=True)


def _check_target(source: Path, target: Path, *, force: bool) -> None:
    """Check, before anything is read, that the target may be written.

    In a folder, the format decides which files are written; the source is never replaced.

    Raises:
        InputError: When it cannot be written, or a file would be replaced.
    """
    is_source = target.exists() and source.exists() and source.samefile(target)
    if not target.is_dir() and not is_source:
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
