"""Addresses of the local machine."""

import ipaddress
from contextlib import suppress


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address or `localhost`."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
