"""From runs to the parts of a program: the statements, the values and the files that it carries, and its text."""

from __future__ import annotations

import ast
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.cell import values
from buildr_jupyter.cell.dialect import edited, kernel_name_hint, translate
from buildr_jupyter.cell.files import PathUse, carry_files, literal_paths
from buildr_jupyter.cell.preamble import render_preamble
from buildr_jupyter.cell.scope import import_uses
from buildr_jupyter.cell.slice import Need, Slice, Statement, analyze, slice_back
from buildr_jupyter.cell.source import CellRun, transform
from buildr_jupyter.cell.statements import Flow
from buildr_jupyter.cell.text import Block, awaits, choose_mark, ends, hide, is_quiet, join, own_block, statement_text
from buildr_jupyter.errors import CellSyntaxError, DialectError, OptionError, UnboundName, ValueRefused
from buildr_jupyter.events import Warned
from buildr_jupyter.model import FileEntry, ImportUse, NameNote

if TYPE_CHECKING:
    from buildr_jupyter.cell.program import ExportOptions

__all__ = ["Assembly", "Made"]

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
_ROUNDS = 8


@dataclass(slots=True)
class Made:
    """The parts of the program."""

    text: str = ""
    origins: tuple[str | None, ...] = ()
    names: tuple[NameNote, ...] = ()
    imports: tuple[ImportUse, ...] = ()
    requirements: tuple[tuple[str, str], ...] = ()
    files: tuple[FileEntry, ...] = ()
    state: tuple[FileEntry, ...] = ()
    warnings: tuple[Warned, ...] = ()
    carried: int = 0
    before: int = 0


