"""docker-py's connection, reached into: a stream that another thread can stop, and the logins that are sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["interruptible", "only_logins"]


@contextlib.contextmanager
def interruptible(
    client: Any, on_cancel: Callable[[Callable[[], None]], Callable[[], None]]
) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Give a function that asks the engine for a stream which can be stopped from another thread.

    It calls what it is given and returns its stream. While the block runs, ``on_cancel`` (a CancelToken's) stops the
    reading by closing the connection, whereupon the engine stops the work; leaving the block closes it too.

    docker-py hands out a generator and keeps the response to itself; a docker-py client is a requests session,
    whose response hook is public.
    """
    responses: list[Any] = []
    remove: list[Callable[[], None]] = []

    def watch(ask: Callable[[], Any]) -> Any:
        with _responses_of(client) as collected:
            stream = ask()
        responses.extend(collected)
        for response in collected:
            if found := _socket_of(response):
                found.settimeout(None)  # a quiet step is no failure
        remove.append(on_cancel(lambda: _shut(responses)))
        return stream

    try:
        yield watch
    finally:
        for call in remove:
            call()
        _shut(responses)
        for response in responses:
            with contextlib.suppress(Exception):
                response.close()


def _shut(responses: list[Any]) -> None:
    """End the reading of responses: ``close`` would wait for the thread that reads, ``shutdown`` does not."""
    for response in responses:
        found = _socket_of(response)
        if found is None:
            continue
        with contextlib.suppress(OSError):
            found.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _responses_of(client: Any) -> Iterator[list[Any]]:
    """Collect the HTTP responses that the client gets in this thread while the block runs."""
    thread = threading.get_ident()
    collected: list[Any] = []
    hooks = getattr(client, "hooks", None)
    listeners = hooks.get("response") if isinstance(hooks, dict) else None
    if not isinstance(listeners, list):
        yield collected
        return

    def collect(response: Any, *_: Any, **__: Any) -> None:
        if threading.get_ident() == thread:
            collected.append(response)

    listeners.append(collect)
    try:
        yield collected
    finally:
        listeners.remove(collect)


def _socket_of(response: Any) -> socket.socket | None:
    """Return the socket that a streamed response is read from, None where it has none any more.

    The path to it goes through private attributes of http.client, as docker-py's own CancellableStream does.
    """
    raw = getattr(getattr(response, "raw", None), "_fp", None)
    stream = getattr(getattr(raw, "fp", None), "raw", None)
    found = getattr(stream, "_sock", None) or getattr(stream, "sock", None)
    return found if isinstance(found, socket.socket) else None


def only_logins(logins: dict[str, dict[str, str]]) -> Any:
    """Return docker-py's own form of ``logins`` (server address to entry): these, and none from any file."""
    from docker.auth import AuthConfig

    class OnlyThese(AuthConfig):  # type: ignore[misc]
        is_empty = False  # docker-py reads its files again where nothing is given

        def get_all_credentials(self) -> dict[str, dict[str, str]]:
            return dict(logins)

    return OnlyThese({"auths": dict(logins)})
