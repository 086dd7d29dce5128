"""Notebooks of the repository, executed in a kernel of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["NOTEBOOKS", "ON_THE_CLUSTER", "run_notebook"]

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ON_THE_CLUSTER = "10-kubernetes.ipynb"
"""The one that asks for a cluster; the others ask for an engine or for nothing."""


def run_notebook(name: str, environment: Mapping[str, str]) -> None:
    """Have nbval execute one and compare the outputs of the cells that ask for it; fails with what it printed."""
    command = [
        sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", "-c", os.devnull,
        "--nbval-cell-timeout=600", name,
    ]  # fmt: skip
    env = {key: value for key, value in environment.items() if key != "PYTEST_CURRENT_TEST"}
    ran = subprocess.run(command, cwd=NOTEBOOKS, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert " failed" not in ran.stdout
