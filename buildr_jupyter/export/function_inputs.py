"""Inputs of a decorated function: its parameters, with their types, defaults, choices and descriptions."""

from __future__ import annotations

import ast
import enum
import inspect
import re
import textwrap
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildr_jupyter.errors import OptionError
from buildr_jupyter.export.inputs import check_options, describe, make_input, plain_value
from buildr_jupyter.model.interface import Input
from buildr_jupyter.model.progress import BuildWarning

__all__ = ["FunctionInputs", "gives_value", "read_function"]

_NOTHING = ("None", "NoReturn", "Never")
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class FunctionInputs:
    """What the image of a decorated function takes."""

    name: str
    """The function's qualified name."""
    title: str
    """What the image's help says that it does."""
    inputs: tuple[Input, ...] = ()
    """In the order of the parameters."""
    baked: tuple[str, ...] = ()
    """Inputs whose default in the image is not known to be the function's own."""
    makers: tuple[tuple[str, str], ...] = ()
    """(input, expression that makes its value of ``value``) for members of an Enum."""
    warnings: tuple[BuildWarning, ...] = ()

    def spec(self) -> dict[str, object]:
        """Return what the image has to know of the function beside its interface."""
        return {"name": self.name, "title": self.title, "baked": list(self.baked), "makers": dict(self.makers)}


@dataclass(frozen=True, slots=True)
class _Text:
    """What the source says of a parameter."""

    annotation: ast.expr | None = None
    default: ast.expr | None = None
    comment: str = ""


def read_function(
    func: Callable[..., object], args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
) -> FunctionInputs:
    """Return what the image of a function takes; the arguments of a call are the defaults of its inputs.

    A parameter whose default is no value that can be given from outside keeps it and is no input, which a warning says.
    Raises OptionError for an argument or a parameter that no input can be, TypeError for arguments that are none of the
    function's.
    """
    name = func.__qualname__
    title = _title(func)
    try:
        signature = inspect.signature(func)
    except ValueError:  # a function that is not Python's own tells of none
        return FunctionInputs(name, title)
    said = signature.bind_partial(*args, **(kwargs or {})).arguments
    texts = _read_texts(func)
    names = getattr(inspect.unwrap(func), "__globals__", {})
    described = _described(inspect.getdoc(func) or "")
    inputs, baked, makers, warnings = [], [], [], []
    for parameter in signature.parameters.values():
        one = parameter.name
        if parameter.kind in _VARIABLE:
            if one in said:
                raise OptionError(
                    f"{name}(): *{one} takes what no input of an image can give it",
                    hint="give what it takes a parameter of its own, a list or a dict",
                )
            continue
        if one in said:
            plain_value(f"{name}({one})", said[one])  # which refuses what no input can have
            parameter = parameter.replace(default=said[one])
        text = texts.get(one, _Text())
        if one in said:
            text = replace(text, default=None)
        try:
            made, maker = _input(parameter, text, names, described.get(one, ""))
        except OptionError as error:
            if one in said or parameter.default is parameter.empty:
                raise
            warnings.append(_left_out(name, parameter, error))
            continue
        inputs.append(made)
        if maker != "{}":
            makers.append((one, maker.format("value")))
        if not (made.required or _is_constant(text.default)):
            baked.append(one)
    check_options(one.name for one in inputs)
    return FunctionInputs(name, title, tuple(inputs), tuple(baked), tuple(makers), tuple(warnings))


def gives_value(func: Callable[..., object]) -> bool:
    """Tell whether a function's annotation says that it returns a value."""
    try:
        said = inspect.signature(func).return_annotation
    except ValueError:
        return False
    if said is inspect.Signature.empty or inspect.iscoroutinefunction(func):
        return False
    text = said if isinstance(said, str) else inspect.formatannotation(said)
    return text.rpartition(".")[2].strip("'\"") not in _NOTHING


