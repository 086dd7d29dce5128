"""A short run of each target finds nothing, and finds a planted bug."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

pytest.importorskip("atheris", reason="atheris is there for Linux on x86_64")


def run(folder: Path, target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Linux hands a process's greatest size on to what it executes: without a shell between, pytest's own counts as
    # the fuzzer's, and its limit of memory is passed before it begins.
    return subprocess.run(
        ["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-m", "tests.fuzz", target, *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(folder)},  # the fuzzer leaves without tidying up
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    done = run(tmp_path, target, "--seconds", "3")
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)[1]) > 500


@pytest.mark.parametrize("target", TARGETS)
def test_a_planted_bug_is_found(target: str, tmp_path: Path) -> None:
    done = run(tmp_path, target, "--seconds", "30", "--plant")
    assert done.returncode != 0
    assert "Uncaught Python exception" in done.stdout + done.stderr
