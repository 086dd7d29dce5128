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
import collections
import contextlib
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
            framed(one, lambda one=one: sys.stdout.write(text_of(one) + "\n"))

    before = sys.displayhook

    def shown(value: Any) -> None:
        if hasattr(type(value), "_repr_pretty_"):
            sys.stdout.write(text_of(value) + "\n")
        else:
            with _printer_of_ipython():
                before(value)

    if shell:
        _show_each(framed)
    sys.displayhook = shown
    if wanted:
        sys.displayhook = lambda value: shown(value) if value is None else framed(value, lambda: shown(value))
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
            show = lambda one: sys.stdout.write(text_of(one) + "\n")  # noqa: E731
        for one in objects:
            framed(one, lambda one=one: show(one))

    functions.display = names.display = display


@contextlib.contextmanager
def _printer_of_ipython() -> Any:
    """Let what asks within a ``repr`` whether IPython is loaded find its printer: in a kernel it is.

    The elements of a container are written by their ``repr``, and that of some libraries, as patsy's, goes to
    ``IPython.lib.pretty`` where that is there.
    """
    names = ("IPython", "IPython.lib", "IPython.lib.pretty")
    if names[0] in sys.modules:
        yield
        return
    made = {name: type(sys)(name) for name in names}
    vars(made[names[0]]).update(get_ipython=lambda: None, version_info=(99,))
    vars(made[names[2]])["pretty"] = text_of
    sys.modules.update(made)
    try:
        yield
    finally:
        for name in names:
            if sys.modules.get(name) is made[name]:
                del sys.modules[name]


def text_of(value: Any) -> str:
    """Return an object's text form: what its ``_repr_pretty_`` writes, else its ``repr``."""
    if isinstance(value, type) or not hasattr(type(value), "_repr_pretty_"):
        return repr(value)
    printer = _Printer()
    try:
        printer.pretty(value)
    except Exception as error:  # noqa: BLE001 - the notebook's own code
        sys.stderr.write("buildr: _repr_pretty_ of {} failed: {}\n".format(type(value).__name__, error))
        return repr(value)
    printer.flush()
    return "".join(printer.written)


class _Group:
    """What is broken into lines together, or not at all."""

    def __init__(self, depth: int) -> None:
        self.depth, self.breaks, self.want_break = depth, 0, False
        """``breaks``: places of it that are not written yet."""


