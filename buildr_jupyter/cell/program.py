"""The program that a cell really is: the text of main.py, with the origin of each line."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from buildr_jupyter.cell.preamble import MARK, render_preamble
from buildr_jupyter.cell.scope import import_uses
from buildr_jupyter.cell.slice import Slice, Statement, analyze, slice_back
from buildr_jupyter.cell.source import CellRun, header_and_body
from buildr_jupyter.cell.statements import Flow
from buildr_jupyter.errors import CellSyntaxError, UnboundName
from buildr_jupyter.events import Warned
from buildr_jupyter.model import FileEntry, ImportUse, NameNote

__all__ = ["ExportOptions", "Program", "explain", "export"]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What the person asked for, in what concerns the program."""

    params: tuple[tuple[str, str | None], ...] = ()
    """(name, default as text or None)."""
    snapshots: tuple[str, ...] = ()
    recompute: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    """Files to carry beside those that the code names, relative to the notebook's folder, or absolute."""
    mounts: tuple[str, ...] = ()
    """Paths, as the code names them, that are given at run time and so not carried."""
    snapshot_limit_bytes: int = 1 << 30
    file_limit_bytes: int = 100 << 20
    slow_s: float = 5.0


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
    parameters: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
    carried: int = 0
    """Top-level statements of other cells."""
    before: int = 0
    """Top-level statements in the cells that ran before."""


def export(
    runs: Sequence[CellRun],
    target: CellRun,
    options: ExportOptions,
    *,
    folder: Path | None,
    notebook: str | None,
    namespace: Mapping[str, object] | None = None,
) -> Program:
    """Return the program that the cell ``target`` is, given the ``runs`` before it, oldest first.

    ``folder`` and ``notebook`` are the notebook's folder and file name, where known; ``namespace`` is the kernel's.
    Raises CellSyntaxError, UnboundName, DialectError, ValueRefused, FileRefused.
    """
    return _Export(runs, target, options, folder, notebook, namespace).program()


def explain(program: Program) -> list[tuple[str, str, str, str]]:
    """Return the rows of ``--explain``: (what, kind, where from, why), names first, then imports and files."""
    rows = [(note.name, note.kind, note.origin, note.why) for note in program.names]
    rows.extend((use.module, "module", use.origin, "imported") for use in program.imports)
    rows.extend((text, "requirement", origin, "asked for by the notebook") for text, origin in program.requirements)
    rows.extend((entry.path, f"{entry.size_bytes} bytes", "", entry.why) for entry in (*program.files, *program.state))
    return rows


_DRAWING = frozenset(("matplotlib", "seaborn", "pandas", "sklearn", "statsmodels", "pylab", "plotnine", "networkx"))
"""Packages that may draw with matplotlib."""


