"""Malformed documents of a registry, changed in every place: each reader ends with one error of buildr's, or with a value."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter import cli
from buildr_jupyter.commands import images
from buildr_jupyter.errors import BuildrError, PublishError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.oci.archive import FileSource
from buildr_jupyter.oci.base_image import from_registry, from_saved
from buildr_jupyter.oci.layer import compressor
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry.client import Registry
from tests.fakes.bases import tar_of
from tests.fakes.registry import FakeRegistry

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG: dict[str, Any] = {
    "architecture": "amd64", "os": "linux",
    "config": {"Env": ["PATH=/bin"], "Labels": {"io.buildr.notebook": "n"}, "Entrypoint": ["x"], "Cmd": ["y"], "User": "1"},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}, "history": [{"created_by": "x"}],
}  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, -1, 7, 10**30, 10**400, 1e308, "", "x", "../../x", "\ud800", "sha256:" + "0" * 64, [], [[]], [1], [None],
    {}, {"digest": 1}, {"a": {"b": []}}, ["x"] * 3,
]  # fmt: skip
GONE = object()


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return None if value is GONE else value
    made = copy.deepcopy(document)
    at = made
    for key in path[:-1]:
        at = at[key]
    if value is GONE:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return made


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def image(fake: FakeRegistry, *, config: Any = CONFIG, change: tuple[str, tuple[Any, ...], Any] | None = None) -> None:
    """Put an index of one image under the tag, one of the documents changed; the digests above it still fit."""

    def made(kind: str, document: Any) -> bytes:
        return encoded(changed(document, *change[1:]) if change and change[0] == kind else document)

    config_bytes = made("config", config)
    fake.blobs[digest_of(config_bytes)] = config_bytes
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest_of(b"l"), "size": 1}
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest_of(config_bytes),
        "size": len(config_bytes),
    }
    manifest = made(
        "manifest", {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": described, "layers": [layer]}
    )
    fake.manifests["x", digest_of(manifest)] = (MANIFEST_TYPE, manifest)
    entry = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    index = made("index", {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]})
    fake.manifests["x", "1"] = (INDEX_TYPE, index)


def skeleton(kind: str) -> Any:
    with FakeRegistry() as fake:
        image(fake)
    index = json.loads(fake.manifests["x", "1"][1])
    manifest = json.loads(fake.manifests["x", index["manifests"][0]["digest"]][1])
    return {"index": index, "manifest": manifest, "config": CONFIG}[kind]


@pytest.fixture
def no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.mark.parametrize("kind", ["index", "manifest", "config"])
def test_every_place_of_every_document(kind: str, no_engine: Path) -> None:
    """inspect and a base's look-up, with one member changed or gone; the unchanged image is the control."""
    chance = random.Random(kind)
    with FakeRegistry() as fake, contextlib.closing(Registry(fake.host)) as registry:
        store = Store(no_engine / "store")
        ref = ImageRef.parse(f"{fake.host}/x:1")
        image(fake)
        (row,) = images.inspect(str(ref), store)
        assert (row["platform"], row["source"]) == ("linux/amd64", "n")
        assert from_registry(registry, ref, "linux/amd64", store).platform == "linux/amd64"
        errors = 0
        for path in places(skeleton(kind)):
            for value in (GONE, *chance.sample(VALUES, 4)):
                image(fake, change=(kind, path, value))
                try:
                    for row in images.inspect(str(ref), store):
                        images.render(row)
                        json.dumps(row)
                except BuildrError:
                    errors += 1
                with contextlib.suppress(BuildrError):
                    from_registry(registry, ref, "linux/amd64", store)
        assert errors > 20


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b'{"manifests": ' + b"[" * 50_000, b"null"]
)
def test_what_is_no_json_object(body: bytes, no_engine: Path) -> None:
    with FakeRegistry() as fake:
        fake.rule = lambda handler: handler.answer(200, body, [("Content-Type", MANIFEST_TYPE)]) is None
        with contextlib.redirect_stderr(io.StringIO()) as err, contextlib.redirect_stdout(io.StringIO()):
            assert cli.main(["inspect", f"{fake.host}/x:1"]) == 1
        assert "Traceback" not in err.getvalue()
        assert fake.host in err.getvalue()


def test_a_size_is_checked_before_anything_is_asked(no_engine: Path) -> None:
    with FakeRegistry() as fake:
        image(fake, change=("manifest", ("config", "size"), 1_500_000_000))
        with pytest.raises(PublishError, match="1,500,000,000 bytes"):
            images.inspect(f"{fake.host}/x:1", Store(no_engine / "store"))
        assert not any("/blobs/" in path for _, path, _ in fake.requests)


