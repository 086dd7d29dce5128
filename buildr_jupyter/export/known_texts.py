"""Known texts: what the expressions of a program may be, where that is put together out of texts that stand in it.

Names, loops over literals, parameters by the calls of their functions, attributes by what is put into them; formats,
joins and the methods of texts and paths. No value is followed through a condition: an expression has all texts that it
may have, and a path that does not exist is left out by who looks for it.
"""

from __future__ import annotations

import ast
import itertools
import posixpath
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import MappingProxyType

from buildr_jupyter.analysis.scope import called_name

__all__ = ["Evaluated", "Texts", "evaluate"]

Texts = tuple[str, ...]
"""What an expression may be, in the order of the text; empty where it is not known."""
Evaluated = tuple[ast.AST, str, dict[int, Texts]]
"""A statement, its title, and the texts that its expressions may be, by id."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MAX_CHARS = 1024
"""A longer text is no path, and no part of one: texts that double from line to line stay small."""
_MOST = 64
"""So many texts of one expression are kept."""
_JOINS = frozenset(("join", "joinpath", "Path", "PurePath", "PosixPath"))
_SAME = frozenset(("str", "fspath", "resolve", "absolute", "as_posix", "abspath", "realpath"))
"""Functions and methods that give the same path, seen from the folder that the program runs in."""
_OF_OS_PATH = frozenset(("dirname", "basename", "normpath"))
_OS_WORDS = {"pardir": ("..",), "curdir": (".",), "sep": ("/",)}
"""What the attributes of ``os`` and ``os.path`` are."""
_OF_TEXTS = frozenset((
    "capitalize", "casefold", "lower", "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "strip",
    "swapcase", "title", "upper", "zfill",
))  # fmt: skip
"""Methods of a text that give another one."""
_TEMPORARY = "/temporary"
"""What stands for each path that ``tempfile`` makes: it is another one in each run, and nothing is carried there."""
_MAKES_TEMPORARY = frozenset(name for name in tempfile.__all__ if callable(getattr(tempfile, name)))
_FIELDS = re.compile(r"\{[^{}]{0,80}\}")


@dataclass(slots=True)
class _Known:
    """What is known of names, whatever the scope that they are in."""

    names: dict[str, Texts] = field(default_factory=dict)
    elements: dict[str, Texts] = field(default_factory=dict)
    """Texts in the list, tuple, set or dict of a name."""
    attributes: dict[str, Texts] = field(default_factory=dict)
    arguments: dict[tuple[str, str], Texts] = field(default_factory=dict)
    """What the parameter of a function, by both names, is given anywhere."""


def evaluate(
    trees: Iterable[tuple[ast.AST, str]], names: Mapping[str, Texts] = MappingProxyType({})
) -> Iterator[Evaluated]:
    """Yield the program's statements, which are given in order with their titles, with what their texts may be.

    ``names`` are those that are known before.
    """
    program = list(trees)
    known = _Known({**names})
    if any(isinstance(node, ast.arg) for tree, _ in program for node in ast.walk(tree)):
        functions = _functions(tree for tree, _ in program)
        for _ in range(2):  # what calls give, and then what functions put into attributes
            known = _Known({**names}, attributes=known.attributes, arguments=known.arguments)
            for tree, _ in program:
                values = _texts_of(tree, known)
                _note(tree, values, known)
                for node in ast.walk(tree):
                    if isinstance(node, ast.Call):
                        _note_arguments(node, values, functions, known.arguments)
            if not (known.arguments or known.attributes):
                break  # a second look would find what this one did
        known = _Known({**names}, attributes=known.attributes, arguments=known.arguments)
    for tree, title in program:
        values = _texts_of(tree, known)
        yield tree, title, values
        _note(tree, values, known)


def _functions(trees: Iterable[ast.AST]) -> dict[str, list[_Function]]:
    """Return the program's functions by the names that they are called by: a class calls its ``__init__``."""
    found: dict[str, list[_Function]] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                    found.setdefault(node.name, []).append(inner)
    return found


def _note_arguments(
    node: ast.Call,
    values: Mapping[int, Texts],
    functions: Mapping[str, list[_Function]],
    arguments: dict[tuple[str, str], Texts],
) -> None:
    """Note what a call gives to the functions of its name; a method's own object is left out of the count."""
    name = called_name(node)
    for one in functions.get(name, ()):
        named = [argument.arg for argument in (*one.args.posonlyargs, *one.args.args)]
        named = named[1:] if named[:1] in (["self"], ["cls"]) else named
        given = [*zip(named, node.args, strict=False), *((word.arg or "", word.value) for word in node.keywords)]
        for parameter, value in given:
            if found := values.get(id(value)):
                before = arguments.get((one.name, parameter), ())
                arguments[one.name, parameter] = _few((*before, *found))


