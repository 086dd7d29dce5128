from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError

from buildr_jupyter.engine import orphans
from buildr_jupyter.process.locks import LOCK_LABEL, OWNER_LABEL, hold, this_user


class Engine:
    """What is asked of an engine here, kept."""

    def __init__(self, *containers: dict[str, Any], fails: bool = False) -> None:
        self.known, self.fails = containers, fails
        self.removed: list[str] = []

    def containers(self, *, all: bool, filters: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: A002 - docker-py's
        assert all
        assert filters == {"label": [f"{OWNER_LABEL}={this_user()}", LOCK_LABEL]}
        if self.fails:
            raise APIError("no")
        return list(self.known)

    def remove_container(self, container: str, v: bool = False, *, force: bool = False) -> None:
        assert v
        assert force
        self.removed.append(container)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(orphans, "_own", [])
    return tmp_path / "cache" / "buildr"


def container(name: str, lock: Path) -> dict[str, Any]:
    return {"Id": name, "Labels": {LOCK_LABEL: str(lock)}}


def test_containers_of_processes_that_are_gone_are_removed(tmp_path: Path) -> None:
    left, lives = tmp_path / "left", tmp_path / "lives"
    for path in (left, lives):
        path.touch()
    held = hold(lives)
    assert held is not None
    try:
        engine: Any = Engine(container("1", left), container("2", lives), container("3", tmp_path / "gone"))
        orphans.sweep_containers(engine)
        assert engine.removed == ["1", "3"]
    finally:
        os.close(held)


def test_an_engine_that_refuses_stops_nobody() -> None:
    engine: Any = Engine(fails=True)
    orphans.sweep_containers(engine)
    assert engine.removed == []
    odd: Any = Engine({"Id": "1", "Labels": {}})
    orphans.sweep_containers(odd)
    assert odd.removed == []


def test_a_container_of_ours_is_marked_with_a_lock_that_is_held() -> None:
    marks = orphans.labels()
    assert marks[OWNER_LABEL] == this_user()
    lock = Path(marks[LOCK_LABEL])
    assert lock.is_file()
    assert hold(lock) is None, "this process has it"
    assert orphans.labels() == marks
    for _, handle in orphans._own:
        assert handle is not None
        os.close(handle)


def test_a_connection_that_is_not_ours_notes_nothing(cache: Path) -> None:
    engine: Any = Engine()
    orphans.abandon(engine, "abc")
    assert not (cache / "abandoned").exists()
