"""Recorded image: what an image layout or archive says of itself."""

from __future__ import annotations

from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import Image, Published
from buildr_jupyter.oci.layer import Layer
from buildr_jupyter.oci.store import DamagedBlob, Store

__all__ = ["image_of"]


def image_of(known: JsonObject, store: Store) -> tuple[Published, list[Base]]:
    """Return what the store noted of an image; raises DamagedBlob where part of it is damaged or gone."""
    images, found = [], []
    try:
        for one in known["images"]:
            layers = tuple(Layer.from_json(layer) for layer in one["layers"])
            images.append(Image(store.read(one["config"]), store.read(one["manifest"]), layers, one["platform"]))
            base = Base.from_json(one["base"])
            if base is None:
                raise KeyError("base")
            found.append(base)
        return Published(tuple(images), store.read(known["manifest"]) if known["index"] else None), found
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedBlob(
            f"Image build failed: the store's record of {known.get('name')} is damaged", hint="build it again"
        ) from error
