"""Websockets to a pod against a server that speaks as the API server does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.client import Configuration

from buildr_jupyter.cluster.kube_client import KubeClient
from buildr_jupyter.errors import ClusterForbidden
from buildr_jupyter.events.cancel import CancelToken


@dataclass
class Server:
    """Accepts one websocket after another, or refuses it."""

    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    refuses: bytes = b""
    protocol: str = "v5.channel.k8s.io"
    asked: list[str] = field(default_factory=list)
    got: list[bytes] = field(default_factory=list)
    """What came by each frame, behind the byte of its channel."""
    says: list[bytes] = field(default_factory=list)
    """Frames that are sent at once."""
    echoes: bool = False
    ends: bool = False
    """It closes the connection once it has said that."""
    breaks_after: int | None = None
    away: int = 0
    """So many connections end without an answer."""
    slept: list[float] = field(default_factory=list)

    def client(self, *, answered: bool = False) -> KubeClient:
        def load() -> Configuration:
            made = Configuration(host=f"http://127.0.0.1:{self.listener.getsockname()[1]}")
            made.api_key["authorization"] = "Bearer token"
            return made

        made = KubeClient(load, context="here", namespace="team", sleep=self.slept.append)
        made._answered = answered
        return made

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, contextlib.suppress(OSError):
                    self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        if self.away:
            self.away -= 1
            return
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        self.asked.append(head.decode())
        if self.refuses:
            size = len(self.refuses)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % size + self.refuses)
            return
        key = next(line for line in head.decode().splitlines() if line.startswith("Sec-WebSocket-Key")).split(": ")[1]
        token = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
        answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        answer += [f"Sec-WebSocket-Accept: {base64.b64encode(token).decode()}"]
        answer += [f"Sec-WebSocket-Protocol: {self.protocol}", "", ""]
        connection.sendall("\r\n".join(answer).encode())
        for data in self.says:
            connection.sendall(frame(data))
        if self.ends:
            connection.sendall(b"\x88\x00")
        while (data := read_frame(connection)) is not None:
            self.got.append(data)
            if self.breaks_after is not None and len(self.got) >= self.breaks_after:
                return
            if self.echoes:
                connection.sendall(frame(data))
            if data == b"\xff\x00":
                connection.sendall(b"\x88\x00")
                return


def frame(data: bytes) -> bytes:
    return struct.pack("!BBH", 0x82, 126, len(data)) + data


def read_frame(connection: socket.socket) -> bytes | None:
    """Return the data of a client's frame, None at the end."""

    def exactly(size: int) -> bytes:
        found = b""
        while len(found) < size:
            more = connection.recv(size - len(found))
            if not more:
                raise OSError("gone")
            found += more
        return found

    first, second = exactly(2)
    size = second & 0x7F
    if size == 126:
        size = struct.unpack("!H", exactly(2))[0]
    elif size == 127:
        size = struct.unpack("!Q", exactly(8))[0]
    mask = exactly(4)
    data = bytes(byte ^ mask[place % 4] for place, byte in enumerate(exactly(size)))
    return None if first & 0x0F == 8 else data


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve)
    thread.start()
    yield made
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()
    thread.join()


def test_an_input_is_sent_whole_and_ended(server: Server) -> None:
    client: Any = server.client()
    client.send("pod", "program", iter([b"a" * 40_000, b"b"]), CancelToken())
    sent = b"".join(data[1:] for data in server.got if data[0] == 0)
    assert sent == b"a" * 40_000 + b"b"
    assert server.got[-1] == b"\xff\x00"
    (head,) = server.asked
    assert head.startswith("GET /api/v1/namespaces/team/pods/pod/attach?container=program&stdin=true")
    assert "authorization: Bearer token" in head


def test_an_input_ends_with_the_connection_where_the_server_is_old(server: Server) -> None:
    server.protocol = "v4.channel.k8s.io"
    server.client().send("pod", "program", iter([b"all"]), CancelToken())
    assert server.got == [b"\0all"]


def test_a_right_that_is_missing_is_named(server: Server) -> None:
    server.refuses = b'{"message": "pods is forbidden"}'
    with pytest.raises(ClusterForbidden, match="you may not create pods/attach in namespace 'team'"):
        server.client().send("pod", "program", iter([b"x"]), CancelToken())


def test_a_connection_that_breaks_is_said(server: Server) -> None:
    server.breaks_after = 1
    with pytest.raises(ConnectionError):
        server.client().send("pod", "program", iter([b"x"] * 100_000), CancelToken())
    closed = Server()
    client = closed.client()
    client._client()
    closed.listener.close()
    with pytest.raises(ConnectionError):
        client.forward("pod", 1234)


def test_a_server_that_is_away_for_the_moment_is_asked_again(server: Server) -> None:
    server.away = 2
    server.client(answered=True).send("pod", "program", iter([b"all"]), CancelToken())
    assert (server.got, server.slept) == ([b"\0all", b"\xff\x00"], [0.1, 0.2])
    server.away = 1
    with pytest.raises(ConnectionError):
        server.client().send("pod", "program", iter([b"all"]), CancelToken())


def test_a_port_is_forwarded_both_ways(server: Server) -> None:
    server.says = [b"\0" + struct.pack("<H", 1234), b"\1" + struct.pack("<H", 1234)]
    server.echoes = True
    with server.client().forward("pod", 1234) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
    assert "portforward?ports=1234" in server.asked[0]


ENDED = b'\3{"status": "Success"}'


def test_a_command_says_what_it_writes(server: Server) -> None:
    server.says, server.ends = [b"\1", b"\1one ", b"\2wrong", b"\1two", ENDED], True
    errors: list[bytes] = []
    found = server.client().execute("pod", "collector", ["python", "a b&"], CancelToken(), say=errors.append)
    assert (b"".join(found), errors) == (b"one two", [b"wrong"])
    (head,) = server.asked
    assert head.startswith(
        "GET /api/v1/namespaces/team/pods/pod/exec?command=python&command=a+b%26&container=collector&stdout=true"
    )


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ([], "cut off"),
        ([b'\3{"status": "Failure", "message": "command terminated with exit code 1"}'], "exit code 1"),
    ],
)
def test_a_command_that_fails_or_breaks_off_is_said(server: Server, last: list[bytes], said: str) -> None:
    server.says, server.ends = [b"\1one", *last], True
    with pytest.raises(ConnectionError, match=said):
        list(server.client().execute("pod", "collector", ["x"], CancelToken(), say=lambda _: None))
    server.refuses = b'{"message": "pods is forbidden"}'
    with pytest.raises(ClusterForbidden, match="you may not create pods/exec in namespace 'team'"):
        list(server.client().execute("pod", "collector", ["x"], CancelToken(), say=lambda _: None))
