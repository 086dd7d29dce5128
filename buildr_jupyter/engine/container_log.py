"""Log of a container: its last lines, whole, whichever engine keeps it."""

from __future__ import annotations

from collections.abc import Iterable

from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import is_podman

__all__ = ["read_tail"]

_LONGEST_BYTES = 1 << 16
"""So much of the end of a log is looked at, however long its lines are."""


def read_tail(client: EngineClient, container: str, lines: int) -> tuple[str, ...]:
    """Return the last lines of a container's log, oldest first, without their line ends.

    podman's log is read whole: what its service (4.3) gives by ``tail`` lacks what the program wrote of a line before
    it wrote the line's end. Raises what the client raises.
    """
    tail: int | str = "all" if is_podman(client.version()) else lines
    end = _end_of(client.logs(container, stream=True, follow=False, tail=tail))
    return tuple(end.decode("utf-8", "replace").splitlines()[-lines:])


def _end_of(pieces: Iterable[bytes]) -> bytes:
    """Return the end of what comes in pieces; a piece costs no more than its own length."""
    kept = bytearray()
    for piece in pieces:
        kept += piece
        if len(kept) > 2 * _LONGEST_BYTES:
            del kept[:-_LONGEST_BYTES]
    return bytes(kept[-_LONGEST_BYTES:])
