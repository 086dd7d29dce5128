"""Temporary files are for this user alone, become whole by a rename, and are swept when nobody holds them any more."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from buildr_jupyter.process.locks import hold
from buildr_jupyter.process.tempfiles import TEMPORARY, Scratch, atomic_write, fresh, sweep, sweep_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes and locks of a POSIX system")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for temporary files of this test's own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_scratch_folder_is_this_users_and_goes(temporary: Path) -> None:
    with Scratch() as folder:
        assert folder.parent == temporary
        assert mode(folder) == 0o700
        (folder / "below").mkdir()
        (folder / "below" / "file").write_text("x")
    assert list(temporary.iterdir()) == []


def test_closing_twice_closes_no_strangers_descriptor(temporary: Path) -> None:
    scratch = Scratch(large=True)
    assert scratch.path.parent == temporary
    scratch.close()
    read_end, write_end = os.pipe()  # takes the numbers that were just given back
    scratch.close()
    os.write(write_end, b"x")
    assert os.read(read_end, 1) == b"x"
    os.close(read_end)
    os.close(write_end)


def test_what_is_whole_is_renamed_and_what_is_not_goes(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("before")
    with pytest.raises(RuntimeError), atomic_write(target) as half:
        half.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "before"
    with atomic_write(target) as half:
        assert half.parent == tmp_path
        half.write_text("whole")
        half.replace(target)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "whole"


@pytest.mark.parametrize(
    ("directory", "shared", "expected"),
    [(False, False, 0o600), (True, False, 0o700), (False, True, 0o640), (True, True, 0o750)],
)
def test_modes(tmp_path: Path, directory: bool, shared: bool, expected: int) -> None:
    before = os.umask(0o027)
    try:
        with fresh(tmp_path, "x-", directory=directory, shared=shared) as made:
            assert mode(made) == expected
            assert made.is_dir() is directory
            assert made.name.startswith("x-")
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []


def test_what_took_the_name_of_one_that_was_renamed_stays(tmp_path: Path) -> None:
    with fresh(tmp_path, "x-") as made:
        made.replace(tmp_path / "kept")
        made.write_text("another's")
    assert made.read_text() == "another's"


def test_where_nothing_can_be_made_it_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), fresh(tmp_path / "gone", "x-"):
        pass


def test_a_sweep_takes_what_nobody_holds(tmp_path: Path) -> None:
    (tmp_path / "x-file").touch()
    (tmp_path / "x-folder" / "below").mkdir(parents=True)
    (tmp_path / "other").touch()
    (tmp_path / "x-link").symlink_to(tmp_path / "other")
    with fresh(tmp_path, "x-") as held:
        sweep_folder(tmp_path, "x-")
        assert {path.name for path in tmp_path.iterdir()} == {"other", "x-link", held.name}
    sweep_folder(tmp_path / "gone", "x-")  # a folder that is not there has nothing to sweep


def test_what_a_killed_process_left_is_swept(temporary: Path) -> None:
    code = "import time; from buildr_jupyter.process.tempfiles import Scratch; print(Scratch().path, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        left = Path(child.stdout.readline().strip())
        sweep()
        assert left.is_dir(), "its process lives"
        child.send_signal(signal.SIGKILL)
    assert left.name.startswith(TEMPORARY)
    sweep()
    assert not left.exists()
    assert list(temporary.iterdir()) == []


def test_half_files_of_killed_processes_go_with_the_next_write(tmp_path: Path) -> None:
    (tmp_path / ".file.half-dead").touch()
    (tmp_path / ".other.half-dead").touch()
    held = tmp_path / ".file.half-alive"
    held.touch()
    handle = hold(held)
    assert handle is not None
    try:
        with atomic_write(tmp_path / "file"):
            names = {path.name for path in tmp_path.iterdir()}
    finally:
        os.close(handle)
    assert ".file.half-dead" not in names
    assert {".other.half-dead", ".file.half-alive"} < names
