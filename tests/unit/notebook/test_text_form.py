"""Notebooks as text: read as the notebook that jupytext made them of, or named with what converts them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from buildr_jupyter.errors import NotebookError
from buildr_jupyter.notebook import text_form
from buildr_jupyter.notebook.cells import Notebook, parse_notebook, read_notebook

SOURCES = [
    "n = 4",
    "%%containerize quick --param n\nprint(n * 2)",
    "%pip install six\n!ls",
    "def f():\n    pass\n\n\nf()",
]


def read(text: str, name: str) -> Notebook:
    return parse_notebook(text.encode(), Path(name))


@pytest.mark.parametrize("kind", ["py:percent", "py:light", "md:markdown", "md:myst", "Rmd"])
def test_what_jupytext_wrote_is_the_same_notebook(kind: str) -> None:
    cells = [nbformat.v4.new_markdown_cell("# Title"), *map(nbformat.v4.new_code_cell, SOURCES)]
    cells[1].metadata["tags"] = ["parameters"]
    spec = {"name": "mine", "language": "python", "display_name": "Mine"}
    text = jupytext.writes(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), kind)
    found = read(text, f"report.{kind.partition(':')[0]}")
    assert [run.source for run in found.runs] == SOURCES
    assert [run.index for run in found.runs] == [1, 2, 3, 4]
    assert [run.tags for run in found.runs] == [("parameters",), (), (), ()]
    assert (found.kernelspec, found.cell_count) == ("mine", 5)
    assert {run.id for run in found.runs} == {None}, "jupytext draws new ids each time"


@pytest.mark.parametrize(
    ("name", "text", "sources"),
    [
        ("report.py", "# ---\n# jupyter:\n#   kernelspec:\n#     name: python3\n# ---\n\n# %% [markdown]\n# # Title\n\n# %%\nn = 4\n\n# %%\nprint(n)\n", ["n = 4", "print(n)"]),
        ("report.py", "#!/usr/bin/env python\r\n# %%\r\nn = 4\r\n# %% more\r\nprint(n)\r\n", ["n = 4", "print(n)"]),
        ("x.md", "```{code-cell}\nn = 4\n```\n", ["n = 4"]),
        ("x.Rmd", "---\ntitle: x\n---\n\n```{python}\nn = 4\n```\n", ["n = 4"]),
    ],
    ids=["a header without what a front end needs", "no header", "MyST", "R Markdown"],
)  # fmt: skip
def test_what_people_write(name: str, text: str, sources: list[str]) -> None:
    assert [run.source for run in read(text, name).runs][-len(sources) :] == sources


def test_another_language_is_refused_by_name() -> None:
    with pytest.raises(NotebookError, match=r"x.md is an R notebook \(kernel ir\)"):
        read("---\njupyter:\n  kernelspec:\n    name: ir\n    language: R\n---\n\n```R\n1\n```\n", "x.md")


@pytest.mark.parametrize("header", ["# jupyter: [", "# jupyter: !!python/object:os.system {}"])
def test_a_header_that_is_broken_is_said_and_makes_nothing(header: str) -> None:
    with pytest.raises(NotebookError, match="x.py: broken notebook of jupytext's format py:percent: "):
        read(f"# ---\n{header}\n# ---\n# %%\nprint(1)\n", "x.py")


@pytest.mark.parametrize(("name", "text"), [("x.py", "# %%\nprint(1)\n"), ("x.md", "```{code-cell}\n1\n```\n")])
def test_without_jupytext(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_form, "find_spec", lambda _name: None)
    with pytest.raises(NotebookError, match=f"{name} is a jupytext file, and jupytext, .* is not installed") as caught:
        read(text, name)
    assert str(caught.value.hint).startswith("run pip install 'buildr-jupyter[jupytext]', or convert it elsewhere: ")


@pytest.mark.parametrize(("name", "text"), [("x.py", "print('100 %%')\n"), ("x.md", "# Title\n\n```python\n1\n```\n")])
def test_where_nothing_says_so(name: str, text: str) -> None:
    with pytest.raises(NotebookError) as caught:
        read(text, name)
    assert str(caught.value) == f"{name} is a jupytext file, or another text, not a notebook file"
    assert caught.value.hint == f"convert it: jupytext --to ipynb {name}"


def test_the_command_that_the_error_names_converts_it(tmp_path: Path) -> None:
    (tmp_path / "a b.py").write_text("n = 4\n\nprint(n)\n")
    with pytest.raises(NotebookError) as caught:
        read_notebook(tmp_path / "a b.py")
    command = shlex.split(str(caught.value.hint).removeprefix("convert it: "))
    subprocess.run([sys.executable, "-m", *command], cwd=tmp_path, check=True, capture_output=True)
    assert [run.source for run in read_notebook(tmp_path / "a b.ipynb").runs] == ["n = 4", "print(n)"]
