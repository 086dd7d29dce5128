"""What a call does and gives: functions of the notebook are looked into, those of libraries are looked up."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    AbstractValue,
    ClassInfo,
    FunctionInfo,
    Obj,
    reach,
)
from buildr_jupyter.analysis.expressions import (
    gives_values,
)
from buildr_jupyter.analysis.function_calls import call_function
from buildr_jupyter.analysis.library_calls import (
    ALL_WORK,
    BOUND_CALLS,
    CALLS,
    DEPTH,
    SHARE,
    WORK,
    Library,
    objs_of,
)
from buildr_jupyter.analysis.methods import call_method, hand_over
from buildr_jupyter.analysis.names_in_text import read_forward
from buildr_jupyter.analysis.unknown_calls import call_unknown

__all__ = ["Calls"]


class Calls(Library):
    """Adds calls to the expressions."""

    # -- the node

    def call(self, node: ast.Call) -> AbstractValue:
        """Return what the call may give, noting what it does."""
        function = node.func
        receiver: AbstractValue | None = None
        if isinstance(function, ast.Attribute):
            if self.asks_kernel(function.value):
                return self.kernel_call(function.attr, node)
            if names := self.namespace(function.value):
                return names.method(function.attr, *self._arguments(node), node)
            if isinstance(function.value, ast.Call) and getattr(function.value.func, "id", "") == "super":
                return self._super_call(function.attr, *self._arguments(node))
            receiver = self.base(function.value)
            callee = ATOM
        else:
            callee = self.base(function)
        args, keywords = self._arguments(node)
        if receiver is not None and isinstance(function, ast.Attribute):
            if args and _is_type_of(function.value):  # ``type(x).append(x, 1)``
                self.method(args[0], function.attr, args[1:], keywords)
            if receiver.path is None:
                return self.method(receiver, function.attr, args, keywords)
            callee = self.attribute(receiver, function.attr)
        return self.invoke(callee, args, keywords, node)

    def _arguments(self, node: ast.Call) -> tuple[list[AbstractValue], dict[str, AbstractValue]]:
        args = [self.eval(argument) for argument in node.args]
        calls = _name_of(node.func) in known.CALLING_FUNCTIONS
        for argument, value in zip(node.args, args, strict=True):
            self._may_be_called(argument, value, args, called=calls)
        keywords: dict[str, AbstractValue] = {}
        first = next((place for place, one in enumerate(node.args) if isinstance(one, ast.Starred)), len(args))
        if first < len(args):  # how many it spreads is not known: any place from there on may get any of what follows
            spread = self.join(args[first:])
            args[first:] = [spread] * (len(args) - first)
            keywords["**"] = self.fresh(edges=spread.objs)
        named = [self.eval(keyword.value) for keyword in node.keywords]
        for number, (keyword, value) in enumerate(zip(node.keywords, named, strict=True)):
            self._may_be_called(keyword.value, value, [*args, *named], called=keyword.arg in known.CALLED_KEYWORDS)
            if _says_nothing(keyword):
                continue
            keywords[keyword.arg or f"**{number}"] = value
        return args, keywords

    def _may_be_called(
        self, node: ast.expr, value: AbstractValue, beside: list[AbstractValue], *, called: bool
    ) -> None:
        """Note that a method that is given to a call is one that this may call, and does where it is ``called``.

        So does a function of a package that no table knows, with what the arguments ``beside`` hold.
        """
        if called and value.path is not None and "." in value.path and not gives_values(value.path):
            self.invoke(value, [self.element(one) for one in beside if one is not value and one.objs])
        elif isinstance(node, ast.Attribute) and value.path is None and value.objs:
            given = self.join([ATOM, *(self.element(one) for one in beside if one is not value and one.objs)])
            for obj in self.base(node.value).objs:
                hand_over(self, obj, node.attr, given if called else ATOM, called=called)

    def _super_call(self, name: str, args: list[AbstractValue], keywords: dict[str, AbstractValue]) -> AbstractValue:
        for frame in reversed(self.frames):
            if frame.function is not None and frame.function.params:
                self.call_later(frame.function.params[0], f"super:{name}", [*args, *keywords.values()])
                return self.fresh(opaque=True, edges={frame.function.params[0]})
        return ATOM

    def asks_kernel(self, node: ast.expr) -> bool:
        """Tell whether an expression is ``get_ipython()``, IPython's own."""
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "get_ipython"
            and "get_ipython" not in self.env
        )

    @abstractmethod
    def kernel_call(self, method: str, node: ast.Call) -> AbstractValue:
        """Supplied by a subclass."""

    # -- any callee

    def invoke(
        self,
        callee: AbstractValue,
        args: list[AbstractValue],
        keywords: Mapping[str, AbstractValue] | None = None,
        node: ast.Call | None = None,
    ) -> AbstractValue:
        """Return what calling ``callee`` may give."""
        keywords = keywords or {}
        path = callee.path
        if path is not None:
            if len(callee.objs) > 1:  # it was taken as a value: what stands for the function itself is left out
                callee = callee._replace(objs=frozenset(obj for obj in callee.objs if obj.kind != "func"))
            made = self.library(path, callee, args, keywords, node)
            return self.files_of_library(path, callee, [*args, *keywords.values()], made)
        results: list[AbstractValue] = []
        for obj in callee.objs:
            if obj.kind == "func":
                results.append(self.apply(obj, args, keywords=keywords))
                results.extend(self._registered(obj, args, keywords))
            elif obj.kind == "bound":
                results.append(self.call_bound(obj, args, keywords))
            elif obj.kind == "class":
                results.append(self._instance(obj, args, keywords))
            elif obj.kind == "param":
                given = [*args, *keywords.values()]
                self.call_later(obj, None, given)
                results.append(self.fresh(opaque=True, edges=objs_of(given) | {obj}))
            elif obj.kind == "inst":
                info = self.class_of(obj)
                own = AbstractValue(frozenset((obj,)))
                results.extend(
                    self.apply(method, args, own, keywords) for method in (info.find("__call__") if info else ())
                )
                results.extend(call_unknown(self, obj, args, keywords) if info is None or info.foreign else ())
            elif obj.kind != "mod":
                results.extend(call_unknown(self, obj, args, keywords))
        if not callee.objs:
            return self.fresh(
                opaque=True,
                edges=objs_of(args),
            )
        return self.join(results) if results else ATOM

    def _registered(
        self, function: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> list[AbstractValue]:
        """Call the functions that were given to a method of this one: it may choose one of them by its arguments."""
        info = function.info
        if not isinstance(info, FunctionInfo) or not info.registered or self.depth >= DEPTH:
            return []
        return [self.apply(other, args, keywords=keywords) for other in info.registered if other is not function]

    def call_bound(
        self, method: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue] = MappingProxyType({})
    ) -> AbstractValue:
        """Return what calling a method may give that was taken from its object before."""
        assert isinstance(method.info, str)
        receiver = AbstractValue(frozenset(method.edges), typ=method.typ)
        if method in self.bound_calls or len(self.bound_calls) >= BOUND_CALLS:
            # Methods that are given each other call each other without end: what they reach may change.
            reached = receiver.objs | objs_of([*args, *keywords.values()])
            self.change_deep(reached)
            return self.fresh(opaque=True, edges=reached)
        self.bound_calls.append(method)
        try:
            return self.method(receiver, method.info, args, keywords)
        finally:
            self.bound_calls.pop()

    def _instance(self, cls: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]) -> AbstractValue:
        info = cls.info
        assert isinstance(info, ClassInfo)
        read_forward(self, (cls,))
        obj = self.new("inst", info=cls, life=(cls,))
        value = AbstractValue(frozenset((obj,)))
        kept: set[Obj] = set()
        for meta in info.metaclasses:
            for method in meta.info.find("__call__") if isinstance(meta.info, ClassInfo) else ():
                given = self.apply(method, args, AbstractValue(frozenset((cls,))), keywords)
                kept |= {one for one in given.objs if one is not cls}
        if not info.find("__init__") or info.foreign:
            obj.edges.update(objs_of([*args, *keywords.values()]))
        obj.edges.update(self._from_factories(info))
        makers = [method for name in ("__new__", "__init__", "__post_init__") for method in info.find(name)]
        if info.shares:
            obj.edges.add(cls)
        first = [self.apply(maker, args, AbstractValue(frozenset((cls,))), keywords) for maker in info.find("__new__")]
        for method in makers:
            self.apply(method, args, value, keywords)
        obj.edges.add(self.new(opaque=True))  # what no method shows: fields of a dataclass, attributes set later
        self.facts.mutates.discard(obj)
        if kept:  # what a metaclass makes it may keep, and give again: what it holds and the instance are one
            for one in kept:
                one.hold((obj,))
            obj.hold(kept)
            cls.hold(kept)
            for meta in info.metaclasses:
                meta.hold((obj, *kept))
            value = value._replace(objs=value.objs | kept)
            self.change((cls, *info.metaclasses))
        if info.find("__del__"):
            self.let_go(value)  # nobody may hold it
        return self.join([value, *first]) if first else value  # ``__new__`` may give one that is there

    def _from_factories(self, info: ClassInfo) -> set[Obj]:
        """Return what the functions give that the fields of a class make their values with."""
        fields = [one for value in info.fields for one in value.edges if one.kind in ("func", "bound")]
        return set(self.called(fields, [])) if fields else set()

    # -- functions of the notebook

    def apply(
        self,
        function: Obj,
        args: list[AbstractValue],
        self_val: AbstractValue | None = None,
        keywords: Mapping[str, AbstractValue] | None = None,
    ) -> AbstractValue:
        """Note what a call of the notebook's function does with these arguments; return what it may give."""
        return call_function(self, function, args, self_val, keywords)

    def gives_up(self) -> bool:
        """Tell whether the statement's calls are too much to follow; then it may have changed whatever there is."""
        share = 1 if self.spent <= ALL_WORK else SHARE
        if self.work <= WORK // share and self.calls <= CALLS // share:
            return False
        if self.given_up is not self.facts:
            self.given_up = self.facts
            self.facts.everything = self.facts.everything or 1
            self.facts.maybe.update(name for name in self.env if not name.startswith(("@", "*")))
            reached = reach(obj for value in self.env.values() for obj in value.objs)
            for info in self.building:  # who calls the function later is told by what was found so far
                captured = objs_of(info.captured.values())
                reached |= reach([*info.params, *captured, *((info.owner,) if info.owner is not None else ())])
            self.facts.mutates |= reached
        return True

    @abstractmethod
    def block(self, body: list[ast.stmt]) -> None:
        """Supplied by a subclass."""

    @abstractmethod
    def star_import(self, path: str, module: frozenset[Obj]) -> None:
        """Supplied by a subclass."""

    # -- methods

    def method(
        self, receiver: AbstractValue, name: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> AbstractValue:
        """Note what calling a method does; return what it may give."""
        return call_method(self, receiver, name, args, keywords)

    def keepers(self, objs: Iterable[Obj]) -> set[Obj]:
        """Return the objects that keep what these are given: what came out of a parameter may be a part of it."""
        found = set(objs)
        held = {one for obj in found for one in (obj, *(obj.edges if obj.opaque else ())) if one.kind == "param"}
        for info in self.building if held else ():
            found.update(param for param in info.params if param in held or param.info in held)
        return found


def _name_of(function: ast.expr) -> str:
    """Return the last name of what is called, empty where it has none."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_type_of(node: ast.expr) -> bool:
    """Tell whether an expression is ``type(x)`` or ``x.__class__``."""
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__"
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "type" and len(node.args) == 1


def _says_nothing(keyword: ast.keyword) -> bool:
    """Tell whether a keyword is as good as none: ``inplace=False``, ``copy=True``, ``random_state=None``."""
    if not isinstance(keyword.value, ast.Constant):
        return False
    if keyword.arg in ("random_state", "seed"):
        return keyword.value.value is None
    return keyword.arg in ("inplace", "copy") and bool(keyword.value.value) is (keyword.arg == "copy")
