from __future__ import annotations

import ast
import itertools

from buildr_jupyter.export.prologue import MARK, render_preamble


def test_every_kind_of_head_is_python_of_at_most_48_lines() -> None:
    names = ("tolerant", "awaits", "figures", "hidden", "captured", "shown")
    for flags in itertools.product((False, True), repeat=len(names)):
        given = dict(zip(names, flags, strict=True))
        for folder, returns in (("", ()), ("notebooks/daily", ("a", "_"))):
            text = render_preamble(title="nb.ipynb, cell 1", own=1, folder=folder, returns=returns, **given)
            assert len(ast.parse(text).body) > 0
            assert text.count("\n") <= 48, given
            assert text.startswith("# Made by buildr: nb.ipynb, cell 1.")


def test_what_a_program_does_not_need_is_not_in_its_head() -> None:
    plain = render_preamble(title="t", own=1, shown=False)
    for word in ("asyncio", "matplotlib", "chdir", "_buildr_returns", "__doc__"):
        assert word not in plain
    assert '"single"' not in plain
    assert MARK in plain
    assert "asyncio" in render_preamble(title="t", own=1, shown=False, awaits=True)
    assert "matplotlib" in render_preamble(title="t", own=1, shown=False, figures=True)
    assert "__doc__" in render_preamble(title="t", own=1, shown=False, documented=True)
    assert "'daily'" in render_preamble(title="t", own=1, shown=False, folder="daily")
    assert "('a',)" in render_preamble(title="t", own=1, shown=False, returns=("a",))
    assert '"single"' in render_preamble(title="t", own=1, shown=True)


def test_another_mark_divides_the_blocks() -> None:
    assert "# %%% " in render_preamble(title="t", own=1, shown=False, mark="# %%% ")
