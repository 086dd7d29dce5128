"""The start of a program in a copy of its folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildr_jupyter.in_image import collector, launch


@pytest.mark.parametrize(
    ("path", "there"), [("/app", "/w"), ("/app/a/output", "/w/a/output"), ("/apple", "/apple"), ("/x", "/x")]
)
def test_a_path_moves_with_its_folder(path: str, there: str) -> None:
    assert launch.moved(path, "/app", "/w") == there


def test_the_program_has_a_copy_of_its_own(tmp_path: Path) -> None:
    source, target = tmp_path / "app", tmp_path / "copy"
    source.mkdir()
    (source / "main.py").write_text(
        "import os, sys; open('x', 'w'); print(os.getcwd(), os.environ['BUILDR_OUTPUT_DIR']); sys.exit(3)"
    )
    environ = {key: value for key, value in os.environ.items() if key != launch.OUTPUT}
    done = subprocess.run(
        [sys.executable, "-c", Path(launch.__file__).read_text(), source, target, sys.executable, "main.py"],
        capture_output=True, text=True, check=False, env=environ,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.split() == [str(target), str(target / "output")]
    assert [path.name for path in source.iterdir()] == ["main.py"]


def test_a_copy_has_contents_modes_times_and_links(tmp_path: Path) -> None:
    source, target = tmp_path / "app", tmp_path / "copy"
    (source / "deep" / "empty").mkdir(parents=True)
    (source / "main.py").write_bytes(b"x" * ((1 << 20) + 1))
    (source / "deep" / "run").write_text("#!/bin/sh\n")
    (source / "deep" / "run").chmod(0o750)
    (source / "link").symlink_to("main.py")
    (source / "nowhere").symlink_to("/nowhere/at all")
    (source / "folder").symlink_to("deep")
    for path in (source / "main.py", source / "deep" / "run", source / "deep", source):
        os.utime(path, ns=(1_500_000_000_123_456_789, 1_500_000_000_987_654_321))
    (source / "deep").chmod(0o710)
    launch.copy(str(source), str(target))
    assert told(target) == told(source)
    assert (target / "main.py").read_bytes() == (source / "main.py").read_bytes()
    os.mkfifo(source / "pipe")
    with pytest.raises(OSError, match="pipe is no file"):
        launch.copy(str(source), str(tmp_path / "other"))


def told(folder: Path) -> dict[str, object]:
    """Return what is in a folder, by relative path: modes, times and sizes, or where a link leads."""
    found: dict[str, object] = {}
    for path in (folder, *folder.rglob("*")):
        about = path.lstat()
        name = str(path.relative_to(folder))
        found[name] = os.readlink(path) if path.is_symlink() else (about.st_mode, about.st_mtime_ns, path.is_dir())
    return found


def test_the_lock_is_held_until_the_end_whatever_the_program_becomes(tmp_path: Path) -> None:
    source, target = tmp_path / "app", tmp_path / "copy"
    source.mkdir()
    (source / "main.py").write_text(
        "import os, sys\nif len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, 'main.py', 'again'])\n"
        "print('up', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", Path(launch.__file__).read_text(), source, target, sys.executable, "main.py"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert not collector.is_free(f"{target}.lock")
        process.kill()
    assert collector.is_free(f"{target}.lock")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "copy", "copy.lock"]
