"""State: one class holds every query, demonstrations are files named by their content."""

from r2rise_service.storage.store import Conflict, NewDataset, NewJob, Source, Store

__all__ = ["Conflict", "NewDataset", "NewJob", "Source", "Store"]
