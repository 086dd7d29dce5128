"""What others say of an image, checked before anything of it is used: a config, an index, a descriptor. Pure.

Source: OCI image specification 1.1, "Image Configuration", "Image Index", "Content Descriptors"; a member that is not
named there is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeGuard

from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.json_object import JsonObject

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "DamagedDocument",
    "is_size",
    "read_config",
    "read_descriptor",
    "read_engine_image",
    "read_entries",
    "read_image_manifest",
    "read_object",
    "read_saved_list",
]  # fmt: skip

MAX_DOCUMENT_BYTES = 16 << 20
"""No document of an image is larger; what says that it is, is not read."""
_MAX_ENTRIES = 1000
_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_KINDS = {
    "application/vnd.cncf.helm.config.v1+json": "a Helm chart",
    "application/vnd.docker.plugin.v1+json": "a plugin of Docker",
    "application/vnd.wasm.config.v0+json": "a WebAssembly module",
    "application/vnd.wasm.config.v1+json": "a WebAssembly module",
}


class DamagedDocument(BuildError):
    """A document is not what the specification says; ``fault`` is the sentence without what is being done."""

    def __init__(self, fault: str, hint: str = "name another base with --base") -> None:
        super().__init__(f"Image build failed: {fault}", hint=hint)
        self.fault = fault


def read_object(content: bytes, what: str) -> JsonObject:
    """Return a document that is a JSON object which every reader reads alike; ``what`` names it in the error.

    Raises DamagedDocument for anything else, as do all readers here.
    """
    try:
        found = json.loads(content)
        # Half a surrogate, or infinity, is JSON for Python alone.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise DamagedDocument(f"{what} is no JSON object")
    return found


def read_image_manifest(document: JsonObject, name: str) -> tuple[JsonObject, list[JsonObject]]:
    """Return the descriptors of config and layers of an image's manifest, each with media type, digest and size.

    What is no image (a chart, a signature, an attestation, another artifact) is refused by what it is. Source: OCI
    image specification 1.1, "Image Manifest", "Guidelines for Artifact Usage"; Docker's schema 2.
    """
    what = f"the manifest of {name}"
    if document.get("schemaVersion") == 1 or "fsLayers" in document:
        raise DamagedDocument(f"{name} is an image of Docker's first schema, which nothing makes since 2016")
    config, layers = document.get("config"), document.get("layers")
    if not isinstance(config, dict) or not isinstance(layers, list) or not all(isinstance(x, dict) for x in layers):
        kind = document.get("artifactType") or document.get("mediaType")
        raise DamagedDocument(f"{name} is no image{f' but {kind}' if isinstance(kind, str) else ''}")
    for part in (config, *layers):
        read_descriptor(part, what)
        if not isinstance(part.get("mediaType"), str):
            raise _not_so(what, "mediaType")
    artifact = document.get("artifactType")
    kind = config["mediaType"] if config["mediaType"] not in _CONFIGS else artifact
    if isinstance(kind, str) and kind not in _CONFIGS and kind:
        known = _KINDS.get(kind) or _KINDS.get(str(artifact)) or "an artifact"
        shown = artifact if isinstance(artifact, str) and artifact else kind
        raise DamagedDocument(f"{name} is {known} ({shown}), no image")
    if strange := next((x["mediaType"] for x in layers if not _is_layer(x["mediaType"])), None):
        raise DamagedDocument(f"{name} is an artifact, no image: it has a layer of type {strange!r}")
    return config, layers


def _is_layer(media_type: str) -> bool:
    return media_type.startswith(("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."))


def read_saved_list(content: bytes, what: str) -> list[JsonObject]:
    """Return the images of docker's ``manifest.json``, each with Config, Layers and RepoTags: a thousand at most.

    Source: moby ``image/spec/v1.2.md``, "Combined Image JSON + Filesystem Changeset Format".
    """
    try:
        found = json.loads(content)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or len(found) > _MAX_ENTRIES or not all(isinstance(one, dict) for one in found):
        raise DamagedDocument(f"{what} is no list of images")
    for one in found:
        for name, fits in _SAVED.items():
            if not fits(one.get(name)):
                raise _not_so(what, name)
    return found


def read_config(content: bytes, what: str) -> JsonObject:
    """Return a config whose members have the specification's types; ``what`` names it in the error.

    Raises DamagedDocument for one that is no JSON object, or has a member of another type.
    """
    found = read_object(content, what)
    for path, fits in _CONFIG.items():
        if not fits(_member(found, path)):
            raise _not_so(what, path)
    return found


def read_engine_image(document: object, what: str) -> JsonObject:
    """Return what an engine says of an image, its members of the types that are used here.

    Source: Docker Engine API 1.44, "ImageInspect".
    """
    if not isinstance(document, dict) or not isinstance(document.get("Id"), str):
        raise _not_so(what, "Id")
    for path, fits in _ENGINE_IMAGE.items():
        if not fits(_member(document, path)):
            raise _not_so(what, path)
    return document


def read_entries(index: JsonObject, what: str) -> list[JsonObject]:
    """Return the entries of an index, each with a ``digest``, and a ``platform`` or none: a thousand at most."""
    found = index.get("manifests") or []
    if not isinstance(found, list) or len(found) > _MAX_ENTRIES:
        raise _not_so(what, "manifests")
    for entry in found:
        if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
            raise _not_so(what, "manifests")
        known = entry.get("platform")
        if not _is_object(known) or any(not _is_text((known or {}).get(name)) for name in _PLATFORM):
            raise _not_so(what, "platform")
    return found


def read_descriptor(descriptor: object, what: str) -> tuple[str, int]:
    """Return digest and size (bytes) of a descriptor."""
    if isinstance(descriptor, dict):
        digest, size = descriptor.get("digest"), descriptor.get("size")
        if isinstance(digest, str) and is_size(size):
            return digest, size
    raise _not_so(what, "digest or size")


def is_size(value: object) -> TypeGuard[int]:
    """Tell whether a value is a size in bytes: 64 bits with a sign, as the specification says."""
    return type(value) is int and 0 <= value < 1 << 63


def _not_so(what: str, member: str) -> DamagedDocument:
    return DamagedDocument(f"{what} is damaged: its {member} is not what the image specification says")


def _member(document: JsonObject, path: str) -> object:
    """Return what is at a path of names, None where it leads nowhere."""
    value: object = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(one, str) for one in value))


def _is_object(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _are_objects(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(one, dict) for one in value))


def _is_object_of_texts(value: object) -> bool:
    return value is None or (isinstance(value, dict) and all(isinstance(one, str) for one in value.values()))


_ENGINE_IMAGE: dict[str, Callable[[object], bool]] = {
    "RepoTags": _are_texts, "RepoDigests": _are_texts, "Os": _is_text, "Architecture": _is_text,
    "Size": lambda value: value is None or is_size(value), "RootFS": _is_object, "RootFS.Layers": _are_texts,
    "Config": _is_object, "Config.Env": _are_texts, "Config.Labels": _is_object_of_texts,
    "Config.Entrypoint": lambda value: _are_texts(value) or _is_text(value), "Config.User": _is_text,
}  # fmt: skip
_SAVED: dict[str, Callable[[object], bool]] = {
    "Config": lambda value: isinstance(value, str), "RepoTags": _are_texts,
    "Layers": lambda value: value is not None and _are_texts(value),
}  # fmt: skip
_PLATFORM = ("os", "architecture", "variant")
_CONFIG: dict[str, Callable[[object], bool]] = {
    "os": _is_text, "architecture": _is_text, "variant": _is_text, "history": _are_objects,
    "config": _is_object, "config.Env": _are_texts, "config.Labels": _is_object_of_texts,
    "config.Entrypoint": _are_texts, "config.Cmd": _are_texts, "config.User": _is_text, "config.WorkingDir": _is_text,
    "config.ExposedPorts": _is_object, "rootfs": _is_object, "rootfs.diff_ids": _are_texts,
}  # fmt: skip
"""Each member that is used, the outer before the inner; what is not there is left alone, too."""
