"""`/keys`: who may use the server; for administrators."""

from typing import NoReturn

from fastapi import APIRouter, Response

from r2rise_service.api.context import JSON_ONLY, InContext
from r2rise_service.api.problems import ProblemError, problems
from r2rise_service.keyring import StoreKeys
from r2rise_service.keys import KeyList, KeyRequest, NewKey

router = APIRouter(tags=["keys"])


@router.post("/keys", status_code=201, dependencies=JSON_ONLY, responses=problems(400))
def create(asked: KeyRequest, response: Response, context: InContext) -> NewKey:
    """Make a key. Its secret is in this answer and nowhere else."""
    keys = StoreKeys(context.store)
    made = keys.create(owner=asked.owner, name=asked.name, scopes=asked.scopes)
    response.headers["Cache-Control"] = "no-store"
    return made


@router.get("/keys")
def list_keys(context: InContext) -> KeyList:
    """List the keys that were not revoked, without their secrets."""
    return KeyList(data=tuple(context.store.keys.valid()))


@router.delete("/keys/{key_id}", status_code=204)
def revoke(key_id: str, context: InContext) -> None:
    """Revoke a key: it opens nothing any more."""
    if not context.store.keys.revoke(key_id):
        _unknown(key_id)


def _unknown(key_id: str) -> NoReturn:
    raise ProblemError(404, "not-found", f"There is no key {key_id}.")
