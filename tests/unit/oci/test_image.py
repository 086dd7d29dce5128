from __future__ import annotations

import hashlib
import json

import pytest

from buildr_jupyter.oci.image import default_platform, digest_of, make_image, make_index, parse_platform
from buildr_jupyter.oci.layer import Layer

LAYERS = [
    Layer("sha256:" + "a" * 64, "sha256:" + "b" * 64, 10, 100),
    Layer("sha256:" + "c" * 64, "sha256:" + "d" * 64, 20, 200),
]


def test_an_image_is_the_digests_of_its_documents() -> None:
    image = make_image({"os": "linux", "architecture": "amd64"}, LAYERS, platform="linux/amd64")
    config, manifest = json.loads(image.config), json.loads(image.manifest)
    assert image.image_id == f"sha256:{hashlib.sha256(image.config).hexdigest()}"
    assert image.digest == digest_of(image.manifest)
    assert manifest["config"]["digest"] == image.image_id
    assert manifest["config"]["size"] == len(image.config)
    assert [layer["digest"] for layer in manifest["layers"]] == [layer.digest for layer in LAYERS]
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in LAYERS]
    assert (image.size_bytes, image.unpacked_bytes) == (30 + len(image.config), 300)
    again = make_image({"architecture": "amd64", "os": "linux"}, LAYERS, platform="linux/amd64")
    assert again == image, "the order of the config's fields says nothing"


def test_a_layer_that_was_never_unpacked_leaves_the_size_open() -> None:
    unknown = Layer("sha256:" + "e" * 64, "sha256:" + "f" * 64, 5, 0)
    image = make_image({}, [*LAYERS, unknown], platform="linux/amd64")
    assert image.unpacked_bytes is None


def test_an_index_names_each_platform() -> None:
    images = [make_image({"architecture": one}, LAYERS, platform=f"linux/{one}") for one in ("amd64", "arm64")]
    index = json.loads(make_index(images))
    assert [one["digest"] for one in index["manifests"]] == [image.digest for image in images]
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("linux/amd64", {"os": "linux", "architecture": "amd64"}),
        ("linux/arm/v7", {"os": "linux", "architecture": "arm", "variant": "v7"}),
    ],
)
def test_a_platform_in_the_words_of_a_manifest(text: str, parts: dict[str, str]) -> None:
    assert parse_platform(text) == parts


@pytest.mark.parametrize(
    ("machine", "platform"), [("x86_64", "linux/amd64"), ("aarch64", "linux/arm64"), ("riscv64", "linux/riscv64")]
)
def test_a_machine_has_its_platform(machine: str, platform: str) -> None:
    assert default_platform(machine) == platform
