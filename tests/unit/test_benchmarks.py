"""``python -m tests.benchmarks``: which of them it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import main, names

ROOT = Path(__file__).parents[2]


def test_without_names_all_run() -> None:
    ran: list[str] = []
    assert main([], lambda name: ran.append(name) or 0) == 0  # type: ignore[func-returns-value]
    assert ran == names()
    assert {"oci", "sweep", "builders", "cluster"} <= set(ran)


def test_those_that_are_named_run_in_their_order() -> None:
    ran: list[str] = []
    assert main(["sweep", "oci", "sweep"], lambda name: ran.append(name) or 0) == 0  # type: ignore[func-returns-value]
    assert ran == ["sweep", "oci"]


def test_an_unknown_name_is_refused_before_any_runs(capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []
    assert main(["oci", "ocl"], lambda name: ran.append(name) or 0) == 2  # type: ignore[func-returns-value]
    assert not ran
    said = capsys.readouterr().err
    assert "no such benchmark: ocl;" in said
    assert all(name in said for name in names())


def test_a_broken_bound_is_told_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oci", "load"], lambda name: int(name == "load")) == 1
    assert "bounds broken in: load" in capsys.readouterr().out


def test_the_command_refuses_an_unknown_name() -> None:
    asked = [sys.executable, "-m", "tests.benchmarks", "nothing"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no such benchmark: nothing" in done.stderr


def test_make_gives_the_names_on() -> None:
    asked = ["make", "--dry-run", "bench", "ONLY=oci sweep"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m tests.benchmarks oci sweep" in done.stdout
