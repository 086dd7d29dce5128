"""Cells that people write and that were exported wrong once: the program prints what the notebook prints."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from buildr_jupyter import cli

CASES = Path(__file__).parents[2] / "data" / "cases"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_the_program_prints_what_the_notebook_prints(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CASES / case, tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    notebook, _, cell = (CASES / case / "cell.txt").read_text().split()
    assert cli.main(["export", notebook, "--cell", cell, "--out", str(tmp_path / "out")]) == 0
    ran = subprocess.run(
        [sys.executable, "main.py"],
        cwd=tmp_path / "out" / "app",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout.strip() == (CASES / case / "expected.txt").read_text().strip(), ran.stderr
