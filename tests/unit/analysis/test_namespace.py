"""What ``globals()`` and its like bind and read."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.slicer import analyze, slice_back
from buildr_jupyter.analysis.statements import Flow


def carried(*cells: str) -> list[str]:
    """Return the statements of earlier cells that the last one needs."""
    flow = Flow()
    statements = [
        statement
        for number, cell in enumerate(cells)
        for statement in analyze(flow, ast.parse(cell).body, number, may_fail=False)
    ]
    last = len(cells) - 1
    return [ast.unparse(one.node) for one in slice_back(flow, statements, last).kept if one.run != last]


@pytest.mark.parametrize(
    "binding",
    [
        "globals()['a'] = 1",
        "globals()[key] = 1",
        "globals().update(a=1)",
        "globals().update({'a': 1})",
        "for n in 'ab':\n    globals()[f'{n}'] = 1",
        "globals().setdefault('a', 1)",
        "vars()['a'] = 1",
        "import __main__\n__main__.__dict__['a'] = 1",
        "import sys\nsetattr(sys.modules['__main__'], 'a', 1)",
        "def put():\n    globals()['a'] = 1\nput()",
    ],
)
def test_a_name_that_the_dict_is_given_is_the_notebooks(binding: str) -> None:
    body = ast.parse(binding).body
    assert carried("key = 'a'\nother = 2", binding, "print(a)")[-1] == ast.unparse(body[-1])


@pytest.mark.parametrize("reading", ["globals()['a']", "globals().get('a')", "vars()['a']", "globals()[f'a']"])
def test_a_name_that_is_asked_for_is_carried_alone(reading: str) -> None:
    assert carried("a = 1\nb = 2", f"print({reading})") == ["a = 1"]


def test_names_by_a_pattern_are_carried() -> None:
    assert carried("df_a = 1\nother = 2\ndf_b = 3", "[globals()[f'df_{n}'] for n in 'ab']") == ["df_a = 1", "df_b = 3"]


def test_all_is_carried_for_a_name_that_nobody_knows() -> None:
    assert carried("a = 1\nb = 2", "print(globals()[input()])") == ["a = 1", "b = 2"]


@pytest.mark.parametrize("asks", ["globals().get('b')", "globals().pop('b', 0)", "vars().setdefault('b', 2)"])
def test_to_ask_for_a_name_that_is_not_there_is_no_failure(asks: str) -> None:
    flow = Flow()
    assert len(list(analyze(flow, ast.parse(f"c = {asks}\nd = c").body, 0, may_fail=True))) == 2
    assert not list(analyze(Flow(), ast.parse("globals().pop('b')").body, 0, may_fail=True))


@pytest.mark.parametrize("method", ["get", "setdefault", "pop"])
def test_what_is_given_where_the_name_is_missing_is_held(method: str) -> None:
    cells = "x = []", f"h = vars().{method}('b', x)", "h.append(1)", "print(x)"
    assert carried(*cells) == ["x = []", f"h = vars().{method}('b', x)", "h.append(1)"]
