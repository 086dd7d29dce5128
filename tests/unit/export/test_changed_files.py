"""Files that are other ones than the cells had: what they gave comes as a value, and what cannot is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import Program, export
from buildr_jupyter.notebook.cells import CellRun, transform
from buildr_jupyter.notebook.observed import Observed, OpenedFile, Stamp

Cell = tuple[str, Observed | None]
_BEFORE = (3, 1_000)
"""The stamp of a file that changed since."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data.txt", "helper.py"):
        (tmp_path / name).write_text("")
    return tmp_path


def make(folder: Path, *cells: Cell, namespace: dict[str, object]) -> Program:
    runs = [
        CellRun(source, transform(source), index=index, status="ok", observed=observed)
        for index, (source, observed) in enumerate(cells)
    ]
    return export(runs, runs[-1], ExportOptions(), folder=folder, notebook="nb.ipynb", namespace=namespace)


def now(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def read(path: Path, stamp: Stamp | None, line: int = 1) -> Observed:
    return Observed(opened=(OpenedFile(str(path), reads=True, line=line, stamp=stamp),))


def names(program: Program) -> dict[str, tuple[str, str]]:
    return {note.name: (note.kind, note.why) for note in program.names}


def warnings(program: Program) -> list[str]:
    return [warning.text for warning in program.warnings]


def test_what_was_read_before_a_file_changed_comes_as_a_value(folder: Path) -> None:
    source = "text = open('data.txt').read()\nother = 1"
    stale = make(folder, (source, read(folder / "data.txt", _BEFORE)), ("text, other", None), namespace={"text": "a"})
    assert names(stale)["text"] == ("literal", "data.txt changed after its cell ran")
    assert names(stale)["other"][0] == "code"
    same = make(
        folder,
        (source, read(folder / "data.txt", now(folder / "data.txt"))),
        ("text", None),
        namespace={"text": "a"},
    )
    assert names(same)["text"][0] == "code"
    assert warnings(stale) == warnings(same) == []


def test_a_file_that_is_gone_is_another_one(folder: Path) -> None:
    source = "text = open('gone.txt').read()"
    made = make(folder, (source, read(folder / "gone.txt", _BEFORE)), ("text", None), namespace={"text": "a"})
    assert names(made)["text"][0] == "literal"


def test_a_value_that_cannot_be_carried_is_told(folder: Path) -> None:
    source = "lines = (line for line in open('data.txt'))"
    value = (line for line in "ab")
    made = make(folder, (source, read(folder / "data.txt", _BEFORE)), ("next(lines)", None), namespace={"lines": value})
    assert names(made)["lines"][0] == "code"
    assert any(text.startswith("lines: data.txt changed after its cell ran, and its value") for text in warnings(made))
    assert "nb.ipynb, cell 0, line 1 used data.txt, which changed since: the program has it as it is now" in warnings(
        made
    )


def test_a_file_that_the_program_makes_is_made_again(folder: Path) -> None:
    path = folder / "data.txt"
    wrote = Observed(opened=(OpenedFile(str(path), reads=False, writes=True, line=1, stamp=_BEFORE),))
    made = make(
        folder,
        ("open('data.txt', 'w').write('a')", wrote),
        ("text = open('data.txt').read()", read(path, (1, 2_000))),
        ("text", None),
        namespace={"text": "a"},
    )
    assert names(made)["text"][0] == "code"
    assert "write('a')" in made.text
    assert warnings(made) == []


def test_what_changed_a_file_in_place_is_not_run_again_for_it(folder: Path) -> None:
    path = folder / "data.txt"
    added = Observed(opened=(OpenedFile(str(path), reads=False, writes=True, keeps=True, line=1, stamp=_BEFORE),))
    made = make(folder, ("open('data.txt', 'a').write('b')", added), ("open('data.txt').read()", None), namespace={})
    assert "write('b')" not in made.text
    assert [entry.path for entry in made.files] == ["app/data.txt"]
    assert warnings(made) == []


def test_what_changes_a_carried_file_once_more_is_told(folder: Path) -> None:
    path = folder / "data.txt"
    added = Observed(opened=(OpenedFile(str(path), reads=False, writes=True, keeps=True, line=1, stamp=_BEFORE),))
    source = "count = open('data.txt', 'a').write('b')"
    made = make(folder, (source, added), ("count, [*open('data' + '.txt')]", None), namespace={})
    assert "write('b')" in made.text
    assert [entry.path for entry in made.files] == ["app/data.txt"]
    assert warnings(made) == [
        "nb.ipynb, cell 0, line 1 changes data.txt, which is carried as it is now: the program changes it once more"
    ]


def loaded(path: Path, stamp: Stamp) -> Observed:
    return Observed(loaded=((str(path), stamp),))


def test_a_module_that_changed_after_it_was_loaded_is_told(folder: Path) -> None:
    path = folder / "helper.py"
    cells = ("from helper import f", loaded(path, _BEFORE)), ("f()", None)
    said = "helper.py changed after the kernel loaded it: the program has it as it is now"
    assert warnings(make(folder, *cells, namespace={})) == [said]
    assert warnings(make(folder, ("x = 1", loaded(path, _BEFORE)), ("x", None), namespace={})) == []
    same = make(folder, ("import helper", loaded(path, now(path))), ("helper", None), namespace={})
    assert warnings(same) == []
    (folder / "outer.py").write_text("import helper\n")
    os.utime(path, ns=(5_000, 5_000))
    both = Observed(loaded=((str(folder / "outer.py"), now(folder / "outer.py")), (str(path), _BEFORE)))
    assert warnings(make(folder, ("import outer", both), ("outer", None), namespace={})) == [said]


def test_what_ran_with_the_module_before_comes_as_a_value(folder: Path) -> None:
    path = folder / "helper.py"
    made = make(
        folder,
        ("from helper import f", loaded(path, _BEFORE)),
        ("a = f()\nn = 1", Observed()),
        ("b = f()", loaded(path, now(path))),
        ("a, b, n", None),
        namespace={"a": "old", "b": "new"},
    )
    assert names(made)["a"] == ("literal", "helper.py changed after its cell ran")
    assert (names(made)["b"][0], names(made)["n"][0]) == ("code", "code")


def test_without_an_observer_nothing_is_known_of_files(folder: Path) -> None:
    made = make(folder, ("text = open('data.txt').read()", None), ("text", None), namespace={"text": "a"})
    assert names(made)["text"][0] == "code"
