"""Files and packages of runs that were observed: which are carried, and what is said."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from buildr_jupyter.export.observed_use import star_names
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import Program, export
from buildr_jupyter.notebook.cells import CellRun, transform
from buildr_jupyter.notebook.observed import ImportedModule, Observed, OpenedFile


def make(cells: list[tuple[str, Observed | None]], folder: Path, *, root: Path | None = None) -> Program:
    runs = [
        CellRun(source, transform(source), index=index, status="ok", observed=observed)
        for index, (source, observed) in enumerate(cells)
    ]
    namespace: dict[str, object] = {}
    options = ExportOptions(root=root)
    return export(runs, runs[-1], options, folder=folder, notebook="nb.ipynb", namespace=namespace)


def opened(*files: OpenedFile) -> Observed:
    return Observed(opened=files)


def paths(program: Program) -> list[str]:
    return [entry.path for entry in program.files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project" / "notebooks"
    (made / "data").mkdir(parents=True)
    for name in ("data/a.txt", "data/b.txt", "data/.env", "own.ipynb", "../shared.txt", "../../far.txt"):
        (made / name).write_text(name)
    return made


def test_files_of_carried_statements_by_line(folder: Path) -> None:
    seen = opened(
        OpenedFile(str(folder / "data/a.txt"), reads=True, line=1),
        OpenedFile(str(folder / "data/b.txt"), reads=True, line=2),
        OpenedFile(str(folder / "own.ipynb"), reads=True, line=1),
        OpenedFile(str(folder / "data/.env"), reads=True, line=1),
        OpenedFile(str(folder / "gone.txt"), reads=True, line=1),
    )
    program = make([("x = 1\ny = 2", seen), ("x", None)], folder)
    assert paths(program) == ["app/data/a.txt"]
    assert program.files[0].why == "read by nb.ipynb, cell 0, line 1, as observed"


def test_a_folder_that_was_listed(folder: Path) -> None:
    listed = opened(OpenedFile(str(folder / "data"), reads=True, listed=True, line=1))
    assert paths(make([("x = 1", listed), ("x", None)], folder)) == ["app/data/a.txt", "app/data/b.txt"]
    own = opened(OpenedFile(str(folder), reads=True, listed=True, line=1))
    assert paths(make([("x = 1", own), ("x", None)], folder)) == []


def test_what_the_program_makes_itself_is_not_carried(folder: Path) -> None:
    wrote = opened(OpenedFile(str(folder / "data/a.txt"), reads=False, writes=True, line=1))
    read = opened(OpenedFile(str(folder / "data/a.txt"), reads=True, line=1))
    assert paths(make([("x = 1", wrote), ("y = x", read), ("y", None)], folder)) == []
    # Not carried, the cell that writes: the file is needed as it is.
    assert paths(make([("z = 1", wrote), ("y = 2", read), ("y", None)], folder)) == ["app/data/a.txt"]


def test_a_file_of_the_project_keeps_its_place(folder: Path) -> None:
    seen = opened(OpenedFile(str(folder.parent / "shared.txt"), reads=True, line=1))
    program = make([("x = 1", seen), ("x", None)], folder, root=folder.parent)
    assert paths(program) == ["app/shared.txt"]
    assert program.tree is not None
    assert program.tree.inside == "notebooks"


def test_a_file_outside_of_the_project_is_said(folder: Path) -> None:
    far = folder.parent.parent / "far.txt"
    seen = opened(OpenedFile(str(far), reads=True, line=1), OpenedFile("/usr/share/zoneinfo/UTC", reads=True, line=1))
    program = make([("x = 1", seen), ("x", None)], folder, root=folder.parent)
    assert paths(program) == []
    (warning,) = program.warnings
    assert f"read {far}, which lies outside of the project" in warning.text
    assert f"--include {far}" in str(warning.hint)


def test_a_file_outside_that_the_program_makes_is_not_said(folder: Path) -> None:
    far = str(folder.parent.parent / "far.txt")
    wrote = opened(OpenedFile(far, reads=False, writes=True, line=1))
    read, neither = opened(OpenedFile(far, reads=True, line=1)), opened()
    # The run that wrote it was another one of the same text: a temporary file has another name in each.
    assert not make([("x = 1", wrote), ("x = 1", neither), ("x", read), ("x", None)], folder).warnings
    # The statement that wrote it is not carried.
    assert make([("x = 1", neither), ("y = 1", wrote), ("x", read), ("x", None)], folder).warnings


def test_the_chosen_cell_takes_what_its_last_run_opened(folder: Path) -> None:
    body = "print(x)"
    seen = opened(OpenedFile(str(folder / "data/a.txt"), reads=True, line=1))
    assert paths(make([("x = 1", None), (body, seen), (body, None)], folder)) == ["app/data/a.txt"]


def loaded(*modules: tuple[str, str]) -> Observed:
    return Observed(imported=tuple(ImportedModule(module, importer, 1) for module, importer in modules))


def test_packages_that_packages_loaded(folder: Path) -> None:
    seen = loaded(("lxml", "pandas.io"), ("inner", "lxml.etree"), ("other", "stranger"), ("plug", "__main__"))
    cells = [("import pandas as pd", None), ("z = pd", seen), ("pd", None)]
    found = {use.module: use for use in make(cells, folder).imports}
    assert set(found) == {"pandas", "lxml", "inner"}
    assert found["lxml"].optional
    assert found["lxml"].origin == "nb.ipynb, cell 1, line 1, as observed: loaded by pandas"
    # What the cell itself loaded by name counts where the cell is carried.
    cells = [("import pandas as pd", None), ("z = pd", seen), ("z", None)]
    assert "plug" in {use.module for use in make(cells, folder).imports}


def test_what_draws_into_the_notebook_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    seen = loaded(("matplotlib_inline", "matplotlib"), ("cycler", "matplotlib"))
    program = make([("import matplotlib", seen), ("matplotlib", None)], folder)
    assert [use.module for use in program.imports] == ["matplotlib", "cycler"]


def test_connections_are_said(folder: Path) -> None:
    program = make([("x = 1", Observed(sockets=("example.org",))), ("x", None)], folder)
    assert [warning.text for warning in program.warnings] == [
        "nb.ipynb, cell 0 connected to example.org: the program does so again"
    ]


def test_cells_that_nobody_looked_at_are_said_once_some_were(folder: Path) -> None:
    cells = [("x = 1", None), ("y = x", Observed()), ("y", None)]
    assert "ran unobserved" in make(cells, folder).warnings[0].text
    assert make([(source, None) for source, _ in cells], folder).warnings == ()


def test_names_of_star_imports() -> None:
    assert "sqrt" in star_names(ast.parse("from math import *").body)
    assert not star_names(ast.parse("import math\nfrom nowhere_at_all import x").body)


@pytest.mark.parametrize(("cell", "told"), [("np.random.rand()", True), ("np.arange(3)", False)])
def test_a_file_that_measured_a_draw_is_told_of_where_the_chosen_cell_draws(cell: str, told: bool) -> None:
    cells = ["import numpy as np\nnp.random.seed(1)", "%timeit -n 1 -r 1 np.random.rand(3)", cell]
    runs = [CellRun(source, transform(source), index=index) for index, source in enumerate(cells)]
    program = export(runs, runs[-1], ExportOptions(), folder=None, notebook="nb.ipynb")
    assert any("%timeit runs what may change the state of numpy" in one.text for one in program.warnings) == told
