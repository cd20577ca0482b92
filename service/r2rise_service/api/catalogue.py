"""`/environments` and `/algorithms`: what jobs may use."""

import inspect

from fastapi import APIRouter

from r2rise.algorithms import algorithm_names
from r2rise.algorithms.registry import load_implementation, needed_extra, settings_model
from r2rise.environments import environment_ids
from r2rise.errors import suggestion
from r2rise.study.specs import AlgorithmSpec
from r2rise_service.api.context import RequestContext
from r2rise_service.api.problems import ProblemError
from r2rise_service.api.studies import is_allowed
from r2rise_service.models import AlgorithmInfo, Answer, EnvironmentInfo

router = APIRouter(tags=["catalogue"])


class EnvironmentList(Answer):
    """The environments that jobs may use."""

    data: tuple[EnvironmentInfo, ...]


class AlgorithmList(Answer):
    """All installed algorithms."""

    data: tuple[AlgorithmInfo, ...]


@router.get("/environments")
def environments(context: RequestContext) -> EnvironmentList:
    """List the environments that jobs may use."""
    patterns = context.settings.environments
    ids = [name for name in environment_ids() if is_allowed(name, patterns)]
    return EnvironmentList(data=tuple(EnvironmentInfo(id=name) for name in ids))


@router.get("/algorithms")
def algorithms() -> AlgorithmList:
    """List the installed algorithms with the JSON Schema of their settings."""
    return AlgorithmList(data=tuple(map(_describe, algorithm_names())))


@router.get("/algorithms/{name}")
def algorithm(name: str) -> AlgorithmInfo:
    """Return an installed algorithm."""
    if name not in algorithm_names():
        detail = f"There is no algorithm {name!r}. {suggestion(name, algorithm_names())}"
        raise ProblemError(404, "not-found", detail)
    return _describe(name)


def _describe(name: str) -> AlgorithmInfo:
    implementation = load_implementation(AlgorithmSpec(name=name))
    summary = (inspect.getdoc(implementation) or "").partition("\n")[0]
    schema = settings_model(implementation).model_json_schema()
    return AlgorithmInfo(
        name=name, summary=summary, settings=schema, needed_extra=needed_extra(name)
    )
