"""`/datasets/{id}/demonstrations/{i}/frames/{t}.png`: the picture of a frame."""

import io
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Response
from numpy.typing import NDArray

from r2rise_service.api.context import Owner, RequestContext
from r2rise_service.api.datasets import require_dataset
from r2rise_service.api.jobs import etag_matches
from r2rise_service.api.problems import ProblemError
from r2rise_service.models import DatasetInfo

router = APIRouter(tags=["datasets"])

_MAX_CHANNELS = 64
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/png": {}}},
    304: {"description": "The picture has not changed."},
}
Picture = NDArray[np.uint8]


@router.get(
    "/datasets/{dataset_id}/demonstrations/{demonstration}/frames/{frame}.png",
    response_class=Response,
    responses=_RESPONSES,
)
def picture(
    dataset_id: str,
    demonstration: int,
    frame: int,
    context: RequestContext,
    owner: Owner,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the picture of a frame: from `frames`, or else its image observation."""
    info = require_dataset(context, owner, dataset_id)
    _check_range(info, demonstration, frame)
    etag = f'"{info.sha256[7:39]}-{demonstration}-{frame}"'
    headers = {"ETag": etag, "Cache-Control": "private, max-age=86400, immutable"}
    if etag_matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    row = sum(info.lengths[:demonstration]) + frame
    image = read_picture(context.files.unpacked(info.sha256), row, row + demonstration)
    if image is None:
        detail = (
            "These demonstrations have no pictures: expected the array `frames`, or observations "
            f"that are uint8 images, got observations of shape {info.obs_shape}."
        )
        raise ProblemError(404, "no-picture", detail)
    return Response(_png(image), headers=headers, media_type="image/png")


def read_picture(folder: Path, frame: int, observation: int) -> Picture | None:
    """Return a picture, (height, width) or (height, width, 3) uint8, or None if there is none.

    Args:
        folder: Unpacked demonstrations; only one row of them is read.
        frame: Row of `frames`.
        observation: Row of `obs`.
    """
    frames = folder / "frames.npy"
    if frames.exists():
        return np.array(np.load(frames, mmap_mode="r", allow_pickle=False)[frame])
    obs = np.load(folder / "obs.npy", mmap_mode="r", allow_pickle=False)
    return newest_image(np.array(obs[observation]))


def newest_image(observation: NDArray[Any]) -> Picture | None:
    """Return the picture in an image observation, or None when it is not an image.

    Of several stacked images, the last is the newest. Three channels, or a multiple of three, are
    colours; any other number of channels are grey images.

    Args:
        observation: (height, width), (height, width, channels), (channels, height, width), or
            a stack of one of the last two, uint8.
    """
    if observation.ndim == 4:
        observation = observation[-1]
    if observation.dtype != np.uint8 or observation.ndim not in (2, 3) or 0 in observation.shape:
        return None
    if observation.ndim == 2:
        return observation
    if observation.shape[0] < observation.shape[-1]:
        observation = np.moveaxis(observation, 0, -1)
    n_channels = observation.shape[-1]
    if n_channels > _MAX_CHANNELS:
        return None
    return observation[..., -3:] if n_channels % 3 == 0 else observation[..., -1]


def _check_range(info: DatasetInfo, demonstration: int, frame: int) -> None:
    if not 0 <= demonstration < info.n_demonstrations:
        detail = f"There are demonstrations 0 to {info.n_demonstrations - 1}."
        raise ProblemError(404, "not-found", detail)
    if not 0 <= frame < info.lengths[demonstration]:
        last_frame = info.lengths[demonstration] - 1
        detail = f"Demonstration {demonstration} has frames 0 to {last_frame}."
        raise ProblemError(404, "not-found", detail)


def _png(picture: Picture) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG")
    return file.getvalue()