def _input(parameter: inspect.Parameter, text: _Text, names: Mapping[str, object], described: str) -> tuple[Input, str]:
    """Return the input that a parameter is, and what makes its value. Raises OptionError where it can be none."""
    name, annotation = parameter.name, text.annotation
    if annotation is None and parameter.annotation is not parameter.empty:
        annotation = _expression(parameter.annotation)
    live = {} if parameter.default is parameter.empty else {name: parameter.default}
    known = ChainMap(live, {one: value for one, value in names.items() if one != name})
    default = (text.default or _written(name, parameter.default, names)) if live else None
    made, maker = make_input(name, (annotation, default), None, enums={}, namespace=known,
                             description=text.comment or described)  # fmt: skip
    if annotation is not None and made.default is None and made.type == "Any" and not _says_any(annotation):
        raise OptionError(
            f"--param {name}: no input can have its type, {ast.unparse(annotation)}",
            hint="take a Path to a file of it, or give it a default",
        )
    return made, maker


def _written(name: str, value: object, names: Mapping[str, object]) -> ast.expr:
    """Return the text of a value that no text is known of: of a member its class, else what has it, its own name."""
    made = type(value)
    if isinstance(value, enum.Enum) and names.get(made.__name__) is made:
        return ast.Attribute(ast.Name(made.__name__), value.name)
    return ast.Name(name)


def _is_constant(node: ast.expr | None) -> bool:
    """Tell whether a default is one and the same wherever the function is defined."""
    if node is None:
        return False
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return False
    return True


def _says_any(annotation: ast.expr) -> bool:
    return ast.unparse(annotation).rpartition(".")[2].strip("'\"") == "Any"


def _expression(annotation: object) -> ast.expr | None:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation, "__main__")
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def _left_out(name: str, parameter: inspect.Parameter, error: OptionError) -> BuildWarning:
    why = str(error).removeprefix(f"--param {parameter.name}: ")
    return BuildWarning(
        f"{name}(): {parameter.name} keeps its default and is no input of the image: {why}",
        hint="give it a default that is int, float, bool, str, None, a list or a dict of them, to have it as an input",
    )


# -- what its text says


def _read_texts(func: Callable[..., object]) -> dict[str, _Text]:
    """Return what the source says of each parameter; nothing where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(func)))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    if not found or found[0].name != inspect.unwrap(func).__name__:
        return {}
    said = found[0].args
    placed = [*said.posonlyargs, *said.args]
    defaults: list[ast.expr | None] = [None] * (len(placed) - len(said.defaults))
    pairs = list(zip([*placed, *said.kwonlyargs], [*defaults, *said.defaults, *said.kw_defaults], strict=True))
    lines = [one.lineno for one, _ in pairs]
    first = found[0].lineno
    return {
        one.arg: _Text(one.annotation, default, _comment(source, one, default, lines, first)) for one, default in pairs
    }


def _comment(source: str, one: ast.arg, default: ast.expr | None, lines: Sequence[int], first: int) -> str:
    """Return the comment of a parameter that has a line of its own."""
    if one.lineno == first or lines.count(one.lineno) > 1:
        return ""
    place = ast.Pass(lineno=one.lineno, end_lineno=(default or one).end_lineno, col_offset=0, end_col_offset=0)
    return describe(source, place)


_FIELD = re.compile(r"^:param (?:[^:]*\s)?(?P<name>\w+):\s*(?P<text>\S.*)$")
_ENTRY = re.compile(r"^(?P<name>\w+)(?:\s*\([^)]*\))?:\s+(?P<text>\S.*)$")


def _described(text: str) -> dict[str, str]:
    """Return what a docstring says of parameters, one line each: ``:param n: …``, or ``n (int): …`` below a heading."""
    found: dict[str, str] = {}
    below = False
    for line in text.splitlines():
        if line and not line[0].isspace():
            below = line.strip() in ("Args:", "Arguments:", "Parameters:")
        match = _FIELD.match(line.strip()) or (_ENTRY.match(line.strip()) if below else None)
        if match:
            found.setdefault(match["name"], match["text"].strip())
    return found


def _title(func: Callable[..., object]) -> str:
    """Return the first paragraph of a docstring as one line; without one, the name and the file."""
    first = (inspect.getdoc(func) or "").partition("\n\n")[0]
    if first.strip():
        return " ".join(first.split())
    code = getattr(inspect.unwrap(func), "__code__", None)
    path = Path(code.co_filename) if code else None
    where = f" of {path.name}" if path is not None and path.is_file() and func.__module__ == "__main__" else ""
    return f"{func.__name__}(){where}"
