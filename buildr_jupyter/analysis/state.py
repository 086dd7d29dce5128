"""State of the flow analysis: names, fresh objects, and what it means to use, to consume and to change one."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    AbstractValue,
    ClassInfo,
    Effects,
    Fails,
    FunctionInfo,
    Obj,
    reach,
)
from buildr_jupyter.analysis.scope import BUILTINS, KERNEL_NAMES, SHADOWED_BY_STARS

__all__ = ["TABLES", "FlowState", "Frame"]

TABLES = ("DataFrame", "Series", "ndarray")


class Frame:
    """A function or class body that is being looked into."""

    __slots__ = ("closure", "function", "globals", "is_class", "names", "owner", "vals")

    def __init__(self, names: frozenset[str], owner: Obj | None, *, is_class: bool = False) -> None:
        self.names = names
        self.owner = owner
        self.vals: dict[str, AbstractValue] = {}
        self.is_class = is_class
        self.globals: set[str] = set()
        self.function: FunctionInfo | None = None
        self.closure: Obj | None = None
        """Stands for the variables that functions inside share: each holds it."""


ROUNDS = 5
"""How many times calls that call each other are looked into."""


class FlowState:
    """Holds what is known so far; ``facts`` gathers what the current statement does."""

    weak = 0
    """How many branches or loops are around the current statement."""

    may_fail = False
    """How the run ended is not known, so that a failure is not ruled out."""

    def __init__(self) -> None:
        self.env: dict[str, AbstractValue] = {}
        self.facts = Effects()
        self.bound: set[str] = set()
        """Names that the current statement has surely bound already."""
        self.frames: list[Frame] = []
        self.inner: list[dict[str, AbstractValue]] = []
        """Variables of the comprehensions around the current expression."""
        self.serial = 0
        self.effects = 0
        """Rises with every name that is bound and every change that is noted."""
        self.guarded = 0
        self.user_code = False
        """The notebook defines a class or function with effects that no call shows."""
        self.finalized = False
        """The notebook has objects whose end does something: ``__del__``, or a weak reference to them."""
        self.watched: dict[Obj, list[tuple[AbstractValue, list[AbstractValue]]]] = {}
        """Objects that weak references look at, to the functions that are called at their end."""
        self.unread_imports: dict[str, int] = {}
        """Imports of packages that no table knows: name to the number of the statement, while nothing read the name."""
        self.annotations_are_texts = False
        self.file_tokens: list[str] = []
        """Tokens of the files that statements wrote or read, in order."""
        self.star: list[AbstractValue] = []
        """What ``from … import *`` may have supplied, oldest first."""
        self.unsure = 0
        """How many parts that may not run are around the current expression."""
        self.modules: dict[str, Obj] = {}
        self.put_into_modules: dict[str, frozenset[Obj]] = {}
        """Dotted name of a module's attribute, or a module's name in ``sys.modules``, to what the notebook gave it."""
        self.building: list[FunctionInfo] = []
        self.work = 0
        """How many objects the calls of the current statement have made or looked at."""
        self.spent = 0
        """The same of all statements before."""
        self.calls = 0
        """How many calls were followed for the current statement."""
        self.given_up: Effects | None = None
        """What notes a statement whose calls were too much to follow."""
        self.bound_calls: list[Obj] = []
        """The methods, taken from their objects, whose calls are being followed."""
        self.calls_within: list[tuple[Effects, frozenset[Obj], frozenset[Obj]]] = []
        """Of callables that hold others, whose calls are being followed: what notes them, all that they reach, and
        what is given."""
        self.followed: dict[Effects, dict[Hashable, Followed]] = {}
        """What was followed for the current statement, by what notes it."""
        self.following: Effects | None = None
        """What notes that which is being followed."""
        self.parts_of_modules: dict[str, Obj] = {}
        """Parts of modules that were taken as values, by dotted name."""
        self.made_by: dict[Hashable, dict[Obj, Obj]] = {}
        """What calls for the current statement made: each object of the function to the one in its place."""
        self.epoch = 0
        """Rises with every round in which functions are looked into."""
        self.session = 0
        """Rises with every outermost function that is looked into."""
        self.recursion_met = self.more_found = False
        self.made_inside: dict[ast.AST, FunctionInfo] = {}
        """Functions that those are given which are looked into, by their trees: the last one that was made of each."""
        self.session_start = 0
        self.looked_into: list[FunctionInfo] = []
        """The functions of this session."""
        self._handlers: dict[type, Callable[[Any], AbstractValue]] = {}
        """What evaluates each kind of expression; the subclass fills it."""

    # -- what subclasses supply

    @abstractmethod
    def call(self, node: ast.Call) -> AbstractValue:
        """Supplied by a subclass."""

    @abstractmethod
    def apply(
        self,
        function: Obj,
        args: list[AbstractValue],
        self_val: AbstractValue | None = None,
        keywords: Mapping[str, AbstractValue] | None = None,
    ) -> AbstractValue:
        """Supplied by a subclass."""

    @abstractmethod
    def gives_up(self) -> bool:
        """Supplied by a subclass."""

    @abstractmethod
    def methods_called(self, obj: Obj) -> None:
        """Supplied by a subclass."""

    @abstractmethod
    def call_bound(
        self, method: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue] = MappingProxyType({})
    ) -> AbstractValue:
        """Supplied by a subclass."""

    @abstractmethod
    def invoke(
        self,
        callee: AbstractValue,
        args: list[AbstractValue],
        keywords: Mapping[str, AbstractValue] | None = None,
        node: ast.Call | None = None,
    ) -> AbstractValue:
        """Supplied by a subclass."""

    @abstractmethod
    def method(
        self, receiver: AbstractValue, name: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> AbstractValue:
        """Supplied by a subclass."""

    @abstractmethod
    def assign(self, target: ast.expr, value: AbstractValue) -> None:
        """Supplied by a subclass."""

    @abstractmethod
    def set_global(self, name: str, value: AbstractValue, *, weak: bool) -> None:
        """Supplied by a subclass."""

    @abstractmethod
    def star_import(self, path: str, module: frozenset[Obj]) -> None:
        """Supplied by a subclass."""

    # -- making objects

    def new(self, kind: Any = "data", **more: Any) -> Obj:
        """Return a fresh object."""
        self.serial += 1
        return Obj(kind, self.serial, **more)

    def fresh(
        self, *, edges: Iterable[Obj] = (), opaque: bool = False, typ: str | None = None, **more: Any
    ) -> AbstractValue:
        """Return the value of a fresh object that holds ``edges``."""
        self.serial += 1
        return AbstractValue(
            frozenset((Obj("data", self.serial, edges=edges, opaque=opaque, typ=typ, **more),)), typ=typ
        )

    # -- entry

    def eval(self, node: ast.expr) -> AbstractValue:
        """Return what the expression may be."""
        handler = self._handlers.get(type(node))
        if handler is not None:
            return handler(node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.eval(child)
        return ATOM

    def fail(self) -> None:
        """Note that the statement fails here, if it runs at all."""
        if self.may_fail and not (self.frames or self.guarded or self.weak or self.unsure):
            raise Fails

    def read(self, name: str, line: int) -> AbstractValue:
        """Note that a name of the notebook is read; return what it may be."""
        if name not in self.bound:
            self.facts.reads.add(name)
            if not self.frames and not self.guarded and name not in self.facts.direct:
                self.facts.direct[name] = line
        value = self.env.get(name)
        for info in self.building:
            info.rests_on.setdefault(name, value)
        if self.unread_imports:
            self.unread_imports.pop(name, None)
        if value is not None:
            return value
        self.facts.absent.add(name)
        if name == "__builtins__":  # in the kernel's module and in a program's it is the module itself
            return AbstractValue(path="builtins")
        if name in BUILTINS and not (self.star and name in SHADOWED_BY_STARS):
            return AbstractValue(path=name)
        if self.star:
            objs = frozenset().union(*(star.objs for star in self.star))
            return AbstractValue(objs, f"{self.star[-1].path}.{name}")
        if name not in KERNEL_NAMES:
            self.fail()
        return self.fresh(opaque=True)

    # -- values

    @staticmethod
    def class_of(obj: Obj) -> ClassInfo | None:
        """Return what is known of the class of an instance, or of a class itself."""
        info = obj.info.info if isinstance(obj.info, Obj) else obj.info
        return info if isinstance(info, ClassInfo) else None

    def kinds_of(self, obj: Obj) -> list[ClassInfo]:
        """Return where Python looks for the special methods of an object: its class, or a class's metaclasses."""
        info = self.class_of(obj)
        if info is None or obj.kind == "inst":
            return [info] if info else []
        return [one.info for one in info.metaclasses if isinstance(one.info, ClassInfo)]

    def classes_of(self, objs: Iterable[Obj]) -> frozenset[Obj]:
        """Return the classes that objects are known to have; one stands for that of a parameter."""
        found: set[Obj] = set()
        for obj in objs:
            if obj.kind != "param":
                found.update((obj.info,) if isinstance(obj.info, Obj) else ())
                continue
            for info in self.building:
                if obj in info.params:
                    cls = info.classes.get(obj)
                    if cls is None:
                        cls = info.classes[obj] = self.new("param", opaque=True)
                    found.add(cls)
        return frozenset(found)

    def element(self, value: AbstractValue) -> AbstractValue:
        """Return what an element of ``value`` may be."""
        if not value.objs:
            return ATOM
        found: set[Obj] = set()
        for obj in value.objs:
            found |= obj.edges
            if obj.opaque:
                found.add(obj)
            elif obj.info in ("view", "items"):  # it shows what its dict holds by now
                held = {inner for one in obj.life for inner in one.edges}
                for pair in obj.edges if obj.info == "items" else ():
                    pair.hold(held)
                found |= held if obj.info == "view" else set()
        return AbstractValue(frozenset(found), typ=value.typ if value.typ in TABLES else None)

    @staticmethod
    def lives(*values: AbstractValue) -> set[Obj]:
        """Return what the behaviour of these values rests on."""
        return {inner for value in values for obj in value.objs for inner in obj.life}

    @staticmethod
    def join(values: list[AbstractValue]) -> AbstractValue:
        """Return what any of the values may be."""
        first = values[0]
        if len(values) == 1 or all(value == first for value in values):
            return first
        objs = frozenset().union(*(value.objs for value in values))
        path = next((value.path for value in values if value.path), None) if not objs or first.path else None
        typs = {value.typ for value in values}
        return AbstractValue(objs, path, None, first.typ if len(typs) == 1 else None)

    # -- uses

    def use(self, value: AbstractValue) -> None:
        """Note that a value is worked with: the special methods of the notebook's own classes may run."""
        if not self.user_code or not value.objs or self.gives_up():
            return
        below = value.objs if len(value.objs) > 20 else reach(value.objs)
        self.work += len(below) - 1
        for obj in below:
            if obj.kind == "inst" and self.class_of(obj) is not None:
                self.once(("used", obj), (obj,), partial(self._implicit_called, obj))
            elif obj.kind == "data" and obj.opaque and obj.life:  # a library was given a class: it may be one of it
                for cls in obj.edges:
                    if cls.kind == "class" and (info := self.class_of(cls)) is not None and info.foreign:
                        self.once(("made", obj, cls), (obj, cls), partial(self._implicit_called_of, info, obj))
        for obj in value.objs:
            if obj.kind == "class" and (info := self.class_of(obj)) is not None and info.metaclasses:
                self.once(("used", obj), (obj,), partial(self._implicit_called, obj))

    def use_item(self, value: AbstractValue, key: AbstractValue = ATOM) -> frozenset[Obj]:
        """Note that an item of a value is read: what makes an item that is missing is changed by that.

        Return what functions of the notebook may have given.
        """
        given: set[Obj] = set()
        for obj in value.objs:
            if (obj.kind in ("class", "inst")) and (info := self.class_of(obj)) is not None:
                methods = info.find("__class_getitem__") if obj.kind == "class" else ()
                for method in (*methods, *(one for kind in self.kinds_of(obj) for one in kind.find("__getitem__"))):
                    given |= self.apply(method, [key], AbstractValue(frozenset((obj,)))).objs
            if obj.kind == "data" and any(one.kind == "mod" and one.info == "collections" for one in obj.life):
                self.change((obj,))
                for function in [one for one in obj.edges if one.kind == "func"]:
                    given |= self.apply(function, []).objs
        self.use(value)
        return frozenset(given)

    def _implicit_called(self, obj: Obj) -> None:
        for kind in self.kinds_of(obj):
            self._implicit_called_of(kind, obj)

    def _implicit_called_of(self, kind: ClassInfo, obj: Obj) -> None:
        for method in kind.all_methods():
            if isinstance(method.info, FunctionInfo) and method.info.implicit:
                self.apply(method, [], AbstractValue(frozenset((obj,))))

    def let_go(self, value: AbstractValue) -> None:
        """Note that a value is no longer held in one place: that may be the end of it, and of what it holds."""
        for obj in reach(value.objs) if self.finalized else ():
            for callback, args in self.watched.get(obj, ()):
                self.change((obj,))
                self.invoke(callback, args)
            if obj.kind == "inst" and (info := self.class_of(obj)) is not None:
                for method in info.find("__del__"):
                    self.apply(method, [], AbstractValue(frozenset((obj,))))

    def once(self, key: Hashable, roots: Iterable[Obj], follow: Callable[[], object]) -> None:
        """Follow what may be done with the objects ``roots``, once for the same objects in the same state.

        Methods that use each other's objects would be followed in every order, which grows as a power. So what comes
        up while something is followed waits for it; all is looked at again while objects and links become more.
        """
        if self.gives_up():
            return
        followed = self.followed.setdefault(self.facts, {})
        if key in followed and (self.following is self.facts or followed[key].form == self._form(roots)):
            return  # what goes on looks again at all that grew
        followed[key] = Followed(tuple(roots), follow)
        if self.following is self.facts:
            return
        outer, self.following = self.following, self.facts
        try:
            for _ in range(ROUNDS):
                grown = [one for one in followed.values() if one.form != self._form(one.roots)]
                if not grown:
                    return
                while grown:
                    for one in grown:
                        if self.gives_up():
                            return
                        one.form = self._form(one.roots)
                        one.follow()
                    grown = [one for one in followed.values() if one.form is None]  # what came up meanwhile
            self.facts.everything = self.facts.everything or 1
        finally:
            self.following = outer

    def _form(self, roots: Iterable[Obj]) -> tuple[int, int]:
        """Return how many objects can be got at, and how many links are between them."""
        found = reach(roots)
        links = sum(len(obj.edges) for obj in found)
        self.work += len(found) + links
        return len(found), links

    def consume(self, value: AbstractValue) -> None:
        """Note that a value is iterated: an iterator is changed by that."""
        for obj in value.objs:
            if obj.kind == "iter":
                self.change((obj,))
                self.change(inner for inner in reach((obj,)) if inner.kind == "iter")
                for function in obj.life:
                    if function.kind == "func":
                        self.apply(function, [])
                    elif function.kind == "bound":
                        self.call_bound(function, [])
            elif obj.kind == "param":
                self.call_later(obj, "__iter__", [])
        self.use(value)

    def call_later(self, callee: Obj, method: str | None, given: list[AbstractValue]) -> None:
        """Note a call of a parameter: what it does is known only once the function is called."""
        if self.facts.call_later(callee, method, given):
            self.effects += 1

    def change(self, objs: Iterable[Obj]) -> None:
        """Note that these objects change."""
        self.effects += 1
        for obj in objs:
            self.facts.mutates.add(obj)
            if obj.kind == "iter" and obj.places:  # a generator of the notebook goes on with its work
                self.facts.mutates.update(*obj.places.values())

    def merge(self, facts: Effects, *, certain: bool) -> None:
        """Take what another statement or a function does into the current facts."""
        mine = self.facts
        mine.reads.update(facts.reads - self.bound if self.bound else facts.reads)
        mine.absent.update(facts.absent)
        mine.maybe.update(facts.maybe)
        mine.mutates.update(facts.mutates)
        for (callee, method, _), given in facts.calls.items():
            mine.call_later(callee, method, given)
        mine.origins.update(facts.origins)
        mine.raised.update(facts.raised)
        mine.everything = mine.everything or facts.everything
        for name in facts.reads | facts.maybe:
            for info in self.building:
                info.rests_on.setdefault(name, self.env.get(name))
        if certain:
            mine.binds.update(facts.binds)
        else:
            mine.maybe.update(facts.binds)


@dataclass(slots=True)
class Followed:
    """Something that may be done with objects, and the form that these had when it was last followed."""

    roots: tuple[Obj, ...]
    follow: Callable[[], object]
    form: tuple[int, int] | None = None
