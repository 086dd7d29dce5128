"""From runs to a program: the statements, the values and the files that it carries, and its text."""

from __future__ import annotations

import ast
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from buildr_jupyter.analysis.scope import import_uses
from buildr_jupyter.analysis.slicer import Need, Slice, Statement, analyze, slice_back
from buildr_jupyter.errors import CellSyntaxError, DialectError, OptionError, UnboundName, ValueRefused
from buildr_jupyter.export import snapshot as values
from buildr_jupyter.export.blocks import awaits, choose_mark, ends, hide, join
from buildr_jupyter.export.data_files import PathUse, carry_files, changed_folder, literal_paths
from buildr_jupyter.export.ipython_syntax import kernel_name_hint, translate
from buildr_jupyter.export.named_files import carry_named
from buildr_jupyter.export.observed_use import last_seen, loaded_modules, observed_warnings, opened_paths, star_names
from buildr_jupyter.export.parameters import reader_file, writer_file
from buildr_jupyter.export.project import Tree
from buildr_jupyter.export.prologue import render_preamble
from buildr_jupyter.export.shown_values import Shown, asks_for_shown, name_values
from buildr_jupyter.export.value_capture import Carried, asks_kernel
from buildr_jupyter.model.interface import Candidate, Interface, Return
from buildr_jupyter.model.plan import FileEntry, ImportUse, NameNote
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import transform
from buildr_jupyter.notebook.parse_cache import parsed

__all__ = ["Making", "Program"]

_DRAWING = frozenset(("matplotlib", "seaborn", "pandas", "sklearn", "statsmodels", "pylab", "plotnine", "networkx"))
"""Packages that may draw with matplotlib."""
_ENGINES = {
    "read_parquet": "pyarrow", "to_parquet": "pyarrow", "read_feather": "pyarrow", "to_feather": "pyarrow",
    "read_excel": "openpyxl", "to_excel": "openpyxl", "ExcelFile": "openpyxl", "ExcelWriter": "openpyxl",
    "read_html": "lxml", "read_xml": "lxml", "to_xml": "lxml", "to_markdown": "tabulate", "read_hdf": "tables",
    "to_hdf": "tables", "style": "jinja2", "plot": "matplotlib", "hist": "matplotlib", "boxplot": "matplotlib",
}  # fmt: skip
"""What a method loads by name when it is called."""
_DISPLAY = '''\
def display(*objects, **_):
    """Print the text form of each object."""
    for one in objects:
        print(repr(one))
'''
_ROUNDS = 20
_SHELL = '''\
def get_ipython(made=[]):
    """Return IPython's shell, which works on the names of this program."""
    if not made:
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        hooks = sys.excepthook, sys.displayhook
        InteractiveShell.enable_gui = lambda self, gui=None: None
        made.append(InteractiveShell.instance(user_module=sys.modules["__main__"], user_ns=globals()))
        made[0].history_manager.enabled = False
        sys.excepthook, sys.displayhook = hooks
    return made[0]
get_ipython()
'''


@dataclass(frozen=True, slots=True)
class Program:
    """What goes into ``app/``, and why."""

    text: str
    """main.py."""
    origins: tuple[str | None, ...] = ()
    """For each line of ``text`` where it comes from: ``nb.ipynb, cell 3, line 1``; None for our own lines."""
    names: tuple[NameNote, ...] = ()
    imports: tuple[ImportUse, ...] = ()
    requirements: tuple[tuple[str, str], ...] = ()
    """(requirement as written after ``%pip install``, origin)."""
    files: tuple[FileEntry, ...] = ()
    state: tuple[FileEntry, ...] = ()
    interface: Interface = field(default_factory=Interface)
    """What it takes and what it gives back."""
    candidates: tuple[Candidate, ...] = ()
    """Plain values that could be inputs and are none."""
    warnings: tuple[BuildWarning, ...] = ()
    carried: int = 0
    """Top-level statements of other cells."""
    before: int = 0
    """Top-level statements in the cells that ran before."""
    tree: Tree | None = None
    """Where the files lie below ``app/``; None where no folder is known."""


