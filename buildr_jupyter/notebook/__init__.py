"""Notebook: files and live kernels become runs of cells."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildr_jupyter.notebook.cells import CellRun, Notebook, parse_notebook, read_notebook

__all__ = [
    "CellRun",
    "Notebook",
    "parse_notebook",
    "read_notebook",
]

# Imported when asked for (PEP 562): a package that imports its own modules makes two threads wait for each other's
# import lock, and Python then gives one of them a module that is half there.
_MODULES = {
    "CellRun": "buildr_jupyter.notebook.cells",
    "Notebook": "buildr_jupyter.notebook.cells",
    "parse_notebook": "buildr_jupyter.notebook.cells",
    "read_notebook": "buildr_jupyter.notebook.cells",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
