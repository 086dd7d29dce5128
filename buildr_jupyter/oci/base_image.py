"""The image that ours stands on: from a registry, from an engine, from a file, or from this very interpreter.

A base from a registry is its config and its manifest; its layers stay there until their bytes are needed. What
was found is kept in the store, so that a second build asks nobody. Source: OCI image specification 1.1, "Image Index".
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from buildr_jupyter.errors import BuildError, BuildRefused, PublishError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.oci.archive import GZIP_HEAD, ZSTD_HEAD, Bounded, CarefulInfo, FileSource, copy_layer, read_archive
from buildr_jupyter.oci.image import parse_platform
from buildr_jupyter.oci.layer import GZIP, ZSTD, Compressor, Layer, compressor
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry.validate import (
    DamagedDocument,
    read_config,
    read_descriptor,
    read_entries,
    read_image_manifest,
)

# The client imports requests: an image that no registry is asked for needs none of it.
if TYPE_CHECKING:
    from buildr_jupyter.registry.client import Registry

__all__ = [
    "Base", "Python", "fetch", "find_python", "from_file", "from_registry", "from_saved", "is_file", "is_musl",
    "opened_layer", "unpacked",
]  # fmt: skip

_TYPES = {
    GZIP: GZIP,
    ZSTD: ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": GZIP,
    "application/vnd.oci.image.layer.v1.tar": "application/vnd.oci.image.layer.v1.tar",
}
_PYTHON = re.compile(r"(.*/bin)/python(3\.\d+)")
_OFFICIAL = "/usr/local/bin"


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter that a base has."""

    bin: str
    """Its folder in the image, with a leading slash: ``/usr/local/bin``."""
    version: str
    """``3.11``."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base image for one platform."""

    name: str
    digest: str
    """Of the manifest as the reference resolved; of an engine's or a file's image the image id."""
    platform: str
    config: JsonObject
    layers: tuple[Layer, ...]
    """``unpacked_bytes`` is 0 where nobody unpacked the layer here."""
    registry: tuple[str, str] | None = None
    """Host and repository that have the layers."""

    def to_json(self) -> dict[str, object]:
        """Return the record that the store keeps."""
        return {
            "name": self.name, "digest": self.digest, "platform": self.platform, "config": dict(self.config),
            "layers": [layer.to_json() for layer in self.layers], "registry": list(self.registry or ()),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: object) -> Base | None:
        """Return what ``to_json`` wrote, None for anything else."""
        if not isinstance(data, dict):
            return None
        try:
            layers = tuple(Layer.from_json(one) for one in data["layers"])
            host = tuple(data["registry"])
            return cls(data["name"], data["digest"], data["platform"], data["config"], layers, host or None)
        except (TypeError, KeyError, AttributeError):
            return None


def choose(index: JsonObject, platform: str, what: str) -> str:
    """Return the digest of the image for a platform out of an index; an entry without a platform fits each.

    Raises BuildError, which names what there is.
    """
    wanted = parse_platform(platform)
    there = []
    for entry in read_entries(index, f"the index of {what}"):
        known = entry.get("platform")
        if not known:
            return str(entry["digest"])
        if all(known.get(name) == value for name, value in wanted.items()):
            return str(entry["digest"])
        if known.get("os") != "unknown":
            there.append("/".join(filter(None, (known.get("os"), known.get("architecture"), known.get("variant")))))
    raise BuildError(
        f"Image build failed: base {what} is not there for {platform}",
        hint=f"choose one that it is there for: {', '.join(sorted(set(there)))}"
        if there
        else "name another base with --base",
    )


def check_platform(config: JsonObject, platform: str, what: str) -> None:
    """Raise BuildError where a base is for another architecture."""
    wanted = parse_platform(platform)
    has = (str(config.get("os") or "linux"), str(config.get("architecture") or wanted["architecture"]))
    if has != (wanted["os"], wanted["architecture"]):
        raise BuildError(
            f"Image build failed: base {what} is for {'/'.join(has)}, not for {platform}",
            hint=f"name another base with --base, or --platform {'/'.join(has)}",
        )


