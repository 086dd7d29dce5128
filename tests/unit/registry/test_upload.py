"""A blob on its way into a registry, against one in memory that breaks off, refuses and forgets."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import pytest

from buildr_jupyter.errors import PublishError, RegistryUnreachable
from buildr_jupyter.registry.upload import Sending

BLOB = bytes(range(256)) * 20_000
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"


class Patience:
    retries = 3

    def __init__(self) -> None:
        self.paused = 0

    def check(self) -> None:
        """Nobody stops it."""

    def wait_s(self, attempt: int, retry_after: str | None = None) -> float:
        return 0.0

    def pause(self, seconds: float) -> None:
        self.paused += 1


@dataclass
class Answer:
    headers: Mapping[str, str] = field(default_factory=dict)

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Uploads:
    """A registry with one upload; ``before`` may raise what a request meets, after it took ``part`` of the body."""

    host = "reg.example"

    def __init__(self, before: Callable[[Uploads, str, int], int | None] = lambda *_: None) -> None:
        self.patience: Any = Patience()
        self.taken, self.whole, self.begun = bytearray(), b"", 0
        self.before, self.lengths, self.said_digest = before, [], DIGEST  # type: ignore[var-annotated]

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, data: Callable[[], Any] | None = None,
        **_: object,
    ) -> Any:  # fmt: skip
        if method == "GET":
            self.before(self, method, 0)
            return Answer({"Range": f"0-{max(0, len(self.taken) - 1)}", "Location": "/at"})
        length = int((headers or {})["Content-Length"])
        if method == "PATCH":
            assert (headers or {})["Content-Range"] == f"{len(self.taken)}-{len(self.taken) + length - 1}"
        self.lengths.append(length)
        body = data() if data else None
        part = self.before(self, method, length)
        sent = body.read(length if part is None else part) if body else b""
        self.taken += sent
        if part is not None:
            raise RegistryUnreachable("it broke off")
        assert len(sent) == length
        if method == "PUT":
            assert f"digest={DIGEST.replace(':', '%3A')}" in path
            self.whole = bytes(self.taken)
            return Answer({"Docker-Content-Digest": self.said_digest})
        return Answer({"Range": f"0-{len(self.taken) - 1}", "Location": "/next"})

    def checked(self, url: str) -> str:
        return url

    def has_blob(self, repository: str, digest: str) -> bool:
        return bool(self.whole)

    def begin(self, repository: str, digest: str, mount_from: str | None) -> str | None:
        self.begun += 1
        self.taken.clear()
        return "/new"


def send(registry: Uploads, chunk_bytes: int = 2 << 20) -> list[int]:
    told: list[int] = []
    opened: list[IO[bytes]] = []

    def open_blob() -> IO[bytes]:
        opened.append(io.BytesIO(BLOB))
        return opened[-1]

    Sending(registry, "me/x", DIGEST, len(BLOB), open_blob, told.append, chunk_bytes).run("/at")  # type: ignore[arg-type]
    assert all(stream.closed for stream in opened)
    return told


def test_a_small_blob_is_one_request() -> None:
    registry = Uploads()
    told = send(registry, chunk_bytes=64 << 20)
    assert registry.whole == BLOB
    assert registry.lengths == [len(BLOB)]
    assert told[-1] == len(BLOB)
    assert told == sorted(told)


def test_a_large_one_goes_in_chunks() -> None:
    registry = Uploads()
    send(registry)
    assert registry.whole == BLOB
    assert registry.lengths == [2 << 20, 2 << 20, len(BLOB) - (4 << 20), 0]


def test_where_it_broke_off_it_goes_on() -> None:
    broken = iter([None, 1000, None, None, None, None])
    registry = Uploads(lambda registry, method, length: next(broken) if method != "GET" else None)
    send(registry)
    assert registry.whole == BLOB
    assert sum(registry.lengths) < len(BLOB) + (2 << 20), "what was taken is not sent again"
    assert (registry.begun, registry.patience.paused) == (0, 1)


def test_an_upload_that_is_gone_begins_again() -> None:
    met: list[str] = []

    def before(registry: Uploads, method: str, length: int) -> int | None:
        met.append(method)
        if len(met) == 2:
            return 10
        if method == "GET":
            error = PublishError("no such upload")
            error.status = 404
            raise error
        return None

    registry = Uploads(before)
    send(registry)
    assert (registry.whole, registry.begun) == (BLOB, 1)


def test_a_proxy_that_takes_less_gets_less() -> None:
    def before(registry: Uploads, method: str, length: int) -> int | None:
        if length > 1 << 20:
            error = PublishError("too large")
            error.status = 413
            raise error
        return None

    registry = Uploads(before)
    send(registry, chunk_bytes=4 << 20)
    assert registry.whole == BLOB
    assert max(registry.lengths[1:]) <= 1 << 20


def test_one_that_is_never_there_is_given_up() -> None:
    registry = Uploads(lambda registry, method, length: 0 if method != "GET" else None)
    with pytest.raises(RegistryUnreachable):
        send(registry)
    assert registry.patience.paused == Patience.retries


def test_another_digest_than_the_blob_s_is_an_error() -> None:
    registry = Uploads()
    registry.said_digest = "sha256:" + "0" * 64
    with pytest.raises(PublishError, match=r"says sha256:0+ of a blob that is"):
        send(registry)
