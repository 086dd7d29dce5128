"""The abstract objects that the slice reasons with: what a name may stand for, and what a statement does to it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

from buildr_jupyter.analysis.draws import Draw

__all__ = [
    "ATOM",
    "CONTAINER",
    "MADE_CLASS",
    "NOTHING",
    "AbstractValue",
    "ClassInfo",
    "Effects",
    "Fails",
    "FunctionInfo",
    "Obj",
    "live_closure",
    "packages_of",
    "reach",
]

Kind = Literal["data", "iter", "func", "bound", "class", "inst", "mod", "param", "world"]
"""``bound`` is a method that was taken from an object and not called: ``info`` is its name, ``edges`` the object."""


CONTAINER = "container"
"""``info`` of a container that a library made: it has no attributes but methods."""


MADE_CLASS = "class"
"""``info`` of a class that ``type`` made: what it gives when called has what it has."""


class Fails(Exception):
    """The statement certainly fails: the rest of its cell did not happen."""


_NO_PLACES: Mapping[Obj, frozenset[Obj]] = MappingProxyType({})


class Obj:
    """One thing that may change: what one expression made, a module, a parameter, a part of the world."""

    __slots__ = ("edges", "info", "kind", "life", "opaque", "places", "serial", "typ")

    def __init__(
        self,
        kind: Kind,
        serial: int,
        *,
        info: FunctionInfo | ClassInfo | Obj | Draw | str | None = None,
        opaque: bool = False,
        edges: Iterable[Obj] = (),
        life: Iterable[Obj] = (),
        typ: str | None = None,
    ) -> None:
        self.kind = kind
        self.serial = serial
        self.info = info
        """What a func, class, inst (its class), mod or param is; ``file`` or ``container`` of what a library made."""
        self.opaque = opaque
        """What it holds is not known: an element of it may share all that it shares."""
        self.edges = set(edges)
        """What it holds: a deep change reaches these."""
        self.life = set(life)
        """What its behaviour rests on, though changing it does not change these: its class, its module."""
        self.typ = typ
        self.places: Mapping[Obj, frozenset[Obj]] = _NO_PLACES
        """For a function that a call made: what the parameters of that call, which it may change, stood for."""

    def hold(self, objs: Iterable[Obj]) -> None:
        """Note that it holds these, too; none is noted to hold itself."""
        self.edges.update(objs)
        self.edges.discard(self)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.serial} {self.typ or ''}>"


NOTHING: frozenset[Obj] = frozenset()


class AbstractValue(NamedTuple):
    """What an expression may be."""

    objs: frozenset[Obj] = NOTHING
    """Empty for what cannot change: numbers, strings."""
    path: str | None = None
    """Dotted name of a builtin or of something in a module: ``len``, ``numpy.random.seed``."""
    const: str | None = None
    """The text, where it is a string that is known."""
    typ: str | None = None
    text: str | None = None
    """What is known of a text that is not known as a whole, with NUL in place of the rest."""


ATOM = AbstractValue()


@dataclass(slots=True, eq=False)
class FunctionInfo:
    """A function or lambda: its tree, and what is known of it once it was looked into."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.GeneratorExp
    locals: frozenset[str]
    enclosing: frozenset[str] = frozenset()
    """Names of the functions around it: they live in its closure."""
    params: list[Obj] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    classes: dict[Obj, Obj] = field(default_factory=dict)
    """Parameters to what stands for their classes: ``type(self)`` is known only once the function is called."""
    generator: bool = False
    """A call of it gives an object that does the work later: a generator or a coroutine."""
    implicit: bool = False
    """Called without a call: a special method, a property."""
    stores: bool = False
    """What it gives is stored in the object that was asked, as ``cached_property`` does."""
    static: bool = False
    owner: Obj | None = None
    registered: list[Obj] = field(default_factory=list)
    """Functions that a method of this one was given, as ``show.register`` is: a call of it may call them."""
    forward: frozenset[str] = frozenset()
    """Names in annotations that are texts: read by who asks for the types, not by the definition."""
    defaults: frozenset[Obj] = NOTHING
    captured: dict[str, AbstractValue] = field(default_factory=dict)
    facts: Effects | None = None
    rests_on: dict[str, AbstractValue | None] = field(default_factory=dict)
    """The globals that ``facts`` were found with."""
    busy: bool = False
    partial: Effects | None = None
    """While it is looked into, what was found in the last round: what a recursive call does."""
    session: int = 0
    """Number of the look into an outermost function in which it was last looked into."""
    epoch: int = -1
    """Where ``facts`` rest on the partial facts of a function around: the round in which they hold; else -1."""
    start: int = 0
    end: int = 0
    """Objects with serials above ``start`` and up to ``end`` were made while the function was looked into."""


