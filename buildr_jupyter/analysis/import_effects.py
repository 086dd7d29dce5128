"""Effects of an import, read from a module's own text: what it does beside defining names."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator

from buildr_jupyter.analysis import library_tables as known

__all__ = ["KNOWN_ROOTS", "iter_effects"]

KNOWN_ROOTS = sys.stdlib_module_names | known.QUIET_MODULES | known.LIBRARIES_WITHOUT_STATE
"""Packages that change nothing outside of themselves by being imported, the tables of those that do aside."""
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_QUIET_CALLS = known.QUIET_MODULES | known.LIBRARIES_WITHOUT_STATE | known.ATOMIC_BUILTINS | {"list", "dict", "set"}
_PLAIN_DECORATORS = frozenset((
    "property", "staticmethod", "classmethod", "dataclass", "dataclasses", "functools", "abc", "contextmanager",
    "contextlib", "cache", "lru_cache", "cached_property", "wraps", "total_ordering", "abstractmethod", "overload",
))  # fmt: skip


def iter_effects(source: str) -> Iterator[bool | str]:
    """Yield True for each thing that importing the module does to others, and the dotted names that it imports.

    A call of a function that is not known, a store into another module and a decorator that may register count.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        yield True
        return
    yield from _block(tree.body)


def _block(body: Iterable[ast.stmt]) -> Iterator[bool | str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, _DEFINITIONS):
            yield from _definition(node)
        elif isinstance(node, ast.If):
            if not _is_main(node.test):
                yield from _block((*node.body, *node.orelse))
        elif isinstance(node, ast.Try):
            yield from _block((*node.body, *(one for h in node.handlers for one in h.body), *node.orelse))
            yield from _block(node.finalbody)
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(inner, ast.Attribute) for target in targets for inner in ast.walk(target)):
                yield True  # it may be another module's
            if node.value is not None and _calls_unknown(node.value):
                yield True
        elif isinstance(node, ast.Expr):
            if not isinstance(node.value, ast.Constant):
                yield True
        elif not isinstance(node, (ast.Pass, ast.Global)):
            yield True


def _definition(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[bool | str]:
    for decorator in node.decorator_list:
        inner = decorator.func if isinstance(decorator, ast.Call) else decorator
        if _root(inner) not in _PLAIN_DECORATORS and getattr(inner, "attr", "") not in ("setter", "getter", "deleter"):
            yield True
    if isinstance(node, ast.ClassDef):
        yield from _block(node.body)


def _calls_unknown(value: ast.expr) -> bool:
    calls = (inner for inner in ast.walk(value) if isinstance(inner, ast.Call))
    return any(_root(call.func) not in _QUIET_CALLS and not _constructs(call.func) for call in calls)


def _constructs(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name[:1].isupper()


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_main(test: ast.expr) -> bool:
    names = {inner.id for inner in ast.walk(test) if isinstance(inner, ast.Name)}
    return "__name__" in names or "TYPE_CHECKING" in names
