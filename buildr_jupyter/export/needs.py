"""Needs of a program beside its text: the files that it reads and the modules that it imports."""

from __future__ import annotations

import ast
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from buildr_jupyter.analysis.scope import import_uses
from buildr_jupyter.analysis.side_effects import FILE, MAYBE
from buildr_jupyter.analysis.slicer import Slice, Statement
from buildr_jupyter.export.appended_files import appended_by
from buildr_jupyter.export.computed_imports import find_computed, may_compute
from buildr_jupyter.export.data_files import PathUse, WorkingFolder, carry_files, literal_paths
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.import_folders import ImportFolder
from buildr_jupyter.export.input_choice import InputChoice
from buildr_jupyter.export.known_texts import Evaluated, evaluate
from buildr_jupyter.export.local_modules import local_sources
from buildr_jupyter.export.named_files import carry_named, listings_of_program, listings_unknown, readers_unknown
from buildr_jupyter.export.observed_use import loaded_modules, opened_paths
from buildr_jupyter.export.outside_paths import OutsidePaths
from buildr_jupyter.export.project import Tree
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.model.plan import FileEntry, ImportUse
from buildr_jupyter.notebook.parse_cache import parsed

__all__ = ["find_files", "find_imports", "find_words"]

_ENGINES = {
    "read_parquet": "pyarrow", "to_parquet": "pyarrow", "read_feather": "pyarrow", "to_feather": "pyarrow",
    "read_excel": "openpyxl", "to_excel": "openpyxl", "ExcelFile": "openpyxl", "ExcelWriter": "openpyxl",
    "read_html": "lxml", "read_xml": "lxml", "to_xml": "lxml", "to_markdown": "tabulate", "read_hdf": "tables",
    "to_hdf": "tables", "style": "jinja2", "plot": "matplotlib", "hist": "matplotlib", "boxplot": "matplotlib",
}  # fmt: skip
"""What a method loads by name when it is called."""


_MAX_WORDS = 120
"""Characters of a text in which an engine may be named."""
_WORD = re.compile(r"[^\W_]{3,40}")


def find_files(
    given: Given,
    sliced: Slice,
    inputs: InputChoice,
    *,
    imported: Sequence[ImportUse] = (),
    folders: Sequence[ImportFolder] = (),
    kept: Collection[str] = (),
) -> tuple[list[FileEntry], Tree | None]:
    """Return the files that the program reads, by path, and where they lie below ``app/``.

    What it has ``imported`` out of ``folders`` of the project may need the tree from the project's root, too. A path
    that another one takes the place of there is written anew in the text. Without a folder there are no files. Raises
    FileRefused. ``kept`` are names of files that the program finds, though it writes into them.
    """
    if given.folder is None:
        return [], None
    uses: list[tuple[int, PathUse]] = []
    here = WorkingFolder()
    program = list(evaluate((statement.node, given.title(statement.run)) for statement in sliced.kept))
    for statement, (_, _, values) in zip(sliced.kept, program, strict=True):
        for use in literal_paths(statement.node, given.title(statement.run)):
            path = posixpath.normpath(posixpath.join(here.place, use.path)) if here.place else use.path
            uses.append((statement.run, replace(use, path=path)))
        here.follow(statement.node, values)
    opened, made = opened_paths(given, sliced)
    known = {Path(os.path.normpath(given.folder / use.path)) for _, use in uses}
    uses += [(run, use) for path, run, use in opened if path not in known]
    written = {token for statement in sliced.kept if statement.facts for token in _written(statement)} | made
    written -= _databases(statement.node for statement in sliced.kept)
    written -= {name.removeprefix(FILE) for name in kept} | (_read_first(sliced.kept) - made)
    written -= {use.path for _, _, use in opened}
    uses = [(run, use) for run, use in uses if use.path.removeprefix("./") not in written]
    options, beside = given.options, Tree.of(given.folder, given.options.root)
    above = [one for one in folders if beside.wants_root(one.path)]
    carried = carry_files(
        [use for _, use in uses],
        given.folder,
        limit_bytes=options.file_limit_bytes,
        include=options.include,
        mounts=options.mounts,
        root=options.root,
        unasked=given.namespace is not None,
        whole=any(one.has(use.module) for one in above for use in imported),
    )
    for run, use in uses:
        if (moved := carried.rewritten.get(use.node)) is not None:
            inputs.write_path(run, use.node, use.path, moved)
            given.warn(f"{use.origin}: {use.path!r} is written as {moved!r}")
    if not options.include:
        for text in listings_unknown(program):
            given.warn(text)
        for text in readers_unknown(program) if given.namespace is None else ():  # in a kernel it was seen
            given.warn(text)
    for text in listings_of_program(program) if not carried.tree.inside else ():
        given.warn(text)
    modules = list(_module_texts(imported, [given.folder, *(one.path for one in folders)], beside))
    outside = OutsidePaths(carried.tree, options.include, options.mounts, {one.path for one in folders})
    named, warnings = carry_named(
        [*program, *(modules if given.namespace is None else ())],
        carried.tree,
        observed=modules if given.namespace is not None else (),
        known=[entry.path for entry in carried.entries],
        written={*written, *options.mounts},
        limit_bytes=options.file_limit_bytes,
        outside=outside,
    )
    files = sorted([*carried.entries, *named], key=lambda entry: entry.path)
    given.warnings += [*warnings, *outside.warnings([entry.path for entry in files])]
    there = {entry.path for entry in files}
    for statement in sliced.kept:
        seen = given.runs[statement.run].observed is not None
        paths = [path for path in appended_by(statement.node, of_shells_alone=seen) if path not in made]
        _warn_of_added(given, statement, [one for one in paths if carried.tree.target(given.folder / one) in there])
    return files, carried.tree


