"""Inputs of a program, found in its statements: types from annotations and values, choices, descriptions."""

from __future__ import annotations

import ast
import datetime as dt
import enum
import io
import json
import math
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import ModuleType
from typing import Any

from buildr_jupyter.errors import OptionError
from buildr_jupyter.export.parameters import check_parameter, parse_default
from buildr_jupyter.in_image import parameters as reader
from buildr_jupyter.model.interface import Input, option_of

__all__ = [
    "Found",
    "check_options",
    "describe",
    "enums_of",
    "is_plain",
    "make_input",
    "plain_assignment",
    "plain_value",
]

_NAMES = {
    "bool": "bool", "int": "int", "float": "float", "str": "str", "None": "None", "NoneType": "None", "list": "list",
    "List": "list", "dict": "dict", "Dict": "dict", "date": "date", "datetime": "datetime", "Path": "Path",
    "PurePath": "Path", "Any": "Any",
}  # fmt: skip
_ENUMS = ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")
_RESERVED = ("--help", "--h", reader.FILE_OPTION)


@dataclass(frozen=True, slots=True)
class Found:
    """What an annotation or a value says of an input."""

    type: str
    choices: tuple[object, ...] = ()
    maker: str = "{}"
    """What the program writes where the value stood; ``{}`` is what the reader gave."""


def plain_assignment(node: ast.stmt) -> tuple[str | None, ast.expr | None, ast.expr | None]:
    """Return name, annotation and value of an assignment to one name; None thrice for any other statement."""
    annotation: ast.expr | None = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target, annotation = node.target, node.annotation
    else:
        return None, None, None
    return (target.id, annotation, node.value) if isinstance(target, ast.Name) else (None, None, None)


def make_input(
    name: str,
    assigned: tuple[ast.expr | None, ast.expr | None] | None,
    default: str | None,
    *,
    enums: Mapping[str, tuple[str, ...]],
    namespace: Mapping[str, object] | None = None,
    description: str = "",
) -> tuple[Input, str]:
    """Return the input that a name becomes, and what stands in the place of its value (``{}`` is the given one).

    ``assigned`` is the annotation, where there is one, and the value of the assignment; ``default`` a text that takes
    the value's place. ``enums`` maps the classes of the program to their members. Without either, the input is
    required. Raises OptionError for a value that no input can have.
    """
    annotation, node = assigned or (None, None)
    found = _annotated(annotation, enums, namespace) if annotation is not None else None
    value_found = _valued(node, enums, namespace) if node is not None else None
    if found is None and value_found is not None and value_found.choices:
        found = value_found
    if default is not None:
        return _with_text(name, default, found, description)
    if node is None:
        if namespace is not None and name in namespace:
            plain, kind = _without_class(name, plain_value(name, namespace[name]))
            return Input(name, found.type if found else kind, plain, description=description), "{}"
        found = found or Found("Any")
        made = Input(name, found.type, required=True, choices=found.choices, description=description)
        return made, found.maker
    plain, kind = _default(name, node, found, namespace)
    for one in _readings(found, plain):
        made = Input(name, one.type, plain, choices=one.choices, description=description)
        try:
            reader.accept(made.to_json(), plain)
        except reader.Refused:
            continue  # the notebook's own value is none of its annotation: the value counts
        return made, one.maker
    return Input(name, kind, plain, description=description), "{}"


def _readings(found: Found | None, plain: object) -> list[Found]:
    """Return what an annotation may mean beside a value: ``n: int = None`` says both."""
    if found is None:
        return []
    return [found, *([Found(_joined([found.type, "None"]))] if plain is None and not found.choices else [])]


def _with_text(name: str, text: str, found: Found | None, description: str) -> tuple[Input, str]:
    if found is not None:
        made = Input(name, found.type, None, choices=found.choices, description=description)
        try:
            plain = reader.from_text(made.to_json(), text)
        except reader.Refused as error:
            raise OptionError(f"--param {name}: {error}", hint="give a default of that type") from error
        return Input(name, found.type, plain, choices=found.choices, description=description), found.maker
    plain, kind = plain_value(name, parse_default(name, text))
    return Input(name, kind, plain, description=description), "{}"


