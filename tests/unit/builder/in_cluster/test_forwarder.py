"""A socket file whose connections end at a pod."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.builder.in_cluster.forwarder import forwarded
from tests.fakes.cluster import FakeCluster

PORT = 1234


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    """A pod that sends back what it gets, in capitals."""
    made = FakeCluster(tmp_path)
    made.objects[("Pod", "pod")] = {"kind": "Pod", "metadata": {"name": "pod", "uid": "u"}}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made.listening[PORT] = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,)).start()

        def answer(connection: socket.socket) -> None:
            with connection:
                while data := connection.recv(1000):
                    connection.sendall(data.upper())

        thread = threading.Thread(target=serve)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


def test_each_connection_is_one_to_the_pod(cluster: FakeCluster) -> None:
    with forwarded(cluster, "pod", PORT) as path, connected(path) as one, connected(path) as other:
        one.sendall(b"one")
        other.sendall(b"other")
        assert (one.recv(100), other.recv(100)) == (b"ONE", b"OTHER")
        one.shutdown(socket.SHUT_WR)
        assert one.recv(100) == b""
        other.sendall(b"more")
        assert other.recv(100) == b"MORE"
    assert not Path(path).exists()
    assert cluster.requests.count("create pods/portforward") == 2


def test_what_is_open_is_closed_at_the_end(cluster: FakeCluster) -> None:
    with forwarded(cluster, "pod", PORT) as path:
        left = connected(path)
        left.sendall(b"x")
        assert left.recv(100) == b"X"
    with left:
        assert left.recv(100) == b""


def test_a_pod_that_is_gone_closes_the_connection(cluster: FakeCluster) -> None:
    with forwarded(cluster, "other", PORT) as path, connected(path) as one:
        assert one.recv(100) == b""
