"""Input choice: which names of a program become inputs of its image, and what stands in the place of their values."""

from __future__ import annotations

import ast
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from buildr_jupyter.analysis.abstract_values import Obj
from buildr_jupyter.analysis.slicer import Slice, Statement
from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import OptionError
from buildr_jupyter.export.blocks import Block
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.inputs import check_options, describe, enums_of, is_plain, make_input, plain_assignment
from buildr_jupyter.export.parameters import (
    FUNCTION_PATH,
    READER_PATH,
    WRITER_PATH,
    function_block,
    parameter_block,
    returns_block,
)
from buildr_jupyter.export.project import Tree
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.model.interface import Candidate, Input, Interface
from buildr_jupyter.notebook.cells import PARAMETERS_TAG

__all__ = ["InputChoice"]

_AUTO = "auto"
"""``--param auto`` takes every candidate."""
_SHOWN = 60
_NAMED = 8


class InputChoice:
    """The inputs of one program: first the candidates of its slice, then those that were asked for."""

    def __init__(self, given: Given, reading: Reading, sliced: Slice) -> None:
        """Find what could be an input; ``--param auto`` asks for all, a tagged cell for its own."""
        self._given, self._reading, self._sliced = given, reading, sliced
        self.params = dict(given.options.params)
        """Name to the default that was given as text, None without one."""
        self._function = given.options.function
        self.inputs: tuple[Input, ...] = self._function.inputs if self._function else ()
        self.late: list[Block] = []
        """What gives those inputs their names that no statement assigns."""
        self._replaced: dict[int, str] = {}
        """Identity of each expression that an input took the place of, to the input's name."""
        self._candidates = tuple(self._iter_candidates(sliced))
        if self._function is None:
            self._take_candidates()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Plain values that could be inputs and are none."""
        return tuple(one for one, _ in self._candidates if one.name not in self.params and not self._function)

    def given_statements(self) -> list[Statement]:
        """Return the assignments whose values the inputs take the place of."""
        assigned = (self._assignment(name) for name in self.params)
        return [found[0] for found in assigned if found]

    def _take_candidates(self) -> None:
        every = _AUTO in self.params and self.params[_AUTO] is None
        if every:
            del self.params[_AUTO]
        for candidate, statement in self._candidates:
            if every or PARAMETERS_TAG in self._given.runs[statement.run].tags:
                self.params.setdefault(candidate.name, None)
        if every and not self._candidates:
            self._given.warn(
                f"{self._given.title(self._given.last)}: --param auto found no plain value that could be an input"
            )

    def _iter_candidates(self, sliced: Slice) -> Iterator[tuple[Candidate, Statement]]:
        """Yield each top-level assignment of one plain literal to one name that is read, and assigned nowhere else."""
        bound: Counter[str] = Counter()
        read: Counter[str] = Counter()
        changed: set[Obj] = set()
        for statement in sliced.kept:
            if (facts := statement.facts) is not None:
                bound.update(facts.binds | facts.maybe | facts.deletes)
                read.update(facts.reads)
                changed |= facts.mutates
        for statement in sliced.kept:
            name, _, node = plain_assignment(statement.node)
            if name is None or node is None or name.startswith("_") or bound[name] != 1 or not read[name]:
                continue
            value = self._reading.flow.env.get(name)
            if (value is not None and value.objs & changed) or not is_plain(node):
                continue
            text = ast.unparse(node)
            text = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
            yield Candidate(name, text, self._given.where(statement)), statement

    def make(self) -> None:
        """Make the inputs, with edits of the statements that assigned them. Raises OptionError."""
        if not self.params:
            return
        check_options(self.params)
        enums = enums_of(statement.node for statement in self._sliced.kept)
        inputs = []
        for name, text in sorted(self.params.items()):  # sorted: one image, in whatever order they were asked for
            if not name.isidentifier():
                raise OptionError(f"--param {name}: not a name")
            found = self._assignment(name)
            known = name in (self._given.namespace or ())
            if found is None and text is None and name not in self._sliced.unresolved and not known:
                raise self._unknown(name)
            said = None
            if found is not None:
                said = describe(self._reading.sources[found[0].run], found[0].node)
            made, template = make_input(
                name, found and found[1], text, enums=enums, namespace=self._given.namespace, description=said or ""
            )
            inputs.append(made)
            given = template.format(f"_buildr_given[{name!r}]")
            if found is not None:
                self._reading.edit(found[0].run, found[1][1], given)
                self._replaced.update((id(inner), name) for inner in ast.walk(found[1][1]))
            else:
                self.late.append((f"parameter {name}", 1, f"{name} = {given}\n"))
        self.inputs = tuple(inputs)

    def _unknown(self, name: str) -> OptionError:
        """Return the error for a name that is no value of the program; it says which are."""
        option = dict(self._given.options.asked_by).get(name, "--param")
        known = sorted({candidate.name for candidate, _ in self._candidates})
        shown = f" (its values: {', '.join(known[:_NAMED])}{', …' if known[_NAMED:] else ''})" if known else ""
        return OptionError(
            f"{option} {name}: no plain assignment to {name} before the cell is used by it{shown}",
            hint=nearest_hint(name, known, f"give a default: --param {name}=VALUE"),
        )

    def write_path(self, run: int, node: ast.expr, path: str, moved: str) -> None:
        """Have a path that is written into the project's folder anew: in the text, or in the default of an input."""
        if (name := self._replaced.get(id(node))) is None:
            self._reading.edit(run, node, repr(moved))
            return
        self.inputs = tuple(
            replace(one, default=moved) if one.name == name and one.default == path else one for one in self.inputs
        )

    def blocks(self, tree: Tree | None) -> list[Block]:
        """Return the blocks that read the inputs and get ready for the returns, where there are such."""
        base, blocks = f"app/{tree.inside}" if tree else "app", []
        if self.inputs:
            blocks.append(("parameters", 1, self._parameter_block(base)))
        if self._given.options.returns:
            blocks.append(("returns", 1, returns_block(posixpath.relpath(WRITER_PATH, base))))
        return blocks

    def _parameter_block(self, base: str) -> str:
        interface, path = Interface(self.inputs), posixpath.relpath(READER_PATH, base)
        if (function := self._function) is None:
            return parameter_block(interface, self._given.title(self._given.last), path)
        taken = function_block(interface, function.spec(), posixpath.relpath(FUNCTION_PATH, base))
        return parameter_block(interface, function.title, path, read="read_given") + taken

    def _assignment(self, name: str) -> tuple[Statement, tuple[ast.expr | None, ast.expr]] | None:
        """Return the last plain assignment before the cell, else the cell's own, where nothing else there binds it."""
        for statement in reversed(self._sliced.kept):
            target, annotation, node = plain_assignment(statement.node)
            if statement.run != self._given.last and target == name and node is not None:
                return statement, (annotation, node)
        own = [
            one for one in self._sliced.kept if one.run == self._given.last and one.facts and name in one.facts.binds
        ]
        if not own:
            return None
        target, annotation, node = plain_assignment(own[0].node)
        if len(own) > 1 or target != name or node is None:
            where = self._given.where(own[0])
            raise OptionError(
                f"--param {name}: {where}: the cell itself gives {name} its value, and not by one plain assignment",
                hint=f"assign {name} once, in a cell before this one",
            )
        return own[0], (annotation, node)
