"""Demonstrations on the server."""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from r2rise.data.demonstrations import Demonstrations
from r2rise.formats import read_demonstrations, recognise
from r2rise_service.client.reading import read
from r2rise_service.client.transport import Transport
from r2rise_service.models import DatasetInfo, DatasetPage


class Datasets:
    """`client.datasets`: upload, find and delete demonstrations."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self,
        demonstrations: str | Path | Demonstrations,
        *,
        obs_keys: Sequence[str] = (),
        format: str | None = None,  # noqa: A002
        metadata: Mapping[str, Any] | None = None,
    ) -> DatasetInfo:
        """Upload demonstrations, unless the server has them.

        Args:
            demonstrations: A file or folder of any format that `r2rise convert` reads, which is
                converted here, or the demonstrations themselves. The server takes `.npz` alone.
            obs_keys: For a file with dict observations: the keys to concatenate, as in the
                study's environment.
            format: Of the file, if it cannot be told from what it holds.
            metadata: Whatever you want to say about them, JSON-ready; not looked at when the
                server has them.

        Raises:
            DemonstrationsError: When the file cannot be used.
            Refused: When the server does not take them.
        """
        if isinstance(demonstrations, Demonstrations):
            loaded, path = demonstrations, None
        else:
            source = Path(demonstrations)
            name = format or recognise(source)
            loaded = read_demonstrations(source, format=name, obs_keys=obs_keys)
            path = source if name == "npz" and _has_one_array(source) else None
        known = self._known(loaded.content_hash)
        if known is not None:
            return known
        return self._upload_file(path, metadata) if path else self._upload_arrays(loaded, metadata)

    def get(self, dataset_id: str) -> DatasetInfo:
        """Return a dataset.

        Raises:
            NotFound: When there is none of this id.
        """
        response = self._transport.request("GET", f"/datasets/{quote(dataset_id, safe='')}")
        return read(DatasetInfo, response.content)

    def list(self) -> Sequence[DatasetInfo]:
        """Return all your datasets, newest first."""
        return [*self._find()]

    def delete(self, dataset_id: str) -> None:
        """Delete a dataset.

        Raises:
            NotFound: When there is none of this id.
            Conflict: While a live job uses it.
        """
        self._transport.request("DELETE", f"/datasets/{quote(dataset_id, safe='')}")

    def _known(self, sha256: str) -> DatasetInfo | None:
        return next(self._find(sha256=sha256), None)

    def _find(self, **params: str) -> Iterator[DatasetInfo]:
        """Yield datasets, asking for further pages when they are needed."""
        for page in self._transport.pages("/datasets", DatasetPage, params):
            yield from page.data

    def _upload_arrays(
        self, demonstrations: Demonstrations, metadata: Mapping[str, Any] | None
    ) -> DatasetInfo:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "demonstrations.npz"
            demonstrations.save(path)
            return self._upload_file(path, metadata)

    def _upload_file(self, path: Path, metadata: Mapping[str, Any] | None) -> DatasetInfo:
        with path.open("rb") as file:
            response = self._transport.request(
                "POST",
                "/datasets",
                repeatable=True,  # the same content twice is one dataset
                files={"file": (path.name, file, "application/octet-stream")},
                data={"metadata": json.dumps(dict(metadata))} if metadata else {},
            )
        return read(DatasetInfo, response.content)


def _has_one_array(path: Path) -> bool:
    """Say whether observations are one array in the file, not one for each key."""
    with zipfile.ZipFile(path) as archive:
        return "obs.npy" in archive.namelist()
