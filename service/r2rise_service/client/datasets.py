"""Demonstrations on the server."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from r2rise.data.demonstrations import Demonstrations
from r2rise.formats import observation_keys, read_demonstrations, recognise
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
        min_frames: int = 1,
        one_hot: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> DatasetInfo:
        """Upload demonstrations, unless the server already has them.

        Args:
            demonstrations: Demonstrations, or a file or folder in any format that `r2rise convert`
                reads. Other formats than `.npz` are converted here: the server accepts no others.
            obs_keys: For a file with dict observations: the keys to concatenate, as in the
                study's environment.
            format: Format of the file, needed if its content does not identify it.
            min_frames: Demonstrations of a file with fewer frames are left out.
            one_hot: Whether actions of a file are one-hot. Each is read as the number of its 1.
            metadata: Any description of the demonstrations, as JSON-serializable values; ignored
                when the server already has them.

        Raises:
            DemonstrationsError: When the file cannot be used.
            Refused: When the server does not accept the demonstrations.
        """
        if isinstance(demonstrations, Demonstrations):
            loaded, path = demonstrations, None
        else:
            source = Path(demonstrations)
            name = format or recognise(source)
            loaded = read_demonstrations(
                source, format=name, obs_keys=obs_keys, min_frames=min_frames, one_hot=one_hot
            )
            is_as_read = name == "npz" and min_frames == 1 and not one_hot
            path = source if is_as_read and not observation_keys(source, format=name) else None
        existing_dataset = self._find_by_hash(loaded.content_hash)
        if existing_dataset is not None:
            return existing_dataset
        return self._upload_file(path, metadata) if path else self._upload_arrays(loaded, metadata)

    def get(self, dataset_id: str) -> DatasetInfo:
        """Return a dataset.

        Raises:
            NotFound: When there is no dataset with this id.
        """
        response = self._transport.request("GET", f"/datasets/{quote(dataset_id, safe='')}")
        return read(DatasetInfo, response.content)

    def list(self) -> Sequence[DatasetInfo]:
        """Return all your datasets, newest first."""
        return [*self._find()]

    def delete(self, dataset_id: str) -> None:
        """Delete a dataset.

        Raises:
            NotFound: When there is no dataset with this id.
            Conflict: While a live job uses it.
        """
        self._transport.request("DELETE", f"/datasets/{quote(dataset_id, safe='')}")

    def _find_by_hash(self, sha256: str) -> DatasetInfo | None:
        return next(self._find(sha256=sha256), None)

    def _find(self, **params: str) -> Iterator[DatasetInfo]:
        """Yield datasets; each further page is requested when it is needed."""
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
