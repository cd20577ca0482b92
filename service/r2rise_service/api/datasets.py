"""`/datasets`: upload, find and remove demonstrations."""

import json
from collections.abc import Iterator
from typing import IO, Annotated, Any, NoReturn

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import UploadFile

from r2rise_service.api.access import MAX_FORM_BYTES, PREFIX
from r2rise_service.api.context import Context, Owner, RequestContext
from r2rise_service.api.problems import ProblemError, problems
from r2rise_service.models import DatasetInfo, DatasetPage, ProblemPart
from r2rise_service.storage import NewDataset
from r2rise_service.storage.inspect_upload import inspect

router = APIRouter(tags=["datasets"])

_CHUNK_BYTES = 2**20
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": ".npz"},
                        "metadata": {"type": "string", "description": "A JSON object."},
                    },
                    "examples": [{"file": "demos.npz", "metadata": '{"robot": "arm"}'}],
                }
            }
        },
    }
}


@router.post(
    "/datasets",
    status_code=201,
    response_model=DatasetInfo,
    responses={
        200: {"model": DatasetInfo, "description": "This content was already stored."},
        **problems(400),
    },
    openapi_extra=_FORM,
)
async def upload(
    request: Request, response: Response, context: RequestContext, owner: Owner
) -> DatasetInfo:
    """Upload demonstrations (`.npz`); the same content again gives the existing dataset."""
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != "multipart/form-data":
        detail = (
            f"Expected multipart/form-data with a part `file`, got {media_type or 'no type'!r}."
        )
        raise ProblemError(415, "unsupported-media-type", detail)
    async with request.form(max_files=1, max_fields=1, max_part_size=MAX_FORM_BYTES) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile) or set(form) - {"file", "metadata"}:
            detail = f"Expected the parts `file` (and `metadata`), got {sorted(form)}."
            raise ProblemError(422, "invalid", detail)
        metadata = _parse_metadata(form.get("metadata"))
        info, is_new = await run_sync(
            _store_upload, context, owner, file.file, metadata, limiter=context.inspection_limiter
        )
    context.metrics.uploads.labels(str(is_new).lower()).inc()
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"{PREFIX}/datasets/{info.id}"
    return info


@router.get("/datasets")
def datasets(
    context: RequestContext,
    owner: Owner,
    sha256: str | None = None,
    page_size: Annotated[int, Query(ge=1, le=500)] = 50,
    page_token: str | None = None,
) -> DatasetPage:
    """List your datasets, newest first."""
    try:
        return context.store.datasets.page(
            owner, sha256=sha256, page_size=page_size, page_token=page_token
        )
    except ValueError as error:
        raise ProblemError(422, "bad-page-token", str(error)) from None


@router.get("/datasets/{dataset_id}")
def dataset(dataset_id: str, context: RequestContext, owner: Owner) -> DatasetInfo:
    """Return one of your datasets."""
    return require_dataset(context, owner, dataset_id)


@router.delete("/datasets/{dataset_id}", status_code=204, responses=problems(409))
def remove(dataset_id: str, context: RequestContext, owner: Owner) -> None:
    """Delete a dataset that no live job uses; its file is deleted when nothing uses it."""
    info = context.store.datasets.remove(owner, dataset_id) or _raise_not_found(dataset_id)
    context.store.remove_unused(context.files, info.sha256)


def require_dataset(context: Context, owner: str, dataset_id: str) -> DatasetInfo:
    """Return one of the owner's datasets.

    Raises:
        ProblemError: When the owner has no dataset with this id.
    """
    return context.store.datasets.get(owner, dataset_id) or _raise_not_found(dataset_id)


def _store_upload(
    context: Context, owner: str, file: IO[bytes], metadata: dict[str, Any]
) -> tuple[DatasetInfo, bool]:
    """Check an upload and store it under its content hash.

    Returns:
        The dataset, and whether it is new.
    """
    settings, files = context.settings, context.files
    path = files.receive(_chunks(file), settings.max_upload_bytes)
    try:
        facts = inspect(path, max_array_bytes=settings.max_array_bytes)
        new_dataset = NewDataset(
            owner, facts.sha256, facts.lengths, facts.obs_shape, facts.act_shape, metadata
        )
        with context.store.content_lock:
            files.keep(path, facts.sha256)
            return context.store.datasets.add(new_dataset)
    finally:
        path.unlink(missing_ok=True)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _parse_metadata(text: Any) -> dict[str, Any]:
    """Parse the metadata of an upload.

    Raises:
        ProblemError: When it is not a JSON object.
    """
    if text is None:
        return {}
    try:
        value = json.loads(text, parse_constant=_reject_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        detail = "Expected a JSON object, without NaN or Infinity."
        part = ProblemPart(pointer="#/metadata", detail=detail, code="json_invalid")
        raise ProblemError(422, "invalid", "The metadata cannot be used.", parts=[part])
    return value


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _raise_not_found(dataset_id: str) -> NoReturn:
    raise ProblemError(404, "not-found", f"You have no dataset {dataset_id!r}.")
