"""What others say of an image, checked before anything of it is used: a config, an index, a descriptor. Pure.

Source: OCI image specification 1.1, "Image Configuration", "Image Index", "Content Descriptors"; a member that is not
named there is let be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from buildr_jupyter.errors import BuildError

__all__ = ["is_size", "read_config", "read_descriptor", "read_entries"]


def read_config(content: bytes, what: str) -> dict[str, Any]:
    """Return a config whose members have the specification's types; ``what`` names it in the error.

    Raises BuildError for one that is no JSON object, or has a member of another type.
    """
    try:
        found = json.loads(content)
        # Half a surrogate, or infinity, is JSON for Python alone.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BuildError(f"Image build failed: {what} is no JSON object")
    for path, fits in _CONFIG.items():
        if not fits(_member(found, path)):
            raise _not_so(what, path)
    return found


def read_entries(index: Mapping[str, Any], what: str) -> list[dict[str, Any]]:
    """Return the entries of an index, each with a ``digest``, and a ``platform`` or none. Raises BuildError."""
    found = index.get("manifests") or []
    if not isinstance(found, list):
        raise _not_so(what, "manifests")
    for entry in found:
        if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
            raise _not_so(what, "manifests")
        known = entry.get("platform")
        if not _is_object(known) or any(not _is_text((known or {}).get(name)) for name in _PLATFORM):
            raise _not_so(what, "platform")
    return found


def read_descriptor(descriptor: Any, what: str) -> tuple[str, int]:
    """Return digest and size (bytes) of a descriptor. Raises BuildError."""
    if isinstance(descriptor, dict):
        digest, size = descriptor.get("digest"), descriptor.get("size")
        if isinstance(digest, str) and is_size(size):
            return digest, size
    raise _not_so(what, "digest or size")


def is_size(value: object) -> TypeGuard[int]:
    """Tell whether a value is a size in bytes."""
    return type(value) is int and value >= 0


def _not_so(what: str, member: str) -> BuildError:
    return BuildError(
        f"Image build failed: {what} is damaged: its {member} is not what the image specification says",
        hint="name another base with --base",
    )


def _member(document: dict[str, Any], path: str) -> Any:
    """Return what is at a path of names, None where it leads nowhere."""
    value: Any = document
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


_PLATFORM = ("os", "architecture", "variant")
_CONFIG: dict[str, Callable[[object], bool]] = {
    "os": _is_text, "architecture": _is_text, "variant": _is_text, "history": _are_objects,
    "config": _is_object, "config.Env": _are_texts, "config.Labels": _is_object_of_texts,
    "config.ExposedPorts": _is_object, "rootfs": _is_object, "rootfs.diff_ids": _are_texts,
}  # fmt: skip
"""Each member that is used, the outer before the inner; what is not there is let be, too."""
