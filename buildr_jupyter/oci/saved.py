"""Saved images: what an archive or a layout folder has, read where it stands and compared with its own digests.

Nothing is copied into the store. Source: OCI image specification 1.1, "Image Layout", "Layer Filesystem Changeset";
moby ``image/spec/v1.2.md`` ("Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from buildr_jupyter.errors import BuildrError
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.oci.archive import FULL_NAME, REF_NAME, UNREADABLE, Bounded, CarefulInfo, FileSource, blob_name
from buildr_jupyter.oci.base_image import unpacked
from buildr_jupyter.oci.image import BASE_NAME, digest_of
from buildr_jupyter.oci.package_list import split_name, with_layer
from buildr_jupyter.registry.validate import (
    DamagedDocument,
    read_config,
    read_descriptor,
    read_entries,
    read_image_manifest,
    read_object,
    read_saved_list,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["SavedImage", "SavedLayer", "read_saved"]

_MAX_DEPTH, _MAX_IMAGES = 4, 64
"""How far and how wide an index is followed; none that exists goes near it."""
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class SavedLayer:
    """One layer as it lies in the file, its bytes compared with the digests that are said of it."""

    digest: str
    """``sha256:`` and 64 hex digits of the bytes that are there, compressed or not."""
    diff_id: str
    """``sha256:`` and 64 hex digits of the tar."""
    size_bytes: int
    """As it lies there."""
    unpacked_bytes: int
    """Of the tar."""
    title: str
    """What the config's history says of it, empty where it says nothing."""
    ours: bool | None
    """Whether buildr wrote it; None where the history of no layer says so."""


@dataclass(frozen=True, slots=True)
class SavedImage:
    """One image for one platform."""

    image_id: str
    """Digest of the config."""
    digest: str | None
    """Of the manifest; None where there is none, in docker's older archives."""
    tags: tuple[str, ...]
    platform: str
    base: str | None
    """The base's reference where manifest or labels name one."""
    config: JsonObject
    config_bytes: int
    layers: tuple[SavedLayer, ...]
    packages: tuple[tuple[str, str], ...]
    """Name and version of the distributions in the program's environment, sorted."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Where an image's parts lie."""

    config: bytes
    layers: tuple[tuple[str, str | None], ...]
    """Name in the file, and the digest that a manifest says, of each layer."""
    tags: tuple[str, ...] = ()
    digest: str | None = None
    base: str | None = None


def read_saved(source: FileSource, check: Callable[[], None] = lambda: None) -> list[SavedImage]:
    """Return the images of an archive (docker save, OCI) or a layout, in its order, each once.

    All layers are read. An index's entry whose manifest is not there is left out, as ``docker save`` leaves other
    platforms out; ``check`` is called on the way and may raise to stop. Raises DamagedDocument for what is no image
    and for bytes that are not what their digest says.
    """
    what = source.what
    found: dict[str, _Found] = {}
    for one in [*_of_index(source, what), *_of_list(source, what)]:
        known = found.setdefault(digest_of(one.config), one)
        # docker's list has the names as a person gave them, an index has them whole or has their tags alone
        found[digest_of(one.config)] = replace(known, tags=one.tags or known.tags)
    if not found:
        raise DamagedDocument(f"{what} is no image: it has neither an index.json nor a manifest.json that names one")
    return [_read(source, one, what, check) for one in found.values()]


def _of_index(source: FileSource, what: str) -> Iterator[_Found]:
    """Yield what ``index.json`` leads to; nothing where there is none."""
    top = source.read("index.json")
    if top is None:
        return
    entries = [(entry, _tags(entry)) for entry in read_entries(read_object(top, f"the index of {what}"), what)]
    count = 0
    for _ in range(_MAX_DEPTH):
        below: list[tuple[JsonObject, tuple[str, ...]]] = []
        for entry, tags in entries:
            if (entry.get("platform") or {}).get("os") == "unknown":
                continue  # an attestation
            if (count := count + 1) > _MAX_IMAGES:
                raise DamagedDocument(f"{what} is damaged: its index names more than {_MAX_IMAGES} images")
            content = source.read(blob_name(str(entry["digest"])))
            if content is None:
                continue
            document = read_object(_checked(content, str(entry["digest"]), what), f"a manifest of {what}")
            if "manifests" in document:
                below += [(one, _tags(one) or tags) for one in read_entries(document, f"an index of {what}")]
            else:
                yield _of_manifest(source, document, str(entry["digest"]), tags, what)
        if not below:
            return
        entries = below
    raise DamagedDocument(f"{what} is damaged: its indexes name indexes without end")


def _tags(entry: JsonObject) -> tuple[str, ...]:
    said = entry.get("annotations")
    known = said if isinstance(said, dict) else {}
    return next(((name,) for key in (FULL_NAME, REF_NAME) if isinstance(name := known.get(key), str) and name), ())


