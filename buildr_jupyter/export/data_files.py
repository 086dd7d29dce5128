"""Files that the program opens by a literal path: carried beside it, or refused with the way out."""

from __future__ import annotations

import ast
import fnmatch
import os
import posixpath
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath, PurePosixPath
from types import MappingProxyType

from buildr_jupyter.analysis.library_tables import FILE_READERS
from buildr_jupyter.analysis.scope import called_name, constant_text
from buildr_jupyter.errors import FileRefused
from buildr_jupyter.export.ipython_syntax import PUSHED
from buildr_jupyter.export.known_texts import Texts
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.process.confined import file_entry

__all__ = [
    "Carriage",
    "PathUse",
    "WorkingFolder",
    "carry_files",
    "is_mounted",
    "is_named",
    "literal_paths",
    "mount_words",
    "open_mode",
]

_READ_METHODS = frozenset(("read_text", "read_bytes", "open", "exists", "iterdir", "glob", "stat", "is_file"))
_READER_NAMES = frozenset(path.rpartition(".")[2] for path in FILE_READERS) - {"Path", "PurePath", "exists", "walk"}
_WORKDIR = ImagePlan(base="", python="").workdir
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
        name = called_name(node)
        first = node.args[0]
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str) or not first.value:
            continue
        reads = name in _READER_NAMES or name in _PATH_MAKERS or name in ("run_path", "open")
        if name == "open" and open_mode(node)[:1] in ("w", "x", "a"):
            reads = False
        if reads and "://" not in first.value and _may_be_a_path(first.value):
            yield PathUse(first.value, f"{origin}, line {first.lineno}", first)


@dataclass(slots=True)
class WorkingFolder:
    """Where a program is while its statements run, relative to the notebook's folder."""

    place: str = ""
    pushed: list[str] = field(default_factory=list)
    """Where ``%popd`` goes back to, the last one first to be taken."""

    def follow(self, tree: ast.AST, values: Mapping[int, Texts] = MappingProxyType({})) -> None:
        """Go where one statement goes.

        ``values`` are the texts that expressions of the statement may be, by id. A folder that neither they nor the
        text say is passed over: the paths after it are taken as they would be without it.
        """
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "append" and _is_pushed(node.func.value):
                self.pushed.append(self.place)
            elif node.func.attr == "chdir":
                self._change(node.args[0] if node.args else None, values)

    def _change(self, first: ast.expr | None, values: Mapping[int, Texts]) -> None:
        if isinstance(first, ast.Call) and isinstance(first.func, ast.Attribute) and _is_pushed(first.func.value):
            self.place = self.pushed.pop() if self.pushed else self.place
            return
        if isinstance(first, ast.Constant):
            texts: Texts = (first.value,) if isinstance(first.value, str) else ()
        else:
            texts = values.get(id(first), ())
        if len(texts) == 1 and _may_be_a_path(texts[0]):
            self.place = posixpath.normpath(posixpath.join(self.place, texts[0]))


def _is_pushed(node: ast.expr) -> bool:
    """Tell whether an expression is the list of the folders of ``%pushd``."""
    return isinstance(node, ast.Call) and any(
        isinstance(one, ast.Constant) and one.value == PUSHED for one in node.args
    )


def _may_be_a_path(text: str) -> bool:
    """Tell whether a file can have this name: readers take whole texts, too, and no system is asked for those."""
    try:
        fits = all(len(os.fsencode(part)) <= 255 for part in text[:4097].split("/"))
    except UnicodeEncodeError:
        return False
    return fits and len(text) <= 4096 and "\0" not in text


def open_mode(node: ast.Call) -> str:
    """Return the mode that a call of ``open`` says, ``r`` where it says none that stands there."""
    mode = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "mode"), None)
    text = constant_text(mode) if mode is not None else None
    return "r" if text is None else text


@dataclass(frozen=True, slots=True)
class Carriage:
    """The files that a program reads, and where they are in the image."""

    entries: tuple[FileEntry, ...]
    """Under ``app/``, sorted by path; what ``--include`` names is not among them."""
    rewritten: Mapping[ast.Constant, str]
    """Paths that the program must write otherwise, for the file is elsewhere in the image."""
    tree: Tree


def carry_files(
    uses: Sequence[PathUse],
    folder: Path,
    *,
    limit_bytes: int,
    include: Sequence[str] = (),
    mounts: Sequence[str] = (),
    root: Path | None = None,
    unasked: bool = True,
    whole: bool = False,
) -> Carriage:
    """Return the entries under ``app/`` for the files that the uses name, and new texts for paths that change.

    ``root`` is the project's, ``mounts`` are folders of the container that are given at run time; with ``unasked``
    files of the project outside of the notebook's folder are carried without an ``include``; ``whole`` tells that
    other parts of the program need the tree from the project's root. A path that does not exist is left out: the
    program may make it. Raises FileRefused for a file that is too large, that lies outside of the project, or that is
    reached through a link out of it.
    """
    tree = Tree.of(folder, root)
    named = [Path(os.path.normpath(tree.folder / Path(one).expanduser())) for one in include]
    if whole or any(tree.wants_root(path) for path in named):
        tree = replace(tree, whole=True)
    carrier = _Carrier(tree, named, limit_bytes, mounts, unasked)
    if not tree.whole and any(carrier.wants_root(use) for use in uses):
        carrier.tree = replace(tree, whole=True)
    for use in uses:
        carrier.carry(use)
    entries = tuple(carrier.entries[name] for name in sorted(carrier.entries))
    return Carriage(entries, carrier.rewritten, carrier.tree)


