"""Inputs of a program: read from the command line, the environment and a file, and checked against their types.

It goes into the image as it is and runs there, on any Python from 3.8. Here the same functions check the inputs of a
sweep before its first run. An input is a dict as the image's interface has it (``name``, ``option``, ``env``, ``type``,
``default``; ``required``, ``choices`` and ``description`` where there are such). Its value has two forms: the *plain*
one is what JSON can hold (a date is ISO text, an Enum the name of a member), the other is what the program gets.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import math
import os
import pathlib
import sys
from typing import Any

FILE_OPTION = "--params-file"
ALL = "BUILDR_PARAMS"
"""The variable that may hold all inputs as one JSON object, by name."""
Entry = Any
_WORDS = {"True": "true", "False": "false", "None": "null"}
_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


class Refused(ValueError):
    """A value is none that the input can have; the text says why."""


def accept(entry: Entry, value: Any) -> Any:
    """Return the plain value that ``value``, of JSON, is for this input; raises Refused."""
    if "choices" in entry:
        for choice in entry["choices"]:
            if choice == value and type(choice) is type(value):
                return choice
        raise Refused("{} is none of {}".format(shown(value), ", ".join(shown(one) for one in entry["choices"])))
    found, taken = _accept(_node(entry["type"]), value)
    if not found:
        raise Refused("{} is no {}".format(shown(value), entry["type"]))
    return taken


def from_text(entry: Entry, text: str) -> Any:
    """Return the plain value that a text of the command line or the environment means; raises Refused."""
    if "choices" in entry:
        for choice in entry["choices"]:
            if str(choice) == text or json.dumps(choice) == text:
                return choice
        raise Refused("{!r} is none of {}".format(text[:60], ", ".join(str(one) for one in entry["choices"])))
    found, taken = _from_text(_node(entry["type"]), text)
    if not found:
        raise Refused("{!r} is no {}".format(text[:60], entry["type"]))
    return taken


def to_python(entry: Entry, value: Any) -> Any:
    """Return what the program gets for a plain value; an Enum's member is made where its class is known."""
    return value if "choices" in entry else _to_python(_node(entry["type"]), value)


