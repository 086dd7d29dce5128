"""Environment reads: the variables that a program takes from its environment and cannot do without."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

__all__ = ["needed_variables"]

_ENVIRONMENTS = ("os.environ", "environ", "__import__('os').environ")


def needed_variables(text: str) -> tuple[str, ...]:
    """Return the names that the program reads as ``os.environ['NAME']`` and does not set itself, in order.

    What is read with a default, within ``try``, or below a condition that looks at the environment may be missing.
    """
    if "environ" not in text:
        return ()
    tree = ast.parse(text)
    given = set(_set(tree))
    return tuple(name for name in dict.fromkeys(_read(tree)) if name not in given)


def _read(tree: ast.Module) -> Iterator[str]:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Try) or (isinstance(node, ast.If) and _looks(node.test)):
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            yield from _variable(node)
        todo += reversed(list(ast.iter_child_nodes(node)))


def _set(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from _variable(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_environment(node.func.value):
            if node.func.attr == "setdefault":
                yield from _texts(node.args[:1])
            elif node.func.attr == "update":
                yield from (keyword.arg for keyword in node.keywords if keyword.arg)
                yield from _texts(key for given in node.args if isinstance(given, ast.Dict) for key in given.keys)


def _variable(node: ast.Subscript) -> Iterator[str]:
    return _texts([node.slice] if _is_environment(node.value) else [])


def _texts(nodes: Iterable[ast.expr | None]) -> Iterator[str]:
    return (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_environment(node: ast.expr) -> bool:
    return ast.unparse(node) in _ENVIRONMENTS


def _looks(test: ast.expr) -> bool:
    said = ast.unparse(test)
    return "environ" in said or "getenv" in said
