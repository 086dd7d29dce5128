"""What runs on this machine, read from /proc."""

from __future__ import annotations

from pathlib import Path


def arguments_with(text: str) -> list[int]:
    """Return the ids of the processes that have ``text`` among their arguments, shells that only quote it left out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if text.encode() in arguments:
            found.append(int(entry.parent.name))
    return found
