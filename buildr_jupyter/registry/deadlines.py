"""Deadlines of answers: what a whole answer may take, beside the time between two of its bytes.

A socket's timeout begins anew with each byte: a server that sends one now and then keeps a reader for ever. A deadline
ends the connection from outside. One thread watches all of them; it starts with the first.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

__all__ = ["Deadline"]


class Deadline:
    """``with Deadline(sock, seconds)``: the connection is shut down unless the block ends before; see ``expired``."""

    def __init__(self, sock: socket.socket | None, seconds: float) -> None:
        self._sock, self._seconds = sock, seconds
        self.ends_at = time.monotonic() + seconds
        self.expired = False

    def watch(self, sock: socket.socket) -> None:
        """Watch over this socket, which ``close`` closes: one that is made only now."""
        self._sock = sock

    def close(self) -> None:
        """Close the socket that ``watch`` was given."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def extend(self) -> None:
        """Begin anew: enough has come."""
        self.ends_at = time.monotonic() + self._seconds

    def expire(self) -> None:
        """Shut the connection down: a reader gets an error or an end."""
        self.expired = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        _WATCH.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        _WATCH.discard(self)


class _Watch:
    """The thread that looks at deadlines; it sleeps while there are none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: set[Deadline] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._open.add(deadline)
            if self._thread is None or not self._thread.is_alive():  # it is not alive in a forked child
                self._thread = threading.Thread(target=self._run, name="buildr-deadlines", daemon=True)
                self._thread.start()
            elif deadline.ends_at < self._wakes_at:
                self._changed.notify()

    def discard(self, deadline: Deadline) -> None:
        with self._changed:
            self._open.discard(deadline)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for deadline in [one for one in self._open if one.ends_at <= now]:
                    self._open.discard(deadline)
                    deadline.expire()
                self._wakes_at = min((one.ends_at for one in self._open), default=float("inf"))
                self._changed.wait(None if self._wakes_at == float("inf") else self._wakes_at - now)


_WATCH = _Watch()
