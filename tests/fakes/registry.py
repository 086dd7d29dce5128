"""A strict registry in memory, on a free loopback port: manifests and blobs, Basic or Bearer login, refusals on demand.

Source: OCI distribution specification 1.1. It keeps what is PUT only where digest and content agree.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"/v2/(?P<name>[a-z0-9/._-]+)/(?P<kind>manifests|blobs)/(?P<reference>[A-Za-z0-9:._-]+)")
_UPLOAD = re.compile(r"/v2/(?P<name>[a-z0-9/._-]+)/blobs/uploads/(?P<id>[0-9a-f]*)")


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
        self.connections: set[tuple[str, int]] = set()
        """Those that a request came in on."""
        self.tokens: set[str] = set()
        self.owned: set[tuple[str, str]] = set()
        """(repository, digest) of the blobs that a repository has; where ``strict`` is not set all have all."""
        self.strict = False
        """Refuse a manifest before its blobs; a blob is in the repository that it was sent to."""
        self.uploads: dict[str, bytearray] = {}
        self.break_sends = 0
        """So many uploads lose their connection in mid-blob, after half of what was sent is kept."""
        self.slow_s = 0.0
        """It waits so long for each 64 KiB of an upload."""
        self.sending = 0
        """So many uploads are coming in now."""
        self.break_reads = 0
        """So many downloads lose their connection after half."""
        self.ranges = True
        self.deletes = True
        """Manifests may be taken away."""
        self.fail: list[int] = []
        """The next requests are answered with these statuses."""
        self.retry_after: str | None = None
        self.lie = ""
        """Blobs are read as this text instead."""
        self.says: str | None = None
        """What it says the digest of everything put into it is, where it is set."""
        self.upload_host: str | None = None
        """Uploads are sent to this host:port."""
        self.refuse_mount = False
        self.refuse_type = ""
        self.rule: Callable[[_Handler], bool] | None = None
        """Sees each request first: it answers (``handler.answer``) and returns True, or leaves it to the registry."""
        self.challenges: list[str] = []
        """WWW-Authenticate fields of each 401, in the place of the usual one; ``{host}`` is this registry."""
        self.token_uses: int | None = None
        """A token is good for so many requests."""
        self._uses: dict[str, int] = {}
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
    disable_nagle_algorithm = True  # the body follows its head at once

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

    def answer(self, status: int, body: bytes = b"", fields: Sequence[tuple[str, str]] = ()) -> None:
        """Answer a request of a rule, with any fields; a Content-Length comes by itself."""
        self._drain()
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _challenge(self, usual: str) -> None:
        fields = self.registry.challenges or [usual]
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}).encode()
        self.answer(401, body, [("WWW-Authenticate", one.replace("{host}", self.registry.host)) for one in fields])

    def _error(self, status: int, code: str, message: str, **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._answer(status, body, Content_Type="application/json", **headers)

    def _allowed(self) -> bool:
        registry = self.registry
        given = self.headers.get("Authorization", "")
        if registry.fail:
            self._drain()
            more = {"Retry_After": registry.retry_after} if registry.retry_after else {}
            self._error(registry.fail.pop(0), "TOOMANYREQUESTS", "not now", **more)
            return False
        if registry.status is not None:
            self._error(registry.status, "UNKNOWN", "as it was told to")
            return False
        if registry.auth == "basic" and given != "Basic " + base64.b64encode(registry.login.encode()).decode():
            self._challenge('Basic realm="fake"')
            return False
        token = given.removeprefix("Bearer ")
        if registry.auth == "bearer" and registry.token_uses is not None and token in registry.tokens:
            registry._uses[token] = registry._uses.get(token, 0) + 1
            if registry._uses[token] > registry.token_uses:
                registry.tokens.discard(token)
        if registry.auth == "bearer" and token not in registry.tokens:
            self._challenge(f'Bearer realm="http://{registry.host}/token",service="fake",scope="repository:x:pull"')
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
        self.registry.connections.add(self.client_address)
        self.registry.requests.append((self.command, self.path, dict(self.headers)))
        if self.registry.rule is not None and self.registry.rule(self):
            return
        if url.path == "/token":
            self._token()
            return
        if not self._allowed():
            return
        if url.path == "/v2/":
            self._answer(200, b"{}", Docker_Distribution_API_Version="registry/2.0")
            return
        upload = _UPLOAD.fullmatch(url.path)
        if upload:
            self._upload(upload["name"], upload["id"], {k: v[0] for k, v in parse_qs(url.query).items()})
            return
        found = _PATH.fullmatch(url.path)
        if not found:
            self._error(404, "NAME_UNKNOWN", "no such path")
        elif self.command == "PUT":
            self._put(found["name"], found["kind"], found["reference"])
        elif found["kind"] == "manifests":
            self._manifest(found["name"], found["reference"])
        else:
            self._blob(found["name"], found["reference"])

    def _manifest(self, name: str, reference: str) -> None:
        media_type, content = self.registry.manifests.get((name, reference), ("", b""))
        if not content or (self.command != "DELETE" and media_type not in self.headers.get("Accept", "")):
            self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self.command == "DELETE":
            if not self.registry.deletes:
                self._error(405, "UNSUPPORTED", "the operation is unsupported")
                return
            known = self.registry.manifests
            for key in [key for key, one in known.items() if key[0] == name and one[1] == content]:
                del known[key]
            self._answer(202)
            return
        self._answer(
            200, content, Content_Type=media_type, Docker_Content_Digest=digest, Content_Length=str(len(content))
        )

    def _blob(self, name: str, digest: str) -> None:
        registry = self.registry
        content = registry.blobs.get(digest)
        if content is None or (registry.strict and (name, digest) not in registry.owned):
            self._error(404, "BLOB_UNKNOWN", "blob unknown")
            return
        if registry.lie:
            content = registry.lie.encode()
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if registry.ranges else 0
        part = content[begin:]
        if registry.break_reads and self.command == "GET":
            registry.break_reads -= 1
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self._cut()
            return
        self._answer(206 if begin else 200, part, Docker_Content_Digest=digest)

    def _cut(self) -> None:
        """Break the connection off."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _drain(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _upload(self, name: str, upload: str, query: dict[str, str]) -> None:
        registry = self.registry
        if self.command == "POST":
            self._drain()
            if query.get("mount") and not registry.refuse_mount and (query["from"], query["mount"]) in registry.owned:
                registry.owned.add((name, query["mount"]))
                self._answer(201, Docker_Content_Digest=query["mount"])
                return
            upload = secrets.token_hex(6)
            registry.uploads[upload] = bytearray()
            host = f"http://{registry.upload_host}" if registry.upload_host else ""
            self._answer(202, Location=f"{host}/v2/{name}/blobs/uploads/{upload}?state=1")
            return
        kept = registry.uploads.get(upload)
        if kept is None:
            self._drain()
            self._error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
            return
        where = f"/v2/{name}/blobs/uploads/{upload}?state={len(kept)}"
        if self.command == "GET":
            self._answer(204, Location=where, Range=f"0-{max(0, len(kept) - 1)}")
            return
        if self.command == "DELETE":
            del registry.uploads[upload]
            self._answer(204)
            return
        length = int(self.headers.get("Content-Length") or 0)
        if registry.break_sends and length:
            registry.break_sends -= 1
            kept += self.rfile.read(length // 2)
            self._cut()
            return
        chunked = self.headers.get("Transfer-Encoding") == "chunked"  # as the Docker Engine sends
        content = self._slowly(length) if registry.slow_s else self._chunks() if chunked else self.rfile.read(length)
        kept += content
        if len(content) < length:  # the sender is gone
            self.close_connection = True
            return
        if self.command == "PATCH":
            self._answer(
                202, Location=f"/v2/{name}/blobs/uploads/{upload}?state={len(kept)}", Range=f"0-{max(0, len(kept) - 1)}"
            )
            return
        digest = f"sha256:{hashlib.sha256(kept).hexdigest()}"
        if digest != query.get("digest"):
            self._error(400, "DIGEST_INVALID", "the content has another digest")
            return
        registry.blobs[digest] = bytes(kept)
        registry.owned.add((name, digest))
        del registry.uploads[upload]
        self._answer(201, Docker_Content_Digest=registry.says or digest)

    def _chunks(self) -> bytes:
        content = bytearray()
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(content)

    def _slowly(self, length: int) -> bytes:
        """Read as the registry is told to: the sender sees a slow network."""
        content = bytearray()
        self.registry.sending += 1
        try:
            while len(content) < length and (block := self.rfile.read(min(1 << 16, length - len(content)))):
                content += block
                time.sleep(self.registry.slow_s)
        except OSError:  # reset by the sender
            pass
        finally:
            self.registry.sending -= 1
        return bytes(content)

    def _missing(self, name: str, document: dict[str, Any]) -> str | None:
        """Return a digest that a manifest names and its repository lacks."""
        for part in [document.get("config"), *document.get("layers", [])]:
            if part and (name, part["digest"]) not in self.registry.owned:
                return str(part["digest"])
        for part in document.get("manifests", []):
            if (name, part["digest"]) not in self.registry.manifests:
                return str(part["digest"])
        return None

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
            if media_type == self.registry.refuse_type:
                self._error(400, "MANIFEST_INVALID", "this media type is not taken")
                return
            if self.registry.strict and (missing := self._missing(name, json.loads(content))):
                self._error(404, "MANIFEST_BLOB_UNKNOWN", f"blob unknown: {missing}")
                return
            for key in (reference, digest):
                self.registry.manifests[name, key] = (media_type, content)
        self._answer(201, Docker_Content_Digest=self.registry.says or digest)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815
