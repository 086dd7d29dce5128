"""A gRPC server on a connection that is open already, with which an engine asks for what a session offers.

``h2`` reads and writes HTTP/2. Messages that are there together are sent together, in frames as large as the engine
takes: the names of a context are one small message each, and a server that sends each by itself takes as long for a
thousand of them as the engine for the build.

One thread reads, and the connection is waited for in ``select`` only: what an engine says is heard also while it reads
nothing itself, and TLS, which two threads may not use at once, is used under one lock.

Source: RFC 9113; grpc/grpc ``doc/PROTOCOL-HTTP2.md``.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from buildr_jupyter.secretscan.redact import masked_logger

if TYPE_CHECKING:
    from h2.connection import H2Connection
    from h2.events import Event

__all__ = ["NOT_FOUND", "CallEnded", "GrpcServer", "Method", "RefusedCall"]

logger = masked_logger(logging.getLogger(__name__))

Method = Callable[[Iterator[bytes], Sequence[tuple[str, str]]], Iterable[Sequence[bytes]]]
"""Takes the messages of a call and its metadata; gives the answers, those in one sequence to be sent together."""
OK, UNKNOWN, NOT_FOUND, EXHAUSTED, UNIMPLEMENTED = 0, 2, 5, 8, 12
_BLOCK = 64 * 1024
_MOST = 4 * 1024 * 1024
"""So long a message to us may be, as with other servers of gRPC."""
_MOST_WAITING = 16 * 1024 * 1024
"""So much a call may have sent that its method has not taken; the engine gets no room for more."""
_MOST_UNSENT = 1024 * 1024
_MOST_DETAILS = 1000
"""A client may refuse longer headers, and with them the status."""
_PREFACE = 24
_END_S = 5.0
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class RefusedCall(Exception):
    """A call that ends with a status of gRPC other than OK."""

    def __init__(self, status: int, details: str) -> None:
        super().__init__(details)
        self.status = status


class CallEnded(Exception):
    """The call was cancelled, or its connection has ended; a method that still takes messages gets it."""


class _Messages:
    """The messages of one call, as they come out of the frames of its stream."""

    def __init__(self, room: Callable[[int], None]) -> None:
        self._waiting: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._buffer = bytearray()
        self._lock = threading.Lock()
        self._size = 0
        """Of the messages that wait."""
        self._owed = 0
        self._room = room
        """Gives the engine room for so many bytes more."""

    def feed(self, data: bytes, taken: int) -> None:
        """Take data that took so many bytes of the stream's room."""
        self._buffer += data
        size = 0
        while len(self._buffer) >= 5:
            length = int.from_bytes(self._buffer[1:5], "big")
            if self._buffer[0] or length > _MOST:
                why = "it is compressed" if self._buffer[0] else f"it has {length} bytes"
                self._waiting.put(RefusedCall(EXHAUSTED, f"a message is not taken: {why}"))
                self._buffer.clear()
                break
            if len(self._buffer) < 5 + length:
                break
            self._waiting.put(bytes(self._buffer[5 : 5 + length]))
            del self._buffer[: 5 + length]
            size += 5 + length
        self._count(size, taken)

    def _count(self, size: int, taken: int) -> None:
        with self._lock:
            self._size += size
            self._owed += taken
            if self._size > _MOST_WAITING:
                return
            room, self._owed = self._owed, 0
        if room:
            self._room(room)

    def end(self, error: Exception | None = None) -> None:
        self._waiting.put(error)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            message = self._waiting.get()
            if not isinstance(message, bytes):
                self._waiting.put(message)  # who asks again hears the same
                if message is None:
                    return
                raise message
            self._count(-5 - len(message), 0)
            yield message


