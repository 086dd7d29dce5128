"""Notebook files: what is read, what is refused, which cells are chosen."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from buildr_jupyter.errors import NotebookError
from buildr_jupyter.notebook.cells import (
    header_and_body,
    read_notebook,
    runs_up_to,
    select_cells,
    syntax_error,
    transform,
)


def write(path: Path, cells: list[dict], **more: object) -> Path:
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells, **more}
    path.write_text(json.dumps(document))
    return path


def code(source: str, **more: object) -> dict:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None, **more}


def test_index_counts_all_cells(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.ipynb", [{"cell_type": "markdown", "source": "x", "metadata": {}}, code("x = 1", id="c1")]
    )
    notebook = read_notebook(path)
    assert [(run.index, run.id, run.source, run.status) for run in notebook.runs] == [(1, "c1", "x = 1", None)]
    assert select_cells(notebook, "1") == [1]
    assert select_cells(notebook, "id:c1") == [1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "no nbformat version"),
        ('{"nbformat": 9, "cells": []}', "format 9"),
        ('{"nbformat": 4, "cells": 3}', "no list of cells"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_text(text)
    with pytest.raises(NotebookError, match=rf"bad\.ipynb.*{says}"):
        read_notebook(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="no such file"):
        read_notebook(tmp_path / "none.ipynb")


def test_a_mistyped_file_or_tag_is_told_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "report.ipynb"
    cell = nbformat.v4.new_code_cell("print(1)", metadata={"tags": ["train", "slow"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    with pytest.raises(NotebookError) as caught:
        read_notebook(tmp_path / "report1.ipynb")
    assert caught.value.hint == "write report.ipynb if you meant that"
    notebook = read_notebook(path)
    with pytest.raises(NotebookError) as caught:
        select_cells(notebook, "tag:trainn")
    assert caught.value.hint == "write train if you meant that; name a cell by its index, or one of slow, train"
    with pytest.raises(NotebookError) as caught:
        select_cells(notebook, "id:0")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("name a cell by its index, or one of ")


def test_format_three_is_read(tmp_path: Path) -> None:
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {},
        "worksheets": [
            {"cells": [{"cell_type": "code", "input": "x = 1", "language": "python", "outputs": [], "metadata": {}}]}
        ],
    }
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(old))
    assert [run.source for run in read_notebook(path).runs] == ["x = 1"]


def test_selectors_that_choose_nothing_or_too_much(tmp_path: Path) -> None:
    tag = {"tags": ["t"]}
    path = write(tmp_path / "a.ipynb", [code("1", metadata=tag), code("2", metadata=tag)])
    notebook = read_notebook(path)
    for selector, says in (("7", "no cell 7"), ("tag:t", "several cells: 0, 1"), ("tag:u", "'u'"), ("q", "'q'")):
        with pytest.raises(NotebookError, match=says):
            select_cells(notebook, selector)
    with pytest.raises(NotebookError, match="%%containerize"):
        select_cells(notebook, None)


def test_skipped_cells_and_bodies_of_other_images_are_left_out(tmp_path: Path) -> None:
    cells = [
        code("a = 1"),
        code("b = 2", metadata={"tags": ["buildr:skip"]}),
        code("%%containerize --name x\nc = 3"),
        code("%%containerize --here\nd = 4"),
        code("%%containerize\nprint(a)"),
    ]
    notebook = read_notebook(write(tmp_path / "a.ipynb", cells))
    assert select_cells(notebook, None) == [2, 3, 4]
    assert [run.index for run in runs_up_to(notebook, 4)] == [0, 3, 4]


def test_an_error_output_tells_the_line(tmp_path: Path) -> None:
    output = {"output_type": "error", "ename": "E", "evalue": "", "traceback": ["----> 2 raise E\n"]}
    run = read_notebook(write(tmp_path / "a.ipynb", [code("x = 1\nraise E", outputs=[output])])).runs[0]
    assert (run.status, run.failed_line) == ("error", 2)


def test_header_and_body_and_transform() -> None:
    assert header_and_body("%%containerize --name x\ny = 1\n") == ("%%containerize --name x", "y = 1\n")
    assert header_and_body("y = 1") == (None, "y = 1")
    assert header_and_body("%%containerized\n") == (None, "%%containerized\n")
    assert transform("%%containerize\ny = 1") == "\ny = 1"
    assert transform("def (") is None


@pytest.mark.parametrize(
    ("cells", "says", "hint"),
    [
        ([], "the notebook has no code", "write a cell"),
        (["", "  \n"], "the notebook has no code", "write a cell"),
        (["x = 1", "# a comment\n%%containerize one\nx"], "cell 1: %%containerize is on line 2", "split the cell"),
        (["x = 1"], "no cell begins with %%containerize", "--cell INDEX"),
        (["x = 1", "print('%%containerize')"], "no cell begins with %%containerize", "%%containerize NAME"),
    ],
)
def test_why_no_cell_becomes_an_image(tmp_path: Path, cells: list[str], says: str, hint: str) -> None:
    notebook = read_notebook(write(tmp_path / "a.ipynb", [code(one) for one in cells]))
    with pytest.raises(NotebookError) as caught:
        select_cells(notebook, None)
    assert says in str(caught.value)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("source", "line", "why"),
    [
        ("%%containerize one\nprint(x", 2, "'(' was never closed"),
        ("x = 1\ny = = 2", 2, "invalid syntax"),
        ("!ls\nif True:\nprint(1)", 3, "expected an indented block after 'if' statement on line 2"),
        ("x = " + "(" * 300, 1, "too many nested parentheses"),
    ],
)
def test_a_cell_that_does_not_parse_is_told_by_its_line(source: str, line: int, why: str) -> None:
    assert syntax_error(source) == (line, why)


def test_a_line_keeps_its_number_below_the_magic() -> None:
    transformed = transform("%%containerize one\n!ls\nprint(1)")
    assert transformed is not None
    assert transformed.split("\n")[2] == "print(1)"
