from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import pytest

from buildr_jupyter.engine.load import load
from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import StepUpdate


class Engine:
    """What is asked of an engine here, kept."""

    base_url, timeout = "http+docker://localhost", 1.0

    def __init__(self, *documents: object) -> None:
        self.documents = documents
        self.loaded = b""
        self.tags: list[tuple[str, str, str | None]] = []
        self.closed = False

    def load_image(self, data: IO[bytes]) -> Iterable[object]:
        self.loaded = data.read()
        return iter(self.documents)

    def tag(self, image: str, repository: str, tag: str | None = None) -> None:
        self.tags.append((image, repository, tag))

    def close(self) -> None:
        self.closed = True


def loaded(path: Path, engine: Any, *refs: str) -> list[str]:
    path.write_bytes(b"archive")
    events = list(load(path, lambda: engine, "sha256:1", map(ImageRef.parse, refs)))
    return [event.status for event in events if isinstance(event, StepUpdate)]


def test_an_archive_is_sent_and_its_image_named(tmp_path: Path) -> None:
    engine = Engine({"stream": "Loaded image"})
    assert loaded(tmp_path / "a.tar", engine, "app:1", "r.example/app:2") == ["running", "done"]
    assert (engine.loaded, engine.closed) == (b"archive", True)
    assert engine.tags == [("sha256:1", "app", "1"), ("sha256:1", "r.example/app", "2")]


@pytest.mark.parametrize("document", [{"error": "no space"}, {"errorDetail": {"message": "no"}, "error": "no space"}])
def test_an_image_that_the_engine_does_not_take_is_an_error(tmp_path: Path, document: object) -> None:
    engine = Engine(document)
    with pytest.raises(BuildError, match="the engine does not take it: no space"):
        loaded(tmp_path / "a.tar", engine, "app:1")
    assert (engine.tags, engine.closed) == ([], True)
