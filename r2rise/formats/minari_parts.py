"""What both kinds of Minari files share."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import DemonstrationsError, require
from r2rise.formats import hdf5

METADATA = "metadata.json"


def meta_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a dataset, from its metadata."""
    own = metadata.get(hdf5.OWN)
    if isinstance(own, dict) and isinstance(own.get("meta"), dict):
        return dict(own["meta"])
    known = {key: metadata[key] for key in ("dataset_id", "env_spec") if key in metadata}
    return {"source": "minari", **known}


def check_number(path: Path, n_episodes: int, metadata: Mapping[str, Any]) -> None:
    """Check that there are as many episodes as the metadata say.

    Raises:
        DemonstrationsError: When there are not.
    """
    claimed = metadata.get("total_episodes", n_episodes)
    if claimed != n_episodes:
        raise DemonstrationsError(
            f"{path}: {METADATA} says that there are {claimed} episodes, but there are "
            f"{n_episodes}. Copy the whole dataset."
        )


def decoded(pictures: list[bytes]) -> NDArray[np.uint8]:
    """Return JPEG pictures as an array, (n, H, W) or (n, H, W, 3).

    Raises:
        MissingExtra: When pillow is not installed.
        DemonstrationsError: When one is no picture.
    """
    require("PIL", "Reading pictures stored as JPEG", "formats")
    from PIL import Image

    try:
        return np.stack([np.asarray(Image.open(io.BytesIO(one), formats=["JPEG"]), np.uint8)
                         for one in pictures])  # fmt: skip
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DemonstrationsError(f"observations should be JPEG pictures: {error}.") from None
