"""Notebook files of every shape: read, or refused by name in one sentence."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import NotebookError
from buildr_jupyter.notebook.cells import parse_notebook, read_notebook

NOTEBOOK: dict[str, Any] = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}},
    "cells": [
        {
            "cell_type": "code", "id": "a", "metadata": {"tags": ["t"]}, "source": "print(1)", "execution_count": 1,
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
                {"output_type": "execute_result", "data": {"text/plain": "2"}},
                {"output_type": "error", "traceback": ["----> 1 x"]},
            ],
        }
    ],
}  # fmt: skip
ODD: list[Any] = [None, 5, True, "x", [], {}, [None], [5], ["x", 5], {"a": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


def test_any_part_may_be_anything() -> None:
    told = 0
    for place in places(NOTEBOOK)[1:]:
        for odd in ODD:
            document = copy.deepcopy(NOTEBOOK)
            inner = document
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = odd
            told += said_of(document) is not None
    assert told > 20


def said_of(document: Any) -> str | None:
    """Return what is said of a broken notebook, None where it is read."""
    try:
        parse_notebook(json.dumps(document).encode(), Path("nb.ipynb"))
    except NotebookError as error:
        return str(error)
    return None


def test_what_a_program_does_not_need_is_taken_as_absent() -> None:
    document = copy.deepcopy(NOTEBOOK)
    document["metadata"] = {"kernelspec": {"name": 5}, "language_info": [1]}
    document["cells"][0] |= {"metadata": 5, "outputs": [None, {"output_type": "stream", "text": 5}], "id": 7}
    found = parse_notebook(json.dumps(document).encode(), Path("nb.ipynb"))
    (run,) = found.runs
    assert (found.kernelspec, run.source, run.tags, run.id, run.stdout) == (None, "print(1)", (), None, "")


def test_a_source_that_is_no_text_names_the_cell() -> None:
    document = copy.deepcopy(NOTEBOOK)
    document["cells"][0]["source"] = 5
    with pytest.raises(NotebookError, match="cell 0 is broken: its source"):
        parse_notebook(json.dumps(document).encode(), Path("nb.ipynb"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b" \n", "is empty (2 bytes)"),
        ("{}".encode("utf-16"), "is UTF-16 or UTF-32"),
        ("{}".encode("utf-16-le"), "is UTF-16 or UTF-32"),
        (b'{"a": "\xff"}', "is not UTF-8: invalid start byte at byte 7"),
        (b'{\n<<<<<<< HEAD\n"a": 1\n=======\n"a": 2\n>>>>>>> b\n}', "marks of a merge conflict, the first at line 2"),
        (b"[" * 100_000, "it is nested too deep"),
        (b"[1]", "it has no nbformat version"),
        (b'{"nbformat": 99}', "notebook format 99 is not known"),
        (b'{"nbformat": 3, "worksheets": 5}', "broken notebook of format 3"),
    ],
)
def test_accidents_are_told_as_what_they_are(content: bytes, said: str) -> None:
    with pytest.raises(NotebookError) as raised:
        parse_notebook(content, Path("nb.ipynb"))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "command"),
    [
        ("a b.py", "print(1)\n", "jupytext --to ipynb 'a b.py'"),
        ("x.md", "# Title\n", "jupytext --to ipynb x.md"),
        ("x.qmd", "---\ntitle: x\n---\n", "quarto convert x.qmd"),
        ("x.py", "import marimo\napp = marimo.App()\n", "marimo export ipynb x.py -o x.ipynb"),
    ],
)
def test_notebooks_as_text_are_named_with_the_command_that_converts_them(name: str, content: str, command: str) -> None:
    with pytest.raises(NotebookError) as raised:
        parse_notebook(content.encode(), Path(name))
    assert raised.value.hint == f"convert it: {command}"


@pytest.mark.parametrize(
    ("language", "kernel", "said"),
    [
        ("R", "ir", "nb.ipynb is an R notebook (kernel ir): only Python cells become images"),
        ("julia", "julia-1.9", "nb.ipynb is a julia notebook (kernel julia-1.9): only Python cells become images"),
        ("scala", "", "nb.ipynb is a scala notebook: only Python cells become images"),
    ],
)
def test_other_languages_are_refused_by_name(language: str, kernel: str, said: str) -> None:
    for metadata in (
        {"language_info": {"name": language}, "kernelspec": {"name": kernel}},
        {"kernelspec": {"name": kernel, "language": language}},
    ):
        document = NOTEBOOK | {"metadata": metadata}
        with pytest.raises(NotebookError) as raised:
            parse_notebook(json.dumps(document).encode(), Path("nb.ipynb"))
        assert str(raised.value) == said


def test_what_is_no_file_is_refused_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "nb.ipynb")
    for path, what in (
        (tmp_path / "nb.ipynb", "no regular file"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "no reg"),
    ):
        with pytest.raises(NotebookError, match=f"is {what}"):
            read_notebook(path)
    with pytest.raises(NotebookError, match=r"^/ is a folder, not a notebook file$"):
        read_notebook("/")
    with pytest.raises(NotebookError):
        read_notebook("a\0b.ipynb")