@dataclass(slots=True)
class _Supplied:
    """Names that come as values and not as code."""

    snapshot: dict[str, str] = field(default_factory=dict)
    """Name to why."""
    literal: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name to its source text and why."""

    def __contains__(self, name: str) -> bool:
        return name in self.snapshot or name in self.literal


class Assembly:
    """Makes one program; see ``program.export``."""

    def __init__(
        self,
        runs: Sequence[CellRun],
        target: CellRun,
        options: ExportOptions,
        folder: Path | None,
        notebook: str | None,
        namespace: Mapping[str, object] | None,
    ) -> None:
        self.runs = [run for run in runs if run is not target]
        self.runs.append(target)
        self.last = len(self.runs) - 1
        self.options = options
        self.folder = folder
        self.notebook = notebook
        self.namespace = namespace
        self.warnings: list[Warned] = []
        self.flow = Flow()
        self.sources: dict[int, str] = {}
        self.bodies: dict[int, list[ast.stmt]] = {}
        self.requirements: list[tuple[str, str]] = []
        self.supplied = _Supplied()
        self.params = dict(options.params)
        self.edits: dict[int, list[tuple[ast.expr, str]]] = {}
        self.added: list[Block] = []
        self.late: list[Block] = []
        self.carried_runs: dict[int, int] = {}
        self.snapshot: values.Snapshot | None = None
        self.captured = self.display_captured = False
        self.own_warning()

    def own_warning(self) -> None:
        """Say what is odd about the chosen cell itself."""
        if self.runs[self.last].status == "error":
            self.warnings.append(Warned(f"{self.title(self.last)} failed when it ran; it is exported all the same"))

    def title(self, number: int) -> str:
        """Return what the run with this number is called in the image."""
        run = self.runs[number]
        name = (self.notebook or "notebook").replace("\n", " ").replace("\r", " ")
        if run.index is not None:
            return f"{name}, cell {run.index}"
        if run.id and self.notebook:
            return f"{name}, cell {run.id}"
        if number == self.last:
            return f"{name}, this cell"
        # Not the execution count: the number of the cell among those that the program carries.
        carried = self.carried_runs.setdefault(number, len(self.carried_runs) + 1)
        return f"{name}, earlier cell {carried}"

    def make(self) -> Made:
        """Return the parts of the program."""
        statements = self._statements()
        sliced = self._sliced(statements)
        self._check_names(sliced)
        self._check_dialect(sliced)
        self._parameters(sliced)
        snapshot = self.snapshot
        files = self._files(sliced)
        others = [statement for statement in sliced.kept if statement.run != self.last]
        own = self._own_blocks()
        blocks = [*self.added, *self._blocks(others, snapshot), *own]
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
            awaits=any(awaits(statement.node) for statement in sliced.kept),
            figures=any(use.module.partition(".")[0] in _DRAWING for use in imports),
        )
        text, origins = join(preamble, blocks, mark)
        self._stale(others)
        return Made(
            text,
            origins,
            self._notes(sliced),
            imports,
            tuple(self.requirements),
            tuple(files),
            (snapshot.entry,) if snapshot else (),
            tuple(dict.fromkeys(self.warnings)),
            len(others),
            sum(1 for statement in statements if statement.run != self.last),
        )

    # -- statements

    def _statements(self) -> list[Statement]:
        statements: list[Statement] = []
        for number, run in enumerate(self.runs):
            if run.transformed is None:
                if number == self.last:
                    raise CellSyntaxError(f"{self.title(number)} does not parse", hint=_syntax_hint(run.source))
                continue
            translated = translate(run.transformed, transform)
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
            self.sources[number] = translated.source
            body = self.bodies[number] = ast.parse(translated.source).body
            if number != self.last and run.status == "error" and run.failed_line:
                failed_line = run.failed_line
                body = list(takewhile(lambda node, line=failed_line: ends(node) < line, body))  # type: ignore[misc]
            may_fail = number != self.last and run.status != "ok"
            statements.extend(analyze(self.flow, body, number, may_fail=may_fail))
        return statements

    def _sliced(self, statements: list[Statement]) -> Slice:
        """Return the slice once it is settled which names come as values."""
        for name in self.options.snapshots:
            self.supplied.snapshot[name] = "asked for by --snapshot"
        for _ in range(_ROUNDS):
            sliced = slice_back(
                self.flow, statements, self.last, supplied=frozenset((*self.supplied.snapshot, *self.supplied.literal))
            )
            if self.namespace is None or not self._choose_values(sliced):
                break
        self.snapshot = self._snapshot(sliced)
        if self.snapshot is not None and self.snapshot.classes:
            sliced = slice_back(
                self.flow,
                statements,
                self.last,
                supplied=frozenset((*self.supplied.snapshot, *self.supplied.literal)),
                extra=self.snapshot.classes,
            )
        for need in sliced.conflicts:
            raise ValueRefused(
                f"{self.title(need.by.run)}, line {need.by.line}: reads {need.name!r} as it was before it changed, "
                "but a snapshot holds the value of now",
                hint=f"take what that statement makes by --snapshot too, or recompute: --recompute {need.name}",
            )
        return sliced

    def _choose_values(self, sliced: Slice) -> bool:
        """Take values instead of code where the code is slow or cannot run in an image; tell whether any was."""
        assert self.namespace is not None
        found = False
        asked = {*self.options.recompute, *self.params}
        for statement in sliced.kept:
            facts = statement.facts
            if statement.run == self.last or facts is None:
                continue
            duration = self.runs[statement.run].duration_s
            why = ""
            if duration is not None and duration > self.options.slow_s:
                why = f"its cell took {duration:.1f} s, more than {self.options.slow_s:g} s"
            if "input" in facts.direct or _asks_kernel(statement.node):
                why = "it came from something that the image does not have"
            if not why:
                continue
            for name in sorted(facts.binds | facts.maybe):
                if name in asked or name in self.supplied or name not in self.namespace:
                    continue
                if not any(need.name == name for need in sliced.why.get(statement.number, ())):
                    continue
                value = self.namespace[name]
                if isinstance(value, (types.ModuleType, types.FunctionType, type)):
                    continue
                literal = values.as_literal(value)
                if literal is not None:
                    self.supplied.literal[name] = (literal, why)
                else:
                    self.supplied.snapshot[name] = why
                found = True
        return found

    # -- checks

    def _check_names(self, sliced: Slice) -> None:
        for name, need in sorted(sliced.unresolved.items()):
            line = need.by.facts.direct.get(name) if need.by.facts is not None else None
            where = f"{self.title(need.by.run)}, line {line or need.by.line}"
            hint = kernel_name_hint(name)
            if hint is not None and name != "__":
                raise DialectError(f"{where}: {name!r} is there only in a running kernel", hint=hint)
            if name == "display":
                self.added.append(("display", 1, _DISPLAY))
            elif self.flow.star or sliced.everything is not None:
                continue
            elif line is not None and need.by.run == self.last and name not in self.params:
                raise UnboundName(
                    f"{where}: nothing supplies the name {name!r}", hint="no cell that ran before gives it a value"
                )
            elif name not in self.params:
                self.warnings.append(Warned(f"{where}: nothing supplies the name {name!r}"))
        if sliced.everything is not None:
            where = f"{self.title(sliced.everything.run)}, line {sliced.everything.line}"
            self.warnings.append(Warned(f"{where}: may read any name, so every earlier statement is carried"))

    def _check_dialect(self, sliced: Slice) -> None:
        for statement in sliced.kept:
            facts = statement.facts
            if facts is None:
                continue
            if "input" in facts.reads and self.flow.before("input", statement.number) is None:
                line = facts.direct.get("input", statement.line)
                raise DialectError(
                    f"{self.title(statement.run)}, line {line}: input() has nobody to ask in an image",
                    hint=kernel_name_hint("input"),
                )
            if _asks_kernel(statement.node):
                raise DialectError(
                    f"{self.title(statement.run)}, line {statement.line}: this line is IPython's own",
                    hint=kernel_name_hint("get_ipython"),
                )

    def _stale(self, others: Sequence[Statement]) -> None:
        for number in sorted({statement.run for statement in others}):
            if stale := self.runs[number].stale:
                self.warnings.append(
                    Warned(f"{self.title(number)} was {stale} since it ran", "the program is what ran; run it again")
                )

    # -- values

    def _parameters(self, sliced: Slice) -> None:
        if not self.params:
            return
        defaults: dict[str, object] = {}
        for name, text in self.params.items():
            if not name.isidentifier():
                raise OptionError(f"--param {name}: not a name")
            found = self._assignment(sliced, name)
            if text is not None:
                defaults[name] = values.parse_default(name, text)
            elif found is not None:
                defaults[name] = self._default(name, found[1])
            else:
                raise OptionError(
                    f"--param {name}: no plain assignment to {name} before the cell is used by it",
                    hint=f"give a default: --param {name}=VALUE",
                )
            given = f"_buildr_params[{name!r}]"
            if found is not None:
                self.edits.setdefault(found[0].run, []).append((found[1], given))
            else:
                self.late.append((f"parameter {name}", 1, f"{name} = {given}\n"))
        self.added.insert(0, ("parameters", 1, values.parameter_block(defaults, self.title(self.last))))

    def _assignment(self, sliced: Slice, name: str) -> tuple[Statement, ast.expr] | None:
        for statement in reversed(sliced.kept):
            node = statement.node
            if statement.run == self.last:
                continue
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target: ast.expr = node.targets[0]
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                target = node.target
            else:
                continue
            if isinstance(target, ast.Name) and target.id == name and node.value is not None:
                return statement, node.value
        return None

    def _default(self, name: str, node: ast.expr) -> object:
        try:
            return values.check_parameter(name, ast.literal_eval(node))
        except (ValueError, TypeError, SyntaxError):
            if self.namespace is not None and name in self.namespace:
                return values.check_parameter(name, self.namespace[name])
        raise OptionError(
            f"--param {name}: its value in the notebook is computed", hint=f"give a default: --param {name}=VALUE"
        )

    def _snapshot(self, sliced: Slice) -> values.Snapshot | None:
        names = sorted(self.supplied.snapshot)
        if not names:
            return None
        if self.namespace is None:
            raise ValueRefused(
                f"--snapshot {names[0]}: there is no kernel that holds its value",
                hint="snapshots are taken by %%containerize in a notebook that runs",
            )
        origins = {}
        for name in names:
            for statement in sliced.supplied_by.get(name, ()):
                origins[name] = f"{self.title(statement.run)}, line {statement.line}"
        return values.take_snapshot(
            names, self.namespace, limit_bytes=self.options.snapshot_limit_bytes, origins=origins
        )

    # -- files and imports

    def _files(self, sliced: Slice) -> list[FileEntry]:
        if self.folder is None:
            return []
        uses: list[tuple[int, PathUse]] = [
            (statement.run, use)
            for statement in sliced.kept
            for use in literal_paths(statement.node, self.title(statement.run))
        ]
        written = {token for statement in sliced.kept if statement.facts for token in _written(statement)}
        uses = [(run, use) for run, use in uses if use.path.removeprefix("./") not in written]
        options = self.options
        entries, rewritten = carry_files(
            [use for _, use in uses],
            self.folder,
            limit_bytes=options.file_limit_bytes,
            include=options.include,
            mounts=options.mounts,
        )
        for run, use in uses:
            if use.node in rewritten:
                self.edits.setdefault(run, []).append((use.node, repr(rewritten[use.node])))
                self.warnings.append(Warned(f"{use.origin}: {use.path!r} is written as {rewritten[use.node]!r}"))
        return entries

    def _imports(self, sliced: Slice, snapshot: values.Snapshot | None) -> tuple[ImportUse, ...]:
        found: list[ImportUse] = []
        for statement in sliced.kept:
            title = self.title(statement.run)
            found.extend(import_uses(statement.node, title))
        pandas = any(use.module.partition(".")[0] == "pandas" for use in found)
        for statement in sliced.kept if pandas else ():
            title = self.title(statement.run)
            for node in ast.walk(statement.node):
                if isinstance(node, ast.Attribute) and node.attr in _ENGINES:
                    engine = _ENGINES[node.attr]
                    found.append(ImportUse(engine, (), f"{title}, line {node.lineno}", optional=True))
        if snapshot is not None:
            found.extend(snapshot.imports)
        written = {name for statement in sliced.kept for name in _written(statement)}
        found = [use for use in found if f"{use.module}.py" not in written]
        return tuple(dict.fromkeys(found))

    # -- text

    def _shown(self) -> bool:
        body = self.bodies[self.last]
        shows = bool(body) and isinstance(body[-1], ast.Expr) and not self.display_captured
        return shows and not is_quiet(self.sources[self.last])

    def _edited_bodies(self) -> None:
        for run, edits in self.edits.items():
            self.sources[run] = edited(self.sources[run], edits)
            self.bodies[run] = ast.parse(self.sources[run]).body
        self.edits = {}

    def _blocks(self, others: Sequence[Statement], snapshot: values.Snapshot | None) -> list[Block]:
        places = {id(node): number for body in self.bodies.values() for number, node in enumerate(body)}
        self._edited_bodies()
        blocks: list[Block] = []
        load = self._load_blocks(snapshot)
        previous: tuple[int, int] | None = None
        names = set(self.supplied.snapshot) | set(self.supplied.literal)
        for statement in others:
            if load and statement.facts is not None and names & statement.facts.reads:
                blocks.extend(load)
                load, previous = [], None
            place = places[id(statement.node)]
            node = self.bodies[statement.run][place]
            text = statement_text(self.sources[statement.run], node)
            line = Statement(node, statement.run).line
            if previous == (statement.run, place - 1) and ends(self.bodies[statement.run][place - 1]) < line:
                gap = line - ends(self.bodies[statement.run][place - 1]) - 1
                blocks[-1] = (*blocks[-1][:2], blocks[-1][2] + "\n" * gap + text)
            else:
                blocks.append((self.title(statement.run), line, text))
            previous = (statement.run, place)
        late, self.late = self.late, []
        return [*blocks, *load, *late]

    def _load_blocks(self, snapshot: values.Snapshot | None) -> list[Block]:
        blocks: list[Block] = []
        if self.supplied.literal:
            lines = (f"{name} = {text}\n" for name, (text, _) in sorted(self.supplied.literal.items()))
            blocks.append(("values of the kernel", 1, "".join(lines)))
        if snapshot is not None:
            path = values.STATE_PATH.removeprefix("app/")
            code = f'import pickle\nwith open("{path}", "rb") as _buildr_file:\n'
            blocks.append(("snapshot", 1, code + "    globals().update(pickle.load(_buildr_file))\n"))
        return blocks

    def _own_blocks(self) -> list[Block]:
        """Return the chosen cell as one block, and its last expression as another where the notebook shows it."""
        self._edited_bodies_of_last()
        title, body, nodes = self.title(self.last), self.sources[self.last], self.bodies[self.last]
        if not self._shown():
            return [own_block(title, body, 1)]
        end = nodes[-1]
        lines = body.splitlines(keepends=True)
        before = lines[end.lineno - 1].encode()[: end.col_offset].decode()
        head = "".join(lines[: end.lineno - 1]) + before
        blocks = [own_block(title, head + "\n", 1)] if len(nodes) > 1 else []
        return [*blocks, (title, end.lineno, statement_text(body, end))]

    def _edited_bodies_of_last(self) -> None:
        if self.last in self.edits:
            self.sources[self.last] = edited(self.sources[self.last], self.edits.pop(self.last))
            self.bodies[self.last] = ast.parse(self.sources[self.last]).body

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
        for name in self.params:
            old = notes.get(name)
            notes[name] = NameNote(name, old.origin if old else self.title(self.last), "parameter", "--param")
        return tuple(notes[name] for name in sorted(notes))

    def _note(self, statement: Statement, need: Need) -> NameNote:
        is_import = isinstance(statement.node, (ast.Import, ast.ImportFrom))
        kind = "import" if is_import else ("recompute" if need.name in self.options.recompute else "code")
        by = f"{self.title(need.by.run)}, line {need.by.line}"
        return NameNote(need.name, f"{self.title(statement.run)}, line {statement.line}", kind, f"read by {by}")


def _asks_kernel(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == "get_ipython" for inner in ast.walk(node))


def _written(statement: Statement) -> list[str]:
    assert statement.facts is not None
    return [
        obj.info.removeprefix("@file:")
        for obj in statement.facts.mutates
        if isinstance(obj.info, str) and obj.info.startswith("@file:")
    ]


def _syntax_hint(source: str) -> str:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return f"{error}"
    return "it is nested too deeply"
