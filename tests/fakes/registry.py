"""A strict registry in memory, on a free loopback port: manifests and blobs, Basic or Bearer login, refusals on demand.

Source: OCI distribution specification 1.1. It keeps what is PUT only where digest and content agree.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"/v2/(?P<name>[a-z0-9/._-]+)/(?P<kind>manifests|blobs)/(?P<reference>[A-Za-z0-9:._-]+)")


class FakeRegistry:
    """``with FakeRegistry() as registry``: ``registry.host`` is what stands in an image reference."""

    def __init__(
        self,
        *,
        auth: Literal["none", "basic", "bearer"] = "none",
        user: str = "u",
        password: str = "p",
        denied: Literal["", "write", "all"] = "",
        status: int | None = None,
    ) -> None:
        self.auth = auth
        self.denied = denied
        self.status = status
        """Answer everything with this status, where it is set."""
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        """(repository, tag or digest) to (media type, content)."""
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.tokens: set[str] = set()
        self.login = f"{user}:{password}"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": self}))
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def put(self, repository: str, tag: str, manifest: dict[str, Any]) -> str:
        """Keep a manifest under a tag and its digest; return the digest."""
        content = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        for reference in (tag, digest):
            self.manifests[repository, reference] = (manifest["mediaType"], content)
        return digest

    def __enter__(self) -> FakeRegistry:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, code: str, message: str, **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._answer(status, body, Content_Type="application/json", **headers)

    def _allowed(self) -> bool:
        registry = self.registry
        given = self.headers.get("Authorization", "")
        if registry.status is not None:
            self._error(registry.status, "UNKNOWN", "as it was told to")
            return False
        if registry.auth == "basic" and given != "Basic " + base64.b64encode(registry.login.encode()).decode():
            self._error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="fake"')
            return False
        if registry.auth == "bearer" and given.removeprefix("Bearer ") not in registry.tokens:
            realm = f'Bearer realm="http://{registry.host}/token",service="fake",scope="repository:x:pull"'
            self._error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=realm)
            return False
        if registry.denied == "all" or (registry.denied and self.command not in ("GET", "HEAD")):
            self._error(403, "DENIED", "requested access to the resource is denied")
            return False
        return True

    def _token(self) -> None:
        given = self.headers.get("Authorization", "")
        length = int(self.headers.get("Content-Length") or 0)
        form = parse_qs(self.rfile.read(length).decode())
        right = given == "Basic " + base64.b64encode(self.registry.login.encode()).decode()
        if not right and form.get("refresh_token") != [self.registry.login]:
            self._error(401, "UNAUTHORIZED", "wrong user or password")
            return
        token = secrets.token_hex(8)
        self.registry.tokens.add(token)
        self._answer(200, json.dumps({"token": token}).encode(), Content_Type="application/json")

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.registry.requests.append((self.command, self.path, dict(self.headers)))
        if url.path == "/token":
            self._token()
            return
        if not self._allowed():
            return
        if url.path == "/v2/":
            self._answer(200, b"{}", Docker_Distribution_API_Version="registry/2.0")
            return
        found = _PATH.fullmatch(url.path)
        if not found:
            self._error(404, "NAME_UNKNOWN", "no such path")
        elif self.command == "PUT":
            self._put(found["name"], found["kind"], found["reference"])
        elif found["kind"] == "manifests":
            self._manifest(found["name"], found["reference"])
        else:
            self._blob(found["reference"])

    def _manifest(self, name: str, reference: str) -> None:
        media_type, content = self.registry.manifests.get((name, reference), ("", b""))
        if not content or media_type not in self.headers.get("Accept", ""):
            self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self._answer(
            200, content, Content_Type=media_type, Docker_Content_Digest=digest, Content_Length=str(len(content))
        )

    def _blob(self, digest: str) -> None:
        content = self.registry.blobs.get(digest)
        if content is None:
            self._error(404, "BLOB_UNKNOWN", "blob unknown")
        else:
            self._answer(200, content, Docker_Content_Digest=digest)

    def _put(self, name: str, kind: str, reference: str) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.startswith("sha256:") and reference != digest:
            self._error(400, "DIGEST_INVALID", "the content has another digest")
            return
        if kind == "blobs":
            self.registry.blobs[digest] = content
        else:
            media_type = json.loads(content)["mediaType"]
            for key in (reference, digest):
                self.registry.manifests[name, key] = (media_type, content)
        self._answer(201, Docker_Content_Digest=digest)

    do_GET = do_HEAD = do_PUT = do_POST = _serve  # noqa: N815
