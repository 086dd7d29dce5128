"""The compressed size of an image is what its manifest in the registry says, or is not known."""

from __future__ import annotations

import gc
import warnings

import pytest

from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.registry.manifest_size import compressed_bytes
from tests.fakes.registry import FakeRegistry

MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "a" * 64, "size": 10},
    "layers": [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + "b" * 64, "size": 200},
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + "c" * 64, "size": 3000},
    ],
}


def test_layers_and_config_together() -> None:
    with FakeRegistry() as registry:
        digest = registry.put("team/app", "1", MANIFEST)
        assert compressed_bytes(ImageRef.parse(f"{registry.host}/team/app:1"), digest, None) == 3210


@pytest.mark.parametrize("size", [None, "10", -1, True, 1 << 63])
def test_a_manifest_that_does_not_say_leaves_it_unknown(size: object) -> None:
    with FakeRegistry() as registry:
        digest = registry.put("app", "1", {**MANIFEST, "config": {**MANIFEST["config"], "size": size}})  # type: ignore[dict-item]
        assert compressed_bytes(ImageRef.parse(f"{registry.host}/app:1"), digest, None) is None


@pytest.mark.parametrize("login", [None, Login("x", "u", "wrong")])
def test_where_the_registry_refuses_it_is_not_known(login: Login | None) -> None:
    with FakeRegistry(auth="basic") as registry:
        digest = registry.put("app", "1", MANIFEST)
        assert compressed_bytes(ImageRef.parse(f"{registry.host}/app:1"), digest, login) is None


def test_where_there_is_no_such_image_it_is_not_known() -> None:
    with FakeRegistry() as registry:
        assert compressed_bytes(ImageRef.parse(f"{registry.host}/app:1"), "sha256:" + "d" * 64, None) is None


def test_its_connection_is_closed() -> None:
    with FakeRegistry() as registry, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        digest = registry.put("app", "1", MANIFEST)
        compressed_bytes(ImageRef.parse(f"{registry.host}/app:1"), digest, None)
        gc.collect()
        assert [str(one.message) for one in said if one.category is ResourceWarning] == []
