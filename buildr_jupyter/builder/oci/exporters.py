"""Where a finished image goes: a registry, one tar, an OCI layout, an engine."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tarfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from buildr_jupyter import __version__
from buildr_jupyter.builder.oci.bases import Bases, layers_in
from buildr_jupyter.engine.client import EngineClient, OpenEngine
from buildr_jupyter.engine.connection import translate
from buildr_jupyter.errors import BuildError, BuildrError, Cancelled, PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, TransferUpdate
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CONTENT_LABEL, canonical_json
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import Archive, Layout, Output, Push
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.oci.archive import write_archive, write_layout
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import INDEX, MANIFEST, Image, Published, digest_of
from buildr_jupyter.oci.layer import ZSTD, Layer
from buildr_jupyter.oci.package_list import packages_in
from buildr_jupyter.oci.push import ASK_BYTES, Blob, in_parallel, push_blob, push_blobs
from buildr_jupyter.oci.sbom import EMPTY, make_artifact, make_sbom
from buildr_jupyter.oci.store import Store
from buildr_jupyter.secretscan.redact import masked_logger

# The client imports requests: an image that no registry is asked for needs none of it.
if TYPE_CHECKING:
    from buildr_jupyter.registry.client import Registry

__all__ = ["Outputs", "common_layers"]

logger = masked_logger(logging.getLogger("buildr_jupyter.builder.oci_builder"))

_TRUST_S = 300.0
"""So long a blob that this process saw in a repository is not asked for again; a registry that lost it meanwhile
refuses the manifest, and then all is asked for."""
_GONE = ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN")


@dataclass
class _Bill:
    """One platform's image on its way into a repository, with its bill of materials."""

    image: Image
    base: Base
    content: bytes = b""
    failed: BuildrError | None = None
    """Why the bill is not in the repository."""


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is replaced or written to; nothing where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class Outputs:
    """Brings an image to the outputs of a request."""

    def __init__(
        self, store: Store, bases: Bases, registry: Callable[[str], Registry], open_engine: OpenEngine
    ) -> None:
        self._store, self._bases, self._registry, self._open_engine = store, bases, registry, open_engine
        self._there: dict[tuple[str, str, str], float] = {}

    def bring(
        self,
        output: Output,
        made: Published,
        bases: Sequence[Base],
        refs: Sequence[ImageRef],
        result: BuildResult,
        cancel: CancelToken,
    ) -> Generator[Event, None, BuildResult]:
        """Bring the image there and return the result with what came of it."""
        if isinstance(output, Push):
            ref = output.ref.tagged()
            yield from self.push(made, bases, ref, cancel, ask_first=result.cached)
            return replace(result, digest=made.digest, pushed=(*result.pushed, str(ref)))
        check = cancel.check
        names = [str(ref) for ref in refs]
        if isinstance(output, (Archive, Layout)):
            for base in bases:
                yield from self._bases.fetch_all(base, cancel)
            step = StepUpdate("output", f"write {output.path.name}")
            yield step
            if isinstance(output, Archive):
                self._write_archive(made, names, output.path, check)
            else:
                write_layout(made, names, self._store.sound, output.path, check=check)
            yield replace(step, status="done")
            return replace(result, digest=made.digest, archive=output.path)
        yield from self._load(made, bases, names, cancel)
        return result

    def _write_archive(self, made: Published, names: Sequence[str], path: Path, check: Callable[[], None]) -> None:
        """Write the archive, unless it is the one that was written here and nobody touched since."""
        key, about = ["archive", str(path.absolute())], [made.digest, *names]
        if (stamp := _stamp(path)) and self._store.record(key) == [*about, *stamp]:
            with contextlib.suppress(OSError):  # of another user
                os.utime(path)
        else:
            write_archive(made, names, self._store.sound, path, check=check)
        with contextlib.suppress(BuildError):  # a store that is full: the archive is there
            self._store.note(key, [*about, *_stamp(path)])

    # -- a registry

    def push(
        self, made: Published, bases: Sequence[Base], ref: ImageRef, cancel: CancelToken, *, ask_first: bool = True
    ) -> Generator[Event, None, None]:
        """Push under one tag: blobs first, then manifests, the tag last; nothing at all where it is there already.

        Without ``ask_first`` (an image that was made a moment ago) the tag is not asked what it has.

        Each platform's image gets its bill of materials attached; where that fails the push stands, with a warning.

        Raises PublishError and its kinds with the seed's beginning, Cancelled, DamagedBlob.
        """
        cancel.check()
        registry, repository, tag = self._registry(ref.location).until(cancel), ref.registry_path, ref.local_tag
        bills = [_Bill(image, base) for image, base in zip(made.images, bases, strict=True)]
        try:
            if ask_first and registry.digest(repository, tag) == made.digest:
                yield TransferUpdate(tag, "push", None, 0, 0, "exists")
                return
            try:
                yield from self._send(registry, repository, tag, made, bills, cancel)
            except PublishError as error:
                if error.code not in _GONE:
                    raise
                self._there.clear()  # a blob that was there is there no more
                yield from self._send(registry, repository, tag, made, bills, cancel)
        except PublishError as error:
            logger.error("Push failed: %s", error)
            error.args = (f"Image push failed: {error}",)
            raise
        for bill in bills:
            for layer in bill.image.layers:
                if self._store.record(["pushed", registry.host, layer.digest]) is None:
                    self._store.note(["pushed", registry.host, layer.digest], repository)
            cancel.check()
            try:
                if bill.failed is not None:
                    raise bill.failed
                artifact = make_artifact(bill.image, bill.content)
                registry.put_referrer(repository, bill.image.digest, artifact, MANIFEST)
            except (PublishError, BuildError) as error:
                yield BuildWarning(f"the image is pushed, its bill of materials (SBOM) is not: {error}", error.hint)

    def send_ahead(
        self,
        outputs: Sequence[Output],
        base: Base,
        layer: Layer,
        say: Callable[[Event], None],
        cancel: CancelToken,
        check: Callable[[], None],
    ) -> None:
        """Bring a layer into the registries of ``outputs`` while others are still made; ``check`` may raise to stop.

        What fails here is done again by the push, which says so. Raises Cancelled, and what ``check`` raises.
        """
        for ref in [one.ref.tagged() for one in outputs if isinstance(one, Push)]:
            now = time.monotonic()
            try:
                registry = self._registry(ref.location).until(cancel)
                place = (registry.host, ref.registry_path, layer.digest)
                if now - self._there.get(place, -_TRUST_S) >= _TRUST_S:
                    blob = self._layer_blob(base, layer, registry.host, cancel)
                    push_blob(registry, ref.registry_path, blob, say, check)
                    self._there[place] = now
            except Cancelled:
                raise
            except BuildrError as error:
                logger.debug("%s is not sent ahead: %s", layer.digest, error)

    def _send_bill(self, registry: Registry, repository: str, bill: _Bill, _say: Callable[[Event], None]) -> None:
        """Make a bill of materials and bring it into the repository; what fails is noted in it, and fails no push."""
        own = bill.image.layers[len(bill.base.layers) :]
        bill.failed = None
        try:
            packages = [package for layer in own for package in packages_in(self._store, layer)]
            bill.content = make_sbom(repository, bill.image, bill.base, packages, __version__)
            for content in (EMPTY, bill.content):
                place, now = (registry.host, repository, digest_of(content)), time.monotonic()
                if now - self._there.get(place, -_TRUST_S) >= _TRUST_S:
                    opened = partial(io.BytesIO, content)
                    registry.upload(repository, place[2], len(content), opened, ask_bytes=ASK_BYTES)
                    self._there[place] = now
        except (PublishError, BuildError) as error:
            bill.failed = error

    def _send(
        self,
        registry: Registry,
        repository: str,
        tag: str,
        made: Published,
        bills: Sequence[_Bill],
        cancel: CancelToken,
    ) -> Generator[Event, None, None]:
        """Send what the repository was not seen to have in the last minutes, then the manifests.

        The bills of materials go beside the manifests: they are small, but each is two requests, and nothing waits for
        them there.
        """
        place, now = (registry.host, repository), time.monotonic()
        blobs = [
            blob
            for blob in self._blobs(bills, registry.host, cancel)
            if now - self._there.get((*place, blob.digest), -_TRUST_S) >= _TRUST_S
        ]
        yield from push_blobs(registry, repository, blobs, cancel)
        self._there.update(dict.fromkeys(((*place, blob.digest) for blob in blobs), now))

        def manifests(say: Callable[[Event], None]) -> None:
            if made.index is not None:
                for image in made.images:
                    registry.put_manifest(repository, image.digest, image.manifest, MANIFEST)
                registry.put_manifest(repository, tag, made.index, INDEX)
            else:
                registry.put_manifest(repository, tag, made.images[0].manifest, MANIFEST)
            say(TransferUpdate(tag, "push", None, len(made.top), len(made.top), "done"))

        yield from in_parallel(
            [manifests, *(partial(self._send_bill, registry, repository, one) for one in bills)], cancel
        )

    def _blobs(self, bills: Sequence[_Bill], host: str, cancel: CancelToken) -> Iterator[Blob]:
        for bill in bills:
            image, base = bill.image, bill.base
            yield Blob(image.image_id, len(image.config), _sound(self._store, image.image_id))
            yield from (self._layer_blob(base, layer, host, cancel) for layer in image.layers)

    def _layer_blob(self, base: Base, layer: Layer, host: str, cancel: CancelToken) -> Blob:
        known = self._store.record(["pushed", host, layer.digest])
        mount = known if isinstance(known, str) else None
        if all(layer.digest != one.digest for one in base.layers):
            return Blob(layer.digest, layer.size_bytes, _sound(self._store, layer.digest), mount)
        if base.registry and base.registry[0] == host:
            mount = base.registry[1]
        return Blob(layer.digest, layer.size_bytes, _of_base(self._bases, base, layer, cancel), mount)

    # -- an engine

    def _load(
        self, made: Published, bases: Sequence[Base], names: Sequence[str], cancel: CancelToken
    ) -> Generator[Event, None, None]:
        """Load the image into the engine, without the layers that it has; of its base they are not even fetched.

        Raises EngineError where none answers, BuildError where it does not take the image.
        """
        image = made.images[0]
        with contextlib.closing(self._open_engine()) as client, translate(client):
            has = common_layers(
                client,
                [layer.diff_id for layer in image.layers],
                of_base=len(bases[0].layers),
                names=(bases[0].name, *names),
            )
            yield from self._bases.fetch_all(bases[0], cancel, without=has)
            step = StepUpdate("load", "load into the engine")
            yield step
            with self._store.scratch() as scratch:
                path = scratch / "image.tar"
                with path.open("wb") as out:
                    self._write_for_engine(image, names, out, skip=has, check=cancel.check)
                with path.open("rb") as stream:
                    for event in client.load_image(stream):
                        if isinstance(event, dict) and ("error" in event or "errorDetail" in event):
                            raise _not_taken(image, str(event.get("error")))
            yield replace(step, status="done")

    def _write_for_engine(
        self, image: Image, names: Sequence[str], out: IO[bytes], *, skip: int, check: Callable[[], None]
    ) -> None:
        described = [
            {
                "Config": f"{image.image_id.removeprefix('sha256:')}.json",
                "RepoTags": list(names),
                "Layers": [f"blobs/sha256/{layer.digest.removeprefix('sha256:')}" for layer in image.layers],
            }
        ]
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, content in (("manifest.json", canonical_json(described)), (described[0]["Config"], image.config)):
                info = tarfile.TarInfo(str(path))
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            for digest in dict.fromkeys(layer.digest for layer in image.layers[skip:]):
                check()
                tar.add(self._store.sound(digest), f"blobs/sha256/{digest.removeprefix('sha256:')}")


