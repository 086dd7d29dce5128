"""A decorated function as a program: its inputs are what its image is given, and what it returns is the image's value.

It goes into the image as it is and runs there, on any Python from 3.8, with the standard library alone. What stands for
the decorator in the image finds it under ``MODULE`` among the modules, and has it wrap what it decorates.

An argument of the outermost call is, in this order: what was given from outside; what the call itself says; the default
that the image was made with, where that is not the function's own; the function's own default.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
import types
from typing import Any

MODULE = "_buildr_program"
"""Among ``sys.modules``, in an image whose program has such a function."""
VALUE = "_buildr_value"
"""Where the program's names have what the function returned; the writer of the returns takes it from there."""
Entry = Any


class Program(types.ModuleType):
    """The one function of a program whose inputs are those of its image."""

    def __init__(self, scope: Any, spec: Entry, given: Entry, baked: Entry) -> None:
        """``given`` and ``baked`` are values by name: from outside, and of the image where they are not the function's.

        ``spec`` has the function's ``name``, and ``makers``: by input an expression that makes its value, of ``value``.
        """
        super().__init__(MODULE)
        self.scope, self.spec, self.given, self.baked = scope, spec, given, baked
        self.running = False

    def wrap(self, func: Any) -> Any:
        """Return what a decorated function is here: itself, unless its arguments are the inputs."""
        if func.__qualname__ != self.spec["name"] or func.__module__ != "__main__":
            return func

        @functools.wraps(func)
        def called(*args, **kwargs):
            return self.call(func, args, kwargs)

        return called

    def call(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call the function with the inputs and keep what it returns; a call within that one is as it is written."""
        if self.running:
            return func(*args, **kwargs)
        try:
            bound = inspect.signature(func).bind_partial(*args, **kwargs)
        except TypeError:
            return func(*args, **kwargs)  # which says what is wrong with the call
        for name, value in self.baked.items():
            if name not in bound.arguments:
                bound.arguments[name] = self._made(func, name, value)
        bound.arguments.update((name, self._made(func, name, value)) for name, value in self.given.items())
        bound.apply_defaults()
        self.running = True
        try:
            returned = self.scope[VALUE] = func(*bound.args, **bound.kwargs)
        finally:
            self.running = False
        return returned

    def _made(self, func, name, value):
        maker = self.spec["makers"].get(name)
        if maker is None:
            return value
        names = getattr(inspect.unwrap(func), "__globals__", self.scope)
        return eval(maker, names, {"value": value})  # noqa: S307 - written where the image was made


def install(scope: Any, reader: Entry, interface: Entry, spec: Entry, given: Entry) -> None:
    """Have the function that ``spec`` names take what is ``given``; ``reader`` is what reads the inputs."""
    baked = {
        one["name"]: reader["to_python"](one, one["default"])
        for one in interface["inputs"]
        if one["name"] in spec["baked"]
    }
    sys.modules[MODULE] = Program(scope, spec, given, baked)


def run_script(scope: Any, document: str) -> None:
    """Run a script with these names, as Python would; then write the returns, where it ended with status 0.

    Ends with the help or with status 2 before anything of the script has run.
    """
    plan = json.loads(document)
    interface, spec = plan["interface"], plan["function"]
    returns = [one["name"] for one in interface["returns"]]
    reader, given = {}, {}
    if interface["inputs"]:
        reader = _load("parameters")
        given = reader["read_given"](interface, spec["title"])
    writer = _load("returns") if returns else {}
    output = os.path.abspath(os.environ.get("BUILDR_OUTPUT_DIR", "output"))
    install(scope, reader, interface, spec, given)
    path = os.path.abspath(plan["script"])
    with open(path, "rb") as stream:
        code = compile(stream.read(), path, "exec", dont_inherit=True)
    for name in [one for one in scope if one.startswith("_buildr")]:
        del scope[name]
    ours = (scope["__file__"], run_script.__code__.co_filename)
    scope["__file__"] = path  # which a child process reads anew
    sys.argv[:] = [path]  # the words were the inputs
    sys.excepthook = functools.partial(_show, ours)
    try:
        exec(code, scope)  # noqa: S102 - the program itself
    except SystemExit as end:
        if end.code:
            raise
    if returns:
        try:
            writer["write"](scope, returns, output)
        except Exception as error:  # noqa: BLE001 - a value's class may raise anything
            sys.stderr.write("buildr: --return {}\n".format(error))
            raise SystemExit(1) from None


def _show(ours, kind, error, trace):
    """Show an error as it is without what called the script and the function."""
    frames, kept = [], None
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    for one in reversed(frames):
        if one.tb_frame.f_code.co_filename not in ours:
            one.tb_next, kept = kept, one
    sys.__excepthook__(kind, error.with_traceback(kept), kept)


def _load(name):
    path = "_buildr/{}.py".format(name)
    names: dict[str, Any] = {"__name__": "buildr"}
    with open(path, encoding="utf-8") as stream:
        exec(compile(stream.read(), path, "exec"), names)  # noqa: S102 - the file beside this one
    return names