def plain_value(name: str, value: object) -> tuple[object, str]:
    """Return the plain form of a value and the name of its type; raises OptionError where no input can have it."""
    if isinstance(value, enum.Enum):
        return value.name, "Enum"
    if type(value) is dt.datetime or type(value) is dt.date:
        return value.isoformat(), type(value).__name__
    if isinstance(value, PurePath):
        return str(value), "Path"
    checked = check_parameter(name, value)
    if isinstance(checked, float) and not math.isfinite(checked):
        return str(checked), "float"
    kinds: tuple[Any, ...] = (bool, int, float, str, list, dict)
    for kind in kinds:  # a subclass is carried as its plain value
        if isinstance(checked, kind):
            return (checked if type(checked) is kind else kind(checked)), kind.__name__
    return None, "Any"


def _default(
    name: str,
    node: ast.expr,
    found: Found | None,
    namespace: Mapping[str, object] | None,
) -> tuple[object, str]:
    if found is not None and found.type == "Enum" and (member := _member(node)) in found.choices:
        return member, "Enum"
    try:
        return plain_value(name, ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError):
        if namespace is not None and name in namespace:
            live = plain_value(name, namespace[name])
            return live if found is not None and found.type == "Enum" else _without_class(name, live)
    if (made := _called(node)) is not None:
        return plain_value(name, made)
    raise OptionError(
        f"--param {name}: its value in the notebook is computed", hint=f"give a default: --param {name}=VALUE"
    )


def _without_class(name: str, plain: tuple[object, str]) -> tuple[object, str]:
    """Return a plain value as it is; raises OptionError for a member of an Enum that nothing in the text names."""
    if plain[1] == "Enum":
        raise OptionError(
            f"--param {name}: its value is a member of an Enum, and the text does not say of which",
            hint=f"annotate it: {name}: TheEnum = …",
        )
    return plain


def _called(node: ast.expr) -> object:
    """Return the date, datetime or path that a call with literals makes; None for any other expression."""
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    try:
        given = [ast.literal_eval(one) for one in node.args]
    except (ValueError, TypeError, SyntaxError):
        return None
    function, kind = node.func, _last(node.func)
    made: Any = {"date": dt.date, "datetime": dt.datetime, "Path": PurePath}.get(kind)
    if kind == "fromisoformat" and isinstance(function, ast.Attribute):
        made = {"date": dt.date, "datetime": dt.datetime}.get(_last(function.value))
        made = made and made.fromisoformat
    try:
        found: object = made(*given) if made else None
    except (TypeError, ValueError):
        return None
    return found


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else (node.id if isinstance(node, ast.Name) else "")