def _warn_of_added(given: Given, statement: Statement, paths: Iterable[str]) -> None:
    for path in paths:
        given.warn(
            f"{given.where(statement)} adds to {path}, which is carried as it is now: what the notebook added is in it "
            "already",
            "put a copy of the file as it was in its place, or write into another file",
        )


def _module_texts(imported: Sequence[ImportUse], folders: Sequence[Path], tree: Tree) -> Iterator[Evaluated]:
    """Yield the statements of the project's modules, each with its own path as its ``__file__``."""
    for path, text in local_sources(imported, folders):
        try:
            body = parsed(text).body
        except (SyntaxError, ValueError):
            continue
        shown = Path(os.path.relpath(path, tree.folder)).as_posix()
        above = {shown, *map(str, PurePosixPath(shown).parents)}  # where it lies is no more than a part of a path
        for node, title, values in evaluate(((node, shown) for node in body), {"__file__": (shown,)}):
            known = {key: tuple(one for one in texts if posixpath.normpath(one) not in above)
                     for key, texts in values.items()}  # fmt: skip
            yield node, title, known


def find_imports(given: Given, reading: Reading, sliced: Slice, others: list[ImportUse]) -> tuple[ImportUse, ...]:
    """Return the modules that the program imports, each use once: those of the text, ``others``, those seen loaded."""
    found: list[ImportUse] = []
    for_effect = set(reading.flow.unread_imports.values())
    for statement in sliced.kept:
        uses = import_uses(statement.node, given.title(statement.run))
        if statement.number in for_effect and statement.run != given.last:
            uses = [replace(use, optional=True) for use in uses]  # nothing reads what it binds: maybe there for nothing
        found.extend(uses)
    pandas = any(use.module.partition(".")[0] == "pandas" for use in found)
    for statement in sliced.kept if pandas else ():
        title = given.title(statement.run)
        found.extend(
            ImportUse(_ENGINES[node.attr], (), f"{title}, line {node.lineno}", optional=True)
            for node in ast.walk(statement.node)
            if isinstance(node, ast.Attribute) and node.attr in _ENGINES
        )
    made = _made_modules(sliced)
    found = [replace(use, optional=True) if use.module in made or None in made else use for use in found]
    found.extend(others)
    if given.folder is not None:
        computes = any(may_compute(source) for source in reading.sources.values())
        statements = [(one.node, given.title(one.run)) for one in sliced.kept if computes]
        folders = [given.folder, *(one.path for one in reading.import_folders)]
        found.extend(find_computed(statements, found, folders))
    found.extend(loaded_modules(given, sliced, found))
    found.extend(ImportUse(name, (), "a run of the program", optional=True) for name in given.options.widening.modules)
    written = {name for statement in sliced.kept for name in _written(statement)}
    found = [use for use in found if not _is_written(use.module, written)]
    return tuple(dict.fromkeys(found))


