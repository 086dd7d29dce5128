"""A package index over TLS that asks for a login: enough of PEP 503 for pip and uv."""

from __future__ import annotations

import base64
import hashlib
import http.server
import ssl
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path


def wheel(name: str, version: str, code: str) -> tuple[str, bytes]:
    """Return file name and bytes of a wheel with one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD")))
    return f"{name}-{version}-py3-none-any.whl", buffer.getvalue()


def uv_wheel(program: bytes) -> tuple[str, bytes]:
    """Return file name and bytes of a wheel of uv for this machine, with this program as its own."""
    machine = sysconfig.get_platform().rpartition("-")[2]
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("uv-0.13.9.data/scripts/uv", program)
    return f"uv-0.13.9-py3-none-manylinux_2_5_{machine}.musllinux_1_1_{machine}.whl", buffer.getvalue()


@contextmanager
def serving(
    wheels: dict[str, bytes], user: str, password: str, certificate: Path, key: Path
) -> Iterator[tuple[int, list[str]]]:
    """Serve the wheels on 127.0.0.1; yield the port and the paths that were asked for with the right login."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") != expected:
                self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="index"'})
                return
            if self.command == "GET":
                asked.append(self.path)
            name = self.path.rsplit("/", 1)[-1]
            if name in wheels:
                headers = {"Content-Type": "application/octet-stream", "Cache-Control": "max-age=600"}
                self._answer(200, wheels[name], headers)
                return
            project = self.path.strip("/").split("/")[-1]
            links = [
                f'<a href="/files/{file}#sha256={hashlib.sha256(content).hexdigest()}">{file}</a>'
                for file, content in wheels.items()
                if file.startswith(f"{project.replace('-', '_')}-")
            ]
            self._answer(200 if links else 404, "\n".join(links).encode(), {"Content-Type": "text/html"})

        def do_HEAD(self) -> None:
            self.do_GET()

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for header, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
