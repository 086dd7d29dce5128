"""Named files: what the program may read by a path that stands somewhere in its text, or is put together there.

A reader's name says little of what is read: a path comes as a keyword, through a name, a loop, ``Path / name``, or goes
to a library that no table knows. So every text of the program that is the relative path of a file or folder here is
carried. Columns (``frame["data"]``) are no paths.
"""

from __future__ import annotations

import ast
import glob
import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from buildr_jupyter.errors import FileRefused
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import FileEntry
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.confined import file_entry, iter_files, resolve_beneath
from buildr_jupyter.secretscan.scan import never_included

__all__ = ["Evaluated", "carry_named", "evaluate", "listings_unknown", "texts"]

Evaluated = tuple[ast.AST, str, dict[int, str | None]]
"""A statement, its title, and the texts that its expressions are, by id; None where it is not known."""

_MAX_TEXTS = 10_000
_MAX_CHARS = 1024
"""A longer text is no path, and no part of one: texts that double from line to line stay small."""
_SEPARATORS = re.compile(r"[\s'\"`()<>|;,=&]+")
_JOINS = frozenset(("join", "joinpath", "Path", "PurePath"))
_SAME = frozenset(("str", "fspath", "resolve", "absolute", "as_posix", "abspath", "realpath"))
"""Functions and methods that give the same path, seen from the folder that the program runs in."""
_OF_OS_PATH = frozenset(("dirname", "basename", "normpath"))
_LISTING = frozenset(("glob.glob", "glob.iglob", "os.listdir", "os.scandir", "os.walk", "os.fwalk"))
"""Functions that list files, those of ``os`` in the working directory where they are given none."""
_LISTS_OF_PATHS = frozenset(("glob", "rglob", "iterdir"))
"""Methods by which a path lists files."""
_LISTING_NAMES = _LISTS_OF_PATHS | {path.rpartition(".")[2] for path in _LISTING}
_WILDCARDS = re.compile(r"[*?\[]")
_MAX_FOUND = 10_000
"""So many files are looked at that fit a pattern."""


def texts(program: Iterable[Evaluated]) -> Iterator[tuple[str, str]]:
    """Yield (text, where) for each text that the statements hold or put together out of texts that are known."""
    for tree, title, values in program:
        nodes = list(ast.walk(tree))
        columns = {id(part) for node in nodes if isinstance(node, ast.Subscript) for part in _keys(node.slice)}
        for node in nodes:
            if isinstance(node, ast.expr) and id(node) not in columns and (text := values[id(node)]):
                where = f"{title}, line {node.lineno}"
                yield text, where
                if _SEPARATORS.search(text):  # a shell line, an SQL statement, a magic: its words may be paths
                    yield from ((word, where) for word in _SEPARATORS.split(text) if "." in word or "/" in word)


def evaluate(trees: Iterable[tuple[ast.AST, str]]) -> Iterator[Evaluated]:
    """Yield the program's statements, which are given in order with their titles, with what their texts are."""
    known: dict[str, str] = {}
    for tree, title in trees:
        values: dict[int, str | None] = {}
        for node in reversed(list(ast.walk(tree))):  # the parts of an expression come after it, and are needed first
            if isinstance(node, ast.expr):
                text = _value(node, values, known)
                values[id(node)] = text if text is not None and len(text) < _MAX_CHARS else None
        yield tree, title, values
        if isinstance(tree, ast.Assign) and (text := values[id(tree.value)]):
            known |= {target.id: text for target in tree.targets if isinstance(target, ast.Name)}


def listings_unknown(program: Iterable[Evaluated]) -> Iterator[str]:
    """Yield a warning for each call that lists files of which the text does not say where they are.

    What a known folder holds, and what a known pattern finds, is carried; the notebook's whole folder is not.
    """
    statements = list(program)
    imported = _imported(tree for tree, _, _ in statements)
    for tree, title, values in statements:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not (place := _listed(node, imported)):
                continue
            known = [values.get(id(one)) for one in place]
            if None in known or known[0] in (".", "./", "*"):
                text = ast.unparse(node)
                shown = text if len(text) <= 60 else f"{text[:57]}..."
                where = f"{title}, line {node.lineno}"
                yield f"{where}: files that {shown} lists are not carried unless --include names them"


def _imported(trees: Iterable[ast.AST]) -> dict[str, str]:
    """Return what the names stand for that the program's imports bind, as dotted names."""
    found: dict[str, str] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.name == "*":
                    found |= {path.rpartition(".")[2]: path for path in _LISTING if path.startswith(f"{node.module}.")}
                else:
                    found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _listed(node: ast.Call, imported: Mapping[str, str]) -> list[ast.expr] | None:
    """Return what says where a call lists files; None for a call that lists none."""
    given = [*node.args[:1], *(one.value for one in node.keywords if one.arg in ("pathname", "path", "top", "pattern"))]
    if isinstance(node.func, ast.Name):
        path = imported.get(node.func.id, "")
    elif isinstance(node.func, ast.Attribute) and node.func.attr in _LISTING_NAMES:
        owner = getattr(node.func.value, "id", "")
        path = f"{imported.get(owner, owner)}.{node.func.attr}"
    else:
        return None
    if path in _LISTING:
        return given or [ast.Constant(".")]
    if isinstance(node.func, ast.Attribute) and node.func.attr in _LISTS_OF_PATHS:
        return [node if given else node.func.value]
    return None


def _keys(node: ast.expr) -> Iterator[ast.expr]:
    yield node
    if isinstance(node, (ast.Tuple, ast.List)):
        for element in node.elts:
            yield from _keys(element)


