"""Arguments of a call, by the parameters of the function that take them."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from buildr_jupyter.analysis.abstract_values import AbstractValue, FunctionInfo, Obj, reach

__all__ = ["places_of", "star_names"]


def places_of(
    info: FunctionInfo, given: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> dict[Obj, frozenset[Obj]]:
    """Return what each parameter, and what each parameter's inside, stands for in this call."""
    arguments = info.node.args if not isinstance(info.node, ast.GeneratorExp) else None
    count = len(arguments.posonlyargs) + len(arguments.args) if arguments else 0
    rest: set[Obj] = set()
    named = dict(zip(info.names[:count], (value.objs for value in given), strict=False))
    for value in given[count:]:
        rest.update(value.objs)
    spread: set[Obj] = set()
    for name, value in keywords.items():
        if name in info.names:
            named[name] = value.objs
        else:
            rest.update(value.objs)
        if name.startswith("**"):  # any of the names may be in it
            spread.update(inner for obj in value.objs for inner in (*obj.edges, *((obj,) if obj.opaque else ())))
    stars = star_names(info)
    named |= dict.fromkeys(stars, frozenset(rest))
    places: dict[Obj, frozenset[Obj]] = {}
    held: dict[frozenset[Obj], set[Obj]] = {}
    for param, name in zip(info.params, info.names, strict=True):
        objs = named[name] if name in named else info.defaults | spread
        places[param] = objs
        if isinstance(param.info, Obj):
            if objs not in held:
                below = reach(set[Obj]().union(*(outer.edges for outer in objs)))
                held[objs] = {obj for obj in below if obj.kind not in ("mod", "class")}
            inner = set(held[objs])
            if name in stars:
                inner.update(objs)
            places[param.info] = frozenset(inner | {obj for obj in objs if obj.opaque})
    return places


def star_names(info: FunctionInfo) -> list[str]:
    """Return the names of the parameters that take all that is left: ``*args`` and ``**kwargs``."""
    arguments = info.node.args if not isinstance(info.node, ast.GeneratorExp) else None
    return [star.arg for star in (arguments.vararg, arguments.kwarg) if star is not None] if arguments else []
