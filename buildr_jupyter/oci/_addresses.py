"""Which addresses are this machine, or what only this machine should ask."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_inward", "is_local", "same_host"]


def is_local(netloc: str) -> bool:
    """Tell whether ``host[:port]`` is this machine's loopback."""
    host = urlsplit(f"//{netloc}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_inward(host: str) -> bool:
    """Tell whether a host is this machine, or what clouds answer their machines' questions at."""
    if host == "localhost" or host.endswith((".localhost", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _METADATA


_METADATA = (ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200"))


def same_host(netloc: str, host: str) -> bool:
    """Tell whether two ``host[:port]`` are the same host."""
    return urlsplit(f"//{netloc}").hostname == urlsplit(f"//{host}").hostname