def from_registry(registry: Registry, ref: ImageRef, platform: str, store: Store) -> Base:
    """Return the base that a reference resolves to; only manifests and the config are fetched.

    Its digest is that of the tag's manifest or index, so that it can be asked for again for any platform. Raises
    PublishError and its kinds, BuildError.
    """
    repository = ref.registry_path
    top = registry.manifest(repository, ref.digest or ref.local_tag)
    manifest = top
    for _ in range(3):
        if "manifests" not in manifest.document:
            break
        manifest = registry.manifest(repository, choose(manifest.document, platform, str(ref)))
    described, parts = read_image_manifest(manifest.document, f"base {ref}")
    digest, size = read_descriptor(described, f"the manifest of {ref}")
    config = read_config(_small(registry, repository, digest, size, store), f"the config of {ref}")
    check_platform(config, platform, str(ref))
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    if len(diff_ids) != len(parts):
        raise DamagedDocument(f"base {ref} is damaged: it has {len(parts)} layers, its config {len(diff_ids)}")
    layers = []
    for part, diff_id in zip(parts, diff_ids, strict=True):
        digest, size = read_descriptor(part, f"the manifest of {ref}")
        if part["mediaType"] not in _TYPES:
            raise DamagedDocument(f"base {ref} has a layer of type {part['mediaType']!r}, which cannot be read here")
        layers.append(Layer(digest, diff_id, size, 0, _TYPES[part["mediaType"]]))
    return Base(str(ref), top.digest, platform, config, tuple(layers), (registry.host, repository))


def _small(registry: Registry, repository: str, digest: str, size: int, store: Store) -> bytes:
    if not store.has(digest, size):
        content = registry.document(repository, digest, size)
        with store.writing() as (out, keep):
            out.write(content)
            keep(digest)
    return store.read(digest)


def fetch(
    registry: Registry, base: Base, layer: Layer, store: Store, *, progress: Callable[[int], None] = lambda _done: None
) -> Path:
    """Return where a layer of the base is in the store, downloaded now unless it is there."""
    assert base.registry is not None
    if not store.has(layer.digest, layer.size_bytes):
        with store.locked(layer.digest.removeprefix("sha256:")[:32]):
            if not store.has(layer.digest, layer.size_bytes):
                with store.writing() as (out, keep):
                    registry.download(base.registry[1], layer.digest, layer.size_bytes, out, progress=progress)
                    keep(layer.digest)
    return store.path(layer.digest)


def is_file(base: str) -> Path | None:
    """Return the path where a base names a file or a folder: ``./image.tar``, ``/x/layout``, ``oci-archive:x.tar``."""
    kind, colon, rest = base.partition(":")
    if colon and kind in ("oci", "oci-archive", "docker-archive", "oci-layout"):
        return Path(rest).expanduser()
    if base.startswith(("/", "./", "../", "~")) or base.endswith((".tar", ".tar.gz", ".tgz")):
        return Path(base).expanduser()
    return None


def from_file(path: Path, platform: str, store: Store, using: Compressor, check: Callable[[], None]) -> Base:
    """Return the base in an OCI layout, an ``oci-archive`` or a ``docker save`` file; its layers go to the store."""
    if not path.exists():
        raise BuildError(f"Image build failed: there is no base {str(path)!r}", hint="correct --base")
    status = path.stat()
    key = ["base-file", str(path.absolute()), status.st_size, status.st_mtime_ns, platform, using.key]
    known = Base.from_json(store.record(key)) if path.is_file() else None
    if known and all(store.has(layer.digest, layer.size_bytes) for layer in known.layers):
        return known
    base = from_saved(path, path.name, platform, store, using, check)
    store.note(key, base.to_json())
    return base


