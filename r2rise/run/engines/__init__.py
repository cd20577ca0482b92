"""Engines: they run shards in this process or on Dask workers."""

from r2rise.run.engines.base import Engine
from r2rise.run.engines.inline import InlineEngine
from r2rise.run.engines.shared import SharedEngine

__all__ = ["Engine", "InlineEngine", "SharedEngine"]
