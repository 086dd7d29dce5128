"""Archives are read member by member, known by their first bytes, and nothing is written."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable

import pytest
import zstandard

from buildr_jupyter.secretscan.archives import DAMAGED, kind_of, members

TEXT = b"password = hunter2\n" * 50


def tar(**options: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", **options) as archive:  # type: ignore[call-overload]
        for name, kind in (("../a", tarfile.REGTYPE), ("dir", tarfile.DIRTYPE), ("link", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(TEXT) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(TEXT))
    return out.getvalue()


def zipped(before: bytes = b"") -> bytes:
    out = io.BytesIO()
    out.write(before)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("dir/", "")
        archive.writestr("../a", TEXT)
    return out.getvalue()


def read(content: bytes) -> list[tuple[str, bytes]]:
    kind = kind_of(content[:512])
    assert kind is not None
    return [(name, stream.read()) for name, stream in members(kind, io.BytesIO(content))]


@pytest.mark.parametrize(
    ("kind", "content", "name"),
    [
        ("tar", tar(), "../a"), ("zip", zipped(), "../a"), ("zipapp", zipped(b"#!/usr/bin/python3\n"), "../a"),
        ("gzip", gzip.compress(TEXT), ""), ("bzip2", bz2.compress(TEXT), ""), ("xz", lzma.compress(TEXT), ""),
        ("zstd", zstandard.compress(TEXT), ""),
    ],
    ids=["tar", "zip", "zipapp", "gzip", "bzip2", "xz", "zstd"],
)  # fmt: skip
def test_the_files_of_an_archive(kind: str, content: bytes, name: str) -> None:
    """Folders and links hold nothing to read; a name is told as it stands there, and leads nowhere."""
    assert kind_of(content[:512]) == kind
    assert read(content) == [(name, TEXT)]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_what_was_packed_in_two_parts_is_read_whole(pack: Callable[[bytes], bytes]) -> None:
    assert read(pack(b"one ") + pack(b"two")) == [("", b"one two")]


@pytest.mark.parametrize("start", [b"", b"P", b"text", b"\x89PNG", b"\x00" * 512])
def test_what_is_no_archive(start: bytes) -> None:
    assert kind_of(start) is None


@pytest.mark.parametrize(
    "content",
    [tar(), zipped(), gzip.compress(TEXT), bz2.compress(TEXT), lzma.compress(TEXT)],
    ids=["tar", "zip", "gzip", "bzip2", "xz"],
)
def test_one_that_breaks_off_gives_what_is_whole_or_an_error_that_is_known(content: bytes) -> None:
    kind = kind_of(content[:512])
    assert kind is not None
    for end in range(max(1, len(content) - 60), len(content)):
        found: list[bytes] = []
        try:
            found += (stream.read() for _, stream in members(kind, io.BytesIO(content[:end])))
        except DAMAGED:
            continue
        assert found in ([], [TEXT])
