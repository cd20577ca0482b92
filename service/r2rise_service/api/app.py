"""The application: routers, the gate around them, and the errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from r2rise_service.api import (
    catalogue,
    comparisons,
    datasets,
    docs,
    events,
    health,
    importance,
    jobs,
    keys,
    pictures,
    results,
)
from r2rise_service.api.access import PREFIX, AccessControl, needed_scope
from r2rise_service.api.computed import Maps, Outcomes
from r2rise_service.api.context import Context
from r2rise_service.api.metrics import Metrics
from r2rise_service.api.observability import Observability
from r2rise_service.api.problems import ANY_PROBLEM, add_problems, describe_problems
from r2rise_service.models import Problem
from r2rise_service.queue.reconciler import Reconciler
from r2rise_service.settings import Settings
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles


def create_app(
    settings: Settings,
    store: Store,
    files: DatasetFiles,
    reconciler: Reconciler,
    *,
    operator_token: str | None = None,
) -> FastAPI:
    """Return the REST API.

    `app.state.context.stopping` is an event to set when the server is told to stop: event streams
    end then, which would otherwise hold up the shutdown.

    Args:
        settings: What the operator decided.
        store: State, migrated.
        files: Demonstrations.
        reconciler: What moves jobs on; started and stopped by whoever made it.
        operator_token: Opens everything to commands on this machine; None: nothing does.
    """
    metrics = Metrics()
    maps = Maps(store, files)
    outcomes = Outcomes(store, files, maps)
    context = Context(settings, store, files, reconciler, maps, outcomes, metrics)
    metrics.add_state(lambda: health.state_of(context))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        context.stopping.set()

    app = FastAPI(
        title="R2RISE",
        summary="Which frames of your demonstrations make the policy good, and which worse?",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its page loads scripts from other servers; ours does not
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.context = context
    app.state.looks = events.EventPoller(store, context.stopping.is_set)
    for module in (  # what is asked most is found first
        jobs, events, importance, results, datasets, pictures, catalogue, comparisons, health, keys,
    ):  # fmt: skip
        app.include_router(module.router, prefix=PREFIX, responses=ANY_PROBLEM)
    app.include_router(docs.router)
    app.mount(docs.ASSETS, docs.assets())
    add_problems(app)
    _describe(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=4)
    app.add_middleware(AccessControl, settings=settings, store=store, operator_token=operator_token)
    app.add_middleware(Observability, metrics=metrics)
    return app


def _describe(app: FastAPI) -> None:
    """Put into OpenAPI what no route says: problems, which all can answer, and keys."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe()
        template = "#/components/schemas/{model}"
        own = Problem.model_json_schema(ref_template=template, mode="serialization")
        parts = schema["components"]
        parts["schemas"].update({**own.pop("$defs", {}), "Problem": own})
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                needed = needed_scope(method.upper(), path)
                operation["security"] = [] if needed is None else [{"key": [needed]}]
        describe_problems(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
