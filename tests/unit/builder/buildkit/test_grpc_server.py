"""A gRPC server on an open connection, judged by grpc's own client."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildr_jupyter.builder.buildkit.grpc_server import NOT_FOUND, CallEnded, GrpcServer, Method, RefusedCall
from tests.engines import certificates, short_folder

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("h2") is None, reason="sessions need the extra [buildkit]"),
    pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets"),
]
MESSAGES = [os.urandom(size) for size in (0, 1, 5, 16_384, 70_000, 1_000_000)]


def echo(requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
    for message in requests:
        yield [message, message]


def many(_requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
    yield MESSAGES * 3


def told(_requests: Iterator[bytes], metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
    yield [value.encode() for name, value in metadata if name == "word"]


def refuses(_requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
    yield [b"one"]
    raise RefusedCall(NOT_FOUND, "it is 100 % gone: ä")


def fails(_requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
    raise ValueError("broken")
    yield []


METHODS: dict[str, Method] = {
    "/s/echo": echo, "/s/many": many, "/s/told": told, "/s/refuses": refuses, "/s/fails": fails,
}  # fmt: skip


@contextlib.contextmanager
def asked(methods: dict[str, Method] = METHODS) -> Iterator[str]:
    """Serve the first connection; gives where a client of grpc's connects."""
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s"))
        listening.listen()
        ended = threading.Event()

        def take() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.closing(GrpcServer(connection, methods, "test-grpc")):
                ended.wait(60)

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield f"unix:{folder / 's'}"
        finally:
            ended.set()
            thread.join(60)
        assert not [one for one in threading.enumerate() if one.name == "test-grpc"]


def test_messages_go_both_ways_whole_and_in_order() -> None:
    import grpc

    with asked() as place, grpc.insecure_channel(place) as channel:
        answers = list(channel.stream_stream("/s/echo")(iter(MESSAGES), timeout=60))
        assert answers == [message for message in MESSAGES for _ in range(2)]
        assert list(channel.unary_stream("/s/many")(b"", timeout=60)) == MESSAGES * 3


def test_calls_at_once_share_the_connection() -> None:
    import grpc

    with asked() as place, grpc.insecure_channel(place) as channel:
        calls = [channel.unary_stream("/s/many")(b"", timeout=60) for _ in range(20)]
        assert all(list(call) == MESSAGES * 3 for call in calls)


def test_the_metadata_of_a_call_is_told() -> None:
    import grpc

    with asked() as place, grpc.insecure_channel(place) as channel:
        metadata = (("word", "a"), ("word", "b"), ("other", "c"))
        assert list(channel.unary_stream("/s/told")(b"", timeout=60, metadata=metadata)) == [b"a", b"b"]


def test_what_fails_ends_with_its_status_and_the_rest_goes_on() -> None:
    import grpc

    with asked() as place, grpc.insecure_channel(place) as channel:
        for path, code, words in (
            ("/s/refuses", grpc.StatusCode.NOT_FOUND, "it is 100 % gone: ä"),
            ("/s/fails", grpc.StatusCode.UNKNOWN, "broken"),
            ("/s/none", grpc.StatusCode.UNIMPLEMENTED, "/s/none is not served"),
        ):
            with pytest.raises(grpc.RpcError) as failed:
                list(channel.unary_stream(path)(b"", timeout=60))
            assert (failed.value.code(), failed.value.details()) == (code, words)
        with pytest.raises(grpc.RpcError) as failed:
            list(channel.unary_stream("/s/echo")(b"x" * (4 * 1024 * 1024 + 1), timeout=60))
        assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert list(channel.unary_stream("/s/echo")(b"x", timeout=60)) == [b"x", b"x"]