def _texts_of(tree: ast.AST, known: _Known) -> dict[int, Texts]:
    """Return what the expressions of a statement may be, by id."""
    nodes = list(ast.walk(tree))
    names = _Known({**known.names}, {**known.elements}, known.attributes, known.arguments)
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for parameter, found in _parameters(node, known):
                names.names[parameter] = found
    names.names |= _temporary_names(nodes)
    for node in nodes:
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            found = _elements(node.iter, names)
            for target in ast.walk(node.target):
                if isinstance(target, ast.Name):
                    names.names[target.id] = found
    values: dict[int, Texts] = {}
    for node in reversed(nodes):  # the parts of an expression come after it, and are needed first
        if isinstance(node, ast.expr):
            values[id(node)] = _few(_value(node, values, names))
    return values


def _parameters(node: _Function, known: _Known) -> Iterator[tuple[str, Texts]]:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first = len(positional) - len(arguments.defaults)
    defaults = [*zip(positional[first:], arguments.defaults, strict=True)]
    defaults += [(one, value) for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    given = {
        one.arg: (value.value,)
        for one, value in defaults
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    }
    for one in (*positional, *arguments.kwonlyargs):
        called = known.arguments.get((node.name, one.arg), ())
        yield one.arg, _few((*given.get(one.arg, ()), *called))


def _note(tree: ast.AST, values: Mapping[int, Texts], known: _Known) -> None:
    """Note what a statement binds."""
    if isinstance(tree, (ast.Assign, ast.AnnAssign)) and tree.value is not None:
        found, elements = values.get(id(tree.value), ()), _elements(tree.value, known)
        for target in tree.targets if isinstance(tree, ast.Assign) else [tree.target]:
            if isinstance(target, ast.Name):
                known.names[target.id] = found
                known.elements[target.id] = elements
    elif isinstance(tree, (ast.For, ast.AsyncFor)):
        known.names |= {
            one.id: _elements(tree.iter, known) for one in ast.walk(tree.target) if isinstance(one, ast.Name)
        }
    known.names |= _temporary_names(ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and (found := values.get(id(node.value), ())):
                    known.attributes[target.attr] = _few((*known.attributes.get(target.attr, ()), *found))
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if not isinstance(inner, (ast.Assign, ast.AnnAssign)) or inner.value is None:
                    continue
                for target in inner.targets if isinstance(inner, ast.Assign) else [inner.target]:
                    if isinstance(target, ast.Name) and (found := values.get(id(inner.value), ())):
                        known.attributes[target.id] = _few((*known.attributes.get(target.id, ()), *found))


def _temporary_names(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, Texts]]:
    """Yield the names of what ``with`` enters and of what is unpacked, where ``tempfile`` makes it."""
    for node in nodes:
        if isinstance(node, ast.withitem) and _is_temporary(node.context_expr):
            targets = [node.optional_vars]
        elif isinstance(node, ast.Assign) and _is_temporary(node.value):
            targets = [part for target in node.targets if isinstance(target, ast.Tuple) for part in target.elts]
        else:
            continue
        yield from ((target.id, (_TEMPORARY,)) for target in targets if isinstance(target, ast.Name))


def _is_temporary(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and called_name(node) in _MAKES_TEMPORARY


def _elements(node: ast.expr, known: _Known) -> Texts:
    """Return the texts that an iterable may give: those in it, and those in the lists that it names; numbers too."""
    found: list[str] = []
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, (str, int)):
            found.append(str(inner.value))
        elif isinstance(inner, ast.Name):
            found += known.elements.get(inner.id, ())
        elif isinstance(inner, ast.Call) and getattr(inner.func, "id", "") == "range":
            limits = [one.value for one in inner.args if isinstance(one, ast.Constant) and isinstance(one.value, int)]
            if limits and len(limits) == len(inner.args) and (len(limits) < 3 or limits[2]):
                found += map(str, itertools.islice(range(*limits[:3]), _MOST))
    return _few(found)


def _few(texts: Iterable[str]) -> Texts:
    """Return the texts that are short enough to be paths, each once."""
    return tuple(itertools.islice(dict.fromkeys(text for text in texts if len(text) < _MAX_CHARS), _MOST))


def _value(node: ast.expr, values: Mapping[int, Texts], known: _Known) -> Iterable[str]:
    """Return the texts that an expression may be, where its parts are known; ``values`` has those of its parts."""
    if isinstance(node, ast.Constant):
        return (node.value,) if isinstance(node.value, str) else ()
    if isinstance(node, ast.Name):
        return known.names.get(node.id, ())
    if isinstance(node, ast.BinOp):
        return _combined(node, values)
    if isinstance(node, ast.JoinedStr):
        return _joined("", [_part(one, values) for one in node.values])
    if isinstance(node, ast.Attribute):
        owner = values[id(node.value)]
        if owner == (_TEMPORARY,) and node.attr == "name":  # of a file or a folder that knows where it is
            return owner
        return _of_paths(owner, node.attr) if owner else known.attributes.get(node.attr, _OS_WORDS.get(node.attr, ()))
    if isinstance(node, ast.Subscript):
        return _half(node, values) or _ancestor(node, values)
    if isinstance(node, (ast.IfExp, ast.BoolOp)):
        parts = (node.body, node.orelse) if isinstance(node, ast.IfExp) else node.values
        return [text for part in parts for text in values[id(part)]]
    return _called(node, values) if isinstance(node, ast.Call) else ()


def _half(node: ast.Subscript, values: Mapping[int, Texts]) -> Texts:
    """Return what ``os.path.split(path)[0]`` gives, or its other half."""
    call, place = node.value, node.slice.value if isinstance(node.slice, ast.Constant) else None
    names: dict[object, str] = {0: "dirname", 1: "basename", -1: "basename"}
    if not (isinstance(call, ast.Call) and called_name(call) == "split" and len(call.args) == 1 and place in names):
        return ()
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")) != "path":
        return ()
    return tuple(_of_os_path(names[place], values[id(call.args[0])]))


def _of_os_path(name: str, texts: Texts) -> Iterator[str]:
    """Yield what a function of ``os.path`` gives; the folder of a mere name is the one where the program is."""
    for text in texts:
        found = getattr(posixpath, name)(text)
        if name == "dirname":
            yield from (f"{text}/..",) if _is_no_name(text) else ()
            yield from () if found else (".",)
        yield found


def _ancestor(node: ast.Subscript, values: Mapping[int, Texts]) -> Iterable[str]:
    """Return what ``path.parents[1]`` gives."""
    place = node.slice.value if isinstance(node.slice, ast.Constant) else None
    if not (isinstance(node.value, ast.Attribute) and node.value.attr == "parents" and isinstance(place, int)):
        return ()
    found = values[id(node.value.value)]
    for _ in range(min(max(place, 0), _MOST) + 1):
        found = _of_paths(found, "parent")
    return found


def _part(node: ast.expr, values: Mapping[int, Texts]) -> Texts:
    """Return what a part of a formatted text may be; a format of numbers is tried on what reads as one."""
    if not isinstance(node, ast.FormattedValue):
        return values[id(node)]
    texts = values[id(node.value)]
    form = "".join(str(one.value) for one in getattr(node.format_spec, "values", ()) if isinstance(one, ast.Constant))
    return tuple(_formatted(text, form) for text in texts) if form else texts


def _formatted(text: str, form: str) -> str:
    try:
        return text if re.search(r"\d{4}", form) else format(int(text) if text.isdecimal() else text, form)
    except (ValueError, TypeError, OverflowError, MemoryError):
        return text


def _combined(node: ast.BinOp, values: Mapping[int, Texts]) -> Iterable[str]:
    left = values[id(node.left)]
    if isinstance(node.op, ast.Mod):
        parts = node.right.elts if isinstance(node.right, ast.Tuple) else [node.right]
        return _percent(left, [values[id(part)] for part in parts])
    if not isinstance(node.op, (ast.Add, ast.Div)):
        return ()
    between = "/" if isinstance(node.op, ast.Div) else ""
    return [f"{one}{one and between}{other}" for one, other in _pairs([left, values[id(node.right)]])]


def _pairs(parts: list[Texts]) -> Iterator[tuple[str, ...]]:
    """Yield the ways to take one text of each part, so many as are kept."""
    return itertools.islice(itertools.product(*parts), _MOST)


def _percent(forms: Texts, parts: list[Texts]) -> Iterator[str]:
    for form, *given in _pairs([forms, *parts]):
        numbers = tuple(int(one) if one.isdecimal() else one for one in given)
        for arguments in (tuple(given), numbers):
            try:
                if len(form) + sum(map(len, given)) < _MAX_CHARS and not re.search(r"%[^a-z%]*\d{4}", form):
                    yield form % arguments
                    break
            except (TypeError, ValueError, KeyError):
                continue


def _called(node: ast.Call, values: Mapping[int, Texts]) -> Iterable[str]:
    """Return the texts or the paths that a call gives, where it does no more than to put paths together."""
    method = node.func if isinstance(node.func, ast.Attribute) else None
    name = method.attr if method else getattr(node.func, "id", "")
    receivers = values[id(method.value)] if method else ()
    if name == "format" and receivers:
        return _format(receivers, node, values)
    if _is_temporary(node):
        return (_TEMPORARY,)
    if node.keywords:
        return ()
    given = [values[id(argument)] for argument in node.args]
    if name == "join" and receivers and len(node.args) == 1:
        return _text_join(receivers, node.args[0], values)
    if name in _JOINS and name != "joinpath":
        return [text or "." for text in _joined("/", given)] if given else (".",)
    if name in ("cwd", "getcwd"):
        return (".",)
    if not all(given):
        return ()
    if name in _SAME and len(given) == 1:
        return [text or "." for text in given[0]] if name in ("abspath", "realpath") else given[0]
    if name in _OF_OS_PATH and len(given) == 1:
        return _of_os_path(name, given[0])
    if name in _SAME and not given:
        return receivers
    if name in ("glob", "rglob") and given:
        deep = ("**",) if name == "rglob" else ()
        return [posixpath.join(one, *deep, rest[0]).removeprefix("./") for one, *rest in _pairs([receivers, *given])]
    return [
        text
        for one, *rest in _pairs([receivers, *given])
        for text in (*_of_text(one, name, rest), *_of_paths((one,), name, *rest))
    ]


def _of_text(text: str, name: str, given: list[str]) -> Texts:
    if name not in _OF_TEXTS:
        return ()
    try:
        return (str(getattr(text, name)(*given)),)
    except (TypeError, ValueError, OverflowError):
        return ()


def _text_join(receivers: Texts, node: ast.expr, values: Mapping[int, Texts]) -> Iterable[str]:
    """Return what ``".".join([a, b])`` gives of a list that stands there."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        return ()
    return [one.join(parts) for one, *parts in _pairs([receivers, *(values[id(part)] for part in node.elts)])]


def _format(forms: Texts, node: ast.Call, values: Mapping[int, Texts]) -> Iterator[str]:
    """Yield what ``str.format`` gives; a field is a place or a name, with a format or without."""
    if any(word.arg is None for word in node.keywords):
        return
    names = [word.arg or "" for word in node.keywords]
    parts = [values[id(one)] for one in (*node.args, *(word.value for word in node.keywords))]
    for form, *given in _pairs([forms, *parts]):
        if re.search(r"[.\[\]]|\d{4}", "".join(_FIELDS.findall(form))):
            continue  # attributes of what is formatted, or a width that fills the memory
        places = [int(one) if one.isdecimal() else one for one in given]
        for arguments in (given, places):
            count = len(node.args)
            try:
                yield form.format(*arguments[:count], **dict(zip(names, arguments[count:], strict=True)))
                break
            except (ValueError, TypeError, KeyError, IndexError, AttributeError):
                continue


def _of_paths(texts: Texts, name: str, *args: str) -> Texts:
    """Return what an attribute or a method of paths gives, as ``parent`` and ``with_name`` do, if it is a path."""
    if name.startswith("_") or not hasattr(PurePosixPath, name):
        return ()
    results = [f"{text}/.." for text in texts if name == "parent" and _is_no_name(text)]
    for text in texts:
        try:
            found = getattr(PurePosixPath(text), name)
            found = found(*args) if callable(found) else found
        except (TypeError, ValueError, NotImplementedError):
            continue
        if isinstance(found, PurePosixPath):
            results.append(str(found))
    return tuple(results)


def _is_no_name(text: str) -> bool:
    """Tell whether a path may be that of the folder where one is, made absolute: what is above it, no text says."""
    return posixpath.basename(text) in (".", "..")


def _joined(between: str, parts: list[Texts]) -> Iterable[str]:
    return [between.join(text for text in one if text) for one in _pairs(parts)]
