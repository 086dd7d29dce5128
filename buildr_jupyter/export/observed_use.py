"""Use of what runs were observed to do: the files that they opened, the packages that they loaded, and what to say."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from buildr_jupyter.analysis.evidence import Evidence
from buildr_jupyter.analysis.slicer import Slice, Statement
from buildr_jupyter.analysis.value_origins import CLOCK, NETWORK, state_of
from buildr_jupyter.export.changed_files import is_of
from buildr_jupyter.export.data_files import PathUse
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import ImportUse
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.observed import Observed, OpenedFile
from buildr_jupyter.secretscan.scan import never_included

__all__ = ["last_seen", "loaded_modules", "observed_warnings", "opened_paths", "star_names"]

_SKIPPED = (".ipynb", ".pyc", ".py", ".so")
"""Endings of what is carried as a module, or is the notebook itself."""


def star_names(body: Iterable[ast.stmt]) -> set[str]:
    """Return the names that the modules hold of which these statements import all, as far as they are loaded."""
    found: set[str] = set()
    for node in body:
        for inner in ast.walk(node):
            if isinstance(inner, ast.ImportFrom) and any(alias.name == "*" for alias in inner.names):
                found.update(vars(sys.modules.get(inner.module or "", ast)))
    return found


def last_seen(given: Given) -> Observed | None:
    """Return what the last run of the chosen cell's text did, None where no such run was observed."""
    body = given.runs[given.last].body.strip()
    runs = (run for run in reversed(given.runs[: given.last]) if run.source.strip() == body)
    return next((run.observed for run in runs if run.observed is not None), None)


def _seen_runs(given: Given, sliced: Slice) -> Iterator[tuple[int, Observed, list[Statement]]]:
    """Yield the runs that the program carries and that were observed, with the statements that are carried.

    For the chosen cell it is the last run of the same text, wherever that was, with all its statements.
    """
    kept: dict[int, list[Statement]] = {}
    for statement in sliced.kept:
        kept.setdefault(statement.run, []).append(statement)
    if (seen := last_seen(given)) is not None:
        yield given.last, seen, []
    for number, statements in sorted(kept.items()):
        observed = given.runs[number].observed
        if observed is not None and number != given.last:
            yield number, observed, statements


# -- files


def opened_paths(given: Given, sliced: Slice) -> tuple[list[tuple[Path, int, PathUse]], set[str]]:
    """Return the files of the project that carried statements were seen to open, and those that they make themselves.

    Paths of uses, and of what is made, are relative to the notebook's folder.
    """
    if given.folder is None:
        return [], set()
    tree = Tree.of(given.folder, given.options.root)
    made: set[str] = set()
    found: dict[Path, tuple[Path, int, PathUse]] = {}
    for number, observed, statements in sorted(_seen_runs(given, sliced), key=lambda seen: seen[0]):
        for opened in observed.opened:
            if not is_of(opened.line, statements):
                continue
            if not opened.reads:
                if not opened.keeps:
                    made.add(opened.path)
                continue
            for path in _files_of(opened, tree) if opened.path not in made else ():
                if str(path) not in made:
                    found.setdefault(path, (path, number, _use(given, number, opened, path, tree)))
    return list(found.values()), {os.path.relpath(path, tree.folder) for path in made}


def _use(given: Given, number: int, opened: OpenedFile, path: Path, tree: Tree) -> PathUse:
    line = f", line {opened.line}" if opened.line else ""
    relative = Path(os.path.relpath(path, tree.folder)).as_posix()
    return PathUse(relative, f"{given.title(number)}{line}, as observed", ast.Constant(relative))


