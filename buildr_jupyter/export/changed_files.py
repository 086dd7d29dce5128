"""Changed files: what a kernel's cells read that is not there any more as it was, and what they changed in place.

A program begins with the files as they are now. What a run read before a file changed is not made again from it, so it
comes as a value where that can be carried. A file that was there before the notebook, and that a run changed, is taken
as it is now: to run what changed it once more would change it twice.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from buildr_jupyter.analysis.side_effects import FILE
from buildr_jupyter.analysis.slicer import Slice, Statement
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.local_modules import local_sources
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import FileEntry, ImportUse
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.observed import OpenedFile, Stamp, stamp_of

__all__ = ["ChangedFiles", "StaleRead", "is_of"]


@dataclass(frozen=True, slots=True)
class StaleRead:
    """A statement that read a file which is another one now."""

    statement: Statement
    path: str
    """Relative to the notebook's folder."""


def is_of(line: int | None, statements: Sequence[Statement]) -> bool:
    """Tell whether what was seen at a line was done by one of these statements; all of a run without any."""
    if line is None or not statements:
        return True
    return any(one.line <= line <= (one.node.end_lineno or one.node.lineno) for one in statements)


class ChangedFiles:
    """The files of the project that runs opened, held against what stands there now."""

    def __init__(self, given: Given) -> None:
        """Look at nothing yet."""
        self._given = given
        self._stamps: dict[str, Stamp | None] = {}
        self._observed = {
            number: run.observed
            for number, run in enumerate(given.runs[: given.last])
            if run.observed is not None and given.folder is not None
        }

    @cached_property
    def _tree(self) -> Tree:
        assert self._given.folder is not None
        return Tree.of(self._given.folder, self._given.options.root)

    def kept_as_they_are(self, tokens: Iterable[str]) -> frozenset[str]:
        """Return those of the names of files that stand for one which was there before, and that a run changed."""
        found = {path for path in self._first if any(one.changes for _, one in self._uses[path])}
        names = [token for token in tokens if token.startswith(FILE)] if found else []
        return frozenset(token for token in names if self._absolute(token.removeprefix(FILE)) in found)

    def stale_reads(self, sliced: Slice) -> Iterator[StaleRead]:
        """Yield the carried statements that read something which the program finds otherwise, in order.

        A file that the program makes itself is as it was. So is a module that was loaded from what stands there now,
        but not for those that ran with the one before.
        """
        kept = self._kept(sliced)
        made: set[str] = set()
        for number, statements in sorted(kept.items()):
            for opened in self._observed[number].opened:
                if not is_of(opened.line, statements):
                    continue
                if not opened.reads:
                    if not opened.keeps:
                        made.add(opened.path)
                elif opened.path in self._first and opened.path not in made and self._is_stale(opened):
                    by = [one for one in statements if is_of(opened.line, [one])]
                    yield from (StaleRead(one, self._shown(opened.path)) for one in by)
        yield from self._ran_with_another_module(sliced.kept)

    def warnings(self, sliced: Slice, imports: Iterable[ImportUse], files: Iterable[FileEntry]) -> list[BuildWarning]:
        """Return what a person should know of the files and the modules that are other ones than the cells had."""
        found: dict[str, BuildWarning] = {}
        for stale in self.stale_reads(sliced):
            where = self._given.where(stale.statement)
            found[f"{where} {stale.path}"] = BuildWarning(
                f"{where} used {stale.path}, which changed since: the program has it as it is now",
                hint="run the cell again",
            )
        carried = {entry.path for entry in files}
        for number, statements in sorted(self._kept(sliced).items()):
            for opened in self._observed[number].opened:
                known = opened.path in self._first and opened.changes and is_of(opened.line, statements)
                if known and self._tree.target(Path(opened.path)) in carried:
                    line = f", line {opened.line}" if opened.line else ""
                    found[opened.path] = BuildWarning(
                        f"{self._given.title(number)}{line} changes {self._shown(opened.path)}, which is carried as it "
                        "is now: the program changes it once more",
                        hint="put a copy of the file as it was in its place, or write into another file",
                    )
        for path in self._modules_out_of_date(imports):
            found[path] = BuildWarning(
                f"{self._shown(path)} changed after the kernel loaded it: the program has it as it is now",
                hint="restart the kernel, or load it again with importlib.reload, and run the cells again",
            )
        return list(found.values())

    # -- files

    @cached_property
    def _uses(self) -> dict[str, list[tuple[int, OpenedFile]]]:
        """By path, the runs that opened a file of the project."""
        found: dict[str, list[tuple[int, OpenedFile]]] = {}
        for number, observed in self._observed.items():
            for opened in observed.opened:
                if not opened.listed and self._is_in_project(opened.path):
                    found.setdefault(opened.path, []).append((number, opened))
        return found

    @cached_property
    def _first(self) -> Collection[str]:
        """The files that were there before any run opened them."""
        return {
            path
            for path, uses in self._uses.items()
            if uses[0][1].stamp is not None and (uses[0][1].reads or uses[0][1].keeps)
        }

    def _is_stale(self, opened: OpenedFile) -> bool:
        return opened.stamp is not None and self._stamp(opened.path) != opened.stamp

    def _stamp(self, path: str) -> Stamp | None:
        if path not in self._stamps:
            self._stamps[path] = stamp_of(path)
        return self._stamps[path]

    def _is_in_project(self, path: str) -> bool:
        return not path.endswith((".ipynb", ".pyc")) and Path(path).is_relative_to(self._tree.root)

    def _absolute(self, path: str) -> str:
        return os.path.normpath(self._tree.folder / path)

    def _shown(self, path: str) -> str:
        return os.path.relpath(path, self._tree.folder)

    def _kept(self, sliced: Slice) -> dict[int, list[Statement]]:
        kept: dict[int, list[Statement]] = {}
        for statement in sliced.kept:
            if statement.run in self._observed:
                kept.setdefault(statement.run, []).append(statement)
        return kept

    # -- modules

    @cached_property
    def _loads(self) -> dict[str, list[tuple[int, Stamp]]]:
        """By path, the runs that loaded a module of the project, and what it was; but for those that a run wrote."""
        found: dict[str, list[tuple[int, Stamp]]] = {}
        for number, observed in self._observed.items():
            for path, stamp in observed.loaded:
                if self._is_in_project(path) and not any(one.writes for _, one in self._uses.get(path, ())):
                    found.setdefault(path, []).append((number, stamp))
        return found

    def _ran_with_another_module(self, kept: Sequence[Statement]) -> Iterator[StaleRead]:
        for path, loads in self._loads.items():
            if self._stamp(path) != loads[-1][1]:
                continue
            since = next(number for number, stamp in loads if stamp == loads[-1][1])
            names = _names_of(self._module(path), kept) if since != loads[0][0] else set()
            for statement in kept:
                reads = statement.facts.reads if statement.facts is not None else set()
                if loads[0][0] <= statement.run < since and not names.isdisjoint(reads):
                    yield StaleRead(statement, self._shown(path))

    def _modules_out_of_date(self, imports: Iterable[ImportUse]) -> Iterator[str]:
        stale = {path for path, loads in self._loads.items() if self._stamp(path) != loads[-1][1]}
        if not stale:
            return
        folders = [self._tree.folder, *{Path(path).parent for path in stale}]
        used = {str(path) for path, _ in local_sources(imports, folders)}
        yield from sorted(stale & used)

    def _module(self, path: str) -> str:
        """Return the name that the module, or the package around it, is most likely imported by."""
        parts = Path(path)
        while (parts.parent / "__init__.py").exists() and parts.parent != self._tree.root:
            parts = parts.parent
        return parts.stem


def _names_of(module: str, statements: Iterable[Statement]) -> set[str]:
    """Return the names by which statements have a module, or what is in it."""
    found: set[str] = set()
    for node in (inner for statement in statements for inner in ast.walk(statement.node)):
        if isinstance(node, ast.Import):
            aliases = [alias for alias in node.names if alias.name.partition(".")[0] == module]
            found.update(alias.asname or module for alias in aliases)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == module:
            found.update(alias.asname or alias.name for alias in node.names)
    return found