def find_words(given: Given, sliced: Slice) -> dict[str, str]:
    """Return the words of the texts and of the names of methods and arguments, each with where it stands first.

    ``to_pandas``, ``engine="xlsxwriter"`` and ``dtype="string[pyarrow]"`` name a package that another one loads.
    """
    found: dict[str, str] = {}
    for statement in sliced.kept:
        title = given.title(statement.run)
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Attribute):
                text = node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= _MAX_WORDS:
                text = node.value
            else:
                continue
            for word in _WORD.findall(text):
                found.setdefault(word.lower(), f"{title}, line {node.lineno}")
    return found


def _made_modules(sliced: Slice) -> set[str | None]:
    """Return the modules that the program itself puts into ``sys.modules``; None for one of which no name is known."""
    found: set[str | None] = set()
    for statement in sliced.kept:
        for node in ast.walk(statement.node):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                owner = node.value
                if (owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")) == "modules":
                    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
                    found.add(key if isinstance(key, str) else None)
    return found


def _written(statement: Statement, prefix: str = FILE) -> list[str]:
    assert statement.facts is not None
    return [
        obj.info.removeprefix(prefix)
        for obj in statement.facts.mutates
        if isinstance(obj.info, str) and obj.info.startswith(prefix)
    ]


def _read_first(statements: Iterable[Statement]) -> set[str]:
    """Return the files that the program reads before it writes them, as they are in the text.

    What a function reads, its call reads; to ask whether a file is there is not to read it.
    """
    found: set[str] = set()
    made: set[str] = set()
    for statement in statements:
        goes_on = set(appended_by(statement.node)) - made
        before = set(made)
        made.update(_written(statement), _written(statement, MAYBE))
        found |= goes_on
        reads = statement.facts.reads if statement.facts is not None else ()
        read = {name.removeprefix(FILE) for name in reads if name.startswith(FILE)} - made
        if read and not _asks_for_files(statement.node):
            found |= read
        if isinstance(statement.node, ast.If) and _asks_for_files(statement.node.test):  # fetched where it is not there
            found |= {name for name in set(_written(statement)) - before if "." in name}
    return found


def _asks_for_files(node: ast.AST) -> bool:
    return any(getattr(inner, "attr", "") in _ASKS for inner in ast.walk(node))


_ASKS = frozenset(("exists", "isfile", "is_file", "isdir", "is_dir", "stat", "getsize", "getmtime"))
_MAKES_TABLES = re.compile(r"\bcreate\s+(\w+\s+)?table\b", re.IGNORECASE)


def _databases(trees: Iterable[ast.AST]) -> set[str]:
    """Return the files that the program opens as databases and makes no table in: they have what it reads."""
    found: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _MAKES_TABLES.search(node.value):
            return set()
        if isinstance(node, ast.Attribute) and node.attr in ("to_sql", "executescript", "create_all", "backup"):
            return set()
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "attr", "") == "connect":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value.removeprefix("./"))
    return found


def _is_written(module: str, written: set[str]) -> bool:
    """Tell whether the program itself writes the file of a module or package."""
    path = module.replace(".", "/")
    return f"{path}.py" in written or f"{path}/__init__.py" in written
