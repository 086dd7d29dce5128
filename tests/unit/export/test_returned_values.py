"""Programs with ``--return``: what they write, when, and names that a run gave back to the kernel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import Program, export
from buildr_jupyter.in_image.returns import EXTENSIONS, read_value
from buildr_jupyter.notebook.cells import CellRun, transform
from tests.unit.export.test_program import make, run


def returned(program: Program, app: Path, *args: str) -> dict[str, object]:
    done = run(program, app, *args)
    assert done.returncode == 0, done.stderr
    place = app / "output" / ".buildr" / "returns"
    entries = json.loads((place / "manifest.json").read_text())["returns"]
    return {
        one["name"]: read_value(str(place / f"{one['name']}.{EXTENSIONS[one['format']]}"), one["format"])
        for one in entries
    }


def test_names_of_the_cell_and_of_cells_before(tmp_path: Path) -> None:
    program = make(["n = 2\nrows = [n]\nrows.append(3)\nunused = 5", "x = n * 2\nprint(x)"], returns=("x", "rows"))
    assert returned(program, tmp_path) == {"x": 4, "rows": [2, 3]}
    assert "unused" not in program.text
    assert run(program, tmp_path).stdout == "4\n"
    assert [one.name for one in program.interface.returns] == ["x", "rows"]


@pytest.mark.parametrize(
    ("cell", "value", "printed"),
    [
        ("1 + 1", 2, "2\n"), ("x = 3\nx * 2", 6, "6\n"), ("x = 3\nx;", 3, ""), ("None", None, ""),
        ("(1,\n 2)  # it", (1, 2), "(1, 2)\n"), ("*[1], 2", (1, 2), "(1, 2)\n"), ("(y := 4)", 4, "4\n"),
        ("import asyncio\nasync def f():\n    return 7\nawait f()", 7, "7\n"), ("x = 1; x + 1", 2, "2\n"),
        ("5 if True else\\\n 6", 5, "5\n"), ("'a' # b", "a", "'a'\n"),
    ],
)  # fmt: skip
def test_the_last_value(cell: str, value: object, printed: str, tmp_path: Path) -> None:
    program = make([cell], returns=("_",))
    assert returned(program, tmp_path) == {"_": value}
    assert run(program, tmp_path).stdout == printed


def test_an_exit_with_status_0_gives_values_and_another_does_not(tmp_path: Path) -> None:
    program = make(["import sys\nstatus = 0", "x = 3\nsys.exit(status)"], returns=("x",), params=(("status", None),))
    assert returned(program, tmp_path) == {"x": 3}
    for status in ("1", "5"):
        done = run(program, tmp_path / status, "--status", status)
        assert done.returncode == int(status)
        assert not list((tmp_path / status).glob("output/.buildr/returns/*"))


def test_a_value_that_cannot_be_given_back_ends_with_status_1(tmp_path: Path) -> None:
    done = run(make(["x = (i for i in 'ab')"], returns=("x",)), tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("buildr: --return x (generator) cannot be given back: ")


def test_a_class_of_the_notebook(tmp_path: Path) -> None:
    program = make(["class P:\n    def __init__(self): self.a = 1", "p = P()"], returns=("p",))
    assert run(program, tmp_path).returncode == 0
    assert b"__main__" in (tmp_path / "output" / ".buildr" / "returns" / "p.pickle").read_bytes()


def test_what_cannot_be_returned_is_said_before_the_build() -> None:
    with pytest.raises(OptionError, match="--return y: nothing in the program gives y a value"):
        make(["x = 1"], returns=("y",))
    with pytest.raises(OptionError, match="--return _: nb.ipynb, cell 0 does not end in an expression"):
        make(["x = 1"], returns=("_",))


def test_a_chosen_output_folder_and_a_program_that_moves(tmp_path: Path) -> None:
    program = make(["import os\nos.mkdir('deep'); os.chdir('deep'); open = None\nx = 1"], returns=("x",))
    assert returned(program, tmp_path) == {"x": 1}


def test_a_name_that_a_run_gave_back_comes_as_a_value_and_not_as_older_code(tmp_path: Path) -> None:
    sources = ["model = None", "%%containerize --run --return model\nmodel = [1]", "print(model)"]
    runs = [CellRun(one, transform(one), index=number, status="ok") for number, one in enumerate(sources)]
    runs[1] = CellRun(sources[1], transform(sources[1]), index=1, status="ok", returned=("model",))
    program = export(runs, runs[-1], ExportOptions(), folder=None, notebook="nb.ipynb", namespace={"model": [1]})
    (note,) = [one for one in program.names if one.name == "model"]
    assert (note.kind, note.origin, note.why) == (
        "snapshot", "nb.ipynb, cell 1, line 1", "the run of that cell gave it back",
    )  # fmt: skip
    assert run(program, tmp_path).stdout == "[1]\n"
