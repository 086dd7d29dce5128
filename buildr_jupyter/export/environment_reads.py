"""Environment reads: the variables that a program takes from its environment and cannot do without."""

from __future__ import annotations

import ast
from collections.abc import Iterator

__all__ = ["needed_variables"]

_SPELLINGS = ("os.environ", "environ", "__import__('os').environ")


def needed_variables(text: str) -> tuple[str, ...]:
    """Return the names that the program reads as ``os.environ['NAME']`` and does not set itself, in order.

    What is read with a default, within ``try``, or below a condition that looks at the environment may be missing.
    """
    if "environ" not in text:
        return ()
    tree = ast.parse(text)
    found = dict.fromkeys(_read(tree.body))
    return tuple(name for name in found if name not in set(_set(tree)))


def _read(body: list[ast.stmt]) -> Iterator[str]:
    todo: list[ast.AST] = [*reversed(body)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Try) or (isinstance(node, ast.If) and _looks(node.test)):
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and (name := _variable(node)) is not None:
            yield name
        todo += reversed(list(ast.iter_child_nodes(node)))


def _set(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.ctx, ast.Store)
            and (name := _variable(node)) is not None
        ):
            yield name
        elif isinstance(node, ast.Call) and _called(node) in ("environ.setdefault", "os.putenv", "environ.update"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)
            for given in node.args:
                if isinstance(given, ast.Dict):
                    keys = (key.value for key in given.keys if isinstance(key, ast.Constant))
                    yield from (key for key in keys if isinstance(key, str))


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).removeprefix("os.").replace("putenv", "os.putenv")


def _looks(test: ast.expr) -> bool:
    return "environ" in ast.unparse(test) or "getenv" in ast.unparse(test)


def _variable(node: ast.Subscript) -> str | None:
    match node.slice:
        case ast.Constant(value=str(name)) if ast.unparse(node.value) in _SPELLINGS:
            return name
    return None
