from __future__ import annotations

import pytest

from buildr_jupyter.analysis.slicer import Statement
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.model.progress import BuildWarning

from .parts import cell, given_of


def of(*cells: object, notebook: str | None = "nb.ipynb") -> Given:
    return Given(cells, cells[-1], ExportOptions(), None, notebook, None)  # type: ignore[arg-type]


def test_the_chosen_cell_is_the_last_run_and_no_run_before() -> None:
    first, target = cell("x = 1"), cell("x")
    given = Given((target, first, target), target, ExportOptions(), None, None, None)
    assert (given.runs, given.last) == ([first, target], 1)


@pytest.mark.parametrize(
    ("facts", "notebook", "title"),
    [
        ({"index": 4, "id": "a1"}, "nb.ipynb", "nb.ipynb, cell 4"),
        ({"id": "a1"}, "nb.ipynb", "nb.ipynb, cell a1"),
        ({"id": "a1"}, None, "notebook, this cell"),
        ({}, "two\nlines.ipynb", "two lines.ipynb, this cell"),
    ],
)
def test_a_cell_is_called_by_what_is_known(facts: dict[str, object], notebook: str | None, title: str) -> None:
    assert of(cell("x", **facts), notebook=notebook).title(0) == title


def test_earlier_cells_without_an_index_are_numbered_as_they_are_asked_for() -> None:
    given = of(cell("a", count=7), cell("b", count=9), cell("c"))
    assert [given.title(number) for number in (1, 0, 1, 2)] == [
        "nb.ipynb, earlier cell 1", "nb.ipynb, earlier cell 2", "nb.ipynb, earlier cell 1", "nb.ipynb, this cell",
    ]  # fmt: skip


def test_a_statement_is_at_its_cell_and_line() -> None:
    given = given_of("x = 1\n\ny = 2", "y")
    statements: list[Statement] = Reading(given).statements()
    assert [given.where(one) for one in statements] == [
        "nb.ipynb, cell 0, line 1", "nb.ipynb, cell 0, line 3", "nb.ipynb, cell 1, line 1",
    ]  # fmt: skip


def test_another_containerized_cell_gives_names_only_where_it_ran_here_too() -> None:
    given = given_of("%%containerize\na = 1", "%%containerize --here\nb = 2", "a")
    assert [run.source for run in given.runs] == ["%%containerize --here\nb = 2", "a"]


def test_what_a_run_gave_back_was_bound_after_it() -> None:
    given = given_of(cell("%%containerize --return a\na = 1", 0, returned=("a", "b"), duration_s=9.0), "a")
    assert [(run.source, run.duration_s) for run in given.runs] == [("a = b = get_ipython()\n", None), ("a", None)]
    assert given.runs[0].returned == ("a", "b")


def test_a_chosen_cell_that_failed_is_said() -> None:
    assert given_of("x = 1", "x").warnings == []
    assert given_of("x = 1", cell("1 / 0", 1, status="error")).warnings == [
        BuildWarning("nb.ipynb, cell 1 failed when it ran; it is exported all the same")
    ]
