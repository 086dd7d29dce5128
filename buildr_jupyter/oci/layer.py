"""One layer of an image: files in, a compressed tar out, the same bytes on every day and every machine.

Entries are written sorted by path, as PAX, with owner 0:0 and time 0, and with the modes that the plan says; a hard
link becomes a file of its own. Nothing is held in memory but one block. Source: OCI image specification 1.1,
"Image Layer Filesystem Changeset"; POSIX.1-2001 pax.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol

from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import FileEntry

__all__ = ["GZIP", "ZSTD", "Compressor", "Entry", "Layer", "Packer", "compressor", "folder_entries", "write_layer"]

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder or a symbolic link in a layer."""

    path: str
    """Without a leading slash: ``opt/venv/bin/python``."""
    kind: Literal["file", "dir", "link"] = "file"
    mode: int = 0o644
    size_bytes: int = 0
    open: Callable[[], IO[bytes]] | None = None
    """A fresh stream of the content each time, for a file."""
    target: str = ""
    """Where a link points to, as it is written."""
    digest: str | None = None
    """64 hex digits of the content's sha256 where it is known: another content fails the layer."""

    @classmethod
    def of(cls, path: str, content: bytes, *, mode: int = 0o644) -> Entry:
        """Return a file of bytes that are at hand."""
        return cls(path, "file", mode, len(content), lambda: io.BytesIO(content))

    @classmethod
    def of_file(cls, path: str, source: Path, *, mode: int | None = None, digest: str | None = None) -> Entry:
        """Return a file of this machine; raises OSError where it is not there."""
        status = source.stat()
        chosen = mode if mode is not None else 0o755 if status.st_mode & 0o100 else 0o644
        return cls(path, "file", chosen, status.st_size, lambda: source.open("rb", buffering=0), digest=digest)

    @classmethod
    def of_plan(cls, path: str, entry: FileEntry) -> Entry:
        """Return a file of the plan under another path."""
        return cls(path, "file", entry.mode, entry.size_bytes, entry.open, digest=entry.sha256)

    @classmethod
    def folder(cls, path: str, mode: int = 0o755) -> Entry:
        """Return a folder."""
        return cls(path, "dir", mode)

    @classmethod
    def link(cls, path: str, target: str) -> Entry:
        """Return a symbolic link."""
        return cls(path, "link", 0o777, target=target)


@dataclass(frozen=True, slots=True)
class Layer:
    """What a manifest and a config say of one layer."""

    digest: str
    """``sha256:`` and 64 hex digits of the compressed bytes."""
    diff_id: str
    """``sha256:`` and 64 hex digits of the tar."""
    size_bytes: int
    """Compressed."""
    unpacked_bytes: int
    """Of the tar."""
    media_type: str = GZIP
    title: str = ""
    """What a person reads in the history: ``numpy 2.4.6``."""

    def to_json(self) -> dict[str, object]:
        """Return the record that the store keeps."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: JsonObject) -> Layer:
        """Return what ``to_json`` wrote; raises TypeError or KeyError for another thing."""
        return cls(**{name: data[name] for name in cls.__slots__})

    def descriptor(self) -> dict[str, object]:
        """Return the manifest's words for it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size_bytes}


class Packer(Protocol):
    """A stream that is being compressed."""

    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Compressor:
    """A way to compress a stream; ``key`` stands for its output: library, version and level."""

    key: str
    media_type: str
    start: Callable[[], Packer]


_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, time 0, unknown system: RFC 1952


class _Gzip:
    """A gzip member without name and time around a raw deflate stream."""

    def __init__(self, deflate: Packer, crc32: Callable[[bytes, int], int]) -> None:
        self._deflate, self._crc32 = deflate, crc32
        self._crc = self._size = 0
        self._head = _GZIP_HEADER

    def compress(self, data: bytes, /) -> bytes:
        self._crc = self._crc32(data, self._crc)
        self._size += len(data)
        head, self._head = self._head, b""
        return head + self._deflate.compress(data)

    def flush(self) -> bytes:
        tail = (self._crc & 0xFFFFFFFF).to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._head + self._deflate.flush() + tail


