"""Files of demonstrations that nobody needs any more."""

from r2rise_service.storage.files import DatasetFiles
from r2rise_service.storage.store import Store


def remove_unused(store: Store, files: DatasetFiles, sha256: str) -> None:
    """Remove the file of a content that no dataset and no job is about any more."""
    with store.exclusive("content"):
        if not store.content_is_used(sha256):
            files.remove(sha256)
