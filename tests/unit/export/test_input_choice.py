from __future__ import annotations

import ast

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.input_choice import InputChoice
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.model.interface import Input

from .parts import cell, given_of, sliced_of


def choose(given: Given) -> tuple[Reading, InputChoice]:
    reading, sliced = sliced_of(given)
    return reading, InputChoice(given, reading, sliced)


def test_candidates_are_plain_values_that_are_assigned_once_and_read() -> None:
    given = given_of("a = 1\nb = [2]\nc = a + 1\nd = 4\nd += 5\n_e = 6\nf = 7\nb.append(1)", "print(a, b, c, d, _e)")
    _, choice = choose(given)
    assert [(one.name, one.value, one.origin) for one in choice.candidates] == [("a", "1", "nb.ipynb, cell 0, line 1")]
    assert choice.params == {}


def test_all_of_them_are_asked_for_by_auto_and_those_of_a_tagged_cell_by_the_tag() -> None:
    _, choice = choose(given_of("a = 1", "b = 'x'", "print(a, b)", params=(("auto", None), ("a", "9"))))
    assert (choice.params, choice.candidates) == ({"a": "9", "b": None}, ())
    _, choice = choose(given_of(cell("a = 1", 0, tags=("parameters",)), "b = 'x'", "print(a, b)"))
    assert ([one.name for one in choice.candidates], choice.params) == (["b"], {"a": None})
    given = given_of("print(1)", params=(("auto", None),))
    choose(given)
    assert [one.text for one in given.warnings] == [
        "nb.ipynb, cell 0: --param auto found no plain value that could be an input"
    ]


def test_an_input_takes_the_place_of_its_value() -> None:
    given = given_of("a: int = 1  # how many\nb = 2", "print(a, b)", params=(("a", None), ("z", "3")))
    reading, choice = choose(given)
    assert [ast.unparse(one.node) for one in choice.given_statements()] == ["a: int = 1"]
    choice.make()
    assert choice.inputs == (Input("a", "int", 1, description="how many"), Input("z", "int", 3))
    assert choice.late == [("parameter z", 1, "z = _buildr_given['z']\n")]
    reading.apply_edits()
    assert reading.sources[0] == "a: int = _buildr_given['a']  # how many\nb = 2"
    assert [title for title, _, _ in choice.blocks(None)] == ["parameters"]


@pytest.mark.parametrize(
    ("cells", "name", "said"),
    [
        (("print(1)",), "n", "no plain assignment to n before the cell"),
        (("n = 1\nn = 2\nprint(n)",), "n", "the cell itself gives n its value, and not by one plain assignment"),
        (("x = 1", "print(x)"), "a b", "not a name"),
    ],
)
def test_what_can_be_no_input_is_refused(cells: tuple[str, ...], name: str, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        choose(given_of(*cells, params=((name, None),)))[1].make()


@pytest.mark.parametrize("option", ["--set", "--map", "--param"])
def test_a_name_that_the_program_lacks_is_told_the_nearest_one_and_all(option: str) -> None:
    given = given_of("rate = 0.5\nn = 3", "print(n, rate)", params=(("rat", None),), asked_by=(("rat", option),))
    with pytest.raises(OptionError) as caught:
        choose(given)[1].make()
    assert str(caught.value).startswith(f"{option} rat: no plain assignment to rat before the cell is used by it")
    assert "(its values: n, rate)" in str(caught.value)
    assert caught.value.hint == "write rate if you meant that; give a default: --param rat=VALUE"


def test_a_path_that_moves_is_written_in_the_default_of_its_input() -> None:
    given = given_of("p = '/data/a.csv'\nq = '/data/b.csv'", "open(p); open(q)", params=(("p", None),))
    reading, choice = choose(given)
    choice.make()
    values = [node.value for node in reading.bodies[0] if isinstance(node, ast.Assign)]
    choice.write_path(0, values[0], "/data/a.csv", "a.csv")
    choice.write_path(0, values[1], "/data/b.csv", "b.csv")
    reading.apply_edits()
    assert [one.default for one in choice.inputs] == ["a.csv"]
    assert reading.sources[0] == "p = _buildr_given['p']\nq = 'b.csv'"


def test_what_is_returned_needs_its_writer() -> None:
    _, choice = choose(given_of("b = 1", returns=("b",)))
    assert [title for title, _, _ in choice.blocks(None)] == ["returns"]
