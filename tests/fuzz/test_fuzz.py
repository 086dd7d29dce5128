"""A short run of each target finds nothing, and finds a planted bug."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

pytest.importorskip("atheris", reason="atheris is there for Linux on x86_64")

RUNS = {"notebook_file": 600}
"""Executions, where an execution takes longer than the others'."""


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[subprocess.Popen[str]]:
    # Linux hands a process's greatest size on to what it executes: without a shell between, pytest's own counts as
    # the fuzzer's, and its limit of memory is passed before it begins.
    with subprocess.Popen(
        ["/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-m", "tests.fuzz", "serve"],
        cwd=Path(__file__).parents[2], env={**os.environ}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        yield process
        assert process.stdin
        process.stdin.close()


def run(fuzzer: subprocess.Popen[str], folder: Path, target: str, *arguments: str) -> tuple[int, str]:
    """Fuzz a target; return the exit status and what it wrote."""
    assert fuzzer.stdin
    assert fuzzer.stdout
    print(json.dumps([str(folder), target, *arguments]), file=fuzzer.stdin, flush=True)
    status = int(fuzzer.stdout.readline())
    return status, (folder / "stdout").read_text(errors="replace") + (folder / "stderr").read_text(errors="replace")


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target: str, tmp_path: Path, fuzzer: subprocess.Popen[str]) -> None:
    status, said = run(fuzzer, tmp_path, target, "--runs", str(RUNS.get(target, 2000)))
    assert status == 0, said[-3000:]
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    assert int(executed[1]) == RUNS.get(target, 2000)


@pytest.mark.parametrize("target", TARGETS)
def test_a_planted_bug_is_found(target: str, tmp_path: Path, fuzzer: subprocess.Popen[str]) -> None:
    status, said = run(fuzzer, tmp_path, target, "--seconds", "30", "--plant")
    assert status != 0
    assert "Uncaught Python exception" in said