class _Export:
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
        self.target = target
        self.options = options
        self.folder = folder
        self.notebook = notebook
        self.namespace = namespace
        self.warnings: list[Warned] = []
        self.flow = Flow()
        self.trees: dict[int, ast.Module] = {}
        self.shown = False

    def program(self) -> Program:
        statements = self._statements()
        sliced = slice_back(self.flow, statements, len(self.runs) - 1)
        self._check_bound(sliced)
        own_blocks = self._own_blocks()
        blocks = [*self._blocks(sliced), *own_blocks]
        awaits = any(_awaits(statement.node) for statement in sliced.kept)
        imports = tuple(
            use for statement in sliced.kept for use in import_uses(statement.node, self.title(statement.run))
        )
        others = [statement for statement in sliced.kept if statement.run != len(self.runs) - 1]
        preamble = render_preamble(
            title=self.title(len(self.runs) - 1),
            tolerant=any(self.runs[statement.run].status is None for statement in others),
            own=len(own_blocks),
            shown=self.shown,
            awaits=awaits,
            figures=any(use.module.partition(".")[0] in _DRAWING for use in imports),
        )
        text, origins = _join(preamble, blocks)
        return Program(
            text=text,
            origins=origins,
            names=self._notes(sliced),
            imports=imports,
            warnings=tuple(self.warnings),
            carried=len(others),
            before=sum(1 for statement in statements if statement.run != len(self.runs) - 1),
        )

    def title(self, number: int) -> str:
        run = self.runs[number]
        name = self.notebook or "notebook"
        if run.index is not None:
            return f"{name}, cell {run.index}"
        if run.id and self.notebook:
            return f"{name}, cell {run.id}"
        return f"{name}, this cell" if number == len(self.runs) - 1 else f"{name}, earlier cell {number}"

    def _statements(self) -> list[Statement]:
        statements: list[Statement] = []
        last = len(self.runs) - 1
        for number, run in enumerate(self.runs):
            if run.transformed is None:
                if number == last:
                    raise CellSyntaxError(f"{self.title(number)} does not parse")
                continue
            tree = ast.parse(run.transformed)
            self.trees[number] = tree
            body = tree.body
            if number != last and run.status == "error" and run.failed_line:
                body = list(takewhile(lambda node, line=run.failed_line: _ends(node) < line, body))
            statements.extend(analyze(self.flow, body, number, may_fail=number != last and run.status != "ok"))
        return statements

    def _check_bound(self, sliced: Slice) -> None:
        last = len(self.runs) - 1
        for name, need in sorted(sliced.unresolved.items()):
            facts = need.by.facts
            if facts is not None and name in facts.direct and need.by.run == last and not self.flow.star:
                line = facts.direct[name]
                raise UnboundName(
                    f"{self.title(need.by.run)}, line {line}: nothing supplies the name {name!r}",
                    hint="no cell before this one gives it a value",
                )
            self.warnings.append(Warned(f"{self.title(need.by.run)}: nothing supplies the name {name!r}"))

    def _blocks(self, sliced: Slice) -> list[tuple[str, int, str]]:
        blocks: list[tuple[str, int, str]] = []
        last = len(self.runs) - 1
        previous: Statement | None = None
        for statement in sliced.kept:
            if statement.run == last:
                continue
            source = self.runs[statement.run].transformed or ""
            text = _text(source, statement)
            title = self.title(statement.run)
            if (
                previous is not None
                and previous.run == statement.run
                and previous.number + 1 == statement.number
                and blocks
                and _ends(previous.node) < statement.line
            ):
                gap = statement.line - _ends(previous.node) - 1
                blocks[-1] = (*blocks[-1][:2], blocks[-1][2] + "\n" * gap + text)
            else:
                blocks.append((title, statement.line, text))
            previous = statement
        return blocks

    def _own_blocks(self) -> list[tuple[str, int, str]]:
        """Return the chosen cell as one block, and its last expression as another where the notebook shows it."""
        last = len(self.runs) - 1
        title = self.title(last)
        body = self.target.transformed or ""
        nodes = self.trees[last].body
        end = nodes[-1] if nodes else None
        if not isinstance(end, ast.Expr) or _quiet(body):
            return [_own_block(title, body, 1)]
        self.shown = True
        lines = body.splitlines(keepends=True)
        head = "".join(lines[: end.lineno - 1])
        before = lines[end.lineno - 1].encode()[: end.col_offset].decode()
        text = _text(body, Statement(end, last))
        blocks = [_own_block(title, head + before + "\n", 1)] if len(nodes) > 1 else []
        return [*blocks, (title, end.lineno, text)]

    def _notes(self, sliced: Slice) -> tuple[NameNote, ...]:
        notes = {}
        for statement in sliced.kept:
            facts = statement.facts
            for need in sliced.why.get(statement.number, ()):
                if need.name.startswith(("@", "*")) or facts is None:
                    continue
                is_import = isinstance(statement.node, (ast.Import, ast.ImportFrom))
                origin = f"{self.title(statement.run)}, line {statement.line}"
                by = f"{self.title(need.by.run)}, line {need.by.line}"
                notes[need.name] = NameNote(need.name, origin, "import" if is_import else "code", f"read by {by}")
        return tuple(notes[name] for name in sorted(notes))


def _own_block(title: str, text: str, line: int) -> tuple[str, int, str]:
    stripped = text.lstrip("\n")
    return title, line + len(text) - len(stripped), stripped.rstrip() + "\n"


def _ends(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _awaits(node: ast.AST) -> bool:
    todo = [node]
    while todo:
        current = todo.pop()
        if isinstance(current, (ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
        if not isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(current))
    return False


def _text(source: str, statement: Statement) -> str:
    """Return the statement as it is written, from the beginning of its line."""
    node = statement.node
    lines = source.splitlines(keepends=True)[statement.line - 1 : _ends(node)]
    encoded = lines[-1].encode()
    lines[-1] = encoded[: node.end_col_offset].decode()
    first = lines[0].encode()
    if statement.line == node.lineno and node.col_offset:
        lines[0] = (first if len(lines) > 1 else lines[-1].encode())[node.col_offset :].decode()
    return "".join(lines) + "\n"


def _quiet(body: str) -> bool:
    """Tell whether the cell ends in a semicolon, which keeps its last value from being shown."""
    import io
    import tokenize

    if ";" not in body:
        return False
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(body).readline):
            if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.DEDENT):
                last = token.string
    except (tokenize.TokenError, IndentationError, SyntaxError):
        return False
    return last == ";"


def _join(preamble: str, blocks: Sequence[tuple[str, int, str]]) -> tuple[str, tuple[str | None, ...]]:
    parts = [preamble]
    origins: list[str | None] = [None] * preamble.count("\n")
    for title, line, text in blocks:
        parts.append(f"\n{MARK}{title}, line {line}\n{text}")
        origins.extend((None, None))
        origins.extend(f"{title}, line {line + number}" for number in range(text.count("\n")))
    return "".join(parts), tuple(origins)


_ = header_and_body
