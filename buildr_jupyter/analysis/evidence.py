"""Evidence from a kernel about what statements did, beside what their text says that they may do.

A text may do less than it could and more than it says. What a run was seen to change without a statement that was read
to change it makes the whole run needed by who needs what changed; what it was seen to leave alone, all of it looked at,
excuses the statements that only may have changed it.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from buildr_jupyter.analysis.abstract_values import Effects, Obj, live_closure
from buildr_jupyter.analysis.expressions import is_foreign
from buildr_jupyter.analysis.slicer import Statement
from buildr_jupyter.analysis.statements import Flow
from buildr_jupyter.analysis.value_origins import FRESH, GENERATORS, UNSEEDED, state_of
from buildr_jupyter.notebook.observed import Observed

__all__ = ["Evidence"]

_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef)

_SEEDS = frozenset(f"@rng:{generator}" for generator in GENERATORS)
"""What a statement binds that gives a generator another state."""


@dataclass(slots=True)
class Evidence:
    """What is known of the runs so far; ``flow`` has read them, one after the other."""

    flow: Flow
    unrepeatable: dict[int, set[str]] = field(default_factory=dict)
    """Statement number to the origins of values that it gives another time it runs: ``fresh``, or a generator that
    nothing seeded before it."""
    unchanged: dict[int, frozenset[str]] = field(default_factory=dict)
    """Run to the names of which it changed nothing, whatever its statements may do."""
    whole: dict[int, frozenset[str]] = field(default_factory=dict)
    """Run to what it changed though no statement of it was read to, and none asked that for an attribute."""
    given_unseen: dict[str, int] = field(default_factory=dict)
    """Name to the run that last bound or changed it, where no statement that a program may have was read to do so."""
    drawn_unmade: dict[str, int] = field(default_factory=dict)
    """Generator that was seeded to the run of a statement that was left out, and that drew from it since."""
    draws_after: dict[int, dict[str, int]] = field(default_factory=dict)
    """Statement number to those of them that it draws from."""
    _unseeded: set[Obj] = field(default_factory=set)
    """States of generators that are not known to come again."""

    def note(self, statement: Statement) -> None:
        """Take in a statement that the flow has just read."""
        facts = _facts(statement)
        if not facts.origins and _SEEDS.isdisjoint(facts.binds):
            return
        found = facts.origins & {FRESH}
        for generator in GENERATORS:
            state = self._state(generator)
            none = f"@rng:{generator}" in facts.binds and _seeds_with_none(statement.node)
            if f"@rng:{generator}" in facts.binds:
                self.drawn_unmade.pop(generator, None)
            elif generator in facts.origins and generator in self.drawn_unmade:
                self.draws_after.setdefault(statement.number, {})[generator] = self.drawn_unmade[generator]
            if none or f"{UNSEEDED}{generator}" in facts.origins:
                self._unseeded |= state
            if generator in facts.origins and (not state or state & self._unseeded):
                found.add(generator)
        if found:
            self.unrepeatable[statement.number] = found

    def weigh(
        self,
        statements: Sequence[Statement],
        run: int,
        observed: Observed | None,
        *,
        failed: bool = False,
        stars: Collection[str] = (),
        unmade: Collection[str] | None = None,
    ) -> None:
        """Hold what a run was read to do against what it was seen to do; None: nobody looked.

        The statement of a run that ``failed``, and those after it, are not among the statements: what it had changed
        until then is its doing, and comes as a value. ``stars`` are names that an ``import *`` of the run gave. Of an
        ``unmade`` run statements were left out, which may have changed those of the names that the run bound: what is
        not explained was their doing, and no program does it again.
        """
        bound = set().union(*(_names(_facts(statement)) for statement in statements)) if statements else set()
        for name in bound:
            self.given_unseen.pop(name, None)
        if observed is None:
            return
        self.unchanged[run] = observed.unchanged - bound
        for statement in statements:
            if (origins := self.unrepeatable.get(statement.number)) is not None:
                origins -= set(GENERATORS) - observed.generators  # it may draw, and did not
        unread = {name for name in observed.changed - bound if self._is_unread(name, statements)}
        if failed:
            self.given_unseen |= dict.fromkeys(unread, run)
            return
        for name in observed.bound - bound - set(stars):
            self.given_unseen[name] = run
        if unmade is not None:
            self.given_unseen |= dict.fromkeys((*unread, *unmade), run)
            for generator in observed.generators:
                if not _says_draw(generator, statements):
                    self._drawn_without(generator, run)
            return
        for name in unread:
            value = self.flow.env.get(name)
            for statement in statements:
                _facts(statement).maybe.add(name)
                _facts(statement).mutates.update(value.objs if value is not None else ())
        for generator in observed.drawn_by_imports:
            self._weigh_imports(generator, statements)
        unread = {name for name in unread if not self._computes(name, statements)}
        unread |= {state_of(one) for one in observed.generators if self._weigh_draws(one, statements)}
        if unread and statements:
            self.whole[run] = frozenset(unread)

    def _drawn_without(self, generator: str, run: int) -> None:
        """Note that a run drew from a generator, nobody knows how often, and that no program does."""
        state = self._state(generator)
        if state - self._unseeded:
            self.drawn_unmade[generator] = run
            self._unseeded |= state

    def weigh_chosen(self, statements: Sequence[Statement], observed: Observed | None) -> None:
        """Take in what an earlier run of the chosen cell's text drew: it needs the generators as they are."""
        for generator in GENERATORS if observed is not None else ():
            said = any(generator in _facts(statement).origins for statement in statements)
            if observed is not None and generator in observed.generators and self._state(generator) and not said:
                for statement in statements:
                    _facts(statement).reads.add(f"@rng:{generator}")

    def _is_unread(self, name: str, statements: Iterable[Statement]) -> bool:
        value = self.flow.env.get(name)
        if value is None:
            return False
        closure = live_closure(value.objs)
        return not any(not closure.isdisjoint(_facts(statement).mutates) for statement in statements)

    def _computes(self, name: str, statements: Iterable[Statement]) -> bool:
        """Tell whether a run asked a package's object for an attribute: it may keep what it computes for that."""
        value = self.flow.env.get(name)
        return (
            value is not None
            and any(map(is_foreign, value.objs))
            and any(
                isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
                for statement in statements
                for node in ast.walk(statement.node)
            )
        )

    def _weigh_draws(self, generator: str, statements: Sequence[Statement]) -> bool:
        """Note draws, or a seed, of a generator that changed; tell whether no statement was read to do either."""
        if _says_draw(generator, statements):
            return False
        state = self._state(generator)
        if not state and statements:
            # A library seeded it, or drew: what is drawn later needs the run, and is not known to come again.
            self.flow.number -= 1
            self.flow.seed(f"rng:{generator}", weak=True)
            self.flow.number += 1
            state = self._state(generator)
            self._unseeded |= state
            seeded = False
        else:
            seeded = not state & self._unseeded
        work = [one for one in statements if not isinstance(one.node, _DEFINITIONS)]
        for statement in work or statements:
            self._moves(statement, generator, seeded=seeded)
            if not seeded:
                self.unrepeatable.setdefault(statement.number, set()).add(generator)
        return True

    def _weigh_imports(self, generator: str, statements: Iterable[Statement]) -> None:
        """Note that the imports drew from a generator: what was seeded before them goes on after them."""
        state = self._state(generator)
        if state and not state & self._unseeded:
            for statement in statements:
                if isinstance(statement.node, (ast.Import, ast.ImportFrom)):
                    self._moves(statement, generator, seeded=True)

    def _moves(self, statement: Statement, generator: str, *, seeded: bool) -> None:
        facts = _facts(statement)
        facts.maybe.add(f"@rng:{generator}")
        facts.mutates |= self._state(generator)
        if seeded:
            facts.reads.add(f"@rng:{generator}")

    def _state(self, generator: str) -> frozenset[Obj]:
        value = self.flow.env.get(f"@rng:{generator}")
        return value.objs if value is not None else frozenset()


def _says_draw(generator: str, statements: Iterable[Statement]) -> bool:
    """Tell whether a statement was read to draw from a generator, or to seed it."""
    token, said = f"@rng:{generator}", {generator, f"{UNSEEDED}{generator}"}
    return any(
        not said.isdisjoint(facts.origins) or token in facts.binds or token in facts.maybe
        for facts in map(_facts, statements)
    )


def _facts(statement: Statement) -> Effects:
    assert statement.facts is not None
    return statement.facts


def _seeds_with_none(node: ast.AST) -> bool:
    """Tell whether a seed is ``None``, which stands for none."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and ast.unparse(inner.func).endswith("seed"):
            given = [*inner.args, *(keyword.value for keyword in inner.keywords)]
            if any(isinstance(value, ast.Constant) and value.value is None for value in given):
                return True
    return False


def _names(facts: Effects) -> set[str]:
    return {name for name in facts.binds | facts.maybe | facts.deletes if not name.startswith(("@", "*"))}
