"""`/healthz`, `/readyz`, `/version` and `/metrics`: for operators of the server."""

import logging
import shutil
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from r2rise.results.result import versions
from r2rise_service.api.context import Context, RequestContext
from r2rise_service.api.metrics import State
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError, problems
from r2rise_service.models import Answer, ProblemPart
from r2rise_service.settings import MEBIBYTE

router = APIRouter(tags=["operation"])
logger = logging.getLogger(__name__)

_MIN_FREE_BYTES = 256 * MEBIBYTE


class Health(Answer):
    """The server runs."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """The server is ready for work; every part is `ok`."""

    status: Literal["ok"] = "ok"
    parts: dict[str, str]


class Version(Answer):
    """Versions that the numbers of a map depend on, and that of the API."""

    api: str = "v1"
    versions: dict[str, str]


@router.get("/healthz")
async def healthz() -> Health:
    """Report that the server runs; nothing else is checked."""
    return Health()


@router.get("/readyz", responses=problems(503))
def readyz(context: RequestContext) -> Readiness:
    """Report whether database, workers and disk are ready for work."""
    parts = _part_states(context)
    degraded = [
        ProblemPart(pointer=f"#/parts/{name}", detail=state, code="degraded")
        for name, state in parts.items()
        if state != "ok"
    ]
    if degraded:
        detail = (
            f"Not ready: {', '.join(f'{part.pointer[8:]} {part.detail}' for part in degraded)}."
        )
        raise ProblemError(
            503, "degraded", detail, headers={"Retry-After": RETRY_SECONDS}, parts=degraded
        )
    return Readiness(parts=parts)


@router.get("/version")
def version() -> Version:
    """Return the versions that the numbers of a map depend on."""
    return Version(versions=versions())


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(context: RequestContext) -> Response:
    """Return the metrics for Prometheus."""
    return Response(context.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def service_state(context: Context) -> State:
    """Return the state of the service for its metrics."""
    jobs, retrainings = context.store.jobs.count_by_status()
    engine = context.reconciler.load()
    return State(
        jobs=jobs,
        retrainings=retrainings,
        degraded={name: state != "ok" for name, state in _part_states(context).items()},
        reconciles=engine.reconciles,
        workers=engine.workers,
        shards=engine.shards,
    )


def _part_states(context: Context) -> dict[str, str]:
    return {
        "database": _database_state(context),
        "engine": context.reconciler.health()["engine"],
        "disk": _disk_state(context),
    }


def _database_state(context: Context) -> str:
    try:
        is_current = context.store.schema_versions().is_current
    except Exception:  # every error of the database means the same here
        logger.exception("the database cannot be reached")
        return "degraded: it cannot be reached"
    return "ok" if is_current else "degraded: its schema is old; run `r2rise db upgrade`"


def _disk_state(context: Context) -> str:
    free_bytes = shutil.disk_usage(context.settings.data).free
    return (
        "ok" if free_bytes > _MIN_FREE_BYTES else f"degraded: {free_bytes // MEBIBYTE} MiB are left"
    )
