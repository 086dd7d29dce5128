"""docker-py's connection, reached into: a stream that another thread can stop, and the logins that are sent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from buildr_jupyter.config.timeouts import read_limits
from buildr_jupyter.engine.abort import connections_of, shut
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import address_of, still_there
from buildr_jupyter.engine.stall import StallDetector
from buildr_jupyter.errors import BuildrError, EngineError
from buildr_jupyter.model.json_object import JsonObject

if TYPE_CHECKING:
    import requests

__all__ = ["AbortableStream", "interruptible", "only_logins", "state_within"]

_Piece = TypeVar("_Piece")


class AbortableStream:
    """Asks the engine for a stream which can be stopped from another thread, before its answer begins and after.

    Called with a function that asks, it returns what that returns: a stream.
    """

    def __init__(self, client: EngineClient, *, idle: bool) -> None:
        limits = read_limits()
        known = address_of(client)
        self._client = client
        self._lock = threading.Lock()
        self._stopped, self._closed = False, False
        self._asked: list[object] = []
        self._answered: list[requests.Response] = []
        self._silence = StallDetector(
            self.shut,
            ask=(lambda: still_there(client)) if known else None,
            ask_after_s=limits.read_s / 2,
            idle=lambda: EngineError(
                f"the engine{f' at {known}' if known else ''} said nothing for {limits.idle_s:.0f} s",
                hint="set BUILDR_IDLE_TIMEOUT=SECONDS for a step that is quiet for longer",
            ),
            idle_s=limits.idle_s if idle else None,
        )
        self.heard = self._silence.heard

    def __call__(self, ask: Callable[[], Iterable[_Piece]]) -> Iterator[_Piece]:
        """Ask, and return the stream."""
        with connections_of(self._client, self._asked), _responses_of(self._client, self._answered):
            stream = ask()
        for response in self._answered:
            if found := _socket_of(response):
                found.settimeout(None)  # a quiet step is no failure
        with self._lock:
            if self._stopped:  # while the answer was on its way from the connection to its stream
                self._shut()
        self.heard()
        return self._listen(stream)

    def _listen(self, stream: Iterable[_Piece]) -> Iterator[_Piece]:
        for piece in stream:
            self.heard()
            yield piece

    @property
    def reason(self) -> BuildrError | None:
        """Why the watch stopped the stream, None where it did not."""
        return self._silence.reason

    def shut(self) -> None:
        """End asking and reading: ``close`` would wait for the thread that reads, ``shutdown`` does not.

        Once the stream is closed it does nothing, and ``close`` waits for it: the client asks through the same
        connections again then, and who wakes first must not lose a later question to the rest of this.
        """
        with self._lock:
            self._stopped = True
            if not self._closed:
                self._shut()

    def _shut(self) -> None:
        shut(self._asked)
        for found in map(_socket_of, list(self._answered)):
            if found is not None:
                with contextlib.suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the watch and give the connections back, closed."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._shut()
        self._silence.close()
        for response in self._answered:
            with contextlib.suppress(Exception):
                response.close()


@contextlib.contextmanager
def interruptible(
    client: EngineClient, on_cancel: Callable[[Callable[[], None]], Callable[[], None]], *, idle: bool = True
) -> Iterator[AbortableStream]:
    """Give what asks the engine for a stream; while the block runs, ``on_cancel`` (a CancelToken's) stops it.

    It closes the connection, whereupon the engine stops the work; leaving the block closes it too. An engine that
    falls silent is asked whether it is there, on a connection of its own; where it is not, and after
    ``Limits.idle_s`` of silence (with ``idle``), the stream is stopped and the block ends with that EngineError.
    """
    watched = AbortableStream(client, idle=idle)
    remove = on_cancel(watched.shut)
    try:
        try:
            yield watched
        except Exception:
            if watched.reason is not None:
                raise watched.reason from None
            raise
        if watched.reason is not None:
            raise watched.reason
    finally:
        remove()
        watched.close()


@contextlib.contextmanager
def _responses_of(client: EngineClient, found: list[requests.Response]) -> Iterator[None]:
    """Collect the HTTP responses that the client gets in this thread while the block runs.

    docker-py hands out a generator and keeps the response to itself; a docker-py client is a requests session,
    whose response hook is public.
    """
    thread = threading.get_ident()
    hooks = getattr(client, "hooks", None)
    listeners = hooks.get("response") if isinstance(hooks, dict) else None
    if not isinstance(listeners, list):
        yield
        return

    def collect(response: requests.Response, *_: object, **__: object) -> None:
        if threading.get_ident() == thread:
            found.append(response)

    listeners.append(collect)
    try:
        yield
    finally:
        listeners.remove(collect)


def _socket_of(response: requests.Response) -> socket.socket | None:
    """Return the socket that a streamed response is read from, None where it has none any more.

    The path to it goes through private attributes of http.client, as docker-py's own CancellableStream does.
    """
    raw = getattr(getattr(response, "raw", None), "_fp", None)
    stream = getattr(getattr(raw, "fp", None), "raw", None)
    found = getattr(stream, "_sock", None) or getattr(stream, "sock", None)
    return found if isinstance(found, socket.socket) else None


def only_logins(logins: dict[str, dict[str, str]]) -> object:
    """Return docker-py's own form of ``logins`` (server address to entry): these, and none from any file."""
    from docker.auth import AuthConfig

    class OnlyThese(AuthConfig):  # type: ignore[misc]
        is_empty = False  # docker-py reads its files again where nothing is given

        def get_all_credentials(self) -> dict[str, dict[str, str]]:
            return dict(logins)

    return OnlyThese({"auths": dict(logins)})


def state_within(client: EngineClient, container: str, seconds: float) -> JsonObject:
    """Return the State of a container as soon as it has ended, or when so long has passed."""
    from requests.exceptions import RequestException

    with contextlib.suppress(RequestException):
        client.wait(container, timeout=seconds)
    return client.inspect_container(container).get("State") or {}
