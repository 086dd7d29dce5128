"""Images as files: one tar that docker, podman and skopeo all take, an OCI layout, and both read back as a base.

The tar is an OCI layout with docker's ``manifest.json`` beside it, which points at the same blobs. Source: OCI image
specification 1.1, "Image Layout"; moby ``image/spec/v1.2.md`` ("Combined Image JSON + Filesystem Changeset Format").
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from buildr_jupyter.errors import BuildError, BuildrError
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import canonical_json
from buildr_jupyter.oci.image import Published, digest_of
from buildr_jupyter.oci.layer import Packer
from buildr_jupyter.process.locks import in_cache, private_folder
from buildr_jupyter.process.tempfiles import atomic_write
from buildr_jupyter.registry.validate import MAX_DOCUMENT_BYTES, DamagedDocument

__all__ = [
    "FULL_NAME", "GZIP_HEAD", "REF_NAME", "UNREADABLE", "ZSTD_HEAD", "Bounded", "CarefulInfo", "FileSource",
    "blob_name", "read_archive", "write_archive", "write_layout",
]  # fmt: skip

Locate = Callable[[str], Path]
"""Digest to the file that has its bytes."""
GZIP_HEAD, ZSTD_HEAD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
"""What a compressed stream begins with. Source: RFC 1952, 2.3.1; RFC 8878, 3.1.1."""
_MAX_MEMBERS = 20_000
_MAX_HEADER_BYTES = 1 << 20
_MAX_SIZE = 1 << 62
_EMPTY_READS = 2
"""So often a tar without its two blocks of zeros is asked for more."""
REF_NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"
"""Annotations of an index's entry: the image's tag, and its whole name."""


def write_archive(
    made: Published, names: Sequence[str], locate: Locate, target: Path, *, check: Callable[[], None] = lambda: None
) -> None:
    """Write the one tar; it takes its name when it is whole. Raises BuildError where it cannot be written."""
    with _fresh(target) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in _documents(made, names).items():
            _add(tar, path, len(content), io.BytesIO(content))
        for path in ("blobs", "blobs/sha256"):  # syft unpacks no file into a folder that it was not told of
            info = tarfile.TarInfo(path)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        written = set()
        for digest, content_or_none in _blobs(made):
            if digest in written:
                continue
            written.add(digest)
            check()
            path = f"blobs/sha256/{digest.removeprefix('sha256:')}"
            if content_or_none is not None:
                _add(tar, path, len(content_or_none), io.BytesIO(content_or_none))
            else:
                with locate(digest).open("rb") as stream:
                    _add(tar, path, os.fstat(stream.fileno()).st_size, stream)


def write_layout(
    made: Published, names: Sequence[str], locate: Locate, folder: Path, *, check: Callable[[], None] = lambda: None
) -> None:
    """Write an OCI layout into a folder that is new or empty, or is a layout; blobs that are there stay.

    ``index.json`` is written last. Raises BuildError for another folder, or one that cannot be written.
    """
    try:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "oci-layout").is_file():
            raise BuildError(
                f"Image build failed: {str(folder)!r} is not empty and no OCI layout", hint="name an empty or a new one"
            )
        if folder.exists():
            _fill_layout(made, names, locate, folder, check)
            return
        _make_parent(folder)
        with atomic_write(folder, directory=True, shared=not in_cache(folder)) as half:
            _fill_layout(made, names, locate, half, check)
            half.rename(folder)
    except OSError as error:
        raise BuildError(f"Image build failed: {str(folder)!r} cannot be written: {error.strerror}") from error


def _fill_layout(
    made: Published, names: Sequence[str], locate: Locate, folder: Path, check: Callable[[], None]
) -> None:
    """Add an image to a layout; each file takes its name when it is whole, and has the mode of what a user makes."""
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    for digest, content in _blobs(made):
        check()
        path = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
        if path.exists():
            continue
        with atomic_write(path, shared=True) as half:
            if content is not None:
                half.write_bytes(content)
            else:
                shutil.copyfile(locate(digest), half)
            half.replace(path)
    for name, content in _documents(made, names).items():
        if name != "manifest.json":
            with atomic_write(folder / name, shared=True) as half:
                half.write_bytes(content)
                half.replace(folder / name)


def _make_parent(target: Path) -> None:
    private_folder(target.parent) if in_cache(target) else target.parent.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _fresh(target: Path) -> Iterator[IO[bytes]]:
    try:
        _make_parent(target)
        with atomic_write(target, shared=not in_cache(target)) as half:
            with half.open("wb") as out:
                yield out
            half.replace(target)
    except OSError as error:
        raise BuildError(f"Image build failed: {str(target)!r} cannot be written: {error.strerror}") from error


def _documents(made: Published, names: Sequence[str]) -> dict[str, bytes]:
    top = made.images[0].descriptor()
    if made.index is not None:
        top = {"mediaType": json.loads(made.index)["mediaType"], "digest": made.digest, "size": len(made.index)}
    entries = [{**top, "annotations": {REF_NAME: name.rpartition(":")[2], FULL_NAME: name}} for name in names or [""]]
    if not names:
        entries = [top]
    docker = [
        {
            "Config": f"blobs/sha256/{made.images[0].image_id.removeprefix('sha256:')}",
            "RepoTags": list(names),
            "Layers": [f"blobs/sha256/{layer.digest.removeprefix('sha256:')}" for layer in made.images[0].layers],
        }
    ]
    # skopeo's oci-archive takes an archive without a name only where index.json has one entry: the first name alone
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": canonical_json({"schemaVersion": 2, "manifests": entries[:1]}),
        "manifest.json": canonical_json(docker),
    }


def _blobs(made: Published) -> Iterator[tuple[str, bytes | None]]:
    if made.index is not None:
        yield made.digest, made.index
    for image in made.images:
        yield image.digest, image.manifest
        yield image.image_id, image.config
        for layer in image.layers:
            yield layer.digest, None


def _add(tar: tarfile.TarFile, path: str, size: int, stream: IO[bytes]) -> None:
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, 0o644
    tar.addfile(info, stream)


UNREADABLE = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, MemoryError, OverflowError)
"""What reading a damaged archive raises, compressed or not."""


class FileSource:
    """An image in a file or a folder, read blob by blob: ``open(path)`` of what is inside, None where it is not."""

    def __init__(self, path: Path, check: Callable[[], None] = lambda: None, *, what: str | None = None) -> None:
        """Open it; ``what`` names it in errors, as the base at this path if None. Raises DamagedDocument."""
        self.path, self.what = path, what or f"base {str(path)!r}"
        self._tar: tarfile.TarFile | None = None
        self._raw: IO[bytes] | None = None
        if not path.is_dir():
            try:
                self._raw = path.open("rb")
                self._tar = tarfile.open(fileobj=Bounded(self._raw, check), tarinfo=CarefulInfo)  # noqa: SIM115 - closed by close()
                self._members = {}
                for number, member in enumerate(self._tar):
                    check()
                    if number >= _MAX_MEMBERS:
                        raise tarfile.ReadError(f"it has more than {_MAX_MEMBERS:,} files")
                    self._members[member.name.removeprefix("./")] = member
            except BaseException as error:
                self.close()
                if not isinstance(error, UNREADABLE):
                    raise
                raise DamagedDocument(
                    f"{self.what} is no image: {_why(error)}",
                    hint="give a folder with an OCI layout, or a tar made by docker save or skopeo",
                ) from error

    def close(self) -> None:
        """Close the file."""
        if self._tar:
            self._tar.close()
        if self._raw:
            self._raw.close()

    def open(self, name: str) -> IO[bytes] | None:
        """Return a stream of the content under this name."""
        if self._tar is None:
            path = self.path / name
            try:
                inside = path.resolve().is_relative_to(self.path.resolve())  # no link and no .. leads out of it
                return path.open("rb") if inside and path.is_file() else None
            except (OSError, ValueError, RuntimeError):  # a name that no file has, links that go round
                return None
        member = self._members.get(name)
        for _ in range(8):
            if member is None or not (member.issym() or member.islnk()):
                break
            target = member.linkname if member.islnk() else os.path.normpath(Path(member.name).parent / member.linkname)
            member = self._members.get(target.removeprefix("./"))
        return self._tar.extractfile(member) if member is not None and member.isreg() else None

    def read(self, name: str) -> bytes | None:
        """Return the content of a document under this name, None where there is none or it is too large for one."""
        stream = self.open(name)
        if stream is None:
            return None
        try:
            with stream:
                content = stream.read(MAX_DOCUMENT_BYTES + 1)
        except UNREADABLE:
            return None
        return content if len(content) <= MAX_DOCUMENT_BYTES else None


def _why(error: BaseException) -> str:
    """Return why a tar cannot be read: of a file that is none tarfile tells in as many lines as it tried formats."""
    text = str(error)
    return "it is no tar" if text.startswith("file could not be opened successfully") else text


class CarefulInfo(tarfile.TarInfo):
    """A header that is read only where it is one: a long name has thousands of bytes, not gigabytes, none is negative.

    What the standard library raises for a damaged one (the map of a sparse file, a number that is none) is a ReadError.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        extended = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, *tarfile.GNU_TYPES[:2])
        if self.type in extended and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header of it is too large")
        if self.size < 0:
            raise tarfile.ReadError("a header of it has a negative size")
        begin = tar.offset
        try:
            found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        except (ValueError, IndexError, OverflowError, UnicodeError, TypeError, RecursionError) as error:
            raise tarfile.ReadError(f"a header of it is damaged: {error}") from error
        if not 0 <= found.size < _MAX_SIZE or not begin <= tar.offset < _MAX_SIZE:
            raise tarfile.ReadError("a header of it has a size that nothing has")
        return found


