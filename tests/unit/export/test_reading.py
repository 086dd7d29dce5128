from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from buildr_jupyter.errors import CellSyntaxError, DialectError, OptionError
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.reading import Reading

from .parts import cell, given_of


def texts(given: Given) -> list[str]:
    return [ast.unparse(statement.node) for statement in Reading(given).statements()]


def test_what_ran_is_read_in_order() -> None:
    assert texts(given_of("x = 1; y = 2", "z = x", "print(z)")) == ["x = 1", "y = 2", "z = x", "print(z)"]


def test_of_a_run_that_failed_only_what_came_before_the_line_is_read() -> None:
    failed = cell("x = 1\ny = 1 / 0\nz = 3", 0, status="error", failed_line=2)
    assert texts(given_of(failed, "x")) == ["x = 1", "x"]
    assert texts(given_of("x = 1", cell("y = 1 / 0\nz = 3", 1, status="error", failed_line=1))) == [
        "x = 1", "y = 1 / 0", "z = 3",
    ], "the chosen cell is exported whole"  # fmt: skip


def test_a_cell_that_does_not_parse_is_left_out_unless_it_is_the_chosen_one() -> None:
    given = given_of("x = = 1", "y = 2")
    assert texts(given) == ["y = 2"]
    (warning,) = given.warnings
    assert "cell 0 does not parse in Python 3." in warning.text, "another Python may have run it"
    failed = given_of(cell("x = = 1", 0, status="error"), "y = 2")
    assert (texts(failed), failed.warnings) == (["y = 2"], [])
    with pytest.raises(CellSyntaxError, match=r"cell 1, line 1 does not parse in Python 3\.\d+: invalid syntax"):
        Reading(given_of("y = 2", "x = = 1")).statements()


def test_a_cell_in_another_language_is_left_out_and_refused_when_chosen() -> None:
    assert texts(given_of("%%sql\nselect 1", "y = 2")) == ["y = 2"]
    with pytest.raises(DialectError, match="cell 0 is in another language: it begins with %%sql"):
        Reading(given_of("%%sql\nselect 1")).statements()


@pytest.mark.parametrize("magic", ["javascript", "html", "latex", "svg", "markdown", "perl", "writefile x.txt"])
def test_a_chosen_cell_of_a_magic_that_every_ipython_has_is_run_by_it(magic: str) -> None:
    assert [one.startswith("get_ipython().run_cell_magic(") for one in texts(given_of(f"%%{magic}\nx"))] == [True]
    assert texts(given_of(f"%%{magic}\nx", "y = 2"))[-1] == "y = 2"


def test_what_pip_was_asked_for_has_its_line() -> None:
    given = given_of("x = 1\n%pip install rich==13.0", "x")
    reading = Reading(given)
    reading.statements()
    assert reading.requirements == [("rich==13.0", "nb.ipynb, cell 0, line 2")]
    other = given_of("!pip install -r needs.txt", "1")
    Reading(other).statements()
    assert ["needs.txt is not carried" in one.text for one in other.warnings] == [True]


def test_what_is_returned_is_read_after_the_cell() -> None:
    assert texts(given_of("a = 1", "b = a", returns=("b", "a"))) == ["a = 1", "b = a", "(b, a)"]
    assert texts(given_of("1 + 1", returns=("_",))) == ["1 + 1"]
    with pytest.raises(OptionError, match="--return _: nb.ipynb, cell 0 does not end in an expression"):
        Reading(given_of("b = 1", returns=("_",))).statements()


@pytest.mark.parametrize(
    ("source", "shown"),
    [("x", True), ("x = 1", False), ("x;", False), ("%%capture\nx", False), ("%%capture --no-display\nx", True)],
)
def test_the_last_expression_is_shown_as_a_notebook_shows_it(source: str, shown: bool) -> None:
    reading = Reading(given_of("x = 1", source))
    reading.statements()
    assert bool(reading.shown()) is shown


def test_edits_are_written_for_one_run_or_for_all() -> None:
    reading = Reading(given_of("x = 1\ny = 2", "print(x)"))
    first, _, last = reading.statements()
    assert isinstance(first.node, ast.Assign)
    assert isinstance(last.node, ast.Expr)
    reading.edit(0, first.node.value, "10")
    reading.edit(1, last.node.value, "show(x)")
    reading.apply_edits(1)
    assert reading.sources == {0: "x = 1\ny = 2", 1: "show(x)"}
    reading.apply_edits()
    reading.apply_edits()
    assert reading.sources == {0: "x = 10\ny = 2", 1: "show(x)"}
    assert [ast.unparse(node) for node in reading.bodies[0]] == ["x = 10", "y = 2"]


def test_newer_syntax_that_was_written_anew_is_refused_by_name() -> None:
    run = replace(cell("%time f'{'a'}'", 0), transformed="f'{'a' = = 1")  # as a magic's translation is, here unread
    with pytest.raises(CellSyntaxError, match=r"cell 0 is in the syntax of a newer Python than 3\.") as caught:
        Reading(given_of(run)).statements()
    assert caught.value.hint == "write magics and inputs into a cell of their own"
