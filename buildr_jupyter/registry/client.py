"""A registry asked over HTTP: what a tag has, what a manifest says; blobs and manifests up and down.

Source: OCI distribution specification 1.1, "Pull", "Push", "Resuming a push", "Mounting a blob", "Listing Referrers".
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal
from urllib.parse import urlencode

import requests
import urllib3

from buildr_jupyter.errors import PublishError, RegistryUnreachable
from buildr_jupyter.model.json_object import JsonObject, parse_object
from buildr_jupyter.registry.answers import read_body, web_page
from buildr_jupyter.registry.connections import socket_of
from buildr_jupyter.registry.deadlines import Deadline
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.registry.transport import Connection, RetryPolicy, known_ca
from buildr_jupyter.registry.upload import Sending
from buildr_jupyter.registry.validate import MAX_DOCUMENT_BYTES, is_size, read_entries

__all__ = ["Manifest", "Registry", "connect"]

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
_SLOWEST = 1 << 16
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, or an index of several, as the registry keeps it."""

    digest: str
    """``sha256:`` and 64 hex digits of ``content``."""
    media_type: str
    content: bytes

    @property
    def document(self) -> JsonObject:
        """The manifest's JSON; empty where it is none."""
        return parse_object(self.content) or {}

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
        sizes = [part.get("size") if isinstance(part, dict) else None for part in (config, *layers)]
        known = [size for size in sizes if is_size(size)]
        return sum(known) if len(known) == len(sizes) else None


