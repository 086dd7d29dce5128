"""Which statements show their value: held against IPython itself."""

from __future__ import annotations

import ast
import contextlib
import io
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from buildr_jupyter import cli
from buildr_jupyter.export.interactivity import DEFAULT, interactivity, shown_statements

SETTINGS = [
    "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.ast_node_interactivity = '{}'",
    "get_ipython().ast_node_interactivity = '{}'",
    "%config InteractiveShell.ast_node_interactivity = '{}'",
    '%config ZMQInteractiveShell.ast_node_interactivity="{}"',
]
MODES = ["all", "last", "last_expr", "last_expr_or_assign", "none"]
CELLS = [
    "x\nx + 1",
    "x\ny = x + 2",
    "x\ny = z = x",
    "y: int = x",
    "x\nx += 5",
    "for i in range(2):\n    i",
    "x\nif x:\n    x + 7",
    "x; x + 1",
    "x\nx + 1;",
    "def f():\n    return 8\nf()",
    "@staticmethod\ndef f():\n    return 8\nx",
    "'''text'''\nx",
    "x\nimport math",
]


@pytest.fixture(scope="module")
def shell() -> Any:
    made = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    made.user_ns["x"] = 3
    return made


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("mode", MODES)
def test_the_setting_is_read_however_it_is_made(setting: str, mode: str, shell: Any) -> None:
    cells = ["print(1)", setting.format("all"), f"# {setting.format('none')}".split("\n")[0], setting.format(mode)]
    assert interactivity(shell.transform_cell(cell) for cell in cells) == mode


@pytest.mark.parametrize("text", ["x = 'ast_node_interactivity'", "a.ast_node_interactivity = other", "x = 1"])
def test_what_sets_nothing_leaves_it(text: str) -> None:
    assert interactivity([text]) == DEFAULT


def kernel_prints(shell: Any, cell: str, mode: str) -> str:
    shell.ast_node_interactivity = mode
    shell.display_formatter.formatters["text/plain"].pprint = False
    text = io.StringIO()
    hooked = shell.displayhook.write_output_prompt
    shell.displayhook.write_output_prompt = lambda: None
    try:
        with contextlib.redirect_stdout(text):
            shell.run_cell(cell, store_history=True)  # where it looks for the semicolon
    finally:
        shell.displayhook.write_output_prompt = hooked
        shell.user_ns["x"] = 3
    return text.getvalue()


def program_prints(folder: Path, cell: str, mode: str) -> str:
    cells = [SETTINGS[2].format(mode), "x = 3", cell]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    nbformat.write(notebook, folder / "nb.ipynb")
    assert cli.main(["export", str(folder / "nb.ipynb"), "--cell", "2", "--out", str(folder / "out")]) == 0
    app = folder / "out" / "app"
    return subprocess.run([sys.executable, "main.py"], cwd=app, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(("mode", "cell"), [*product(["all"], CELLS), *product(MODES[1:], CELLS[:6])])
def test_the_program_prints_what_the_kernel_shows(mode: str, cell: str, shell: Any, tmp_path: Path) -> None:
    assert program_prints(tmp_path, cell, mode) == kernel_prints(shell, cell, mode)


def test_an_empty_cell_shows_nothing() -> None:
    assert [shown_statements([], mode) for mode in MODES] == [[]] * 5
    assert shown_statements(ast.parse("x = 1").body, "all") == []