def _not_taken(image: Image, why: str) -> BuildError:
    packed = any(layer.media_type == ZSTD for layer in image.layers)
    hint = "build with --builder oci: zstd layers need Docker Engine 23 or podman 4" if packed else None
    return BuildError(f"Image build failed: the engine does not take it: {why}", hint=hint)


def _sound(store: Store, digest: str) -> Callable[[], Path]:
    return lambda: store.sound(digest)


def _of_base(bases: Bases, base: Base, layer: Layer, cancel: CancelToken) -> Callable[[], Path]:
    def local() -> Path:
        bases.locate(base, layer, cancel)
        return bases.store.sound(layer.digest)

    return local


def common_layers(client: EngineClient, diff_ids: Sequence[str], *, of_base: int = 0, names: Sequence[str] = ()) -> int:
    """Return how many of the first layers an engine has in one chain; moby's load reads no layer that is there.

    Images with these names are looked at, then those that buildr made, and any other only until the layers of the base,
    the first ``of_base``, are found: an engine may have thousands of images, and each is a request.

    Source: moby ``image/tarexport/load.go``: a layer whose chain is known is taken as it is. Podman reads them all.
    """
    version = client.version()
    if any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ()):
        return 0
    listed = client.images()
    made = [one for one in listed if CONTENT_LABEL in (one.get("Labels") or {})]
    others = [one for one in listed if CONTENT_LABEL not in (one.get("Labels") or {})]
    best = 0
    for candidates, enough in (
        (names, len(diff_ids)), ([one["Id"] for one in made], len(diff_ids)), ([one["Id"] for one in others], of_base),
    ):  # fmt: skip
        for candidate in candidates:
            if best >= enough:
                break
            best = max(best, _common(diff_ids, layers_in(client, candidate) or ()))
    return best


def _common(mine: Sequence[str], others: Sequence[str]) -> int:
    """Return how many of the first ones are the same."""
    for number, (one, other) in enumerate(zip(mine, others, strict=False)):
        if one != other:
            return number
    return min(len(mine), len(others))
