from __future__ import annotations

import json
import os
import random

import pytest

from buildr_jupyter.errors import ValueRefused
from buildr_jupyter.export.exporter import make_program
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.value_capture import Values

from .parts import cell, given_of, sliced_of


def choose(given: Given) -> tuple[bool, Values]:
    reading, sliced = sliced_of(given)
    values = Values(given, reading)
    return values.choose(sliced), values


def test_what_a_slow_cell_says_in_plain_words_stays_code_and_so_can_be_an_input() -> None:
    slow = cell("work()\nrate: float = 0.1\nrows = [1, {'a': -2}]\ntotal = sum([1, 2])", 1, duration_s=7.25)
    namespace = {"rate": 0.1, "rows": [1, {"a": -2}], "total": 3, "work": len}
    taken, values = choose(given_of("def work():\n    return 3", slow, "print(rate, rows, total)", namespace=namespace))
    assert (taken, values.supplied.names()) == (True, {"total"})


def test_a_slow_statement_gives_its_value_a_literal_or_a_snapshot() -> None:
    slow = cell("small = work()\nlarge = [small]\nunread = 1", 1, duration_s=7.25)
    namespace = {"small": 3, "large": [3], "unread": 1, "work": len}
    taken, values = choose(given_of("def work():\n    return 3", slow, "print(small, large)", namespace=namespace))
    why = "its cell took 7.2 s, more than 5 s"
    assert taken
    assert values.supplied.literal == {"small": ("3", why)}
    assert values.supplied.snapshot == {"large": why}
    assert values.supplied.names() == {"small", "large"}


def test_what_a_slow_cell_makes_is_left_to_its_code_where_its_value_cannot_come() -> None:
    slow = cell("steps = (n for n in range(3))", 0, duration_s=7.25)
    given = given_of(slow, "print(next(steps))", namespace={"steps": (n for n in range(3))})
    program = make_program(given)
    assert "steps = (n for n in range(3))" in program.text
    (warning,) = program.warnings
    assert warning.text.startswith("steps: its cell took 7.2 s, more than 5 s, and its value cannot be carried (")
    assert warning.text.endswith("): the program makes it at each start")
    assert warning.hint == "add --recompute steps if that is as it should be"
    again = given_of(slow, "print(next(steps))", namespace=given.namespace, recompute=("steps",))
    assert make_program(again).warnings == ()


def test_a_slow_value_that_something_reads_before_it_changed_is_left_to_its_code() -> None:
    slow = cell("rows = list(range(1, 2))\nos.environ['ROWS'] = str(len(rows))", 1, duration_s=7.25)
    runs = ("import os", slow, "rows.append(2)", "print(rows, os.environ['ROWS'])")
    given = given_of(*runs, namespace={"rows": [1, 2], "os": os})
    program = make_program(given)
    assert "rows = list(range(1, 2))" in program.text
    (warning,) = program.warnings
    assert warning.text == (
        "rows: its cell took 7.2 s, more than 5 s, and its value cannot be carried "
        "(what nb.ipynb, cell 1 makes from it cannot be carried either): the program makes it at each start"
    )


def test_without_a_kernel_there_are_no_values_to_take() -> None:
    slow = cell("small = len('abc')", 0, duration_s=60.0)
    assert choose(given_of(slow, "print(small)"))[0] is False


def test_what_is_asked_for_as_code_or_as_an_input_stays_code() -> None:
    for options in ({"recompute": ("n",)}, {"params": (("n", None),)}):
        slow = cell("n = len('abc')", 0, duration_s=60.0)
        taken, values = choose(given_of(slow, "print(n)", namespace={"n": 3}, **options))
        assert (taken, values.supplied.names()) == (False, frozenset())


def test_a_snapshot_that_was_asked_for_is_there_from_the_start() -> None:
    given = given_of("x = [1]", "x", snapshots=("x",), namespace={"x": [1]})
    values = Values(given, sliced_of(given)[0])
    assert "x" in values.supplied
    assert values.supplied.snapshot == {"x": "asked for by --snapshot"}


def test_a_name_that_no_run_gives_comes_by_its_import_as_a_literal_or_is_refused() -> None:
    given = given_of("x = 1", "print(js, limit)", namespace={"js": json, "limit": 4})
    taken, values = choose(given)
    assert taken
    text, use = values.known_only_to_kernel["js"]
    assert (text, use.module, use.origin) == ("import json as js", "json", "nb.ipynb, cell 1, line 1")
    assert values.supplied.literal["limit"][0] == "4"
    with pytest.raises(
        ValueRefused, match=r"thing \(builtins.list\) is in the kernel, but no run that is known gave it"
    ):
        choose(given_of("print(thing)", namespace={"thing": [1]}))


def test_unseeded_randomness_comes_as_its_value_and_is_given_up_where_it_cannot_be_carried() -> None:
    namespace: dict[str, object] = {"random": random, "n": 7, "hold": lambda: 1}
    given = given_of("import random\nn = random.random()", "print(n)", namespace=namespace)
    taken, values = choose(given)
    assert taken
    assert values.supplied.literal == {"n": ("7", "it came from randomness that nothing seeds")}

    broken = given_of("import random\nn = [random.random()]", "print(n)", namespace={"n": (one for one in ())})
    reading, sliced = sliced_of(broken)
    values = Values(broken, reading)
    assert values.choose(sliced)
    assert list(values.supplied.snapshot) == ["n"]
    assert values.leave_uncarried()
    assert (values.supplied.names(), values.uncarried) == (frozenset(), {"n"})
    assert "n: it came from randomness that nothing seeds, and its value cannot be carried" in broken.warnings[0].text
    assert not values.choose(sliced), "what was given up is not taken again"


def test_a_snapshot_needs_a_kernel() -> None:
    given = given_of("x = 1", "x", snapshots=("x",))
    reading, sliced = sliced_of(given, "x")
    with pytest.raises(ValueRefused, match="--snapshot x: there is no kernel that holds its value"):
        Values(given, reading).snapshot(sliced)
    live = given_of("x = [1]", "x", snapshots=("x",), namespace={"x": [1]})
    reading, sliced = sliced_of(live, "x")
    found = Values(live, reading).snapshot(sliced)
    assert found is not None
    assert found.entry.path.startswith("app/state/")
    nothing = given_of("x = 1", "x", namespace={})
    reading, sliced = sliced_of(nothing)
    assert Values(nothing, reading).snapshot(sliced) is None


def test_what_a_star_gives_is_the_module_s_own_and_no_copy() -> None:
    random.seed(1)
    star = "from random import *"
    given = given_of(star, "x = random()", "print(x, random())", namespace={"random": random.random, "x": 0.1})
    values = choose(given)[1]
    assert "random" not in values.supplied
    assert values.known_only_to_kernel == {}


def test_the_kernel_itself_is_no_value() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.__new__(InteractiveShell)
    given = given_of("ip = get_ipython()", "ip is None", namespace={"ip": shell})
    assert choose(given)[1].supplied.names() == frozenset()
