from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.slicer import Slice, Statement, analyze, slice_back
from buildr_jupyter.analysis.statements import Flow


def sliced(*cells: str, supplied: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> Slice:
    flow, statements = Flow(), list[Statement]()
    for number, cell in enumerate(cells):
        last = number == len(cells) - 1
        statements += analyze(flow, ast.parse(cell).body, number, may_fail=not last)
    return slice_back(flow, statements, len(cells) - 1, supplied=frozenset(supplied), extra=extra)


def kept(*cells: str, supplied: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> list[str]:
    return [ast.unparse(one.node) for one in sliced(*cells, supplied=supplied, extra=extra).kept]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("a = 1\nb = 2", "print(a)"), ["a = 1", "print(a)"]),
        (("a = 1\na = 2", "print(a)"), ["a = 2", "print(a)"]),
        (("a = 1\nb = a\na = 2", "print(b)"), ["a = 1", "b = a", "print(b)"]),
        (("a = []\nb = a\nb.append(1)", "print(a)"), ["a = []", "b = a", "b.append(1)", "print(a)"]),
        (("a = []\nb = []\nb.append(1)", "print(a)"), ["a = []", "print(a)"]),
        (("n = 1\ndef f():\n    return n", "f()"), ["n = 1", "def f():\n    return n", "f()"]),
        (("import json\nimport csv", "json.dumps(1)"), ["import json", "json.dumps(1)"]),
        (("x = 1\ndel x\ny = 2", "print(y)"), ["y = 2", "print(y)"]),
    ],
)
def test_what_the_cell_needs_is_kept_in_order(cells: tuple[str, ...], expected: list[str]) -> None:
    assert kept(*cells) == expected


def test_each_kept_statement_says_what_for() -> None:
    found = sliced("a = 1\nb = a", "print(b)")
    whys = [[(need.name, need.by.line) for need in found.why[one.number]] for one in found.kept[:-1]]
    assert whys == [[("a", 2)], [("b", 1)]]


def test_a_supplied_name_brings_nothing_that_made_it() -> None:
    found = sliced("a = [1]\nb = [a]", "print(b)", supplied=("b",))
    assert [ast.unparse(one.node) for one in found.kept] == ["print(b)"]
    assert [one.line for one in found.supplied_by["b"]] == [2]
    assert found.conflicts == []


def test_reading_a_supplied_name_before_it_changed_is_a_conflict() -> None:
    found = sliced("a = [1]", "n = len(a)", "a.append(2)", "print(a, n)", supplied=("a",))
    assert [(need.name, need.by.run) for need in found.conflicts] == [("a", 1)]


def test_names_that_nothing_gives_are_unresolved() -> None:
    found = sliced("x = 1", "print(gone, len)")
    assert list(found.unresolved) == ["gone"]
    assert found.unresolved["gone"].by.run == 1


def test_extra_names_are_needed_beside_the_cells_own() -> None:
    assert kept("a = 1\nb = 2", "print(a)", extra=("b",)) == ["a = 1", "b = 2", "print(a)"]


def test_a_cell_that_may_read_any_name_keeps_all() -> None:
    found = sliced("a = 1\nb = 2", "eval(input())")
    assert [ast.unparse(one.node) for one in found.kept] == ["a = 1", "b = 2", "eval(input())"]
    assert found.everything is not None


def test_the_line_of_a_statement_is_that_of_its_first_decorator() -> None:
    (node,) = ast.parse("\n@deco\ndef f(): ...").body
    assert Statement(node, 0).line == 2
