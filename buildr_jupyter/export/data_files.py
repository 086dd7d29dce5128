"""Files that the program opens by a literal path: carried beside it, or refused with the way out."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from buildr_jupyter.analysis.library_tables import FILE_READERS
from buildr_jupyter.errors import FileRefused
from buildr_jupyter.model.plan import FileEntry
from buildr_jupyter.process.confined import file_entry

__all__ = ["PathUse", "carry_files", "literal_paths"]

_READ_METHODS = frozenset(("read_text", "read_bytes", "open", "exists", "iterdir", "glob", "stat", "is_file"))
_READER_NAMES = frozenset(path.rpartition(".")[2] for path in FILE_READERS) - {"Path", "PurePath", "exists", "walk"}
_PATH_MAKERS = frozenset(("Path", "PurePath", "PosixPath"))


@dataclass(frozen=True, slots=True)
class PathUse:
    """A path that the code names where something is read."""

    path: str
    origin: str
    node: ast.Constant


def literal_paths(tree: ast.AST, origin: str) -> Iterator[PathUse]:
    """Yield the literal paths that calls in one statement read, in the order of the text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = node.args[0]
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str) or not first.value:
            continue
        reads = name in _READER_NAMES or name in _PATH_MAKERS or name in ("run_path", "open")
        if name == "open" and _writes_only(node):
            reads = False
        if reads and "://" not in first.value and _may_be_a_path(first.value):
            yield PathUse(first.value, f"{origin}, line {first.lineno}", first)


def _may_be_a_path(text: str) -> bool:
    """Tell whether a file can have this name: readers take whole texts, too, and no system is asked for those."""
    try:
        fits = all(len(os.fsencode(part)) <= 255 for part in text[:4097].split("/"))
    except UnicodeEncodeError:
        return False
    return fits and len(text) <= 4096 and "\0" not in text


def _writes_only(node: ast.Call) -> bool:
    mode = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "mode"), None)
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and mode.value[:1] in ("w", "x", "a")


def carry_files(
    uses: Iterable[PathUse],
    folder: Path,
    *,
    limit_bytes: int,
    include: Sequence[str] = (),
    mounts: Sequence[str] = (),
) -> tuple[list[FileEntry], dict[ast.Constant, str]]:
    """Return the entries under ``app/`` for the files that the uses name, and new texts for absolute paths.

    A path that does not exist is left out: the program may make it. Raises FileRefused for a file that is too large,
    lies outside of the notebook's folder, or is reached through a link out of it.
    """
    entries: dict[str, FileEntry] = {}
    rewritten: dict[ast.Constant, str] = {}
    base = folder.resolve()
    included = {(base / one).resolve() for one in include}
    for use in uses:
        if use.path in mounts or any(use.path.startswith(mount.rstrip("/") + "/") for mount in mounts):
            continue
        path = Path(os.path.normpath(folder / use.path))
        absolute = Path(use.path).is_absolute()
        if not _under(path, folder.absolute()) and not _under(path, base):
            if not path.exists() and not absolute:
                continue
            if absolute and (not path.exists() or _is_device(path)):
                continue
            raise FileRefused(
                f"{use.origin}: {use.path!r} lies outside of the notebook's folder",
                hint=f"give it at run time with --mount, or carry it with --include {use.path}",
            )
        relative = _relative(path, folder.absolute(), base)
        if absolute:
            rewritten[use.node] = relative.as_posix()
        for found in _files(path):
            if not _under(found.resolve(), base) and found.resolve() not in included:
                raise FileRefused(
                    f"{use.origin}: {use.path!r} is a link out of the notebook's folder",
                    hint="copy the file into the folder, or give it at run time with --mount",
                )
            size = found.stat().st_size
            if size > limit_bytes and found.resolve() not in included:
                raise FileRefused(
                    f"{use.origin}: {use.path!r} has {size:,} bytes, more than {limit_bytes:,}",
                    hint=f"carry it all the same with --include {use.path}, or give it at run time with --mount",
                )
            why = f"read by {use.origin}"
            target = "app/" + PurePosixPath(_relative(found, folder.absolute(), base)).as_posix()
            entries.setdefault(
                target, file_entry(target, found, found.parent if found.resolve() in included else base, why=why)
            )
    return [entries[name] for name in sorted(entries)], rewritten


def _under(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


def _relative(path: Path, folder: Path, base: Path) -> Path:
    return path.relative_to(folder if _under(path, folder) else base)


def _is_device(path: Path) -> bool:
    return path.parts[1:2] in (("dev",), ("proc",), ("sys",))


def _files(path: Path) -> Iterator[Path]:
    """Yield the file, or the files right in the folder, that a path means."""
    if path.is_file():
        yield path
