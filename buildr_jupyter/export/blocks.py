"""Pieces of the text of main.py: statements as they are written, blocks, marks."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Sequence

from buildr_jupyter.export.prologue import MARK

__all__ = ["Block", "awaits", "choose_mark", "ends", "hide", "is_quiet", "join", "own_block", "statement_text"]

Block = tuple[str, int, str]
"""Title of the cell, 1-based line in it, code."""


def ends(node: ast.stmt) -> int:
    """Return the last line of a statement, 1-based."""
    return node.end_lineno or node.lineno


def awaits(node: ast.AST) -> bool:
    """Tell whether a top-level statement awaits outside of functions."""
    todo = [node]
    while todo:
        current = todo.pop()
        if isinstance(current, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        if isinstance(current, ast.comprehension) and current.is_async:
            return True
        if not isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(current))
    return False


def statement_text(source: str, node: ast.stmt) -> str:
    """Return a statement as it is written, decorators included, and one line end."""
    decorators = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    lines = split_lines(source)[first - 1 : ends(node)]
    lines[-1] = lines[-1].encode()[: node.end_col_offset].decode()
    if first == node.lineno and node.col_offset:
        lines[0] = lines[0].encode()[node.col_offset :].decode()
    return "".join(lines) + "\n"


def split_lines(source: str) -> list[str]:
    """Return the lines as the compiler counts them, with their ends: a form feed ends none."""
    return io.StringIO(source, newline="\n").readlines()


def is_quiet(body: str) -> bool:
    """Tell whether the cell ends in a semicolon, which keeps its last value from being shown."""
    if ";" not in body:
        return False
    last = ""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT)
    try:
        for token in tokenize.generate_tokens(io.StringIO(body).readline):
            if token.type not in skipped:
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last == ";"


def own_block(title: str, text: str, line: int) -> Block:
    """Return a block without the empty lines around it."""
    stripped = text.lstrip("\n")
    return title, line + len(text) - len(stripped), stripped.rstrip() + "\n"


def choose_mark(blocks: Sequence[Block]) -> str:
    """Return what the first line of each block begins with: nothing in a block does."""
    mark = MARK
    while any(text.startswith(mark) or f"\n{mark}" in text for _, _, text in blocks):
        mark = mark.replace("# %", "# %%", 1)
    return mark


def hide(blocks: Sequence[Block]) -> tuple[list[Block], bool]:
    """Return the blocks with those written as comments that Python takes in no file; tell whether there are such."""
    hidden = []
    for title, line, text in blocks:
        if _is_late(text):
            text = "".join(f"#: {one}" for one in split_lines(text))
        hidden.append((title, line, text))
    return hidden, hidden != list(blocks)


def _is_late(text: str) -> bool:
    """Tell whether only the running program can compile a block: it awaits, or is in a newer Python's syntax."""
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return True
    return any(
        isinstance(node, ast.Global)
        or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        or awaits(node)
        for node in body
    )


def join(preamble: str, blocks: Sequence[Block], mark: str) -> tuple[str, tuple[str | None, ...]]:
    """Return the text of main.py and, for each line, where it comes from."""
    parts = [preamble]
    origins: list[str | None] = [None] * preamble.count("\n")
    for title, line, text in blocks:
        parts.append(f"\n{mark}{title}, line {line}\n{text}")
        origins.extend((None, None))
        origins.extend(f"{title}, line {line + number}" for number in range(text.count("\n")))
    return "".join(parts), tuple(origins)
