"""Writes docs/openapi.json: `python tests/support/make_openapi.py`."""

import json
import tempfile
from pathlib import Path

from places import ROOT

from r2rise_service.api.app import create_app
from r2rise_service.queue.reconciler import Reconciler
from r2rise_service.settings import Settings
from r2rise_service.storage import Store
from r2rise_service.storage.files import DatasetFiles

PATH = ROOT / "docs" / "openapi.json"


def openapi(folder: Path, reconciler: Reconciler) -> str:
    """Return the description of the REST API."""
    settings = Settings(data=folder)
    store = Store(settings.database_url)
    try:
        app = create_app(settings, store, DatasetFiles(settings.datasets), reconciler)
        return json.dumps(app.openapi(), indent=1, sort_keys=True) + "\n"
    finally:
        store.close()


if __name__ == "__main__":
    from api_helpers import Recorder

    with tempfile.TemporaryDirectory() as scratch:
        PATH.write_text(openapi(Path(scratch), Recorder()), encoding="utf-8")
