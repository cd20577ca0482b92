"""What is computed once, and drawn one at a time."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from r2rise.results.result import Result

DRAWING = threading.Lock()
"""Held while matplotlib draws, which only one thread may do at a time."""

_KEPT = 64
"""Results that are kept: maps, and maps in a format."""


class Once:
    """Keeps what was computed last; who asks meanwhile waits instead of computing it again."""

    def __init__(self, size: int = _KEPT) -> None:
        self._size, self._lock = size, threading.Lock()
        self._found: OrderedDict[Hashable, Future[Any]] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what `compute` gives for a key; what it raises is not kept."""
        with self._lock:
            found = self._found.get(key)
            mine = found is None
            if found is None:
                found = self._found[key] = Future()
            self._found.move_to_end(key)
            while len(self._found) > self._size:
                self._found.popitem(last=False)
        if mine:
            try:
                found.set_result(compute())
            except BaseException as error:
                with self._lock:
                    self._found.pop(key, None)
                found.set_exception(error)
        return found.result()


def as_file(result: Result, ending: str) -> bytes:
    """Return a result as a file of an ending that it knows."""
    with DRAWING, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"result{ending}"
        result.save(path)
        return path.read_bytes()
