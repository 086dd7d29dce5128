"""Bases that will not do: another architecture, no Python, another Python, no image at all."""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from buildr_jupyter.errors import BuildError, BuildRefused
from buildr_jupyter.oci import base_image
from buildr_jupyter.oci.image import default_platform
from buildr_jupyter.oci.layer import GZIP, compressor
from buildr_jupyter.oci.store import Store

MakeBase = Callable[..., Path]


def read(path: Path, store: Store) -> base_image.Base:
    return base_image.from_file(path, default_platform(), store, compressor(), lambda: None)


def python_in(path: Path, store: Store, python: str = "3.11") -> base_image.Python:
    found = read(path, store)
    return base_image.find_python(found, store, lambda layer: store.path(layer.digest), python)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_of_another_architecture(make_base: MakeBase, store: Store) -> None:
    with pytest.raises(BuildError, match=r"base other.tar is for linux/s390x, not for linux/") as caught:
        read(make_base("other", architecture="s390x"), store)
    assert "--platform linux/s390x" in str(caught.value.hint)
    assert not store.images()


def test_python_by_what_the_base_says_or_has(make_base: MakeBase, store: Store) -> None:
    assert python_in(make_base("said", python="3.11.4"), store).bin == "/usr/local/bin"
    files = {"./usr/bin/python3.11": b"", "opt/x/bin/python3.11": b"", "opt/x/pyvenv.cfg": b""}
    assert python_in(make_base("has", python=None, layers=(files,)), store) == base_image.Python("/usr/bin", "3.11")


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress], ids=["tar", "gzip", "zstd"]
)
def test_layers_however_they_are_compressed(make_base: MakeBase, store: Store, pack: Callable[[bytes], bytes]) -> None:
    files = {"usr/bin/python3.11": b"", "big": secrets.token_bytes(1 << 20) * 3}
    path = make_base("packed", python=None, layers=(files, {"b": b"1"}), pack=pack)
    assert python_in(path, store).bin == "/usr/bin"
    assert [layer.media_type for layer in read(path, store).layers] == [GZIP, GZIP]
    assert store.verify() == []
    with base_image.opened_layer(store.path(read(path, store).layers[0].digest), read(path, store).layers[0]) as tar:
        assert {member.name: member.size for member in tar} == {"usr/bin/python3.11": 0, "big": 3 << 20}


def test_of_a_plain_layer_the_names_are_known_when_it_was_copied(make_base: MakeBase, store: Store) -> None:
    below = {"usr/bin/python3.11": b"", "usr/bin/python3.9": b"", "opt/x/bin/python3.11": b"", "opt/x/pyvenv.cfg": b""}
    path = make_base("plain", python=None, layers=(below, {"usr/bin/.wh.python3.9": b"", "a": b"1" * 5000}))
    found = read(path, store)
    for layer in found.layers:
        store.discard(layer.digest)  # nothing is unpacked to be looked through
    lost = lambda layer: store.path(layer.digest)  # noqa: E731
    assert base_image.find_python(found, store, lost, "3.11") == base_image.Python("/usr/bin", "3.11")
    with pytest.raises(BuildRefused, match=r"has Python 3.11, the packages are for 3.9"):
        base_image.find_python(found, store, lost, "3.9")


def test_no_python_and_another(make_base: MakeBase, store: Store) -> None:
    with pytest.raises(BuildRefused, match="base none.tar has no Python") as caught:
        python_in(make_base("none", python=None), store)
    assert "--base" in str(caught.value.hint)
    gone = ({"usr/bin/python3.11": b""}, {"usr/bin/.wh.python3.11": b""})
    with pytest.raises(BuildRefused, match="has no Python"):
        python_in(make_base("gone", python=None, layers=gone), store)
    with pytest.raises(BuildRefused, match=r"has Python 3.9, the packages are for 3.11") as caught:
        python_in(make_base("old", python="3.9.1"), store)
    assert "--python 3.9" in str(caught.value.hint)


def test_no_image(make_base: MakeBase, store: Store, tmp_path: Path) -> None:
    whole = make_base("cut").read_bytes()
    for content in (b"", b"x" * 2000, whole[: len(whole) // 2], whole.replace(b'"diff_ids"', b'"diff_xxx"')):
        (tmp_path / "bad.tar").write_bytes(content)
        with pytest.raises(BuildError, match="Image build failed: "):
            read(tmp_path / "bad.tar", store)
    with pytest.raises(BuildError, match="there is no base"):
        read(tmp_path / "nothing.tar", store)
    assert store.verify() == []


@pytest.mark.parametrize(
    ("name", "history", "musl"),
    [
        ("base", "RUN /bin/sh -c set -eux; apk add --no-cache ca-certificates", True),
        ("base", "ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit", True),
        ("base", "RUN /bin/sh -c apt-get update && apt-get install -y netbase", False),
        ("alpine-tools", "# debian.sh --arch 'amd64' out/ 'bookworm'", False),
        ("python-3.11-alpine", "", True),
        ("base", "", False),
    ],
)
def test_the_c_library_of_a_base(name: str, history: str, musl: bool, make_base: MakeBase, store: Store) -> None:
    assert base_image.is_musl(read(make_base(name, history=history), store)) is musl
