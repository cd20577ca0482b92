"""Recognises the format of a file or folder by its content."""

import zipfile
from pathlib import Path

from r2rise.errors import DemonstrationsError

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PARQUET_SIGNATURE = b"PAR1"
_TABLE_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")

KNOWN_FORMATS = (
    ".npz, CSV with a column demonstration, HDF5 of robomimic or D4RL, a folder of Minari or of "
    "the imitation library"
)


def recognise(path: Path) -> str:
    """Return the name of a file's or folder's format.

    Raises:
        DemonstrationsError: If it has none of the known formats, or could have several.
    """
    if not path.exists():
        raise DemonstrationsError(f"There is no file {path}.")
    try:
        candidates = _folder_formats(path) if path.is_dir() else _file_formats(path)
    except OSError as error:
        raise DemonstrationsError(f"Cannot read {path}: {error}.") from None
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise DemonstrationsError(
            f"{path} could be read as {' or '.join(candidates)}: select one with `format`."
        )
    if _is_lerobot(path):
        raise DemonstrationsError(
            f"Cannot read {path}: it is a LeRobot dataset or a Parquet file, which R2RISE does not "
            f"read. Load its episodes in Python and pass them to Demonstrations.from_episodes."
        )
    raise DemonstrationsError(
        f"Cannot read {path}: it has none of the known formats ({KNOWN_FORMATS}). If it is one of "
        f"them, select it with `format`."
    )


def _is_lerobot(path: Path) -> bool:
    if path.is_dir():
        return (path / "meta" / "info.json").is_file()
    with path.open("rb") as file:
        return file.read(len(_PARQUET_SIGNATURE)) == _PARQUET_SIGNATURE


def _folder_formats(path: Path) -> list[str]:
    from r2rise.formats import imitation, minari

    candidates = []
    if (path / imitation.STATE).is_file():
        candidates.append("imitation")
    if minari.data_folder(path) is not None:
        candidates.append("minari")
    return candidates


def _file_formats(path: Path) -> list[str]:
    from r2rise.formats import csv_text

    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(_HDF5_SIGNATURE):
        return _hdf5_formats(path)
    if zipfile.is_zipfile(path) or start.startswith(b"PK") or path.suffix.lower() == ".npz":
        return ["npz"]
    is_named_table = path.name.lower().endswith(_TABLE_ENDINGS)
    return ["csv"] if is_named_table or "demonstration" in csv_text.header(start) else []


def _hdf5_formats(path: Path) -> list[str]:
    from r2rise.formats import hdf5

    with hdf5.open_file(path) as file:
        candidates = []
        if "data" in file:
            candidates.append("robomimic")
        if {"observations", "actions"} <= set(file):
            candidates.append("d4rl")
        if not candidates and hdf5.numbered_members(file, "episode_"):
            raise DemonstrationsError(
                f"{path} is part of a Minari dataset: give the folder that holds it and "
                f"metadata.json."
            )
        if not candidates:
            raise DemonstrationsError(
                f"{path} is HDF5, but neither robomimic's (data/demo_0/...) nor D4RL's "
                f"(observations, actions, ...); it holds {', '.join(list(file)[:20]) or 'nothing'}."
            )
        return candidates
