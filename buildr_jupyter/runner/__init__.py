"""Runners: an image becomes a run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildr_jupyter.runner.protocol import Runner
    from buildr_jupyter.runner.selection import RUNNERS, select
    from buildr_jupyter.runner.values import check_returned, read_returned

__all__ = [
    "RUNNERS",
    "Runner",
    "check_returned",
    "read_returned",
    "select",
]

# Imported when asked for (PEP 562): a package that imports its own modules makes two threads wait for each other's
# import lock, and Python then gives one of them a module that is half there.
_MODULES = {
    "RUNNERS": "buildr_jupyter.runner.selection",
    "Runner": "buildr_jupyter.runner.protocol",
    "check_returned": "buildr_jupyter.runner.values",
    "read_returned": "buildr_jupyter.runner.values",
    "select": "buildr_jupyter.runner.selection",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
