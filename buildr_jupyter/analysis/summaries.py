"""Summaries of the notebook's functions: what each does when called, found once for each state of what it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from buildr_jupyter.analysis.abstract_values import AbstractValue, Effects, FunctionInfo, Obj
from buildr_jupyter.analysis.library_calls import Library
from buildr_jupyter.analysis.state import ROUNDS, Frame

__all__ = ["methods_of_parameters", "summary"]


def summary(flow: Library, info: FunctionInfo) -> Effects | None:
    """Return what the function does when called; None while it is being found (a recursion)."""
    if info.busy:
        flow.recursion_met = True
        return info.partial
    env = flow.env
    holds = info.epoch in (-1, flow.epoch)
    if info.facts is not None and holds and all(env.get(name) is value for name, value in info.rests_on.items()):
        for outer in flow.building:
            for name, value in info.rests_on.items():
                outer.rests_on.setdefault(name, value)
        return info.facts
    if isinstance(info.node, ast.GeneratorExp):
        return info.facts
    if flow.building:
        _look_into(flow, info)
    else:
        _look_into_all(flow, info)
    for outer in flow.building:
        for name, found in info.rests_on.items():
            outer.rests_on.setdefault(name, found)
    return info.facts


def _look_into_all(flow: Library, info: FunctionInfo) -> None:
    """Look into a function and all that it calls, again and again while some call each other and more is found.

    In one round each function is looked into once; a call of one that is being looked into does what was found in
    the round before.
    """
    flow.session += 1
    flow.recursion_met = False
    flow.looked_into.clear()
    flow.made_inside.clear()
    flow.session_start = flow.serial
    for _ in range(ROUNDS):
        flow.epoch += 1
        flow.more_found = False
        _look_into(flow, info)
        if not (flow.recursion_met and flow.more_found):
            break
    else:
        assert info.facts is not None
        info.facts.everything = info.facts.everything or 1
    for one in flow.looked_into:
        one.epoch, one.partial = -1, None  # what was found holds from now on


def _look_into(flow: Library, info: FunctionInfo) -> None:
    """Find what a function does when called, by what is known of those that it calls."""
    if info.session != flow.session:
        info.session = flow.session
        inside = info.owner is not None and info.owner.serial > flow.session_start
        if inside and (before := flow.made_inside.get(info.node)) is not None:
            # A function within one that is looked into is made anew in each round: it goes on where the last one was.
            info.partial, info.start = before.facts, before.start
            info.params, info.classes = before.params, before.classes
        else:
            info.partial = None
            info.start = flow.serial
            _make_params(flow, info)
        if inside:
            flow.made_inside[info.node] = info
        info.rests_on = {}
    else:
        info.partial = info.facts
    info.busy, info.epoch = True, flow.epoch
    flow.building.append(info)
    try:
        info.facts = _body(flow, info)
    finally:
        flow.building.pop()
        info.busy = False
    info.end = flow.serial
    flow.looked_into.append(info)
    if not _same(info, info.facts, info.partial):
        flow.more_found = True


def _body(flow: Library, info: FunctionInfo) -> Effects:
    """Return what the statements of a function do, by what is known of its own calls so far."""
    saved = (flow.facts, flow.bound, flow.frames, flow.inner, flow.weak)
    flow.facts, flow.bound, flow.inner, flow.weak = Effects(), set(), [], 0
    frame = Frame(info.locals, info.owner)
    frame.function = info
    frame.vals.update({name: _param_value(info, number) for number, name in enumerate(info.names)})
    flow.frames = [frame]
    try:
        if isinstance(info.node, ast.Lambda):
            value = flow.eval(info.node.body)
            flow.facts.returns.update(value.objs, methods_of_parameters(flow, info.node.body))
            flow.facts.return_typ = value.typ
        elif not isinstance(info.node, ast.GeneratorExp):
            flow.block(info.node.body)
        return flow.facts
    finally:
        flow.facts, flow.bound, flow.frames, flow.inner, flow.weak = saved


def methods_of_parameters(flow: Library, node: ast.expr) -> list[Obj]:
    """Return what an expression that a function gives may be beside its value: a method that a parameter has."""
    if not isinstance(node, ast.Attribute):
        return []
    owners = [obj for obj in flow.base(node.value).objs if obj.kind == "param"]
    return [flow.new("bound", info=node.attr, edges=(obj,)) for obj in owners]


def _make_params(flow: Library, info: FunctionInfo) -> None:
    info.params = []
    info.classes = {}
    for name in info.names:
        inner = flow.new("param", opaque=True)
        param = flow.new("param", info=inner, edges=(inner,), typ=None)
        inner.info = name
        info.params.append(param)


def _param_value(info: FunctionInfo, number: int) -> AbstractValue:
    return AbstractValue(frozenset((info.params[number],)) | info.defaults)


def _same(info: FunctionInfo, found: Effects, before: Effects | None) -> bool:
    """Tell whether a round found no more than the one before: what is made anew in each round does not count."""
    if before is None:
        return False

    def outer(objs: Iterable[Obj]) -> set[Obj]:
        params = {*info.params, *(param.info for param in info.params), *info.classes.values()}
        return {obj for obj in objs if obj.serial <= info.start or obj in params}

    return (
        found.reads == before.reads
        and found.maybe == before.maybe
        and found.binds == before.binds
        and outer(found.mutates) == outer(before.mutates)
        and outer(found.returns) == outer(before.returns)
        and {key for key in found.calls if key[0] in info.params}
        == {key for key in before.calls if key[0] in info.params}
    )
