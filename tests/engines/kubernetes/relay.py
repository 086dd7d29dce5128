"""A relay of TCP between two network namespaces.

A socket belongs to the namespace in which it was made, and setns acts on one thread: one process can hold both ends,
without any device between them.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading

__all__ = ["Relay"]

_CLONE_NEWNET = 0x40000000


class Relay:
    """Between this process's namespace and that of the process ``pid``."""

    def __init__(self, pid: int) -> None:
        self._here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def let_in(self, port: int) -> None:
        """Have 127.0.0.1:PORT here reach 127.0.0.1:PORT there."""
        listener = socket.create_server(("127.0.0.1", port), backlog=128)
        threading.Thread(target=self._serve, args=(listener, port, self._there), daemon=True).start()

    def let_out(self, port: int) -> None:
        """Have PORT at every address there reach 127.0.0.1:PORT here."""
        made: list[socket.socket] = []
        failed: list[OSError] = []

        def listen() -> None:
            try:
                _enter(self._there)
                made.append(socket.create_server(("0.0.0.0", port), backlog=128))
            except OSError as error:
                failed.append(error)

        thread = threading.Thread(target=listen)  # a thread of its own: it stays in the other namespace
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        threading.Thread(target=self._serve, args=(made[0], port, self._here), daemon=True).start()

    def _serve(self, listener: socket.socket, port: int, namespace: int) -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_connect, args=(client, port, namespace), daemon=True).start()


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _connect(client: socket.socket, port: int, namespace: int) -> None:
    with client:
        try:
            _enter(namespace)
            server = socket.create_connection(("127.0.0.1", port), 10)
        except OSError:
            return
        with server:
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        source.shutdown(socket.SHUT_RD)
