"""Methods of what libraries and Python's own types made: what the tables say of them, and what where none does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue, FunctionInfo, Obj, packages_of, reach
from buildr_jupyter.analysis.expressions import is_foreign
from buildr_jupyter.analysis.library_calls import ASKED, DEPTH, Library, not_plain, objs_of, opaque
from buildr_jupyter.analysis.names_in_text import TEXT_BLIND, read_forward, read_named, read_query
from buildr_jupyter.analysis.state import TABLES
from buildr_jupyter.analysis.table_cells import cells_of, in_tables

__all__ = ["TABLED_TYPES", "call_library_method", "held_called", "leaves_alone", "may_have_methods"]

TABLED_TYPES = {*TABLES, "list", "dict", "set", "tuple", "frozenset", "str", "bytes", "ndarray", "rng"}
_TABLED_LIBRARIES = known.METHODS.keys()
_DRAWS = re.compile(r"rvs|.*(random|sample|draw|simulat|bootstrap|permut|shuffle)")
"""Names of methods of a distribution, or a density, that draw from numpy's global generator."""
_CONTAINERS = {one.__name__: one for one in (list, dict, set, tuple, frozenset)}
_IN_PLACE = {"inplace", "out"}
_ENTERS = ("__enter__", "__exit__", "enter_context", "push", "close")
"""Methods of managers, and of stacks of managers, that are opened and closed without a ``with``."""


