"""An engine on a unix socket that replays streams: what it answers is given, what it is asked is kept.

It speaks as much of the Docker Engine API (1.41) as builds, pushes and runs ask for, and no more: anything else is a
404.
"""

from __future__ import annotations

import io
import json
import re
import socket
import socketserver
import tarfile
import tempfile
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.containers import Containers

IMAGE_ID = "sha256:3f63f8223230a49f96ee843935be9a0536a42861ad33e9d916e90a61f02b618c"


def lines_of(documents: Iterable[Any]) -> bytes:
    """Return documents as the engine writes them: one a line, ended by CR LF."""
    return b"".join(json.dumps(document).encode() + b"\r\n" for document in documents)


class FakeEngine:
    """``with FakeEngine(build=…) as engine``: ``engine.host`` is what DOCKER_HOST would be.

    ``build``, ``push`` and ``pull`` are the bytes of a stream; ``chunk_bytes`` cuts them into HTTP chunks. With
    ``hang`` the stream stays open after them, with ``break_off`` the connection is closed without an end; with ``mute``
    the answer does not even begin. With ``buildkit`` it offers BuildKit, without sessions; with ``containers`` it runs
    those.
    """

    def __init__(
        self,
        *,
        build: bytes = b"",
        push: bytes = b"",
        pull: bytes = b"",
        chunk_bytes: int | None = None,
        status: int = 200,
        hang: bool = False,
        break_off: bool = False,
        mute: bool = False,
        images: dict[str, dict[str, Any]] | None = None,
        api_version: str = "1.41",
        buildkit: bool = False,
        containers: Containers | None = None,
    ) -> None:
        self.streams = {"build": build, "push": push, "create": pull}
        self.chunk_bytes, self.status, self.hang, self.break_off = chunk_bytes, status, hang or mute, break_off
        self.mute = mute
        self.images = {IMAGE_ID: {"Id": IMAGE_ID, "Size": 4242}} if images is None else images
        self.api_version = api_version
        self.buildkit = buildkit
        self.containers = containers
        self.requests: list[tuple[str, str, dict[str, list[str]], dict[str, str]]] = []
        """(method, path without version, query, headers)."""
        self.context: list[tuple[tarfile.TarInfo, bytes | None]] = []
        """Members of the last build's tar and their content."""
        self.hangs = threading.Event()
        """Set when a stream that hangs has said what it says."""
        self.closed = threading.Event()
        """Set when the client closes a stream that hangs."""
        self._folder = tempfile.TemporaryDirectory(prefix="fake-engine-")
        path = str(Path(self._folder.name) / "docker.sock")
        self._server = _Server(path, type("Handler", (_Handler,), {"engine": self}))
        self.host = f"unix://{path}"

    def asked(self, ending: str) -> list[dict[str, list[str]]]:
        """Return the queries of the requests whose path ends so."""
        return [query for _, path, query, _ in self.requests if path.endswith(ending)]

    def __enter__(self) -> FakeEngine:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that goes away is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    engine: FakeEngine
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"

    def _json(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().strip(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _serve(self) -> None:
        url = urlsplit(self.path)
        path = re.sub(r"^/v[0-9.]+", "", unquote(url.path))
        body = self._body()
        self.engine.requests.append((self.command, path, parse_qs(url.query), dict(self.headers)))
        if path == "/version":
            self._json(
                200, {"ApiVersion": self.engine.api_version, "Version": "20.10.24", "Os": "linux", "Arch": "amd64"}
            )
        elif path == "/_ping" and (self.engine.buildkit or self.engine.mute):
            self.send_response(200)
            self.send_header("Ostype", "linux")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/info":
            self._json(200, {"Driver": "overlay2", "DockerRootDir": "/"})
        elif path == "/build":
            with tarfile.open(fileobj=io.BytesIO(body)) as tar:
                self.engine.context = [(m, f.read() if (f := tar.extractfile(m)) else None) for m in tar]
            self._stream("build")
        elif path == "/images/create":
            self._stream("create")
        elif path.endswith("/push"):
            self._stream("push")
        elif path.endswith("/tag"):
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.engine.containers is not None and path.startswith("/containers/"):
            self._container(path.removeprefix("/containers"), parse_qs(url.query), body)
        elif path == "/images/json":
            self._json(200, list(self.engine.images.values()))
        elif path.endswith("/json"):
            found = self.engine.images.get(path.removeprefix("/images/").removesuffix("/json"))
            self._json(200 if found else 404, found or {"message": "No such image"})
        else:
            self._json(404, {"message": "page not found"})

    def _container(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        containers = self.engine.containers
        assert containers is not None
        if path.endswith("/attach") and (one := containers.find(path.split("/")[1])) is not None:
            self.wfile.write(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
            one.began.wait(60)
            self.wfile.write(containers.frames(one))
            one.over.wait(60)
            self.close_connection = True
            return
        reply = containers.answer(self.command, path, query, body)
        if not reply.body:
            if reply.status == 204:
                self.send_response(204)
                self.end_headers()
            else:
                self._json(reply.status, reply.document)
            return
        self.send_response(reply.status)
        for name, value in {**reply.fields, "Content-Length": str(len(reply.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def _stream(self, kind: str) -> None:
        engine = self.engine
        data = engine.streams[kind]
        if engine.status != 200:
            self._json(engine.status, {"message": data.decode()})
            return
        if not engine.mute:
            self._begin(data)
        if engine.hang:
            engine.hangs.set()
            self.connection.settimeout(20)
            try:
                self.connection.recv(1)
            except OSError:
                return
            engine.closed.set()
        if engine.hang or engine.break_off:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(b"0\r\n\r\n")

    def _begin(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        size = self.engine.chunk_bytes or max(1, len(data))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.flush()

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815
