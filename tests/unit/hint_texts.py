"""Hint texts: what the package tells a person, read from its source, and the options and commands named in it."""

from __future__ import annotations

import argparse
import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.cli import make_parser
from buildr_jupyter.config.options import make_line_parser

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "buildr_jupyter"

_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_COMMAND = re.compile(r"\bbuildr (?!of|made|itself|did|warms|is|and|has|keeps|needs)([a-z]+)")
_FOREIGN = re.compile(
    r"(?:docker|git|jupytext|pip|uv|apt-get|ssh|usermod|podman|buildah|buildctl|cosign|skopeo|python|jupyter|kubectl|make"
    r"|pre-commit|nbdime|syft|trivy)\d?\b(?:(?!\bbuildr\b)[^\n;,`)])*"
)
"""Another program's command: its options are not ours."""
_NAMES = re.compile(r"hint|_STILL_RUNS|INSTALL$|_CHOICES", re.IGNORECASE)
_TELLERS = frozenset(("BuildWarning", "Failed", "Check", "Unsupported"))
_LINE = re.compile(
    r"(?<![\w-])--[a-z]|\bbuildr (?:login|images|doctor|cache|export|build|enable|disable|inspect|rebase|logout)\b"
    r"|%(?:pip|config|containerize) |\bpip install |(?<!\w)[A-Z]{2,}_[A-Z]{2,}\w*|BUILDR_|\[tool\.buildr\]|trusted-owners"
    r"|name==|=\w*…"
)
"""What makes a hint one that names a line to use."""


IMPERATIVES = frozenset(
    [
        "add", "annotate", "ask", "assign", "build", "carry", "change", "check", "choose", "close", "convert",
        "correct", "decorate", "delete", "edit", "end", "export", "fetch", "find", "forward", "free", "give",
        "install", "join", "keep", "leave", "let", "list", "load", "log", "look", "make", "mount", "move",
        "name", "open", "own", "prune", "push", "put", "raise", "read", "recompute", "remove", "rename",
        "repair", "resolve", "restart", "return", "run", "save", "say", "see", "set", "split", "start", "take",
        "tell", "try", "update", "use", "wait", "write",
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Hint:
    """One literal of the source."""

    module: str
    text: str
    """With ``{}`` for what is put in."""


@functools.lru_cache(maxsize=1)
def _nodes(source: str) -> tuple[ast.AST, ...]:
    """Return all nodes of the module that is read at the moment: several questions are asked of it."""
    return tuple(ast.walk(ast.parse(source)))


def hints(source: str, module: str) -> Iterator[Hint]:
    """Yield each literal that becomes a hint: ``hint=``, the second text of a warning, what is kept under such a name."""
    for node in _nodes(source):
        if isinstance(node, ast.Call):
            values = [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
            values += node.args[1:] if _called(node) in _TELLERS else []
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            kept = any(isinstance(one, ast.Name) and _NAMES.search(one.id) for t in targets for one in ast.walk(t))
            values = [node.value] if kept and node.value else []
        elif isinstance(node, ast.FunctionDef) and _NAMES.search(node.name):
            values = [one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value]
        else:
            continue
        yield from (Hint(module, text) for value in values for text in _texts(value))


def first_words(source: str) -> Iterator[str]:
    """Yield the start of each text that is a hint as it is shown; what starts with a hint that is put in has none."""
    for node in _nodes(source):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            values = [keyword.value for keyword in node.keywords if keyword.arg == "hint"]
            values += node.args[1:2] if _called(node) == "BuildWarning" else []
        elif isinstance(node, ast.Assign):
            values = [value for target in node.targets for value in _kept_as_hint(target, node.value)]
        elif isinstance(node, ast.AnnAssign) and node.value:
            values = list(_kept_as_hint(node.target, node.value))
        elif isinstance(node, ast.FunctionDef) and node.name.lower().endswith("hint"):
            values = [one.value for one in ast.walk(node) if isinstance(one, ast.Return) and one.value]
        for text in (text for value in values for text in _shown(value)):
            if text and not text.lstrip(" (").startswith("{"):
                yield text.split()[0].strip(",:;")


def _kept_as_hint(target: ast.expr, value: ast.expr) -> Iterator[ast.expr]:
    """Yield what a name of a hint, or of a table of hints, is bound to."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=False):
            yield from _kept_as_hint(one, other)
    elif isinstance(target, ast.Name) and re.search(r"(?i:hints?$)|_STILL_RUNS|^INSTALL$|_CHOICES", target.id):
        yield value


def _shown(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be; of a table's row it is the last that is shown."""
    parts: list[ast.expr] = []
    if isinstance(node, ast.Constant | ast.JoinedStr):
        yield from _texts(node)
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.BinOp):
        parts = [node.left]
    elif isinstance(node, ast.BoolOp | ast.Dict):
        parts = node.values
    elif isinstance(node, ast.Tuple):
        parts = node.elts if any(isinstance(one, ast.Tuple) for one in node.elts) else node.elts[-1:]
    elif isinstance(node, ast.Call):
        parts = node.args[2:3] if _called(node) == "nearest_hint" else node.args[1:2] if _called(node) == "get" else []
    for part in parts:
        yield from _shown(part)


def messages(source: str) -> Iterator[str]:
    """Yield each literal of an exception or a warning."""
    for node in _nodes(source):
        if isinstance(node, ast.Call):
            name = _called(node)
            if name in _TELLERS or re.search(r"(?:Error|Refused|Unavailable|Busy|Unauthorized|Denied|Spec)$", name):
                for argument in (*node.args, *(k.value for k in node.keywords)):
                    yield from _texts(argument)


def names_a_line(hint: Hint) -> bool:
    """Tell whether the hint names something to type: an option, a command, a variable, a setting."""
    return _LINE.search(hint.text) is not None


@functools.cache
def package_hints() -> list[Hint]:
    """Return every hint of the package, once."""
    return sorted({hint for module, source in modules() for hint in hints(source, module)})


def modules() -> Iterator[tuple[str, str]]:
    """Yield (dotted name below the package, source)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts), path.read_text("utf-8")


def unknown_words(text: str) -> list[str]:
    """Return the options and ``buildr`` commands in a text that no parser of buildr has."""
    ours = _FOREIGN.sub("", text)
    found = [option for option in _OPTION.findall(ours) if option not in _known_options()]
    return found + [f"buildr {word}" for word in _COMMAND.findall(ours) if word not in _commands()]


@functools.cache
def _commands() -> dict[str, argparse.ArgumentParser]:
    actions = make_parser()._actions
    return next(a.choices for a in actions if isinstance(a, argparse._SubParsersAction))  # type: ignore[return-value]


@functools.cache
def _known_options() -> frozenset[str]:
    parsers = [make_parser(), make_line_parser(), *_commands().values()]
    return frozenset(option for parser in parsers for action in parser._actions for option in action.option_strings)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _texts(child)