class _Printer:
    """The printer that ``_repr_pretty_`` is given: it breaks lines as that of IPython does (``IPython.lib.pretty``)."""

    max_width, newline, max_seq_length, verbose = 79, "\n", 1000, False

    def __init__(self) -> None:
        self.written: Any = []
        self.indentation = 0
        self._width = self._waiting = 0
        self._buffer: Any = collections.deque()
        """Texts, as lists, and places where a line may break: (text, indentation, group)."""
        self._groups = [_Group(0)]
        self._queue = [[self._groups[0]]]
        self._stack: Any = []

    def text(self, text: str) -> None:
        """Write a text."""
        if not self._buffer:
            self.written.append(text)
            self._width += len(text)
            return
        if not isinstance(self._buffer[-1], list):
            self._buffer.append([])
        self._buffer[-1].append(text)
        self._waiting += len(text)
        self._break_outer_groups()

    def breakable(self, sep: str = " ") -> None:
        """Write ``sep``, or a line's end where the group does not fit in one."""
        group = self._groups[-1]
        if group.want_break:
            self._end_line()
        else:
            self._buffer.append((sep, self.indentation, group))
            group.breaks += 1
            self._waiting += len(sep)
            self._break_outer_groups()

    def break_(self) -> None:
        """End the line."""
        group = self._next_group()
        if group:
            self._break_group(group)
        self._end_line()

    def begin_group(self, indent: int = 0, open: str = "") -> None:  # noqa: A002 - as it is called
        """Begin a group."""
        if open:
            self.text(open)
        group = _Group(self._groups[-1].depth + 1)
        self._groups.append(group)
        while group.depth >= len(self._queue):
            self._queue.append([])
        self._queue[group.depth].append(group)
        self.indentation += indent

    def end_group(self, dedent: int = 0, close: str = "") -> None:
        """End a group."""
        self.indentation -= dedent
        group = self._groups.pop()
        if not group.breaks:
            self._forget(group)
        if close:
            self.text(close)

    @contextlib.contextmanager
    def group(self, indent: int = 0, open: str = "", close: str = "") -> Any:  # noqa: A002 - as it is called
        """Begin a group, and end it."""
        self.begin_group(indent, open)
        try:
            yield
        finally:
            self.end_group(indent, close)

    @contextlib.contextmanager
    def indent(self, indent: int) -> Any:
        """Indent the lines that begin meanwhile."""
        self.indentation += indent
        try:
            yield
        finally:
            self.indentation -= indent

    def flush(self) -> None:
        """Write what waits."""
        while self._buffer:
            self._write_first()
        self._waiting = 0

    def pretty(self, value: Any) -> None:
        """Write an object: by its ``_repr_pretty_``, the elements of Python's own containers, else its ``repr``."""
        cycle = id(value) in self._stack
        self._stack.append(id(value))
        self.begin_group()
        try:
            for kind in type(value).__mro__:
                if kind in _BRACKETS:
                    self._container(value, kind, cycle)
                elif callable(kind.__dict__.get("_repr_pretty_")):
                    kind._repr_pretty_(value, self, cycle)  # type: ignore[attr-defined]
                elif kind is not object and "__repr__" in kind.__dict__:
                    self._lines(repr(value))
                else:
                    continue
                return
            kind = type(value)
            self.text("<{}.{} at 0x{:x}>".format(kind.__module__, kind.__qualname__, id(value)))
        finally:
            self.end_group()
            self._stack.pop()

    def _lines(self, text: str) -> None:
        with self.group():
            for number, line in enumerate(text.splitlines()):
                if number:
                    self.break_()
                self.text(line)

    def _container(self, value: Any, kind: type, cycle: bool) -> None:
        before, behind = _BRACKETS[kind]
        if cycle:
            self.text(before + "..." + behind)
            return
        if not value and kind in (set, frozenset):
            self.text(kind.__name__ + "()")
            return
        self.begin_group(len(before), before)
        for number, one in enumerate(_sorted(value) if kind in (set, frozenset) else value):
            if number:
                self.text(",")
                self.breakable()
            if number == self.max_seq_length:
                self.text("...")
                break
            self.pretty(one)
            if kind is dict:
                self.text(": ")
                self.pretty(value[one])
        if kind is tuple and len(value) == 1:
            self.text(",")
        self.end_group(len(before), behind)

    def _end_line(self) -> None:
        self.flush()
        self.written.append(self.newline + " " * self.indentation)
        self._width = self.indentation

    def _write_first(self) -> None:
        """Write the first that waits: a text, or the place of a break."""
        first = self._buffer.popleft()
        if isinstance(first, list):
            text = "".join(first)
            self.written.append(text)
            self._width += len(text)
            self._waiting -= len(text)
            return
        sep, indentation, group = first
        group.breaks -= 1
        self._waiting -= len(sep)
        if group.want_break:
            self.written.append(self.newline + " " * indentation)
            self._width = indentation
            return
        if not group.breaks:
            self._forget(group)
        self.written.append(sep)
        self._width += len(sep)

    def _break_group(self, group: _Group) -> None:
        while group.breaks:
            self._write_first()
        while self._buffer and isinstance(self._buffer[0], list):
            self._write_first()

    def _break_outer_groups(self) -> None:
        while self.max_width < self._width + self._waiting:
            group = self._next_group()
            if not group:
                return
            self._break_group(group)

    def _next_group(self) -> Any:
        """Return the outermost group that can be broken, and take it out of the queue."""
        for groups in self._queue:
            for number, group in enumerate(reversed(groups)):
                if group.breaks:
                    del groups[number]
                    group.want_break = True
                    return group
            for group in groups:
                group.want_break = True
            del groups[:]
        return None

    def _forget(self, group: _Group) -> None:
        if group in self._queue[group.depth]:
            self._queue[group.depth].remove(group)


_BRACKETS: Any = {list: "[]", tuple: "()", dict: "{}", set: "{}", frozenset: ("frozenset({", "})")}


def _sorted(values: Any) -> Any:
    for key in (None, str):
        try:
            return sorted(values, key=key)
        except Exception:  # noqa: BLE001, S112 - what the objects compare by
            continue
    return values


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
