"""Reading of cells: their statements with what each does, and the text that each has in the program."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property

from buildr_jupyter.analysis.abstract_values import Obj, live_closure
from buildr_jupyter.analysis.evidence import Evidence
from buildr_jupyter.analysis.slicer import Statement, analyze
from buildr_jupyter.analysis.statements import Flow
from buildr_jupyter.errors import CellSyntaxError, DialectError, OptionError
from buildr_jupyter.export.blocks import ends, is_quiet
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.half_done import HalfDone, find_half_done
from buildr_jupyter.export.import_folders import ImportFolder, find_import_folders, may_change_path
from buildr_jupyter.export.interactivity import interactivity, shown_statements
from buildr_jupyter.export.ipython_syntax import Translated, asks_for_lines, edited, kernel_names, translate
from buildr_jupyter.export.local_modules import read_code, read_module
from buildr_jupyter.export.observed_use import last_seen, star_names
from buildr_jupyter.export.project import Tree
from buildr_jupyter.export.shown_values import Shown, asks_for_shown, name_values
from buildr_jupyter.notebook.cells import syntax_error, transform
from buildr_jupyter.notebook.parse_cache import parsed

__all__ = ["Reading"]


def _all_bound(texts: Iterable[str]) -> Iterator[str]:
    """Yield every name that texts bind, at top level and in functions."""
    for text in texts:
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.arg):
                yield node.arg
            elif isinstance(node, ast.alias):
                yield node.asname or node.name.partition(".")[0]
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield node.name


class Reading:
    """The cells of an export, read from the first to the chosen one."""

    def __init__(self, given: Given) -> None:
        """Read nothing yet."""
        self._given = given
        self._translations: dict[int, Translated] = {}
        texts = [run.transformed for run in given.runs if run.transformed is not None]
        self._kernels = frozenset[str]().union(*map(kernel_names, texts))
        expands = any("get_ipython" in text and ("$" in text or "{" in text) for text in texts)
        self._names = frozenset(_all_bound(texts) if expands else ()) | frozenset(given.namespace or ())
        """Names that any cell binds, anywhere, where a shell line may hold one."""
        self._lines = any("getoutput" in text for text in texts) and any(map(asks_for_lines, texts))
        self.flow = Flow()
        """What each name holds, statement by statement."""
        self.flow.absent = frozenset(given.options.absent)
        self.evidence = Evidence(self.flow)
        """What the runs were seen to do."""
        self.import_folders = self._find_import_folders()
        """Folders of the project that the cells add to the search path."""
        if (folder := given.folder) is not None:
            self.flow.local_source = self._local_source
            self.flow.local_code = lambda name: read_code(folder, name)
        self.sources: dict[int, str] = {}
        """Number of a run to its text as plain Python, edits included."""
        self.bodies: dict[int, list[ast.stmt]] = {}
        """Number of a run to the statements of that text."""
        self.requirements: list[tuple[str, str]] = []
        """(requirement as written after ``%pip install``, origin)."""
        self.captured = self.display_captured = False
        """Whether ``%%capture`` keeps what the chosen cell prints, and its value."""
        self.half_done: dict[int, HalfDone] = {}
        """Number of a run that failed to the statement that did a part of its work, if one did."""
        self._edits: dict[int, list[tuple[ast.expr, str]]] = {}

    def statements(self) -> list[Statement]:
        """Return the statements that ran, in order, and one that reads, after the cell, what the run gives back.

        Raises CellSyntaxError, DialectError and OptionError, of the chosen cell alone.
        """
        given, statements = self._given, list[Statement]()
        rewritten = self._shown_values()
        for number, run in enumerate(given.runs):
            chosen = number == given.last
            if run.transformed is None:
                title, python = given.title(number), f"Python {sys.version_info[0]}.{sys.version_info[1]}"
                if chosen:
                    line, why = syntax_error(run.source)
                    where = f"{title}, line {line}" if line else title
                    raise CellSyntaxError(f"{where} does not parse in {python}: {why}", hint="correct the cell")
                problem = f"{title} does not parse in {python}"
                if run.status != "error":
                    given.warn(f"{problem} and is passed over")  # a newer Python may have run it
                continue
            translated = self._translated(number, run.transformed)
            if translated.foreign and chosen:
                raise DialectError(
                    f"{given.title(number)} is in another language: it begins with %%{translated.foreign}",
                    hint="choose a cell of Python, or one with a magic of IPython's own",
                )
            if not translated.source.strip() and translated.foreign:
                continue
            self._note_installs(number, translated)
            source = self.sources[number] = rewritten.get(number, translated.source)
            body = self.bodies[number] = self._body_of(number, source)
            if not chosen and run.status == "error" and run.failed_line:
                done = [node for node in body if ends(node) < run.failed_line]
                if len(done) < len(body) and (half := find_half_done(body[len(done)], run.failed_line)):
                    self.half_done[number] = half
                body = done
            made: list[Statement] = []
            changed = set[str]()
            pending = list(translated.measured)
            for statement in analyze(self.flow, body, number, may_fail=not chosen and run.status != "ok"):
                made.append(statement)
                statements.append(statement)
                self.evidence.note(statement)
                assert statement.facts is not None
                changed -= statement.facts.binds
                now = [node for node in pending if node.lineno <= ends(statement.node)]
                del pending[: len(now)]
                changed |= self._measured(now, number, made, statements)
            if len(made) == len(body):
                changed |= self._measured(pending, number, made, statements)
            if chosen:
                self.captured, self.display_captured = translated.captured, translated.display_captured
                self.evidence.weigh_chosen(made, last_seen(given))
            else:
                failed, stars = run.status == "error", star_names(body) if run.observed else ()
                unmade = changed if translated.measured else None
                self.evidence.weigh(made, number, run.observed, failed=failed, stars=stars, unmade=unmade)
        statements.extend(self._reading_returns())
        return statements

    def _measured(
        self, nodes: Iterable[ast.stmt], number: int, made: Iterable[Statement], statements: list[Statement]
    ) -> set[str]:
        """Read statements that ran and are left out; return the names of what ``made`` bound that they may change."""
        touched = set[Obj]()
        for statement in analyze(self.flow, nodes, number, may_fail=False, left_out=True):
            statements.append(statement)
            assert statement.facts is not None
            touched |= statement.facts.mutates
        if not touched:
            return set()
        bound = {name for one in made if one.facts is not None for name in one.facts.binds | one.facts.maybe}
        values = {name: self.flow.env.get(name) for name in bound if name.isidentifier()}
        return {name for name, value in values.items() if value is not None and touched & live_closure(value.objs)}

    def _translated(self, number: int, transformed: str) -> Translated:
        """Return a run's text without IPython's dialect."""
        if number not in self._translations:
            self._translations[number] = translate(
                transformed,
                transform,
                chosen=number == self._given.last,
                lines=self._lines,
                kernels=self._kernels,
                names=self._names,
            )
        return self._translations[number]

    def _body_of(self, number: int, source: str) -> list[ast.stmt]:
        """Return the statements of a text that was written anew.

        Raises CellSyntaxError where only a newer Python could read it.
        """
        try:
            return parsed(source).body
        except SyntaxError as error:
            raise CellSyntaxError(
                f"{self._given.title(number)} is in the syntax of a newer Python than "
                f"{sys.version_info[0]}.{sys.version_info[1]}, and has to be written anew for the image: {error}",
                hint="write magics and inputs into a cell of their own",
            ) from None

    def _find_import_folders(self) -> tuple[ImportFolder, ...]:
        given = self._given
        sources = {number: run.transformed for number, run in enumerate(given.runs) if run.transformed is not None}
        if given.folder is None or not any(may_change_path(source) for source in sources.values()):
            return ()
        plain = ((number, self._translated(number, source).source) for number, source in sources.items())
        statements = (statement for number, source in plain for statement in self._body_of(number, source))
        return find_import_folders(statements, Tree.of(given.folder, given.options.root))

    def _local_source(self, module: str) -> str | None:
        assert self._given.folder is not None
        folders = (self._given.folder, *(one.path for one in self.import_folders))
        return next((text for folder in folders if (text := read_module(folder, module)) is not None), None)

    def _shown_values(self) -> dict[int, str]:
        """Return the sources of runs in which a name takes the place of IPython's for a value that a cell showed."""
        given = self._given
        if not any(asks_for_shown(run.transformed or "") for run in given.runs):
            return {}
        shown: list[Shown] = []
        numbers: list[int] = []
        for number, run in enumerate(given.runs):
            if run.transformed is not None:
                source = self._translated(number, run.transformed).source
                shown.append(Shown(source, run.count or number + 1, ended=run.status != "error"))
                numbers.append(number)
        gave = None if given.namespace is None else given.namespace.get("_oh", {})
        renamed = name_values(shown, gave if isinstance(gave, dict) else None)
        return {numbers[place]: source for place, source in renamed.items()}

    def _note_installs(self, number: int, translated: Translated) -> None:
        for text, line in translated.requirements:
            self.requirements.append((text, f"{self._given.title(number)}, line {line}"))
        for text, line in translated.passed_over:
            self._given.warn(
                f"{self._given.title(number)}, line {line}: {text} is not carried: the image gets the packages that "
                "the program imports, as they are in the kernel"
            )

    def _reading_returns(self) -> Iterator[Statement]:
        """Yield a statement that reads, after the cell, what the run gives back: so the slice holds what makes it."""
        last, returns = self._given.last, self._given.options.returns
        body = self.bodies[last]
        if "_" in returns and not (body and isinstance(body[-1], ast.Expr)):
            raise OptionError(
                f"--return _: {self._given.title(last)} does not end in an expression",
                hint="write the value as the cell's last line, or give it a name and take that: --return NAME",
            )
        names = [name for name in returns if name != "_"]
        if names:
            reading = ast.parse(f"({', '.join(names)},)").body
            ast.increment_lineno(reading[0], max((ends(node) for node in body), default=1) - 1)
            yield from analyze(self.flow, reading, last, may_fail=False)

    def shown(self) -> list[ast.stmt]:
        """Return the statements of the chosen cell whose values a notebook shows, in order."""
        last = self._given.last
        shown = [] if self.display_captured else shown_statements(self.bodies[last], self._interactivity)
        return [] if shown and is_quiet(self.sources[last]) else shown

    @cached_property
    def _interactivity(self) -> str:
        return interactivity(run.transformed or "" for run in self._given.runs[: self._given.last])

    def edit(self, run: int, node: ast.expr, text: str) -> None:
        """Have an expression of a run written as ``text``, from the next ``apply_edits`` on."""
        self._edits.setdefault(run, []).append((node, text))

    def apply_edits(self, *runs: int) -> None:
        """Write the edits of these runs, of all without any, into ``sources``; ``bodies`` are parsed anew from them."""
        for run in runs or tuple(self._edits):
            if edits := self._edits.pop(run, None):
                self.sources[run] = edited(self.sources[run], edits)
                self.bodies[run] = self._body_of(run, self.sources[run])
