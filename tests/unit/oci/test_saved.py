"""Images in archives and layouts, read where they stand: what they have, and each kind of damage by its name."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from buildr_jupyter.errors import Cancelled
from buildr_jupyter.model.plan import VENV, canonical_json
from buildr_jupyter.oci.archive import FileSource, write_archive, write_layout
from buildr_jupyter.oci.image import BASE_NAME, Image, Published, make_image, make_index
from buildr_jupyter.oci.layer import ZSTD, Layer
from buildr_jupyter.oci.saved import SavedImage, read_saved
from buildr_jupyter.registry.validate import DamagedDocument

SITE = f"{VENV.lstrip('/')}/lib/python3.11/site-packages"
HISTORY = [
    {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
    {"created_by": "ENV A=1", "empty_layer": True},
    {"created_by": "buildr_jupyter", "comment": "six 1.17.0"},
    {"created_by": "buildr_jupyter", "comment": "program"},
]


def tar_of(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    return out.getvalue()


TARS = (
    tar_of("usr/x", f"{SITE}/old-1.0.dist-info/METADATA", f"{SITE}/six-1.0.dist-info/METADATA"),
    tar_of(f"{SITE}/six-1.17.0.dist-info/RECORD", f"{SITE}/.wh.six-1.0.dist-info", f"{SITE}/six.py"),
    tar_of("app/main.py", f"./{SITE}/.wh.old-1.0.dist-info", "tmp/.wh.some"),
)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Made:
    """An image of three layers, one of them zstd, and where its blobs are."""

    def __init__(self, platform: str = "linux/amd64") -> None:
        packed = [gzip.compress(TARS[0], mtime=0), zstandard.compress(TARS[1]), gzip.compress(TARS[2], mtime=0)]
        self.blobs = {digest(content): content for content in packed}
        layers = [
            Layer(digest(one), digest(tar), len(one), len(tar), *([ZSTD] if number == 1 else []))
            for number, (one, tar) in enumerate(zip(packed, TARS, strict=True))
        ]
        system, architecture = platform.split("/")
        config = {"os": system, "architecture": architecture, "history": HISTORY, "config": {"Labels": {"a": "b"}}}
        self.image: Image = make_image(config, layers, platform=platform, annotations={BASE_NAME: "python:3.11"})

    def locate(self, folder: Path) -> Callable[[str], Path]:
        for name, content in self.blobs.items():
            (folder / name.removeprefix("sha256:")).write_bytes(content)
        return lambda name: folder / name.removeprefix("sha256:")


def read(path: Path) -> list[SavedImage]:
    with contextlib.closing(FileSource(path, what="the file")) as source:
        return read_saved(source)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    made = Made()
    write_layout(Published((made.image,)), ["h:5000/x:1"], made.locate(tmp_path), tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("kind", ["tar", "layout", "tar.gz"])
def test_what_is_in_an_image_of_ours(kind: str, tmp_path: Path) -> None:
    made, target = Made(), tmp_path / "out"
    (write_layout if kind == "layout" else write_archive)(
        Published((made.image,)), ["h:5000/x:1"], made.locate(tmp_path), target
    )
    if kind == "tar.gz":
        target.write_bytes(gzip.compress(target.read_bytes()))
    (found,) = read(target)
    assert (found.image_id, found.digest) == (made.image.image_id, made.image.digest)
    assert (found.tags, found.platform, found.base) == (("h:5000/x:1",), "linux/amd64", "python:3.11")
    assert found.packages == (("six", "1.17.0"),), "what a later layer takes away is not there"
    assert [(layer.diff_id, layer.unpacked_bytes) for layer in found.layers] == [(digest(t), len(t)) for t in TARS]
    assert [layer.size_bytes for layer in found.layers] == [len(content) for content in made.blobs.values()]
    assert [layer.ours for layer in found.layers] == [False, True, True]
    assert [layer.title for layer in found.layers][1:] == ["six 1.17.0", "program"]
    assert found.config["config"]["Labels"] == {"a": "b"}


def test_an_archive_of_an_older_docker_has_plain_layers_and_no_manifest(tmp_path: Path) -> None:
    config = canonical_json({
        "os": "linux", "architecture": "arm64", "variant": "v8", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in TARS[1:]]},
    })  # fmt: skip
    listed = [{"Config": "c.json", "RepoTags": ["x:1", "y:2"], "Layers": ["one/layer.tar", "two/layer.tar"]}]
    parts = {
        "manifest.json": json.dumps(listed).encode(), "c.json": config,
        "one/layer.tar": TARS[1], "two/layer.tar": TARS[2],
    }  # fmt: skip
    write_tar(tmp_path / "x.tar", parts)
    (found,) = read(tmp_path / "x.tar")
    assert (found.image_id, found.digest, found.tags) == (digest(config), None, ("x:1", "y:2"))
    assert (found.platform, found.base, found.packages) == ("linux/arm64/v8", None, (("six", "1.17.0"),))
    assert [(layer.title, layer.ours) for layer in found.layers] == [("", None), ("", None)]


def write_tar(path: Path, parts: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_each_platform_that_is_there_is_an_image(tmp_path: Path) -> None:
    images = (Made("linux/amd64").image, Made("linux/arm64").image)
    locate = Made().locate(tmp_path)
    write_layout(Published(images, make_index(images)), ["x:1"], locate, tmp_path / "out")
    assert [(one.platform, one.tags) for one in read(tmp_path / "out")] == [
        ("linux/amd64", ("x:1",)), ("linux/arm64", ("x:1",)),
    ]  # fmt: skip
    blob(tmp_path / "out", images[0].digest).unlink()  # docker save leaves other platforms out
    assert [one.platform for one in read(tmp_path / "out")] == ["linux/arm64"]
    blob(tmp_path / "out", images[1].digest).unlink()
    with pytest.raises(DamagedDocument, match="it has neither an index.json nor a manifest.json that names one"):
        read(tmp_path / "out")


def blob(folder: Path, name: str) -> Path:
    return folder / "blobs" / "sha256" / name.removeprefix("sha256:")


def test_each_damage_of_a_layout_is_one_sentence(layout: Path) -> None:
    image = Made().image
    for name, fault in (
        (image.layers[1].digest, "its layer blobs/sha256/"),
        (image.image_id, f"what it has as {image.image_id} has another digest"),
        (image.digest, f"what it has as {image.digest} has another digest"),
    ):
        path = blob(layout, name)
        kept = path.read_bytes()
        path.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(DamagedDocument, match=f"the file is damaged: {fault}"):
            read(layout)
        path.write_bytes(kept)
    path = blob(layout, image.layers[0].digest)
    kept = path.read_bytes()
    path.write_bytes(kept[:40])
    with pytest.raises(DamagedDocument, match=r"its layer blobs/sha256/\w+ cannot be read"):
        read(layout)
    path.write_bytes(gzip.compress(TARS[2], mtime=0))  # a whole layer, of another image
    with pytest.raises(DamagedDocument, match=r"its layer blobs/sha256/\w+ is not what its digest says"):
        read(layout)
    path.unlink()
    with pytest.raises(DamagedDocument, match="it lacks its layer"):
        read(layout)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("index.json", b"[]", "the index of the file is no JSON object"),
        ("index.json", b'{"manifests": 3}', "its manifests is not what"),
        ("index.json", b'{"manifests": [{"digest": "../../etc/passwd"}]}', "neither an index.json nor"),
        ("manifest.json", b'{"Config": "x"}', "the manifest.json of the file is no list of images"),
        ("manifest.json", b'[{"Config": "x", "Layers": [3]}]', "its Layers is not what"),
        ("manifest.json", b'[{"Config": "x"}]', "its Layers is not what"),
        ("manifest.json", b'[{"Config": "x", "Layers": []}]', "it lacks its config x"),
        ("manifest.json", b"\xff", "the manifest.json of the file is no list of images"),
        ("other", b"", "neither an index.json nor"),
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_named(name: str, content: bytes, fault: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedDocument, match=fault):
        read(tmp_path)


def test_indexes_that_name_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    last = "sha256:" + "0" * 64
    for _ in range(6):
        content = canonical_json({"manifests": [{"digest": last}]})
        last = digest(content)
        blob(tmp_path, last).write_bytes(content)
    (tmp_path / "index.json").write_bytes(canonical_json({"manifests": [{"digest": last}]}))
    with pytest.raises(DamagedDocument, match="its indexes name indexes without end"):
        read(tmp_path)
    many = [{"digest": "sha256:" + f"{number:064}"} for number in range(65)]
    (tmp_path / "index.json").write_bytes(canonical_json({"manifests": many}))
    with pytest.raises(DamagedDocument, match="its index names more than 64 images"):
        read(tmp_path)


def test_the_config_counts_the_layers(layout: Path) -> None:
    config = canonical_json({"rootfs": {"diff_ids": []}})
    manifest = {**json.loads(Made().image.manifest)}
    manifest["config"] = {**manifest["config"], "digest": digest(config), "size": len(config)}
    content = canonical_json(manifest)
    for one in (config, content):
        blob(layout, digest(one)).write_bytes(one)
    (layout / "index.json").write_bytes(canonical_json({"manifests": [{"digest": digest(content)}]}))
    with pytest.raises(DamagedDocument, match="it has 3 layers, its config 0"):
        read(layout)


def test_reading_can_be_stopped(layout: Path) -> None:
    def stop() -> None:
        raise Cancelled("stopped")

    with contextlib.closing(FileSource(layout)) as source, pytest.raises(Cancelled):
        read_saved(source, stop)
