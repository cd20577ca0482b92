"""Which format a file or folder has, told by what it holds."""

import zipfile
from pathlib import Path

from r2rise.errors import DemonstrationsError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

KNOWN = (
    ".npz, CSV with a column demonstration, HDF5 of robomimic or D4RL, a folder of Minari or of "
    "the imitation library"
)


def recognise(path: Path) -> str:
    """Return the name of a file's or folder's format.

    Raises:
        DemonstrationsError: When it has none of the known formats, or could have two.
    """
    if not path.exists():
        raise DemonstrationsError(f"There is no file {path}.")
    try:
        found = _of_folder(path) if path.is_dir() else _of_file(path)
    except OSError as error:
        raise DemonstrationsError(f"Cannot read {path}: {error}.") from None
    if len(found) == 1:
        return found[0]
    if found:
        raise DemonstrationsError(
            f"{path} could be read as {' or '.join(found)}: say which with `r2rise convert "
            f"--format`."
        )
    raise DemonstrationsError(
        f"Cannot read {path}: it has none of the known formats ({KNOWN}). If it is one of them, "
        f"say which with `r2rise convert --format`."
    )


def _of_folder(path: Path) -> list[str]:
    from r2rise.formats import imitation, minari

    found = []
    if (path / imitation.STATE).is_file():
        found.append("imitation")
    if minari.data_folder(path) is not None:
        found.append("minari")
    return found


def _of_file(path: Path) -> list[str]:
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(_HDF5_SIGNATURE):
        return _of_hdf5(path)
    if zipfile.is_zipfile(path) or start.startswith(b"PK") or path.suffix.lower() == ".npz":
        return ["npz"]
    header = start.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].split(b",")
    names = {name.strip().strip(b'"') for name in header}
    return ["csv"] if path.suffix.lower() == ".csv" or b"demonstration" in names else []


def _of_hdf5(path: Path) -> list[str]:
    from r2rise.formats import hdf5

    with hdf5.opened(path) as file:
        found = []
        if "data" in file:
            found.append("robomimic")
        if {"observations", "actions"} <= set(file):
            found.append("d4rl")
        if not found and hdf5.numbered(file, "episode_"):
            raise DemonstrationsError(
                f"{path} is part of a dataset of Minari: give the folder that holds it and "
                f"metadata.json."
            )
        if not found:
            raise DemonstrationsError(
                f"{path} is HDF5, but neither robomimic's (data/demo_0/...) nor D4RL's "
                f"(observations, actions, ...); it holds {', '.join(list(file)[:20]) or 'nothing'}."
            )
        return found