def from_saved(
    path: Path, name: str, platform: str, store: Store, using: Compressor, check: Callable[[], None]
) -> Base:
    """Return the base in a file or folder without looking whether it is known; its name is ``name``."""
    source = FileSource(path, check)
    using = using if using.media_type == GZIP else compressor()  # a gzip layer stays one: one kind for all
    try:
        digest, content, names = read_archive(source, lambda index: choose(index, platform, name))
        config = read_config(content, f"the config of {name}")
        check_platform(config, platform, name)
        layers = []
        seen: set[str] | None = set() if _said(config) is None else None
        for inside in names:
            stream = source.open(inside)
            if stream is None:
                raise BuildError(f"Image build failed: base {name} lacks its layer {inside}")
            with stream, store.writing() as (out, keep):
                seen = None if seen is None else _names_in_plain(stream, seen, check)
                packed, diff_id, size, unpacked = copy_layer(stream, out, using.start, check=check)
                keep(packed)
            layers.append(Layer(packed, diff_id, size, unpacked))
    finally:
        source.close()
    if [layer.diff_id for layer in layers] != (config.get("rootfs") or {}).get("diff_ids"):
        raise BuildError(f"Image build failed: the layers in base {name} are not those of its config")
    if seen is not None:
        _note_pythons(store, layers, _interpreters(seen, config))
    return Base(name, digest or store.put(content), platform, config, tuple(layers))


# -- the Python in a base


def is_musl(base: Base) -> bool:
    """Tell whether programs of a base use the C library musl, for which wheels of their own are made.

    Alpine, the distribution that has it, is known by its package manager in the history, and where there is none by the
    base's name: no layer is downloaded for that.
    """
    said = [str(one.get("created_by") or "") for one in base.config.get("history") or ()]
    if any(said):
        return any(re.search(r"\bapk add\b|\balpine-minirootfs\b", one) for one in said)
    return "alpine" in base.name.rpartition("/")[2]


def find_python(
    base: Base, store: Store, locate: Callable[[Layer], Path], python: str, check: Callable[[], None] = lambda: None
) -> Python:
    """Return the interpreter of the base; it must be of version ``python``.

    The official images say it in their environment; of others the layers are read, once for each digest;
    ``check`` is called on the way and may raise to stop. Raises BuildRefused for a base without Python, or with another
    version, BuildError for a layer that cannot be read.
    """
    known = store.record(_python_key(base.layers))
    found = [Python(*one) for one in known] if isinstance(known, list) else None
    if found is None and (said := _said(base.config)):
        found = [said]
    if found is None:
        names: set[str] = set()
        for layer in base.layers:
            with opened_layer(locate(layer), layer, check) as tar:
                names = _with_names(names, tar)
        found = _interpreters(names, base.config)
        _note_pythons(store, base.layers, found)
    for one in found:
        if one.version == python:
            return one
    if found:
        raise BuildRefused(
            f"Image build failed: base {base.name} has Python {found[0].version}, the packages are for {python}",
            hint=f"name a base with Python {python}, or --python {found[0].version}",
        )
    raise BuildRefused(f"Image build failed: base {base.name} has no Python", hint="name a Python image with --base")


def _python_key(layers: Sequence[Layer]) -> list[object]:
    """Return the inputs under which the store knows the interpreters in a base."""
    return ["python-of", [layer.diff_id for layer in layers], 1]


def _note_pythons(store: Store, layers: Sequence[Layer], found: Sequence[Python]) -> None:
    store.note(_python_key(layers), [[one.bin, one.version] for one in found])


def _environment(config: JsonObject) -> dict[str, str]:
    return dict(one.partition("=")[::2] for one in (config.get("config") or {}).get("Env") or ())


def _said(config: JsonObject) -> Python | None:
    """Return the interpreter that an official image names in its environment, None where there is none."""
    environment = _environment(config)
    said = re.match(r"3\.\d+", environment.get("PYTHON_VERSION", ""))
    return Python(_OFFICIAL, said[0]) if said and _OFFICIAL in environment.get("PATH", "") else None


