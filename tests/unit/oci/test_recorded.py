from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import make_image
from buildr_jupyter.oci.layer import Layer
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.store import DamagedBlob, Store

LAYER = Layer("sha256:" + "a" * 64, "sha256:" + "b" * 64, 10, 100)
BASE = Base("python:3.11-slim", "sha256:" + "c" * 64, "linux/amd64", {"config": {}}, (LAYER,))


def record(store: Store) -> dict[str, Any]:
    image = make_image({"architecture": "amd64", "os": "linux"}, [LAYER], platform="linux/amd64")
    return {
        "name": "app:1",
        "index": False,
        "manifest": store.put(image.manifest),
        "images": [
            {
                "layers": [LAYER.to_json()],
                "config": store.put(image.config),
                "manifest": store.put(image.manifest),
                "platform": image.platform,
                "base": BASE.to_json(),
            }
        ],
    }


def test_what_was_noted_of_an_image_is_the_image(tmp_path: Path) -> None:
    store = Store(tmp_path)
    known = record(store)
    published, bases = image_of(known, store)
    assert bases == [BASE]
    assert [image.layers for image in published.images] == [(LAYER,)]
    assert published.digest == known["manifest"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda known: known.pop("images"),
        lambda known: known["images"][0].pop("layers"),
        lambda known: known["images"][0].update(layers=[1]),
        lambda known: known["images"][0].update(base=None),
        lambda known: known["images"][0].update(config="sha256:" + "0" * 64),
    ],
)
def test_a_damaged_note_is_refused(tmp_path: Path, damage: Any) -> None:
    store = Store(tmp_path)
    known = record(store)
    damage(known)
    with pytest.raises(DamagedBlob):
        image_of(known, store)
