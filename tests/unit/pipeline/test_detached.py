from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildr_jupyter.errors import BuildError, Cancelled
from buildr_jupyter.events import codec
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.detached import DetachedBuild, places
from buildr_jupyter.process import locks


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "buildr" / "kept").mkdir(parents=True)
    return tmp_path / "buildr" / "kept"


def kept(home: Path, name: str, *values: object, reference: str = "app:1") -> DetachedBuild:
    (home / name).mkdir()
    (home / name / "about.json").write_text(f'{{"reference": "{reference}"}}')
    (home / name / "events.jsonl").write_text("".join(f"{codec.to_line(value)}\n" for value in values))
    return DetachedBuild(home / name)


def test_how_a_build_ended_is_its_last_line(home: Path) -> None:
    done = kept(home, "1-1", LogLine(0, "x"), BuildResult("app:1", image_id="sha256:1"))
    assert (done.reference, done.said()) == ("app:1", "done, sha256:1")
    assert done.end() == BuildResult("app:1", image_id="sha256:1")
    failed = kept(home, "2-1", BuildError("Image build failed: no"))
    assert failed.said() == "failed, Image build failed: no"
    assert kept(home, "3-1", Cancelled("the work was cancelled")).said() == "cancelled"


def test_one_without_an_end_runs_as_long_as_its_lock_is_held(home: Path) -> None:
    place = kept(home, "1-1", LogLine(0, "x"))
    held = locks.hold(place.folder)
    assert held is not None
    assert (place.running(), place.said()) == (True, "running")
    os.close(held)
    assert (place.running(), place.said()) == (False, "its helper was killed")
    (place.folder / "cancel").touch()
    assert (place.cancelled(), place.said()) == (True, "cancelled")


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_folder_that_was_cut_off_is_told_as_far_as_it_goes(home: Path, content: str) -> None:
    place = kept(home, "1-1")
    (place.folder / "about.json").write_text(content)
    (place.folder / "events.jsonl").write_text(content)
    assert (place.reference, place.end(), place.said()) == ("?", None, "its helper was killed")


def test_builds_are_listed_from_the_oldest_and_those_of_last_week_go(home: Path) -> None:
    new, old, running = kept(home, "30-1"), kept(home, "10-1"), kept(home, "20-1")
    (home / "not-ours").mkdir()
    for place in (old, running):
        os.utime(place.folder, (1, 1))
    held = locks.hold(running.folder)
    assert held is not None
    try:
        assert [place.folder.name for place in places()] == ["20-1", "30-1"]
    finally:
        os.close(held)
    assert (old.folder.exists(), new.folder.exists()) == (False, True)
