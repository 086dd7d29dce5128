"""A registry asked over HTTP: what a tag has, what a manifest says; blobs and manifests up and down.

Source: OCI distribution specification 1.1, "Pull", "Push", "Resuming a push", "Mounting a blob", "Listing Referrers".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
import urllib3

from buildr_jupyter.credentials import Login
from buildr_jupyter.errors import PublishError, RegistryCertificate, RegistryUnreachable
from buildr_jupyter.oci._http import Connection, Patience, known_ca
from buildr_jupyter.oci.documents import is_size

__all__ = ["Manifest", "Patience", "Registry", "connect"]

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CHUNK_BYTES = 64 * 1024 * 1024
"""A larger blob goes up in chunks of this size, so that a break costs one of them at most."""
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, or an index of several, as the registry keeps it."""

    digest: str
    """``sha256:`` and 64 hex digits of ``content``."""
    media_type: str
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The manifest's JSON; empty where it is none."""
        try:
            loaded = json.loads(self.content)
        except (ValueError, RecursionError):
            return {}
        return loaded if isinstance(loaded, dict) else {}

    @property
    def config_digest(self) -> str | None:
        """Digest of the config (the image id); None for an index."""
        config = self.document.get("config")
        digest = config.get("digest") if isinstance(config, dict) else None
        return digest if isinstance(digest, str) else None

    @property
    def size_bytes(self) -> int | None:
        """Sum of the compressed layers and the config; None for an index, and where a part does not say its size."""
        config, layers = self.document.get("config"), self.document.get("layers")
        if not isinstance(config, dict) or not isinstance(layers, list):
            return None
        sizes: list[Any] = [part.get("size") if isinstance(part, dict) else None for part in (config, *layers)]
        return sum(sizes) if all(map(is_size, sizes)) else None


def connect(
    host: str,
    login: Login | None = None,
    *,
    ca: Path | None = None,
    timeout_s: float | None = None,
    patience: Patience | None = None,
) -> Registry:
    """Return a client for the registry at ``host``; nothing is asked yet.

    ``ca`` is a PEM file of the authority that signed its certificate; without it docker's ``certs.d`` folders are
    looked into, then the authorities of this machine count.
    """
    return Registry(host, login, ca=ca or known_ca(host), timeout_s=timeout_s, patience=patience)