def _value(node: ast.expr, values: Mapping[int, str | None], known: Mapping[str, str]) -> str | None:
    """Return the text that an expression is, where its parts are known; ``values`` has those of its parts, by id."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
        left, right = values[id(node.left)], values[id(node.right)]
        if left is None or right is None:
            return None
        return left + right if isinstance(node.op, ast.Add) else f"{left}/{right}"
    if isinstance(node, ast.JoinedStr):
        return _joined("", (one.value if isinstance(one, ast.FormattedValue) else one for one in node.values), values)
    if isinstance(node, ast.Attribute):
        return _of_path(values[id(node.value)], node.attr)
    return _called(node, values) if isinstance(node, ast.Call) and not node.keywords else None


def _called(node: ast.Call, values: Mapping[int, str | None]) -> str | None:
    """Return the text or the path that a call gives, where it does no more than to put paths together."""
    method = node.func if isinstance(node.func, ast.Attribute) else None
    name = method.attr if method else getattr(node.func, "id", "")
    if name in _JOINS and name != "joinpath":
        return _joined("/", node.args, values) if node.args else "."
    if name in ("cwd", "getcwd"):
        return "."
    texts = [values[id(argument)] for argument in node.args]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts):
        return None
    if name in _SAME and len(known) == 1:
        return known[0]
    if name in _OF_OS_PATH and len(known) == 1:
        found: str = getattr(posixpath, name)(known[0])
        return found
    receiver = values[id(method.value)] if method else None
    if receiver is None:
        return None
    if name in _SAME and not known:
        return receiver
    if name in ("glob", "rglob") and known:
        return posixpath.join(receiver, *(("**",) if name == "rglob" else ()), known[0]).removeprefix("./")
    return _of_path(receiver, name, *known)


def _of_path(text: str | None, name: str, *args: str) -> str | None:
    """Return what an attribute or a method of a path gives, as ``parent`` and ``with_name`` do, if it is a path."""
    if text is None or name.startswith("_") or not hasattr(PurePosixPath, name):
        return None
    try:
        found = getattr(PurePosixPath(text), name)
        found = found(*args) if callable(found) else found
    except (TypeError, ValueError, NotImplementedError):
        return None
    return str(found) if isinstance(found, PurePosixPath) else None


def _joined(between: str, parts: Iterable[ast.expr], values: Mapping[int, str | None]) -> str | None:
    found = [values[id(part)] for part in parts]
    return None if None in found else between.join(text for text in found if text)


def carry_named(
    program: Iterable[Evaluated],
    place: Tree,
    *,
    known: Iterable[str],
    written: Iterable[str],
    limit_bytes: int,
) -> tuple[list[FileEntry], list[BuildWarning]]:
    """Return the entries for files and folders that a text of the program names, and what was left out as too large.

    ``place`` says where a file of the notebook's folder goes; ``known`` are paths of the context that are carried
    already, ``written`` paths that the program makes itself or gets when it is run.
    """
    entries: dict[str, FileEntry] = {}
    folder = place.folder
    warnings: list[BuildWarning] = []
    made, there = set(written), set(known)
    seen: set[str] = set()
    for text, where in texts(program):
        if text in seen or len(seen) > _MAX_TEXTS or not _is_relative(text) or text.removeprefix("./") in made:
            continue
        seen.add(text)
        for path in (one for found in _meant(text, folder) for one in _files_of(found, folder)):
            target = place.below(path.relative_to(folder).as_posix())
            if target in there or target in entries:
                continue
            if path.stat().st_size > limit_bytes:
                size = f"{path.stat().st_size:,}"
                warnings.append(
                    BuildWarning(
                        f"{where}: {path.name} has {size} bytes and is not carried",
                        hint=f"carry it all the same with --include {path.relative_to(folder).as_posix()}",
                    )
                )
                continue
            entries[target] = file_entry(target, path, folder, why=f"named in {where}")
    return [entries[target] for target in sorted(entries)], warnings


def _is_relative(text: str) -> bool:
    parts = PurePosixPath(text).parts
    fits = (
        0 < len(text) < _MAX_CHARS
        and "\0" not in text
        and all(len(part.encode(errors="replace")) < 256 for part in parts)
    )
    return fits and bool(parts) and not text.startswith(("/", "~")) and ".." not in parts and text not in (".", "./")


def _meant(text: str, folder: Path) -> Iterator[Path]:
    """Yield the path that a text is, and those that it fits as a pattern, as ``glob`` and its like take it.

    A pattern has a folder or an ending: a mere ``*`` is more often no pattern of paths at all.
    """
    yield folder / text
    if _WILDCARDS.search(text) and not re.search(r"\s", text) and ("/" in text or text.startswith("*.")):
        try:
            # Path.glob would take hidden files, too.
            matches = glob.iglob(text, root_dir=folder, recursive=True)  # noqa: PTH207
            found = itertools.islice(matches, _MAX_FOUND)
            yield from (folder / one for one in sorted(found))
        except (OSError, ValueError, re.error):
            return


def _files_of(path: Path, folder: Path) -> list[Path]:
    """Return the files that a path means, all those in a folder; a link out of it and a login are left out."""
    try:
        if path.is_dir():
            resolve_beneath(path, folder)
            return list(iter_files(path, folder, skip=never_included))
        if path.is_file() and not never_included(path.relative_to(folder).as_posix()):
            resolve_beneath(path, folder)
            return [path]
    except (OSError, FileRefused):
        return []
    return []