class _Lengths:
    """The lengths that frames announce; ``h2`` looks at one only when all of the frame is there."""

    def __init__(self, preface: int, most: int) -> None:
        self._rest, self._most = preface, most
        self._head = bytearray()

    def overlong(self, block: bytes) -> int:
        """Return the length of the first frame in these bytes that is too long, 0 where none is."""
        place = 0
        while place < len(block):
            step = min(self._rest or 9 - len(self._head), len(block) - place)
            if self._rest:
                self._rest -= step
            else:
                self._head += block[place : place + step]
                if len(self._head) == 9:
                    self._rest = int.from_bytes(self._head[:3], "big")
                    self._head.clear()
                    if self._rest > self._most:
                        return self._rest
            place += step
        return 0


class GrpcServer:
    """Serves the methods, by their paths, on the connection until it ends; ``close`` ends it."""

    def __init__(self, connection: socket.socket, methods: Mapping[str, Method], name: str) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self._connection, self._methods, self._name = connection, methods, name
        connection.setblocking(False)
        self._protocol: H2Connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._lengths = _Lengths(_PREFACE, self._protocol.max_inbound_frame_size)
        self._changed = threading.Condition()
        """Held by who uses the protocol or the connection; told when there is more room, or less to send to."""
        self._unsent = bytearray()
        self._wakes, self._wakened = socket.socketpair()
        for side in (self._wakes, self._wakened):
            side.setblocking(False)
        self._calls: dict[int, _Messages] = {}
        self._ended = False
        self._answering: list[threading.Thread] = []
        self._serving = threading.Thread(target=self._serve, name=name, daemon=True)
        self._serving.start()

    def close(self) -> None:
        """End the connection, and with it the calls that are left."""
        until = time.monotonic() + _END_S
        with self._changed:
            self._ended = True
            self._wake()
        for thread in (self._serving, *self._answering):
            thread.join(max(0.0, until - time.monotonic()))

    # -- the connection

    def _serve(self) -> None:
        try:
            with self._changed, selectors.DefaultSelector() as ready:
                ready.register(self._wakened, selectors.EVENT_READ)
                ready.register(self._connection, selectors.EVENT_READ)
                self._protocol.initiate_connection()
                self._protocol.increment_flow_control_window(_MOST_WAITING)  # of all calls: none takes another's
                while not self._ended:
                    self._receive()  # before the first wait too: TLS may have read more than was asked for
                    self._flush()
                    self._changed.notify_all()
                    writes = selectors.EVENT_WRITE if self._unsent else 0
                    ready.modify(self._connection, selectors.EVENT_READ | writes)
                    self._wait(ready)
        except Exception as error:  # noqa: BLE001 - of the connection, or what h2 makes of what is no HTTP/2
            logger.debug("the session's connection ended: %s", error)
        finally:
            self._end()

    def _wait(self, ready: selectors.BaseSelector) -> None:
        """Wait for the connection, or for a thread that has more to send than it takes; the others may go on."""
        self._changed.release()
        try:
            ready.select()
        finally:
            self._changed.acquire()
        with contextlib.suppress(*_NOT_NOW):
            while self._wakened.recv(_BLOCK):
                pass

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake, or has ended
            self._wakes.send(b"\0")

    def _receive(self) -> None:
        from h2.errors import ErrorCodes

        with contextlib.suppress(*_NOT_NOW):
            while not self._ended:
                block = self._connection.recv(_BLOCK)
                if length := self._lengths.overlong(block):
                    self._protocol.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
                    raise OSError(f"a frame of {length} bytes")
                if not block:
                    raise OSError("the engine closed it")
                for event in self._protocol.receive_data(block):
                    self._take(event)

    def _flush(self) -> None:
        """Send what the connection takes now; the rest goes when it takes more."""
        self._unsent += self._protocol.data_to_send()
        with contextlib.suppress(*_NOT_NOW):
            while self._unsent:
                del self._unsent[: self._connection.send(self._unsent[:_BLOCK])]

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            with contextlib.suppress(Exception):
                self._flush()  # it is told why
            for messages in self._calls.values():
                messages.end(CallEnded("the connection has ended"))
            self._changed.notify_all()
            self._wakes.close()
            self._wakened.close()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    # -- what comes

    def _take(self, event: Event) -> None:
        from h2 import events

        stream = getattr(event, "stream_id", None) or 0
        if isinstance(event, events.ConnectionTerminated):
            raise OSError(f"the engine ended it with error {event.error_code}")
        if isinstance(event, events.RequestReceived):
            headers = [(_text(name), _text(value)) for name, value in event.headers or ()]
            self._calls[stream] = messages = _Messages(lambda room: self._give_room(stream, room))
            thread = threading.Thread(
                target=self._answer, args=(stream, headers, messages), name=self._name, daemon=True
            )
            self._answering = [*(one for one in self._answering if one.is_alive()), thread]
            thread.start()
        elif isinstance(event, events.DataReceived):
            taken = event.flow_controlled_length or 0
            if call := self._calls.get(stream):
                call.feed(event.data or b"", taken)
            elif taken:  # its call was answered
                self._protocol.acknowledge_received_data(taken, stream)
        elif (call := self._calls.get(stream)) is None:
            return
        elif isinstance(event, events.StreamEnded):
            call.end()
        elif isinstance(event, events.StreamReset):
            call.end(CallEnded("the call was cancelled"))

    def _give_room(self, stream: int, room: int) -> None:
        with contextlib.suppress(CallEnded), self._going():
            self._protocol.acknowledge_received_data(room, stream)

    # -- what goes

    def _answer(self, stream: int, headers: Sequence[tuple[str, str]], messages: _Messages) -> None:
        """Answer one call."""
        path = dict(headers).get(":path", "")
        status, details = OK, ""
        try:
            self._send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
            try:
                if path not in self._methods:
                    raise RefusedCall(UNIMPLEMENTED, f"{path} is not served")
                for together in self._methods[path](iter(messages), headers):
                    self._send(stream, b"".join(b"\0" + len(one).to_bytes(4, "big") + one for one in together))
            except RefusedCall as refused:
                status, details = refused.status, str(refused)
            except CallEnded:
                raise
            except Exception as error:  # noqa: BLE001 - the engine is told, and says so in its own words
                logger.debug("%s failed: %s", path, error)
                status, details = UNKNOWN, str(error)
            trailers = [("grpc-status", str(status)), ("grpc-message", quote(details[:_MOST_DETAILS], safe=" "))]
            self._send_headers(stream, trailers, end=True)
        except CallEnded:
            pass  # who asked is gone
        finally:
            with self._changed:
                self._calls.pop(stream, None)

    def _send_headers(self, stream: int, headers: list[tuple[str, str]], *, end: bool = False) -> None:
        with self._going():
            self._protocol.send_headers(stream, headers, end_stream=end)

    def _send(self, stream: int, data: bytes) -> None:
        """Send the data of a stream as fast as the other side gives room for it."""
        place = 0
        while place < len(data):
            with self._going():
                # The room is below 0 where the engine took back what it had given.
                while (room := self._protocol.local_flow_control_window(stream)) <= 0 or self._is_full():
                    self._changed.wait()
                    self._check()
                until = min(len(data), place + room)
                while place < until:
                    end = min(until, place + self._protocol.max_outbound_frame_size)
                    self._protocol.send_data(stream, data[place:end])
                    place = end

    def _is_full(self) -> bool:
        return len(self._unsent) > _MOST_UNSENT

    def _check(self) -> None:
        if self._ended:
            raise CallEnded("the connection has ended")

    @contextlib.contextmanager
    def _going(self) -> Iterator[None]:
        """Give the protocol to who sends; what it made of that is sent at the end."""
        from h2.exceptions import ProtocolError

        with self._changed:
            self._check()
            try:
                yield
                self._flush()
            except (OSError, ProtocolError) as error:  # the stream was reset, or nothing can be sent
                raise CallEnded(str(error)) from error
            if self._unsent:
                self._wake()


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