class Making(Carried):
    """Makes one program; see ``program.export``."""

    def make(self) -> Program:
        """Return the program."""
        statements = self._statements()
        sliced = self._sliced(statements)
        self._take_candidates(sliced)
        self._check_names(sliced)
        self._check_dialect(sliced)
        self._parameters(sliced)
        snapshot = self.snapshot
        files = self._files(sliced)
        others = [statement for statement in sliced.kept if statement.run != self.last]
        own = self._own_blocks()
        blocks = [*self._interface_blocks(), *self.added, *self._blocks(others, snapshot), *own]
        imports = self._imports(sliced, snapshot)
        mark = choose_mark(blocks)
        blocks, hidden = hide(blocks)
        preamble = render_preamble(
            title=self.title(self.last),
            own=len(own),
            shown=self._shown(),
            mark=mark,
            hidden=hidden,
            captured=self.captured,
            tolerant=any(self.runs[statement.run].status is None for statement in others),
            awaits=any(awaits(statement.node) for statement in sliced.kept)
            or any(use.module.partition(".")[0] == "asyncio" for use in imports),
            folder=self.tree.inside if self.tree else "",
            returns=self.options.returns,
            figures=any(use.module.partition(".")[0] in _DRAWING for use in imports),
        )
        text, origins = join(preamble, blocks, mark)
        self._stale(others)
        self._absent()
        self.warnings += observed_warnings(self, sliced)
        return Program(
            text,
            origins,
            names=self._notes(sliced),
            imports=imports,
            requirements=tuple(self.requirements),
            files=(*files, *self._own_files()),
            state=(snapshot.entry,) if snapshot else (),
            interface=Interface(self.inputs, tuple(Return(name) for name in self.options.returns)),
            candidates=tuple(one for one, _ in self.candidates if one.name not in self.params),
            warnings=tuple(dict.fromkeys(self.warnings)),
            carried=len(others),
            before=sum(1 for statement in statements if statement.run != self.last),
            tree=self.tree,
        )

    # -- statements

    def _statements(self) -> list[Statement]:
        statements: list[Statement] = []
        rewritten = self._shown_values()
        for number, run in enumerate(self.runs):
            if run.transformed is None:
                if number == self.last:
                    raise CellSyntaxError(f"{self.title(number)} does not parse", hint=_syntax_hint(run.source))
                continue
            translated = translate(run.transformed, transform, chosen=number == self.last)
            if translated.foreign and number == self.last:
                raise DialectError(
                    f"{self.title(number)} is in another language: it begins with %%{translated.foreign}",
                    hint="only Python cells become images",
                )
            if not translated.source.strip() and translated.foreign:
                continue
            if number == self.last:
                self.captured, self.display_captured = translated.captured, translated.display_captured
            for text, line in translated.requirements:
                self.requirements.append((text, f"{self.title(number)}, line {line}"))
            for text, line in translated.passed_over:
                self.warnings.append(
                    BuildWarning(
                        f"{self.title(number)}, line {line}: {text} is not carried: the image gets the packages that "
                        "the program imports, as they are in the kernel"
                    )
                )
            source = self.sources[number] = rewritten.get(number, translated.source)
            body = self.bodies[number] = parsed(source).body
            if number != self.last and run.status == "error" and run.failed_line:
                failed_line = run.failed_line
                body = list(takewhile(lambda node, line=failed_line: ends(node) < line, body))  # type: ignore[misc]
            may_fail = number != self.last and run.status != "ok"
            first = len(statements)
            for statement in analyze(self.flow, body, number, may_fail=may_fail):
                statements.append(statement)
                self.evidence.note(statement)
            if number == self.last:
                self.evidence.weigh_chosen(statements[first:], last_seen(self))
            else:
                failed, stars = run.status == "error", star_names(body) if run.observed else ()
                self.evidence.weigh(statements[first:], number, run.observed, failed=failed, stars=stars)
        statements.extend(self._reading_returns())
        return statements

    def _shown_values(self) -> dict[int, str]:
        """Return the sources of runs in which a name takes the place of IPython's for a value that a cell showed."""
        if not any(asks_for_shown(run.transformed or "") for run in self.runs):
            return {}
        shown: list[Shown] = []
        numbers: list[int] = []
        for number, run in enumerate(self.runs):
            if run.transformed is not None:
                source = translate(run.transformed, transform, chosen=number == self.last).source
                shown.append(Shown(source, run.count or number + 1, ended=run.status != "error"))
                numbers.append(number)
        gave = None if self.namespace is None else self.namespace.get("_oh", {})
        renamed = name_values(shown, gave if isinstance(gave, dict) else None)
        return {numbers[place]: source for place, source in renamed.items()}

    def _reading_returns(self) -> Iterator[Statement]:
        """Yield a statement that reads, after the cell, what the run gives back: so the slice holds what makes it."""
        body = self.bodies[self.last]
        if "_" in self.options.returns and not (body and isinstance(body[-1], ast.Expr)):
            raise OptionError(
                f"--return _: {self.title(self.last)} does not end in an expression",
                hint="write the value as the cell's last line, or give it a name and take that: --return NAME",
            )
        names = [name for name in self.options.returns if name != "_"]
        if names:
            reading = ast.parse(f"({', '.join(names)},)").body
            ast.increment_lineno(reading[0], max((ends(node) for node in body), default=1) - 1)
            yield from analyze(self.flow, reading, self.last, may_fail=False)

    def _own_files(self) -> list[FileEntry]:
        """Return what the program needs of us."""
        return [*([reader_file()] if self.inputs else []), *([writer_file()] if self.options.returns else [])]

    def _sliced(self, statements: list[Statement]) -> Slice:
        """Return the slice once it is settled which names come as values."""
        for name in self.options.snapshots:
            self.supplied.snapshot[name] = "asked for by --snapshot"
        if self.options.widening.everything:
            self._take_everything(statements)
        for _ in range(_ROUNDS):
            sliced = self._slice(statements)
            if self.namespace is None or not (
                self._choose_values(sliced) | self._ask_namespace(sliced) | self._choose_unrepeatable(sliced)
            ):
                break
        try:
            self.snapshot = self._snapshot(sliced)
        except ValueRefused:
            if self.namespace is None or not self._leave_uncarried():
                raise
            return self._sliced(statements)
        if self.snapshot is not None and self.snapshot.classes:
            sliced = self._slice(statements, self.snapshot.classes)
        for need in sliced.conflicts:
            raise ValueRefused(
                f"{self.title(need.by.run)}, line {need.by.line}: reads {need.name!r} as it was before it changed, "
                "but a snapshot holds the value of now",
                hint=f"take what that statement makes by --snapshot too, or recompute: --recompute {need.name}",
            )
        return sliced

    def _slice(self, statements: list[Statement], extra: Sequence[str] = ()) -> Slice:
        supplied = frozenset((*self.supplied.snapshot, *self.supplied.literal))
        widening = self.options.widening
        unchanged = {} if widening.everything else self.evidence.unchanged
        extra = (*extra, *widening.names)
        return slice_back(self.flow, statements, self.last, supplied=supplied, extra=extra, unchanged=unchanged)

    def _take_everything(self, statements: list[Statement]) -> None:
        """Have every statement before the cell carried: the cell is taken to be able to read any name."""
        for statement in statements:
            if statement.run == self.last and statement.facts is not None:
                statement.facts.everything = statement.facts.everything or statement.line

    # -- checks

    def _check_names(self, sliced: Slice) -> None:
        for name, need in sorted(sliced.unresolved.items()):
            if name in self.known_only_to_kernel:
                continue
            line = need.by.facts.direct.get(name) if need.by.facts is not None else None
            if name in self.options.returns and need.by.node not in self.bodies[need.by.run]:
                raise OptionError(
                    f"--return {name}: nothing in the program gives {name} a value",
                    hint=f"name a variable that the cell or one before it assigns, not {name}",
                )
            where = f"{self.title(need.by.run)}, line {line or need.by.line}"
            hint = kernel_name_hint(name)
            if name == "get_ipython":
                continue  # the check of the dialect brings it
            if hint is not None and name != "__":
                raise DialectError(f"{where}: {name!r} is there only in a running kernel", hint=hint)
            if name == "display" or self.flow.star or sliced.everything is not None:
                continue
            if line is not None and need.by.run == self.last and name not in self.params:
                raise UnboundName(
                    f"{where}: nothing supplies the name {name!r}: no cell that ran before gives it a value",
                    hint=f"run the cell that does, or make it an input of the image: --param {name}",
                )
            if name not in self.params:
                self.warnings.append(BuildWarning(f"{where}: nothing supplies the name {name!r}"))
        # Not by what is unresolved: a kernel has it among its builtins, an image's Python has not.
        if any(
            "display" in statement.facts.reads and self.flow.before("display", statement.number) is None
            for statement in sliced.kept
            if statement.facts is not None
        ):
            self.added.append(("display", 1, _DISPLAY))
        if sliced.everything is not None and not self.options.widening.everything:
            where = f"{self.title(sliced.everything.run)}, line {sliced.everything.line}"
            self.warnings.append(BuildWarning(f"{where}: may read any name, so every earlier statement is carried"))

    def _check_dialect(self, sliced: Slice) -> None:
        assigned = (self._assignment(sliced, name) for name in self.params)
        given = [found[0] for found in assigned if found]  # what a parameter takes the place of
        for statement in sliced.kept:
            facts = statement.facts
            if facts is None:
                continue
            if (
                "input" in facts.reads
                and statement.run == self.last
                and statement not in given
                and self.flow.before("input", statement.number) is None
            ):
                line = facts.direct.get("input", statement.line)
                raise DialectError(
                    f"{self.title(statement.run)}, line {line}: input() has nobody to ask in an image",
                    hint=kernel_name_hint("input"),
                )
            if self.shell_use is None and asks_kernel(statement.node):
                where = f"{self.title(statement.run)}, line {statement.line}"
                self.shell_use = ImportUse("IPython", (), where)
                self.added.append(("IPython", 1, _SHELL))
                self.warnings.append(
                    BuildWarning(f"{where}: this line is IPython's own: the image runs it with IPython")
                )

    def _stale(self, others: Sequence[Statement]) -> None:
        for number in sorted({statement.run for statement in others}):
            if stale := self.runs[number].stale:
                self.warnings.append(
                    BuildWarning(
                        f"{self.title(number)} was {stale} since it ran", "the program is what ran; run it again"
                    )
                )

    def _absent(self) -> None:
        """Say which runs are taken to have failed because a module is not there."""
        runs: dict[str, list[int]] = {}
        for number, module in sorted(self.flow.missed.items()):
            runs.setdefault(module, []).append(number)
        for module, numbers in runs.items():
            more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
            self.warnings.append(
                BuildWarning(
                    f"{self.title(numbers[0])}{more}: module {module} is not installed, so its import is taken to have "
                    "failed, and the rest of the cell not to have run",
                    hint="install it, or save the notebook with its outputs",
                )
            )

    # -- files and imports

    def _files(self, sliced: Slice) -> list[FileEntry]:
        if self.folder is None:
            return []
        uses: list[tuple[int, PathUse]] = []
        place = ""  # where the program is, relative to the notebook's folder
        for statement in sliced.kept:
            for use in literal_paths(statement.node, self.title(statement.run)):
                path = posixpath.normpath(posixpath.join(place, use.path)) if place else use.path
                uses.append((statement.run, replace(use, path=path)))
            place = changed_folder(statement.node, place)
        opened, made = opened_paths(self, sliced)
        known = {Path(os.path.normpath(self.folder / use.path)) for _, use in uses}
        uses += [(run, use) for path, run, use in opened if path not in known]
        written = {token for statement in sliced.kept if statement.facts for token in _written(statement)} | made
        uses = [(run, use) for run, use in uses if use.path.removeprefix("./") not in written]
        options = self.options
        carried = carry_files(
            [use for _, use in uses],
            self.folder,
            limit_bytes=options.file_limit_bytes,
            include=options.include,
            mounts=options.mounts,
            root=options.root,
            unasked=self.namespace is not None,
        )
        self.tree, rewritten = carried.tree, carried.rewritten
        for run, use in uses:
            if use.node in rewritten:
                if id(use.node) in self.replaced:
                    self._move_default(self.replaced[id(use.node)], use.path, rewritten[use.node])
                else:
                    self.edits.setdefault(run, []).append((use.node, repr(rewritten[use.node])))
                self.warnings.append(BuildWarning(f"{use.origin}: {use.path!r} is written as {rewritten[use.node]!r}"))
        named, warnings = carry_named(
            [(statement.node, self.title(statement.run)) for statement in sliced.kept],
            carried.tree,
            known=[entry.path for entry in carried.entries],
            written={*written, *options.mounts},
            limit_bytes=options.file_limit_bytes,
        )
        self.warnings += warnings
        return sorted([*carried.entries, *named], key=lambda entry: entry.path)

    def _imports(self, sliced: Slice, snapshot: values.Snapshot | None) -> tuple[ImportUse, ...]:
        found: list[ImportUse] = []
        for_effect = set(self.flow.unread_imports.values())
        for statement in sliced.kept:
            title = self.title(statement.run)
            uses = import_uses(statement.node, title)
            if (
                statement.number in for_effect and statement.run != self.last
            ):  # nothing reads what it binds: it may be there for nothing
                uses = [replace(use, optional=True) for use in uses]
            found.extend(uses)
        pandas = any(use.module.partition(".")[0] == "pandas" for use in found)
        for statement in sliced.kept if pandas else ():
            title = self.title(statement.run)
            for node in ast.walk(statement.node):
                if isinstance(node, ast.Attribute) and node.attr in _ENGINES:
                    engine = _ENGINES[node.attr]
                    found.append(ImportUse(engine, (), f"{title}, line {node.lineno}", optional=True))
        found.extend(use for _, use in self.known_only_to_kernel.values())
        if self.shell_use is not None:
            found.append(self.shell_use)
        if snapshot is not None:
            found.extend(snapshot.imports)
        found.extend(loaded_modules(self, sliced, found))
        found.extend(
            ImportUse(name, (), "a run of the program", optional=True) for name in self.options.widening.modules
        )
        written = {name for statement in sliced.kept for name in _written(statement)}
        found = [use for use in found if not _is_written(use.module, written)]
        return tuple(dict.fromkeys(found))

    # -- text

    def _notes(self, sliced: Slice) -> tuple[NameNote, ...]:
        notes: dict[str, NameNote] = {}
        for statement in sliced.kept:
            for need in sliced.why.get(statement.number, ()):
                if not need.name.startswith(("@", "*")):
                    notes[need.name] = self._note(statement, need)
        for name, why in (*self.supplied.snapshot.items(), *((n, w) for n, (_, w) in self.supplied.literal.items())):
            kind = "snapshot" if name in self.supplied.snapshot else "literal"
            made = sliced.supplied_by.get(name)
            origin = f"{self.title(made[-1].run)}, line {made[-1].line}" if made else self.title(self.last)
            notes[name] = NameNote(name, origin, kind, why)
        for name in self.known_only_to_kernel:
            notes[name] = NameNote(name, self.title(self.last), "import", "the kernel has it; no run that is known did")
        for name in self.params:
            old = notes.get(name)
            notes[name] = NameNote(name, old.origin if old else self.title(self.last), "parameter", "--param")
        return tuple(notes[name] for name in sorted(notes))

    def _note(self, statement: Statement, need: Need) -> NameNote:
        is_import = isinstance(statement.node, (ast.Import, ast.ImportFrom))
        kind = "import" if is_import else ("recompute" if need.name in self.options.recompute else "code")
        by = f"{self.title(need.by.run)}, line {need.by.line}"
        return NameNote(need.name, f"{self.title(statement.run)}, line {statement.line}", kind, f"read by {by}")


def _written(statement: Statement) -> list[str]:
    assert statement.facts is not None
    return [
        obj.info.removeprefix("@file:")
        for obj in statement.facts.mutates
        if isinstance(obj.info, str) and obj.info.startswith("@file:")
    ]


def _is_written(module: str, written: set[str]) -> bool:
    """Tell whether the program itself writes the file of a module or package."""
    path = module.replace(".", "/")
    return f"{path}.py" in written or f"{path}/__init__.py" in written


def _syntax_hint(source: str) -> str:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return f"{error}"
    return "it is nested too deeply"
