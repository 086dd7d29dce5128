"""Namespace of the notebook as a dict: what ``globals()["x"] = 1``, ``globals().get(name)`` and their like do."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue
from buildr_jupyter.analysis.names_in_text import name_pattern
from buildr_jupyter.analysis.state import FlowState

__all__ = ["Namespace"]

_READS = frozenset(("get", "__getitem__", "__contains__"))
_BINDS = frozenset(("setdefault", "pop", "__setitem__", "__delitem__"))


class Namespace:
    """The dict of the notebook's names, while one expression works with it."""

    def __init__(self, state: FlowState) -> None:
        self.state = state

    def bind(self, key: AbstractValue, value: AbstractValue) -> None:
        """Note that the name that a text says gets a value: each one that it may say, where it is not known."""
        state = self.state
        if key.const is not None:
            self._bind(key.const, value)
            return
        pattern = name_pattern(key)
        for name in [name for name in state.env if name.isidentifier() and pattern.fullmatch(name)]:
            self._bind(name, value)
        state.star_import("globals()", value.objs)

    def bind_listed(self, texts: Sequence[AbstractValue], value: AbstractValue) -> None:
        """Note that the names that a text lists, as in ``"x, y z"``, get values; it may be any where one is a range."""
        for text in texts:
            names = (text.const or "").replace(",", " ").split()
            for name in names:
                if name.isidentifier():
                    self._bind(name, value)
            if not names or not all(name.isidentifier() for name in names):
                self.state.star_import("globals()", value.objs)

    def _bind(self, name: str, value: AbstractValue) -> None:
        state = self.state
        if state.building:
            state.facts.maybe.add(name)
            state.facts.assigned[name] = value
        else:
            state.set_global(name, value, weak=True)

    def item(self, key: AbstractValue) -> AbstractValue:
        """Return what the name that a text says may be; all names are read where the text is not known."""
        state = self.state
        if key.const is not None:
            return state.read(key.const, 0)
        pattern = name_pattern(key)
        if pattern.pattern == ".*":
            state.facts.everything = state.facts.everything or 1
            return state.fresh(opaque=True)
        values = [state.read(name, 0) for name in list(state.env) if name.isidentifier() and pattern.fullmatch(name)]
        for star in state.star:
            if star.path is not None:
                state.facts.reads.add(f"*{star.path}")
        return state.join([*values, state.fresh(opaque=True)])

    def method(
        self,
        name: str,
        args: Sequence[AbstractValue],
        keywords: Mapping[str, AbstractValue],
        node: ast.Call,
    ) -> AbstractValue:
        """Note a method of the dict; return what it may give."""
        if name == "update":
            for keyword, value in keywords.items():
                self.bind(AbstractValue(const=None if keyword.startswith("**") else keyword), value)
            for argument, value in zip(node.args, args, strict=False):
                self._update(argument, value)
            return ATOM
        if name in _READS and args:
            return self._item_or(name, args)
        if name in _BINDS and args:
            found = self._item_or(name, args)
            self.bind(args[0], args[1] if len(args) > 1 else ATOM)
            return found
        self.state.facts.everything = self.state.facts.everything or node.lineno
        return self.state.fresh(opaque=True)

    def _item_or(self, method: str, args: Sequence[AbstractValue]) -> AbstractValue:
        """Return what the name may be, or what the method gives where there is none."""
        asks = len(args) > 1 or not method.startswith(("pop", "__getitem", "__del"))
        self.state.guarded += asks  # a name that is not there is no failure then
        found = self.item(args[0])
        self.state.guarded -= asks
        return self.state.join([found, *args[1:]])

    def _update(self, argument: ast.expr, value: AbstractValue) -> None:
        if isinstance(argument, ast.Dict) and all(
            isinstance(key, ast.Constant) and isinstance(key.value, str) for key in argument.keys
        ):
            for key in argument.keys:
                assert isinstance(key, ast.Constant)
                self.bind(AbstractValue(const=str(key.value)), self.state.element(value))
        else:
            self.bind(ATOM, self.state.element(value))
