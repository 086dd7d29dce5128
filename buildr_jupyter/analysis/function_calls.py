"""Calls of the notebook's functions: what the summary of one says, said of these arguments."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping

from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    NOTHING,
    AbstractValue,
    ClassInfo,
    Effects,
    FunctionInfo,
    Obj,
    reach,
)
from buildr_jupyter.analysis.argument_places import places_of, star_names
from buildr_jupyter.analysis.expressions import STORED
from buildr_jupyter.analysis.library_calls import COPIES, DEPTH, GIVEN, HANDED, HELD, Library, objs_of
from buildr_jupyter.analysis.methods import hand_over
from buildr_jupyter.analysis.summaries import summary

__all__ = ["call_function"]


def call_function(
    flow: Library,
    function: Obj,
    args: list[AbstractValue],
    self_val: AbstractValue | None = None,
    keywords: Mapping[str, AbstractValue] | None = None,
) -> AbstractValue:
    """Note what a call of the notebook's function does with these arguments; return what it may give."""
    info = function.info
    if not isinstance(info, FunctionInfo):
        return ATOM
    facts = summary(flow, info)
    if flow.depth >= DEPTH or flow.gives_up():
        # Too much to follow: what came before is kept, all of it.
        flow.facts.everything = flow.facts.everything or 1
        flow.change_deep(objs_of(args))
        facts = None
    if facts is None:
        return flow.fresh(opaque=True, edges=objs_of(args)) if objs_of(args) else ATOM
    given = list(args) if self_val is None or info.static else [self_val, *args]
    places = {**function.places, **places_of(info, given, keywords or {})}
    for param, cls in info.classes.items():
        places[cls] = flow.classes_of(places[param])
    flow.work += sum(map(len, places.values()))
    if info.owner is not None:
        places[info.owner] = frozenset((function,))
    call = facts, function, *(value.objs for value in (*given, *(keywords or {}).values()))
    for name in star_names(info):
        param = info.params[info.names.index(name)]
        if rest := places[param]:  # a tuple or a dict of what was given
            made = flow.made_by.setdefault((flow.facts, call), {})
            made[param] = made.get(param) or flow.new()
            made[param].hold(rest)
            places[param] = rest | {made[param]}
    flow.depth += 1
    flow.calls += 1
    try:
        result = _take(flow, info, facts, places, function, call)
    finally:
        flow.depth -= 1
    return _from_cache(flow, function, result) if function.typ is not None else result


def _from_cache(flow: Library, function: Obj, result: AbstractValue) -> AbstractValue:
    """Note a call of a function that keeps its results; what it gives may be given to others, too."""
    assert function.typ is not None
    flow.facts.mutates.add(flow.world_object(function.typ))
    if not result.objs:
        return result
    return result._replace(objs=result.objs | {one for one in function.life if one.info == "results"})


def _take(
    flow: Library,
    info: FunctionInfo,
    facts: Effects,
    places: dict[Obj, frozenset[Obj]],
    function: Obj,
    call: tuple[Hashable, ...],
) -> AbstractValue:
    copies: dict[Obj, Obj] = {}
    made_before = flow.made_by.setdefault((flow.facts, call), {})

    def put(objs: Iterable[Obj]) -> set[Obj]:
        found: set[Obj] = set()
        for obj in objs:
            if obj in places:
                found.update(places[obj])
            elif info.start < obj.serial <= info.end and obj.kind in ("data", "iter", "func", "bound", "inst"):
                found.add(copy(obj))
            else:
                found.add(obj)
        return found

    merged: dict[tuple[object, ...], Obj] = {}

    def merge(obj: Obj) -> Obj:
        # Of a call that makes very much, what has the same form is one object: a chain of calls stays small.
        key = obj.kind, obj.info, obj.typ, obj.opaque
        made = copies[obj] = merged.get(key) or flow.new(obj.kind, info=obj.info, opaque=obj.opaque, typ=obj.typ)
        merged[key] = made
        made.life.update(obj.life)
        made.edges.update(put(obj.edges))
        if obj.kind == "func":
            for inner, objs in (*places.items(), *obj.places.items()):
                found = objs if inner in places else frozenset(put(objs))
                made.places = {**made.places, inner: made.places.get(inner, NOTHING) | found}
        return made

    def copy(obj: Obj) -> Obj:
        # What the function itself made is made anew by each call; the same call again in the same statement makes
        # objects of which one stands for all, so that what they hold does not grow with each look at it.
        made = copies.get(obj)
        if made is None:
            flow.work += 1
            if len(copies) > COPIES:
                return merge(obj)
            made = copies[obj] = made_before.get(obj) or flow.new(
                obj.kind, info=obj.info, opaque=obj.opaque, life=obj.life, typ=obj.typ
            )
            made_before[obj] = made
            made.edges.update(put(obj.edges))
            if obj.kind == "func":
                made.places = places | {inner: frozenset(put(objs)) for inner, objs in obj.places.items()}
        return made

    here = Effects(reads=facts.reads, maybe=facts.maybe | facts.binds, everything=facts.everything)
    here.origins.update(facts.origins)
    here.absent.update(facts.absent)
    flow.merge(here, certain=False)
    for name, value in facts.assigned.items():
        flow.set_global(name, value._replace(objs=frozenset(put(value.objs)), const=None), weak=True)
    for token in facts.binds:
        if token.startswith("@"):
            flow.seed(token[1:], weak=True)
    if facts.mutates:
        flow.change(put(facts.mutates))
        if info.owner in facts.mutates:  # what it captured is shared with the functions beside it
            flow.change(obj for obj in function.edges if obj.kind in ("data", "iter", "inst"))
    # What is stored into a parameter, its own or one of the call that made it, is held by what was given.
    own = {param.info for param in info.params}
    flow.facts.raised.update(put(facts.raised))
    for param, targets in places.items():
        if param.kind != "param" or not targets or param in own:
            continue
        if extra := param.edges - {param.info}:
            stored = put(obj for obj in extra if obj is not param)
            for target in targets:
                target.hold(stored)
    for holder, held in _stored(flow, info, facts):
        for target in places.get(holder, (holder,)):  # a closure stands for the function that is called
            target.hold(put(held))
            for beside in target.edges if target is function else ():
                if beside.info == "closure" or (beside.kind == "data" and beside.typ in ("list", "dict", "set")):
                    beside.hold(put(held))
    if facts.calls:
        _follow(flow, call, facts, places, put)
    if info.generator:
        edges = put(facts.returns)
        for objs in places.values():
            edges |= objs
        made = flow.new("iter", edges=edges, life=(function,))
        made.places = {function: frozenset(put(facts.mutates))} if facts.mutates else made.places
        return AbstractValue(frozenset((made,)))
    given = frozenset(obj for obj in put(facts.returns) if not _is_no_method(flow, obj))
    return AbstractValue(given, typ=facts.return_typ)