class Bounded(io.RawIOBase):
    """A stream that is read as far as it goes: reading on after its end, or seeking beyond, is an error.

    tarfile skips what a header says in blocks until they are read, and reads a sparse file's map until it is whole,
    both without looking whether anything comes. ``check`` is called for each block and may raise to stop.
    """

    def __init__(self, stream: IO[bytes] | io.RawIOBase, check: Callable[[], None]) -> None:
        self._stream, self._check, self._empty = stream, check, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        self._check()
        try:
            block = self._stream.read(size) or b""
        except BuildrError:
            raise
        except Exception as error:  # each library that unpacks has errors of its own
            raise tarfile.ReadError(f"it is damaged: {error}") from error
        if not block and size:
            self._empty += 1
            if self._empty > _EMPTY_READS:
                raise tarfile.ReadError("it ends early: its headers say more than there is")
        return block

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._check()
        self._empty = 0
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def read_archive(source: FileSource, choose: Callable[[JsonObject], str]) -> tuple[str | None, bytes, list[str]]:
    """Return (manifest's digest or None, config, names of the layers inside) of an image in a file or a folder.

    ``choose`` picks the digest out of an index. Raises BuildError for what is no image.
    """
    broken = BuildError(
        f"Image build failed: base {str(source.path)!r} is no image that can be read",
        hint="give a folder with an OCI layout, or a tar made by docker save or skopeo",
    )
    try:
        top = source.read("index.json")
        if top is not None:
            digest = choose(json.loads(top))
            for _ in range(3):
                content = source.read(blob_name(digest))
                if content is None or digest_of(content) != digest:
                    raise broken
                document = json.loads(content)
                if "layers" in document:
                    config = source.read(blob_name(document["config"]["digest"]))
                    if config is None or digest_of(config) != document["config"]["digest"]:
                        raise broken
                    return digest, config, [blob_name(layer["digest"]) for layer in document["layers"]]
                digest = choose(document)
        saved = source.read("manifest.json")
        if saved is None:
            raise broken
        described = json.loads(saved)[0]
        config = source.read(described["Config"])
        if config is None:
            raise broken
        names = list(described["Layers"])
        if not all(isinstance(name, str) for name in names):
            raise broken
        return None, config, names
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise broken from error


