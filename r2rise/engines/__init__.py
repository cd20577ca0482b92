"""Where shards run: in this process, or on Dask workers."""

from r2rise.engines.base import Engine
from r2rise.engines.inline import InlineEngine
from r2rise.engines.shared import SharedEngine

__all__ = ["Engine", "InlineEngine", "SharedEngine"]
