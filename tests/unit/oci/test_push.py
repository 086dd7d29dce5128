"""Blobs up and down against a registry that does what registries do on bad days."""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from buildr_jupyter.errors import Cancelled, PublishError, RegistryDenied, RegistryUnauthorized, RegistryUnreachable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.registry.client import Registry
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.registry.transport import RetryPolicy
from tests.fakes.registry import FakeRegistry

CONTENT = secrets.token_bytes(300_000)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@contextlib.contextmanager
def client(fake: FakeRegistry, waits: list[float] | None = None, retries: int = 4) -> Iterator[Registry]:
    waited = [] if waits is None else waits
    made = Registry(fake.host, Login(fake.host, "u", "p"), patience=RetryPolicy(retries, sleep=waited.append))
    try:
        yield made
    finally:
        made.close()


def send(asked: Registry, repository: str = "me/x", **options: Any) -> str:
    return asked.upload(repository, DIGEST, len(CONTENT), lambda: io.BytesIO(CONTENT), **options)


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
@pytest.mark.parametrize("chunk_bytes", [1 << 20, 100_000])
def test_upload_then_exists_then_download(auth: Any, chunk_bytes: int) -> None:
    with FakeRegistry(auth=auth) as fake, client(fake) as asked:
        fake.strict = True
        told: list[int] = []
        assert send(asked, chunk_bytes=chunk_bytes, progress=told.append) == "done"
        assert fake.blobs[DIGEST] == CONTENT
        assert told[-1] == len(CONTENT)
        assert send(asked) == "exists"
        out = io.BytesIO()
        asked.download("me/x", DIGEST, len(CONTENT), out)
        assert out.getvalue() == CONTENT


def test_one_connection_serves_all_that_is_asked_in_turn() -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    with FakeRegistry(auth="bearer") as fake, client(fake) as asked:
        assert asked.digest("me/x", "1") is None
        assert send(asked, ask_bytes=1) == "done"
        asked.put_manifest("me/x", "1", b'{"mediaType":"%s"}' % kind.encode(), kind)
        assert asked.manifest("me/x", "1").media_type == kind
        with pytest.raises(PublishError):
            asked.manifest("me/x", "2")
        assert asked.digest("me/x", "1")
        assert len(fake.requests) >= 8
        assert len(fake.connections) == 1


def test_a_small_blob_is_sent_without_a_question() -> None:
    with FakeRegistry() as fake, client(fake) as asked:
        assert send(asked, ask_bytes=len(CONTENT) + 1) == "done"
        assert [r[0] for r in fake.requests if "/blobs/" in r[1]] == ["POST", "PUT"]


def test_mount_and_a_refused_mount() -> None:
    with FakeRegistry(auth="bearer") as fake, client(fake) as asked:
        fake.strict = True
        send(asked, "me/first")
        assert send(asked, "me/second", mount_from="me/first") == "mounted"
        fake.refuse_mount = True
        begun = len([r for r in fake.requests if r[0] == "POST" and "uploads" in r[1]])
        assert send(asked, "me/third", mount_from="me/first") == "done"
        posts = [r for r in fake.requests if r[0] == "POST" and "uploads" in r[1]]
        assert len([p for p in posts[begun:] if p[2].get("Authorization")]) == 1, "the session of the 202 is used"


@pytest.mark.parametrize("chunk_bytes", [1 << 20, 100_000])
@pytest.mark.parametrize("breaks", [1, 3])
def test_a_broken_upload_goes_on_where_it_stood(chunk_bytes: int, breaks: int) -> None:
    waits: list[float] = []
    with FakeRegistry() as fake, client(fake, waits) as asked:
        asked.ping()
        fake.break_sends = breaks
        assert send(asked, chunk_bytes=chunk_bytes) == "done"
        assert fake.blobs[DIGEST] == CONTENT
        assert len(waits) == breaks
        sent = sum(int(r[2].get("Content-Length", 0)) for r in fake.requests if r[0] in ("PUT", "PATCH"))
        assert sent < 3 * len(CONTENT)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on_or_begins_again(ranges: bool) -> None:
    with FakeRegistry() as fake, client(fake) as asked:
        fake.blobs[DIGEST] = CONTENT
        fake.break_reads, fake.ranges = 2, ranges
        out = io.BytesIO()
        asked.download("me/x", DIGEST, len(CONTENT), out)
        assert out.getvalue() == CONTENT
        asked_ranges = [r[2].get("Range") for r in fake.requests if r[0] == "GET"]
        assert asked_ranges[-1] is not None


def test_download_that_never_gets_on_ends() -> None:
    with FakeRegistry() as fake, client(fake, retries=2) as asked:
        fake.blobs[DIGEST] = b""
        with pytest.raises(RegistryUnreachable, match="broke off"):
            asked.download("me/x", DIGEST, len(CONTENT), io.BytesIO())


