"""Statements that ``timeit`` measures: they ran, nobody knows how often, and the program leaves them out.

They are read like others, so that it is known what they may change and from which generators they draw; none of them
is carried, and none binds a name: ``timeit`` runs them within a function.
"""

from __future__ import annotations

import ast
import re

__all__ = ["measured_nodes"]

_OPTIONS = re.compile(r"(?:\s*-(?:[nrp]\s*\d+|[qtcovnr]+(?=\s|$)))*\s*")


def measured_nodes(line: str, body: str | None, number: int) -> list[ast.stmt]:
    """Return what ``%timeit`` or ``%%timeit`` in line ``number`` runs, as statements that bind no name of a notebook.

    ``line`` is what follows the magic's name; ``body`` is a cell's, which that line prepares. None are returned for
    what does not parse, as a text with magics.
    """
    code = line[_OPTIONS.match(line).end() :]  # type: ignore[union-attr]
    text = code if body is None else f"{code}\n{body}"
    try:
        found = ast.parse(text).body
    except (SyntaxError, ValueError):
        return []
    values = [node.value for node in found if isinstance(node, ast.Expr)]
    made: list[ast.stmt] = []
    if len(values) < len(found):
        name = "%timeit"
        head = ast.parse("def f(): pass").body[0]
        assert isinstance(head, ast.FunctionDef)
        head.name, head.body = name, found
        made.append(head)
        values = [ast.Call(ast.Name(name, ast.Load()), [], [])]
    if values:
        # In a tuple no result is thrown away: who measures a call is not after its effect.
        made.append(ast.Expr(ast.Tuple(values, ast.Load())))
    for node in made:
        for inner in ast.walk(node):
            if isinstance(inner, (ast.expr, ast.stmt, ast.excepthandler, ast.arg, ast.keyword, ast.alias)):
                inner.lineno = inner.end_lineno = number
                inner.col_offset = inner.end_col_offset = 0
    return made
