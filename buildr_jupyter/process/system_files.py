"""System files: what of this machine's own system a program finds in an image too, by the records of its packages.

A Debian image has the packages that Debian calls essential, and those that are added to it. Shared libraries are an
exception: all are taken as there, for what a package's library needs is not in any plan.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["devices", "system_paths"]

_DPKG = Path("/var/lib/dpkg")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_ALWAYS = (
    "/bin/sh", "/etc/ld.so.cache", "/etc/ld.so.preload", "/usr/share/zoneinfo", "/etc/mime.types", "/dev/zero",
    "/dev/random", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/loadavg",
    "/proc/uptime", "/proc/filesystems", "/proc/sys", "/sys/devices/system", "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
)  # fmt: skip
"""What an image has as well. The local time is not among them: an image's is UTC, whatever the machine's."""


def devices() -> tuple[Path, ...]:
    """Return the devices that every program may write to."""
    return (Path("/dev/null"), Path("/dev/full"))


def system_paths(packages: Iterable[str] = ()) -> tuple[Path, ...]:
    """Return files and folders that a Debian image with these packages beside the essential ones has, links followed.

    Where there are no records of packages, there are no programs among them but the shell. Python packages that the
    system has among its libraries are left out.
    """
    found = [Path(path) for path in _ALWAYS]
    for folder in dict.fromkeys(os.path.realpath(name) for name in _LIBRARIES):
        found += _but_python(Path(folder))
    for package in (*_essential(), *(name.partition("=")[0] for name in packages)):
        found += _programs(package)
    return tuple(dict.fromkeys(Path(os.path.realpath(path)) for path in found))


def _but_python(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not re.match(r"python\d|pypy|node_modules", path.name)]
    except OSError:
        return []


@functools.lru_cache(maxsize=1)
def _essential() -> tuple[str, ...]:
    try:
        records = (_DPKG / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    blocks = (block for block in records.split("\n\n") if "\nEssential: yes" in block)
    return tuple(match[1] for block in blocks if (match := re.match(r"Package: (\S+)", block.lstrip())))


@functools.lru_cache(maxsize=64)
def _programs(package: str) -> tuple[Path, ...]:
    lists = [_DPKG / "info" / f"{package}.list", *sorted((_DPKG / "info").glob(f"{package}:*.list"))]
    for listed in lists:
        try:
            names = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        return tuple(Path(name) for name in names if re.match(r"(?:/usr)?(?:/local)?/s?bin/.", name))
    return ()