def compressor(name: Literal["gzip", "zstd"] = "gzip") -> Compressor:
    """Return the compressor of this machine: gzip by ``isal``, or by zlib where that is missing; zstd on request.

    Raises BuildError where zstd is asked for and ``zstandard`` is not installed.
    """
    if name == "zstd":
        try:
            import zstandard
        except ImportError:
            raise BuildError(
                "Image build failed: zstd layers need the package zstandard", hint="run pip install zstandard"
            ) from None
        key = f"zstd-3 zstandard {zstandard.__version__}"
        return Compressor(key, ZSTD, lambda: zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj())
    try:
        from isal import __version__ as version
        from isal import igzip_lib, isal_zlib
    except ImportError:
        return Compressor(
            f"gzip-6 zlib {zlib.ZLIB_RUNTIME_VERSION}", GZIP, lambda: _Gzip(zlib.compressobj(6, wbits=-15), zlib.crc32)
        )
    start: Callable[[], Packer] = lambda: _Gzip(isal_zlib.compressobj(2, wbits=-15), isal_zlib.crc32)  # noqa: E731
    return Compressor(f"gzip-2 isal {version} {igzip_lib.__name__}", GZIP, start)


class _Sink:
    """Takes the tar's bytes, hashes them, compresses them, hashes again, writes: in blocks of one size."""

    def __init__(self, out: IO[bytes], using: Compressor, check: Callable[[], None]) -> None:
        self._out, self._stream, self._check = out, using.start(), check
        self.diff, self.blob = hashlib.sha256(), hashlib.sha256()
        self.unpacked = self.size = 0
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= _BLOCK:
            with memoryview(self._pending) as held:
                block = bytes(held[:_BLOCK])
            del self._pending[:_BLOCK]
            self._drain(block)

    def pad(self, unit: int) -> None:
        """Write zeros until a whole number of units is there."""
        self.write(bytes(-(self.unpacked + len(self._pending)) % unit))

    def _drain(self, block: bytes) -> None:
        self.diff.update(block)
        self.unpacked += len(block)
        self._put(self._stream.compress(block))
        self._check()

    def finish(self) -> None:
        self._drain(bytes(self._pending))
        self._put(self._stream.flush())

    def _put(self, data: bytes) -> None:
        if data:
            self.blob.update(data)
            self.size += len(data)
            self._out.write(data)


def write_layer(
    entries: Iterable[Entry],
    out: IO[bytes],
    using: Compressor,
    *,
    title: str = "",
    check: Callable[[], None] = lambda: None,
) -> Layer:
    """Write a layer's compressed tar to ``out`` and return what it became.

    Folders above an entry are added with mode 0755 unless they are entries themselves. ``check`` is called after each
    block and may raise to stop. Raises BuildError for a file that changed, and for two entries of one path.
    """
    sink = _Sink(out, using, check)
    for entry in _complete(entries):
        sink.write(_header(entry))
        if entry.kind == "file":
            _write_content(sink, entry)
    sink.write(bytes(2 * tarfile.BLOCKSIZE))
    sink.pad(tarfile.RECORDSIZE)
    sink.finish()
    return Layer(
        digest=f"sha256:{sink.blob.hexdigest()}",
        diff_id=f"sha256:{sink.diff.hexdigest()}",
        size_bytes=sink.size,
        unpacked_bytes=sink.unpacked,
        media_type=using.media_type,
        title=title,
    )


