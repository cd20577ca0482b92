"""Small pictures of frames, for viewing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2rise.errors import EnvironmentMismatch


def small_picture(rendered: Any, height: int) -> NDArray[np.uint8]:
    """Scale a rendered frame down to at most `height` pixels.

    Args:
        rendered: (H, W, 3), uint8 or floats from 0 to 1.
        height: Pixels; a lower picture is not scaled.

    Returns:
        A copy, (h, w, 3) uint8, with the same proportions.

    Raises:
        EnvironmentMismatch: When `rendered` is not a picture.
    """
    picture = np.asarray(rendered)
    if picture.ndim != 3 or picture.shape[2] != 3 or not _is_pixel_type(picture.dtype):
        raise EnvironmentMismatch(
            f"The environment should render pictures (height, width, 3) uint8, got "
            f"{picture.shape} {picture.dtype}: record without pictures."
        )
    if picture.dtype.kind == "f":
        picture = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    if len(picture) <= height:
        return picture.copy()
    import torch

    width = max(1, round(picture.shape[1] * height / len(picture)))
    planes = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(
        planes, (height, width), mode="bilinear", antialias=True, align_corners=False
    )
    scaled: NDArray[np.uint8] = small[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    return scaled


def _is_pixel_type(dtype: np.dtype[Any]) -> bool:
    return dtype == np.uint8 or dtype.kind == "f"
