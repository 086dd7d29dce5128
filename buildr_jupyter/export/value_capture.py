"""Values: which names come as values and not as code, as literals, snapshots, or by an import that the kernel has."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildr_jupyter.analysis.slicer import Slice, is_given_later
from buildr_jupyter.analysis.value_origins import FRESH
from buildr_jupyter.errors import ValueRefused
from buildr_jupyter.export import snapshot as values
from buildr_jupyter.export.changed_files import ChangedFiles
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.inputs import is_plain, plain_assignment
from buildr_jupyter.export.ipython_syntax import kernel_name_hint
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.model.plan import ImportUse

__all__ = ["Supplied", "Values", "asks_kernel", "importable"]


@dataclass(slots=True)
class Supplied:
    """Names that come as values and not as code."""

    snapshot: dict[str, str] = field(default_factory=dict)
    """Name to why."""
    literal: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Name to its source text and why."""

    def __contains__(self, name: str) -> bool:
        return name in self.snapshot or name in self.literal

    def names(self) -> frozenset[str]:
        """Return all of them."""
        return frozenset((*self.snapshot, *self.literal))


class Values:
    """Chooses the names that come as values, slice by slice, until another slice asks for no more."""

    def __init__(self, given: Given, reading: Reading) -> None:
        """Begin with the names of ``--snapshot``; those of ``--param`` and ``--recompute`` come as code."""
        self._given, self._reading, self.changed = given, reading, ChangedFiles(given)
        options = given.options
        self._params = frozenset(name for name, _ in options.params)
        self._by_code = self._params | frozenset(options.recompute)
        self.supplied = Supplied(dict.fromkeys(options.snapshots, "asked for by --snapshot"))
        self.known_only_to_kernel: dict[str, tuple[str, ImportUse]] = {}
        """Names that no run gives: the text of the import that gives them, and its module."""
        self.files = self.changed.kept_as_they_are(reading.flow.history)
        """Files, by the names that the flow has for them, that are carried as they are now and not made again."""
        self.uncarried: set[str] = set()
        """Names that should come as values and cannot."""
        self._automatic: set[str] = set()
        """Names that come as values because their code would give others."""
        self._slow: set[str] = set()
        """Names that come as values because their code is slow, and by code where that cannot be."""
        self._stale: set[str] = set()
        """Those of them that were made from a file which is another one now."""

    def choose(self, sliced: Slice) -> bool:
        """Take more values where this slice needs them; tell whether any was, so that another slice is due.

        Raises ValueRefused for a name that only the kernel has, and whose value can be had in no way.
        """
        namespace = self._given.namespace
        if namespace is None:
            return False
        slow = self._choose_slow(sliced, namespace)
        asked = self._ask_namespace(sliced, namespace)
        return self._choose_unrepeatable(sliced) or slow or asked

    def _choose_slow(self, sliced: Slice, namespace: Mapping[str, object]) -> bool:
        """Take values instead of code where the code is slow or cannot run in an image; tell whether any was."""
        found = False
        for statement in sliced.kept:
            facts = statement.facts
            if statement.run == self._given.last or facts is None:
                continue
            duration = self._given.runs[statement.run].duration_s
            too_slow = why = ""
            slow = duration is not None and duration > self._given.options.slow_s
            if slow and not _is_given_by_its_text(statement.node):
                too_slow = why = f"its cell took {duration:.1f} s, more than {self._given.options.slow_s:g} s"
            if "input" in facts.direct or asks_kernel(statement.node):
                why = "it came from something that the image does not have"
            if self._given.runs[statement.run].returned:
                why = "the run of that cell gave it back"
            if not why:
                continue
            for name in sorted(facts.binds | facts.maybe):
                taken = name in self._by_code or name in self.uncarried or name in self.supplied
                if taken or name not in namespace:
                    continue
                if not any(need.name == name for need in sliced.why.get(statement.number, ())):
                    continue
                if self._supply(name, namespace[name], why):
                    found = True
                    if why == too_slow:
                        self._slow.add(name)
        return found

    def _ask_namespace(self, sliced: Slice, namespace: Mapping[str, object]) -> bool:
        """Take names that no known run gives from the kernel: by their import or as a literal; tell whether any was.

        Raises ValueRefused for a value that can be had neither way: the program would fail when it runs.
        """
        found = False
        for name, need in sorted(sliced.unresolved.items()):
            taken = name in self.supplied or name in self.known_only_to_kernel or name in self._params
            if taken or name not in namespace or kernel_name_hint(name) is not None or name == "display":
                continue
            if is_given_later(sliced, name, need.by):
                continue
            value = namespace[name]
            if self._is_starred(name, value):
                continue
            where = self._given.where(need.by)
            if (text := importable(name, value)) is not None:
                self.known_only_to_kernel[name] = (text[0], ImportUse(text[1], text[2], where))
            elif (literal := values.as_literal(value)) is not None:
                self.supplied.literal[name] = (literal, "the kernel has it; no run that is known gave it")
                found = True
            elif (run := self._reading.evidence.given_unseen.get(name)) is not None and self._take(
                name, self._unsaid(run)
            ):
                found = True
            elif not self._reading.flow.star:
                kind = f"{type(value).__module__}.{type(value).__qualname__}"
                raise ValueRefused(
                    f"{where}: {name} ({kind}) is in the kernel, but no run that is known gave it",
                    hint=f"run the cell that makes it again, or take its value: --snapshot {name}",
                )
        return found

    def _choose_unrepeatable(self, sliced: Slice) -> bool:
        """Take values whose code would give others; tell whether any was.

        They came from randomness that nothing seeds, from fresh identifiers or from a file that is another one now, or
        from a statement that reads such a value as it was before it changed; or the kernel has them from a run whose
        text does not say so.
        """
        before = len(self.supplied.snapshot) + len(self.supplied.literal), len(self.uncarried)
        for name in sorted({need.name for needs in sliced.why.values() for need in needs}):
            if (run := self._reading.evidence.given_unseen.get(name)) is not None:
                self._take(name, self._unsaid(run))
        for statement in sliced.kept:
            origins = self._reading.evidence.unrepeatable.get(statement.number)
            if statement.run == self._given.last or not origins:
                continue
            why = "it is a fresh identifier" if origins == {FRESH} else "it came from randomness that nothing seeds"
            for need in sliced.why.get(statement.number, ()):
                self._take(need.name, why)
        for stale in self.changed.stale_reads(sliced):
            for need in sliced.why.get(stale.statement.number, ()):
                if self._take(need.name, f"{stale.path} changed after its cell ran"):
                    self._stale.add(need.name)
        for need in sliced.conflicts:
            if need.name not in self._automatic | self._slow:
                continue
            made = [one.name for one in sliced.why.get(need.by.number, ()) if one.name != need.name]
            taken = [self._take(name, f"it was made from {need.name} before that changed") for name in made]
            if not any(taken) and not any(name in self.supplied for name in made):
                self._give_up(
                    need.name, f"what {self._given.title(need.by.run)} makes from it cannot be carried either"
                )
        return before != (len(self.supplied.snapshot) + len(self.supplied.literal), len(self.uncarried))

    def _unsaid(self, run: int) -> str:
        return f"{self._given.title(run)} gave it in a way that its text does not say"

    def _take(self, name: str, why: str) -> bool:
        """Take the value of a name instead of its code; tell whether that was done now."""
        namespace = self._given.namespace or {}
        asked = name in self._by_code or name in self.uncarried
        if asked or name in self.supplied or name not in namespace or not name.isidentifier():
            return False
        taken = self._supply(name, namespace[name], why)
        if taken:
            self._automatic.add(name)
        return taken

    def _supply(self, name: str, value: object, why: str) -> bool:
        """Have a value come as a literal, else in the snapshot; code stays code, and False tells so."""
        if isinstance(value, (types.ModuleType, types.FunctionType, type)) or self._is_starred(name, value):
            return False
        if any(one.__name__ == "InteractiveShell" for one in type(value).__mro__):
            return False  # the kernel itself: the image has one of its own
        literal = values.as_literal(value)
        if literal is not None:
            self.supplied.literal[name] = (literal, why)
        else:
            self.supplied.snapshot[name] = why
        return True

    def _is_starred(self, name: str, value: object) -> bool:
        """Tell whether an ``import *`` gives a name this value: by its code it stays the module's own.

        A method of the generator that a module shares, as ``numpy.random.rand`` is, would have a copy of it in a
        snapshot.
        """
        modules = (sys.modules.get(star.path or "") for star in self._reading.flow.star)
        return any(module is not None and vars(module).get(name) is value for module in modules)

    def _give_up(self, name: str, reason: str) -> None:
        """Leave a name to its code, and say so."""
        self.uncarried.add(name)
        self._automatic.discard(name)
        why = self.supplied.snapshot.pop(name, None) or self.supplied.literal.pop(name, ("", ""))[1]
        if name in self._slow:
            self._given.warn(
                f"{name}: {why}, and its value cannot be carried ({reason}): the program makes it at each start",
                hint=f"add --recompute {name} if that is as it should be",
            )
            return
        way = "run its cell again" if name in self._stale else "seed it in its cell"
        self._given.warn(
            f"{name}: {why}, and its value cannot be carried ({reason}): the program makes another",
            hint=f"{way}, or make {name} in the chosen cell",
        )

    def leave_uncarried(self) -> bool:
        """Leave those names to their code that were taken by themselves and cannot be carried; tell whether any was."""
        namespace = self._given.namespace or {}
        found = False
        for name in sorted((self._automatic | self._slow) & set(self.supplied.snapshot)):
            if (reason := values.why_not_carried(namespace[name])) is not None:
                self._give_up(name, reason)
                found = True
        return found

    def snapshot(self, sliced: Slice) -> values.Snapshot | None:
        """Return the snapshot of the names that come as one, None where there are none. Raises ValueRefused."""
        names, namespace = sorted(self.supplied.snapshot), self._given.namespace
        if not names:
            return None
        if namespace is None:
            raise ValueRefused(
                f"--snapshot {names[0]}: there is no kernel that holds its value",
                hint="take a snapshot with %%containerize, in a notebook that runs",
            )
        origins = {}
        for name in names:
            for statement in sliced.supplied_by.get(name, ()):
                origins[name] = self._given.where(statement)
        limit = self._given.options.snapshot_limit_bytes
        return values.take_snapshot(names, namespace, limit_bytes=limit, origins=origins)


def _is_given_by_its_text(node: ast.stmt) -> bool:
    """Tell whether a statement assigns what stands there: that takes no time, whatever else its cell did."""
    _, _, value = plain_assignment(node)
    return value is not None and is_plain(value)


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