def test_indexes_that_name_indexes_for_ever(no_engine: Path) -> None:
    with FakeRegistry() as fake:
        digest = "sha256:" + "0" * 64
        for _ in range(20):
            index = encoded({"mediaType": INDEX_TYPE, "manifests": [{"digest": digest, "size": 1}]})
            digest = digest_of(index)
            fake.manifests["x", digest] = fake.manifests["x", "1"] = (INDEX_TYPE, index)
        with pytest.raises(PublishError, match="without end"):
            images.inspect(f"{fake.host}/x:1", Store(no_engine / "store"))


def artifact(config_type: str, layer_type: str, **more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, **more,
        "config": {"mediaType": config_type, "digest": digest_of(b"{}"), "size": 2},
        "layers": [{"mediaType": layer_type, "digest": digest_of(b"x"), "size": 1}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (artifact("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
         "is a Helm chart (application/vnd.cncf.helm.config.v1+json), no image"),
        (artifact("application/vnd.oci.empty.v1+json", "application/x", artifactType="application/vnd.example.model"),
         "is an artifact (application/vnd.example.model), no image"),
        (artifact("application/vnd.oci.image.config.v1+json", "application/vnd.in-toto+json"),
         "is an artifact, no image: it has a layer of type 'application/vnd.in-toto+json'"),
        (artifact("application/vnd.unknown.config.v1+json", "application/vnd.unknown"),
         "is an artifact (application/vnd.unknown.config.v1+json), no image"),
        ({"schemaVersion": 1, "mediaType": MANIFEST_TYPE, "fsLayers": [], "history": []}, "Docker's first schema"),
        ({"mediaType": MANIFEST_TYPE, "artifactType": "application/vnd.example"}, "is no image but application/vnd.example"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_named(document: dict[str, Any], said: str, no_engine: Path) -> None:
    with FakeRegistry() as fake, contextlib.closing(Registry(fake.host)) as registry:
        fake.blobs[digest_of(b"{}")] = b"{}"
        fake.put("base", "helm", document)
        store = Store(no_engine / "store")
        ref = ImageRef.parse(f"{fake.host}/base:helm")
        with pytest.raises(BuildrError) as caught:
            from_registry(registry, ref, "linux/amd64", store)
        assert f"{fake.host}/base:helm" in str(caught.value)
        assert said in str(caught.value)
        with pytest.raises(PublishError) as caught:
            images.inspect(str(ref), store)
        assert said in str(caught.value)


def test_an_attestation_beside_the_image_is_no_row(no_engine: Path) -> None:
    with FakeRegistry() as fake:
        image(fake)
        attestation = encoded(artifact("application/vnd.oci.image.config.v1+json", "application/vnd.in-toto+json"))
        fake.manifests["x", digest_of(attestation)] = (MANIFEST_TYPE, attestation)
        index = json.loads(fake.manifests["x", "1"][1])
        index["manifests"].append(
            {"digest": digest_of(attestation), "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}}
        )
        fake.manifests["x", "1"] = (INDEX_TYPE, encoded(index))
        assert [row["platform"] for row in images.inspect(f"{fake.host}/x:1", Store(no_engine / "store"))] == [
            "linux/amd64"
        ]


@pytest.mark.parametrize("layers", [[7], [["x"]], [{}], "x", 7, None, ["a\0b"], ["x" * 5000], {"a": 1}])
@pytest.mark.parametrize("folder", [True, False])
def test_an_archive_with_odd_names_of_layers(layers: Any, folder: bool, no_engine: Path) -> None:
    files = {"manifest.json": encoded([{"Config": "c.json", "Layers": layers}]), "c.json": encoded(CONFIG)}
    path = no_engine / "image"
    if folder:
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
    else:
        path.write_bytes(tar_of(files))
    with pytest.raises(BuildrError):
        from_saved(path, "x", "linux/amd64", Store(no_engine / "store"), compressor(), lambda: None)
    with contextlib.closing(FileSource(path)) as source:
        assert source.read("c.json") == encoded(CONFIG)


@pytest.mark.parametrize(
    "record", [{"images": 7}, {"images": [7]}, {"images": [{}]}, {"images": [{"config": []}]}, {"index": 1}]
)
def test_a_damaged_record_of_the_store(record: dict[str, Any], no_engine: Path) -> None:
    store = Store(no_engine / "store")
    store.tag("mine:1", {"manifest": "sha256:" + "0" * 64, **record})
    with pytest.raises(BuildrError, match="damaged"):
        images.inspect("mine:1", store)
    with pytest.raises(BuildrError):
        images.list_images(store)
