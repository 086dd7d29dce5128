"""A way between two sockets that can be held, broken or made slow while something goes through it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from pathlib import Path

__all__ = ["Valve"]

_PIECE = 64 * 1024
_DENIED = b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}'


class Valve:
    """Listens at ``host`` (TCP on loopback) or ``path`` (a unix socket) and hands on to ``target``, both ways.

    ``mode`` says how: ``open``; ``held`` (nothing moves, nothing is closed); ``slow`` (200 bytes a tenth of a second);
    ``denied`` (new requests are answered 403 here). ``hold_after(n)`` holds all when n bytes went to the target, which
    ``at_work`` tells; ``reset`` breaks what there is.
    """

    def __init__(self, target: str | tuple[str, int], path: Path | None = None) -> None:
        self._target = target
        self.mode = "open"
        self.at_work = threading.Event()
        self._left: int | None = None
        self._pairs: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self._server = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._server.bind(str(path) if path else ("127.0.0.1", 0))
        self._server.listen(64)
        self.path = path
        self.host = "" if path else f"127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def hold_after(self, count: int) -> None:
        """Hold everything as soon as ``count`` more bytes went to the target."""
        self.at_work.clear()
        self._left = count

    def open(self) -> None:
        """Let all through again."""
        self._left = None
        self.mode = "open"

    def reset(self) -> None:
        """Break all connections, as a machine does that knows nothing of them (RST)."""
        with self._lock:
            for found in self._pairs:
                with contextlib.suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with contextlib.suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)
            self._pairs.clear()
        self.open()

    def close(self) -> None:
        """End it with all connections; no thread is left."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.reset()
        for thread in self._threads:
            thread.join(5)
        if self.path:
            self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads = [*(one for one in self._threads if one.is_alive()), thread]
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.closing(client),
            socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET) as server,
        ):
            try:
                server.connect(self._target)
            except OSError:
                return
            with self._lock:
                self._pairs |= {client, server}
            try:
                self._pump(client, server)
            except OSError:
                pass
            finally:
                with self._lock:
                    self._pairs -= {client, server}

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        ends = {client: server, server: client}
        while ends and not self._closing:
            if self.mode == "held":
                time.sleep(0.02)
                if client.fileno() < 0 or client not in self._pairs:
                    return
                continue
            ready, _, _ = select.select(list(ends), [], [], 0.1)
            for source in ready:
                if self.mode == "held":
                    break
                data = source.recv(200 if self.mode == "slow" else _PIECE)
                if not data:
                    with contextlib.suppress(OSError):
                        ends[source].shutdown(socket.SHUT_WR)
                    del ends[source]
                    continue
                if self.mode == "denied" and source is client:
                    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(_DENIED)}\r\nConnection: close\r\n\r\n"
                    client.sendall(head.encode() + _DENIED)
                    return
                if source is client and self._left is not None:
                    self._left -= len(data)
                    if self._left <= 0:
                        self._left, self.mode = None, "held"
                        self.at_work.set()
                ends[source].sendall(data)
                if self.mode == "slow":
                    time.sleep(0.1)
