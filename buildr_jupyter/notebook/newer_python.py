"""Newer Python: cells that the interpreter which runs this cannot read, read by the notebook's own in a child process.

The child gives syntax trees as data. What has no node here is written as one that does the same to names, so that the
analysis needs to know one grammar only; the text of the cell stays as it is.
"""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from buildr_jupyter.notebook.cells import CellRun, candidates
from buildr_jupyter.notebook.parse_cache import remember

__all__ = ["read_newer"]

_ASK = """
import ast, json, sys
def data(value):
    if isinstance(value, ast.AST):
        place = [getattr(value, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")]
        return {"node": type(value).__name__, "fields": {n: data(v) for n, v in ast.iter_fields(value)}, "at": place}
    if isinstance(value, list):
        return [data(one) for one in value]
    if isinstance(value, (bytes, complex, float)) or value is ...:
        return {"constant": repr(value)}
    return value
answers = []
for text in json.loads(sys.stdin.read()):
    try:
        answers.append(data(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        answers.append(None)
print(json.dumps(answers))
"""
_TIMEOUT_S = 60.0
_PLACES = ("lineno", "col_offset", "end_lineno", "end_col_offset")
_SAME = {"TemplateStr": "JoinedStr", "Interpolation": "FormattedValue"}
"""Nodes of newer grammars that read what an older one reads."""


def read_newer(runs: Sequence[CellRun], executable: str) -> tuple[CellRun, ...]:
    """Return the runs; those that do not parse here, and do in the Python ``executable``, have their text transformed.

    Their trees are kept for ``parsed``. Runs that it cannot read either, or all where it does not answer, are as they
    were.
    """
    texts = tuple(dict.fromkeys(text for run in runs if run.transformed is None for text in candidates(run.source)))
    trees = _read(executable, texts) if texts else {}
    remember(trees)
    return tuple(
        replace(run, transformed=found)
        if run.transformed is None
        and (found := next((text for text in candidates(run.source) if text in trees), None)) is not None
        else run
        for run in runs
    )


@lru_cache(maxsize=8)
def _read(executable: str, texts: tuple[str, ...]) -> dict[str, ast.Module]:
    command = [executable, "-I", "-W", "ignore", "-c", _ASK]
    try:
        answer = subprocess.run(
            command, input=json.dumps(texts), capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
        said = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, RecursionError):
        return {}
    trees: dict[str, ast.Module] = {}
    for text, data in zip(texts, said, strict=True):
        try:
            if isinstance(tree := _node(data), ast.Module):
                trees[text] = tree
        except (ValueError, TypeError, SyntaxError, RecursionError):
            continue  # a grammar that is newer than this
    return trees


def _node(data: Any) -> Any:
    """Return a tree, a list of trees or a constant from its data; raises ValueError for a node that is not known."""
    if isinstance(data, list):
        return [_node(one) for one in data]
    if not isinstance(data, dict):
        return data
    if "constant" in data:
        return _constant(data["constant"])
    fields = {name: _node(value) for name, value in data["fields"].items()}
    parameters = fields.get("type_params") or []
    if data["node"] in ("TypeVar", "ParamSpec", "TypeVarTuple"):
        return ast.Name(fields["name"], ast.Load())
    if data["node"] == "TypeAlias":
        made: ast.AST = ast.Assign([fields["name"]], fields["value"])
    else:
        name = str(data["node"])
        kind = getattr(ast, _SAME.get(name, name), None)
        if kind is None:
            raise ValueError(f"no node {name}")
        made = kind(**{field: value for field, value in fields.items() if field in kind._fields})
    for place, value in zip(_PLACES, data["at"], strict=True):
        if value is not None:
            setattr(made, place, value)
    return _Without(frozenset(_names(parameters))).visit(made) if parameters else made


def _constant(text: str) -> Any:
    if text == "Ellipsis":
        return ...
    return float(text) if text in ("inf", "nan") else ast.literal_eval(text)


def _names(parameters: Sequence[ast.AST]) -> Iterator[str]:
    for one in parameters:
        if isinstance(one, ast.Name):
            yield one.id


class _Without(ast.NodeTransformer):
    """Takes the type parameters of a definition out of it: they are no names of the notebook."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.names and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Constant(None), node)
        return node
