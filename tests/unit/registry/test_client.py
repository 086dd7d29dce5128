"""The registry client against a registry in memory."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from buildr_jupyter.errors import (
    PublishError,
    RegistryCertificate,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnreachable,
)
from buildr_jupyter.registry.client import Registry, connect
from buildr_jupyter.registry.keychain import Login
from tests.fakes.registry import FakeRegistry

TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2,
    "mediaType": TYPE,
    "config": {"digest": "sha256:" + "c" * 64, "size": 100},
    "layers": [{"size": 1000}, {"size": 20}],
}


@contextlib.contextmanager
def client(fake: FakeRegistry, user: str = "u", password: str = "p", **options: Any) -> Iterator[Registry]:
    made = Registry(fake.host, Login(fake.host, user, password), **options)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_digest_and_sizes(auth: Literal["none", "basic", "bearer"]) -> None:
    with FakeRegistry(auth=auth) as fake, client(fake) as asked:
        known = fake.put("me/x", "1", MANIFEST)
        asked.ping()
        assert asked.digest("me/x", "1") == known
        assert asked.digest("me/x", "2") is None
        for reference in ("1", known):
            found = asked.manifest("me/x", reference)
            assert found.digest == known == "sha256:" + hashlib.sha256(found.content).hexdigest()
            assert (found.media_type, found.size_bytes, found.config_digest) == (TYPE, 1120, "sha256:" + "c" * 64)
        with pytest.raises(PublishError, match="has no me/x:2"):
            asked.manifest("me/x", "2")


def test_an_index_has_no_size() -> None:
    kind = "application/vnd.oci.image.index.v1+json"
    with FakeRegistry() as fake, client(fake) as asked:
        fake.put("x", "1", {"mediaType": kind, "manifests": []})
        found = asked.manifest("x", "1")
    assert (found.media_type, found.size_bytes, found.config_digest) == (kind, None, None)


def test_bearer_asks_for_one_token_a_repository() -> None:
    with FakeRegistry(auth="bearer") as fake, client(fake) as asked:
        for _ in range(3):
            asked.digest("a", "1")
        asked.digest("b", "1")
        tokens = [path for _, path, _ in fake.requests if path.startswith("/token")]
    assert [("repository%3Aa%3Apull" in path, "service=fake" in path) for path in tokens] == [
        (True, True),
        (False, True),
    ]


def test_identity_token() -> None:
    with FakeRegistry(auth="bearer") as fake:
        made = Registry(fake.host, Login(fake.host, "", identity_token="u:p"))
        made.ping()
        made.close()
        assert [method for method, path, _ in fake.requests if path.startswith("/token")] == ["POST"]


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_wrong_and_missing_login(auth: Literal["basic", "bearer"]) -> None:
    with FakeRegistry(auth=auth) as fake:
        with client(fake, password="SECRET") as asked, pytest.raises(RegistryUnauthorized) as caught:
            asked.ping()
        assert "refuses the login" in str(caught.value)
        assert caught.value.hint == f"log in: buildr login {fake.host}"
        assert "SECRET" not in repr(caught.value)
        none = Registry(fake.host)
        with pytest.raises(RegistryUnauthorized, match="refuses|wants a login"):
            none.ping()
        none.close()


def test_no_login_is_sent_unasked() -> None:
    with FakeRegistry() as fake, client(fake) as asked:
        asked.digest("x", "1")
        assert all("Authorization" not in headers for _, _, headers in fake.requests)


@pytest.mark.parametrize(("status", "kind"), [(403, RegistryDenied), (429, RegistryUnreachable), (500, RegistryUnreachable), (418, PublishError)])  # fmt: skip
def test_refusals(status: int, kind: type[PublishError]) -> None:
    with FakeRegistry(status=status) as fake, client(fake) as asked, pytest.raises(PublishError) as caught:
        asked.manifest("x", "1")
    assert type(caught.value) is kind
    assert "as it was told to" in str(caught.value)


def test_down() -> None:
    with pytest.raises(RegistryUnreachable, match=r"registry 127\.0\.0\.1:9 cannot be reached"):
        Registry("127.0.0.1:9").ping()


def test_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        asked = Registry(f"127.0.0.1:{mute.getsockname()[1]}", timeout_s=0.2)
        with pytest.raises(RegistryUnreachable, match="does not answer"):
            asked.ping()
        asked.close()


def test_another_content_than_the_digest_says() -> None:
    with FakeRegistry() as fake, client(fake) as asked:
        wrong = "sha256:" + "0" * 64
        fake.put("x", "1", MANIFEST)
        fake.manifests["x", wrong] = fake.manifests["x", "1"]
        with pytest.raises(PublishError, match="gave another manifest"):
            asked.manifest("x", wrong)


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from tests.engines import certificates

    made = certificates.make(tmp_path, name="srv")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        host = f"127.0.0.1:{server.server_address[1]}"
        try:
            for asked in (Registry(host), connect(host)):
                with pytest.raises(RegistryCertificate) as caught:
                    asked.ping()
                assert f"certs.d/{host}" in str(caught.value.hint)
                asked.close()
            trusted = tmp_path / "docker" / "certs.d" / host
            trusted.mkdir(parents=True)
            (trusted / "ca.crt").write_bytes(made.ca.read_bytes())
            monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
            for asked in (Registry(host, ca=made.ca), connect(host)):
                asked.ping()
                asked.close()
        finally:
            server.shutdown()
            thread.join()


def test_a_client_that_is_let_go_leaves_no_connection() -> None:
    def connected() -> int:
        gc.collect()
        sockets = (one for one in gc.get_objects() if isinstance(one, socket.socket) and one.fileno() >= 0)
        return sum(_port_of_peer(one) == port for one in sockets)

    with FakeRegistry() as fake:
        port = int(fake.host.rpartition(":")[2])
        asked = Registry(fake.host, None)
        assert asked.digest("me/x", "1") is None
        assert connected() == 1, "it is kept for the next question"
        del asked
        assert connected() == 0


def _port_of_peer(one: socket.socket) -> int | None:
    try:
        peer = one.getpeername()
    except OSError:
        return None
    return int(peer[1]) if one.family in (socket.AF_INET, socket.AF_INET6) else None


def test_a_manifest_is_deleted_where_that_is_allowed() -> None:
    with FakeRegistry(auth="bearer") as fake, client(fake) as registry:
        content = json.dumps({**MANIFEST, "layers": []}).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        fake.manifests["a/b", "1"] = fake.manifests["a/b", digest] = (TYPE, content)
        fake.deletes = False
        assert (registry.delete("a/b", digest), len(fake.manifests)) == (False, 2)
        fake.deletes = True
        assert (registry.delete("a/b", digest), len(fake.manifests)) == (True, 0)
        assert registry.delete("a/b", digest) is False
