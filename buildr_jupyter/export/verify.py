"""Proof of a program: run it in a clean process and compare what it prints with what the cell printed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.process.tempfiles import Scratch

__all__ = ["CheckResult", "check"]

_KEPT = ("PATH", "HOME", "LANG")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How the program ran, and whether it printed what the cell printed."""

    exit_code: int
    stdout: str
    stderr: str
    expected: str | None
    """What the last run of the same body printed; None where there is none to compare with."""

    @property
    def same(self) -> bool | None:
        """Whether the output is the same; None where there is nothing to compare with."""
        if self.expected is None:
            return None
        return self.exit_code == 0 and self.stdout.rstrip("\n") == self.expected.rstrip("\n")

    def summary(self) -> str:
        """Return one sentence about the check."""
        if self.same is None:
            ending = "there is no earlier run of this cell to compare with"
            return f"the program ended with status {self.exit_code}; {ending}"
        if self.same:
            return "the program prints what the cell printed"
        if self.exit_code:
            return f"the program ended with status {self.exit_code}"
        return f"the program prints something else: {_first_difference(self.stdout, self.expected or '')}"


def _first_difference(got: str, wanted: str) -> str:
    for number, (now, before) in enumerate(zip(got.splitlines(), wanted.splitlines(), strict=False), 1):
        if now != before:
            return f"line {number} is {now[:80]!r} and was {before[:80]!r}"
    return f"{len(got.splitlines())} lines, not {len(wanted.splitlines())}"


def check(
    folder: Path, expected: str | None, *, python: str | None = None, timeout_s: float | None = None
) -> CheckResult:
    """Run ``main.py`` of the folder ``app`` in a copy of it, with a clean environment; compare with ``expected``.

    Only PATH, HOME and LANG are handed on. ``python`` is the interpreter, this one unless given. Raises
    subprocess.TimeoutExpired after ``timeout_s`` seconds.
    """
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    with Scratch() as place:
        app = place / "app"
        shutil.copytree(folder, app)
        done = subprocess.run(
            [python or sys.executable, "main.py"],
            cwd=app,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    return CheckResult(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), expected
    )
