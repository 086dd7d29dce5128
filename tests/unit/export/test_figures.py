"""Figures as a notebook shows them: PNGs in the output folder, closed at show() and at the end of each cell."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from buildr_jupyter.export.prologue import render_preamble

from .test_program import make, run

IMPORT = "import numpy as np, matplotlib.pyplot as plt"
PNG = b"\x89PNG\r\n"


def pngs(app: Path) -> list[str]:
    return sorted(path.name for path in app.glob("output/*") if path.read_bytes().startswith(PNG))


def test_axes_of_an_earlier_cell(tmp_path: Path) -> None:
    cells = [IMPORT, "fig, ax = plt.subplots(figsize=(5, 3))\nax.set_xlabel('a')\nplt.show()", "ax.get_xlabel()"]
    done = run(make(cells), tmp_path)
    assert (done.stdout, done.stderr) == ("'a'\n", "")
    assert pngs(tmp_path) == []  # the other cell's figure is not of the chosen cell


@pytest.mark.parametrize("draw", ["plt.plot([1, 2])", "plt.imshow(np.eye(3))", "plt.subplots(2)"])
def test_figures_of_the_cell_are_kept(tmp_path: Path, draw: str) -> None:
    done = run(make([IMPORT, f"{draw};\nprint(plt.get_fignums())\n{draw};"]), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1]\n", "")
    assert pngs(tmp_path)[0] == "figure-1.png"


@pytest.mark.parametrize("end", ["", ";"])
def test_a_figure_without_axes_is_its_text(tmp_path: Path, end: str) -> None:
    """A kernel makes no picture of one, and shows the text that stands for it behind the value of the cell."""
    done = run(make([IMPORT, "plt.figure()", f"plt.figure(figsize=(2, 1)){end}"]), tmp_path)
    assert (done.stdout, done.stderr) == ("<Figure size 200x100 with 0 Axes>\n" * (1 if end else 2), "")
    assert pngs(tmp_path) == []


def test_figures_are_shown_in_the_order_of_their_use(tmp_path: Path) -> None:
    cell = "plt.figure()\nplt.figure(figsize=(1, 1))\nplt.figure(1)\nprint('before')\nplt.show()\nprint('behind')"
    done = run(make([IMPORT, cell]), tmp_path)
    sizes = ["<Figure size 100x100 with 0 Axes>", "<Figure size 640x480 with 0 Axes>"]
    assert done.stdout.splitlines() == ["before", *sizes, "behind"]


def test_an_empty_figure_of_a_captured_cell_is_not_printed(tmp_path: Path) -> None:
    assert run(make([IMPORT, "%%capture\nplt.figure();"]), tmp_path).stdout == ""


def test_show_closes_and_each_figure_is_kept_once(tmp_path: Path) -> None:
    cell = "plt.plot([1])\nplt.show()\nprint(plt.get_fignums())\nfig = plt.figure()\nfig.add_subplot()\nfig"
    done = run(make([IMPORT, cell]), tmp_path)
    assert done.stdout == "[]\n<Figure size 640x480 with 1 Axes>\n"
    assert pngs(tmp_path) == ["figure-1.png", "figure-2.png"]


def test_an_earlier_cells_figure_is_closed_with_it(tmp_path: Path) -> None:
    cells = [IMPORT, "plt.plot([1, 2])\nax = plt.gca()", "print(plt.get_fignums(), len(ax.lines))"]
    assert run(make(cells), tmp_path).stdout == "[] 1\n"


def test_what_drawing_changes_is_changed_in_other_cells_too(tmp_path: Path) -> None:
    cells = [IMPORT, "fig, ax = plt.subplots(layout='constrained')\nplt.show()", "bool(ax.get_position().x0 == 0.125)"]
    assert run(make(cells), tmp_path).stdout == "False\n"  # the layout is found when it is drawn


@pytest.mark.parametrize("folder", ["blocked/inner", "blocked"])
def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path, folder: str) -> None:
    (tmp_path / "blocked").write_text("a file, so no folder, even for root")
    done = run(make([IMPORT, "plt.plot([1]);\nplt.show()\nprint('on')"]), tmp_path, BUILDR_OUTPUT_DIR=folder)
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert "a figure is not kept" in done.stderr


def test_other_ways_to_pyplot(tmp_path: Path) -> None:
    done = run(make(["from pylab import *", "plot([1]);\nshow()\nlen(get_fignums())"]), tmp_path)
    assert (done.stdout, pngs(tmp_path)) == ("0\n", ["figure-1.png"])


def test_matplotlib_is_not_loaded_for_a_program_that_draws_nothing(tmp_path: Path) -> None:
    done = run(make(["import pandas as pd", "import sys\n'matplotlib' in sys.modules"]), tmp_path)
    assert done.stdout == "False\n"


def test_a_captured_cell_prints_nothing(tmp_path: Path) -> None:
    assert run(make(["x = 3", "%%capture\nprint(x)\nx"]), tmp_path).stdout == ""
    assert run(make(["x = 3", "%%capture --no-stdout\nprint(x)\nx"]), tmp_path).stdout == "3\n"
    assert run(make(["%%capture\nprint(1)\nx = 4", "print(2)\nx"]), tmp_path).stdout == "2\n4\n"


def test_the_preamble_has_at_most_42_lines() -> None:
    for flags in itertools.product((False, True), repeat=6):
        names = ("shown", "tolerant", "awaits", "figures", "hidden", "captured")
        assert render_preamble(title="nb.ipynb, cell 3", **dict(zip(names, flags, strict=True))).count("\n") <= 42
