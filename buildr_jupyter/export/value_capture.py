"""Which names come as values and not as code: parameters, literals, snapshots, and what the kernel alone knows."""

from __future__ import annotations

import ast
import posixpath
import sys
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from buildr_jupyter.analysis.abstract_values import Obj
from buildr_jupyter.analysis.slicer import Slice, Statement
from buildr_jupyter.analysis.value_origins import FRESH
from buildr_jupyter.errors import OptionError, ValueRefused
from buildr_jupyter.export import snapshot as values
from buildr_jupyter.export.blocks import Block
from buildr_jupyter.export.inputs import check_options, describe, enums_of, is_plain, make_input
from buildr_jupyter.export.ipython_syntax import kernel_name_hint
from buildr_jupyter.export.parameters import READER_PATH, WRITER_PATH, parameter_block, returns_block
from buildr_jupyter.export.renderer import Layout
from buildr_jupyter.model.interface import Candidate, Interface
from buildr_jupyter.model.plan import ImportUse
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import PARAMETERS_TAG

__all__ = ["Carried", "asks_kernel", "importable"]

_AUTO = "auto"
"""``--param auto`` takes every candidate."""
_SHOWN = 60


class Carried(Layout):
    """Adds the values to the text."""

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
            if "input" in facts.direct or asks_kernel(statement.node):
                why = "it came from something that the image does not have"
            if self.runs[statement.run].returned:
                why = "the run of that cell gave it back"
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

    def _ask_namespace(self, sliced: Slice) -> bool:
        """Take names that no known run gives from the kernel: by their import or as a literal; tell whether any was.

        Raises ValueRefused for a value that can be had neither way: the program would fail when it runs.
        """
        assert self.namespace is not None
        found = False
        for name, need in sorted(sliced.unresolved.items()):
            taken = name in self.supplied or name in self.known_only_to_kernel or name in self.params
            if taken or name not in self.namespace or kernel_name_hint(name) is not None or name == "display":
                continue
            value = self.namespace[name]
            where = f"{self.title(need.by.run)}, line {need.by.line}"
            if (text := importable(name, value)) is not None:
                self.known_only_to_kernel[name] = (text[0], ImportUse(text[1], text[2], where))
            elif (literal := values.as_literal(value)) is not None:
                self.supplied.literal[name] = (literal, "the kernel has it; no run that is known gave it")
                found = True
            elif name in self.evidence.given_unseen and self._take(
                name, f"{self.title(self.evidence.given_unseen[name])} gave it in a way that its text does not say"
            ):
                found = True
            elif not self.flow.star:
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                raise ValueRefused(
                    f"{where}: {name} ({kind}) is in the kernel, but no run that is known gave it",
                    hint=f"run the cell that makes it again, or take its value: --snapshot {name}",
                )
        return found

    def _take_candidates(self, sliced: Slice) -> None:
        """Find what could be an input; make inputs of all with ``--param auto``, else of those in tagged cells."""
        self.candidates = tuple(self._iter_candidates(sliced))
        every = _AUTO in self.params and self.params[_AUTO] is None
        if every:
            del self.params[_AUTO]
        for candidate, statement in self.candidates:
            if every or PARAMETERS_TAG in self.runs[statement.run].tags:
                self.params.setdefault(candidate.name, None)
        if every and not self.candidates:
            self.warnings.append(
                BuildWarning(f"{self.title(self.last)}: --param auto found no plain value that could be an input")
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
            name, _, node = _plain_assignment(statement.node)
            if name is None or node is None or name.startswith("_") or bound[name] != 1 or not read[name]:
                continue
            value = self.flow.env.get(name)
            if (value is not None and value.objs & changed) or not is_plain(node):
                continue
            text = ast.unparse(node)
            text = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
            yield Candidate(name, text, f"{self.title(statement.run)}, line {statement.line}"), statement

    def _choose_unrepeatable(self, sliced: Slice) -> bool:
        """Take values whose code would give others; tell whether any was.

        They came from randomness that nothing seeds or from fresh identifiers, or from a statement that reads such a
        value as it was before it changed; or the kernel has them from a run whose text does not say so.
        """
        before = len(self.supplied.snapshot) + len(self.supplied.literal), len(self.uncarried)
        for name in sorted({need.name for needs in sliced.why.values() for need in needs}):
            if (run := self.evidence.given_unseen.get(name)) is not None:
                self._take(name, f"{self.title(run)} gave it in a way that its text does not say")
        for statement in sliced.kept:
            origins = self.evidence.unrepeatable.get(statement.number)
            if statement.run == self.last or not origins:
                continue
            why = "it is a fresh identifier" if origins == {FRESH} else "it came from randomness that nothing seeds"
            for need in sliced.why.get(statement.number, ()):
                self._take(need.name, why)
        for need in sliced.conflicts:
            if need.name not in self.automatic:
                continue
            made = [one.name for one in sliced.why.get(need.by.number, ()) if one.name != need.name]
            taken = [self._take(name, f"it was made from {need.name} before that changed") for name in made]
            if not any(taken) and not any(name in self.supplied for name in made):
                self._give_up(need.name, f"what {self.title(need.by.run)} makes from it cannot be carried either")
        return before != (len(self.supplied.snapshot) + len(self.supplied.literal), len(self.uncarried))

    def _take(self, name: str, why: str) -> bool:
        """Take the value of a name instead of its code; tell whether that was done now."""
        assert self.namespace is not None
        asked = name in self.options.recompute or name in self.params or name in self.uncarried
        if asked or name in self.supplied or name not in self.namespace or not name.isidentifier():
            return False
        value = self.namespace[name]
        if isinstance(value, (types.ModuleType, types.FunctionType, type)):
            return False
        self.automatic.add(name)
        literal = values.as_literal(value)
        if literal is not None:
            self.supplied.literal[name] = (literal, why)
        else:
            self.supplied.snapshot[name] = why
        return True

    def _give_up(self, name: str, reason: str) -> None:
        """Leave a name to its code, and say so."""
        self.uncarried.add(name)
        self.automatic.discard(name)
        why = self.supplied.snapshot.pop(name, None) or self.supplied.literal.pop(name, ("", ""))[1]
        self.warnings.append(
            BuildWarning(
                f"{name}: {why}, and its value cannot be carried ({reason}): the program makes another",
                hint=f"seed it in its cell, or make {name} in the chosen cell",
            )
        )

    def _leave_uncarried(self) -> bool:
        """Leave those names to their code that were taken by themselves and cannot be carried; tell whether any was."""
        assert self.namespace is not None
        found = False
        for name in sorted(self.automatic & set(self.supplied.snapshot)):
            if (reason := values.why_not_carried(self.namespace[name])) is not None:
                self._give_up(name, reason)
                found = True
        return found

    def _parameters(self, sliced: Slice) -> None:
        if not self.params:
            return
        check_options(self.params)
        enums = enums_of(statement.node for statement in sliced.kept)
        inputs = []
        for name, text in sorted(self.params.items()):  # sorted: one image, in whatever order they were asked for
            if not name.isidentifier():
                raise OptionError(f"--param {name}: not a name")
            found = self._assignment(sliced, name)
            known = self.namespace is not None and name in self.namespace
            if found is None and text is None and name not in sliced.unresolved and not known:
                raise OptionError(
                    f"--param {name}: no plain assignment to {name} before the cell is used by it",
                    hint=f"give a default: --param {name}=VALUE",
                )
            said = None
            if found is not None:
                said = describe(self.sources[found[0].run], found[0].node)
            made, template = make_input(
                name, found and found[1], text, enums=enums, namespace=self.namespace, description=said or ""
            )
            inputs.append(made)
            given = template.format(f"_buildr_given[{name!r}]")
            if found is not None:
                self.edits.setdefault(found[0].run, []).append((found[1][1], given))
                self.replaced.update((id(inner), name) for inner in ast.walk(found[1][1]))
            else:
                self.late.append((f"parameter {name}", 1, f"{name} = {given}\n"))
        self.inputs = tuple(inputs)

    def _move_default(self, name: str, path: str, moved: str) -> None:
        """Write the default of an input anew that is a path into the project's folder."""
        self.inputs = tuple(
            replace(one, default=moved) if one.name == name and one.default == path else one for one in self.inputs
        )

    def _interface_blocks(self) -> list[Block]:
        """Return the blocks that read the inputs and get ready for the returns, where there are such."""
        base, blocks = f"app/{self.tree.inside}" if self.tree else "app", []
        if self.inputs:
            path = posixpath.relpath(READER_PATH, base)
            blocks.append(("parameters", 1, parameter_block(Interface(self.inputs), self.title(self.last), path)))
        if self.options.returns:
            blocks.append(("returns", 1, returns_block(posixpath.relpath(WRITER_PATH, base))))
        return blocks

    def _assignment(self, sliced: Slice, name: str) -> tuple[Statement, tuple[ast.expr | None, ast.expr]] | None:
        """Return the last plain assignment before the cell, else the cell's own, where nothing else there binds it."""
        for statement in reversed(sliced.kept):
            target, annotation, node = _plain_assignment(statement.node)
            if statement.run != self.last and target == name and node is not None:
                return statement, (annotation, node)
        own = [one for one in sliced.kept if one.run == self.last and one.facts and name in one.facts.binds]
        if not own:
            return None
        target, annotation, node = _plain_assignment(own[0].node)
        if len(own) > 1 or target != name or node is None:
            where = f"{self.title(self.last)}, line {own[0].line}"
            raise OptionError(
                f"--param {name}: {where}: the cell itself gives {name} its value, and not by one plain assignment",
                hint=f"assign {name} once, in a cell before this one",
            )
        return own[0], (annotation, node)

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


def _plain_assignment(node: ast.stmt) -> tuple[str | None, ast.expr | None, ast.expr | None]:
    """Return name, annotation and value of an assignment to one name; None thrice for any other statement."""
    annotation: ast.expr | None = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        target, annotation = node.target, node.annotation
    else:
        return None, None, None
    return (target.id, annotation, node.value) if isinstance(target, ast.Name) else (None, None, None)


def importable(name: str, value: object) -> tuple[str, str, tuple[str, ...]] | None:
    """Return the import that gives ``name`` this value, its module and what is taken from there; None without one."""
    if isinstance(value, types.ModuleType):
        module = value.__name__
        if module == "__main__" or sys.modules.get(module) is not value:
            return None
        return f"import {module}" + (f" as {name}" if name != module else ""), module, ()
    home, own = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(home, str) or not isinstance(own, str) or home == "__main__" or not own.isidentifier():
        return None
    if home not in sys.modules or vars(sys.modules[home]).get(own) is not value:
        return None
    return f"from {home} import {own}" + (f" as {name}" if name != own else ""), home, (own,)


def asks_kernel(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == "get_ipython" for inner in ast.walk(node))
