"""Shells: IPython in the process of the tests, with the extension."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.testing.globalipapp import start_ipython

import buildr_jupyter


def the_shell() -> Any:
    """Return the one shell of this process, made where there is none: a second kind of it cannot be."""
    return InteractiveShell.instance() if InteractiveShell.initialized() else start_ipython()


@contextmanager
def loaded_shell() -> Iterator[Any]:
    """Yield the shell, empty and with the extension, which is taken off at the end."""
    shell = the_shell()
    shell.reset(new_session=True)
    shell.history_manager.reset(new_session=True)
    buildr_jupyter.load_ipython_extension(shell)
    try:
        yield shell
    finally:
        buildr_jupyter.unload_ipython_extension(shell)


def run(shell: Any, source: str) -> Any:
    """Run a cell and return its value; raises what the cell raised."""
    result = shell.run_cell(source, store_history=True)
    if result.error_before_exec or result.error_in_exec:
        raise result.error_before_exec or result.error_in_exec
    return result.result
