"""Layers whose headers lie: each is read as far as its blob goes, ends in one error, and stops when it is cancelled."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.errors import BuildError, BuildrError, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.oci.archive import FileSource
from buildr_jupyter.oci.base_image import Base, find_python, opened_layer
from buildr_jupyter.oci.layer import GZIP, ZSTD, Layer
from buildr_jupyter.oci.store import Store

PLAIN = "application/vnd.oci.image.layer.v1.tar"


def block(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def pax(**fields: str) -> bytes:
    """Return an extended header with these fields, whatever they say."""
    records = b""
    for name, value in fields.items():
        body = f" {name.replace('__', '.')}={value}\n".encode()
        length = len(body) + 1
        while len(str(length)) + len(body) != length:
            length = len(str(length)) + len(body)
        records += str(length).encode() + body
    return block("pax", tarfile.XHDTYPE, len(records)) + padded(records)


def resummed(header: bytes, at: int, content: bytes) -> bytes:
    made = bytearray(header)
    made[at : at + len(content)] = content
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


SPARSE = resummed(block("s", tarfile.GNUTYPE_SPARSE, 512), 482, b"\1")
"""A header that says that more of the sparse file's map follows."""
NUMBER = b"\x80" + (1 << 61).to_bytes(11, "big")
HOSTILE: dict[str, bytes] = {
    "pax size": pax(size=str(1 << 61)) + block("x"),
    "pax size of all": pax(size=str(10**400)) + block("x"),
    "pax size that is negative": pax(size="-1024") + block("x") + block("y") * 3,
    "pax size that leads back": pax(size="-1536") + block("x"),
    "pax size that is none": pax(size="many") + block("x"),
    "base-256 size": resummed(block("x"), 124, NUMBER),
    "base-256 negative": resummed(block("x"), 124, b"\xff" * 11 + b"\x00"),
    "sparse 1.0 whose map never ends": pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize="9") + block("x", size=512) + b"9" * 512,
    "sparse 1.0 with a count of all": pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize="9") + block("x", size=512) + padded(b"999999999999\n"),
    "sparse 1.0 with no number": pax(GNU__sparse__major="1", GNU__sparse__minor="0") + block("x", size=512) + padded(b"x\ny\n"),
    "sparse 0.1 with an odd map": pax(GNU__sparse__map="1,2,x", GNU__sparse__size="5") + block("x"),
    "sparse 0.0 with a huge size": pax(GNU__sparse__size=str(1 << 62), size="5") + block("x"),
    "old sparse that goes on": SPARSE,
    "old sparse with a negative size": resummed(block("s", tarfile.GNUTYPE_SPARSE, 512), 483, b"\xff" * 12),
    "cut in a header": block("x")[:100],
    "pax cut off": pax(path="y" * 2000)[:600],
    "pax without a length": block("p", tarfile.XHDTYPE, 8) + padded(b"x path=y"),
    "long name of gigabytes": block("l", tarfile.GNUTYPE_LONGNAME, 1 << 32),
    "long name that is negative": resummed(block("l", tarfile.GNUTYPE_LONGNAME), 124, b"\xff" * 12),
}  # fmt: skip


def packed(kind: str, content: bytes) -> bytes:
    if kind == ZSTD:
        import zstandard

        return zstandard.ZstdCompressor().compress(content)
    return gzip.compress(content, 1) if kind == GZIP else content


def layer_of(store: Store, kind: str, blob: bytes) -> Layer:
    return Layer(store.put(blob), "sha256:" + hashlib.sha256(blob).hexdigest(), len(blob), 0, kind)


def within(seconds: float, work: Callable[[], object]) -> BaseException | None:
    """Do it in a thread, and return what it raised; fail where it goes on."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it goes on"
    return raised[0] if raised else None


@pytest.mark.parametrize("kind", [GZIP, ZSTD, PLAIN])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_layer_that_lies(tmp_path: Path, kind: str, name: str) -> None:
    store = Store(tmp_path / "store")
    for rest in (b"", block("after"), block("after") + bytes(1024)):
        layer = layer_of(store, kind, packed(kind, block("usr/bin/python3.11") + HOSTILE[name] + rest))
        base = Base("b", layer.digest, "linux/amd64", {}, (layer,))
        error = within(10, lambda base=base: find_python(base, store, lambda one: store.path(one.digest), "3.11"))  # type: ignore[misc]
        assert error is None or isinstance(error, BuildError), repr(error)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_an_archive_that_lies(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    content = block("manifest.json", size=2) + padded(b"[]") + HOSTILE[name] + block("after") + bytes(1024)
    path.write_bytes(gzip.compress(content) if suffix == "tar.gz" else content)

    def read() -> None:
        with contextlib.closing(FileSource(path)) as source:
            for inside in ("manifest.json", "x", "s", "y"):
                source.read(inside)

    error = within(10, read)
    assert error is None or isinstance(error, BuildError), repr(error)


@pytest.mark.parametrize("kind", [GZIP, ZSTD])
@pytest.mark.parametrize("damage", ["cut", "flipped", "nothing", "other"])
def test_a_blob_that_is_damaged(tmp_path: Path, kind: str, damage: str) -> None:
    store = Store(tmp_path / "store")
    good = packed(kind, block("a") * 2000 + bytes(1024))
    blob = {
        "cut": good[: len(good) // 2],
        "flipped": good[:40] + b"\xff" * 30 + good[70:],
        "nothing": b"",
        "other": b"PK\3\4" * 99,
    }[damage]
    layer = layer_of(store, kind, blob)
    base = Base("b", layer.digest, "linux/amd64", {}, (layer,))
    error = within(10, lambda: find_python(base, store, lambda one: store.path(one.digest), "3.11"))
    assert isinstance(error, BuildrError), repr(error)


@pytest.mark.parametrize("kind", [GZIP, ZSTD])
def test_a_cancel_ends_a_layer_of_gigabytes(tmp_path: Path, kind: str) -> None:
    """A blob of some megabytes that unpacks to gigabytes is read until it is cancelled."""
    store = Store(tmp_path / "store")
    head = pax(size=str(1 << 40)) + block("x")
    if kind == GZIP:
        blob = gzip.compress(head, 1) + gzip.compress(bytes(64 << 20), 1) * 60
    else:
        blob = packed(kind, head) + packed(kind, bytes(64 << 20)) * 400
    layer = layer_of(store, kind, blob)
    base = Base("b", layer.digest, "linux/amd64", {}, (layer,))
    cancel = CancelToken()
    threading.Timer(0.2, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        find_python(base, store, lambda one: store.path(one.digest), "3.11", cancel.check)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", [GZIP, ZSTD, PLAIN])
def test_honest_layers_are_read_whole(tmp_path: Path, kind: str) -> None:
    """The control: long names, large files, a sparse file, with and without zeros at the end."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a", "b" * 300, "c/\u00fc"):
            info = tarfile.TarInfo(name)
            info.size = 3_000_000
            tar.addfile(info, io.BytesIO(bytes(3_000_000)))
    sparse = pax(GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__name="s", GNU__sparse__realsize="1000000")
    sparse += block("GNUSparseFile.0/s", size=1024) + padded(b"1\n0\n512\n") + b"z" * 512
    store = Store(tmp_path / "store")
    for content in (sparse + block("last"), sparse + block("last") + bytes(1024), out.getvalue()):
        layer = layer_of(store, kind, packed(kind, content))
        with opened_layer(store.path(layer.digest), layer) as tar:
            names = [member.name for member in tar]
        assert names == (["s", "last"] if content.startswith(sparse) else ["a", "b" * 300, "c/\u00fc"])