class Registry(Connection):
    """One registry and what is in it. One client can serve several threads."""

    def ping(self) -> None:
        """Log in, as ``docker login`` does.

        Raises RegistryUnauthorized, RegistryDenied, RegistryUnreachable or RegistryCertificate.
        """
        self.ask("GET", "", scope="", what="the registry").close()

    # -- manifests

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest that a tag has, None where there is no such tag. Raises as ``ping``."""
        answer = self.ask(
            "HEAD", f"{repository}/manifests/{reference}", scope=_pull(repository), what=f"{repository}:{reference}",
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )  # fmt: skip
        with answer:
            if answer.status_code == 404:
                return None
            found = answer.headers.get("Docker-Content-Digest")
        return found or self.manifest(repository, reference).digest

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return the manifest of a tag or a digest, its digest computed here.

        Raises PublishError where there is none or where its content is not what the digest says; else as ``ping``.
        """
        what = f"{repository}:{reference}"
        answer = self.ask(
            "GET", f"{repository}/manifests/{reference}", scope=_pull(repository), what=what,
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )  # fmt: skip
        with answer:
            if answer.status_code == 404:
                raise _status(PublishError(f"registry {self.host} has no {what}"), "GET", 404, "MANIFEST_UNKNOWN")
            content = answer.raw.read(_MAX_MANIFEST_BYTES + 1, decode_content=True)
            media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        if len(content) > _MAX_MANIFEST_BYTES:
            raise PublishError(f"registry {self.host} gave a manifest of {what} above {_MAX_MANIFEST_BYTES:,} bytes")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.startswith("sha256:") and reference != digest:
            raise PublishError(f"registry {self.host} gave another manifest than {what}")
        return Manifest(digest, media_type, content)

    def put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> str:
        """Put a manifest under a tag or its digest and return its digest; its blobs must be there.

        Raises PublishError where the registry refuses it or names another digest; else as ``ping``.
        """
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self.ask(
            "PUT", f"{repository}/manifests/{reference}", scope=_push(repository), what=f"{repository}:{reference}",
            headers={"Content-Type": media_type}, data=lambda: content, accept=(),
        ) as answer:  # fmt: skip
            said = answer.headers.get("Docker-Content-Digest", digest)
        if said != digest:
            raise PublishError(f"registry {self.host} says {said} of a manifest that is {digest}")
        return digest

    # -- blobs

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether the repository has the blob. Raises as ``ping``."""
        with self.ask("HEAD", f"{repository}/blobs/{digest}", scope=_push(repository), what=digest) as answer:
            return answer.ok

    def upload(
        self,
        repository: str,
        digest: str,
        size_bytes: int,
        open_blob: Callable[[], IO[bytes]],
        *,
        mount_from: str | None = None,
        progress: Callable[[int], None] = lambda _done: None,
        chunk_bytes: int = CHUNK_BYTES,
        ask_bytes: int = 0,
    ) -> Literal["exists", "mounted", "done"]:
        """Bring a blob into the repository: found there, mounted from ``mount_from``, or sent; say which.

        ``open_blob`` gives a seekable stream each time and is not called unless the bytes must go. What breaks off
        goes on where the registry says it stands. ``progress`` is told the bytes that went. A blob of less than
        ``ask_bytes`` is not asked for first. Raises as ``ask``.
        """
        if size_bytes >= ask_bytes and self.has_blob(repository, digest):
            return "exists"
        location = self._begin(repository, digest, mount_from)
        if location is None:
            return "mounted"
        sending = _Sending(self, repository, digest, size_bytes, open_blob, progress, chunk_bytes)
        sending.run(location)
        return "done"

    def mount(self, repository: str, digest: str, mount_from: str) -> bool:
        """Mount a blob of another repository of this registry; tell whether that went."""
        location = self._begin(repository, digest, mount_from)
        if location is not None:
            self.ask(
                "DELETE",
                location,
                scope=_push(repository),
                what="an upload",
                accept=tuple(range(400, 500)),
                again=False,
            ).close()
        return location is None

    def _begin(self, repository: str, digest: str, mount_from: str | None) -> str | None:
        """Return the address of a new upload, None where the blob was mounted instead."""
        query = f"?{urlencode({'mount': digest, 'from': mount_from})}" if mount_from else ""
        scope = _push(repository) + (f" {_pull(mount_from)}" if mount_from else "")
        try:
            answer = self.ask(
                "POST", f"{repository}/blobs/uploads/{query}", scope=scope, what=repository,
                headers={"Content-Length": "0"}, accept=(),
            )  # fmt: skip
        except PublishError as error:
            if mount_from and error.status is not None and 400 <= error.status < 500:
                return self._begin(repository, digest, None)  # the mount was refused, not the push
            raise
        with answer:
            if answer.status_code == 201 and mount_from:
                return None
            location = answer.headers.get("Location")
        if not location:
            raise PublishError(f"registry {self.host} began an upload and did not say where")
        return self.checked(location)

    def download(
        self,
        repository: str,
        digest: str,
        size_bytes: int,
        out: IO[bytes],
        *,
        progress: Callable[[int], None] = lambda _done: None,
    ) -> None:
        """Write a blob to ``out`` (seekable, empty), checked on the way; a break goes on where it was.

        Raises PublishError for a blob that is missing, of another size or of another digest; else as ``ping``.
        """
        attempt = 0
        digester = hashlib.sha256()
        done = 0
        while True:
            headers = {"Range": f"bytes={done}-"} if done else {}
            answer = self.ask(
                "GET", f"{repository}/blobs/{digest}", scope=_pull(repository), what=digest, headers=headers
            )
            with answer:
                if answer.status_code == 404:
                    raise _status(PublishError(f"registry {self.host} has no {digest}"), "GET", 404, "BLOB_UNKNOWN")
                if done and answer.status_code != 206:  # it knows no ranges: from the start
                    digester, done = hashlib.sha256(), 0
                    out.seek(0)
                    out.truncate()
                begun = done
                try:
                    while block := answer.raw.read(_READ):
                        digester.update(block)
                        out.write(block)
                        done += len(block)
                        if done > size_bytes:
                            raise PublishError(f"registry {self.host} sends more of {digest} than its manifest says")
                        progress(done)
                except (urllib3.exceptions.HTTPError, requests.exceptions.RequestException, ConnectionError):
                    pass
            if done == size_bytes:
                break
            attempt = 0 if done > begun else attempt
            if attempt >= self.patience.retries:
                raise RegistryUnreachable(
                    f"registry {self.host} broke off {digest} after {done} of {size_bytes} bytes", hint="try again"
                )
            self.patience.pause(self.patience.wait_s(attempt))
            attempt += 1
        if f"sha256:{digester.hexdigest()}" != digest:
            raise PublishError(f"registry {self.host} gave other bytes than {digest}")

    # -- referrers

    def put_referrer(self, repository: str, subject: str, content: bytes, media_type: str) -> str:
        """Attach a manifest that has ``subject``; where the registry keeps no referrers, list it under the tag for it.

        Return its digest. The tag is ``sha256-`` and the subject's 64 hex digits (specification, "Referrers Tag
        Schema").
        """
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self.ask(
            "PUT", f"{repository}/manifests/{digest}", scope=_push(repository), what=repository,
            headers={"Content-Type": media_type}, data=lambda: content, accept=(),
        ) as answer:  # fmt: skip
            if answer.headers.get("OCI-Subject"):
                return digest
        tag = subject.replace(":", "-")
        try:
            known = self.manifest(repository, tag).document.get("manifests", [])
        except PublishError as error:
            if error.status != 404:
                raise
            known = []
        document = json.loads(content)
        entry = {
            "mediaType": media_type, "digest": digest, "size": len(content),
            "artifactType": document.get("artifactType") or document["config"]["mediaType"],
            "annotations": document.get("annotations", {}),
        }  # fmt: skip
        kept = [one for one in known if one.get("digest") != digest]
        index = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "manifests": [*kept, entry]}
        self.put_manifest(repository, tag, json.dumps(index, sort_keys=True).encode(), MANIFEST_TYPES[0])
        return digest


class _Sending:
    """One blob on its way up."""

    def __init__(
        self,
        registry: Registry,
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
                passing = isinstance(error, RegistryUnreachable) or error.status in (404, 416)
                if not passing or attempt >= patience.retries:
                    raise
                patience.pause(patience.wait_s(attempt))
                attempt += 1
                if self.registry.has_blob(self.repository, self.digest):
                    return
                location, offset = self._where(location)

    def _request(self, method: str, location: str, offset: int, length: int) -> requests.Response:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if method == "PATCH":
            headers["Content-Range"] = f"{offset}-{offset + length - 1}"
        opened: list[IO[bytes]] = []

        def body() -> Any:
            for stream in opened:
                stream.close()
            opened[:] = [self.open_blob()]
            opened[0].seek(offset)
            return _Body(opened[0], length, offset, self.progress, self.registry.patience.check)

        try:
            return self.registry.ask(
                method, location, scope=_push(self.repository), what=self.repository, headers=headers,
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
            with self.registry.ask(
                "GET", location, scope=_push(self.repository), what="an upload", accept=()
            ) as answer:
                taken = _taken(answer.headers.get("Range"))
                following = self.registry.checked(answer.headers.get("Location") or location)
            if taken is not None and taken <= self.size_bytes:
                return following, taken
        except PublishError as error:
            if error.status is None or isinstance(error, RegistryUnreachable):
                raise
        begun = self.registry._begin(self.repository, self.digest, None)
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


def _status(error: PublishError, method: str, status: int, code: str) -> PublishError:
    error.method, error.status, error.code = method, status, code
    return error


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _push(repository: str) -> str:
    return f"repository:{repository}:pull,push"
