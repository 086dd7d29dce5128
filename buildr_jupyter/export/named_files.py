"""Named files: what the program may read by a path that stands somewhere in its text, or is put together there.

A reader's name says little of what is read: a path comes as a keyword, through a name, a loop, ``Path / name``, or goes
to a library that no table knows. So every text of the program that is the relative path of a file or folder here is
carried. Columns (``frame["data"]``) are no paths.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from buildr_jupyter.errors import FileRefused
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import FileEntry
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.confined import file_entry, iter_files
from buildr_jupyter.secretscan.scan import never_included

__all__ = ["carry_named", "texts"]

_MAX_TEXTS = 10_000
_JOINS = frozenset(("join", "joinpath"))


def texts(trees: Iterable[tuple[ast.AST, str]]) -> Iterator[tuple[str, str]]:
    """Yield (text, where) for each text that the statements hold or put together out of texts that are known.

    ``trees`` are the program's statements in order, each with its title.
    """
    known: dict[str, str] = {}
    for tree, title in trees:
        columns = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Subscript) for part in _keys(node.slice)}
        for node in ast.walk(tree):
            if isinstance(node, ast.expr) and id(node) not in columns and (text := _value(node, known)):
                yield text, f"{title}, line {node.lineno}"
        if isinstance(tree, ast.Assign) and (text := _value(tree.value, known)):
            known |= {target.id: text for target in tree.targets if isinstance(target, ast.Name)}


def _keys(node: ast.expr) -> Iterator[ast.expr]:
    yield node
    if isinstance(node, (ast.Tuple, ast.List)):
        for element in node.elts:
            yield from _keys(element)


def _value(node: ast.expr, known: Mapping[str, str]) -> str | None:
    """Return the text that an expression is, where its parts are known."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
        left, right = _value(node.left, known), _value(node.right, known)
        if left is None or right is None:
            return None
        return left + right if isinstance(node.op, ast.Add) else f"{left}/{right}"
    if isinstance(node, ast.JoinedStr):
        parts = [_value(part.value if isinstance(part, ast.FormattedValue) else part, known) for part in node.values]
        return None if None in parts else "".join(part for part in parts if part)
    if isinstance(node, ast.Call) and node.args:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        parts = [_value(argument, known) for argument in node.args]
        if isinstance(node.func, ast.Attribute) and name == "joinpath":
            parts.insert(0, _value(node.func.value, known))
        if (name in _JOINS or name in ("Path", "PurePath")) and None not in parts:
            return "/".join(part for part in parts if part)
    return None


def carry_named(
    trees: Iterable[tuple[ast.AST, str]],
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
    for text, where in texts(trees):
        if text in seen or len(seen) > _MAX_TEXTS or not _is_relative(text) or text.removeprefix("./") in made:
            continue
        seen.add(text)
        for path in _files_of(folder / text, folder):
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
    fits = 0 < len(text) < 1024 and "\0" not in text and all(len(part.encode(errors="replace")) < 256 for part in parts)
    return fits and bool(parts) and not text.startswith(("/", "~")) and ".." not in parts and text not in (".", "./")


def _files_of(path: Path, folder: Path) -> list[Path]:
    """Return the files that a path means, all those in a folder; a link out of it and a login are left out."""
    try:
        if path.is_file():
            found = [path] if not never_included(path.relative_to(folder).as_posix()) else []
        else:
            found = list(iter_files(path, folder, skip=never_included)) if path.is_dir() else []
        for one in found:
            one.resolve(strict=True).relative_to(folder.resolve())
    except (OSError, ValueError, FileRefused):
        return []
    return found
