"""Which statements show their value: held against IPython itself."""

from __future__ import annotations

import ast
import contextlib
import io
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from buildr_jupyter.export.interactivity import DEFAULT, interactivity, shown_statements
from buildr_jupyter.notebook.parse_cache import remember
from tests.unit.export.parts import exported, printed

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


def test_a_cell_that_only_a_newer_python_reads_is_looked_at() -> None:
    text = "type X = int; shell.ast_node_interactivity = 'all'"
    remember({text: ast.parse("X = int; shell.ast_node_interactivity = 'all'")})
    assert interactivity([text]) == "all"


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
    assert exported(folder, folder / "out", SETTINGS[2].format(mode), "x = 3", cell) == 0
    return printed(folder / "out")


@pytest.mark.parametrize(("mode", "cell"), [*product(["all"], CELLS), *product(MODES[1:], CELLS[:6])])
def test_the_program_prints_what_the_kernel_shows(mode: str, cell: str, shell: Any, tmp_path: Path) -> None:
    assert program_prints(tmp_path, cell, mode) == kernel_prints(shell, cell, mode)


def test_an_empty_cell_shows_nothing() -> None:
    assert [shown_statements([], mode) for mode in MODES] == [[]] * 5
    assert shown_statements(ast.parse("x = 1").body, "all") == []
