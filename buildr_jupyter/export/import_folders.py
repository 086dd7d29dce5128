"""Import folders: where a program looks for modules beside its own folder, by its statements on ``sys.path``.

A folder that the program goes into is one, too: a kernel imports from the folder that it is in.
"""

from __future__ import annotations

import ast
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.export.data_files import WorkingFolder
from buildr_jupyter.export.known_texts import Evaluated, evaluate
from buildr_jupyter.export.project import Tree

__all__ = ["ImportFolder", "find_import_folders", "may_change_path"]

_WORDS = ("addsitedir", "chdir", "run_line_magic('cd'", "run_line_magic('pushd'", "run_line_magic('popd'")
_CHANGES = frozenset(("append", "insert", "extend"))


@dataclass(frozen=True, slots=True)
class ImportFolder:
    """A folder on the program's search path."""

    path: Path
    """Absolute and normalized; it exists, and lies in the project."""
    first: bool = False
    """Whether it comes before the installed packages."""

    def has(self, module: str) -> bool:
        """Tell whether the module, or the package that it is in, lies here."""
        top = self.path / module.partition(".")[0]
        return top.is_dir() or top.with_name(f"{top.name}.py").is_file()


def may_change_path(source: str) -> bool:
    """Tell whether a text may add a folder to the search path; False is certain."""
    return any(word in source for word in _WORDS) or ("path" in source and "sys" in source)


def find_import_folders(statements: Iterable[ast.AST], tree: Tree) -> tuple[ImportFolder, ...]:
    """Return the folders that statements, in their order, add to the search path, each once.

    Relative paths begin in the notebook's folder. What does not exist or lies outside of the project is left out, for
    a notebook's text may name any folder.
    """
    found: dict[Path, ImportFolder] = {}
    for text, first in _added(evaluate((statement, "") for statement in statements)):
        path = Path(os.path.normpath(tree.folder / text))
        if path == tree.folder or path in found or not path.is_relative_to(tree.root):
            continue
        if path.is_dir() and path.resolve().is_relative_to(tree.root.resolve()):
            found[path] = ImportFolder(path, first)
    return tuple(found.values())


def _added(program: Iterable[Evaluated]) -> Iterator[tuple[str, bool]]:
    """Yield (path, whether it comes first); a path that is not absolute is relative to the notebook's folder."""
    here, names = WorkingFolder(), set[str]()
    for tree, _, values in program:
        names |= {
            one.asname or one.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "sys"
            for one in node.names
            if one.name == "path"
        }
        for node in ast.walk(tree):
            for expression, first in _changes(node, names):
                texts = values.get(id(expression), ())
                yield from ((posixpath.join(here.place, text), first) for text in texts)
        before = here.place
        here.follow(tree, values)
        if here.place != before:
            yield here.place, True


def _changes(node: ast.AST, names: set[str]) -> Iterator[tuple[ast.expr, bool]]:
    """Yield the expressions that a node puts on the search path, and whether they come first."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "addsitedir" and node.args:
            yield node.args[0], False
        elif node.func.attr in _CHANGES and node.args and _is_path(node.func.value, names):
            for one in _parts(node.args[-1]):
                yield one, node.func.attr == "insert"
    elif isinstance(node, ast.AugAssign) and _is_path(node.target, names):
        yield from ((one, False) for one in _parts(node.value))
    elif isinstance(node, ast.Assign) and any(_is_path(one, names) for one in node.targets):
        yield from ((one, True) for one in _parts(node.value))


def _is_path(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Subscript):  # sys.path[0] = …, sys.path[0:0] = […], sys.path[:] = …
        node = node.value
    if isinstance(node, ast.Name):
        return node.id in names
    return isinstance(node, ast.Attribute) and node.attr == "path" and isinstance(node.value, ast.Name)


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions of which each may be a folder: those in a list, or the expression itself."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _parts(node.left)
        yield from _parts(node.right)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for one in node.elts:
            yield from _parts(one.value if isinstance(one, ast.Starred) else one)
    yield node
