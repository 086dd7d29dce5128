"""Forwarder: a socket file of this machine whose connections end at a port of a pod."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from buildr_jupyter.cluster.client import ClusterClient
from buildr_jupyter.errors import ClusterError
from buildr_jupyter.process.tempfiles import Scratch

__all__ = ["forwarded"]

_BLOCK = 64 * 1024


@contextlib.contextmanager
def forwarded(client: ClusterClient, pod: str, port: int) -> Iterator[str]:
    """Give the path of a socket that only this user reaches; each connection to it is one to the pod's port.

    At the end the connections that are left are closed.
    """
    with Scratch() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = str(folder / "s")
        listener.bind(path)
        listener.listen()
        serving = _Serving(client, pod, port, listener)
        thread = threading.Thread(target=serving.accept, name="buildr-forward", daemon=True)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            serving.close()
            thread.join()


class _Serving:
    def __init__(self, client: ClusterClient, pod: str, port: int, listener: socket.socket) -> None:
        self._client, self._pod, self._port, self._listener = client, pod, port, listener
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def accept(self) -> None:
        """Serve until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(near,), name="buildr-forward", daemon=True)
                with self._lock:
                    self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        """Close what is open and wait for who serves it."""
        with self._lock:
            for one in self._open:
                _shut(one)
            threads = [*self._threads]
        for thread in threads:
            thread.join()

    def _serve(self, near: socket.socket) -> None:
        with near:
            try:
                far = self._client.forward(self._pod, self._port)
            except (ConnectionError, ClusterError):
                return  # who connected finds it closed, and says so
            with far:
                with self._lock:
                    self._open |= {near, far}
                back = threading.Thread(target=_copy, args=(far, near), name="buildr-forward", daemon=True)
                back.start()
                _copy(near, far)
                _shut(far)
                back.join()
                with self._lock:
                    self._open -= {near, far}


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_BLOCK):
            target.sendall(data)
    _shut(target)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
