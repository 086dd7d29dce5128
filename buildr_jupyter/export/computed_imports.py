"""Computed imports: modules whose names a program puts together, asks for, or finds by listing a package.

``import_module(f"steps.{name}")`` over a literal list is read as the known texts say. Of a package that the program
lists by its ``__path__``, or whose modules it imports by names that are not known, all modules count.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from buildr_jupyter.analysis.scope import called_name
from buildr_jupyter.dependencies.resolve import OWNERS
from buildr_jupyter.export.known_texts import Evaluated, Texts, evaluate
from buildr_jupyter.export.local_modules import local_sources
from buildr_jupyter.model.plan import ImportUse
from buildr_jupyter.notebook.parse_cache import parsed

__all__ = ["find_computed", "may_compute"]

_IMPORTS = frozenset(("import_module", "__import__"))
_ASKS = frozenset(("find_spec", "find_loader"))
"""Functions that tell whether a module is there: the image has what the notebook had."""
_METADATA = frozenset(("version", "distribution", "metadata", "requires"))
"""Functions of ``importlib.metadata`` that are given the name of a distribution."""
_MOST_MODULES = 300
_ROUNDS = 3
"""So often modules that were found are looked into for more."""


def may_compute(source: str) -> bool:
    """Tell whether a text may import by a computed name, or ask for a module; False is certain."""
    return any(word in source for word in (*_IMPORTS, *_ASKS, "__path__", "metadata"))


def find_computed(
    statements: Iterable[tuple[ast.AST, str]], imported: Sequence[ImportUse], folders: Sequence[Path]
) -> list[ImportUse]:
    """Return the modules that statements, and local modules that these import, get at by computed names.

    The statements are given with their titles. ``folders`` are those in which local modules lie. Nothing is imported.
    """
    program = list(statements)
    found = list(_in_statements(evaluate(program), folders)) if program else []
    read: set[Path] = set()
    for _ in range(_ROUNDS):
        more: list[ImportUse] = []
        for path, text in local_sources([*imported, *found], folders):
            if path in read:
                continue
            read.add(path)
            if not may_compute(text):
                continue
            package = _package_of(path, folders)
            try:
                body = parsed(text).body
            except (SyntaxError, ValueError):
                continue
            title = posixpath.join(*package.split("."), path.name)
            more += _in_statements(evaluate((node, title) for node in body), folders, package)
        if not more:
            break
        found += more
    return list(dict.fromkeys(found))


def _in_statements(program: Iterable[Evaluated], folders: Sequence[Path], package: str = "") -> Iterator[ImportUse]:
    """Yield what statements import; ``package`` is that of the module in which they stand."""
    statements = list(program)
    names = _modules_of_names(tree for tree, _, _ in statements)
    for tree, title, values in statements:
        for node in ast.walk(tree):
            line = f"{title}, line {getattr(node, 'lineno', 1)}"
            if isinstance(node, ast.Call):
                modules = _called(node, values, names, folders, package)
            elif isinstance(node, ast.Attribute) and node.attr == "__path__":
                modules = _all_of(_dotted(node.value, names), folders)
            elif isinstance(node, ast.Name) and node.id == "__path__" and package:
                modules = _all_of(package, folders)
            else:
                continue
            for module in modules:
                yield ImportUse(module, (), line, optional=True)


def _called(
    node: ast.Call, values: Mapping[int, Texts], names: Mapping[str, str], folders: Sequence[Path], package: str
) -> Iterator[str]:
    function = called_name(node)
    path = _dotted(node.func, names)
    if not node.args or not (function in _IMPORTS | _ASKS or path.startswith("importlib.metadata.")):
        return
    first = node.args[0]
    texts = values.get(id(first), ())
    if path.startswith("importlib.metadata."):
        if path.rpartition(".")[2] in _METADATA:
            for text in texts:
                yield from {module for module, owner in OWNERS.items() if owner == text} or {text.replace("-", "_")}
        return
    for text in texts:
        level = len(text) - len(text.lstrip("."))
        if all(part.isidentifier() for part in text[level:].split(".")):
            yield ".".join(filter(None, (package if level else "", text[level:])))
    if not texts:
        prefix = _prefix(first)
        yield from _all_of(package if prefix.startswith(".") else prefix.rpartition(".")[0], folders)


def _prefix(node: ast.expr) -> str:
    """Return the text that an expression surely begins with."""
    while isinstance(node, ast.BinOp):
        node = node.left
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _all_of(package: str, folders: Sequence[Path]) -> Iterator[str]:
    """Yield the modules of a local package, those of its packages included."""
    if not package or not all(part.isidentifier() for part in package.split(".")):
        return
    for folder in folders:
        place = folder.joinpath(*package.split("."))
        if not place.is_dir():
            continue
        for path in sorted(place.rglob("*.py"))[:_MOST_MODULES]:
            parts = PurePosixPath(path.relative_to(folder).as_posix()).with_suffix("").parts
            if all(part.isidentifier() for part in parts):
                yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        return


def _modules_of_names(trees: Iterable[ast.AST]) -> dict[str, str]:
    """Return what the names stand for that imports bind, as dotted names."""
    found: dict[str, str] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    """Return the dotted name of a part of a module; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])


def _package_of(path: Path, folders: Sequence[Path]) -> str:
    """Return the dotted name of the package in which a module lies; empty for one that lies in none."""
    for folder in folders:
        if path.is_relative_to(folder):
            return ".".join(path.relative_to(folder).parts[:-1])
    return ""
