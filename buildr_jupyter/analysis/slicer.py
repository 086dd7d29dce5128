"""The statements that a cell needs, found backwards from it, in the order in which they ran."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from buildr_jupyter.analysis.abstract_values import AbstractValue, Effects, Fails, Obj, live_closure
from buildr_jupyter.analysis.scope import BUILTINS, SHADOWED_BY_STARS
from buildr_jupyter.analysis.statements import Flow

__all__ = ["Need", "Slice", "Statement", "analyze", "is_given_later", "slice_back"]


@dataclass(slots=True, eq=False)
class Statement:
    """One top-level statement of one run of a cell."""

    node: ast.stmt
    run: int
    """Position of its run in the list of runs."""
    number: int = -1
    """Position among all statements that were looked at."""
    facts: Effects | None = None
    left_out: bool = False
    """It ran, and no program does it: what needs its effects is told."""

    @property
    def line(self) -> int:
        """1-based line in the cell, decorators included."""
        decorators: Sequence[ast.expr] = getattr(self.node, "decorator_list", ())
        return min([self.node.lineno, *(decorator.lineno for decorator in decorators)])


@dataclass(frozen=True, slots=True)
class Need:
    """Why a statement or a name is there."""

    name: str
    """What was needed."""
    by: Statement
    """The statement that needed it."""
    changes: bool = False
    """The statement does not bind the name, it changes what the name stands for."""


@dataclass(slots=True)
class Slice:
    """What the cell needs."""

    kept: list[Statement]
    """In the order in which they ran, those of the cell itself last."""
    why: dict[int, list[Need]]
    """Statement number to what it is needed for; nothing for those of the cell itself."""
    unresolved: dict[str, Need]
    """Names that no statement supplies and that are no builtins."""
    supplied_by: dict[str, list[Statement]]
    """For names that come as values: the statements that gave them in the kernel."""
    conflicts: list[Need]
    """Reads of a supplied name by statements that ran before it last changed."""
    everything: Statement | None = None
    """The statement that may read any name, where there is one."""
    missed: list[tuple[Statement, list[Need]]] = field(default_factory=list)
    """Statements that are left out, with what needs what they may have changed."""


def is_given_later(sliced: Slice, name: str, reader: Statement) -> bool:
    """Tell whether a kept statement after this one gives the name a value, and this one reads it in a function only.

    The function is called after that: else it would have failed.
    """
    if reader.facts is None or name in reader.facts.direct:
        return False
    later = (one.facts for one in sliced.kept if one.number > reader.number)
    return any(name in facts.binds for facts in later if facts is not None)


def analyze(
    flow: Flow, nodes: Iterable[ast.stmt], run: int, *, may_fail: bool, left_out: bool = False
) -> Iterator[Statement]:
    """Yield the statements of a run with their facts, up to one that certainly fails, where that may be."""
    for node in nodes:
        try:
            facts = flow.statement(node, cell=run, may_fail=may_fail)
        except Fails:
            return
        yield Statement(node, run, flow.number - 1, facts, left_out)


class _Live:
    """The names that are needed at one point, and all objects that hang on them."""

    def __init__(self, flow: Flow, supplied: frozenset[str]) -> None:
        self.flow = flow
        self.supplied = supplied
        self.supplied_reads: dict[str, list[Need]] = {}
        self.names: dict[str, list[frozenset[Obj]]] = {}
        self.needs: dict[str, Need] = {}
        self.objs: Counter[Obj] = Counter()
        self._closures: dict[frozenset[Obj], frozenset[Obj]] = {}

    def _closure(self, objs: frozenset[Obj]) -> frozenset[Obj]:
        found = self._closures.get(objs)
        if found is None:
            found = self._closures[objs] = frozenset(live_closure(objs))
        return found

    def add(self, name: str, value: AbstractValue | None, need: Need) -> None:
        if name in self.supplied:
            self.supplied_reads.setdefault(name, []).append(need)
            return
        held = self.names.get(name)
        if held is None:
            held = self.names[name] = []
            self.needs[name] = need
        if value is None or not value.objs or value.objs in held:
            return
        held.append(value.objs)
        self.objs.update(self._closure(value.objs))

    def remove(self, name: str) -> None:
        for objs in self.names.pop(name, ()):
            closure = self._closure(objs)
            self.objs.subtract(closure)
            for obj in closure:
                if not self.objs[obj]:
                    del self.objs[obj]
        self.needs.pop(name, None)

    def changed_by(self, objs: set[Obj]) -> list[str]:
        hit = {obj for obj in objs if obj in self.objs}
        if not hit:
            return []
        return [name for name, held in self.names.items() if any(hit & self._closure(one) for one in held)]

    def parts_of(self, modules: set[Obj]) -> list[str]:
        """Return the names that are parts of these modules: what those keep to themselves, nobody looks at."""
        return [name for name, held in self.names.items() if any(modules & one for one in held)] if modules else []

    def reached(self, value: AbstractValue | None) -> frozenset[Obj]:
        """Return the objects that hang on a value."""
        return self._closure(value.objs) if value is not None and value.objs else frozenset()


def slice_back(
    flow: Flow,
    statements: Sequence[Statement],
    target: int,
    *,
    supplied: frozenset[str] = frozenset(),
    extra: Sequence[str] = (),
    unchanged: Mapping[int, frozenset[str]] = MappingProxyType({}),
    constant: frozenset[str] = frozenset(),
) -> Slice:
    """Return the statements that those of the run ``target`` (the last one) need; its own are all kept.

    Nothing is carried to make the names that are ``supplied`` as values, of which those that are ``constant`` can only
    be given another value; ``extra`` names are needed beside those that the cell reads. ``unchanged`` tells, for runs
    that were observed, of which names they changed nothing: their statements are not kept for what they may have done
    to these, unless others of the run are kept that touch them.
    """
    left = dict(unchanged)
    while True:
        sliced, excused = _slice_once(flow, statements, target, supplied, extra, left, constant)
        if not (touched := _touched(flow, sliced.kept, excused)):
            return sliced
        left |= {run: left[run] - names for run, names in touched.items()}


_Excused = dict[int, dict[str, frozenset[Obj]]]
"""Run to the names of which it changed nothing and for which statements were left out, with what hangs on them."""


def _touched(flow: Flow, kept: Iterable[Statement], excused: _Excused) -> dict[int, set[str]]:
    """Return the excused names that kept statements of the run read or may change: they see what others undid."""
    found: dict[int, set[str]] = {}
    for statement in kept if excused else ():
        names = excused.get(statement.run)
        if not names or statement.facts is None:
            continue
        objs = set(statement.facts.mutates)
        for name in statement.facts.reads:
            value = flow.before(name, statement.number)
            objs |= live_closure(value.objs) if value is not None else set()
        objs = {obj for obj in objs if obj.kind != "mod"}
        if hit := {name for name, closure in names.items() if not objs.isdisjoint(closure)}:
            found.setdefault(statement.run, set()).update(hit)
    return found


def _slice_once(
    flow: Flow,
    statements: Sequence[Statement],
    target: int,
    supplied: frozenset[str],
    extra: Sequence[str],
    unchanged: Mapping[int, frozenset[str]],
    constant: frozenset[str],
) -> tuple[Slice, _Excused]:
    excused: _Excused = {}
    live = _Live(flow, supplied)
    for_effect = set(flow.unread_imports.values())
    if for_effect:
        always = flow.world_object("@always")
        for statement in statements:
            if statement.number in for_effect and statement.facts is not None:
                statement.facts.mutates.add(always)
    changed = _last_changes(flow, statements, target, supplied, constant)
    kept: list[Statement] = []
    missed: list[tuple[Statement, list[Need]]] = []
    why: dict[int, list[Need]] = {}
    everything: Statement | None = None
    stars = [name for name in flow.history if name.startswith("*")]
    for statement in reversed(statements):
        facts = statement.facts
        assert facts is not None
        if statement.left_out:
            if needs := [need for need in _needs(live, facts) if not need.name.startswith("@always")]:
                missed.append((statement, needs))
            continue
        if statement.run != target:
            if everything is None:
                needs = _needs(live, facts)
                if same := unchanged.get(statement.run):
                    same = same.difference(live.parts_of({obj for obj in facts.mutates if obj.kind == "mod"}))
                    for name in [need.name for need in needs if need.changes and need.name in same]:
                        excused.setdefault(statement.run, {})[name] = live.reached(flow.before(name, statement.number))
                    needs = [need for need in needs if not need.changes or need.name not in same]
                if not needs:
                    continue
                why[statement.number] = needs
            else:
                why[statement.number] = [Need("any name", everything)]
        kept.append(statement)
        if facts.everything and everything is None:
            everything = statement
        _pass(flow, live, statement, facts, stars)
        if len(kept) == 1 or "@always" not in live.names:
            live.add("@always", flow.env.get("@always"), Need("@always", statement))
            for name in extra:
                live.add(name, flow.env.get(name), Need(name, statement))
    kept.reverse()
    unresolved = {
        name: need
        for name, need in live.needs.items()
        if not name.startswith(("@", "*")) and name not in BUILTINS and flow.before(name, need.by.number) is None
        and not _gives_itself(need.by, name)
    }  # fmt: skip
    conflicts = [need for name, needs in live.supplied_reads.items() for need in needs if changed[name]
                 and need.by.run != target and need.by.number <= changed[name][-1].number]  # fmt: skip
    return Slice(kept, why, unresolved, changed, conflicts, everything, missed), excused


def _gives_itself(statement: Statement, name: str) -> bool:
    """Tell whether a statement may give a name its value before it reads it, in a branch of a loop."""
    facts = statement.facts
    return facts is not None and name in facts.maybe and name not in facts.absent


def _last_changes(
    flow: Flow, statements: Sequence[Statement], target: int, supplied: frozenset[str], constant: frozenset[str]
) -> dict[str, list[Statement]]:
    """Return, for each supplied name, the statements before the cell that bound or changed it, oldest first."""
    found: dict[str, list[Statement]] = {name: [] for name in supplied}
    for name in supplied:
        value = flow.env.get(name)
        closure = live_closure(value.objs) if value is not None and name not in constant else set()
        for statement in statements:
            facts = statement.facts
            if statement.run == target or facts is None:
                continue
            if name in facts.binds or name in facts.maybe or any(obj in closure for obj in facts.mutates):
                found[name].append(statement)
    return found


def _needs(live: _Live, facts: Effects) -> list[Need]:
    names = live.names
    found = [live.needs[name] for name in sorted(facts.binds | facts.maybe) if name in names]
    if facts.mutates:
        for name in live.changed_by(facts.mutates):
            need = live.needs[name]
            found.append(Need(need.name, need.by, changes=True))
    return found


def _pass(flow: Flow, live: _Live, statement: Statement, facts: Effects, stars: list[str]) -> None:
    """Go from what is needed after a kept statement to what is needed before it."""
    number = statement.number
    for name in facts.binds:
        live.remove(name)
    for name in facts.maybe:
        if name in live.names:
            live.add(name, flow.before(name, number), live.needs[name])
    for name in sorted(facts.reads | facts.deletes):
        value = flow.before(name, number)
        live.add(name, value, Need(name, statement))
        if stars and value is None and (name not in BUILTINS or name in SHADOWED_BY_STARS):
            for star in stars:
                live.add(star, flow.before(star, number), Need(name, statement))
