"""What the answers of registries mean: each cause is told apart, with a hint that leads on."""

from __future__ import annotations

import contextlib
import io
import json
from email.utils import formatdate
from typing import Any

import pytest

from buildr_jupyter.errors import PublishError, RegistryDenied, RegistryUnauthorized, RegistryUnreachable
from buildr_jupyter.registry.answers import retry_after_s
from buildr_jupyter.registry.client import Registry
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.registry.transport import RetryPolicy
from tests.fakes.registry import FakeRegistry, _Handler
from tests.unit.registry.test_authentication import asked, login_for
from tests.unit.registry.test_client import MANIFEST, TYPE

PAGE = b"<!DOCTYPE html><html><body>Log in to the wireless network</body></html>"
HTML = [("Content-Type", "text/html; charset=utf-8")]


def error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": None}]}).encode()


def ask(registry: Registry, what: str) -> object:
    digest = "sha256:" + "0" * 64
    asking: dict[str, Any] = {
        "ping": registry.ping, "digest": lambda: registry.digest("x", "1"), "manifest": lambda: registry.manifest("x", "1"),
        "has_blob": lambda: registry.has_blob("x", digest), "put": lambda: registry.put_manifest("x", "1", b"{}", TYPE),
        "download": lambda: registry.download("x", digest, 7, io.BytesIO()),
        "upload": lambda: registry.upload("x", digest, 1, lambda: io.BytesIO(b"x"), ask_bytes=9),
    }  # fmt: skip
    return asking[what]()


@pytest.mark.parametrize("what", ["ping", "digest", "manifest", "has_blob", "put", "download", "upload"])
def test_a_login_portal_answers(what: str) -> None:
    with FakeRegistry() as fake, asked(fake) as registry:
        fake.rule = lambda handler: handler.answer(200, PAGE, HTML) is None
        with pytest.raises(
            RegistryUnreachable, match=r"is no registry: it answers.* with a web page \(a login portal\?\)"
        ):
            ask(registry, what)


def test_a_login_portal_that_calls_its_page_something_else() -> None:
    with FakeRegistry() as fake, asked(fake) as registry:
        fake.rule = lambda handler: handler.answer(200, PAGE, [("Content-Type", TYPE)]) is None
        with pytest.raises(RegistryUnreachable, match="web page"):
            registry.manifest("x", "1")
        fake.rule = lambda handler: handler.answer(511, PAGE, HTML) is None
        with pytest.raises(RegistryUnreachable, match="web page"):
            registry.digest("x", "1")
        fake.rule = lambda handler: handler.answer(404, PAGE, HTML) is None
        with pytest.raises(PublishError, match="web page"):
            registry.put_manifest("x", "1", b"{}", TYPE)


def test_a_portal_in_the_place_of_the_token_service() -> None:
    with FakeRegistry(auth="bearer") as fake, asked(fake, login_for(fake)) as registry:
        fake.rule = lambda handler: handler.path.startswith("/token") and handler.answer(200, PAGE, HTML) is None
        with pytest.raises(RegistryUnreachable, match="web page"):
            registry.digest("x", "1")


def test_a_registry_that_calls_an_empty_body_html() -> None:
    """Quay does, but it says that it is a registry."""
    with FakeRegistry() as fake, asked(fake) as registry:
        known = fake.put("x", "1", MANIFEST)
        fields = [*HTML, ("Docker-Content-Digest", known)]
        fake.rule = lambda handler: handler.command == "HEAD" and handler.answer(200, b"", fields) is None
        assert registry.digest("x", "1") == known
        assert registry.has_blob("x", known)


def test_a_digest_in_a_field_that_is_none() -> None:
    with FakeRegistry() as fake, asked(fake) as registry:
        known = fake.put("x", "1", MANIFEST)
        fields = [("Content-Type", TYPE), ("Docker-Content-Digest", "../../evil")]
        fake.rule = lambda handler: handler.command == "HEAD" and handler.answer(200, b"", fields) is None
        assert registry.digest("x", "1") == known


@pytest.mark.parametrize(
    ("status", "body", "kind", "said", "hint"),
    [
        (403, b"", RegistryUnauthorized, "wants a login", "buildr login"),
        (403, error("DENIED", "requested access to the resource is denied"), RegistryUnauthorized, "wants a login", "buildr login"),
        (413, b"<html>413 Request Entity Too Large nginx</html>", PublishError, "larger than it takes", "client_max_body_size"),
        (429, b"", RegistryUnreachable, "asked too often", "log in"),
        (405, error("UNSUPPORTED", "The operation is unsupported."), PublishError, "405", "mirror"),
        (507, b"", RegistryDenied, "no space left", "delete images"),
        (402, b"", RegistryDenied, "no space left", "delete images"),
    ],
)  # fmt: skip
def test_without_a_login(status: int, body: bytes, kind: type[PublishError], said: str, hint: str) -> None:
    with FakeRegistry() as fake, asked(fake) as registry:
        fake.rule = lambda handler: handler.path != "/v2/" and handler.answer(status, body) is None
        with pytest.raises(PublishError, match=said) as caught:
            registry.put_manifest("x", "1", b"{}", TYPE)
        assert type(caught.value) is kind
        assert hint in str(caught.value.hint)


