"""Proof of a program: it runs in a clean process here, and what it prints is compared with the cell's last run."""

from __future__ import annotations

import sys

from buildr_jupyter.context import folder as context
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import ExportError, OptionError
from buildr_jupyter.export import verify as check
from buildr_jupyter.pipeline.planner import Assembly, CellSource, Source
from buildr_jupyter.process.tempfiles import Scratch

__all__ = ["check_program"]


def check_program(assembly: Assembly, source: Source, interpreter: Interpreter) -> str:
    """Run the exported program with ``interpreter`` and return a sentence: how its output compares.

    Raises ExportError where it fails or prints something else, OptionError where there is no program of a cell.
    """
    if not isinstance(source, CellSource) or assembly.program is None:
        raise OptionError("--check: only a cell's program can be checked", hint="take --check off the line")
    with Scratch() as folder:
        written = context.write_folder(assembly.plan, folder / "context")
        result = check.check(written / "app", source.target.stdout, python=interpreter.executable or sys.executable)
    if result.exit_code or result.same is False:
        last_words = (result.stderr.strip().splitlines() or ["none"])[-1]
        raise ExportError(f"--check: {result.summary()}", hint=f"its last words: {last_words}")
    return f"check: {result.summary()}"
