"""What a kernel ran, as each build is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from buildr_jupyter.notebook import outputs
from buildr_jupyter.notebook.kernel_history import KernelHistory


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    made.history_manager.enabled = False
    yield made
    made.history_manager.end_session()


def test_what_was_displayed_is_a_text_or_a_picture() -> None:
    assert outputs.is_text({"text/plain": "1", "text/html": "<b>1</b>"})
    assert not outputs.is_text({"text/plain": "<Figure>", "image/png": "…"})
    assert not outputs.is_text({"text/plain": "HBox()", "application/vnd.jupyter.widget-view+json": {}})
    assert not outputs.is_text({"text/html": "<b>1</b>"})


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