def test_a_call_that_is_cancelled_ends_here_too() -> None:
    import grpc

    ended = threading.Event()

    def endless(_requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
        try:
            while True:
                yield [b"x" * 100_000]
        finally:
            ended.set()

    with asked({**METHODS, "/s/endless": endless}) as place, grpc.insecure_channel(place) as channel:
        call = channel.unary_stream("/s/endless")(b"", timeout=60)
        next(call)
        call.cancel()
        assert ended.wait(60)
        assert list(channel.unary_stream("/s/echo")(b"x", timeout=60)) == [b"x", b"x"]


def test_a_call_that_is_cancelled_ends_what_waits_for_its_messages() -> None:
    import grpc

    seen: list[Exception] = []
    ended = threading.Event()

    def waits(requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
        yield [b"begun"]
        try:
            next(requests)
        except Exception as error:
            seen.append(error)
            raise
        finally:
            ended.set()

    def silent() -> Iterator[bytes]:
        ended.wait(60)
        yield from ()

    with asked({**METHODS, "/s/waits": waits}) as place, grpc.insecure_channel(place) as channel:
        call = channel.stream_stream("/s/waits")(silent(), timeout=60)
        assert next(call) == b"begun"
        call.cancel()
        assert ended.wait(60)
        assert [type(one) for one in seen] == [CallEnded], "its end is not taken for the end of the messages"
        assert list(channel.unary_stream("/s/echo")(b"x", timeout=60)) == [b"x", b"x"]


def test_64_mb_go_as_fast_as_they_are_taken_and_are_not_kept_here() -> None:
    import grpc

    piece = os.urandom(256 * 1024)
    made = 0

    def long(_requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
        nonlocal made
        for _ in range(256):
            made += 1
            yield [piece]

    with asked({"/s/long": long}) as place, grpc.insecure_channel(place) as channel:
        call = channel.unary_stream("/s/long")(b"", timeout=60)
        assert next(call) == piece
        time.sleep(0.2)  # it is not read
        assert made < 100
        assert all(message == piece for message in call)
    assert made == 256


def test_what_a_method_does_not_take_is_not_sent_on_and_holds_no_other_call() -> None:
    import grpc

    taking = threading.Event()
    sent = 0

    def counts(requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
        taking.wait(60)
        yield [str(sum(len(message) for message in requests)).encode()]

    def much() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(64):
            sent += 1
            yield bytes(1_000_000)

    with asked({**METHODS, "/s/counts": counts}) as place, grpc.insecure_channel(place) as channel:
        call = channel.stream_stream("/s/counts")(much(), timeout=60)
        until = time.monotonic() + 60
        while sent < 16 and time.monotonic() < until:
            time.sleep(0.01)
        assert list(channel.unary_stream("/s/echo")(b"x" * 100_000, timeout=60)) == [b"x" * 100_000] * 2
        time.sleep(0.2)
        assert sent < 40
        taking.set()
        assert list(call) == [b"64000000"]


# -- a client that does not behave


class Client:
    """The other end of a connection, with HTTP/2 in hand."""

    def __init__(self, connection: socket.socket) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self.connection, self.protocol = connection, H2Connection(H2Configuration(client_side=True))
        self.events: list[Any] = []
        connection.settimeout(60)
        self.protocol.initiate_connection()
        self.send()

    def send(self) -> None:
        self.connection.sendall(self.protocol.data_to_send())

    def call(self, path: str, *, end: bool = True) -> int:
        stream = self.protocol.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
        self.protocol.send_headers(stream, headers, end_stream=end)
        self.send()
        return stream

    def take(self) -> bool:
        """Take what there is; False at the end of the connection."""
        block = self.connection.recv(65_536)
        self.events += self.protocol.receive_data(block) if block else []
        return bool(block)

    def take_until(self, kind: str) -> Any:
        while True:
            for event in self.events:
                if type(event).__name__ == kind:
                    return event
            assert self.take(), f"it ended without {kind}"


@contextlib.contextmanager
def connected(methods: dict[str, Method] = METHODS) -> Iterator[tuple[Client, GrpcServer]]:
    """Give a client and its server; nothing of the server stays."""
    ours, other = socket.socketpair()
    with ours, other:
        with contextlib.closing(GrpcServer(ours, methods, "test-grpc")) as server:
            yield Client(other), server
            began = time.monotonic()
        assert time.monotonic() - began < 3, "closing waited"
    assert not [one for one in threading.enumerate() if one.name == "test-grpc"]


class Endless:
    """A method that sends until it is ended."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def __call__(self, _requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
        try:
            while True:
                yield [bytes(100_000)]
        finally:
            self.ended.set()


@pytest.mark.parametrize("length", [16_385, 16 * 1024 * 1024 - 1])
def test_a_frame_that_is_too_long_is_refused_by_its_head(length: int) -> None:
    from h2.errors import ErrorCodes

    with connected() as (client, _server):
        client.call("/s/none")
        client.take_until("StreamEnded")
        client.connection.sendall(length.to_bytes(3, "big") + bytes(6))  # and no more
        assert client.take_until("ConnectionTerminated").error_code == ErrorCodes.FRAME_SIZE_ERROR
        assert not client.take()


def test_frames_may_come_in_any_pieces() -> None:
    with connected() as (client, _server):
        stream = client.call("/s/echo", end=False)
        client.protocol.send_data(stream, b"\0" + (16_379).to_bytes(4, "big") + bytes(16_379), end_stream=True)
        data = client.protocol.data_to_send()
        for place in range(0, len(data), 7):
            client.connection.sendall(data[place : place + 7])
        client.take_until("StreamEnded")


@pytest.mark.parametrize("how", ["close", "half", "goaway"])
def test_a_connection_that_ends_in_mid_transfer_ends_its_calls(how: str) -> None:
    endless = Endless()
    with connected({**METHODS, "/s/endless": endless}) as (client, _server):
        client.call("/s/endless")
        client.call("/s/echo", end=False)  # waits for a message
        client.take_until("DataReceived")
        if how == "close":
            client.connection.close()
        elif how == "half":
            client.connection.shutdown(socket.SHUT_WR)
        else:
            client.protocol.close_connection()
            client.send()
        assert endless.ended.wait(10)
        if how != "close":
            with contextlib.suppress(ConnectionError):
                while client.connection.recv(65_536):  # until its end
                    pass


def test_a_client_that_reads_nothing_is_heard_and_can_be_closed() -> None:
    endless, heard = Endless(), threading.Event()

    def hears(requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
        assert next(requests) == b"now"
        heard.set()
        yield []

    with connected({"/s/endless": endless, "/s/hears": hears}) as (client, _server):
        from h2.settings import SettingCodes

        client.protocol.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
        client.protocol.increment_flow_control_window(2**30)
        client.call("/s/endless")
        stream = client.call("/s/hears", end=False)
        time.sleep(0.3)  # the connection is full
        client.protocol.send_data(stream, b"\0\0\0\0\3now", end_stream=True)
        client.send()
        assert heard.wait(10)
    assert endless.ended.wait(10)


def test_room_that_is_taken_back_is_waited_for() -> None:
    from h2.settings import SettingCodes

    with connected() as (client, _server):
        stream = client.call("/s/many")
        client.protocol.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})  # what was sent is more: it is below 0
        client.send()
        client.take_until("SettingsAcknowledged")
        before = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - before < 0.15, "it turns while it waits"
        client.protocol.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
        client.protocol.increment_flow_control_window(2**30)
        client.send()
        client.take_until("StreamEnded")
        data = b"".join(one.data for one in client.events if type(one).__name__ == "DataReceived")
        assert len(data) == 3 * sum(5 + len(message) for message in MESSAGES)
        assert stream == 1


def test_closing_ends_calls_that_wait() -> None:
    with connected() as (client, server):
        client.call("/s/echo", end=False)
        client.take_until("ResponseReceived")
        server.close()
        assert not client.take()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=60))))
def test_no_frames_break_it(caplog: pytest.LogCaptureFixture, frames: list[tuple[int, int, int, bytes]]) -> None:
    with connected() as (client, _server), contextlib.suppress(OSError):
        stream = client.call("/s/echo", end=False)
        for kind, flags, number, content in frames:
            head = len(content).to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big")
            client.connection.sendall(head + content)
        client.protocol.send_data(stream, b"", end_stream=True)
        client.send()
        client.connection.shutdown(socket.SHUT_WR)
        while client.connection.recv(65_536):
            pass


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100])
def test_what_is_no_http_2_ends_the_connection(noise: bytes) -> None:
    ours, other = socket.socketpair()
    with ours, other:
        other.settimeout(60)
        with contextlib.closing(GrpcServer(ours, METHODS, "test-grpc")):
            with contextlib.suppress(OSError):
                other.sendall(noise)
                while other.recv(4096):
                    pass


@contextlib.contextmanager
def tls(folder: Path) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Give our end of a connection with TLS, and the engine's."""
    made = certificates.make(folder)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made.certificate, made.key)
    asking = ssl.create_default_context(cafile=str(made.ca))
    ours, other = socket.socketpair()
    shaken: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: shaken.append(serving.wrap_socket(other, server_side=True)))
    thread.start()
    with asking.wrap_socket(ours, server_hostname="localhost") as wrapped:
        thread.join(60)
        with shaken[0]:
            yield wrapped, shaken[0]


def test_what_tls_has_read_already_is_served(tmp_path: Path) -> None:
    with tls(tmp_path) as (ours, other):
        joined = Joined(other)
        client = Client(joined)  # type: ignore[arg-type]
        client.call("/s/none")
        other.sendall(b"x" + joined.sent)  # in one record
        assert ours.recv(1) == b"x"
        client.connection = other
        with contextlib.closing(GrpcServer(ours, METHODS, "test-grpc")):
            client.take_until("StreamEnded")


class Joined:
    """A connection that keeps what is sent."""

    def __init__(self, connection: socket.socket) -> None:
        self.sent, self.settimeout = b"", connection.settimeout

    def sendall(self, data: bytes) -> None:
        self.sent += data


def test_tls_carries_both_directions_at_once(tmp_path: Path) -> None:
    taken = 0

    def both(requests: Iterator[bytes], _metadata: Sequence[tuple[str, str]]) -> Iterator[list[bytes]]:
        nonlocal taken
        for message in requests:
            taken += len(message)
            yield [message]

    with tls(tmp_path) as (ours, other), contextlib.closing(GrpcServer(ours, {"/s/both": both}, "test-grpc")):
        client = Client(other)
        stream = client.call("/s/both", end=False)
        rest = 40 * 100_005
        data = memoryview((b"\0" + (100_000).to_bytes(4, "big") + bytes(100_000)) * 40)
        got = 0
        while got < len(data):
            room = min(client.protocol.local_flow_control_window(stream), 16_384, rest)
            if room > 0:
                client.protocol.send_data(stream, bytes(data[len(data) - rest :][:room]))
                rest -= room
            client.send()
            if room <= 0:
                assert client.take()
                for event in client.events:
                    if type(event).__name__ == "DataReceived":
                        got += len(event.data)
                        client.protocol.acknowledge_received_data(event.flow_controlled_length, stream)
                client.events.clear()
        assert (got, taken) == (len(data), 4_000_000)
