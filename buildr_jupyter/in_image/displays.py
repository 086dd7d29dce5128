"""Displays of a program: what an object looks like, framed around its text on standard output.

It goes into the image as it is and runs there, on any Python from 3.8, with the standard library alone. Nothing is
framed where the variable BUILDR_DISPLAYS is not set: without a notebook the output is the text, byte for byte as the
program prints it. A notebook that runs the image sets it, takes the frames out again (``runner/frames.py``) and shows
the object as a kernel would.

A frame is ``ESC ] buildr ; BASE64 BEL``, the text form, ``ESC ] buildr ; BEL``: terminals show the text alone. Its
base64 holds JSON: MIME type to data, binary data in base64 once more. A long one comes in pieces, each on a line of its
own, ``ESC ] buildr ; ~ BASE64 BEL``, and the last as above: a cluster keeps lines whole, however many write at once.
"""

from __future__ import annotations

import base64
import importlib.machinery
import io
import json
import os
import sys
from typing import Any

BEGIN, END = "\x1b]buildr;", "\x07"
VARIABLE = "BUILDR_DISPLAYS"
PIECE = "~"
"""Before the base64 of a piece that is not the last."""
_PIECE = 12000
"""Characters of a piece: below the 16 KiB at which a node cuts lines."""
_LIMIT = 16 << 20
"""Bytes of a bundle; of a larger one the text is shown alone."""
_METHODS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "text/latex": "_repr_latex_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "application/json": "_repr_json_",
}


def install(stdout: int, shell: bool = False) -> Any:
    """Let the value of the last expression be framed and pandas write as in a notebook, and return ``display``.

    ``stdout`` is a descriptor of the program's standard output, which others than the chosen cell do not print to.
    ``shell``: the program imports IPython, whose ``display`` shows each object by itself, too.
    """
    wanted = bool(os.environ.get(VARIABLE))
    _write_as_in_a_kernel()

    def framed(value: Any, print_text: Any) -> None:
        found = bundle(value) if wanted and sys.stdout is sys.__stdout__ and os.path.sameopenfile(1, stdout) else {}
        if not found:
            print_text()
            return
        code = base64.b64encode(json.dumps(found).encode()).decode()
        if len(code) > _LIMIT:
            sys.stderr.write("buildr: a display of {} MB is shown as its text\n".format(len(code) >> 20))
            print_text()
            return
        while len(code) > _PIECE:
            sys.stdout.write(BEGIN + PIECE + code[:_PIECE] + END + "\n")
            code = code[_PIECE:]
        sys.stdout.write(BEGIN + code + END)
        try:
            print_text()
        finally:
            sys.stdout.write(BEGIN + END)
            sys.stdout.flush()

    def display(*objects: Any, **_: Any) -> None:
        """Print the text form of each object."""
        for one in objects:
            framed(one, lambda one=one: sys.stdout.write(repr(one) + "\n"))

    if shell:
        _show_each(framed)
    if wanted:
        before = sys.displayhook
        sys.displayhook = lambda value: before(value) if value is None else framed(value, lambda: before(value))
    return display


def _write_as_in_a_kernel() -> None:
    """Let pandas, once it is imported, take itself to be in a notebook and cut no columns to a terminal's width.

    Its modules ask ``get_ipython()``, which a kernel has among the builtins, so each gets one of its own. One asks
    while it registers its options, the other whenever something is written.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding == "utf-8":
        sys.stdout.reconfigure(encoding="UTF-8", errors=sys.stdout.errors)  # as a kernel names it
    if any(getattr(finder, "buildr", False) for finder in sys.meta_path):
        return

    wanted = {"pandas.core.config_init", "pandas.io.formats.console"}

    class Finder:
        buildr = True

        @classmethod
        def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
            if name not in wanted:
                return None
            wanted.discard(name)
            if not wanted:
                sys.meta_path.remove(cls)
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = _in_a_kernel(spec.loader.exec_module)  # type: ignore[method-assign]
            return spec

    sys.meta_path.insert(0, Finder)


def _in_a_kernel(run: Any) -> Any:
    """Return a function that runs a module with a ``get_ipython`` as a kernel has one."""
    shell = type("ZMQInteractiveShell", (), {"kernel": None})()

    def run_in_a_kernel(module: Any) -> None:
        vars(module)["get_ipython"] = lambda: shell
        run(module)

    return run_in_a_kernel


def _show_each(framed: Any) -> None:
    """Let IPython's own ``display`` show each object by itself as a kernel does; without a shell it prints a line."""
    try:
        import IPython.core.display_functions as functions
        import IPython.display as names
        from IPython.core.interactiveshell import InteractiveShell
    except ImportError:  # an old IPython, or none
        return
    before = functions.display

    def display(*objects: Any, **options: Any) -> Any:
        if InteractiveShell.initialized():
            show = lambda one: before(one, **options)  # noqa: E731
        else:
            show = lambda one: sys.stdout.write(repr(one) + "\n")  # noqa: E731
        for one in objects:
            framed(one, lambda one=one: show(one))

    functions.display = names.display = display


def bundle(value: Any) -> Any:
    """Return MIME type to data of what an object looks like, without its text; empty where it has no other form."""
    found = {}
    whole = _call(value, "_repr_mimebundle_")
    if isinstance(whole, tuple):
        whole = whole[0] if whole else None
    if isinstance(whole, dict):
        found.update(whole)
    for kind, method in _METHODS.items():
        if kind not in found:
            data = _call(value, method)
            if isinstance(data, tuple):
                data = data[0] if data else None
            if data is not None:
                found[kind] = data
    return {kind: _plain(data) for kind, data in found.items() if _is_carried(kind, data)}


def _call(value: Any, name: str) -> Any:
    """Return what a method for notebooks gives; one that fails gives nothing, as in a kernel."""
    if isinstance(value, type):
        return None
    method = getattr(type(value), name, None)
    if method is None or not callable(method):
        return None
    try:
        return getattr(value, name)()
    except Exception as error:  # noqa: BLE001 - the notebook's own code, which a kernel passes over as well
        sys.stderr.write("buildr: {} of {} failed: {}\n".format(name, type(value).__name__, error))
        return None


def _plain(data: Any) -> Any:
    return base64.b64encode(data).decode() if isinstance(data, (bytes, bytearray)) else data


def _is_carried(kind: Any, data: Any) -> bool:
    if not isinstance(kind, str) or kind == "text/plain" or data is None:
        return False
    try:
        json.dumps(_plain(data))
    except (TypeError, ValueError):
        return False
    return True
