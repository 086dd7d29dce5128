"""The sockets behind a requests session (docker-py's client is one), so that another thread can end a wait for them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

__all__ = ["connections_of", "shut"]


def shut(connections: list[object]) -> None:
    """Break connections off: who waits for them wakes with an error. ``close`` would wait for the thread that reads."""
    for connection in list(connections):
        found: object = getattr(connection, "sock", None)
        if hasattr(found, "shutdown"):
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def connections_of(session: object, found: list[object]) -> Iterator[None]:
    """Collect the connections that this thread asks through while the block runs.

    Nothing public leads to a connection whose answer has not begun. requests takes it from a pool of urllib3's, whose
    ``_get_conn`` is private and as old as urllib3; where there is none, only the answer can be stopped.
    """
    asking = _asking(session)
    thread = threading.get_ident()
    asking[thread] = found
    try:
        yield
    finally:
        asking.pop(thread, None)


_patching = threading.Lock()


def _asking(session: object) -> dict[int, list[object]]:
    """Return the table of who collects a session's connections, by thread; made, and filled from then on, once."""
    with _patching:
        known = getattr(session, "buildr_asking", None)
        if isinstance(known, dict):
            return known
        asking: dict[int, list[object]] = {}
        vars(session)["buildr_asking"] = asking
        adapters = getattr(session, "adapters", None)
        for adapter in adapters.values() if isinstance(adapters, Mapping) else ():
            if choose := getattr(adapter, "get_connection_with_tls_context", None):
                adapter.get_connection_with_tls_context = _noting(choose, asking)
    return asking


class _Pool(Protocol):
    """A connection pool of urllib3's, with what is noted on it here."""

    buildr_asking: dict[int, list[object]]
    _get_conn: Callable[..., object]


def _noting(choose: Callable[..., _Pool], asking: dict[int, list[object]]) -> Callable[..., _Pool]:
    def chosen(*given: object, **named: object) -> _Pool:
        pool = choose(*given, **named)
        with _patching:
            take = getattr(pool, "_get_conn", None)
            if take is not None and not hasattr(pool, "buildr_asking"):
                pool.buildr_asking = asking

                def taken(*given: object, **named: object) -> object:
                    connection = take(*given, **named)
                    found = asking.get(threading.get_ident())
                    if found is not None and connection not in found:
                        found.append(connection)
                    return connection

                pool._get_conn = taken
        return pool

    return chosen
