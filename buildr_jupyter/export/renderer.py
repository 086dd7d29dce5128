"""The text of a program: the statements that it carries as blocks, and what is written otherwise in them."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.analysis.evidence import Evidence
from buildr_jupyter.analysis.slicer import Statement
from buildr_jupyter.analysis.statements import Flow
from buildr_jupyter.export import snapshot as values
from buildr_jupyter.export.blocks import Block, ends, is_quiet, own_block, statement_text
from buildr_jupyter.export.ipython_syntax import edited
from buildr_jupyter.export.local_modules import read_code, read_module
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.interface import Candidate, Input
from buildr_jupyter.model.plan import ImportUse
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import CellRun, ran_here

if TYPE_CHECKING:
    from buildr_jupyter.export.options import ExportOptions

__all__ = ["Layout", "Supplied"]


@dataclass(slots=True)
class Supplied:
    """Names that come as values and not as code."""

    snapshot: dict[str, str] = field(default_factory=dict)
    """Name to why."""
    literal: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name to its source text and why."""

    def __contains__(self, name: str) -> bool:
        return name in self.snapshot or name in self.literal


def _here(run: CellRun) -> Iterator[CellRun]:
    """Yield what a run did in the kernel's namespace.

    The body of another containerized cell supplies no names, unless it also ran in the kernel; what its run gave back
    was bound there after it, and only the kernel has it.
    """
    if ran_here(run.source):
        yield replace(run, returned=()) if run.returned else run
    if run.returned:
        text = f"{' = '.join(run.returned)} = get_ipython()\n"
        yield replace(run, source=text, transformed=text, status="ok", failed_line=None, duration_s=None)


class Layout:
    """Holds the runs and their trees, and writes the blocks."""

    def __init__(
        self,
        runs: Sequence[CellRun],
        target: CellRun,
        options: ExportOptions,
        folder: Path | None,
        notebook: str | None,
        namespace: Mapping[str, object] | None,
    ) -> None:
        self.runs = [one for run in runs if run is not target for one in _here(run)]
        self.runs.append(target)
        self.last = len(self.runs) - 1
        self.options = options
        self.folder = folder
        self.notebook = notebook
        self.namespace = namespace
        self.warnings: list[BuildWarning] = []
        self.flow = Flow()
        self.flow.absent = frozenset(options.absent)
        self.evidence = Evidence(self.flow)
        if folder is not None:
            self.flow.local_source = lambda module: read_module(folder, module)
            self.flow.local_code = lambda name: read_code(folder, name)
        self.sources: dict[int, str] = {}
        self.bodies: dict[int, list[ast.stmt]] = {}
        self.requirements: list[tuple[str, str]] = []
        self.supplied = Supplied()
        self.params = dict(options.params)
        self.edits: dict[int, list[tuple[ast.expr, str]]] = {}
        self.added: list[Block] = []
        self.late: list[Block] = []
        self.carried_runs: dict[int, int] = {}
        self.snapshot: values.Snapshot | None = None
        self.automatic: set[str] = set()
        """Names that come as values because their code would give others."""
        self.uncarried: set[str] = set()
        """Names that should come as values and cannot."""
        self.known_only_to_kernel: dict[str, tuple[str, ImportUse]] = {}
        """Names that no run gives, with the import that gives them."""
        self.shell_use: ImportUse | None = None
        """The import of IPython, where a statement needs its shell."""
        self.tree: Tree | None = None
        self.inputs: tuple[Input, ...] = ()
        self.replaced: dict[int, str] = {}
        """Identity of each expression that an input took the place of, to the input's name."""
        self.candidates: tuple[tuple[Candidate, Statement], ...] = ()
        self.captured = self.display_captured = False
        self.own_warning()

    def own_warning(self) -> None:
        """Say what is odd about the chosen cell itself."""
        if self.runs[self.last].status == "error":
            self.warnings.append(
                BuildWarning(f"{self.title(self.last)} failed when it ran; it is exported all the same")
            )

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
        names = {*self.supplied.snapshot, *self.supplied.literal, *self.known_only_to_kernel}
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
        if self.known_only_to_kernel:
            lines = (f"{text}\n" for _, (text, _) in sorted(self.known_only_to_kernel.items()))
            blocks.append(("imports of the kernel", 1, "".join(lines)))
        if self.supplied.literal:
            lines = (f"{name} = {text}\n" for name, (text, _) in sorted(self.supplied.literal.items()))
            blocks.append(("values of the kernel", 1, "".join(lines)))
        if snapshot is not None:
            path = posixpath.relpath(values.STATE_PATH, f"app/{self.tree.inside}" if self.tree else "app")
            code = f'import pickle\nwith open("{path}", "rb") as _buildr_file:\n'
            blocks.append(("snapshot", 1, code + "    globals().update(pickle.load(_buildr_file))\n"))
        return blocks

    def _own_blocks(self) -> list[Block]:
        """Return the chosen cell as one block, and its last expression as another where the notebook shows it."""
        self._edited_bodies_of_last()
        title, body, nodes = self.title(self.last), self.sources[self.last], self.bodies[self.last]
        given = "_" in self.options.returns
        if not (self._shown() or given):
            return [own_block(title, body, 1)]
        end = nodes[-1]
        lines = body.splitlines(keepends=True)
        before = lines[end.lineno - 1].encode()[: end.col_offset].decode()
        head = "".join(lines[: end.lineno - 1]) + before
        blocks = [own_block(title, head + "\n", 1)] if len(nodes) > 1 else []
        text = statement_text(body, end)
        if given:
            text = f"(_buildr_value := ({text.rstrip()}))\n"
        return [*blocks, (title, end.lineno, text)]

    def _edited_bodies_of_last(self) -> None:
        if self.last in self.edits:
            self.sources[self.last] = edited(self.sources[self.last], self.edits.pop(self.last))
            self.bodies[self.last] = ast.parse(self.sources[self.last]).body