def _stored(flow: Library, info: FunctionInfo, facts: Effects) -> list[tuple[Obj, tuple[Obj, ...]]]:
    """Return what a function stores into what was there before it: a registry that each call adds an entry to."""
    if facts.stored is not None:
        return facts.stored
    end = flow.serial if info.busy else info.end

    def is_own(obj: Obj) -> bool:
        return info.start < obj.serial <= end or obj.kind == "param"  # those of functions around it, too

    outside = [obj for obj in facts.mutates if obj.edges and not is_own(obj)]
    found = [(obj, tuple(filter(is_own, obj.edges))) for obj in outside]
    stored = [(obj, held) for obj, held in found if held]
    if not info.busy:
        facts.stored = stored
    return stored


def _is_no_method(flow: Library, obj: Obj) -> bool:
    """Tell whether what was taken for a method is certainly none: the classes of its owners have none so named."""
    owners = [flow.class_of(one) if one.kind == "inst" else None for one in obj.edges]
    return obj.kind == "bound" and all(
        info is not None and not info.foreign and not info.find(str(obj.info)) for info in owners
    )


def _follow(
    flow: Library,
    call: tuple[Hashable, ...],
    facts: Effects,
    places: dict[Obj, frozenset[Obj]],
    put: Callable[[Iterable[Obj]], set[Obj]],
) -> None:
    """Note what a call does by the calls of its parameters."""
    roots = {obj for objs in places.values() for obj in objs}
    for (callee, _, _), values in facts.calls.items():
        roots.add(callee)
        roots.update(objs_of(values))

    def follow() -> None:
        size = len(reach(roots))
        for (callee, method, _), values in list(facts.calls.items()):
            flow.work += size
            if flow.gives_up():
                return
            args = [value._replace(objs=frozenset(put(value.objs))) for value in values]
            for target in places.get(callee, (callee,)):
                _deferred(flow, target, method, args)

    flow.once((*call, len(facts.calls)), roots, follow)


def _deferred(flow: Library, target: Obj, method: str | None, given: list[AbstractValue]) -> None:
    value = AbstractValue(frozenset((target,)), typ=target.typ)
    if method is None:
        flow.invoke(value, given)
        info = flow.class_of(target) if target.kind == "inst" else None
        if info is not None and not info.find("__call__"):  # a method, by a name that was put together
            for method_of_it in info.all_methods():
                flow.apply(method_of_it, given, value)
    elif method.startswith("@"):
        flow.attribute(value, method[1:])
        hand_over(flow, target, method[1:])  # a method that the function took from it may be called there
    elif method.startswith(HANDED):
        hand_over(flow, target, method.removeprefix(HANDED))
    elif method.startswith(STORED):
        for one in given:
            flow.attribute_stored(target, method.removeprefix(STORED), one)
    elif method == HELD:
        if target.kind not in ("func", "bound", "mod"):
            for keeper in flow.keepers((target,)):
                keeper.hold(objs_of(given))
        if target.kind == "param":
            flow.call_later(target, method, given)
    elif method == GIVEN:
        flow.give((target,))
    elif method == "__iter__":
        flow.consume(value)
    elif method == "__getitem__":
        flow.use_item(value, *given[:1])
    elif method.startswith("super:"):
        info = flow.class_of(target)
        for base in info.bases if info else ():
            for found in base.info.find(method[6:]) if isinstance(base.info, ClassInfo) else ():
                flow.apply(found, given, value)
        if target.kind == "param":
            flow.call_later(target, method, given)
    else:
        name, mark, _ = method.partition("!")
        flow.method(value, name, given, {"inplace": ATOM} if mark else {})