def test_retries_wait_and_give_up() -> None:
    waits: list[float] = []
    with FakeRegistry() as fake, client(fake, waits) as asked:
        fake.fail, fake.retry_after = [500, 503], None
        asked.ping()
        assert len(waits) == 2
        assert waits[0] < waits[1]
        waits.clear()
        fake.fail, fake.retry_after = [429], "7"
        asked.ping()
        assert waits == [7.0]
        fake.fail = [503] * 9
        with pytest.raises(RegistryUnreachable) as caught:
            asked.ping()
        assert (caught.value.method, caught.value.status, caught.value.code) == ("GET", 503, "TOOMANYREQUESTS")
        assert caught.value.hint


@pytest.mark.timeout(15)
def test_a_cancel_ends_the_wait_at_once() -> None:
    cancel = CancelToken()
    with FakeRegistry() as fake, contextlib.closing(Registry(fake.host, patience=RetryPolicy(4))) as asked:
        asked.ping()
        fake.fail, fake.retry_after = [503] * 9, "30"
        timer = threading.Timer(0.3, cancel.set)
        timer.start()
        with pytest.raises(Cancelled):
            asked.until(cancel).ping()
        timer.join()
        assert len(fake.fail) == 8
        fake.fail = []
        asked.ping()


def test_what_cannot_get_better_is_asked_once() -> None:
    waits: list[float] = []
    with FakeRegistry(denied="write") as fake, client(fake, waits) as asked:
        with pytest.raises(RegistryDenied) as caught:
            send(asked)
        assert (caught.value.status, caught.value.code) == (403, "DENIED")
        assert waits == []
    with FakeRegistry(auth="basic") as fake:
        refused = Registry(fake.host, Login(fake.host, "u", "wrong"), patience=RetryPolicy(4, sleep=waits.append))
        with contextlib.closing(refused), pytest.raises(RegistryUnauthorized):
            send(refused)
        assert waits == []


def test_a_lying_digest_is_found() -> None:
    with FakeRegistry() as fake, client(fake) as asked:
        fake.blobs[DIGEST] = CONTENT
        fake.lie = "x" * len(CONTENT)
        with pytest.raises(PublishError, match="gave other bytes"):
            asked.download("me/x", DIGEST, len(CONTENT), io.BytesIO())
        fake.lie = "x" * (len(CONTENT) + 1)
        with pytest.raises(PublishError, match="sends more"):
            asked.download("me/x", DIGEST, len(CONTENT), io.BytesIO())


def test_a_lie_about_what_was_put_is_found() -> None:
    with FakeRegistry() as fake, client(fake) as asked:
        fake.says = "sha256:" + "0" * 64
        with pytest.raises(PublishError, match="of a blob that is"):
            send(asked)
        with pytest.raises(PublishError, match="of a manifest that is"):
            asked.put_manifest("me/x", "1", b'{"mediaType":"x/y"}', "x/y")


def test_another_hosts_upload_gets_no_login() -> None:
    with FakeRegistry() as other, FakeRegistry(auth="basic") as fake, client(fake) as asked:
        fake.upload_host = other.host
        with pytest.raises(PublishError):
            send(asked, "me/x")
        there = [r for r in other.requests if "uploads" in r[1]]
        assert there
        assert all("Authorization" not in headers for _, _, headers in there)


def test_an_upload_without_tls_on_a_far_host_is_refused() -> None:
    with FakeRegistry() as fake, client(fake) as asked:
        fake.upload_host = "registry.example:80"
        with pytest.raises(RegistryUnreachable, match="not encrypted"):
            send(asked)


def test_a_token_that_expires_on_the_way() -> None:
    with FakeRegistry(auth="bearer") as fake, client(fake) as asked:
        fake.token_uses = 2
        assert send(asked, chunk_bytes=50_000) == "done"
        assert fake.blobs[DIGEST] == CONTENT
        assert len([r for r in fake.requests if r[1].startswith("/token")]) > 2


def test_a_media_type_that_is_not_taken() -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    with FakeRegistry() as fake, client(fake) as asked:
        fake.refuse_type = kind
        with pytest.raises(PublishError) as caught:
            asked.put_manifest("me/x", "1", b'{"mediaType":"%s"}' % kind.encode(), kind)
        assert caught.value.code == "MANIFEST_INVALID"
        assert "Docker's own types" in str(caught.value.hint)
        assert fake.manifests == {}


def test_referrers_by_tag() -> None:
    import json

    kind = "application/vnd.oci.image.manifest.v1+json"
    with FakeRegistry() as fake, client(fake) as asked:
        content = json.dumps({"mediaType": kind, "artifactType": "x/y", "config": {"mediaType": "c"}}).encode()
        digest = asked.put_referrer("me/x", DIGEST, content, kind)
        assert asked.put_referrer("me/x", DIGEST, content, kind) == digest
        listed = asked.manifest("me/x", DIGEST.replace(":", "-")).document["manifests"]
        assert [(one["digest"], one["artifactType"]) for one in listed] == [(digest, "x/y")]
