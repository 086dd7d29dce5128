"""What the fuzzer calls: each target takes bytes, and fails where a promise of the parser does not hold."""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from buildr_jupyter import context, reference
from buildr_jupyter.builder import _buildkit_trace, _io
from buildr_jupyter.errors import BuildError, ImageRefError, PublishError
from buildr_jupyter.oci import _http, archive, image
from buildr_jupyter.oci.registry import Manifest
from buildr_jupyter.plan import CustomDockerfile, ImagePlan, canonical_json, one_line

_QUIET = logging.getLogger("buildr_jupyter.fuzz")
_QUIET.setLevel(logging.CRITICAL)


def _documents(pieces: Iterable[bytes]) -> list[Any]:
    return [found for line in _io.iter_lines(pieces) for found in _io.decode_documents(line, _QUIET)]


def stream(data: bytes) -> None:
    """Any cut of an engine's stream gives the same documents."""
    step, data = (data[0] % 37 + 1, data[1:]) if data else (1, b"")
    whole = json.dumps(_documents([data]))
    assert whole == json.dumps(_documents(data[at : at + step] for at in range(0, len(data), step)))


def trace(data: bytes) -> None:
    """A progress record is read, or refused as none: both encodings."""
    with contextlib.suppress(_buildkit_trace.DecodeError):
        _buildkit_trace.decode_status(data)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    with contextlib.suppress(_buildkit_trace.DecodeError):
        _buildkit_trace.decode_json(document)


def image_reference(data: bytes) -> None:
    """A reference is refused, or written as it was read."""
    try:
        found = reference.ImageRef.parse(data.decode("utf-8", "replace"))
    except ImageRefError:
        return
    assert reference.ImageRef.parse(str(found)) == found
    assert re.fullmatch(r"[\x21-\x7e]+", str(found))
    assert not str(found).startswith("-")


def dockerfile(data: bytes) -> None:
    """A value in a Dockerfile of ours is read back as it was; a Dockerfile of one's own comes back with its record."""
    text = data.decode("utf-8", "replace")
    plan = ImagePlan(base="", python="", dockerfile=CustomDockerfile(text, (("A", text),), target=text or None))
    assert ImagePlan.from_json(json.loads(canonical_json(plan.to_json())), Path()) == plan
    label = one_line(text)
    quoted = context.quote_value(label)
    assert re.fullmatch(r'"(?:[^"\\$\r\n]|\\["\\$])*"', quoted)
    assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == label


def registry_answer(data: bytes) -> None:
    """What a registry says is read or refused, whatever it is."""
    answer: Any = SimpleNamespace(_content_consumed=True, content=data, headers={})
    _, said = _http._said(answer)
    assert len(said) <= 202
    manifest = Manifest("sha256:" + "0" * 64, "x", data)
    assert isinstance(manifest.document, dict)
    try:
        image.read_document(data, "x")
        saved: Any = SimpleNamespace(path="x", read=lambda name: data)
        archive.read_archive(saved, lambda index: str(index["manifests"][0]["digest"]))
    except (BuildError, PublishError):
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    "stream": stream,
    "trace": trace,
    "image_reference": image_reference,
    "dockerfile": dockerfile,
    "registry_answer": registry_answer,
}


def _cut_at_pieces(pieces: Iterable[bytes], **_: int) -> Iterator[bytes]:
    for piece in pieces:
        yield from (line for line in piece.split(b"\n") if line.strip())


def plant(name: str) -> None:
    """Put a bug behind a target, of the kind that such parsers have had; the short run must find it."""
    if name == "stream":
        _io.iter_lines = _cut_at_pieces  # type: ignore[assignment]
    elif name == "trace":
        _buildkit_trace._text = lambda value: value.decode() if isinstance(value, bytes) else str(value)
    elif name == "image_reference":
        reference._PATH = re.compile(r"[^:@]*", re.DOTALL)
    elif name == "dockerfile":
        context.quote_value = lambda value: '"' + value.replace('"', '\\"') + '"'
    else:
        _http._NO_DOCUMENT = (ValueError,)
