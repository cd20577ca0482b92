"""Shared parts of the readers of Minari's HDF5 and Arrow datasets."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError, require
from r2rise.formats import hdf5

METADATA = "metadata.json"


def extract_meta(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `meta` of demonstrations from the metadata of a dataset.

    It is the original one if R2RISE wrote the dataset.
    """
    r2rise_fields = metadata.get(hdf5.R2RISE_KEY)
    if isinstance(r2rise_fields, dict) and isinstance(r2rise_fields.get("meta"), dict):
        return dict(r2rise_fields["meta"])
    minari_fields = {key: metadata[key] for key in ("dataset_id", "env_spec") if key in metadata}
    return {"source": "minari", **minari_fields}


def check_episode_count(path: Path, n_episodes: int, metadata: Mapping[str, Any]) -> None:
    """Check that the number of episodes is that of the metadata.

    Raises:
        DemonstrationsError: If it is not.
    """
    claimed = metadata.get("total_episodes", n_episodes)
    if claimed != n_episodes:
        raise DemonstrationsError(
            f"{path}: {METADATA} says that there are {claimed} episodes, but there are "
            f"{n_episodes}. Copy the whole dataset."
        )


def is_terminal(terminations: NDArray[Any], name: str) -> bool:
    """Return whether the last frame of an episode led to a terminal state. No earlier one may.

    Raises:
        DemonstrationsError: If an earlier one did.
    """
    if terminations[:-1].any():
        raise DemonstrationsError(
            f"{name} goes on after terminations was set: only its last frame may be terminal."
        )
    return bool(terminations[-1:].any())


def decode_jpegs(pictures: list[bytes]) -> NDArray[np.uint8]:
    """Return JPEG pictures as an array, (n, H, W) or (n, H, W, 3).

    Raises:
        MissingExtra: If pillow is not installed.
        DemonstrationsError: If one is not a JPEG picture.
    """
    require("PIL", "Reading pictures stored as JPEG", "formats")
    from PIL import Image

    try:
        return np.stack([np.asarray(Image.open(io.BytesIO(data), formats=["JPEG"]), np.uint8)
                         for data in pictures])  # fmt: skip
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DemonstrationsError(f"observations should be JPEG pictures: {error}.") from None