def _of_manifest(source: FileSource, document: JsonObject, digest: str, tags: tuple[str, ...], what: str) -> _Found:
    described, parts = read_image_manifest(document, what)
    wanted, _ = read_descriptor(described, f"the manifest of {what}")
    content = source.read(blob_name(wanted))
    if content is None:
        raise DamagedDocument(f"{what} is damaged: it lacks its config {wanted}")
    notes = document.get("annotations")
    base = notes.get(BASE_NAME) if isinstance(notes, dict) else None
    layers = tuple((blob_name(str(part["digest"])), str(part["digest"])) for part in parts)
    return _Found(_checked(content, wanted, what), layers, tags, digest, base if isinstance(base, str) else None)


def _of_list(source: FileSource, what: str) -> Iterator[_Found]:
    """Yield what docker's ``manifest.json`` lists; nothing where there is none."""
    content = source.read("manifest.json")
    for one in read_saved_list(content, f"the manifest.json of {what}") if content is not None else ():
        config = source.read(one["Config"])
        if config is None:
            raise DamagedDocument(f"{what} is damaged: it lacks its config {one['Config']}")
        yield _Found(config, tuple((name, None) for name in one["Layers"]), tuple(one.get("RepoTags") or ()))


def _checked(content: bytes, digest: str, what: str) -> bytes:
    if digest_of(content) != digest:
        raise DamagedDocument(f"{what} is damaged: what it has as {digest} has another digest")
    return content


def _read(source: FileSource, found: _Found, what: str, check: Callable[[], None]) -> SavedImage:
    config = read_config(found.config, f"the config of {what}")
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    if len(diff_ids) != len(found.layers):
        raise DamagedDocument(f"{what} is damaged: it has {len(found.layers)} layers, its config {len(diff_ids)}")
    titles = _titles(config, len(diff_ids))
    written = any(ours for _, ours in titles)
    installed: set[str] = set()
    layers = []
    for (name, digest), diff_id, (title, ours) in zip(found.layers, diff_ids, titles, strict=True):
        layer, installed = _read_layer(source, name, installed, what, check)
        if layer.diff_id != diff_id or digest not in (None, layer.digest):
            raise DamagedDocument(f"{what} is damaged: its layer {name} is not what its digest says")
        layers.append(replace(layer, title=title, ours=ours if written else None))
    labels = (config.get("config") or {}).get("Labels") or {}
    parts = (config.get("os"), config.get("architecture"), config.get("variant"))
    return SavedImage(
        digest_of(found.config), found.digest, found.tags, "/".join(map(str, filter(None, parts))),
        found.base or labels.get(BASE_NAME), config, len(found.config), tuple(layers),
        tuple(sorted(map(split_name, installed))),
    )  # fmt: skip


def _titles(config: JsonObject, count: int) -> list[tuple[str, bool]]:
    """Return what the history says of each layer, and whether it says that buildr wrote it."""
    history = [one for one in config.get("history") or () if not one.get("empty_layer")]
    if len(history) != count:
        return [("", False)] * count
    titles = []
    for one in history:
        ours = one.get("created_by") == "buildr_jupyter"
        said = one.get("comment") if ours else one.get("created_by") or one.get("comment")
        titles.append((said if isinstance(said, str) else "", ours))
    return titles


def _read_layer(
    source: FileSource, name: str, installed: set[str], what: str, check: Callable[[], None]
) -> tuple[SavedLayer, set[str]]:
    """Read a layer to its end; return what it is, and what is installed above it."""
    stream = source.open(name)
    if stream is None:
        raise DamagedDocument(f"{what} is damaged: it lacks its layer {name}")
    try:
        with stream:
            head = stream.read(4)
            stream.seek(0)
            raw = _Counted(stream)
            plain = _Counted(unpacked(raw, head))
            with tarfile.open(fileobj=Bounded(plain, check), mode="r|", tarinfo=CarefulInfo) as tar:
                installed = with_layer(installed, _names(tar))
            for rest in (plain, raw):
                bounded = Bounded(rest, check)
                while bounded.read(_BLOCK):
                    pass
    except BuildrError:
        raise
    except UNREADABLE as error:
        raise DamagedDocument(f"{what} is damaged: its layer {name} cannot be read: {error}") from error
    return SavedLayer(raw.digest, plain.digest, raw.size, plain.size, "", None), installed


def _names(tar: tarfile.TarFile) -> Iterator[str]:
    for member in tar:
        tar.members = []  # type: ignore[attr-defined]  # it keeps each header that it has read
        yield member.name


class _Counted(io.RawIOBase):
    """A stream whose bytes are counted and hashed as they are read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._hash, self.size = stream, hashlib.sha256(), 0

    @property
    def digest(self) -> str:
        """Digest of what was read: ``sha256:`` and 64 hex digits."""
        return f"sha256:{self._hash.hexdigest()}"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        into = memoryview(buffer)
        block = self._stream.read(len(into))
        into[: len(block)] = block
        self._hash.update(block)
        self.size += len(block)
        return len(block)
