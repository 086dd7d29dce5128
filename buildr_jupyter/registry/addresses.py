"""Addresses: which URL is which host, and which hosts are this machine or answer only this machine. Pure.

A host has many spellings: 127.0.0.1 is also 127.1, 2130706433, 0x7f000001, 017700000001, ::ffff:127.0.0.1 and
localhost with a dot at its end. All are brought to one form first. A name that resolves to such an address is found
when the connection stands (``oci/_transport.py``): only then is it certain what it resolved to.

Source: RFC 3986 3.2.2, RFC 6890, inet_aton(3) (numbers of IPv4), RFC 6052 and RFC 3056 (IPv4 inside of IPv6).
"""

from __future__ import annotations

import functools
import ipaddress
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

__all__ = ["Origin", "is_inward", "is_local", "origin_of", "same_host"]

_PORTS = {"http": 80, "https": 443}
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_METADATA_NAMES = {"metadata", "instance-data"}
_METADATA = {
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}
"""Beside link-local ones: AWS, Google and Alibaba Cloud by IPv6 or an address of their own, Azure, Oracle."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Origin(NamedTuple):
    """Where a URL leads: what a login is for."""

    scheme: str
    host: str
    """In lower case, of an address its usual form, without brackets."""
    port: int

    @property
    def netloc(self) -> str:
        """``host``, with the port where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.scheme) else f"{host}:{self.port}"


@functools.lru_cache(256)
def origin_of(url: str) -> Origin | None:
    """Return where a URL leads, None where it names no host. One request asks several times, of two or three URLs.

    It is parsed as the library parses it that connects: two parsers that disagree would let one host pass for another
    (``https://one\\@two/``).
    """
    try:
        parts = parse_url(url)
    except LocationParseError:
        return None
    scheme = (parts.scheme or "").lower()
    if not parts.host:
        return None
    return Origin(scheme, _plain(parts.host), parts.port or _PORTS.get(scheme, 0))


def is_local(netloc: str) -> bool:
    """Tell whether ``host[:port]`` is this machine's loopback, whatever its spelling; a name is not resolved."""
    host = _host_of(netloc)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and any(one.is_loopback for one in _meanings(address))


def is_inward(host: str) -> bool:
    """Tell whether a host is this machine, or what clouds answer their machines' questions at; it has no port."""
    host = _plain(host)
    if host in ("localhost", *_METADATA_NAMES) or host.endswith((".localhost", ".internal")):
        return True
    address = _address(host)
    return address is not None and any(
        one.is_loopback or one.is_link_local or one.is_unspecified or one in _METADATA for one in _meanings(address)
    )


def same_host(netloc: str, host: str) -> bool:
    """Tell whether two ``host[:port]`` are the same host."""
    return _host_of(netloc) == _host_of(host)


def _host_of(netloc: str) -> str:
    found = origin_of(f"http://{netloc}")
    return found.host if found else ""


def _plain(host: str) -> str:
    """Return a host in one form: without brackets, zone, last dot, escapes, capitals, wide digits."""
    host = unicodedata.normalize("NFKC", unquote(host)).replace("\u3002", ".").lower()
    host = host.strip().removeprefix("[").removesuffix("]").partition("%")[0].rstrip(".")
    address = _address(host)
    return str(address) if address is not None else host


def _address(host: str) -> _Address | None:
    """Return the address that a host is written as, None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return _numbers(host)


def _numbers(host: str) -> ipaddress.IPv4Address | None:
    """Return what inet_aton(3) reads: one to four numbers, decimal, octal or hexadecimal; the last fills the rest."""
    parts = host.split(".")
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        values = [
            int(part[2:] or "0", 16) if part[:2] == "0x" else int(part, 8 if part[0] == "0" else 10) for part in parts
        ]
    except ValueError:
        return None
    *first, last = values
    if any(value > 255 for value in first) or last >= 256 ** (5 - len(parts)):
        return None
    return ipaddress.IPv4Address(sum(value << (24 - 8 * place) for place, value in enumerate(first)) + last)


def _meanings(address: _Address) -> list[_Address]:
    """Return an address and those of IPv4 that it carries: where a packet to it may arrive."""
    found: list[_Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64 or int(address) >> 32 == 0:  # ::a.b.c.d, but for :: and ::1 that are what they are
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        found += [one for one in inner if one is not None and not (int(address) <= 1)]
    return found
