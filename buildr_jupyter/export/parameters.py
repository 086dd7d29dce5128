"""Parameters and returns: defaults as text, and the program's blocks that read the ones and write the others."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from importlib import resources

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.interface import Interface
from buildr_jupyter.model.plan import OWN_FOLDER, FileEntry

__all__ = [
    "DISPLAYS_PATH",
    "FUNCTION_PATH",
    "READER_PATH",
    "WRITER_PATH",
    "check_parameter",
    "displays_block",
    "displays_file",
    "function_block",
    "own_files",
    "parameter_block",
    "parse_default",
    "returns_block",
    "script_text",
]


def parse_default(name: str, text: str) -> object:
    """Return the value that the text of a parameter's default means: a Python or JSON literal, else the text itself."""
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return check_parameter(name, value)
    return text


def check_parameter(name: str, value: object) -> object:
    """Return ``value`` if a parameter can have it; raises OptionError."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, dict)):
        try:
            if json.loads(json.dumps(value)) == value:
                return value
        except (TypeError, ValueError):
            pass
    raise OptionError(
        f"--param {name}: a parameter cannot have the value {str(value)[:60]!r} of type {type(value).__name__}",
        hint="give int, float, bool, str, None, or lists and dicts of them",
    )


READER_PATH = f"{OWN_FOLDER}/parameters.py"
WRITER_PATH = f"{OWN_FOLDER}/returns.py"
DISPLAYS_PATH = f"{OWN_FOLDER}/displays.py"
FUNCTION_PATH = f"{OWN_FOLDER}/function.py"


def _load(path: str, name: str) -> str:
    """Return the code that runs a file that the image has from here into the dict ``name``."""
    return f"""\
with open({path!r}, encoding="utf-8") as _buildr_file:
    exec(compile(_buildr_file.read(), {path!r}, "exec"), {name} := {{"__name__": "buildr"}})
"""


def parameter_block(interface: Interface, title: str, path: str, *, read: str = "read") -> str:
    """Return the code that takes the inputs from outside into ``_buildr_given``; ends with status 2 if bad.

    ``path`` leads from the program's folder to the reader; ``read`` is its function that is asked.
    """
    inputs = Interface(interface.inputs)
    return f"""\
import json, os, sys
{_load(path, "_buildr_reader")}_buildr_stderr = os.dup(1)
os.dup2(_buildr_stdout, 1)
try:
    _buildr_given = _buildr_reader[{read!r}](json.loads({inputs.to_label()!r}), {title!r})
except SystemExit as _buildr_exit:
    sys.stdout.flush()
    os._exit(_buildr_exit.code or 0)
os.dup2(_buildr_stderr, 1)
"""


def function_block(interface: Interface, spec: Mapping[str, object], path: str) -> str:
    """Return the code that has a decorated function take what ``_buildr_given`` holds; it follows ``parameter_block``.

    ``path`` leads from the program's folder to what calls the function.
    """
    inputs = Interface(interface.inputs).to_label()
    return f"""\
{_load(path, "_buildr_function")}_buildr_function["install"](
    globals(), _buildr_reader, json.loads({inputs!r}), {dict(spec)!r}, _buildr_given
)
"""


def script_text(interface: Interface, spec: Mapping[str, object], script: str) -> str:
    """Return main.py for a script whose decorated function has inputs or returns: it runs the script beside it."""
    document = {"interface": interface.to_json(), "function": dict(spec), "script": script}
    path = FUNCTION_PATH.removeprefix("app/")
    return f"""\
# Runs {script}, with the inputs of its function {spec["name"]}; --help lists them.
{_load(path, "_buildr_function")}_buildr_function["run_script"](globals(), {json.dumps(document, sort_keys=True)!r})
"""


def returns_block(path: str) -> str:
    """Return the code that gets what writes the returns ready, before any code of the notebook may move or shadow it.

    ``path`` leads from the program's folder to the writer.
    """
    return f"""\
import os
{_load(path, "_buildr_returns")}_buildr_output = os.path.abspath(os.environ.get("BUILDR_OUTPUT_DIR", "output"))
"""


def displays_block(path: str, *, shell: bool, display: bool) -> str:
    """Return the code that lets a notebook which runs the image see objects as a kernel shows them.

    ``path`` leads from the program's folder to what frames them. ``shell``: the program imports IPython. ``display``:
    it uses the name that a kernel has.
    """
    name = "display" if display else "_buildr_display"
    return f"""\
{_load(path, "_buildr_displays")}{name} = _buildr_displays["install"](_buildr_stdout, {shell})
"""


def displays_file() -> FileEntry:
    """Return the file that frames what objects look like."""
    return _own_file(DISPLAYS_PATH, "shows tables and pictures in a notebook that runs it")


def own_files(interface: Interface, *, function: bool = False, script: bool = False) -> list[FileEntry]:
    """Return what reads the inputs and writes the returns in the image, and calls a decorated function with them.

    ``function``: the program calls one; ``script``: it is a script that does.
    """
    found = []
    if interface.inputs:
        found.append(_own_file(READER_PATH, "reads the inputs"))
    if script or (function and interface.inputs):
        found.append(_own_file(FUNCTION_PATH, "calls the decorated function with the inputs"))
    if interface.returns:
        found.append(_own_file(WRITER_PATH, "writes what --return names"))
    return found


def _own_file(path: str, why: str) -> FileEntry:
    content = resources.files("buildr_jupyter.in_image").joinpath(path.rpartition("/")[2]).read_bytes()
    return FileEntry.from_bytes(path, content, why=why)
