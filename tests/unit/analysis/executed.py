"""What a small program really changes and shares when it is run, beside what the analysis says of it."""

from __future__ import annotations

import ast
import collections
import gc
import random
import types
from collections.abc import Iterable, Iterator
from typing import Any

from buildr_jupyter.analysis.abstract_values import AbstractValue, Effects, live_closure
from buildr_jupyter.analysis.statements import Flow

__all__ = ["check_changes", "check_shares", "evaluated", "followed", "last_effects"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, slice)
_UNLISTED = (types.ModuleType, types.BuiltinFunctionType, type, types.CodeType)


def followed(source: str) -> Flow:
    """Return the analysis after the statements of a program."""
    flow = Flow()
    for node in ast.parse(source).body:
        flow.statement(node, cell=0)
    return flow


def last_effects(source: str) -> tuple[Flow, Effects]:
    """Return the analysis and what it says of a program's last statement."""
    *before, last = ast.parse(source).body
    flow = followed(ast.unparse(ast.Module(before, [])))
    return flow, flow.statement(last, cell=1)


def evaluated(setup: str, expression: str) -> tuple[Flow, AbstractValue]:
    """Return the analysis and what it says that an expression may be, once the setup has run."""
    flow = followed(setup)
    flow.facts, flow.bound = Effects(), set()
    return flow, flow.eval(ast.parse(expression, mode="eval").body)


def check_changes(setup: str, statement: str, expected: str) -> None:
    """Fail unless the analysis says that the statement changes just these of the setup's names, and all that it does.

    ``expected`` are names, which white space parts. What really changes is seen by running the setup twice, once with
    the statement: of each name the content is compared.
    """
    flow = followed(setup)
    names = _names(setup)
    before = {name: live_closure(flow.env[name].objs) for name in names}
    (node,) = ast.parse(statement).body
    facts = flow.statement(node, cell=1)
    said = {name for name in names if name in facts.binds | facts.maybe or not before[name].isdisjoint(facts.mutates)}
    without, with_it = _run(setup), _run(setup, statement)
    really = {name for name in names if content(without, name) != content(with_it, name)}
    assert really <= said, f"{statement!r} really changes {sorted(really)}, and the analysis says {sorted(said)}"
    assert said == set(expected.split()), f"the analysis says {sorted(said)}"


def check_shares(setup: str, expression: str, expected: str) -> None:
    """Fail unless the analysis says that what the expression gives shares objects with just these of the names.

    What it really shares is found by following what the result holds in memory.
    """
    flow, value = evaluated(setup, expression)
    names = _names(setup)
    inside = live_closure(value.objs)
    said = {name for name in names if not inside.isdisjoint(flow.env[name].objs)}
    space = _run(setup)
    result = eval(expression, space)
    held = {id(one) for one in _held(result, space)}
    really = {name for name in names if id(space[name]) in held and not isinstance(space[name], _PLAIN)}
    assert really <= said, f"{expression!r} really shares {sorted(really)}, and the analysis says {sorted(said)}"
    assert said == set(expected.split()), f"the analysis says {sorted(said)}"


def content(space: dict[str, Any], name: str) -> object:
    """Return what a name of a program that has ended holds, so that two runs can be compared."""
    return _content(space[name], ()) if name in space else "gone"


def _names(setup: str) -> list[str]:
    """Return the names of a program whose values are looked at, in the order in which they are bound."""
    stored = (node for node in ast.parse(setup).body if isinstance(node, (ast.Assign, ast.FunctionDef, ast.ClassDef)))
    found = [
        node.name if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else getattr(node.targets[0], "id", "")
        for node in stored
    ]
    return [name for name in found if name]


def _run(*sources: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "program"}
    for source in sources:
        exec(source, space)
    return space


def _content(value: Any, above: tuple[int, ...]) -> object:
    if id(value) in above:
        return "itself"
    inside = (*above, id(value))

    def listed(values: Iterable[Any]) -> list[object]:
        return [_content(one, inside) for one in values]

    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, dict):
        return type(value).__name__, listed(value.items())
    if isinstance(value, (list, tuple, collections.deque)):
        return type(value).__name__, listed(value)
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, value))
    if isinstance(value, Iterator):
        return listed(value)
    if hasattr(value, "__wrapped__"):  # of functools: what it remembers of its calls shows nowhere
        return _content(value.__wrapped__, inside)
    if isinstance(value, types.FunctionType):
        return listed([value.__defaults__, value.__dict__, *(cell.cell_contents for cell in value.__closure__ or ())])
    if isinstance(value, type):
        own = [(name, one) for name, one in vars(value).items() if not name.startswith("__")]
        return value.__name__, listed(own)
    if hasattr(value, "__dict__"):
        return type(value).__name__, listed(vars(value).items())
    if hasattr(value, "tolist"):
        return listed(value.tolist())
    return type(value).__name__


def _held(root: Any, space: dict[str, Any]) -> list[Any]:
    """Return what can be got at from an object, modules, classes and the program's own names aside."""
    found, todo, seen = [], [root], {id(space)}
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, _UNLISTED):
            continue
        seen.add(id(one))
        found.append(one)
        if isinstance(one, types.FunctionType):
            todo += [one.__defaults__, one.__kwdefaults__, *(one.__closure__ or ())]
        else:
            todo += gc.get_referents(one)
    return found
