"""`/healthz`, `/readyz` and `/version`: for those who run the server; no key is needed."""

import logging
import shutil

from fastapi import APIRouter

from r2rise.mapping import versions
from r2rise_service.api.answers import Health, Readiness, Version
from r2rise_service.api.context import Context, InContext
from r2rise_service.api.problems import RETRY_SECONDS, ProblemError
from r2rise_service.models import ProblemPart
from r2rise_service.settings import MEBIBYTE

router = APIRouter(tags=["operation"])
logger = logging.getLogger(__name__)

_FREE_BYTES = 256 * MEBIBYTE


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the server runs; nothing else is looked at."""
    return Health()


@router.get("/readyz")
def readyz(context: InContext) -> Readiness:
    """Say whether database, engine and disk are fit for work."""
    parts = {
        "database": _database(context),
        "engine": context.reconciler.health()["engine"],
        "disk": _disk(context),
    }
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


def _database(context: Context) -> str:
    try:
        current = context.store.is_current()
    except Exception:  # whatever the database raises means the same here
        logger.exception("the database cannot be reached")
        return "degraded: it cannot be reached"
    return "ok" if current else "degraded: its schema is old; run `r2rise db upgrade`"


def _disk(context: Context) -> str:
    free = shutil.disk_usage(context.settings.data).free
    return "ok" if free > _FREE_BYTES else f"degraded: {free // MEBIBYTE} MiB are left"
