"""Executor of a notebook: papermill and nbconvert say nothing to the kernel, and the command that started it does.

Jupyter's client puts the process that started a kernel into ``JPY_PARENT_PID``; its command names the notebook.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

__all__ = ["executed_notebook"]

_EXECUTORS = {"papermill": 2, "nbconvert": 1, "jupyter-nbconvert": 1, "jupyter-execute": 1, "execute": 1}
"""Commands that execute notebooks, and how many they may name: papermill names the result as well, behind it."""
_INJECTED = "PAPERMILL_INPUT_PATH"
"""The variable of the notebook that papermill's ``--inject-input-path`` sets."""


def executed_notebook(namespace: Mapping[str, object], environ: Mapping[str, str]) -> str | None:
    """Return the file name of the notebook that papermill, ``jupyter nbconvert`` or ``jupyter execute`` runs here.

    None for any other kernel, and where the command names several notebooks or the system does not tell commands.
    """
    said = namespace.get(_INJECTED)
    if isinstance(said, str) and said.endswith(".ipynb"):
        return PurePath(said).name
    parent = environ.get("JPY_PARENT_PID", "")
    if not parent.isdecimal():
        return None
    try:
        words = Path("/proc", parent, "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return None
    return _named(words)


def _named(words: Sequence[str]) -> str | None:
    """Return the notebook that a command executes; ``words`` are its arguments, the interpreter's own included."""
    rest = list(words)
    if rest and PurePath(rest[0]).name.startswith("python"):
        rest = rest[2:] if rest[1:2] == ["-m"] else rest[1:]
    if rest and PurePath(rest[0]).name == "jupyter":
        rest = rest[1:]
    most = _EXECUTORS.get(PurePath(rest[0]).name, 0) if rest else 0
    named = [word for word in rest[1:] if word.endswith(".ipynb") and not word.startswith("-")]
    return PurePath(named[0]).name if 0 < len(named) <= most else None
