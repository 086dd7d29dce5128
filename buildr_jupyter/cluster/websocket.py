"""Websocket to a pod: its standard input, a command in it, and a connection to one of its ports, by the API server.

Source: kubernetes/remotecommand, channels of ``v5.channel.k8s.io`` (0 is standard input, 1 standard output, 2 standard
error, 3 how a command ended, as a Status; 255 closes the one named by the next byte); before Kubernetes 1.30 an input
ends with the connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from buildr_jupyter.cluster.answers import Request, error_of
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject, parse_object

__all__ = ["forward_port", "iter_output", "open_websocket", "send_input"]

_CLOSE = 255
_INPUT = b"\0"
_BINARY, _CLOSED = 2, 8
"""Kinds of frames."""
_OUTPUT, _ERRORS, _STATUS = 1, 2, 3
_FRAME = 32 * 1024
_QUIET_S = 60.0
"""So long a command may say nothing before its connection is taken for broken."""
_END_S = 60.0
"""So long the other side may take to read what was sent before it says that it has."""


def open_websocket(configuration: Any, url: str, headers: Mapping[str, str], request: Request, context: str) -> Any:
    """Return a connected websocket of the official client.

    Raises what ``error_of`` makes of a refusal, ConnectionError where there is no connection.
    """
    from kubernetes.stream.ws_client import create_websocket, get_websocket_url
    from websocket import WebSocketBadStatusException, WebSocketException

    try:
        return create_websocket(configuration, get_websocket_url(url), {k.lower(): v for k, v in headers.items()})
    except WebSocketBadStatusException as error:
        body = error.resp_body
        said = body if isinstance(body, bytes) else str(body or error).encode()
        raise error_of(int(error.status_code), said, request, context) from error
    except (WebSocketException, OSError) as error:
        raise ConnectionError(str(error)) from error


def send_input(websocket: Any, pieces: Iterable[bytes], cancel: CancelToken) -> None:
    """Send the pieces as a container's standard input, end it, and return when all of it was taken.

    Raises ConnectionError where the connection ends before, and what ``pieces`` raises.
    """
    from websocket import WebSocketException

    ended = threading.Event()
    reader = threading.Thread(target=_read, args=(websocket, ended), name="buildr-input", daemon=True)
    reader.start()
    undo = cancel.on_cancel(lambda: _shut(websocket))
    try:
        for piece in pieces:
            for place in range(0, len(piece), _FRAME):
                websocket.send_binary(_INPUT + piece[place : place + _FRAME])
        if _protocol(websocket).startswith("v5"):
            websocket.send_binary(bytes((_CLOSE, 0)))
            ended.wait(_END_S)
    except (WebSocketException, OSError) as error:
        raise ConnectionError(str(error) or "the connection was closed") from error
    finally:
        undo()
        with contextlib.suppress(WebSocketException, OSError):
            websocket.close(timeout=1)
        _shut(websocket)
        reader.join()
        with contextlib.suppress(Exception):
            websocket.shutdown()


def iter_output(websocket: Any, say: Callable[[bytes], object], cancel: CancelToken) -> Iterator[bytes]:
    """Yield what a command writes, to its end; ``say`` is given its standard error.

    Raises ConnectionError where the connection ends before the command does, and where that fails.
    """
    from websocket import WebSocketException

    status: JsonObject | None = None
    undo = cancel.on_cancel(lambda: _shut(websocket))
    try:
        websocket.settimeout(_QUIET_S)
        while True:
            code, frame = websocket.recv_data_frame(True)
            if code == _CLOSED:
                break
            if code != _BINARY or len(frame.data) < 2:  # the first of each channel is empty
                continue
            channel, data = frame.data[0], frame.data[1:]
            if channel == _OUTPUT:
                yield data
            elif channel == _ERRORS:
                say(data)
            elif channel == _STATUS:
                status = parse_object(data)
    except (WebSocketException, OSError) as error:
        raise ConnectionError(str(error) or "the connection was closed") from error
    finally:
        undo()
        _shut(websocket)
        with contextlib.suppress(Exception):
            websocket.shutdown()
    if status is None or status.get("status") != "Success":
        raise ConnectionError(str((status or {}).get("message") or "the command was cut off"))


def forward_port(websocket: Any) -> socket.socket:
    """Return a socket whose other end is the port of the pod that the websocket was opened to."""
    near, inner = socket.socketpair()
    threading.Thread(target=_forward, args=(websocket, inner), name="buildr-port", daemon=True).start()
    return near


def _forward(websocket: Any, inner: socket.socket) -> None:
    """Pass bytes on both ways until either side ends; close both."""

    def out() -> None:
        with contextlib.suppress(Exception):  # the other side has ended
            while data := inner.recv(_FRAME):
                websocket.send_binary(_INPUT + data)
        _shut(websocket)

    sender = threading.Thread(target=out, name="buildr-port", daemon=True)
    sender.start()
    begun: set[int] = set()
    with inner:
        with contextlib.suppress(Exception):
            while True:
                code, frame = websocket.recv_data_frame(True)
                if code == _CLOSED:
                    break
                if code != _BINARY or not frame.data:
                    continue
                channel = frame.data[0]
                if channel not in begun:  # the first of each channel says which port it is for
                    begun.add(channel)
                elif channel == 0:
                    inner.sendall(frame.data[1:])
                else:
                    break  # why nothing listens there
        with contextlib.suppress(OSError):
            inner.shutdown(socket.SHUT_RDWR)
        _shut(websocket)
        sender.join()
    with contextlib.suppress(Exception):
        websocket.shutdown()


def _protocol(websocket: Any) -> str:
    headers: Mapping[str, str] = websocket.getheaders() or {}
    return next((value for name, value in headers.items() if name.lower() == "sec-websocket-protocol"), "")


def _read(websocket: Any, ended: threading.Event) -> None:
    """Read what the other side says, so that its pings are answered, until it closes."""
    with contextlib.suppress(Exception):  # the writer finds out what is wrong
        while True:
            code, _ = websocket.recv_data_frame(True)
            if code == _CLOSED:
                break
    ended.set()


def _shut(websocket: Any) -> None:
    with contextlib.suppress(Exception):
        websocket.sock.shutdown(socket.SHUT_RDWR)
