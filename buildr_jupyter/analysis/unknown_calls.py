"""Calls of what is no function of the notebook: it may change what it is given, and call what it holds."""

from __future__ import annotations

from collections.abc import Mapping

from buildr_jupyter.analysis.abstract_values import MADE_CLASS, AbstractValue, FunctionInfo, Obj, reach
from buildr_jupyter.analysis.expressions import GIVE_VALUES, is_foreign
from buildr_jupyter.analysis.library_calls import DEPTH, Library, moves_on, objs_of
from buildr_jupyter.analysis.library_methods import may_have_methods

__all__ = ["call_unknown"]

_PLAIN_CALLABLES = {"numpy", "scipy", "functools", "operator", "pandas", "sympy", "collections", "string"}
_GIVE_AS_IT_IS = frozenset(("functools", "operator", "contextlib", "typing"))
"""Packages whose callables give what the function gives that they hold."""


def call_unknown(
    flow: Library, callee: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> list[AbstractValue]:
    given = [*args, *keywords.values()]
    given_objs = objs_of(given)
    for facts, reached, known_given in flow.calls_within:
        if facts is flow.facts and callee in reached and given_objs <= known_given:
            made = flow.new(edges=known_given, opaque=True)
            return [AbstractValue(known_given | {made})]
    if flow.gives_up():
        return [flow.fresh(opaque=True, edges=given_objs | {callee}, life=callee.life)]
    below = reach((callee,))
    flow.work += len(below)
    flow.change(obj for obj in below if moves_on(obj))  # ``rng.normal``, or a partial of it
    for obj in below if callee.kind != "param" else ():
        if obj.kind == "param":  # what came out of a parameter may be anything that is held there
            flow.call_later(obj, None, given)
    roots = {owner.info for owner in callee.life}
    if roots and not roots <= GIVE_VALUES:  # what a library made of a function keeps what it was given: a cache
        flow.change(obj for obj in below if obj.kind == "data")
    called = ("func", "bound", "class", "inst")
    inside = [obj for obj in below if obj.kind in called and obj is not callee]
    if inside and flow.depth < DEPTH:
        results = _calls_within(flow, callee, inside, frozenset(below), args, keywords)
        if callee.info == MADE_CLASS:
            return [*results, flow.fresh(opaque=True, edges=given_objs | callee.edges | {callee})]
        if not roots <= _GIVE_AS_IT_IS and (found := objs_of(results)):  # it may put that into something: an array
            results.append(flow.fresh(opaque=True, edges=found, life=callee.life))
        return results
    if "functools" in roots:  # a partial of a library's method
        flow.change_deep(obj for obj in below if may_have_methods(obj))
    if not roots & _PLAIN_CALLABLES:
        flow.change((callee,))
    flow.give(given_objs)
    if not roots <= GIVE_VALUES:  # a decorator that a library made keeps what it is given, where it came from, too
        for obj in below:
            if obj.kind == "data" and is_foreign(obj):
                obj.hold(given_objs)
    flow.change_deep(obj for obj in given_objs if moves_on(obj) or is_foreign(obj))
    if not roots or not roots <= GIVE_VALUES:
        flow.change_deep(given_objs)
    inherited = callee.edges if callee.info == MADE_CLASS else frozenset[Obj]()
    return [flow.fresh(opaque=True, edges=given_objs | {callee} | inherited, life=callee.life)]


def _calls_within(
    flow: Library,
    callee: Obj,
    inside: list[Obj],
    reached: frozenset[Obj],
    args: list[AbstractValue],
    keywords: Mapping[str, AbstractValue],
) -> list[AbstractValue]:
    """Return what all may give that something callable holds and may call.

    Instances of a library's classes may call each other, in any order, with what any of them holds. To follow
    each order would grow as a power: so each is called once, with all of it, and a call of one of them with no
    more than that, which comes up meanwhile, adds nothing.
    """
    flow.depth += 1
    try:
        if not any(obj.kind == "inst" for obj in inside):
            return [_handed_on(flow, callee, obj, args, keywords) for obj in inside]
        held = objs_of([*args, *keywords.values()]) | {obj for obj in reached if obj.kind != "mod"}
        if flow.gives_up():
            return [AbstractValue(held)]
        everything = [AbstractValue(held)] * (len(args) + DEPTH)
        all_of_them = [*inside, callee] if callee.kind == "inst" else inside
        flow.calls_within.append((flow.facts, reached, held))
        try:
            return [flow.invoke(AbstractValue(frozenset((obj,))), everything, keywords) for obj in all_of_them]
        finally:
            flow.calls_within.pop()
    finally:
        flow.depth -= 1


def _handed_on(
    flow: Library, callee: Obj, inside: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> AbstractValue:
    """Return what a function may give that something callable holds.

    A partial gives it what it holds, too, before what the call gives: any parameter may be any of it.
    """
    held = frozenset(obj for obj in reach((callee,)) if obj not in (callee, inside) and obj.kind != "mod")
    info = inside.info if isinstance(inside.info, FunctionInfo) else None
    given = AbstractValue(objs_of([*args, *keywords.values()]) | held)
    count = len(info.names) if info is not None else len(args) + 1
    return flow.invoke(AbstractValue(frozenset((inside,))), [given] * count, keywords)
