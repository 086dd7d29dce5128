"""Archives and compressed files, read member by member without writing anything to where their names say.

What a file is, is told by its first bytes: zip (a zipapp too), tar, gzip, bzip2, xz, and zstd where ``zstandard`` or
Python's own ``compression.zstd`` is installed.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

__all__ = ["DAMAGED", "kind_of", "members"]

DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError,
    RuntimeError, ValueError,
)  # fmt: skip
"""What reading a damaged, a locked or a foreign archive raises."""

_MAGIC = (
    (b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"#!", "zipapp"),
)  # fmt: skip
_MAX_MEMBERS = 20_000


def kind_of(start: bytes) -> str | None:
    """Return what kind of archive begins with these (512) bytes, None for none."""
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    return "tar" if start[257:262] == b"ustar" else None


def members(kind: str, stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield (name, stream) of each file in an archive; the name is empty for a file that is only compressed.

    Each stream is to be read before the next one is asked for. Raises one of ``DAMAGED``.
    """
    if kind in ("zip", "zipapp"):
        yield from _in_zip(stream)
    elif kind == "tar":
        yield from _in_tar(stream)
    else:
        with _opened(kind, stream) as inner:
            yield "", inner


def _in_zip(stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(stream) as archive:
        for info in archive.infolist()[:_MAX_MEMBERS]:
            if not info.is_dir():
                with archive.open(info) as inner:
                    yield info.filename, inner


def _in_tar(stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for number, member in enumerate(archive):
            if number >= _MAX_MEMBERS:
                return
            inner = archive.extractfile(member) if member.isreg() else None
            if inner is not None:
                with inner:
                    yield member.name, inner


def _zstd(stream: IO[bytes]) -> Any:
    for name in ("compression.zstd", "zstandard"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            return module.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
                stream, read_across_frames=True, closefd=False
            )
        return module.ZstdFile(stream)
    raise ValueError("nothing here reads zstd")


def _opened(kind: str, stream: IO[bytes]) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=stream, mode="rb")
    if kind == "bzip2":
        return bz2.BZ2File(stream, "rb")
    return lzma.LZMAFile(stream, "rb") if kind == "xz" else _zstd(stream)