@dataclass(slots=True)
class _Carrier:
    tree: Tree
    named: list[Path]
    """What ``--include`` names, normalized; may hold patterns."""
    limit_bytes: int
    mounts: Sequence[str]
    unasked: bool
    entries: dict[str, FileEntry] = field(default_factory=dict)
    rewritten: dict[ast.Constant, str] = field(default_factory=dict)

    def wants_root(self, use: PathUse) -> bool:
        """Tell whether a use names a file that only the tree from the project's root can hold."""
        path = self._path(use)
        return self.unasked and not self._is_mounted(use) and self.tree.wants_root(path) and path.is_file()

    def carry(self, use: PathUse) -> None:
        """Take what one use names."""
        path, tree = self._path(use), self.tree
        absolute = Path(use.path).is_absolute()
        if self._is_mounted(use) or not path.exists() or (absolute and _is_device(path)):
            return
        by_name = self._named(path)
        inside = path.is_relative_to(tree.folder)
        unasked = self.unasked and path.is_file()
        if not inside and not (tree.wants_root(path) and (unasked or by_name)):
            if by_name is None:
                raise self._outside(use, path)
            beside = path.relative_to(by_name.parent if by_name in (path, *path.parents) else path.parent)
            self.rewritten[use.node] = beside.as_posix()  # it lies beside the program
            return
        if absolute:
            self.rewritten[use.node] = PurePath(os.path.relpath(path, tree.folder)).as_posix()
        border = tree.folder if inside else tree.root
        if path.is_file() and (inside or by_name is None):  # what is named is carried by its name
            self._take(use, path, border, by_name is not None)

    def _take(self, use: PathUse, found: Path, border: Path, by_name: bool) -> None:
        if not found.resolve().is_relative_to(border.resolve()):
            raise FileRefused(
                f"{use.origin}: {use.path!r} is a link out of the {self._border_name(border)}",
                hint=f"put a copy of the file where the link is, or give it at run time with {self._mount(use)}",
            )
        if found.stat().st_size > self.limit_bytes and not by_name:
            raise FileRefused(
                f"{use.origin}: {use.path!r} has {found.stat().st_size:,} bytes, more than {self.limit_bytes:,}",
                hint=f"carry it all the same with --include {shlex.quote(use.path)}, or give it at run time with "
                f"{self._mount(use)}",
            )
        target = self.tree.target(found)
        assert target is not None
        self.entries.setdefault(target, file_entry(target, found, border, why=f"read by {use.origin}"))

    def _outside(self, use: PathUse, path: Path) -> FileRefused:
        why = " and its project"
        if self.tree.wants_root(path):
            why = ", and a whole folder is not carried unasked"
            if not self.unasked:
                why = ", and for a notebook that is read from a file nothing there is carried unasked"
        return FileRefused(
            f"{use.origin}: {use.path!r} lies outside of the notebook's folder{why}",
            hint=f"carry it with --include {shlex.quote(use.path)}, or give it at run time with {self._mount(use)}",
        )

    def _border_name(self, border: Path) -> str:
        return "notebook's folder" if border == self.tree.folder else f"project's folder {border.name!r}"

    def _path(self, use: PathUse) -> Path:
        """Return the normalized path that a use means here, below the notebook's folder as that is written."""
        path = Path(os.path.normpath(self.tree.folder / use.path))
        for place in (self.tree.folder, self.tree.root):
            if not path.is_relative_to(self.tree.root) and path.is_relative_to(place.resolve()):
                return place / path.relative_to(place.resolve())
        return path

    def _named(self, path: Path) -> Path | None:
        """Return the name or pattern of ``--include`` that brings a path."""
        return next((name for name in self.named if is_named(path, name)), None)

    def _is_mounted(self, use: PathUse) -> bool:
        return is_mounted(use.path, self.tree, self.mounts)

    def _mount(self, use: PathUse) -> str:
        return mount_words(use.path, self.tree)


def _in_container(path: str, tree: Tree) -> str:
    """Return where a path of the program leads in the container."""
    return posixpath.normpath(posixpath.join(_WORKDIR, tree.inside, path))


def is_mounted(path: str, tree: Tree, mounts: Iterable[str]) -> bool:
    """Tell whether a path of the program leads into one of the folders that are given at run time."""
    place = PurePosixPath(_in_container(path, tree))
    return any(place.is_relative_to(posixpath.normpath(mount)) for mount in mounts)


def mount_words(path: str, tree: Tree) -> str:
    """Return the option that gives what a path of the program names at run time."""
    return f"--mount {shlex.quote(f'{path}:{_in_container(path, tree)}')}"


def is_named(path: Path, name: Path) -> bool:
    """Tell whether a normalized path is in what a normalized name or pattern of ``--include`` brings."""
    return path.is_relative_to(name) or _matches(path, name)


def _is_device(path: Path) -> bool:
    return path.parts[1:2] in (("dev",), ("proc",), ("sys",))


def _matches(path: Path, pattern: Path) -> bool:
    """Tell whether glob finds the path by the pattern."""
    if "**" in pattern.parts:
        return fnmatch.fnmatchcase(path.as_posix(), pattern.as_posix())
    pairs = zip(path.parts, pattern.parts, strict=False)
    return len(path.parts) == len(pattern.parts) and all(fnmatch.fnmatchcase(*pair) for pair in pairs)
