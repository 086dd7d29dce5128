from __future__ import annotations

import ast
import itertools
from pathlib import Path

from buildr_jupyter.export.prologue import MARK, render_preamble

from .parts import exported, printed


def test_every_kind_of_head_is_python_of_at_most_49_lines() -> None:
    names = ("tolerant", "awaits", "figures", "hidden", "captured", "shown")
    for flags in itertools.product((False, True), repeat=len(names)):
        given = dict(zip(names, flags, strict=True))
        for folder, returns in (("", ()), ("notebooks/daily", ("a", "_"))):
            text = render_preamble(title="nb.ipynb, cell 1", own=1, folder=folder, returns=returns, **given)
            assert len(ast.parse(text).body) > 0
            assert text.count("\n") <= 49, given
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


def test_figures_stay_where_the_notebook_has_another_backend(tmp_path: Path) -> None:
    first = "import matplotlib.pyplot as plt\nplt.figure('A')\nplt.plot([1])"
    for number, (head, shown) in enumerate((("", "[]"), ("import matplotlib\nmatplotlib.use('agg')\n", "['A', 'B']"))):
        (folder := tmp_path / str(number)).mkdir()
        cells = (
            head + first,
            "plt.figure('B')",
            "plt.figure('A')",
            "print([one for one in 'AB' if plt.fignum_exists(one)])",
        )
        assert exported(folder, folder / "out", *cells) == 0
        assert printed(folder / "out") == f"{shown}\n"
