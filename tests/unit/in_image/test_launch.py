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
