"""The store: made once, whole or not at all, found damaged and made anew, for any number of processes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import pytest

from buildr_jupyter.errors import BuildError
from buildr_jupyter.oci.layer import Entry, Layer, compressor, write_layer
from buildr_jupyter.oci.store import DamagedBlob, Store, StoreInUse


def make(out: IO[bytes]) -> Layer:
    return write_layer([Entry.of("a", os.urandom(1000))], out, compressor())


def test_made_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    assert store.layer(["k"]) is None
    layer, had = store.make_layer(["k"], make)
    assert not had
    assert Store(tmp_path / "s").make_layer(["k"], make) == (layer, True)
    assert store.make_layer(["other"], make)[0] != layer
    assert json.loads((tmp_path / "s" / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert store.info().blobs == 2


def test_damaged_blobs_are_found_and_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    layer, _ = store.make_layer(["k"], make)
    path = store.path(layer.digest)
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    assert store.verify() == [layer.digest]
    assert store.make_layer(["k"], make)[1] is False

    layer, _ = store.make_layer(["k"], make)
    assert store.sound(layer.digest) == store.path(layer.digest)
    store.path(layer.digest).write_bytes(content)
    with pytest.raises(DamagedBlob):
        store.sound(layer.digest)
    assert not store.path(layer.digest).exists()
    store.make_layer(["k"], make)
    store.path(store.layer(["k"]).digest).write_bytes(b"cut")  # type: ignore[union-attr]
    assert store.layer(["k"]) is None


def test_nothing_half_is_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def full(out: IO[bytes]) -> Layer:
        out.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(BuildError, match="No space left") as caught:
        store.make_layer(["k"], full)
    assert "BUILDR_STORE" in str(caught.value.hint)
    assert store.info().blobs == 0
    assert list((tmp_path / "half").iterdir()) == []


def test_killed_while_it_writes(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from buildr_jupyter.oci.store import Store
def make(out):
    out.write(b"x" * 100000); out.flush(); print("writing", flush=True); time.sleep(60)
Store(Path({str(tmp_path)!r})).make_layer(["k"], make)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with child:
        assert child.stdout
        child.stdout.readline()
        child.kill()
    store = Store(tmp_path)
    assert store.info().blobs == 0
    assert store.make_layer(["k"], make)[1] is False, "the dead one's lock is gone with it"
    assert store.prune(now=time.time() + 3 * 86400) > 0
    assert list((tmp_path / "half").iterdir()) == []


def test_of_many_processes_one_makes_it(tmp_path: Path) -> None:
    code = f"""
import os, time
from pathlib import Path
from buildr_jupyter.oci.layer import Entry, compressor, write_layer
from buildr_jupyter.oci.store import Store
def make(out):
    time.sleep(0.3)
    return write_layer([Entry.of("a", os.urandom(1000))], out, compressor())
layer, had = Store(Path({str(tmp_path)!r})).make_layer(["k"], make)
print(layer.digest, had)
"""
    children = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [child.communicate()[0].split() for child in children]
    assert len({digest for digest, _ in said}) == 1
    assert sorted(had for _, had in said) == ["False", "True", "True", "True"]


def test_names_and_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.image("x:1") is None
    image: dict[str, Any] = {"manifest": "sha256:" + "0" * 64}
    store.tag("x:1", image)
    assert store.image("x:1") == {**image, "name": "x:1"}
    assert [one["name"] for one in store.images()] == ["x:1"]
    store.note(["a", 1], {"b": 2})
    assert store.record(["a", 1]) == {"b": 2}
    with pytest.raises(BuildError, match="not a digest"):
        store.path("sha256:../../etc/passwd")


def test_no_build_loses_what_it_stands_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    layer, _ = store.make_layer(["k"], make)
    with store.in_use(), Store(tmp_path).in_use():
        with pytest.raises(StoreInUse, match="a build is running"):
            Store(tmp_path).prune()
        assert store.has(layer.digest)
    assert store.prune() > layer.size_bytes
    assert not store.has(layer.digest)
