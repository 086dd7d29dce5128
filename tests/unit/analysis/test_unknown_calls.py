"""Calls of what is no function of the notebook, wherever it lay."""

from __future__ import annotations

import ast

import pytest

from tests.unit.analysis.executed import evaluated, last_effects
from tests.unit.analysis.test_slicer import kept

DATA = "a = [3, 1]\nb = [2]\nlog = []\n"


def test_an_unknown_callee_may_change_what_it_is_given_and_gives_what_holds_it() -> None:
    setup = DATA + "import engine\nconnection = engine.connect()"
    flow, facts = last_effects(setup + "\nconnection.send(a)")
    assert facts.mutates >= flow.env["a"].objs | flow.env["connection"].objs
    flow, value = evaluated(setup, "connection.send(a)")
    assert value.objs >= flow.env["a"].objs
    flow, value = evaluated(setup, "connection(a)")
    (made,) = value.objs
    assert made.opaque
    assert made.edges >= flow.env["a"].objs
    flow, value = evaluated(setup, "nobody_gave_this(a)")
    assert any(flow.env["a"].objs <= one.edges | {one} for one in value.objs)


_HANDED_ON = [
    "fs = [pkg.f]\nfs[0](g)", "d = {'a': pkg.f}\nd['a'](g)", "d = {}\nd.update(a=pkg.f)\nd['a'](g)",
    "for h in [pkg.f]:\n    h(g)", "for h, n in zip([pkg.f], [1]):\n    h(g)", "fs = sorted([pkg.f], key=str)\nfs[0](g)",
    "def w(h):\n    h(g)\nw(pkg.f)", "def get():\n    return pkg.f\nget()(g)", "def gen():\n    yield pkg.f\nfor h in gen():\n    h(g)",
    "def deco(h):\n    def w(*a):\n        return h(*a)\n    return w\nk = deco(pkg.f)\nk(g)",
    "from functools import partial\np = partial(pkg.f)\np(g)", "import operator\noperator.attrgetter('f')(pkg)(g)",
    "import operator\noperator.methodcaller('__call__', g)(pkg.f)", "import sys\nsys.modules['pkg'].f(g)",
    "vars(pkg)['f'](g)", "mods = [pkg]\nmods[0].f(g)", "with pkg.ctx() as h:\n    h(g)", "match pkg.f:\n    case h:\n        h(g)",
    "from collections import namedtuple\nN = namedtuple('N', 'h')\nn = N(pkg.f)\nn.h(g)",
    "class B:\n    def __init__(self, h):\n        self.h = h\n    def go(self, x):\n        self.h(x)\nB(pkg.f).go(g)",
    "import functools\nclass B:\n    h = functools.partialmethod(pkg.f, g)\nB().h()",
    "import numpy as np\nnp.array([pkg.f], dtype=object)[0](g)", "import pandas as pd\npd.Series([pkg.f])[0](g)",
]  # fmt: skip


@pytest.mark.parametrize("head", ["g = []", "g = pkg.Obj()", "from pkg import g", "class A: pass\ng = A()"])
@pytest.mark.parametrize("use", _HANDED_ON)
def test_a_function_that_no_table_knows_may_change_what_it_is_given_wherever_it_lay(head: str, use: str) -> None:
    assert ast.unparse(ast.parse(use).body[-1]) in kept(f"import pkg\n{head}", use, "print(g)")


def test_a_constant_of_a_package_is_no_reason_to_keep_what_it_is_given_to() -> None:
    assert kept("import pkg\ng = [1]", "n = round(2.5, pkg.DIGITS)", "print(g)") == ["g = [1]", "print(g)"]