def _with_names(names: set[str], tar: tarfile.TarFile) -> set[str]:
    """Return what may be an interpreter, or makes it that of a virtual environment, above a layer; ``names`` below."""
    for member in tar:
        tar.members = []  # type: ignore[attr-defined]  # it keeps each header that it has read
        name = "/" + member.name.removeprefix("./").strip("/")
        folder, _, last = name.rpartition("/")
        if last.startswith(".wh."):
            gone = f"{folder}/{last.removeprefix('.wh.')}"
            names = {n for n in names if n != gone and not n.startswith(f"{gone}/")}
        elif _PYTHON.fullmatch(name) or last == "pyvenv.cfg":
            names.add(name)
    return names


def _names_in_plain(stream: IO[bytes], names: set[str], check: Callable[[], None]) -> set[str] | None:
    """Return ``_with_names`` of a layer that is not compressed, from its headers alone; None for any other.

    The stream stands at its beginning before and after. To read the names later is to unpack what was packed here.
    """
    head = stream.read(len(ZSTD_HEAD))
    stream.seek(0)
    if head.startswith((GZIP_HEAD, ZSTD_HEAD)):
        return None
    try:
        with tarfile.open(fileobj=Bounded(stream, check), mode="r:", tarinfo=CarefulInfo) as tar:
            return _with_names(names, tar)
    except (tarfile.TarError, EOFError, OverflowError):
        return None  # who needs the interpreter says what is wrong
    finally:
        stream.seek(0)


def _interpreters(names: set[str], config: JsonObject) -> list[Python]:
    """Return the interpreters among the names, those first that PATH finds first; of a virtual environment none."""
    found = [
        Python(match[1], match[2])
        for name in names
        if (match := _PYTHON.fullmatch(name)) and f"{match[1].rpartition('/')[0]}/pyvenv.cfg" not in names
    ]
    path = _environment(config).get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    ranks = {folder: number for number, folder in enumerate(path)}
    return sorted(found, key=lambda one: (ranks.get(one.bin, len(ranks)), one.bin, one.version))


@contextlib.contextmanager
def opened_layer(path: Path, layer: Layer, check: Callable[[], None] = lambda: None) -> Iterator[tarfile.TarFile]:
    """Give the tar of a compressed layer, to be read from its beginning on; raises BuildError for one that is none.

    It is read as far as the blob goes, whatever its headers say; ``check`` is called on the way and may raise to stop.
    """
    try:
        with path.open("rb") as raw:
            stream = unpacked(raw, {GZIP: GZIP_HEAD, ZSTD: ZSTD_HEAD}.get(layer.media_type, b""))
            with tarfile.open(fileobj=Bounded(stream, check), mode="r|", tarinfo=CarefulInfo) as tar:
                yield tar
    except (tarfile.TarError, EOFError, OverflowError) as error:
        raise BuildError(
            f"Image build failed: a layer of the base cannot be read: {error}", hint="name another base with --base"
        ) from error


def unpacked(stream: IO[bytes] | io.RawIOBase, head: bytes) -> IO[bytes]:
    """Return a stream of what is in one that begins with ``head``: gzip, zstd, or neither."""
    source = cast("IO[bytes]", stream)  # read() is all that is asked of it
    if head.startswith(ZSTD_HEAD):
        import zstandard

        plain: IO[bytes] = zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        return plain
    return _fast_gzip(source) if head.startswith(GZIP_HEAD) else source


def _fast_gzip(raw: IO[bytes]) -> IO[bytes]:
    try:
        from isal import igzip

        opened: IO[bytes] = igzip.IGzipFile(fileobj=raw)  # type: ignore[no-untyped-call, assignment]
        return opened
    except ImportError:
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]


def explain(error: PublishError, base: str) -> BuildError:
    """Return a base's failure as that of a build, with the registry's hint."""
    return BuildError(f"Image build failed: base {base}: {error}", hint=error.hint or "name another base with --base")
