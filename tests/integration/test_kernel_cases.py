"""Cells that people write and whose text does not tell what they need: in a kernel that ran them, their program does.

A case is a folder as in ``tests/data/cases``. ``loaded.txt`` names the distributions that a library loads by itself when
the cell runs: the cell runs before it is exported, and they are required because they were seen.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.kernels import kernel_in

CASES = Path(__file__).parents[1] / "data" / "kernel_cases"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_the_program_of_a_cell_that_a_kernel_knows(case: str, tmp_path: Path) -> None:
    shutil.copytree(CASES / case, tmp_path / "case")
    notebook, _, cell = (CASES / case / "cell.txt").read_text().split()
    path = tmp_path / "case" / notebook
    *before, body = [
        "".join(one["source"])
        for one in json.loads(path.read_text())["cells"][: int(cell) + 1]
        if one["cell_type"] == "code"
    ]
    loaded = CASES / case / "loaded.txt"
    with kernel_in(path.parent) as kernel:
        for source in (*before, body) if loaded.exists() else before:
            kernel.run(source)
        made = kernel.export(body, tmp_path / "out")
    assert made.stdout.strip() == (CASES / case / "expected.txt").read_text().strip(), made.stderr
    for name in loaded.read_text().split() if loaded.exists() else ():
        assert "as observed: loaded by" in made.requirements[name]
