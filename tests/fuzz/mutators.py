"""How the fuzzer changes an input that is JSON: as JSON, so that what is behind the parser is reached.

Bytes changed at random are hardly ever JSON; a registry that means harm sends nothing else.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["JSON_TARGETS", "change_json"]

_RAW = 0.2
"""So often an input is changed as bytes all the same."""
_NAMES = (
    "schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform", "architecture", "os",
    "variant", "annotations", "rootfs", "diff_ids", "history", "created", "created_by", "empty_layer", "Env", "Labels",
    "User", "WorkingDir", "Config", "Layers", "RepoTags", "urls", "errors", "code", "message", "detail", "token",
    "stream", "error", "errorDetail", "aux", "ID", "status", "id", "progressDetail", "current", "total",
    "cells", "cell_type", "source", "outputs", "metadata", "tags", "execution_count", "kernelspec", "language_info",
    "output_type", "text", "traceback", "nbformat", "vertexes", "statuses", "logs", "warnings", "vertex", "name", "inputs", "started", "completed", "cached", "data",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 0.5, 1e308, "", "x", "\x00", "\n", "\x1b[2J", "\u202e", "\ud800",
    "..", "../../etc/passwd", "/etc/passwd", "-rf", "sha256:", "sha256:" + "0" * 64, "sha256:" + "G" * 64, "sha512:0",
    "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json", "linux", "amd64", "arm64",
    "linux/arm64/v8", "2024-01-01T00:00:00Z", "eA==", [], {}, [[]], [None], {"": ""}, [{}],
)  # fmt: skip


def change_json(data: bytes, limit: int, seed: int) -> bytes:
    """Return another input of at most ``limit`` bytes, the same for the same seed: a mutator for atheris."""
    chance = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = {chance.choice(_NAMES): _value(chance)}
    if chance.random() < _RAW:
        return _change_bytes(data, chance)[:limit]
    root = [document]
    for _ in range(chance.randint(1, 3)):
        _change(root, chance)
    written = json.dumps(root[0], ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return written if len(written) <= limit else data[:limit]


def _value(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(_VALUES))  # what is put in may be changed later


def _change_bytes(data: bytes, chance: random.Random) -> bytes:
    at, end = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    piece = data[at:end]
    put = (b"", piece + piece, chance.randbytes(4), b"\x00", b"\xff", b'"', b"{", b"[" * 99, b"\n", b"9" * 400)
    return data[:at] + chance.choice(put) + data[end:]


def _change(root: list[Any], chance: random.Random) -> None:
    """Change one place of the document: another value, one taken from elsewhere, a name more or less, a list around."""
    places = list(_places(root))
    container, key = chance.choice(places)
    how = chance.randrange(6)
    if how == 0:
        container[key] = _value(chance)
    elif how == 1:
        source, name = chance.choice(places)
        container[key] = copy.deepcopy(source[name])
    elif how == 2 and container is not root:
        del container[key]
    elif how == 3:
        container[key] = [container[key], _value(chance)]
    elif isinstance(container[key], dict):
        container[key][chance.choice(_NAMES)] = _value(chance)
    elif isinstance(container[key], list):
        container[key].append(_value(chance))
    else:
        container[key] = {chance.choice(_NAMES): container[key]}


def _places(container: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place of a document as its container and the key in it."""
    keys = list(container) if isinstance(container, dict) else range(len(container))
    for key in keys:
        yield container, key
        if isinstance(container[key], (dict, list)):
            yield from _places(container[key])


JSON_TARGETS = {"notebook_file", "registry_answer", "stream", "trace"}
"""The targets whose inputs are JSON."""