def blob_name(digest: str) -> str:
    """Return the name of a digest's bytes in a layout."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def copy_layer(
    stream: IO[bytes], out: IO[bytes], compress: Callable[[], Packer], *, check: Callable[[], None]
) -> tuple[str, str, int, int]:
    """Copy a layer: as it is where it is gzip, else (a plain tar, zstd) compressed now.

    Return digest, diff id, compressed and unpacked bytes. Raises BuildError for a stream that ends early.
    """
    head = stream.read(2)
    diff, blob = hashlib.sha256(), hashlib.sha256()
    size = unpacked = 0
    if head == GZIP_HEAD:
        path_like = _Tee(head, stream, out, check)
        try:
            with gzip.GzipFile(fileobj=path_like) as plain:
                while block := plain.read(1 << 20):
                    diff.update(block)
                    unpacked += len(block)
            while path_like.read(1 << 20):
                pass
        except (EOFError, OSError, zlib.error, tarfile.TarError) as error:
            raise BuildError(f"Image build failed: a layer of the base cannot be read: {error}") from error
        return f"sha256:{path_like.hash.hexdigest()}", f"sha256:{diff.hexdigest()}", path_like.size, unpacked
    if head == ZSTD_HEAD[:2]:
        head += stream.read(2)
    if head == ZSTD_HEAD:
        from zstandard import ZstdDecompressor

        stream.seek(0)
        stream, head = ZstdDecompressor().stream_reader(stream, read_across_frames=True), b""
    packer = compress()
    for block in _blocks(Bounded(stream, check), head):
        check()
        diff.update(block)
        unpacked += len(block)
        packed = packer.compress(block)
        blob.update(packed)
        size += out.write(packed)
    packed = packer.flush()
    blob.update(packed)
    size += out.write(packed)
    return f"sha256:{blob.hexdigest()}", f"sha256:{diff.hexdigest()}", size, unpacked


def _blocks(stream: Bounded, head: bytes) -> Iterator[bytes]:
    """Yield what is in a layer. Raises BuildError for one that is damaged."""
    try:
        block = head + stream.read(1 << 20)
        while block:
            yield block
            block = stream.read(1 << 20)
    except tarfile.TarError as error:
        raise BuildError(f"Image build failed: a layer of the base cannot be read: {error}") from error


class _Tee(io.RawIOBase):
    """What is read goes to ``out`` too, and is hashed."""

    def __init__(self, head: bytes, stream: IO[bytes], out: IO[bytes], check: Callable[[], None]) -> None:
        self._head, self._stream, self._out, self._check = head, stream, out, check
        self.hash, self.size = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        self._check()
        head, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
        block = head + (self._stream.read(size - len(head) if size >= 0 else size) if size != len(head) else b"")
        self.hash.update(block)
        self.size += len(block)
        self._out.write(block)
        return block

    def seekable(self) -> bool:
        return False
