from __future__ import annotations

import pytest

from buildr_jupyter.export.shown_values import Shown, asks_for_shown, name_values


def named(*sources: str, gave: set[int] | None = None) -> dict[int, str]:
    return name_values([Shown(source, number + 1) for number, source in enumerate(sources)], gave)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (("3", "_1 + 1"), {0: "_1 = (3)"}),
        (("(3 +\n 4)", "Out[1]"), {0: "_1 = ((3 +\n 4))\n", 1: "_1"}),
        (("f()", "g()", "_"), {0: "_1 = (f())", 1: "_2 = (g())", 2: "[one for one in (_2, _1) if one is not None][0]"}),
        (("f()", "1 + 1", "_"), {1: "_2 = (1 + 1)", 2: "_2"}),
        (("1", "2", "__"), {0: "_1 = (1)", 1: "_2 = (2)", 2: "[one for one in (_2, _1) if one is not None][1]"}),
        (("3", "_1 + 1", "_2 * 2"), {0: "_1 = (3)", 1: "_2 = (_1 + 1)"}),
        (("3", "(_ +\n 1)", "_"), {0: "_1 = (3)", 1: "_2 = ((_1 +\n 1))\n", 2: "_2"}),
        (("3", "_oh[1]"), {0: "_1 = (3)", 1: "_1"}),
        (("f()", "print(_)", "__"), {0: "_1 = (f())", 1: "print(_1)"}),
        (
            ("f()", "g()", "print(In[1])", "None", "__"),
            {0: "_1 = (f())", 1: "_2 = (g())", 4: "[one for one in (_2, _1) if one is not None][1]"},
        ),
        (("3;", "_"), {}),
        (("3", "_, x = 1, 2", "_"), {}),
        (("3", "[_ for _ in x]"), {}),
        (("3", "Out[9]"), {}),
        (("3", "Out[x]"), {}),
    ],
)
def test_who_asks_reads_a_name(sources: tuple[str, ...], expected: dict[int, str]) -> None:
    made = named(*sources)
    assert {place: text for place, text in made.items() if text != sources[place]} == expected


def test_a_print_of_the_notebook_s_own_may_give_a_value() -> None:
    made = named("def print(x): return x", "f()", "print(1)", "_")
    assert made[3] == "[one for one in (_3, _2) if one is not None][0]"
    assert "_3 = (print(1))" in made[2]


def test_a_kernel_knows_what_gave_a_value() -> None:
    assert named("f()", "g()", "_", gave={1}) == {0: "_1 = (f())", 2: "_1"}
    assert named("f()", "_", gave={1, 7}) == {}  # the newest value came from a run that is not among these


def test_a_cell_asks_for_what_was_shown_before_it() -> None:
    assert named("5", "_ + 1", "_", gave={1, 2}) == {0: "_1 = (5)", 1: "_2 = (_1 + 1)", 2: "_2"}


def test_a_run_that_failed_showed_nothing() -> None:
    assert name_values([Shown("1 / 0", 1, ended=False), Shown("_", 2)]) == {}


def test_names_that_only_look_alike_are_not_asked_for() -> None:
    assert asks_for_shown("x = _ + 1")
    assert asks_for_shown("Out[3]")
    assert not asks_for_shown("self._x = a_1 + obj._ + Output")
