"""Servers that send a byte now and then: each answer ends in its time, though no two bytes are far apart."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from buildr_jupyter.errors import Cancelled, PublishError, RegistryUnreachable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.registry.client import Registry
from buildr_jupyter.registry.deadlines import Deadline
from buildr_jupyter.registry.transport import RetryPolicy
from tests.fakes.registry import FakeRegistry, _Handler

GAP_S = 0.05
LIMIT_S = 0.5


@contextlib.contextmanager
def trickling(prompt: bytes, then: bytes) -> Iterator[str]:
    """A server that sends ``prompt`` at once, and then ``then`` a byte at a time, over and over."""
    stop = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if connection.recv(65536)[:1] == b"\x16":  # TLS
                return
            connection.sendall(prompt)
            while not stop.wait(GAP_S):
                for number in range(len(then)):
                    connection.sendall(then[number : number + 1])
                    if stop.wait(GAP_S):
                        return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n"


@pytest.mark.parametrize(
    ("prompt", "then"),
    [
        (b"", b"HTTP/1.1 200 OK\r\n"), (HEAD, b"X-A: b\r\n"), (HEAD + b"Content-Length: 100000\r\n\r\n", b"{"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"), (HEAD + b"\r\n", b" "),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 9999\r\n\r\n", b" "), (b"HTTP/1.1 404 No\r\nContent-Length: 99999\r\n\r\n", b" "),
    ],
    ids=["status", "headers", "body", "chunks", "no length", "error", "large error"],
)  # fmt: skip
def test_a_document_that_trickles(prompt: bytes, then: bytes) -> None:
    with trickling(prompt, then) as host, contextlib.closing(Registry(host, timeout_s=LIMIT_S)) as registry:
        began = time.monotonic()
        with pytest.raises(PublishError):
            registry.manifest("x", "1")
        assert time.monotonic() - began < 4 * LIMIT_S + 10


@pytest.mark.parametrize("then", [b"x", b"1\r\nx\r\n"])
def test_a_blob_that_trickles(then: bytes) -> None:
    kind = b"Content-Length: 1000000" if then == b"x" else b"Transfer-Encoding: chunked"
    with trickling(HEAD + kind + b"\r\n\r\n", then) as host:
        with contextlib.closing(Registry(host, timeout_s=LIMIT_S, patience=RetryPolicy(retries=1))) as registry:
            began = time.monotonic()
            with pytest.raises(RegistryUnreachable, match="broke off"):
                registry.download("x", "sha256:" + "0" * 64, 1_000_000, io.BytesIO())
            assert time.monotonic() - began < 6 * LIMIT_S + 10


def test_a_blob_that_trickles_is_cancelled_at_once() -> None:
    with trickling(HEAD + b"Content-Length: 1000000\r\n\r\n", b"x") as host:
        cancel = CancelToken()
        with contextlib.closing(Registry(host)) as registry:
            threading.Timer(0.3, cancel.set).start()
            began = time.monotonic()
            with pytest.raises((Cancelled, PublishError)):
                registry.until(cancel).download("x", "sha256:" + "0" * 64, 1_000_000, io.BytesIO())
            assert time.monotonic() - began < 20


def test_a_blob_that_breaks_off_after_each_byte_ends() -> None:
    def rule(handler: _Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        begin = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        handler.send_response(206 if begin else 200)
        handler.send_header("Content-Length", str(1_000_000 - begin))
        handler.end_headers()
        handler.wfile.write(b"x")
        handler._cut()
        return True

    with (
        FakeRegistry() as fake,
        contextlib.closing(Registry(fake.host, patience=RetryPolicy(retries=3, sleep=lambda _s: None))) as registry,
    ):
        fake.rule = rule
        with pytest.raises(RegistryUnreachable, match="broke off"):
            registry.download("x", "sha256:" + "0" * 64, 1_000_000, io.BytesIO())
        assert len([1 for _, path, _ in fake.requests if "/blobs/" in path]) == 4


def test_a_slow_blob_that_gets_on_is_no_trickle() -> None:
    content = bytes(range(256)) * 1024

    def rule(handler: _Handler) -> bool:
        if "/blobs/" not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        for at in range(0, len(content), 1 << 16):
            time.sleep(LIMIT_S / 2)
            handler.wfile.write(content[at : at + (1 << 16)])
        return True

    import hashlib

    with FakeRegistry() as fake, contextlib.closing(Registry(fake.host, timeout_s=LIMIT_S)) as registry:
        fake.rule = rule
        out = io.BytesIO()
        registry.download("x", f"sha256:{hashlib.sha256(content).hexdigest()}", len(content), out)
        assert out.getvalue() == content


def test_a_deadline_that_is_kept_does_nothing() -> None:
    one, other = socket.socketpair()
    with one, other:
        with Deadline(one, 0.1) as kept:
            pass
        time.sleep(0.2)
        one.sendall(b"x")
        assert (other.recv(1), kept.expired) == (b"x", False)
        with Deadline(one, 0.1) as missed:
            assert one.recv(1) == b""
        assert missed.expired
