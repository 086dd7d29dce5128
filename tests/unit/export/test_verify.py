"""Proof of a program: a run behind a barrier, and what it comes to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildr_jupyter.dependencies.environment import Installed, Interpreter
from buildr_jupyter.dependencies.planned_site import PlannedSite, find_planned
from buildr_jupyter.export.verify import Subject, Trial, first_difference, judge, run_trial, same_text
from buildr_jupyter.model.plan import Requirement
from buildr_jupyter.process import confine

CURRENT = Interpreter.current()

needs_barrier = pytest.mark.skipif(confine.missing() is not None, reason=str(confine.missing()))


def run(folder: Path, code: str, *requirements: str, **subject: object) -> Trial:
    app = folder / "app"
    app.mkdir(exist_ok=True)
    (app / "main.py").write_text(code)
    site = (
        find_planned([Requirement(text) for text in requirements], Installed(CURRENT))
        if requirements
        else PlannedSite()
    )
    tried = run_trial(Subject(app, site, CURRENT, **subject))  # type: ignore[arg-type]
    assert isinstance(tried, Trial), tried
    return tried


@needs_barrier
def test_the_program_runs_as_in_its_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_TEST_CANARY", "here")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    code = """
import os, sys, time
print(os.path.basename(os.getcwd()), os.listdir(os.environ["HOME"]), time.tzname[0], os.environ.get("BUILDR_TEST_CANARY"))
print(os.environ["A"], os.environ["BUILDR_IN_CONTAINER"], sys.argv, os.path.isdir(os.environ["BUILDR_OUTPUT_DIR"]))
open("made.txt", "w").write("x")
import tempfile; tempfile.TemporaryFile().write(b"x")
"""
    tried = run(tmp_path, code, environment=(("A", "1"),))
    assert tried.stdout == "app [] UTC None\n1 1 ['main.py'] True\n", tried.stderr
    assert sorted(os.listdir(tmp_path / "app")) == ["main.py"], "it ran in a copy"


@needs_barrier
def test_only_planned_distributions_are_there(tmp_path: Path) -> None:
    code = "import packaging; print('packaging')\nimport nbformat"
    tried = run(tmp_path, code, "packaging")
    assert (tried.stdout, tried.exit_code) == ("packaging\n", 1)
    assert tried.last_words == "ModuleNotFoundError: No module named 'nbformat'"
    assert "nbformat" in tried.module


@needs_barrier
def test_what_it_asked_for_is_told(tmp_path: Path) -> None:
    tried = run(
        tmp_path,
        "import socket\ntry: open('data/x.csv')\nexcept OSError: pass\nsocket.create_connection(('127.0.0.1', 1))",
    )
    assert (tried.missing, "127.0.0.1:1" in tried.network) == (("data/x.csv",), True)
    assert str(judge(tried, "1\n", 10)) == "not proven: it reached outside: the network (127.0.0.1:1)"
    tried = run(tmp_path, "print(open('/etc/passwd').read())")
    assert str(judge(tried, None, 10)) == "not proven: it reached outside: /etc/passwd"


@needs_barrier
def test_a_run_that_takes_too_long(tmp_path: Path) -> None:
    tried = run(tmp_path, "while True: pass", timeout_s=0.5)
    assert str(judge(tried, "1\n", 0.5)) == "not proven: it took longer than 0.5 s (--check-time)"


@pytest.mark.parametrize(
    ("trial", "expected", "said"),
    [
        (Trial(0, "1\n", ""), "1\n", "proven"),
        (Trial(0, "1", ""), "1\n", "proven"),
        (Trial(0, "<f at 0x7f00>\n", ""), "<f at 0x7fff>\n", "proven"),
        (Trial(0, "1\n", ""), None, "ran, not compared: no run of this cell is known"),
        (Trial(0, "1\n2\n", ""), "1\n3\n", "differs: line 2 is '2' and was '3'"),
        (Trial(1, "1\n", "x\nNameError: no"), "1\n", "differs: it ended with status 1: NameError: no"),
        (Trial(1, "", "x\nNameError: no"), None, "not proven: it ended with status 1: NameError: no"),
        (Trial(-9, "", "", "memory"), "1\n", "not proven: it used more memory than it may"),
        (Trial(0, "1\n", "", network=("a socket",)), "1\n", "proven"),
        (Trial(0, "1\n", "", network=("h:80",)), "2\n", "not proven: it reached outside: the network (h:80)"),
    ],
)
def test_what_a_run_comes_to(trial: Trial, expected: str | None, said: str) -> None:
    assert str(judge(trial, expected, 10)) == said


def test_where_two_outputs_part() -> None:
    assert first_difference("a\n", "a\nb\n") == "it printed 1 lines, and the cell printed 2"
    assert not same_text(" a\n", "a\n")
