"""Images as files: what was written is read back, and what is damaged is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from pathlib import Path

import pytest

from buildr_jupyter.errors import BuildError, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.oci.archive import FileSource, copy_layer, read_archive, write_archive, write_layout
from buildr_jupyter.oci.image import Published, make_image, make_index
from buildr_jupyter.oci.layer import Layer

NAME = "127.0.0.1:5000/me/x:1"


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    (tmp_path / "blobs").mkdir()
    return tmp_path / "blobs"


def layer(blobs: Path, content: bytes) -> Layer:
    packed = gzip.compress(content, mtime=0)
    digest = hashlib.sha256(packed).hexdigest()
    (blobs / digest).write_bytes(packed)
    return Layer(f"sha256:{digest}", f"sha256:{hashlib.sha256(content).hexdigest()}", len(packed), len(content))


def published(blobs: Path) -> Published:
    layers = [layer(blobs, b"one" * 1000), layer(blobs, b"two")]
    return Published((make_image({"architecture": "amd64", "os": "linux"}, layers, platform="linux/amd64"),), None)


def first(index: JsonObject) -> str:
    return str(index["manifests"][0]["digest"])


def located(blobs: Path, digest: str) -> Path:
    return blobs / digest.removeprefix("sha256:")


@pytest.mark.parametrize("kind", ["tar", "layout"])
def test_what_was_written_is_read_back(kind: str, blobs: Path, tmp_path: Path) -> None:
    made, target = published(blobs), tmp_path / "out"
    (write_archive if kind == "tar" else write_layout)(made, [NAME], lambda digest: located(blobs, digest), target)
    source = FileSource(target)
    digest, config, names = read_archive(source, first)
    assert (digest, config) == (made.digest, made.images[0].config)
    for name, one in zip(names, made.images[0].layers, strict=True):
        stream = source.open(name)
        assert stream is not None
        with stream:
            assert hashlib.sha256(stream.read()).hexdigest() == one.digest.removeprefix("sha256:")
    source.close()


def test_docker_s_own_document_names_the_same_blobs(blobs: Path, tmp_path: Path) -> None:
    made = published(blobs)
    write_archive(made, [NAME, "me/x:2"], lambda digest: located(blobs, digest), tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        members = tar.getnames()
        (described,) = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        index = json.loads(tar.extractfile("index.json").read())  # type: ignore[union-attr]
    assert described["RepoTags"] == [NAME, "me/x:2"]
    assert {described["Config"], *described["Layers"]} <= set(members)
    assert len(members) == len(set(members)), "no blob is there twice"
    assert len(index["manifests"]) == 1, "skopeo takes an archive with one entry alone"


def test_an_index_of_platforms_is_followed_to_the_one_that_is_chosen(blobs: Path, tmp_path: Path) -> None:
    layers = [layer(blobs, b"one")]
    images = [make_image({"architecture": one}, layers, platform=f"linux/{one}") for one in ("amd64", "arm64")]
    write_layout(
        Published(tuple(images), make_index(images)), [], lambda digest: located(blobs, digest), tmp_path / "o"
    )

    def choose(index: JsonObject) -> str:
        return str(index["manifests"][-1]["digest"])

    assert read_archive(FileSource(tmp_path / "o"), choose)[0] == images[1].digest


def test_a_write_that_is_stopped_leaves_what_was_there(blobs: Path, tmp_path: Path) -> None:
    made, target, cancel = published(blobs), tmp_path / "x.tar", CancelToken()
    target.write_bytes(b"before")
    cancel.set()
    with pytest.raises(Cancelled):
        write_archive(made, [NAME], lambda digest: located(blobs, digest), target, check=cancel.check)
    assert target.read_bytes() == b"before"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["blobs", "x.tar"]


def test_a_folder_with_something_else_is_not_written_into(blobs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(BuildError, match="is not empty and no OCI layout"):
        write_layout(published(blobs), [NAME], lambda digest: located(blobs, digest), folder)
    assert [one.name for one in folder.iterdir()] == ["notes.txt"]


def test_a_manifest_with_another_digest_is_no_image(blobs: Path, tmp_path: Path) -> None:
    made, folder = published(blobs), tmp_path / "o"
    write_layout(made, [NAME], lambda digest: located(blobs, digest), folder)
    path = folder / "blobs" / "sha256" / made.digest.removeprefix("sha256:")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BuildError, match="no image that can be read"):
        read_archive(FileSource(folder), first)


def test_no_link_of_a_layout_leads_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "o"
    folder.mkdir()
    os.symlink("../secret", folder / "index.json")
    source = FileSource(folder)
    assert source.read("index.json") is None
    assert source.open("../secret") is None
    assert source.open("nul\0") is None


@pytest.mark.parametrize(
    "content", [b"", b"no tar at all", gzip.compress(b"x" * 600, mtime=0)[:-4]], ids=["empty", "text", "cut off"]
)
def test_a_file_that_is_no_image_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(BuildError, match=r"x\.tar' is no image"):
        read_archive(FileSource(tmp_path / "x.tar"), first)


@pytest.mark.parametrize("packed", [True, False])
def test_a_layer_is_copied_as_it_is_where_it_is_packed(packed: bool) -> None:
    content = os.urandom(3000) * 700
    given = gzip.compress(content, 1, mtime=0) if packed else content
    out = io.BytesIO()
    digest, diff, size, unpacked = copy_layer(
        io.BytesIO(given), out, lambda: zlib.compressobj(6, wbits=31), check=lambda: None
    )
    assert (out.getvalue() == given) is packed
    assert gzip.decompress(out.getvalue()) == content
    assert digest == f"sha256:{hashlib.sha256(out.getvalue()).hexdigest()}"
    assert diff == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (size, unpacked) == (len(out.getvalue()), len(content))


def test_a_layer_that_ends_early_is_refused() -> None:
    given = gzip.compress(os.urandom(10_000), mtime=0)[:-100]
    with pytest.raises(BuildError, match="a layer of the base cannot be read"):
        copy_layer(io.BytesIO(given), io.BytesIO(), lambda: zlib.compressobj(), check=lambda: None)