def connect(
    host: str,
    login: Login | None = None,
    *,
    ca: Path | None = None,
    timeout_s: float | None = None,
    patience: RetryPolicy | None = None,
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
            found = answer.headers.get("Docker-Content-Digest", "")
        return found if DIGEST.fullmatch(found) else self.manifest(repository, reference).digest

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return the manifest of a tag or a digest, its digest computed here.

        Raises PublishError where there is none or where its content is not what the digest says; else as ``ping``.
        """
        what = f"{repository}:{_reference(reference)}"
        answer = self.ask(
            "GET", f"{repository}/manifests/{reference}", scope=_pull(repository), what=what,
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )  # fmt: skip
        with answer:
            if answer.status_code == 404:
                raise _status(PublishError(f"registry {self.host} has no {what}"), "GET", 404, "MANIFEST_UNKNOWN")
            content = self._document(answer, _MAX_MANIFEST_BYTES + 1, what)
            media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        if len(content) > _MAX_MANIFEST_BYTES:
            raise PublishError(f"registry {self.host} gave a manifest of {what} above {_MAX_MANIFEST_BYTES:,} bytes")
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.startswith("sha256:") and reference != digest:
            raise PublishError(f"registry {self.host} gave another manifest than {what}")
        return Manifest(digest, media_type, content)

    def _document(self, answer: requests.Response, limit: int, what: str) -> bytes:
        """Return the body of an answer, ``limit`` bytes at most. Raises RegistryUnreachable."""
        try:
            content = read_body(answer, limit, self.answer_s)
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise RegistryUnreachable(
                f"registry {self.host} broke off {what}, or was too slow: it had {self.answer_s:.0f} s",
                hint="try again",
            ) from error
        if content.lstrip()[:1] == b"<":
            raise web_page(self.host, f" to {what}")
        return content

    def document(self, repository: str, digest: str, size_bytes: int) -> bytes:
        """Return a small blob, an image's config, checked against its digest.

        Raises PublishError where ``size_bytes`` (the manifest's word) is no document's, before anything is asked; else
        as ``download``.
        """
        if size_bytes > MAX_DOCUMENT_BYTES:
            raise PublishError(
                f"registry {self.host}: {digest} is said to have {size_bytes:,} bytes; a document has at most"
                f" {MAX_DOCUMENT_BYTES:,}",
                hint="name another image: this one is damaged, or made to harm",
            )
        out = io.BytesIO()
        self.download(repository, digest, size_bytes, out)
        return out.getvalue()

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

    def delete(self, repository: str, digest: str) -> bool:
        """Take a manifest away, with every tag that it has; tell whether the registry did, as few let everybody.

        Raises as ``ping``.
        """
        with self.ask(
            "DELETE", f"{repository}/manifests/{digest}", scope=f"repository:{repository}:pull,delete", what=digest,
            accept=tuple(range(400, 500)),
        ) as answer:  # fmt: skip
            return answer.ok

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
        location = self.begin(repository, digest, mount_from)
        if location is None:
            return "mounted"
        sending = Sending(self, repository, digest, size_bytes, open_blob, progress, chunk_bytes)
        sending.run(location)
        return "done"

    def mount(self, repository: str, digest: str, mount_from: str) -> bool:
        """Mount a blob of another repository of this registry; tell whether that went."""
        location = self.begin(repository, digest, mount_from)
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

    def begin(self, repository: str, digest: str, mount_from: str | None) -> str | None:
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
                return self.begin(repository, digest, None)  # the mount was refused, not the push
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
        _reference(digest)
        attempt = done = mark = 0
        digester = hashlib.sha256()
        while True:
            headers = {"Range": f"bytes={done}-"} if done else {}
            answer = self.ask(
                "GET", f"{repository}/blobs/{digest}", scope=_pull(repository), what=digest, headers=headers
            )
            with answer:
                if answer.status_code == 404:
                    raise _status(PublishError(f"registry {self.host} has no {digest}"), "GET", 404, "BLOB_UNKNOWN")
                if done and answer.status_code != 206:  # it knows no ranges: from the start
                    digester, done, mark = hashlib.sha256(), 0, 0
                    out.seek(0)
                    out.truncate()
                for block in self._blocks(answer, size_bytes - done):
                    digester.update(block)
                    out.write(block)
                    done += len(block)
                    if done > size_bytes:
                        raise PublishError(
                            f"registry {self.host} sends more of {digest} than its manifest says",
                            hint="name another image: this one is damaged",
                        )
                    progress(done)
            if done == size_bytes:
                break
            if done - mark >= _READ:  # it gets on: what breaks off after each byte does not
                attempt, mark = 0, done
            if attempt >= self.patience.retries:
                raise RegistryUnreachable(
                    f"registry {self.host} broke off {digest} after {done} of {size_bytes} bytes", hint="try again"
                )
            self.patience.pause(self.patience.wait_s(attempt))
            attempt += 1
        if f"sha256:{digester.hexdigest()}" != digest:
            raise PublishError(f"registry {self.host} gave other bytes than {digest}")

    def _blocks(self, answer: requests.Response, left: int) -> Iterator[bytes]:
        """Yield what comes of a blob, and a byte more where there is more; end where it breaks off or trickles.

        At least ``_SLOWEST`` bytes must come in the time of a whole answer.
        """
        with Deadline(socket_of(answer), self.answer_s) as deadline:
            since = 0
            while left >= 0:
                self.patience.check()
                try:
                    block = answer.raw.read(min(_SLOWEST, left + 1))
                except (urllib3.exceptions.HTTPError, requests.exceptions.RequestException, OSError):
                    return
                if not block:
                    return
                yield block
                left -= len(block)
                since += len(block)
                if since >= _SLOWEST:
                    deadline.extend()
                    since = 0

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
            known = read_entries(self.manifest(repository, tag).document, f"the list of referrers {tag}")
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


def _reference(text: str) -> str:
    """Return a tag or a digest; a registry's document names others, and a path is none."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+:-]{0,199}", text):
        raise PublishError(f"{text[:200]!r} is neither a tag nor a digest", hint="name another image")
    return text


def _status(error: PublishError, method: str, status: int, code: str) -> PublishError:
    error.method, error.status, error.code = method, status, code
    return error


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _push(repository: str) -> str:
    return f"repository:{repository}:pull,push"
