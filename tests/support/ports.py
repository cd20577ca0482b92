"""Ports that stay free while nobody listens on them."""

import itertools
import os
import socket

_LOWEST, _NUMBER = 20_000, 12_000
"""Below what systems give to outgoing connections: those may take, and even reach, a port whose
server is just being restarted."""

_candidates = (_LOWEST + (os.getpid() * 997 + i) % _NUMBER for i in itertools.count())


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, another one with each call."""
    return next(port for port in _candidates if not _is_used(port))


def _is_used(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