_TYPES = {"file": tarfile.REGTYPE, "dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}
_EMPTY = tarfile.TarInfo().tobuf(tarfile.PAX_FORMAT)
_SUM, _SUM_END, _NAME, _LARGEST = 148, 156, 100, 8**11


def _header(entry: Entry) -> bytes:
    """Return an entry's header, the same bytes as ``tarfile`` makes, which takes four times as long for a plain one."""
    name = f"{entry.path}/" if entry.kind == "dir" else entry.path
    if not (name.isascii() and entry.target.isascii()) or max(len(name), len(entry.target)) > _NAME:
        return _pax_header(entry)
    if entry.size_bytes >= _LARGEST or "\0" in name + entry.target:
        return _pax_header(entry)
    head = bytearray(_EMPTY)
    head[: len(name)] = name.encode()
    head[_NAME : _NAME + 7] = b"%07o" % (entry.mode & 0o7777)
    head[124:135] = b"%011o" % (entry.size_bytes if entry.kind == "file" else 0)
    head[_SUM:_SUM_END] = b" " * 8
    head[156:157] = _TYPES[entry.kind]
    head[157 : 157 + len(entry.target)] = entry.target.encode()
    head[_SUM : _SUM_END - 1] = b"%06o\0" % sum(head)
    return bytes(head)


def _pax_header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    info.mode, info.type, info.linkname = entry.mode, _TYPES[entry.kind], entry.target
    info.size = entry.size_bytes if entry.kind == "file" else 0
    return info.tobuf(tarfile.PAX_FORMAT)


def _complete(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries sorted by path, with the folders above them."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.path.startswith("/") or ".." in entry.path.split("/"):
            raise BuildError(f"Image build failed: {entry.path!r} is no path inside an image")
        if entry.path in found and not (entry.kind == "dir" == found[entry.path].kind):
            raise BuildError(f"Image build failed: two files would be {entry.path!r} in one layer")
        found[entry.path] = entry
    for path in list(found):
        above = path.rpartition("/")[0]
        while above and above not in found:
            found[above] = Entry.folder(above)
            above = above.rpartition("/")[0]
    return sorted(found.values(), key=lambda entry: entry.path)


def _write_content(sink: _Sink, entry: Entry) -> None:
    """Write a file of the planned size, hashed on the way; raises BuildError where it is another."""
    assert entry.open is not None
    digest, left = hashlib.sha256(), entry.size_bytes
    with entry.open() as source:
        while left:
            block = source.read(min(left, _BLOCK))
            if not block:
                raise _changed(entry)
            if entry.digest:
                digest.update(block)
            sink.write(block)
            left -= len(block)
        if source.read(1) or (entry.digest and digest.hexdigest() != entry.digest):
            raise _changed(entry)
    sink.pad(tarfile.BLOCKSIZE)


def _changed(entry: Entry) -> BuildError:
    return BuildError(
        f"Image build failed: {entry.path} is not what was recorded: it changed, or is damaged",
        hint="build again when nothing writes to it; for a package, install it again",
    )


def folder_entries(root: Path, prefix: str, *, skip: Callable[[str], bool] = lambda _: False) -> Iterator[Entry]:
    """Yield what is below ``root`` as entries below ``prefix``, in any order; ``skip`` sees the path below ``root``.

    Links stay links; sockets, pipes and devices are left out.
    """
    for path in root.iterdir():
        yield from _walk(path, path.name, prefix, skip)


def _walk(path: Path, inside: str, prefix: str, skip: Callable[[str], bool]) -> Iterator[Entry]:
    if skip(inside):
        return
    target = f"{prefix}/{inside}"
    if path.is_symlink():
        yield Entry.link(target, str(path.readlink()))
    elif path.is_dir():
        yield Entry.folder(target)
        for child in path.iterdir():
            yield from _walk(child, f"{inside}/{child.name}", prefix, skip)
    elif path.is_file():
        yield Entry.of_file(target, path)


def record_hash(text: str) -> str:
    """Return the 64 hex digits of a RECORD line's ``sha256=…``; empty where it has none of that kind."""
    algorithm, _, value = text.partition("=")
    if algorithm != "sha256":
        return ""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except ValueError:
        return ""
