"""Cgroups of the tests' cluster: one folder in each hierarchy of the machine, and its removal."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

__all__ = ["PREFIX", "hierarchies", "remove"]

PREFIX = "buildr-k8s-"
"""What each name begins with: nothing else is ever removed."""
_ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Return the root folder of each hierarchy: those of v1 and the unified one."""
    found = [_ROOT, *sorted(_ROOT.iterdir())] if _ROOT.is_dir() else []
    return [folder for folder in found if (folder / "cgroup.procs").exists()]


def remove(name: str, *, wait_s: float = 10.0) -> bool:
    """Remove the folders of this name and what is below them, once their processes are gone; return whether it is done.

    Raises ValueError for a name that the tests do not give.
    """
    if not re.fullmatch(rf"{PREFIX}[0-9a-f]+", name):
        raise ValueError(f"{name!r} is no cgroup of the tests")
    deadline = time.monotonic() + wait_s
    while left := [folder for one in hierarchies() if (folder := one / name).is_dir()]:
        for folder in left:
            for below, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):  # busy until the last process in it is reaped
                    os.rmdir(below)
        if time.monotonic() > deadline:
            return not any(folder.is_dir() for folder in left)
        time.sleep(0.05)
    return True
