"""One blob on its way into a registry: in chunks, and where it broke off it goes on.

Source: OCI distribution specification 1.1, "Pushing a blob in chunks", "Resuming a push".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import IO, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests

from buildr_jupyter.errors import PublishError, RegistryCertificate, RegistryUnreachable
from buildr_jupyter.registry.transport import Body, RetryPolicy

__all__ = ["Sending"]

_READ = 1 << 20


class Uploads(Protocol):
    """The registry that it goes to."""

    host: str
    patience: RetryPolicy

    def ask(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        what: str,
        headers: Mapping[str, str] | None = None,
        data: Callable[[], Body] | None = None,
        accept: tuple[int, ...] = (404,),
        again: bool = True,
    ) -> requests.Response:
        """Ask as ``Connection.ask``."""
        ...  # fmt: skip

    def checked(self, url: str) -> str:
        """Return an address that the registry named, as ``Connection.checked``."""
        ...

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether the repository has the blob."""
        ...

    def begin(self, repository: str, digest: str, mount_from: str | None) -> str | None:
        """Return the address of a new upload, None where the blob was mounted instead."""
        ...


class Sending:
    """One blob on its way up."""

    def __init__(
        self,
        registry: Uploads,
        repository: str,
        digest: str,
        size_bytes: int,
        open_blob: Callable[[], IO[bytes]],
        progress: Callable[[int], None],
        chunk_bytes: int,
    ) -> None:
        self.registry, self.repository, self.digest = registry, repository, digest
        self.size_bytes, self.open_blob, self.progress = size_bytes, open_blob, progress
        self.chunk_bytes = chunk_bytes
        self._scope = f"repository:{repository}:pull,push"

    def run(self, location: str) -> None:
        """Send all; after a break ask where the upload stands, or begin another."""
        offset, attempt, patience = 0, 0, self.registry.patience
        while True:
            try:
                while offset < self.size_bytes and (offset or self.size_bytes > self.chunk_bytes):
                    location, offset = self._chunk(location, offset)
                self._close(location, offset)
                return
            except RegistryCertificate:
                raise
            except PublishError as error:
                if error.status == 413 and self._smaller(offset):
                    location, offset = self._where(location)
                    continue
                passing = isinstance(error, RegistryUnreachable) or error.status in (404, 416)
                if not passing or attempt >= patience.retries:
                    raise
                patience.pause(patience.wait_s(attempt))
                attempt += 1
                if self.registry.has_blob(self.repository, self.digest):
                    return
                location, offset = self._where(location)

    def _smaller(self, offset: int) -> bool:
        """Send smaller chunks from now on, after one was too large for a proxy before the registry; tell whether."""
        sent = min(self.chunk_bytes, self.size_bytes - offset)
        if sent <= _READ:
            return False
        self.chunk_bytes = max(_READ, sent // 4)
        return True

    def _request(self, method: str, location: str, offset: int, length: int) -> requests.Response:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if method == "PATCH":
            headers["Content-Range"] = f"{offset}-{offset + length - 1}"
        opened: list[IO[bytes]] = []

        def body() -> _Body:
            for stream in opened:
                stream.close()
            opened[:] = [self.open_blob()]
            opened[0].seek(offset)
            return _Body(opened[0], length, offset, self.progress, self.registry.patience.check)

        try:
            return self.registry.ask(
                method, location, scope=self._scope, what=self.repository, headers=headers,
                data=body if length else None, accept=(), again=False,
            )  # fmt: skip
        finally:
            for stream in opened:
                stream.close()

    def _chunk(self, location: str, offset: int) -> tuple[str, int]:
        length = min(self.chunk_bytes, self.size_bytes - offset)
        with self._request("PATCH", location, offset, length) as answer:
            following = self.registry.checked(answer.headers.get("Location") or location)
            if smallest := answer.headers.get("OCI-Chunk-Min-Length"):
                self.chunk_bytes = max(self.chunk_bytes, int(smallest) if smallest.isdigit() else 0)
            taken = _taken(answer.headers.get("Range"))
        return following, taken if taken is not None else offset + length

    def _close(self, location: str, offset: int) -> None:
        parts = urlsplit(location)
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("digest", self.digest)])
        url = urlunsplit(parts._replace(query=query))
        with self._request("PUT", url, offset, self.size_bytes - offset) as answer:
            said = answer.headers.get("Docker-Content-Digest", self.digest)
        if said != self.digest:
            raise PublishError(f"registry {self.registry.host} says {said} of a blob that is {self.digest}")
        self.progress(self.size_bytes)

    def _where(self, location: str) -> tuple[str, int]:
        """Return where the upload goes on, and at which byte; a new one where the old is gone."""
        try:
            with self.registry.ask("GET", location, scope=self._scope, what="an upload", accept=()) as answer:
                taken = _taken(answer.headers.get("Range"))
                following = self.registry.checked(answer.headers.get("Location") or location)
            if taken is not None and taken <= self.size_bytes:
                return following, taken
        except PublishError as error:
            if error.status is None or isinstance(error, RegistryUnreachable):
                raise
        begun = self.registry.begin(self.repository, self.digest, None)
        assert begun is not None
        return begun, 0


class _Body:
    """A part of a blob as the body of a request: of known length, told as it goes."""

    def __init__(
        self, stream: IO[bytes], length: int, offset: int, progress: Callable[[int], None], check: Callable[[], None]
    ) -> None:
        self._stream, self._left, self._length, self._check = stream, length, length, check
        self._offset, self._progress, self._told = offset, progress, offset

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        self._check()
        block = self._stream.read(min(self._left, size) if size >= 0 else self._left)
        self._left -= len(block)
        at = self._offset + self._length - self._left
        if at - self._told >= _READ:
            self._told = at
            self._progress(at)
        return block


def _taken(header: str | None) -> int | None:
    """Return how many bytes an upload has, as ``Range: 0-N`` says it; ``0-0`` of nothing counts as one or none."""
    found = re.fullmatch(r"(?:bytes=)?0-(\d+)", header or "")
    if not found:
        return None
    return int(found[1]) + 1 if int(found[1]) else 0
