"""`/keys`: make, list and revoke API keys; for administrators."""

from typing import NoReturn

from fastapi import APIRouter, Response

from r2rise_service.api.context import JSON_ONLY, RequestContext
from r2rise_service.api.problems import ProblemError, problems
from r2rise_service.keyring import StoreKeys
from r2rise_service.keys import KeyList, KeyRequest, NewKey

router = APIRouter(tags=["keys"])


@router.post("/keys", status_code=201, dependencies=JSON_ONLY, responses=problems(400))
def create(request: KeyRequest, response: Response, context: RequestContext) -> NewKey:
    """Create a key. Only this response has its secret."""
    keys = StoreKeys(context.store)
    key = keys.create(owner=request.owner, name=request.name, scopes=request.scopes)
    response.headers["Cache-Control"] = "no-store"
    return key


@router.get("/keys")
def list_keys(context: RequestContext) -> KeyList:
    """List the keys that were not revoked, without their secrets."""
    return KeyList(data=tuple(context.store.keys.valid()))


@router.delete("/keys/{key_id}", status_code=204)
def revoke(key_id: str, context: RequestContext) -> None:
    """Revoke a key."""
    if not context.store.keys.revoke(key_id):
        _raise_not_found(key_id)


def _raise_not_found(key_id: str) -> NoReturn:
    raise ProblemError(404, "not-found", f"There is no key {key_id}.")
