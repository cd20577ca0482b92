"""The application: its routers, the middleware around them, and its error handlers."""

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
from r2rise_service.api.problems import ANY_PROBLEM, add_problem_handlers, describe_problems
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

    Set the event `app.state.context.stopping` when the server is told to stop: it ends the event
    streams, which would otherwise hold up the shutdown.

    Args:
        settings: The operator's settings.
        store: The database, already migrated.
        files: Demonstrations as files.
        reconciler: Runs the jobs; the caller starts and stops it.
        operator_token: Gives commands on this machine every scope; None disables it.
    """
    metrics = Metrics()
    maps = Maps(store, files)
    outcomes = Outcomes(store, files, maps)
    context = Context(settings, store, files, reconciler, maps, outcomes, metrics)
    metrics.add_state(lambda: health.service_state(context))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        context.stopping.set()

    app = FastAPI(
        title="R2RISE",
        summary="Which frames of demonstrations make a policy good, and which make it worse",
        version="1",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # FastAPI's page loads scripts from other servers; `docs` does not
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.context = context
    app.state.event_poller = events.EventPoller(store, context.stopping.is_set)
    for module in (  # matched in this order: frequent requests first
        jobs, events, importance, results, datasets, pictures, catalogue, comparisons, health, keys,
    ):  # fmt: skip
        app.include_router(module.router, prefix=PREFIX, responses=ANY_PROBLEM)
    app.include_router(docs.router)
    app.mount(docs.ASSETS, docs.assets())
    add_problem_handlers(app)
    _extend_openapi(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=4)
    app.add_middleware(AccessControl, settings=settings, store=store, operator_token=operator_token)
    app.add_middleware(Observability, metrics=metrics)
    return app


def _extend_openapi(app: FastAPI) -> None:
    """Add to OpenAPI what no route declares: the problems of every route, and the keys."""
    describe_routes = app.openapi

    def openapi() -> dict[str, Any]:
        schema = describe_routes()
        template = "#/components/schemas/{model}"
        problem_schema = Problem.model_json_schema(ref_template=template, mode="serialization")
        components = schema["components"]
        components["schemas"].update({**problem_schema.pop("$defs", {}), "Problem": problem_schema})
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                scope = needed_scope(method.upper(), path)
                operation["security"] = [] if scope is None else [{"key": [scope]}]
        describe_problems(schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