def shown(value: Any) -> str:
    """Return a plain value as one short text."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def _node(text):
    return ast.parse(text, mode="eval").body


def _alternatives(node):
    if isinstance(node, ast.BinOp):
        return _alternatives(node.left) + _alternatives(node.right)
    return [node]


def _index(node):
    index = node.slice
    return index.value if type(index).__name__ == "Index" else index  # until Python 3.8


def _accept(node, value):
    """Return (whether the value has this type, the plain value)."""
    if isinstance(node, ast.BinOp):
        for one in _alternatives(node):
            found, taken = _accept(one, value)
            if found:
                return True, taken
        return False, None
    if isinstance(node, ast.Constant):
        return value is None, None
    if isinstance(node, ast.Subscript):
        return _accept_items(node, value)
    kind, known = node.id, type(value)
    if kind == "Any":
        return True, value
    if kind == "float":
        if known is str and value.lower() in _NUMBERS:
            return True, value.lower()
        if known is float and not math.isfinite(value):
            return True, str(value)
        try:
            return known in (int, float), float(value) if known in (int, float) else value
        except OverflowError:
            return False, None
    if kind in ("date", "datetime"):
        return known is str and _is_date(kind, value), value
    if kind == "Path":
        return known is str and bool(value) and "\0" not in value, value
    return known.__name__ == kind, value


def _accept_items(node, value):
    index = _index(node)
    if node.value.id == "list":
        if type(value) is not list:
            return False, None
        pairs = [_accept(index, one) for one in value]
        return all(found for found, _ in pairs), [taken for _, taken in pairs]
    if type(value) is not dict:
        return False, None
    kept = {}
    for key, one in value.items():
        found, kept[key] = _accept(index.elts[1], one)
        if not found or type(key) is not str:
            return False, None
    return True, kept


def _is_date(kind, text):
    try:
        getattr(dt, kind).fromisoformat(text)
    except ValueError:
        return False
    return True


def _from_text(node, text):
    names = [getattr(one, "id", "") for one in _alternatives(node)]
    texts = [one for one in _alternatives(node) if getattr(one, "id", "") in ("str", "Path", "date", "datetime")]
    others = [one for one in _alternatives(node) if one not in texts]
    if others and names != ["Any"]:
        known, value = _literal(text)
        for one in others if known else ():
            found, taken = _accept(one, value)
            if found:
                return True, taken
        if not known and "float" in names and text.lower() in _NUMBERS:
            return True, text.lower()
    for one in texts:
        if _accept(one, text)[0]:
            return True, text
    if "Any" in names:
        known, value = _literal(text)
        return True, value if known else text
    return False, None


def _literal(text):
    """Return (whether the text is JSON, or a Python literal that JSON can hold; its value)."""
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(_WORDS.get(text, text))
            json.dumps(value)
            if json.loads(json.dumps(value)) == value:
                return True, value
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            pass
    return False, None


def _to_python(node, value):
    if isinstance(node, ast.BinOp):
        for one in _alternatives(node):
            if _accept(one, value)[0]:
                return _to_python(one, value)
        return value
    kind = getattr(node, "id", "")
    if kind == "float" and isinstance(value, str):
        return _NUMBERS[value]
    if kind in ("date", "datetime") and isinstance(value, str):
        return getattr(dt, kind).fromisoformat(value)
    if kind == "Path" and isinstance(value, str):
        return pathlib.Path(value)
    if isinstance(node, ast.Subscript) and isinstance(value, list):
        index = _index(node)
        return [_to_python(index, one) for one in value]
    if isinstance(node, ast.Subscript) and isinstance(value, dict):
        index = _index(node)
        return {key: _to_python(index.elts[1], one) for key, one in value.items()}
    return value


# -- in the program


def gather(inputs: Any, words: Any, environment: Any, read_file: Any) -> Entry:
    """Return name to plain value of what was given, the command line first, then the environment, then the file.

    ``read_file`` takes the name behind ``--params-file`` and returns its text. Raises Refused.
    """
    options = {entry["option"]: entry for entry in inputs}
    said, file = {}, None
    words = list(words)
    while words:
        option, equals, value = words.pop(0).partition("=")
        if option not in options and option != FILE_OPTION:
            raise Refused("{!r} is no input".format(option[:60]))
        if not equals:
            if not words:
                raise Refused("{}: a value is missing".format(option))
            value = words.pop(0)
        if option == FILE_OPTION:
            file = value
        else:
            said[options[option]["name"]] = _named(option, from_text, options[option], value)
    found = {}
    if file is not None:
        found.update(_object(inputs, read_file(file), "{} {}".format(FILE_OPTION, file)))
    if environment.get(ALL):
        found.update(_object(inputs, environment[ALL], ALL))
    for entry in inputs:
        if entry["env"] in environment:
            found[entry["name"]] = _named(entry["env"], from_text, entry, environment[entry["env"]])
    found.update(said)
    for entry in inputs:
        if entry.get("required") and entry["name"] not in found:
            raise Refused("{}: a value is missing".format(entry["option"]))
    return found


def _named(where, read, entry, value):
    try:
        return read(entry, value)
    except Refused as error:
        raise Refused("{}: {}".format(where, error)) from None


def _object(inputs, text, where):
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("{}: it is not JSON: {}".format(where, str(error)[:80])) from None
    if not isinstance(given, dict):
        raise Refused("{}: a JSON object is wanted, name to value".format(where))
    known = {entry["name"]: entry for entry in inputs}
    for name in given:
        if name not in known:
            raise Refused("{}: {!r} is no input".format(where, name[:60]))
    return {name: _named("{}: {}".format(where, name), accept, known[name], value) for name, value in given.items()}


def render_help(title: str, inputs: Any) -> str:
    """Return what ``--help`` prints."""
    lines = ["usage: main.py [--NAME VALUE ...] [{} FILE]".format(FILE_OPTION), "", title, "", "inputs:"]
    for entry in inputs:
        choices = entry.get("choices")
        kind = "{" + ",".join(str(one) for one in choices) + "}" if choices else entry["type"]
        default = "required" if entry.get("required") else "default: {}".format(shown(entry["default"]))
        lines.append("  {} {}".format(entry["option"], kind))
        lines.append("      {}{} ({})".format(*_sentence(entry), default, entry["env"]))
    lines.append("  {} FILE".format(FILE_OPTION))
    lines.append("      inputs as one JSON object, by name; - is standard input")
    return "\n".join(lines) + "\n"


def _sentence(entry):
    text = entry.get("description", "")
    return (text + "; " if text else "",)


def _read_file(name):
    try:
        if name == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        with open(name, encoding="utf-8") as stream:
            return stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("{} {}: {}".format(FILE_OPTION, name, getattr(error, "strerror", None) or error)) from None


def read_given(interface: Entry, title: str) -> Entry:
    """Return name to value, as the program gets it, of the inputs that were given.

    Prints the help and raises SystemExit where that is asked for; status 2 after one sentence where a value is wrong.
    """
    inputs = interface["inputs"]
    words = sys.argv[1:]
    if "-h" in words or "--help" in words:
        sys.stdout.write(render_help(title, inputs))
        raise SystemExit(0)
    try:
        found = gather(inputs, words, os.environ, _read_file)
    except Refused as error:
        sys.stderr.write("main.py: {}; --help lists the inputs\n".format(error))
        raise SystemExit(2) from None
    return {entry["name"]: to_python(entry, found[entry["name"]]) for entry in inputs if entry["name"] in found}


def read(interface: Entry, title: str) -> Entry:
    """Return what ``read_given`` does, and of each input that nobody gave its default."""
    given = read_given(interface, title)
    return {
        entry["name"]: given[entry["name"]] if entry["name"] in given else to_python(entry, entry["default"])
        for entry in interface["inputs"]
    }