def _files_of(opened: OpenedFile, tree: Tree) -> Iterator[Path]:
    """Yield the files that an opened one stands for: itself, or those right in a folder that was listed."""
    path = Path(opened.path)
    if not path.is_relative_to(tree.root):
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(tree.root.resolve()):
            return
        path = tree.root / real.relative_to(tree.root.resolve())
    if opened.listed:
        if path in (tree.folder, tree.root) or not path.is_dir():
            return
        found = sorted(one for one in path.iterdir() if one.is_file())
    else:
        found = [path] if path.is_file() else []
    for one in found:
        relative = one.relative_to(tree.root).as_posix()
        if not one.name.endswith(_SKIPPED) and not never_included(relative):
            yield one


def _written_by(given: Given, kept: Iterable[Statement]) -> set[str]:
    """Return the files that these statements were seen to make, in any run of their text: the program does, too."""
    texts: dict[str, list[Statement]] = {}
    for statement in kept:
        texts.setdefault(given.runs[statement.run].body.strip(), []).append(statement)
    return {
        opened.path
        for run in given.runs
        if run.observed is not None and (statements := texts.get(run.body.strip())) is not None
        for opened in run.observed.opened
        if opened.writes and not opened.reads and is_of(opened.line, statements)
    }


def _outside(
    given: Given, observed: Observed, statements: Sequence[Statement], written: Collection[str]
) -> Iterator[str]:
    """Yield the paths outside of the project that carried statements read; hidden ones are settings and caches.

    Those that are ``written`` are what the program makes itself, in its folder of temporary files.
    """
    if given.folder is None:
        return
    tree = Tree.of(given.folder, given.options.root)
    roots = (tree.root, tree.root.resolve(), *(Path(prefix) for prefix in {sys.prefix, sys.base_prefix}))
    for opened in observed.opened:
        path = Path(opened.path)
        hidden = any(part.startswith(".") for part in path.parts)
        system = path.parts[1:2] in (("usr",), ("lib",), ("lib64",), ("bin",), ("run",), ("var",))
        if not opened.reads or opened.listed or hidden or system or any(path.is_relative_to(one) for one in roots):
            continue
        if opened.path not in written and is_of(opened.line, statements) and path.is_file():
            yield opened.path


# -- packages


def loaded_modules(given: Given, sliced: Slice, imports: Sequence[ImportUse]) -> list[ImportUse]:
    """Return the modules that the program's packages were seen to load beside what the text imports.

    A module is loaded once in a kernel, maybe by a cell that is not carried: whatever a package loaded that the
    program imports, it may load there. What draws figures into a notebook is left out.
    """
    observed = [(number, run.observed) for number, run in enumerate(given.runs) if run.observed is not None]
    carried = {number: statements for number, _, statements in _seen_runs(given, sliced)}
    tops = {use.module.partition(".")[0] for use in imports}
    pending = [
        (number, one) for number, seen in observed for one in seen.imported if one.module.partition(".")[0] not in tops
    ]
    skipped = _kernel_backend()
    found: dict[str, ImportUse] = {}
    while pending:
        left = []
        for number, one in pending:
            top, importer = one.module.partition(".")[0], one.importer.partition(".")[0]
            own = importer == "__main__"
            asked = number in carried and is_of(one.line, carried[number]) if own else importer in tops
            if not asked:
                left.append((number, one))
            elif top != skipped:
                line = f", line {one.line}" if one.line else ""
                by = "the cell" if own else importer
                origin = f"{given.title(number)}{line}, as observed: loaded by {by}"
                found.setdefault(one.module, ImportUse(one.module, (), origin, optional=True))
                tops.add(top)
        if len(left) == len(pending):
            break
        pending = left
    return list(found.values())


def _kernel_backend() -> str:
    """Return the package that draws figures into a notebook: matplotlib loads it as the kernel's environment says."""
    name = os.environ.get("MPLBACKEND", "")
    return name.removeprefix("module://").partition(".")[0] if name.startswith("module://") else ""


# -- what to say


