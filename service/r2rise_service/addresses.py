"""Addresses of the own machine."""

import ipaddress
from contextlib import suppress


def is_loopback(host: str) -> bool:
    """Whether an address or name is that of the own machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
