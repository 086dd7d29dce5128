"""Statements with parts that failed in the midst: what their first rounds may have changed, which no program does.

A statement that failed is taken not to have happened. In a kernel what it had changed until then was seen, and comes as
a value; of a file this tells which names may have another value there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["HalfDone", "find_half_done"]

_PARTS = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.If, ast.Try, ast.Match)
_PURE = frozenset(("print", "display", "len", "repr", "str"))


@dataclass(frozen=True, slots=True)
class HalfDone:
    """A statement that failed in the midst."""

    line: int
    names: frozenset[str]
    """What it binds, and what it may change: what it calls methods of, or gives to a call, as a statement."""


def find_half_done(node: ast.stmt, failed_line: int) -> HalfDone | None:
    """Return what a statement that failed in this line may have done until then; None for one that did nothing."""
    if not isinstance(node, _PARTS) or failed_line <= node.lineno:
        return None
    names = frozenset(_touched(node))
    return HalfDone(node.lineno, names) if names else None


def _touched(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.id
        elif isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield from _base(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            call = node.value
            if not isinstance(call.func, ast.Name):
                yield from _base(call.func)
            elif call.func.id in _PURE:
                continue
            for given in (*call.args, *(keyword.value for keyword in call.keywords)):
                yield from _base(given)


def _base(node: ast.expr) -> Iterator[str]:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
