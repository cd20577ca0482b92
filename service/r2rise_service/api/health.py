"""`/healthz`, `/readyz`, `/version` and `/metrics`: for those who run the server."""

import logging
import shutil
from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from r2rise.results.result import versions
from r2rise_service.api.context import Context, InContext
from r2rise_service.api.metrics import State
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError, problems
from r2rise_service.models import Answer, ProblemPart
from r2rise_service.settings import MEBIBYTE

router = APIRouter(tags=["operation"])
logger = logging.getLogger(__name__)

_FREE_BYTES = 256 * MEBIBYTE


class Health(Answer):
    """The server runs."""

    status: Literal["ok"] = "ok"


class Readiness(Answer):
    """The server can take work; every part is `ok`."""

    status: Literal["ok"] = "ok"
    parts: dict[str, str]


class Version(Answer):
    """Versions that the numbers of a map depend on, and that of the API."""

    api: str = "v1"
    versions: dict[str, str]


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the server runs; nothing else is looked at."""
    return Health()


@router.get("/readyz", responses=problems(503))
def readyz(context: InContext) -> Readiness:
    """Say whether database, engine and disk are fit for work."""
    parts = _parts(context)
    wrong = [
        ProblemPart(pointer=f"#/parts/{name}", detail=state, code="degraded")
        for name, state in parts.items()
        if state != "ok"
    ]
    if wrong:
        detail = f"Not ready: {', '.join(f'{part.pointer[8:]} {part.detail}' for part in wrong)}."
        raise ProblemError(
            503, "degraded", detail, headers={"Retry-After": RETRY_SECONDS}, parts=wrong
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
def metrics(context: InContext) -> Response:
    """Return what a Prometheus server collects."""
    return Response(context.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def state_of(context: Context) -> State:
    """Return what metrics tell about the service at this moment."""
    jobs, retrainings = context.store.jobs.count_by_status()
    engine = context.reconciler.load()
    return State(
        jobs=jobs,
        retrainings=retrainings,
        degraded={name: state != "ok" for name, state in _parts(context).items()},
        reconciles=engine.reconciles,
        workers=engine.workers,
        shards=engine.shards,
    )


def _parts(context: Context) -> dict[str, str]:
    return {
        "database": _database(context),
        "engine": context.reconciler.health()["engine"],
        "disk": _disk(context),
    }


def _database(context: Context) -> str:
    try:
        current = context.store.schema_versions().is_current
    except Exception:  # whatever the database raises means the same here
        logger.exception("the database cannot be reached")
        return "degraded: it cannot be reached"
    return "ok" if current else "degraded: its schema is old; run `r2rise db upgrade`"


def _disk(context: Context) -> str:
    free = shutil.disk_usage(context.settings.data).free
    return "ok" if free > _FREE_BYTES else f"degraded: {free // MEBIBYTE} MiB are left"
