"""What a kernel ran, as each build is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.notebook.kernel_history import KernelHistory
from buildr_jupyter.notebook.observer import Observer


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    made.history_manager.enabled = False
    yield made
    made.history_manager.end_session()


def test_what_did_not_change_is_shared(shell: InteractiveShell) -> None:
    """A thousand builds of a kernel keep a thousand runs, not each its own copy of all."""
    history = KernelHistory(shell)
    history.install()
    for text in ("a = 1", "b = a", "1 / 0"):
        shell.run_cell(text, store_history=True, silent=False)
    first = history.runs()
    shell.run_cell("c = 3", store_history=True)
    second = history.runs()
    assert [run.source for run in second] == ["a = 1", "b = a", "1 / 0", "c = 3"]
    assert [run.status for run in second] == ["ok", "ok", "error", "ok"]
    assert all(one is other for one, other in zip(first[:2], second[:2], strict=True))
    history.deleted.add("x")
    assert history.runs()[0] is first[0]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("history.install()\nx = [1]", "ok"),
        ("# about\n'words'\n\ndef_ = history.install(); x = [1]", "ok"),
        ("history.install()\nx = [1]\n1 / 0", "error"),
        ("x = [1]\nhistory.install()", None),
    ],
)
def test_the_cell_that_installs_it_is_observed_where_it_does_so_first(
    shell: InteractiveShell, cell: str, told: str | None
) -> None:
    shell.user_ns["history"] = history = KernelHistory(shell)
    history.observer = Observer(shell.user_ns, shell.user_ns_hidden)
    shell.run_cell("before = 1", store_history=True)
    shell.run_cell(cell, store_history=True)
    shell.run_cell("y = x", store_history=True)
    before, installed, after = history.runs()
    history.uninstall()
    assert (before.status, installed.status, after.status) == (None, told, "ok")
    assert (installed.source, installed.count) == (cell, 2)
    assert (installed.observed is not None) is (told is not None)
    assert installed.observed is None or "x" in installed.observed.bound
    assert after.observed is not None


def test_a_cell_outside_of_the_history_installs_it_for_the_next(shell: InteractiveShell) -> None:
    shell.user_ns["history"] = history = KernelHistory(shell)
    shell.run_cell("before = 1", store_history=True)
    shell.run_cell("history.install()", store_history=False)
    assert [(run.source, run.status) for run in history.runs()] == [("before = 1", None)]


class _Containerize:
    """A magic that hands its line and body to the history, as the extension's does."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.history = KernelHistory(shell)
        self.history.install()
        self.runs: list[CellRun] = []
        shell.register_magic_function(self, "cell", "containerize")

    def __call__(self, line: str, cell: str) -> None:
        self.history.note_magic(line, cell)
        self.runs = self.history.runs()


def test_what_the_magic_was_given_is_the_header_and_the_body(shell: InteractiveShell) -> None:
    magic = _Containerize(shell)
    shell.run_cell("\n%%containerize --name x\nprint(1)\n\nprint(2)", store_history=True)
    chosen = magic.runs[-1]
    assert (chosen.header, chosen.body) == ("%%containerize --name x", "print(1)\n\nprint(2)")
    assert chosen.source == "\n%%containerize --name x\nprint(1)\n\nprint(2)"
    assert chosen.transformed == "\n\nprint(1)\n\nprint(2)", "lines keep their numbers"


def test_an_alias_of_the_magic_makes_the_same_run(shell: InteractiveShell) -> None:
    magic = _Containerize(shell)
    shell.run_line_magic("alias_magic", "--cell box containerize")
    shell.run_cell("%%box --here -n x\ny = 1\n", store_history=True)
    shell.run_cell("%%box\ny = 2\n", store_history=True)
    first, second = magic.runs
    assert (first.header, first.body, first.transformed) == ("%%containerize --here -n x", "y = 1\n", "\ny = 1\n")
    assert (second.source, second.transformed) == ("%%containerize\ny = 2\n", "\ny = 2\n")
    assert (first.ran_here, second.ran_here) == (True, False)


def test_a_call_of_the_magic_from_code_leaves_the_cell_as_it_is(shell: InteractiveShell) -> None:
    magic = _Containerize(shell)
    text = "x = 1\nget_ipython().run_cell_magic('containerize', '', 'print(x)')"
    shell.run_cell(text, store_history=True)
    assert [(run.source, run.header, run.body) for run in magic.runs] == [(text, None, text)]


@pytest.mark.parametrize(
    ("cell", "status", "line"),
    [
        ("%%capture cap\nrows.append(1)\nprint(2)", "ok", None),
        ("%%capture\n%%capture inner\nrows.append(1)\n", "ok", None),
        ("%%capture\nrows.append(1)\n\n1 / 0\nrows.append(2)", "error", 4),
        ("\n%%capture\nrows.append(1); 1 / 0", "error", 3),
        ("%%capture\nrows.append(1", "error", 1),
    ],
)
def test_the_body_of_a_capture_is_a_part_of_its_cell(
    shell: InteractiveShell, cell: str, status: str, line: int | None
) -> None:
    history = KernelHistory(shell)
    history.observer = Observer(shell.user_ns, shell.user_ns_hidden)
    history.install()
    shell.run_cell("rows = []", store_history=True)
    shell.run_cell(cell, store_history=True)
    shell.run_cell("len(rows)", store_history=True)
    made, captured, after = history.runs()
    history.uninstall()
    assert [run.source for run in (made, captured, after)] == ["rows = []", cell, "len(rows)"]
    assert (captured.status, captured.failed_line, after.status) == (status, line, "ok")
    assert captured.observed is not None