def _member(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""


# -- annotations


def _annotated(
    node: ast.expr, enums: Mapping[str, tuple[str, ...]], namespace: Mapping[str, object] | None
) -> Found | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return None
    if isinstance(node, ast.Subscript) and _last(node.value) in ("Final", "Annotated", "Literal"):
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if _last(node.value) != "Literal":
            return _annotated(items[0], enums, namespace)
        values = tuple(one.value for one in items if isinstance(one, ast.Constant))
        plain = all(one is None or isinstance(one, (bool, int, str)) for one in values)
        return Found("Literal", values) if plain and len(values) == len(items) else None
    if members := _members(node, enums, namespace):
        return Found("Enum", members, f"{ast.unparse(node)}[{{}}]")
    text = _type_text(node)
    return Found(text) if text else None


def _type_text(node: ast.expr) -> str:
    """Return an annotation in the words of the interface; empty where it has a type that no input can have."""
    if isinstance(node, ast.Constant):
        return "None" if node.value is None else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _joined([_type_text(node.left), _type_text(node.right)])
    if not isinstance(node, ast.Subscript):
        return _NAMES.get(_last(node), "")
    outer, items = _last(node.value), node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    inner = [_type_text(one) for one in items]
    if outer == "Optional":
        return _joined([*inner, "None"])
    if outer == "Union":
        return _joined(inner)
    if outer in ("list", "List") and len(inner) == 1 and inner[0]:
        return f"list[{inner[0]}]"
    if outer in ("dict", "Dict") and len(inner) == 2 and inner[0] == "str" and inner[1]:
        return f"dict[str, {inner[1]}]"
    return _NAMES.get(outer, "") if outer in ("list", "List", "dict", "Dict") else ""


def _joined(parts: list[str]) -> str:
    return " | ".join(dict.fromkeys(parts)) if all(parts) else ""


def _valued(
    node: ast.expr, enums: Mapping[str, tuple[str, ...]], namespace: Mapping[str, object] | None
) -> Found | None:
    """Return what a member of an Enum says of an input; None for any other value."""
    if isinstance(node, (ast.Attribute, ast.Subscript)) and (members := _members(node.value, enums, namespace)):
        return Found("Enum", members, f"{ast.unparse(node.value)}[{{}}]")
    return None


def _members(
    node: ast.expr, enums: Mapping[str, tuple[str, ...]], namespace: Mapping[str, object] | None
) -> tuple[str, ...]:
    known = _known(node, namespace or {})
    if isinstance(known, enum.EnumMeta):
        return tuple(known.__members__)
    return enums.get(node.id, ()) if isinstance(node, ast.Name) else ()


def _known(node: ast.expr, namespace: Mapping[str, object]) -> object:
    """Return what a name, dotted or not, stands for; None where that is not to be had without running code."""
    if isinstance(node, ast.Name):
        return namespace.get(node.id)
    if isinstance(node, ast.Attribute):
        holder = _known(node.value, namespace)
        if isinstance(holder, (ModuleType, type)):
            return vars(holder).get(node.attr)
    return None


def enums_of(nodes: Iterable[ast.stmt]) -> dict[str, tuple[str, ...]]:
    """Return the Enums that these statements define, by name, each with its members in order."""
    found = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef) and any(_last(base) in _ENUMS for base in node.bases):
            targets = [one for inner in node.body if isinstance(inner, ast.Assign) for one in inner.targets]
            names = [one.id for one in targets if isinstance(one, ast.Name) and not one.id.startswith("_")]
            found[node.name] = tuple(names)
    return found


# -- what else is said


def is_plain(node: ast.expr) -> bool:
    """Tell whether an expression is one literal that an input can have."""
    try:
        value = ast.literal_eval(node)
        check_parameter("x", value)
        return len(json.dumps(value)) > 0
    except (OptionError, ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False


def describe(source: str, node: ast.stmt) -> str:
    """Return the comment beside a statement, else the one right above it, as one line; empty where there is none."""
    comments: dict[int, tuple[str, bool]] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                alone = not token.line[: token.start[1]].strip()
                comments[token.start[0]] = (token.string.lstrip("#:! ").strip(), alone)
    except (tokenize.TokenError, SyntaxError):
        pass  # what was read before counts
    beside = comments.get(node.end_lineno or node.lineno)
    if beside and not beside[1]:
        return beside[0]
    above: list[str] = []
    line = node.lineno - 1
    while line in comments and comments[line][1]:
        above.insert(0, comments[line][0])
        line -= 1
    return " ".join(one for one in above if one)


def check_options(names: Iterable[str]) -> None:
    """Raise OptionError where an input has no option of its own on the image's command line."""
    taken: dict[str, str] = {}
    for name in names:
        option = option_of(name)
        if option in _RESERVED or option in taken:
            other = f"input {taken[option]!r}" if option in taken else "the program itself"
            raise OptionError(f"--param {name}: {option} belongs to {other}", hint=f"give {name} another name")
        taken[option] = name