def test_a_token_service_that_forbids_those_without_a_login() -> None:
    with FakeRegistry(auth="bearer") as fake:
        fake.rule = lambda handler: (
            handler.path.startswith("/token")
            and handler.answer(403, error("DENIED", "requested access is denied")) is None
        )
        with asked(fake) as registry, pytest.raises(RegistryUnauthorized, match="wants a login") as caught:
            registry.put_manifest("x", "1", b"{}", TYPE)
        assert caught.value.hint == f"log in: buildr login {fake.host}"
        with asked(fake, login_for(fake)) as registry, pytest.raises(RegistryDenied, match="does not allow"):
            registry.put_manifest("x", "1", b"{}", TYPE)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (400, "TAG_INVALID", "The image tag '1' already exists in the 'x' repository and cannot be overwritten because the tag is immutable."),
        (412, "PRECONDITION", "Failed to process request due to 'x:1' configured as immutable."),
        (405, "UNSUPPORTED", "The operation is disallowed on this registry, repository or image. View troubleshooting steps"),
        (409, "CONFLICT", "Tag 1 already exists"),
        (400, "MANIFEST_INVALID", "cannot update tag 1. The repository has enabled tag immutability"),
        (403, "DENIED", "cannot push to a protected tag"),
        (400, "UNKNOWN", "Repository does not allow updating assets: docker-hosted"),
    ],
)  # fmt: skip
def test_an_immutable_tag(status: int, code: str, message: str) -> None:
    with FakeRegistry() as fake, asked(fake, login_for(fake)) as registry:
        fake.rule = lambda handler: handler.command == "PUT" and handler.answer(status, error(code, message)) is None
        with pytest.raises(RegistryDenied, match="lets nobody replace x:1") as caught:
            registry.put_manifest("x", "1", b"{}", TYPE)
        assert "--tag" in str(caught.value.hint)
        assert (caught.value.status, caught.value.code, caught.value.method) == (status, code, "PUT")


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "DENIED", "adding 2.1 MiB of storage resource, which when updated to current usage of 9 GiB will exceed the configured upper limit of 10.0 GiB."),
        (400, "LimitExceeded", "x"),
        (403, "DENIED", "Quota has been exceeded on namespace"),
        (403, "DENIED", "storage quota reached"),
        (413, "DENIED", "You have exceeded your storage limit"),
    ],
)  # fmt: skip
def test_a_quota(status: int, code: str, message: str) -> None:
    with FakeRegistry() as fake, asked(fake, login_for(fake)) as registry:
        fake.rule = lambda handler: handler.command == "PUT" and handler.answer(status, error(code, message)) is None
        with pytest.raises(RegistryDenied, match="has no space left"):
            registry.put_manifest("x", "1", b"{}", TYPE)


def test_a_login_that_is_over() -> None:
    body = error("DENIED", "Your authorization token has expired. Reauthenticate and try again.")
    with FakeRegistry() as fake, asked(fake, login_for(fake)) as registry:
        fake.rule = lambda handler: handler.path != "/v2/" and handler.answer(403, body) is None
        with pytest.raises(RegistryUnauthorized, match="refuses the login"):
            registry.manifest("x", "1")


@pytest.mark.parametrize("limit", [1 << 20, 3 << 20])
def test_a_proxy_that_takes_small_bodies_only(limit: int) -> None:
    """The blob goes in smaller chunks."""
    import hashlib

    content = bytes(range(256)) * (9 << 12)  # 9 MiB

    def rule(handler: _Handler) -> bool:
        if int(handler.headers.get("Content-Length") or 0) <= limit:
            return False
        handler.answer(413, b"<html>413 Request Entity Too Large</html>", HTML)
        return True

    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with FakeRegistry() as fake, asked(fake) as registry:
        fake.rule = rule
        assert registry.upload("x", digest, len(content), lambda: io.BytesIO(content)) == "done"
        assert fake.blobs[digest] == content
        fake.blobs.clear()
        fake.rule = lambda handler: handler.command in ("PUT", "PATCH") and handler.answer(413) is None
        with pytest.raises(PublishError, match="larger than it takes"):
            registry.upload("x", digest, len(content), lambda: io.BytesIO(content))


# -- when to ask again


def test_retry_after_as_a_date() -> None:
    waits: list[float] = []
    now = 1_800_000_000.0
    patience = RetryPolicy(retries=2, sleep=waits.append, now=lambda: now)
    with (
        FakeRegistry() as fake,
        contextlib.closing(Registry(fake.host, Login(fake.host, "u", "p"), patience=patience)) as registry,
    ):
        known = fake.put("x", "1", MANIFEST)
        fake.fail, fake.retry_after = [429], formatdate(now + 7, usegmt=True)
        assert registry.digest("x", "1") == known
        fake.fail, fake.retry_after = [503, 503], formatdate(now + 86_400, usegmt=True)
        assert registry.digest("x", "1") == known
    assert waits == [7.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("7", 7.0), (" 7 ", 7.0), ("0", 0.0), ("Fri, 15 Jan 2027 08:00:09 GMT", 9.0), ("Friday, 15-Jan-27 08:00:09 GMT", 9.0),
        ("Fri Jan 15 08:00:09 2027", 9.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("", None), (None, None), ("soon", None),
        ("-5", None), ("1.5", None), ("\u00b2", None), ("9" * 400, float("inf")), ("Fri, 99 Jan 2027 08:00:09 GMT", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after(field: str | None, wanted: float | None) -> None:
    assert retry_after_s(field, 1_800_000_000.0) == wanted
