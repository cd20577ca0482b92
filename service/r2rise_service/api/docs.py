"""`/docs`: an interactive page that describes the API. This server serves all of its files."""

import base64
import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles
from starlette.responses import HTMLResponse, RedirectResponse

from r2rise_service.api.access import DOCS, PREFIX

router = APIRouter(include_in_schema=False)

ASSETS = f"{DOCS}/assets"


def assets() -> StaticFiles:
    """Return the files of the page, which come with the package fastapi-offline."""
    spec = find_spec("fastapi_offline")
    origin = spec.origin if spec else None
    return StaticFiles(directory=Path(origin or "").parent / "static")


@router.get("/docs")
async def redirect_to_docs() -> RedirectResponse:
    """Redirect to the page from the address that people try first."""
    return RedirectResponse(DOCS)


@router.get(DOCS)
async def docs() -> HTMLResponse:
    """Return the page."""
    page = get_swagger_ui_html(
        openapi_url=f"{PREFIX}/openapi.json",
        title="R2RISE: REST API",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},  # the default validates on another server
    )
    page.headers["Content-Security-Policy"] = _content_security_policy(bytes(page.body).decode())
    return page


def _content_security_policy(html: str) -> str:
    """Return a policy that allows the script in the page and files of this server, nothing else."""
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; connect-src 'self'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    )
