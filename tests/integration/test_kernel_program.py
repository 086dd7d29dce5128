"""A real kernel runs cells out of order, again, and edited; the program prints what the kernel prints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.integration.kernels import client_in
from tests.integration.kernels import run_cell as run

INSTALL = """
from buildr_jupyter.notebook.kernel_history import KernelHistory
_history = KernelHistory(get_ipython())
_history.install()
"""
EXPORT = """
from buildr_jupyter.export.program import export as _export, ExportOptions as _Options
from buildr_jupyter.notebook.kernel_history import KernelHistory
_h = globals().get("_history") or KernelHistory(get_ipython())
_runs = [run for run in _h.runs() if "_history" not in run.source and "_Options" not in run.source]
_program = _export(_runs, _runs[-1], _Options(), folder=None, notebook=None, namespace=get_ipython().user_ns)
import pathlib as _pathlib
_pathlib.Path({path!r}).write_text(_program.text)
for _entry in _program.state:
    _place = _pathlib.Path({path!r}).parent / _entry.path.removeprefix("app/")
    _place.parent.mkdir(exist_ok=True)
    with _entry.open() as _stream:
        _place.write_bytes(_stream.read())
"""


@pytest.fixture
def client() -> Iterator[BlockingKernelClient]:
    with client_in(Path(__file__).parents[2]) as made:
        yield made


def program_prints(client: BlockingKernelClient, folder: Path) -> str:
    path = folder / "main.py"
    run(client, EXPORT.format(path=str(path)))
    done = subprocess.run([sys.executable, "main.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("installed", [True, False])
def test_out_of_order_rerun_edited_and_failed(client: BlockingKernelClient, tmp_path: Path, installed: bool) -> None:
    if installed:
        run(client, INSTALL)
    run(client, "rows = [1, 2]")
    run(client, "def scale(x):\n    return x * factor")
    run(client, "factor = 3")
    run(client, "rows.append(factor)")
    run(client, "rows.append(factor)")  # run twice
    run(client, "factor = 5")  # the same cell, edited and run again
    run(client, "rows = rows + [scale(1)]\nrows.remove('x')\nrows = None", fails=True) if installed else None
    wanted = run(client, "print(rows)\n[scale(row) for row in rows]")
    assert program_prints(client, tmp_path) == wanted


def test_deleted_cells_function_is_still_what_ran(client: BlockingKernelClient, tmp_path: Path) -> None:
    run(client, INSTALL)
    run(client, "def f():\n    return 'old'")
    run(client, "keep = f()")
    run(client, "def f():\n    return 'new'")
    wanted = run(client, "keep, f()")
    assert program_prints(client, tmp_path) == wanted == "('old', 'new')\n"


def test_names_of_a_run_that_left_no_history(client: BlockingKernelClient, tmp_path: Path) -> None:
    client.execute_interactive("from fractions import Fraction\nlimit = 3", store_history=False, timeout=60)
    wanted = run(client, "sum([Fraction(1, n) for n in range(1, limit + 1)])")
    assert program_prints(client, tmp_path) == wanted == "Fraction(11, 6)\n"


def test_check_compares_with_what_the_kernel_printed_last(client: BlockingKernelClient, tmp_path: Path) -> None:
    run(client, f"import os; os.chdir({str(tmp_path)!r}); os.environ['DOCKER_HOST'] = 'unix:///nowhere'")
    run(client, "%load_ext buildr_jupyter")
    run(client, "x = 3")
    body = "print(x)\nx + 1"
    said = run(client, f"%%containerize demo --dry-run --check --ui text\n{body}")
    assert "proof: ran, not compared: no run of this cell is known" in said
    assert run(client, body) == "3\n4\n"
    said = run(client, f"%%containerize demo --dry-run --check --ui text\n{body}")
    assert "proof: proven" in said
    run(client, "import random")
    body = "print(random.random())"
    run(client, body)
    code = f"%%containerize demo --dry-run --check --ui text\n{body}"
    reply = client.execute_interactive(code, output_hook=lambda message: None, timeout=60)
    assert "not proven: it is random or depends on the clock" in reply["content"]["evalue"]
