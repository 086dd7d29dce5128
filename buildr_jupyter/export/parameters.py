"""Parameters and returns: defaults as text, and the program's blocks that read the ones and write the others."""

from __future__ import annotations

import ast
import json
from importlib import resources

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.interface import Interface
from buildr_jupyter.model.plan import OWN_FOLDER, FileEntry

__all__ = [
    "DISPLAYS_PATH",
    "READER_PATH",
    "WRITER_PATH",
    "check_parameter",
    "displays_block",
    "displays_file",
    "parameter_block",
    "parse_default",
    "reader_file",
    "returns_block",
    "writer_file",
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
        hint="int, float, bool, str, None, and lists and dicts of them can be given from outside",
    )


READER_PATH = f"{OWN_FOLDER}/parameters.py"
WRITER_PATH = f"{OWN_FOLDER}/returns.py"
DISPLAYS_PATH = f"{OWN_FOLDER}/displays.py"


def parameter_block(interface: Interface, title: str, path: str) -> str:
    """Return the code that takes the inputs from outside into ``_buildr_given``; ends with status 2 if bad.

    ``path`` leads from the program's folder to the reader.
    """
    inputs = Interface(interface.inputs)
    return f"""\
import json, os, sys
with open({path!r}, encoding="utf-8") as _buildr_file:
    exec(compile(_buildr_file.read(), {path!r}, "exec"), _buildr_reader := {{"__name__": "buildr"}})
_buildr_stderr = os.dup(1)
os.dup2(_buildr_stdout, 1)
try:
    _buildr_given = _buildr_reader["read"](json.loads({inputs.to_label()!r}), {title!r})
except SystemExit as _buildr_exit:
    sys.stdout.flush()
    os._exit(_buildr_exit.code or 0)
os.dup2(_buildr_stderr, 1)
"""


def returns_block(path: str) -> str:
    """Return the code that gets what writes the returns ready, before any code of the notebook may move or shadow it.

    ``path`` leads from the program's folder to the writer.
    """
    return f"""\
import os
with open({path!r}, encoding="utf-8") as _buildr_file:
    exec(compile(_buildr_file.read(), {path!r}, "exec"), _buildr_returns := {{"__name__": "buildr"}})
_buildr_output = os.path.abspath(os.environ.get("BUILDR_OUTPUT_DIR", "output"))
"""


def displays_block(path: str, *, shell: bool, display: bool) -> str:
    """Return the code that lets a notebook which runs the image see objects as a kernel shows them.

    ``path`` leads from the program's folder to what frames them. ``shell``: the program imports IPython. ``display``:
    it uses the name that a kernel has.
    """
    name = "display" if display else "_buildr_display"
    return f"""\
with open({path!r}, encoding="utf-8") as _buildr_file:
    exec(compile(_buildr_file.read(), {path!r}, "exec"), _buildr_displays := {{"__name__": "buildr"}})
{name} = _buildr_displays["install"](_buildr_stdout, {shell})
"""


def displays_file() -> FileEntry:
    """Return the file that frames what objects look like."""
    content = resources.files("buildr_jupyter.in_image").joinpath("displays.py").read_bytes()
    return FileEntry.from_bytes(DISPLAYS_PATH, content, why="shows tables and pictures in a notebook that runs it")


def writer_file() -> FileEntry:
    """Return the file that writes the returns in the image."""
    content = resources.files("buildr_jupyter.in_image").joinpath("returns.py").read_bytes()
    return FileEntry.from_bytes(WRITER_PATH, content, why="writes what --return names")


def reader_file() -> FileEntry:
    """Return the file that reads the inputs in the image."""
    content = resources.files("buildr_jupyter.in_image").joinpath("parameters.py").read_bytes()
    return FileEntry.from_bytes(READER_PATH, content, why="reads the inputs")
