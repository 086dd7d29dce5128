"""Notebooks and folders that are broken, odd or huge: passed over where they are not needed, named where they are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from buildr_jupyter.errors import CellSyntaxError, FileRefused, UnboundName
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import export
from buildr_jupyter.notebook.cells import CellRun, transform

from .test_program import make, run


@pytest.mark.parametrize(
    "broken", ["x = (", "def f(:\n    pass", "for i in range(3):", "'''unfinished", "a\0b", "x = 1\n\tif"]
)
def test_a_broken_cell_elsewhere_is_passed_over(tmp_path: Path, broken: str) -> None:
    assert run(make(["x = 1", broken, "x"]), tmp_path).stdout == "1\n"
    with pytest.raises(CellSyntaxError, match="cell 1"):
        make(["x = 1", broken])


def test_a_name_that_only_a_broken_cell_gives_is_unbound() -> None:
    with pytest.raises(UnboundName, match=r"cell 1, line 1: nothing supplies the name 'y'"):
        make(["y = (1", "y"])


def test_a_name_of_a_deleted_cell_only_is_unbound_in_a_file_and_a_warning_in_a_kernel(tmp_path: Path) -> None:
    with pytest.raises(UnboundName, match="'gone'"):
        make(["x = 1", "gone"])
    runs = [CellRun("gone = 7", "gone = 7", id="a", stale="deleted"), CellRun("gone", "gone", id="b")]
    program = export(runs, runs[1], ExportOptions(), folder=None, notebook="nb.ipynb", namespace={"gone": 7})
    assert run(program, tmp_path).stdout == "7\n"
    assert "was deleted since it ran" in program.warnings[0].text


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["keep = print\nprint = 5", "print"], "5\n"),
        (["real = print\ndef print(*a):\n    real('own', *a)", "print(1)"], "own 1\n"),
        (["random = [3]", "import statistics\nrandom"], "[3]\n"),
        (["repr = str\nstr = 1", "str"], "1\n"),
        (["globals = locals = eval = 2\nopen = 3", "open + globals"], "5\n"),
        (["sys = os = ast = 4", "sys, os, ast"], "(4, 4, 4)\n"),
    ],
)
def test_names_that_others_need_are_bound(tmp_path: Path, cells: list[str], wanted: str) -> None:
    assert run(make(cells), tmp_path).stdout == wanted


@pytest.mark.parametrize("name", ["a b.txt", "it's.txt", 'say "x".txt', "two\nlines.txt", "é ü.txt", "back\\slash.txt"])
def test_odd_file_names_are_carried(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "nb"
    folder.mkdir()
    (folder / name).write_text("here")
    program = make([f"t = open({name!r}).read()", "t"], folder=folder)
    assert [entry.path for entry in program.files] == [f"app/{name}"]
    assert run(program, tmp_path / "app").stdout == "'here'\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_file_name_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("here")
    (folder / "plain.txt").write_text("here")
    name = os.fsdecode(b"caf\xe9.txt")
    with pytest.raises(FileRefused, match="is not UTF-8"):
        make([f"t = open({name!r}).read()", "t"], folder=folder)
    program = make(["t = open('plain.txt').read()", "t"], folder=folder)
    assert run(program, tmp_path / "app").stdout == "'here'\n"


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    folder.mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "data.csv").write_text("a\n1")
    (folder / "linked").symlink_to(tmp_path / "out")
    with pytest.raises(FileRefused, match="link out of"):
        make(["open('linked/data.csv').read()"], folder=folder)


def _bytes_read() -> int:
    """Return what this process has read until now, from the page cache too (proc(5), ``rchar``)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_a_file_of_5_gb_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "big.bin").open("wb") as stream:
        stream.truncate(5 << 30)
    before = _bytes_read()
    with pytest.raises(FileRefused, match=r"5,368,709,120 bytes, more than 104,857,600") as caught:
        make(["open('big.bin', 'rb').read(1)"], folder=tmp_path)
    assert "--mount" in (caught.value.hint or "")
    assert _bytes_read() - before < 1 << 30
    program = make(["open('big.bin', 'rb').read(1)"], folder=tmp_path, mounts=("/app/big.bin",))
    assert program.files == ()


def test_10_000_cells() -> None:
    cells = [f"v{number} = {number}" for number in range(10_000)]
    program = make([*cells, "v9 + v9999"])
    assert program.carried == 2
    assert program.before == 10_000


def test_a_cell_of_20_mb_is_one_literal_and_stays_so(tmp_path: Path) -> None:
    big = f"text = '{'x' * (20 << 20)}'"
    runs = [CellRun(one, transform(one), index=index) for index, one in enumerate([big, "y = 1", "y"])]
    program = export(runs, runs[2], ExportOptions(), folder=None, notebook="nb.ipynb")
    assert len(program.text) < 10_000
    assert run(program, tmp_path).stdout == "1\n"
    assert run(make([big, "len(text)"]), tmp_path).stdout == f"{20 << 20}\n"


@pytest.mark.parametrize(
    "cell",
    [
        "for name in 'ab':\n    with open(os.devnull, 'w') as file:\n        print(name, file=file)\nprint('end')",
        "if 1:\n    with open(os.devnull) as (one):\n        two = 'end'\n    print(two, end=one.name and '\\n')",
        "for n in [1]:\n    while (m := n) < 1:\n        print(m)\n    if q := m:\n        print('end')",
    ],
)
def test_what_a_branch_binds_for_itself_is_supplied(tmp_path: Path, cell: str) -> None:
    assert run(make(["import os", cell]), tmp_path).stdout == "end\n"
