"""What others say of an image is used or refused, never half of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from buildr_jupyter.errors import BuildError
from buildr_jupyter.oci.base_image import choose
from buildr_jupyter.registry.client import Manifest
from buildr_jupyter.registry.validate import read_config, read_descriptor, read_engine_image, read_entries

WHOLE: dict[str, Any] = {
    "os": "linux", "architecture": "amd64", "config": {"Env": ["A=b"], "Labels": {"l": "v"}, "ExposedPorts": {"80/tcp": {}}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}, "history": [{"created_by": "x"}], "of-tomorrow": [1],
}  # fmt: skip


@pytest.mark.parametrize("config", [WHOLE, {}, {"config": None, "history": None, "rootfs": None}])
def test_a_config_comes_back_as_it_is(config: dict[str, Any]) -> None:
    assert read_config(json.dumps(config).encode(), "it") == config


@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"os": 7}, "os"), ({"architecture": ["amd64"]}, "architecture"), ({"config": []}, "config"),
        ({"config": {"Env": "A=B"}}, "config.Env"), ({"config": {"Env": [1]}}, "config.Env"),
        ({"config": {"Labels": {"l": 1}}}, "config.Labels"), ({"config": {"ExposedPorts": ["80"]}}, "config.ExposedPorts"),
        ({"rootfs": []}, "rootfs"), ({"rootfs": {"diff_ids": 4}}, "rootfs.diff_ids"), ({"history": [1]}, "history"),
    ],
)  # fmt: skip
def test_a_member_of_another_type_is_named(change: dict[str, Any], member: str) -> None:
    with pytest.raises(BuildError, match=f"it is damaged: its {member} is not"):
        read_config(json.dumps({**WHOLE, **change}).encode(), "it")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"7", b"\xff", b"[" * 100_000, b'{"x": "\\ud800"}', b'{"x": NaN}', b'{"x": 1e999}']
)
def test_what_is_no_json_object_for_everybody(content: bytes) -> None:
    with pytest.raises(BuildError, match="is no JSON object"):
        read_config(content, "it")


@pytest.mark.parametrize(
    "manifests",
    [7, "x", {"a": 1}, [1], [["digest"]], [{}], [{"digest": 1}], [{"digest": "d", "platform": "linux/amd64"}],
     [{"digest": "d", "platform": {"os": 1, "architecture": "amd64"}}], [{"digest": "d", "platform": [1]}]],
)  # fmt: skip
def test_an_index_of_the_wrong_shape(manifests: object) -> None:
    with pytest.raises(BuildError, match="is damaged"):
        read_entries({"manifests": manifests}, "it")
    with pytest.raises(BuildError, match="the index of it is damaged"):
        choose({"manifests": manifests}, "linux/amd64", "it")


@pytest.mark.parametrize(
    "descriptor",
    [None, [], {}, {"digest": "d"}, {"digest": 1, "size": 1}, {"digest": "d", "size": -1}, {"digest": "d", "size": True},
     {"digest": "d", "size": "1"}, {"digest": "d", "size": 1e308}],
)  # fmt: skip
def test_a_descriptor_of_the_wrong_shape(descriptor: object) -> None:
    with pytest.raises(BuildError, match="digest or size"):
        read_descriptor(descriptor, "it")
    manifest = Manifest("sha256:0", "x", json.dumps({"config": descriptor, "layers": [descriptor]}).encode())
    assert manifest.size_bytes is None or descriptor == {"digest": 1, "size": 1}
    assert manifest.config_digest in (None, "d")


def test_a_descriptor() -> None:
    assert read_descriptor({"digest": "d", "size": 0, "urls": []}, "it") == ("d", 0)


ENGINE: dict[str, Any] = {
    "Id": "sha256:0", "RepoTags": ["x:1"], "RepoDigests": None, "Os": "linux", "Size": 7, "RootFS": {"Layers": ["a"]},
    "Config": {"Env": ["A=b"], "Labels": {"l": "v"}, "Entrypoint": ["x"], "User": ""}, "GraphDriver": {},
}  # fmt: skip


def test_what_an_engine_says_comes_back_as_it_is() -> None:
    assert read_engine_image(ENGINE, "it") == ENGINE


@pytest.mark.parametrize(
    "change",
    [{"Id": 7}, {"RepoTags": "x"}, {"RepoTags": [1]}, {"Size": -1}, {"Size": 10**400}, {"RootFS": []}, {"RootFS": {"Layers": 1}},
     {"Config": []}, {"Config": {"Labels": [1]}}, {"Config": {"Env": [None]}}, {"Os": 1}],
)  # fmt: skip
def test_an_engine_that_says_something_else(change: dict[str, Any]) -> None:
    with pytest.raises(BuildError, match="it is damaged"):
        read_engine_image({**ENGINE, **change}, "it")
    with pytest.raises(BuildError, match="it is damaged"):
        read_engine_image([ENGINE], "it")