def call_library_method(
    flow: Library, receiver: AbstractValue, name: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> AbstractValue:
    given = [*args, *keywords.values()]
    cells = frozenset(obj for obj in receiver.objs if obj.kind == "data" and obj.typ in _CONTAINERS)
    if cells and receiver.typ in TABLES:  # what lies in a cell has methods of its own
        own = receiver._replace(objs=receiver.objs - cells)
        asked = AbstractValue(frozenset(cell for cell in cells if hasattr(_CONTAINERS[cell.typ or ""], name)))
        made = [call_library_method(flow, one, name, args, keywords) for one in (asked, own) if one.objs]
        return flow.join(made) if made else ATOM
    made_by_functions = flow.call_back(given, receiver)
    typ = receiver.typ
    objs = receiver.objs
    if name in ("query", "eval") and args:
        read_query(flow, args[0])
    _parts_called(flow, objs)
    if name in _ENTERS:  # what sets an option while it is open sets it for all of its package
        flow.change(one for obj in (*objs, *objs_of(given)) for one in obj.life if one.kind == "mod")
    if name not in known.METHOD_NAMES:
        _fields_called(flow, objs, args, keywords)
    if "random_state" not in keywords and (name == "sample" or _is_of(objs, "sklearn")):
        flow.draw_by_object(objs, name)
    if _DRAWS.match(name) and not {"random_state", "seed"} & keywords.keys() and _is_of(objs, "scipy"):
        flow.draw("rng:numpy")
    libraries = packages_of(objs)
    if not _is_in_tables(receiver, libraries):
        if _only_asks(libraries, name) and not _IN_PLACE & keywords.keys():
            flow.change((flow.world_object(ASKED),))
            return _leaves_alone(flow, receiver, given, (), changes=False)
        return _unknown_method(flow, receiver, name, args, given, made_by_functions)
    changes = (
        "inplace" in keywords
        or "out" in keywords
        or any(name in known.CHANGES_BY_TYPE.get(obj.typ or "", ()) for obj in objs)
        or any(obj.typ == "rng" for obj in objs)
    )
    if "out" in keywords:
        flow.change_deep(keywords["out"].objs)
    if typ not in TABLES or typ == "ndarray":  # a method of an array takes its ``out`` where numpy's function does
        flow.change_deep(objs_of(args[known.OUT_POSITIONS.get(name, len(args) + 1) - 1 :]))
    if name in known.MUTATING_METHODS_OF_ARGUMENTS and args:
        flow.change(args[0].objs)
    flow.give(objs_of(given))
    parts = [*given, *map(flow.element, given)]
    flow.change_deep(obj for obj in objs_of(parts) if is_foreign(obj) or _is_drawn_on(obj))
    iterator = any(obj.kind == "iter" for obj in objs)
    for obj in objs if iterator and given else ():
        obj.hold(objs_of(given))  # ``send`` of a generator
    if name in known.SHALLOW_METHODS and typ not in TABLES:
        flow.change(objs)
        # One that stands for what it holds, and an archive, which is its file.
        flow.change_deep(obj for obj in objs if obj.opaque or obj.info == "file")
        if name in known.STORING_METHODS:
            _store(flow, objs, name, args, given)
    elif changes or iterator or not (known.is_quiet(name, typ, libraries) or (typ in TABLES and name == "plot")):
        flow.change_deep(objs)
        flow.change(obj for obj in objs if obj.kind == "mod")  # ``asyncio.get_event_loop().set_debug(True)``
        if re.match(r"add|set|insert|push|append|register|attach|put", name):
            _store(flow, objs, name, args, given)
    result = _method_result(flow, receiver, name, given, libraries)
    if new := frozenset(obj for obj in made_by_functions - receiver.objs if obj.kind != "mod"):
        for obj in result.objs if typ in TABLES else ():
            if obj.kind == "data":
                obj.hold(new)
    return result


def _unknown_method(
    flow: Library,
    receiver: AbstractValue,
    name: str,
    args: list[AbstractValue],
    given: list[AbstractValue],
    made_by_functions: set[Obj],
) -> AbstractValue:
    """Note a method of an object that no table speaks of: it may change all that it can reach, and keep it.

    A name says nothing: ``get`` takes an item out of a queue, ``simplify`` works in place on a matrix.
    """
    held = objs_of(given)
    if flow.gives_up():
        made = flow.new(edges=receiver.objs | held, opaque=True, life=flow.lives(receiver))
        return AbstractValue(receiver.objs | held | {made})
    roots = packages_of(receiver.objs)
    if roots == {"matplotlib"} and name in known.DRAWING:
        return _leaves_alone(flow, receiver, args, given[len(args) :], changes=True)
    flow.may_draw(roots)
    flow.named_files(given, writes=False)
    if not roots or not roots <= TEXT_BLIND:
        read_named(flow, given)
    read_forward(flow, receiver.objs)
    flow.change_deep(receiver.objs)
    flow.change(obj for obj in receiver.objs if obj.kind in ("func", "class", "mod"))
    flow.change_deep(held)
    given_by = held_called(flow, receiver, args) | {obj for obj in made_by_functions if obj.kind != "mod"}
    for obj in flow.keepers(receiver.objs):
        obj.hold(held)
        if isinstance(obj.info, FunctionInfo):
            obj.info.registered.extend(one for one in held if one.kind == "func" and one is not obj)
    made = flow.new(edges=receiver.objs | held | given_by, opaque=True, life=flow.lives(receiver))
    return AbstractValue(receiver.objs | held | {made})


def held_called(flow: Library, receiver: AbstractValue, args: list[AbstractValue]) -> set[Obj]:
    """Note that a library's object may call the notebook's functions and objects that it holds, and may give more."""
    made: set[Obj] = set()
    below = reach(receiver.objs)
    flow.work += len(below)
    for inside in [o for o in below if o.kind in ("func", "bound", "inst")]:
        if flow.depth < DEPTH and inside not in receiver.objs and not flow.gives_up():
            flow.depth += 1
            made |= flow.invoke(AbstractValue(frozenset((inside,))), args).objs
            flow.depth -= 1
    return made


def _leaves_alone(
    flow: Library, receiver: AbstractValue, data: list[AbstractValue], others: Iterable[AbstractValue], *, changes: bool
) -> AbstractValue:
    """Note a method that changes no data which it is given, and its object only where it ``changes``."""
    changed = objs_of(others) | not_plain(data)
    for value in data:
        flow.consume(value)
    flow.give(objs_of(data))
    flow.change_deep(changed | receiver.objs if changes else changed)
    held_called(flow, receiver, data)
    for obj in flow.keepers(receiver.objs):
        obj.hold(changed)
    made = flow.new(edges=receiver.objs | changed | objs_of(data), opaque=True, life=flow.lives(receiver))
    return AbstractValue(receiver.objs | {made})


def _parts_called(flow: Library, objs: Iterable[Obj]) -> None:
    """Note that a library's object may call the methods of the notebook's objects that it holds."""
    if not flow.user_code or flow.depth >= DEPTH or flow.gives_up():
        return
    below = reach(objs)
    flow.work += len(below)
    for inside in below:
        if inside.kind == "inst" and inside not in objs:
            flow.once(("parts", inside), (inside,), partial(flow.methods_called, inside))


def _fields_called(
    flow: Library, objs: Iterable[Obj], args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> None:
    """Note that what a library's object holds may be called by a name that is none of its own: a field's."""
    inside = {one for obj in objs if obj.kind == "data" for one in obj.edges}
    for method in [one for one in inside if one.kind == "bound"]:
        flow.called_once(method, [*args, *keywords.values()])
    functions = frozenset(one for one in inside if one.kind == "func")
    if functions and flow.depth < DEPTH:
        flow.depth += 1
        flow.invoke(AbstractValue(functions), args, keywords)
        flow.depth -= 1


def _store(
    flow: Library, objs: Iterable[Obj], name: str, args: list[AbstractValue], given: list[AbstractValue]
) -> None:
    stored = set(objs_of(given))
    if name in ("extend", "update", "extendleft"):
        for value in args:
            flow.consume(value)
            stored.update(flow.element(value).objs)
    for obj in flow.keepers(objs):
        obj.hold(stored)


def _method_result(
    flow: Library, receiver: AbstractValue, name: str, given: list[AbstractValue], libraries: set[object]
) -> AbstractValue:
    objs, typ = receiver.objs, receiver.typ
    lives = flow.lives(receiver)
    if name in known.ITERATOR_METHODS or (name == "split" and typ not in TABLES):
        return AbstractValue(frozenset((flow.new("iter", edges=objs | objs_of(given), life=lives),)))
    if name == "copy" and typ not in TABLES:
        return flow.fresh(edges=flow.element(receiver).objs, typ=typ, life=lives, opaque=opaque(objs))
    if known.is_fresh(name, typ, libraries) or name in ("fit_transform", "fit_predict"):
        kept = typ if typ in TABLES else None
        if name in ("to_list", "tolist", "to_dict"):
            kept = "list"
        edges = {obj for obj in objs if obj.kind == "iter"} if typ not in TABLES else set()
        in_cells = in_tables(objs)
        if any(obj.typ in TABLES for obj in objs):
            edges |= in_cells | cells_of(given)
        fresh = flow.fresh(opaque=True, typ=kept, life=lives, edges=edges)
        return fresh._replace(objs=fresh.objs | in_cells)  # ``item`` and ``max`` give what lies in a cell
    if name in ("keys", "values", "items") and typ not in TABLES:
        # A view shows what its dict becomes.
        inside = flow.element(receiver).objs
        if name == "items":
            pair = flow.new(edges=inside, typ="tuple")
            return AbstractValue(frozenset((flow.new(edges=(pair,), life=objs, info="items"),)))
        return AbstractValue(inside | {flow.new(edges=inside, life=objs, info="view")})
    if name in ("get", "pop", "popleft", "popitem", "setdefault", "most_common"):
        element = flow.element(receiver)
        inner = element.objs | objs_of(given)
        return AbstractValue(inner | {flow.new(edges=inner)}, typ=element.typ) if inner else flow.fresh()
    if typ in ("list", "dict", "set") and name in known.SHALLOW_METHODS:
        return ATOM
    made = flow.new(edges=objs | objs_of(given), opaque=True, life=lives)
    return AbstractValue(objs | {made}, typ=typ if typ in TABLES else None)


def _is_drawn_on(obj: Obj) -> bool:
    """Tell whether an object is a part of a figure: a method that is given it draws there."""
    return obj.kind in ("data", "iter") and any(one.kind == "mod" and one.info == "matplotlib" for one in obj.life)


def _is_of(objs: Iterable[Obj], package: str) -> bool:
    """Tell whether an object is a package's: made by it, of a class that stems from one of it, or a part of it."""
    owners = [one for obj in objs for one in (obj, *obj.life)]
    owners += [one for owner in owners if owner.kind == "class" for one in owner.life]
    return any(owner.kind == "mod" and owner.info == package for owner in owners)


def leaves_alone(receiver: AbstractValue, name: str) -> bool:
    """Tell whether a method is known to leave its object alone: that depends on whose object it is."""
    libraries = packages_of(receiver.objs)
    return _is_in_tables(receiver, libraries) and known.is_quiet(name, receiver.typ, libraries)


def _is_in_tables(receiver: AbstractValue, libraries: set[object]) -> bool:
    """Tell whether the tables of methods speak of this receiver: its type is known, or its libraries are in them."""
    if receiver.typ in TABLED_TYPES:
        return True
    if libraries:
        return libraries <= _TABLED_LIBRARIES
    return all(obj.kind in ("data", "iter", "mod") and not obj.opaque for obj in receiver.objs)


def _only_asks(libraries: set[object], name: str) -> bool:
    """Tell whether a method of this name only looks at objects of those of the libraries that no table has whole."""
    own = libraries - _TABLED_LIBRARIES
    return bool(own) and all(name in known.QUESTIONS.get(root, ()) for root in own if isinstance(root, str))


def may_have_methods(obj: Obj) -> bool:
    """Tell whether a library's object may have methods that change it, and that no table knows."""
    return obj.kind == "data" and obj.opaque and obj.typ not in TABLES
