from __future__ import annotations

import ast

from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    AbstractValue,
    ClassInfo,
    Effects,
    FunctionInfo,
    Obj,
    live_closure,
    reach,
)


def method(serial: int) -> Obj:
    node = ast.parse("def f(): ...").body[0]
    assert isinstance(node, ast.FunctionDef)
    return Obj("func", serial, info=FunctionInfo(node, frozenset()))


def test_what_is_reached_is_held_at_any_depth_in_circles_too() -> None:
    inner = Obj("data", 1)
    middle = Obj("data", 2, edges=[inner])
    outer = Obj("data", 3, edges=[middle])
    inner.edges.add(outer)
    assert reach([middle]) == {inner, middle, outer}
    assert reach([Obj("data", 4)]) != reach([])


def test_the_class_of_an_object_counts_for_its_behaviour_alone() -> None:
    kind = Obj("class", 1, edges=[Obj("data", 2)])
    one = Obj("inst", 3, life=[kind])
    assert reach([one]) == {one}
    assert live_closure([one]) == {one, kind, *kind.edges}


def test_a_method_is_found_in_the_nearest_class() -> None:
    far, near, own = method(1), method(2), method(3)
    base = ClassInfo("Base", methods={"run": [far], "stop": [far]})
    middle = ClassInfo("Middle", methods={"run": [near]}, bases=[Obj("class", 4, info=base)])
    leaf = ClassInfo("Leaf", methods={"go": [own]}, bases=[Obj("class", 5, info=middle)])
    assert (leaf.find("run"), leaf.find("stop"), leaf.find("none")) == ([near], [far], [])
    assert leaf.all_methods() == [own, near, far, far]
    knot = ClassInfo("Knot")
    knot.bases.append(Obj("class", 6, info=knot))
    assert knot.find("run") == [], "a class that is its own base ends"


def test_calls_of_a_parameter_are_noted_once_and_grow() -> None:
    effects, callee = Effects(), Obj("param", 1)
    first, second = Obj("data", 2), Obj("data", 3)
    assert effects.call_later(callee, "add", [AbstractValue(frozenset({first}), typ="list")])
    assert not effects.call_later(callee, "add", [AbstractValue(frozenset({first}), typ="list")])
    assert not effects.call_later(callee, "add", [ATOM])
    assert effects.call_later(callee, "add", [AbstractValue(frozenset({second}), typ="dict")])
    (((_, method_name, _), given),) = effects.calls.items()
    assert (method_name, given) == ("add", [AbstractValue(frozenset({first, second}))])
    assert effects.call_later(callee, "add", [AbstractValue(const="text")]), "another text is another call"
    assert len(effects.calls) == 2