def observed_warnings(
    given: Given, evidence: Evidence, sliced: Slice, uncarried: Collection[str]
) -> list[BuildWarning]:
    """Return what a person should know of the values, files and effects that the program cannot repeat.

    ``uncarried`` are the names of which that was said already.
    """
    found: list[BuildWarning] = []
    others = [statement for statement in sliced.kept if statement.run != given.last]
    found.extend(_unrepeatable(given, evidence, sliced, others, uncarried))
    found.extend(_drawn_after(given, evidence, sliced))
    if given.namespace is not None:
        found.extend(_kept_whole(given, evidence, sliced, others))
        written = _written_by(given, sliced.kept)
        for number, observed, statements in _seen_runs(given, sliced):
            title = given.title(number)
            found.extend(
                BuildWarning(
                    f"{title} read {path}, which lies outside of the project and is not carried",
                    hint=f"carry it with --include {path}, or give it at run time with --mount {path}:{path}",
                )
                for path in dict.fromkeys(_outside(given, observed, statements, written))
            )
            if observed.sockets and number != given.last:
                hosts = ", ".join(observed.sockets[:5])
                found.append(BuildWarning(f"{title} connected to {hosts}: the program does so again"))
    found.extend(_unobserved(given, {statement.run for statement in others}))
    return found


def _unrepeatable(
    given: Given, evidence: Evidence, sliced: Slice, others: Iterable[Statement], uncarried: Collection[str]
) -> Iterator[BuildWarning]:
    for statement in others:
        names = sorted({need.name for need in sliced.why.get(statement.number, ()) if need.name.isidentifier()})
        facts = statement.facts
        if not names or facts is None:
            continue
        where = f"{given.title(statement.run)}, line {statement.line}: {', '.join(names)}"
        hint = f"take its value of now: --snapshot {names[0]}" if given.namespace is not None else None
        random = evidence.unrepeatable.get(statement.number) and not set(names).intersection(uncarried)
        if origins := sorted(facts.origins & {CLOCK, NETWORK}):
            source = " and ".join(f"the {origin}" for origin in origins)
            yield BuildWarning(f"{where} came from {source}, which the program asks again", hint=hint)
        elif random:
            yield BuildWarning(f"{where} may come from randomness that nothing seeds: the program draws again", hint)


def _drawn_after(given: Given, evidence: Evidence, sliced: Slice) -> Iterator[BuildWarning]:
    """Say where the chosen cell goes on with numbers of which a measurement took nobody knows how many."""
    told: set[str] = set()
    for statement in sliced.kept:
        for generator, run in sorted(evidence.draws_after.get(statement.number, {}).items()):
            if statement.run == given.last and generator not in told:
                told.add(generator)
                yield BuildWarning(
                    f"{given.title(run)} measured a statement that draws from {generator}, and the program does not: "
                    f"{given.title(statement.run)}, line {statement.line} draws other numbers",
                    hint="set its seed in the chosen cell",
                )


def _kept_whole(given: Given, evidence: Evidence, sliced: Slice, others: Iterable[Statement]) -> Iterator[BuildWarning]:
    for number in sorted({statement.run for statement in others}):
        unread = evidence.whole.get(number, frozenset())
        needed = {need.name for one in others if one.run == number for need in sliced.why.get(one.number, ())}
        needed |= {state_of(name[5:]) for name in needed if name.startswith("@rng:")}
        if names := sorted(unread & needed):
            yield BuildWarning(
                f"{given.title(number)} changed {', '.join(names)} in a way that its text does not say: "
                "all of the cell is carried"
            )


def _unobserved(given: Given, carried: Iterable[int]) -> Iterator[BuildWarning]:
    """Say that a kernel's cells were not looked at, once one that was is there: the extension came late."""
    if given.namespace is None or not any(run.observed is not None for run in given.runs):
        return
    missed = [number for number in sorted(carried) if given.runs[number].observed is None]
    if missed:
        yield BuildWarning(
            f"{given.title(missed[0])} ran unobserved: what it needs is known from its text alone",
            hint="load the extension first, and run the cell again",
        )
