"""What becomes of kaniko's container: once it gave what it made, and where its engine is gone."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from requests.exceptions import ConnectionError as NoConnection

from buildr_jupyter.builder.kaniko.executor import Container
from buildr_jupyter.engine.connection import Address
from tests.fakes.engine import FakeEngine


class Gone:
    """A connection whose engine was killed."""

    def __init__(self, host: str) -> None:
        self.buildr_address = Address(host, "DOCKER_HOST")
        self.base_url = host

    def remove_container(self, *_: Any, **__: Any) -> None:
        raise NoConnection("Connection refused")


def test_a_container_whose_engine_is_gone_is_noted_for_the_next_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with FakeEngine() as fake:
        host = fake.host
    room = Container(Gone(host), "executor", files={}, context=(), network=None, labels={})
    with pytest.raises(KeyboardInterrupt), room.opened():
        room._container = "c" * 64
        raise KeyboardInterrupt
    note = tmp_path / "buildr" / "abandoned" / f"{'c' * 64}.json"
    assert json.loads(note.read_text()) == {"address": host, "since": 0.0}


class Removes:
    """A connection to an engine that has what the executor made, and takes its time to remove a container."""

    base_url = "http+docker://localhost"

    def __init__(self) -> None:
        self.asked, self.may = threading.Event(), threading.Event()
        self.removed: list[str] = []

    def get_archive(self, _container: str, _path: str) -> tuple[Any, dict[str, Any]]:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            folder, digest = tarfile.TarInfo("made"), tarfile.TarInfo("made/digest")
            folder.type, digest.size = tarfile.DIRTYPE, 3
            tar.addfile(folder)
            tar.addfile(digest, io.BytesIO(b"sha"))
        return (piece for piece in [made.getvalue()]), {}

    def remove_container(self, container: str, **_: Any) -> None:
        self.asked.set()
        assert self.may.wait(60)
        self.removed.append(container)


def test_a_container_goes_while_the_image_is_on_its_way_and_is_waited_for(tmp_path: Path) -> None:
    engine = Removes()
    room = Container(engine, "executor", files={}, context=(), network=None, labels={})  # type: ignore[arg-type]
    with room.opened() as executor:
        room._container = "c" * 64
        assert executor.fetch(tmp_path / "made")
        assert (tmp_path / "made" / "digest").read_text() == "sha"
        assert engine.asked.wait(60)
        assert not engine.removed
        threading.Timer(0.1, engine.may.set).start()
    assert engine.removed == ["c" * 64], "once"


def test_a_container_that_fails_is_removed_once_and_its_failure_is_told(tmp_path: Path) -> None:
    engine = Removes()
    engine.may.set()
    room = Container(engine, "executor", files={}, context=(), network=None, labels={})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the load"), room.opened() as executor:
        room._container = "c" * 64
        executor.fetch(tmp_path / "made")
        raise ValueError("the load")
    assert engine.removed == ["c" * 64]
