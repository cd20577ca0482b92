"""Where shards run: in this process, or on Dask workers."""

from r2rise.engines.base import Engine
from r2rise.engines.inline import InlineEngine

__all__ = ["Engine", "InlineEngine"]
