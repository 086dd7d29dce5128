"""Files that a statement adds to: what is in them before it counts, and where they stand, what it added before, too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from buildr_jupyter.analysis.scope import called_name, constant_text
from buildr_jupyter.export.named_files import COMMANDS

__all__ = ["appended_by"]

_BY_SHELL = re.compile(r">>\s*([\w./-]+)")


def appended_by(node: ast.AST, *, of_shells_alone: bool = False) -> Iterator[str]:
    """Yield the files that stand in a statement and that it adds to, relative to the notebook's folder, as written.

    They are opened to append or to read and write, as ``open("log.txt", "a")`` and ``to_csv("t.csv", mode="a")`` do,
    or named behind ``>>`` in the line of a shell.
    """
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        if called_name(call) in COMMANDS:
            found = [path for text in _lines(call) for path in _BY_SHELL.findall(text)]
        else:
            path, mode = _opened(call)
            found = [path] if path and mode and not of_shells_alone and mode.startswith(("a", "r+")) else []
        yield from (path.removeprefix("./") for path in found)


def _lines(call: ast.Call) -> Iterator[str]:
    """Yield the texts that a call gives a shell: its line, or what it reads, as ``%%bash`` gives it."""
    for one in ast.walk(call):
        if isinstance(one, ast.Constant) and isinstance(one.value, (str, bytes)):
            yield one.value if isinstance(one.value, str) else one.value.decode(errors="replace")


def _opened(call: ast.Call) -> tuple[str | None, str | None]:
    """Return the path and the mode of a call that opens or writes a file, as far as they stand there."""
    first = constant_text(call.args[0]) if call.args else None
    said = next((constant_text(keyword.value) for keyword in call.keywords if keyword.arg == "mode"), None)
    if called_name(call) != "open":
        return first, said
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(owner, ast.Call):  # Path("log.txt").open("a")
        return (constant_text(owner.args[0]) if owner.args else None), said or first
    return first, said or (constant_text(call.args[1]) if len(call.args) > 1 else None)
