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

from buildr_jupyter.builder.buildkit import proto
from buildr_jupyter.config import notebook_line
from buildr_jupyter.config import options as option
from buildr_jupyter.context import dockerfile as context_dockerfile
from buildr_jupyter.context.base_images import base_locations, base_names
from buildr_jupyter.engine import json_stream
from buildr_jupyter.errors import BuildError, ExportError, ImageRefError, NotebookError, OptionError, PublishError
from buildr_jupyter.export import options, pip_lines, program
from buildr_jupyter.model import image_ref
from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan, canonical_json, one_line
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.notebook import cells as source
from buildr_jupyter.oci import archive, base_image, image
from buildr_jupyter.registry import answers
from buildr_jupyter.registry.client import Manifest

_QUIET = logging.getLogger("buildr_jupyter.fuzz")
_QUIET.setLevel(logging.CRITICAL)


def _documents(pieces: Iterable[bytes]) -> list[Any]:
    return [found for line in json_stream.iter_lines(pieces) for found in json_stream.decode_documents(line, _QUIET)]


def stream(data: bytes) -> None:
    """Any cut of an engine's stream gives the same documents."""
    step, data = (data[0] % 37 + 1, data[1:]) if data else (1, b"")
    whole = json.dumps(_documents([data]))
    assert whole == json.dumps(_documents(data[at : at + step] for at in range(0, len(data), step)))


def trace(data: bytes) -> None:
    """A progress record is read, or refused as none: both encodings."""
    with contextlib.suppress(proto.DecodeError):
        proto.decode_status(data)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    with contextlib.suppress(proto.DecodeError):
        proto.decode_json(document)


def image_reference(data: bytes) -> None:
    """A reference is refused, or written as it was read."""
    try:
        found = image_ref.ImageRef.parse(data.decode("utf-8", "replace"))
    except ImageRefError:
        return
    assert image_ref.ImageRef.parse(str(found)) == found
    assert re.fullmatch(r"[\x21-\x7e]+", str(found))
    assert not str(found).startswith("-")


def dockerfile(data: bytes) -> None:
    """A Dockerfile of one's own is read for its bases and comes back with its record; a value in one that buildr wrote is whole."""
    text = data.decode("utf-8", "replace")
    folder: Any = _Folder(text)
    request = BuildRequest(folder, (), build_args={"A": "b"})
    names = list(base_names(request))
    assert len(set(names)) == len(names)
    assert not any(re.search(r"\s", name) for name in names)
    assert all(host and "/" not in host for host in base_locations(request))
    plan = ImagePlan(base="", python="", dockerfile=CustomDockerfile(text, (("A", text),), target=text or None))
    assert ImagePlan.from_json(json.loads(canonical_json(plan.to_json())), Path()) == plan
    label = one_line(text)
    quoted = context_dockerfile.quote_value(label)
    assert re.fullmatch(r'"(?:[^"\\$\r\n]|\\["\\$])*"', quoted)
    assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == label


class _Folder:
    """A context whose every file has this text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __truediv__(self, name: str) -> _Folder:
        return self

    def read_text(self, **_: str) -> str:
        return self._text


def registry_answer(data: bytes) -> None:
    """What a registry says is read or refused, whatever it is: an error, a manifest, an index, a base's config."""
    answer: Any = SimpleNamespace(_content_consumed=True, content=data, headers={})
    said = answers._read(answer, 1.0).words
    assert len(said) <= 202
    manifest = Manifest("sha256:" + "0" * 64, "x", data)
    assert isinstance(manifest.document, dict)
    assert manifest.config_digest is None or isinstance(manifest.config_digest, str)
    assert manifest.size_bytes is None or manifest.size_bytes >= 0
    with contextlib.suppress(BuildError, PublishError):
        saved: Any = SimpleNamespace(path="x", read=lambda name: data)
        archive.read_archive(saved, lambda index: base_image.choose(index, "linux/amd64", "x"))
    with contextlib.suppress(BuildError, PublishError):
        found = base_image.from_registry(_Answering(data), _REF, "linux/amd64", _Held(data))  # type: ignore[arg-type]
        titles = ["" for _ in found.layers]
        made = image.image_config(
            _PLAN, found.config, titles, platform="linux/amd64", created="", own_count=0, base_name="b"
        )
        canonical_json(image.make_image(made, found.layers, platform="linux/amd64").descriptor())
        base_image.find_python(found, _Held(data), _no_layer, "3.11")  # type: ignore[arg-type]


