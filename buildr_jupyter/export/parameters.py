"""Parameters: defaults and values as text, and the program's block that reads them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping

from buildr_jupyter.errors import OptionError

__all__ = ["check_parameter", "parameter_block", "parse_default"]


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


def parameter_block(defaults: Mapping[str, object], title: str) -> str:
    """Return the code that takes the parameters from the command line or the environment; ends with status 2 if bad."""
    return f"""\
import argparse, json, os, sys
def _buildr_reader(kind):
    def read(text):
        words = {{"True": "true", "False": "false", "None": "null"}}
        value = text if kind is str else json.loads(words.get(text, text))
        if kind not in (type(value), type(None)) and not (kind is float and type(value) is int):
            raise ValueError(text)
        return float(value) if kind is float else value
    read.__name__ = kind.__name__  # argparse's message has it
    return read
_buildr_parser = argparse.ArgumentParser(prog="main.py", description={title!r}, allow_abbrev=False)
for _buildr_name, _buildr_default in {dict(defaults)!r}.items():
    _buildr_parser.add_argument(
        "--" + _buildr_name.lower().replace("_", "-"), dest=_buildr_name,
        type=_buildr_reader(type(_buildr_default)),
        default=os.environ.get("BUILDR_PARAM_" + _buildr_name.upper(), _buildr_default),
        metavar=type(_buildr_default).__name__, help=f"default: {{_buildr_default!r}}".replace("%", "%%"))
_buildr_stderr = os.dup(1)
os.dup2(_buildr_stdout, 1)
try:
    _buildr_params = vars(_buildr_parser.parse_args())
except SystemExit as _buildr_exit:
    sys.stdout.flush()
    os._exit(_buildr_exit.code or 0)
os.dup2(_buildr_stderr, 1)
"""
