"""Builders: a context folder becomes an image."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildr_jupyter.builder.protocol import Builder, SeedMethods, drain
    from buildr_jupyter.builder.selection import BUILDERS, names, select

__all__ = [
    "BUILDERS",
    "Builder",
    "SeedMethods",
    "drain",
    "names",
    "select",
]

# What a builder logs, it raises or yields as well: where nobody has set up logging, Python would say it a second time.
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Imported when asked for (PEP 562): a package that imports its own modules makes two threads wait for each other's
# import lock, and Python then gives one of them a module that is half there.
_MODULES = {
    "BUILDERS": "buildr_jupyter.builder.selection",
    "Builder": "buildr_jupyter.builder.protocol",
    "SeedMethods": "buildr_jupyter.builder.protocol",
    "drain": "buildr_jupyter.builder.protocol",
    "names": "buildr_jupyter.builder.selection",
    "select": "buildr_jupyter.builder.selection",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
