"""Calls of the notebook's functions, compared with what they really do."""

from __future__ import annotations

import pytest

from buildr_jupyter.analysis.library_calls import COPIES
from tests.unit.analysis.executed import check_changes, evaluated

DATA = "a = [3, 1]\nb = [2]\nlog = []\n"


@pytest.mark.parametrize(
    ("function", "call", "changed"),
    [
        ("def f(x, y):\n    x.append(1)", "f(a, b)", "a"),
        ("def f(x, y):\n    x.append(1)", "f(y=a, x=b)", "b"),
        ("def f(x, y=None):\n    y.append(1)", "f(a, b)", "b"),
        ("def f(*xs):\n    xs[1].append(1)", "f(a, b)", "a b"),  # its elements are not told apart
        ("def f(x, *xs):\n    xs[0].append(1)", "f(a, b)", "b"),
        ("def f(**named):\n    named['x'].append(1)", "f(x=a)", "a"),
        ("def f(x, y):\n    y.append(1)", "f(a, **{'y': b})", "b"),
        ("def f(x, y):\n    y.append(1)", "f(*[a, b])", "a b"),
        ("def f(x):\n    x[0].append(1)", "f([a])", "a"),
        ("def f(x):\n    return x", "f(a).append(1)", "a"),
        ("def f(x):\n    return [x]", "f(a).append(1)", ""),
        ("def f(x):\n    return [x]", "f(a)[0].append(1)", "a"),
        ("def f(x):\n    x = []\n    x.append(1)", "f(a)", "a"),  # that x is another list by then is not seen
        ("def f(x):\n    log.append(x)", "f(1)", "log"),
        ("def f(x):\n    global b\n    b = x", "f(1)", "b"),
        ("def f(x):\n    def g():\n        x.append(1)\n    return g", "f(a)()", "a"),
        ("def f(x):\n    def g():\n        x.append(1)\n    return g", "f(a)", ""),
        ("def f(g):\n    g(a)", "f(lambda x: x.append(1))", "a"),
        ("def f(g):\n    g(1)", "f(b.append)", "b"),
        ("def f(x):\n    return x.append", "f(a)(1)", "a"),
        ("def f(x):\n    yield x.append(1)", "f(a)", "a"),  # what a generator does is done by its call
        ("def f(x):\n    yield x.append(1)", "list(f(a))", "a"),
        ("def f(n):\n    return n and (log.append(n) or f(n - 1))", "f(2)", "log"),
        ("def f(n):\n    return n and g(n - 1)\ndef g(n):\n    log.append(n)\n    return f(n)", "f(2)", "log"),
        ("def f(x, y):\n    x.append(y)", "f(a, b)", "a"),
        ("import functools\n@functools.singledispatch\ndef f(x): pass\n@f.register(list)\ndef _(x): x.append(1)",
         "f(a)", "a"),
        ("import functools\nf = functools.partial(lambda x, y: y.append(x), 1)", "f(a)", "a"),
        ("def f(x):\n    put = x.append\n    put(1)", "f(a)", "a"),
        ("class B:\n    kept = []\nclass D(B): pass\nd = D()\ndef f(x):\n    x.kept.append(1)", "f(d)", "B D d"),
        ("def f(x, y, z):\n    z.append(1)", "f(*[1], a, b)", "a b"),
        ("def f(x, y, z):\n    x.append(1)", "f(a, *[b, 1])", "a"),
    ],
)  # fmt: skip
def test_a_call_of_a_function_changes_what_it_really_changes(function: str, call: str, changed: str) -> None:
    check_changes(DATA + function, call, changed)


@pytest.mark.parametrize("store", ["x.append(y)", "x[-1] = y", "x[-1:] = [y]", "x += [y]"])
def test_what_a_call_stores_is_held_from_then_on(store: str) -> None:
    setup = f"{DATA}def f(x, y):\n    {store}\nf(a, b)\n"
    check_changes(setup, "a[-1].append(9)", "a b")
    check_changes(setup.replace("\nf(a, b)", ""), "a[-1:].append(9)", "")


def test_each_call_makes_objects_of_its_own() -> None:
    setup = "def make():\n    return []\na = make()\nb = make()\n"
    check_changes(setup, "a.append(1)", "a")
    check_changes("import functools\n@functools.cache\ndef make():\n    return []\na = make()\nb = make()\n",
                  "a.append(1)", "a b make")  # fmt: skip


def test_of_a_call_that_makes_very_much_what_has_the_same_form_is_one() -> None:
    many = ", ".join("[[]]" for _ in range(3 * COPIES))
    _, value = evaluated(f"def f():\n    return [{many}]", "f()")
    (made,) = value.objs
    assert 0 < len(made.edges) < 2 * COPIES
    _, value = evaluated("def f():\n    return [[1], [2]]", "f()")
    (made,) = value.objs
    assert len(made.edges) == 2


def test_a_method_of_an_array_that_a_function_takes_changes_the_array() -> None:
    setup = "import numpy as np\na = np.ones(3)\ndef f(x):\n    fill = x.fill\n    fill(0)"
    check_changes(setup, "f(a)", "a")
    check_changes(setup.replace("fill", "sum"), "f(a)", "")