_REF = image_ref.ImageRef.parse("reg.example/base:1")
_PLAN = ImagePlan(base="b", python="3.11")


class _Answering:
    """A registry that answers each question with the same bytes."""

    host = "reg.example"

    def __init__(self, data: bytes) -> None:
        self._data = data

    def manifest(self, repository: str, name: str) -> Manifest:
        assert isinstance(name, str)
        return Manifest("sha256:" + "0" * 64, "x", self._data)


class _Held:
    """A store that has every blob, and no record."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def has(self, digest: str, size: int | None = None) -> bool:
        assert isinstance(digest, str)
        return True

    def read(self, digest: str) -> bytes:
        return self._data

    def record(self, key: object) -> None:
        canonical_json(key)

    def note(self, key: object, value: object) -> None:
        canonical_json([key, value])


def _no_layer(layer: Any) -> Path:
    raise BuildError("no layer is read here")


def notebook_file(data: bytes) -> None:
    """A notebook file is read and its chosen cell exported, or refused with a reason; nothing of it runs."""
    try:
        found = source.parse_notebook(data, Path("nb.ipynb"))
        index = source.select_cells(found, None)[0]
        runs = source.runs_up_to(found, index)
        program.export(runs, runs[-1], options.ExportOptions(), folder=None, notebook="nb.ipynb")
    except (NotebookError, ExportError):
        return


def command_line(data: bytes) -> None:
    """The line of a cell is split, parsed and held against the rules, or refused; so are shell lines of pip."""
    text = data.decode("utf-8", "replace")
    pip_lines.read_shell(text)
    try:
        said = vars(option.make_line_parser().parse_args(option.split_line(text)))
    except OptionError:
        return
    kept, _ = notebook_line.allowed_part(said, ("python",))
    assert not {"publish", "run", "builder", "check", "mount", "context", "output"} & set(kept)
    with contextlib.suppress(OptionError):
        for one in option.make_options(kept, base_folder=Path("/nowhere")).requirements:
            assert not one.lstrip().startswith("-")
            assert "${" not in one


TARGETS: dict[str, Callable[[bytes], None]] = {
    "stream": stream,
    "trace": trace,
    "image_reference": image_reference,
    "dockerfile": dockerfile,
    "registry_answer": registry_answer,
    "notebook_file": notebook_file,
    "command_line": command_line,
}


def _cut_at_pieces(pieces: Iterable[bytes], **_: int) -> Iterator[bytes]:
    for piece in pieces:
        yield from (line for line in piece.split(b"\n") if line.strip())


def plant(name: str) -> None:
    """Put a bug behind a target, of the kind that such parsers have had; the short run must find it."""
    if name == "stream":
        json_stream.iter_lines = _cut_at_pieces  # type: ignore[assignment]
    elif name == "trace":
        proto._text = lambda value: value.decode() if isinstance(value, bytes) else str(value)
    elif name == "image_reference":
        image_ref._PATH = re.compile(r"[^:@]*", re.DOTALL)
    elif name == "dockerfile":
        context_dockerfile.quote_value = lambda value: '"' + value.replace('"', '\\"') + '"'
    elif name == "notebook_file":
        source._mapping = lambda value: value or {}
    elif name == "command_line":
        notebook_line.RULES["mount"] = notebook_line.RULES["tag"]  # type: ignore[index]
    else:
        answers.NO_DOCUMENT = (ValueError,)