@dataclass(slots=True, eq=False)
class ClassInfo:
    """A class: its methods, and its bases as far as the notebook defines them."""

    name: str
    node: ast.ClassDef | None = None
    methods: dict[str, list[Obj]] = field(default_factory=dict)
    bases: list[Obj] = field(default_factory=list)
    foreign: bool = False
    """A base comes from a library."""
    mutable: bool = False
    """The class itself holds something that may change."""
    forward: frozenset[str] = frozenset()
    """Names in annotations that are texts: read by who asks for the types, not by the definition."""
    family: str = ""
    """Token of the list of its subclasses."""
    metaclasses: list[Obj] = field(default_factory=list)
    fields: list[Obj] = field(default_factory=list)
    """What libraries made in its body of functions: a field that makes its values by one."""

    @property
    def shares(self) -> bool:
        """Whether the class, or one above it, holds something that may change: its instances share it."""
        return self.mutable or any(
            isinstance(base.info, ClassInfo) and base.info is not self and base.info.shares for base in self.bases
        )

    def find(self, name: str) -> list[Obj]:
        """Return the function objects that ``name`` may be, nearest class first."""
        if name in self.methods:
            return self.methods[name]
        for base in self.bases:
            if isinstance(base.info, ClassInfo) and base.info is not self and (found := base.info.find(name)):
                return found
        return []

    def all_methods(self) -> list[Obj]:
        """Return every function of the class and of its bases."""
        found = [method for methods in self.methods.values() for method in methods]
        for base in self.bases:
            if isinstance(base.info, ClassInfo) and base.info is not self:
                found.extend(base.info.all_methods())
        return found


@dataclass(slots=True, eq=False)
class Effects:
    """What one statement, or one call of a function, does."""

    reads: set[str] = field(default_factory=set)
    """Names of the notebook that it needs from before, those that functions read when called included."""
    direct: dict[str, int] = field(default_factory=dict)
    """Names read by the statement itself, outside of functions and of ``try``, with the line."""
    absent: set[str] = field(default_factory=set)
    """Names of these that nothing had given a value where they were read, the statement itself included."""
    binds: set[str] = field(default_factory=set)
    """Names that it surely gives a new value."""
    maybe: set[str] = field(default_factory=set)
    """Names that it may give a new value, or takes away."""
    deletes: set[str] = field(default_factory=set)
    mutates: set[Obj] = field(default_factory=set)
    returns: set[Obj] = field(default_factory=set)
    raised: set[Obj] = field(default_factory=set)
    """Exceptions that it may raise, caught or not."""
    return_typ: str | None = None
    calls: dict[tuple[Obj, str | None, tuple[str | None, ...]], list[AbstractValue]] = field(default_factory=dict)
    """Calls of a parameter, known only once the function is called: (parameter, method or None, texts) to arguments.

    Calls that differ in what is given, but not in what is known of it as a text, are one: it may be any of these.
    """
    assigned: dict[str, AbstractValue] = field(default_factory=dict)
    """What a function gives to the names that it declares ``global``."""
    stored: list[tuple[Obj, tuple[Obj, ...]]] | None = None
    """Of a function: what others hold that was there before it, of its parameters and of what it makes."""
    origins: set[str] = field(default_factory=set)
    """Where values come from that a program does not give twice, see ``value_origins``."""
    everything: int = 0
    """Line of an ``exec``, ``eval``, ``globals()`` that may read any name; 0 for none."""

    def call_later(self, callee: Obj, method: str | None, given: Sequence[AbstractValue]) -> bool:
        """Note a call of a parameter; tell whether that is new."""
        key = callee, method, tuple(value.const or value.path for value in given)
        old = self.calls.get(key)
        if old is None:
            self.calls[key] = list(given)
            return True
        news = [value.objs <= before.objs for value, before in zip(given, old, strict=True)]
        if all(news):
            return False
        self.calls[key] = [
            before._replace(objs=before.objs | value.objs, typ=before.typ if before.typ == value.typ else None)
            for value, before in zip(given, old, strict=True)
        ]
        return True


def packages_of(objs: Iterable[Obj]) -> set[object]:
    """Return the names of the packages that objects are parts of, or come from."""
    return {owner.info for obj in objs for owner in obj.life if owner.kind == "mod"}


def reach(objs: Iterable[Obj]) -> set[Obj]:
    """Return the objects and all that they hold, at any depth."""
    found = set(objs)
    todo = list(found)
    while todo:
        if new := todo.pop().edges - found:  # most links of a dense graph lead to what was found already
            found |= new
            todo.extend(new)
    return found


def live_closure(objs: Iterable[Obj]) -> set[Obj]:
    """Return the objects, what they hold and what their behaviour rests on: a change of any of these counts."""
    found = set(objs)
    todo = list(found)
    while todo:
        current = todo.pop()
        for group in (current.edges, current.life):
            if new := group - found:
                found |= new
                todo.extend(new)
    return found
