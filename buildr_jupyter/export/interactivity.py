"""Interactivity of the shell: which statements of a cell show their value, as ``ast_node_interactivity`` says.

The setting is read from the text of the cells before: an assignment to the attribute, or ``%config``. It counts from
the next cell on (IPython 8 and 9, ``InteractiveShell.run_cell``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from buildr_jupyter.notebook.parse_cache import parsed

__all__ = ["DEFAULT", "interactivity", "shown_statements"]

DEFAULT = "last_expr"
_NAME = "ast_node_interactivity"
_MODES = ("all", "last", "last_expr", "last_expr_or_assign", "none")
_SETTING = re.compile(rf"\b{_NAME}\s*=\s*(['\"])(\w+)\1")
_MAY_SHOW = (ast.Expr, ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try)
"""Statements that hold expressions of their own; as the compiler shows them in its mode ``single``."""


def interactivity(sources: Iterable[str]) -> str:
    """Return the setting after these cells, given as IPython's transformed Python: one of IPython's five words."""
    mode = DEFAULT
    for source in sources:
        if _NAME not in source:
            continue
        for node in ast.walk(parsed(source)):
            if isinstance(node, ast.Assign):
                named = any(isinstance(one, ast.Attribute) and one.attr == _NAME for one in node.targets)
                said = node.value.value if named and isinstance(node.value, ast.Constant) else None
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                match = _SETTING.search(node.value)
                said = match[2] if match else None
            else:
                continue
            mode = said if said in _MODES else mode
    return mode


def shown_statements(body: Sequence[ast.stmt], mode: str) -> list[ast.stmt]:
    """Return the statements of a cell whose values are shown, in order.

    For ``last_expr_or_assign`` that may be a new one behind the cell, which reads the name that its end assigns to.
    """
    if not body or mode == "none":
        return []
    if mode == "all":
        return [*body] if any(isinstance(node, _MAY_SHOW) for node in body) else []
    end = body[-1]
    if mode == "last_expr_or_assign" and (name := _assigned(end)):
        return [ast.copy_location(ast.Expr(ast.copy_location(ast.Name(name, ast.Load()), end)), end)]
    return [end] if isinstance(end, _MAY_SHOW if mode == "last" else ast.Expr) else []


def _assigned(node: ast.stmt) -> str | None:
    """Return the one name that a statement assigns to."""
    if isinstance(node, ast.Assign):
        target = node.targets[0] if len(node.targets) == 1 else None
    else:
        target = node.target if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else None
    return target.id if isinstance(target, ast.Name) else None
