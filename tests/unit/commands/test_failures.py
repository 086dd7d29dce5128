"""The command line where the system refuses something: one sentence, a status, and no traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildr_jupyter import cli
from buildr_jupyter.commands import failures
from buildr_jupyter.errors import BuildrError, NotebookError

CELL = (
    '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "id": "a", "metadata": {}, '
    '"source": "%%containerize app\\nprint(1)", "outputs": [], "execution_count": 1}]}'
)
BUILDR = f"{sys.executable} -m buildr_jupyter"


def shell(folder: Path, line: str, **environ: str) -> tuple[int, str, str]:
    """Run a line of shell, ``buildr`` in it for our command; return status, standard output and error."""
    script = line.replace("buildr ", f"{BUILDR} ")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    env |= {"DOCKER_HOST": f"unix://{folder}/none.sock", "XDG_CACHE_HOME": f"{folder}/cache"}
    env |= {"BUILDR_STORE": f"{folder}/store", "PYTHONPATH": str(Path(__file__).parents[3])} | environ
    done = subprocess.run(["/bin/sh", "-c", script], cwd=folder, env=env, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("buildr doctor >&-", "standard output cannot be written: Bad file descriptor"),
        ("buildr doctor >/dev/full", "standard output cannot be written: No space left on device"),
        ("buildr doctor --json >/dev/full", "standard output cannot be written: No space left on device"),
        ("buildr --version >/dev/full", "standard output cannot be written: No space left on device"),
        ("mkdir gone && cd gone && rmdir ../gone && buildr export nb.ipynb --out x", "there is no such file"),
        (
            "mkdir gone && cd gone && rmdir ../gone && buildr export $OLDPWD/nb.ipynb --out x",
            "the working directory does not exist any more",
        ),
        ("buildr login reg.example </dev/null", "there is nobody here to ask for the login of reg.example"),
        ("buildr login reg.example -u me </dev/null", "there is nobody here to ask for the login of reg.example"),
        ("DOCKER_HOST=tcp://127.0.0.1:99999 buildr images", "'tcp://127.0.0.1:99999' is not the address of an engine"),
        ("DOCKER_HOST='tcp://[::1' buildr images", "is not the address of an engine"),
        ("DOCKER_HOST=tcp://h: buildr images", "is not the address of an engine"),
        ("mkfifo pipe.ipynb && buildr export pipe.ipynb --out x", "is no regular file"),
        (r"cp nb.ipynb $(printf 'b\377d.ipynb') && buildr build *d.ipynb --builder docker", "no engine at"),
    ],
)
def test_it_ends_in_a_sentence(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "nb.ipynb").write_text(CELL)
    status, _, err = shell(tmp_path, line)
    assert said in err
    assert status in (1, 2)
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert "error of buildr itself" not in err


def test_a_home_that_does_not_exist_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "nb.ipynb").write_text(CELL)
    home = {"HOME": str(tmp_path / "no" / "home")}
    assert shell(tmp_path, "buildr doctor", **home)[0] == 0
    status, _, err = shell(tmp_path, "buildr build nb.ipynb --base kernel", **home)
    assert status == 0, err


def test_a_file_system_without_locks_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "nb.ipynb").write_text(CELL)
    (tmp_path / "sitecustomize.py").write_text(
        "import errno, fcntl\ndef flock(handle, operation): raise OSError(errno.ENOLCK, 'No locks available')\n"
        "fcntl.flock = flock\n"
    )
    control = subprocess.run(
        [sys.executable, "-c", "import fcntl; fcntl.flock(0, fcntl.LOCK_EX)"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "No locks available" in control.stderr
    path = f"{tmp_path}{os.pathsep}{Path(__file__).parents[3]}"
    status, _, err = shell(tmp_path, "buildr build nb.ipynb --base kernel", PYTHONPATH=path)
    assert status == 0, err
    assert shell(tmp_path, "buildr cache show", PYTHONPATH=path)[0] == 0


def test_what_is_none_of_our_errors_becomes_one() -> None:
    said = NotebookError("mine")
    assert failures.explain(said) is said
    assert str(failures.explain(OSError(13, "Permission denied", "/x"))) == "the system refused '/x': Permission denied"
    assert str(failures.explain(MemoryError())) == "there is not enough memory for this"
    found = failures.explain(KeyError("x"))
    assert type(found) is BuildrError
    assert str(found) == "an error of buildr itself: KeyError: 'x'"


def test_a_debug_run_shows_where(tmp_path: Path) -> None:
    (tmp_path / "nb.ipynb").write_text(CELL)
    line = "mkdir gone && cd gone && rmdir ../gone && BUILDR_DEBUG=1 buildr export $OLDPWD/nb.ipynb --out x"
    assert "Traceback" in shell(tmp_path, line)[2]


@pytest.mark.parametrize("errors", ["", "2>&1"])
@pytest.mark.parametrize(
    "command",
    [
        "build nb.ipynb --builder oci --no-cache --base kernel",
        "build nb.ipynb --builder oci --base kernel --json",
        "build nb.ipynb --dry-run",
        "doctor",
        "completion bash",
        "nonsense",
    ],
)
def test_a_reader_that_leaves_ends_the_command_as_it_ends_other_tools(
    command: str, errors: str, tmp_path: Path
) -> None:
    (tmp_path / "nb.ipynb").write_text(CELL)
    line = f"{{ buildr {command} {errors}; echo $? >&3; }} 3>status | {sys.executable} -c 'import os; os.close(0)'"
    status, out, err = shell(tmp_path, line)
    ended = int((tmp_path / "status").read_text())
    assert (status, out) == (0, "")
    assert ended == (2 if command == "nonsense" and not errors else 141)
    assert "Traceback" not in err
    assert "Broken pipe" not in err
    kept = [path for path in (tmp_path / "store" / "half").glob("*") if path.name != ".mark"]
    assert not kept, "nothing half-made is left"
    assert not list((tmp_path / "cache").rglob("*.half")), "nothing half-made is left"


def test_a_connection_that_breaks_is_no_reader_that_leaves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> int:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setitem(cli._COMMANDS, "doctor", broken)
    assert cli.main(["doctor"]) == 1
    assert "the system refused: Broken pipe" in capsys.readouterr().err
