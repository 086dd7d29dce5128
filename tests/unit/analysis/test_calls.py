"""The node of a call, and what it may call, compared with what it really does."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.abstract_values import AbstractValue, Effects
from buildr_jupyter.analysis.library_calls import BOUND_CALLS, CALLS, DEPTH, WORK
from tests.unit.analysis.executed import followed, last_effects

DATA = "a = [3, 1]\nb = [2]\nlog = []\n"


@pytest.mark.parametrize(
    ("attribute", "most", "changed"),
    [("depth", DEPTH, "a"), ("work", WORK + 1, "a b log"), ("calls", CALLS + 1, "a b log")],
)
def test_what_is_too_much_to_follow_keeps_everything(attribute: str, most: int, changed: str) -> None:
    flow = followed(DATA + "def f(x):\n    pass")
    flow.facts = Effects()
    setattr(flow, attribute, most)
    flow.invoke(flow.env["f"], [flow.env["a"]])
    assert flow.facts.everything == 1
    assert {name for name in ("a", "b", "log") if flow.env[name].objs & flow.facts.mutates} == set(changed.split())


def test_methods_that_are_given_each_other_end() -> None:
    flow = followed(DATA + "s = b.append")
    flow.facts = Effects()
    (method,) = [one for one in flow.env["s"].objs if one.kind == "bound"]
    flow.bound_calls = [method] * BOUND_CALLS
    flow.call_bound(method, [flow.env["a"]])
    assert flow.facts.mutates >= flow.env["a"].objs | flow.env["b"].objs
    flow.facts, flow.bound_calls = Effects(), []
    flow.call_bound(method, [flow.env["a"]])
    assert flow.facts.mutates == flow.env["b"].objs
    assert flow.bound_calls == []


def test_get_ipython_is_ipythons_unless_the_notebook_has_one_of_that_name() -> None:
    node = ast.parse("get_ipython()", mode="eval").body
    assert followed("a = 1").asks_kernel(node)
    assert not followed("def get_ipython(): pass").asks_kernel(node)
    assert not followed("a = 1").asks_kernel(ast.parse("other()", mode="eval").body)


def test_a_method_that_a_call_is_given_is_called_where_the_callee_calls() -> None:
    setup = DATA + "import engine\nimport pandas as pd\nframe = pd.DataFrame({})"
    flow, facts = last_effects(setup + "\nframe.apply(log.append)")
    assert facts.mutates >= flow.env["log"].objs
    flow, facts = last_effects(DATA + "class C:\n    def m(self, *x):\n        log.append(1)\nc = C()\nprint(c.m)")
    assert flow.env["log"].objs <= facts.mutates
    assert not flow.env["b"].objs & facts.mutates


@pytest.mark.parametrize(
    ("keyword", "changes"),
    [("inplace=True", True), ("inplace=False", False), ("inplace=flag", True), ("axis=0", False)],
)
def test_a_keyword_that_says_nothing_is_none(keyword: str, changes: bool) -> None:
    setup = "import pandas as pd\nflag = 1\nframe = pd.DataFrame({'x': [1]})"
    flow, facts = last_effects(f"{setup}\nframe.dropna({keyword})")
    assert (not flow.env["frame"].objs.isdisjoint(facts.mutates)) is changes


def test_a_subclass_list_is_what_classes_made_it() -> None:
    program = "class B: pass\nclass D(B): pass\nB.__subclasses__()"
    _, facts = last_effects(program)
    assert [one for one in facts.reads if one.startswith("@subclasses")] != []


def test_the_value_of_a_call_of_nothing_known() -> None:
    flow = followed("a = [1]")
    flow.facts = Effects()
    value = flow.invoke(AbstractValue(), [flow.env["a"]])
    (made,) = value.objs
    assert made.opaque
    assert made.edges == set(flow.env["a"].objs)
