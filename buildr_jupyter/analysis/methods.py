"""Methods, by what they are called on: an object of the notebook, a parameter, a part of a module, a library."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue, ClassInfo, FunctionInfo, Obj
from buildr_jupyter.analysis.expressions import changes_its_owner, held_by_classes, part_of_module
from buildr_jupyter.analysis.library_calls import HANDED, Library, objs_of
from buildr_jupyter.analysis.library_methods import TABLED_TYPES, call_library_method, leaves_alone, may_have_methods
from buildr_jupyter.analysis.side_effects import CACHE_METHODS, generators_below
from buildr_jupyter.analysis.state import TABLES

__all__ = ["call_method", "entered", "hand_over"]

_HANDLES = ("data", "iter", "param")


def call_method(
    flow: Library, receiver: AbstractValue, name: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> AbstractValue:
    """Note what calling a method does; return what it may give."""
    given = [*args, *keywords.values()]
    if not receiver.objs:
        return _atomic_method(flow, receiver, name, args, given)
    results: list[AbstractValue] = []
    others: list[Obj] = []
    for obj in receiver.objs:
        if name == "__call__" and obj.kind in ("func", "bound", "class"):
            results.append(flow.invoke(AbstractValue(frozenset((obj,))), args, keywords))
        elif obj.kind == "func" and obj.typ is not None and name in CACHE_METHODS:
            results.append(flow.cache_method(obj.typ, name))
        elif (part := part_of_module(obj)) is not None:
            results.append(_method_of_part(flow, part, name, args, keywords))
        elif obj.kind in ("inst", "class") and (info := flow.class_of(obj)) is not None:
            results.extend(_own_method(flow, obj, info, name, args, keywords, others))
        elif obj.kind == "param":
            mark = "!" if "inplace" in keywords or "out" in keywords else ""
            flow.call_later(obj, f"{name}{mark}", given)
            fresh = name in known.FRESH_METHODS
            results.append(flow.fresh(opaque=True, edges=() if fresh else objs_of(given) | {obj} | obj.edges))
        else:
            others.append(obj)
    if others:
        flow.file_method(name, args, keywords=keywords)
        if receiver.typ is None:
            flow.may_write(name, given)
        exports = name.startswith("to_") and name not in known.FILE_WRITER_METHODS  # to_orc, to_string
        if exports or receiver.typ not in TABLED_TYPES:
            flow.named_files(given, writes=exports or not (leaves_alone(receiver, name) or name in known.DRAWING))
        if name in known.FILE_WRITER_METHODS:  # a connection, a stream, a writer: it is written to
            flow.change_deep(obj for obj in objs_of(given) if obj.kind in _HANDLES and obj.typ not in TABLES)
        results.append(
            call_library_method(flow, AbstractValue(frozenset(others), typ=receiver.typ), name, args, keywords)
        )
    return flow.join(results) if results else ATOM


def entered(flow: Library, manager: AbstractValue) -> AbstractValue:
    """Return what ``as`` names in a ``with`` statement: what the manager gives, or the manager itself."""
    results = [manager]
    for obj in manager.objs:
        info = flow.class_of(obj)
        if obj.kind != "inst" or info is None:
            continue
        own = AbstractValue(frozenset((obj,)))
        results += [flow.apply(one, [], own) for one in info.find("__enter__")]
        results += [flow.element(flow.apply(one, [], own)) for one in info.find("__aenter__")]
    return flow.join(results)


def hand_over(flow: Library, obj: Obj, name: str, given: AbstractValue = ATOM, *, called: bool = False) -> None:
    """Note that a method of an object may be called, where it is not seen that it is one until a call is.

    A call gives it the objects ``given``, or none of which anything is known.
    """
    args = [given] if given.objs else []
    value = AbstractValue(frozenset((obj,)), typ=obj.typ)
    if called and may_have_methods(obj):
        flow.method(value, name, args, {})
        return
    if obj.kind == "param":
        flow.call_later(obj, f"{HANDED}{name}", [])
    elif obj.kind in ("inst", "class") and (info := flow.class_of(obj)) is not None:
        for method in info.find(name):
            flow.apply(method, args, value)
    elif obj.kind in ("data", "iter") and (changes_its_owner(obj, name) or obj.typ == "rng"):
        flow.method(value, name, args, {})


def _method_of_part(
    flow: Library, part: AbstractValue, name: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> AbstractValue:
    """Note a call of what is taken from a part of a module; it may stand for a part of that, too."""
    for generator in generators_below(part.path or ""):
        flow.move_on(generator)
    return flow.invoke(flow.attribute(part, name), args, keywords)


def _own_method(
    flow: Library,
    obj: Obj,
    info: ClassInfo,
    name: str,
    args: list[AbstractValue],
    keywords: Mapping[str, AbstractValue],
    others: list[Obj],
) -> list[AbstractValue]:
    found = info.find(name)
    value = AbstractValue(frozenset((obj,)))
    results: list[AbstractValue] = []
    if found:
        for method in found:
            unbound = obj.kind == "class" and isinstance(method.info, FunctionInfo) and not method.info.static
            bound_to_class = unbound and "classmethod" in _decorators(method)
            results.append(flow.apply(method, args, None if unbound and not bound_to_class else value, keywords))
        return results
    if obj.kind == "inst" and name in known.STORING_METHODS:  # of the dict of its attributes
        flow.change((obj,))
        obj.hold(objs_of([*args, *keywords.values(), *map(flow.element, args)]))
    if name == "__subclasses__" and info.family:
        flow.touch(info.family)
        return results
    held = [inner for inner in obj.edges | held_by_classes(obj) if _is_called(inner)]
    results += [flow.invoke(AbstractValue(frozenset((inner,))), args, keywords) for inner in held]
    if info.foreign or _has_library_base(obj):
        others.append(obj)
    return results


def _atomic_method(
    flow: Library, receiver: AbstractValue, name: str, args: list[AbstractValue], given: list[AbstractValue]
) -> AbstractValue:
    for value in given:
        flow.use(value)
    if name == "join":
        for value in args:
            flow.consume(value)
    flow.file_method(name, args, receiver)
    if name in ("split", "rsplit", "splitlines", "partition", "rpartition"):
        return flow.fresh(typ="list")
    if name in ("open", "iterdir", "glob", "rglob"):
        return flow.fresh(opaque=True)
    return AbstractValue(typ=receiver.typ)


def _is_called(obj: Obj) -> bool:
    """Tell whether an object that an instance holds may be what a method stands for that its class has not."""
    return obj.kind in ("func", "class", "bound", "inst") or may_have_methods(obj)


def _has_library_base(obj: Obj) -> bool:
    """Tell whether a base or the metaclass of the object's class comes from a library: its methods are not known."""
    cls = obj.info if isinstance(obj.info, Obj) else obj
    info = cls.info
    bases = info.bases if isinstance(info, ClassInfo) else []
    return any(owner.kind == "mod" for owner in cls.life) or any(_has_library_base(base) for base in bases)


def _decorators(function: Obj) -> set[str]:
    node = function.info.node if isinstance(function.info, FunctionInfo) else None
    listed = getattr(node, "decorator_list", ())
    return {decorator.id for decorator in listed if isinstance(decorator, ast.Name)}
