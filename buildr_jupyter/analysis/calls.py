"""What a call does and gives: functions of the notebook are looked into, those of libraries are looked up."""

from __future__ import annotations

import ast
import re
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    NOTHING,
    AbstractValue,
    ClassInfo,
    Effects,
    FunctionInfo,
    Obj,
    reach,
)
from buildr_jupyter.analysis.expressions import (
    GIVE_VALUES,
    STORED,
    changes_its_owner,
    gives_values,
    held_by_classes,
    part_of_module,
)
from buildr_jupyter.analysis.library_calls import (
    ALL_WORK,
    ASKED,
    BOUND_CALLS,
    CALLS,
    COPIES,
    DEPTH,
    GIVEN,
    HANDED,
    HELD,
    SHARE,
    WORK,
    Library,
    is_foreign,
    moves_on,
    not_plain,
    objs_of,
    opaque,
)
from buildr_jupyter.analysis.names_in_text import TEXT_BLIND, read_forward, read_named, read_query
from buildr_jupyter.analysis.side_effects import CACHE_METHODS, generators_below
from buildr_jupyter.analysis.state import ROUNDS, TABLES, Frame

__all__ = ["Calls"]

_TABLED_TYPES = {*TABLES, "list", "dict", "set", "tuple", "frozenset", "str", "bytes", "ndarray", "rng"}
_TABLED_LIBRARIES = {"pandas", "numpy", "sklearn", "scipy", "statistics", "collections", "datetime", "re", "decimal"}
_DRAWS = re.compile(r"rvs|.*(random|sample|draw|simulat|bootstrap|permut|shuffle)")
"""Names of methods of a distribution, or a density, that draw from numpy's global generator."""
_PLAIN_CALLABLES = {"numpy", "scipy", "functools", "operator", "pandas", "sympy", "collections", "string"}
_IN_PLACE = {"inplace", "out"}
_ENTERS = ("__enter__", "__exit__", "enter_context", "push", "close")
"""Methods of managers, and of stacks of managers, that are opened and closed without a ``with``."""
_HANDLES = ("data", "iter", "param")


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
        for number, keyword in enumerate(node.keywords):
            value = self.eval(keyword.value)
            self._may_be_called(keyword.value, value, args, called=keyword.arg in known.CALLED_KEYWORDS)
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
            for obj in self.base(node.value).objs:
                self._hand_over(obj, node.attr, called=called)

    def _hand_over(self, obj: Obj, name: str, *, called: bool = False) -> None:
        """Note that a method of an object may be called, where it is not seen that it is one until a call is."""
        value = AbstractValue(frozenset((obj,)), typ=obj.typ)
        if called and _may_have_methods(obj):
            self.method(value, name, [], {})
            return
        if obj.kind == "param":
            self.call_later(obj, f"{HANDED}{name}", [])
        elif obj.kind in ("inst", "class") and (info := self.class_of(obj)) is not None:
            for method in info.find(name):
                self.apply(method, [], value)
        elif obj.kind in ("data", "iter") and (changes_its_owner(obj, name) or obj.typ == "rng"):
            self.method(value, name, [], {})

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
                results.extend(self._unknown_call(obj, args, keywords) if info is None or info.foreign else ())
            elif obj.kind != "mod":
                results.extend(self._unknown_call(obj, args, keywords))
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

    def _unknown_call(
        self, callee: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> list[AbstractValue]:
        given = [*args, *keywords.values()]
        given_objs = objs_of(given)
        for facts, reached, known_given in self.calls_within:
            if facts is self.facts and callee in reached and given_objs <= known_given:
                made = self.new(edges=known_given, opaque=True)
                return [AbstractValue(known_given | {made})]
        if self.gives_up():
            return [self.fresh(opaque=True, edges=given_objs | {callee}, life=callee.life)]
        below = reach((callee,))
        self.work += len(below)
        self.change(obj for obj in below if moves_on(obj))  # ``rng.normal``, or a partial of it
        for obj in below if callee.kind != "param" else ():
            if obj.kind == "param":  # what came out of a parameter may be anything that is held there
                self.call_later(obj, None, given)
        roots = {owner.info for owner in callee.life}
        if roots and not roots <= GIVE_VALUES:  # what a library made of a function keeps what it was given: a cache
            self.change(obj for obj in below if obj.kind == "data")
        called = ("func", "bound", "class", "inst")
        inside = [obj for obj in below if obj.kind in called and obj is not callee]
        if inside and self.depth < DEPTH:
            return self._calls_within(callee, inside, frozenset(below), args, keywords)
        if "functools" in roots:  # a partial of a library's method
            self.change_deep(obj for obj in below if _may_have_methods(obj))
        if not roots & _PLAIN_CALLABLES:
            self.change((callee,))
        self.give(given_objs)
        if not roots <= GIVE_VALUES:  # a decorator that a library made keeps what it is given, where it came from, too
            for obj in below:
                if obj.kind == "data" and is_foreign(obj):
                    obj.hold(given_objs)
        self.change_deep(obj for obj in given_objs if moves_on(obj) or is_foreign(obj))
        if not roots or not roots <= GIVE_VALUES:
            self.change_deep(given_objs)
        return [self.fresh(opaque=True, edges=given_objs | {callee}, life=callee.life)]

    def _calls_within(
        self,
        callee: Obj,
        inside: list[Obj],
        reached: frozenset[Obj],
        args: list[AbstractValue],
        keywords: Mapping[str, AbstractValue],
    ) -> list[AbstractValue]:
        """Return what all may give that something callable holds and may call.

        Instances of a library's classes may call each other, in any order, with what any of them holds. To follow
        each order would grow as a power: so each is called once, with all of it, and a call of one of them with no
        more than that, which comes up meanwhile, adds nothing.
        """
        self.depth += 1
        try:
            if not any(obj.kind == "inst" for obj in inside):
                return [self._handed_on(callee, obj, args, keywords) for obj in inside]
            held = objs_of([*args, *keywords.values()]) | {obj for obj in reached if obj.kind != "mod"}
            if self.gives_up():
                return [AbstractValue(held)]
            everything = [AbstractValue(held)] * (len(args) + DEPTH)
            all_of_them = [*inside, callee] if callee.kind == "inst" else inside
            self.calls_within.append((self.facts, reached, held))
            try:
                return [self.invoke(AbstractValue(frozenset((obj,))), everything, keywords) for obj in all_of_them]
            finally:
                self.calls_within.pop()
        finally:
            self.depth -= 1

    def _handed_on(
        self, callee: Obj, inside: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> AbstractValue:
        """Return what a function may give that something callable holds.

        A partial gives it what it holds, too, before what the call gives: any parameter may be any of it.
        """
        held = frozenset(obj for obj in reach((callee,)) if obj not in (callee, inside) and obj.kind != "mod")
        info = inside.info if isinstance(inside.info, FunctionInfo) else None
        given = AbstractValue(objs_of([*args, *keywords.values()]) | held)
        count = len(info.names) if info is not None else len(args) + 1
        return self.invoke(AbstractValue(frozenset((inside,))), [given] * count, keywords)

    def _instance(self, cls: Obj, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]) -> AbstractValue:
        info = cls.info
        assert isinstance(info, ClassInfo)
        read_forward(self, (cls,))
        obj = self.new("inst", info=cls, life=(cls,))
        value = AbstractValue(frozenset((obj,)))
        for meta in info.metaclasses:
            for method in meta.info.find("__call__") if isinstance(meta.info, ClassInfo) else ():
                self.apply(method, args, AbstractValue(frozenset((cls,))), keywords)
        makers = [method for name in ("__new__", "__init__", "__post_init__") for method in info.find(name)]
        if info.shares:
            obj.edges.add(cls)
        first = [self.apply(maker, args, AbstractValue(frozenset((cls,))), keywords) for maker in info.find("__new__")]
        for method in makers:
            self.apply(method, args, value, keywords)
        if not makers or info.foreign:
            obj.edges.update(objs_of([*args, *keywords.values()]))
        obj.edges.add(self.new(opaque=True))  # what no method shows: fields of a dataclass, attributes set later
        self.facts.mutates.discard(obj)
        if info.find("__del__"):
            self.let_go(value)  # nobody may hold it
        return self.join([value, *first]) if first else value  # ``__new__`` may give one that is there

    # -- functions of the notebook

    def apply(
        self,
        function: Obj,
        args: list[AbstractValue],
        self_val: AbstractValue | None = None,
        keywords: Mapping[str, AbstractValue] | None = None,
    ) -> AbstractValue:
        """Note what a call of the notebook's function does with these arguments; return what it may give."""
        info = function.info
        if not isinstance(info, FunctionInfo):
            return ATOM
        facts = self.summary(info)
        if self.depth >= DEPTH or self.gives_up():
            # Too much to follow: what came before is kept, all of it.
            self.facts.everything = self.facts.everything or 1
            self.change_deep(objs_of(args))
            facts = None
        if facts is None:
            return self.fresh(opaque=True, edges=objs_of(args)) if objs_of(args) else ATOM
        given = list(args) if self_val is None or info.static else [self_val, *args]
        places = {**function.places, **_places(info, given, keywords or {})}
        self.work += sum(map(len, places.values()))
        if info.owner is not None:
            places[info.owner] = frozenset((function,))
        call = facts, function, *(value.objs for value in (*given, *(keywords or {}).values()))
        for name in _stars(info):
            param = info.params[info.names.index(name)]
            if rest := places[param]:  # a tuple or a dict of what was given
                made = self.made_by.setdefault((self.facts, call), {})
                made[param] = made.get(param) or self.new()
                made[param].hold(rest)
                places[param] = rest | {made[param]}
        self.depth += 1
        self.calls += 1
        try:
            result = self._take(info, facts, places, function, call)
        finally:
            self.depth -= 1
        return self._from_cache(function, result) if function.typ is not None else result

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

    def _from_cache(self, function: Obj, result: AbstractValue) -> AbstractValue:
        """Note a call of a function that keeps its results; what it gives may be given to others, too."""
        assert function.typ is not None
        self.facts.mutates.add(self.world_object(function.typ))
        if not result.objs:
            return result
        return result._replace(objs=result.objs | {one for one in function.life if one.info == "results"})

    def _take(
        self,
        info: FunctionInfo,
        facts: Effects,
        places: dict[Obj, frozenset[Obj]],
        function: Obj,
        call: tuple[Hashable, ...],
    ) -> AbstractValue:
        copies: dict[Obj, Obj] = {}
        made_before = self.made_by.setdefault((self.facts, call), {})

        def put(objs: Iterable[Obj]) -> set[Obj]:
            found: set[Obj] = set()
            for obj in objs:
                if obj in places:
                    found.update(places[obj])
                elif info.start < obj.serial <= info.end and obj.kind in ("data", "iter", "func", "bound", "inst"):
                    found.add(copy(obj))
                else:
                    found.add(obj)
            return found

        merged: dict[tuple[object, ...], Obj] = {}

        def merge(obj: Obj) -> Obj:
            # Of a call that makes very much, what has the same form is one object: a chain of calls stays small.
            key = obj.kind, obj.info, obj.typ, obj.opaque
            made = copies[obj] = merged.get(key) or self.new(obj.kind, info=obj.info, opaque=obj.opaque, typ=obj.typ)
            merged[key] = made
            made.life.update(obj.life)
            made.edges.update(put(obj.edges))
            if obj.kind == "func":
                for inner, objs in (*places.items(), *obj.places.items()):
                    found = objs if inner in places else frozenset(put(objs))
                    made.places = {**made.places, inner: made.places.get(inner, NOTHING) | found}
            return made

        def copy(obj: Obj) -> Obj:
            # What the function itself made is made anew by each call; the same call again in the same statement makes
            # objects of which one stands for all, so that what they hold does not grow with each look at it.
            made = copies.get(obj)
            if made is None:
                self.work += 1
                if len(copies) > COPIES:
                    return merge(obj)
                made = copies[obj] = made_before.get(obj) or self.new(
                    obj.kind, info=obj.info, opaque=obj.opaque, life=obj.life, typ=obj.typ
                )
                made_before[obj] = made
                made.edges.update(put(obj.edges))
                if obj.kind == "func":
                    made.places = places | {inner: frozenset(put(objs)) for inner, objs in obj.places.items()}
            return made

        here = Effects(reads=facts.reads, maybe=facts.maybe | facts.binds, everything=facts.everything)
        here.origins.update(facts.origins)
        here.absent.update(facts.absent)
        self.merge(here, certain=False)
        for name, value in facts.assigned.items():
            self.set_global(name, value._replace(objs=frozenset(put(value.objs)), const=None), weak=True)
        for token in facts.binds:
            if token.startswith("@"):
                self.seed(token[1:], weak=True)
        if facts.mutates:
            self.change(put(facts.mutates))
        # What is stored into a parameter, its own or one of the call that made it, is held by what was given.
        own = {param.info for param in info.params}
        for param, targets in places.items():
            if param.kind != "param" or not targets or param in own:
                continue
            if extra := param.edges - {param.info}:
                stored = put(obj for obj in extra if obj is not param)
                for target in targets:
                    target.hold(stored)
        for holder, held in self._stored(info, facts):
            for target in places.get(holder, (holder,)):  # a closure stands for the function that is called
                target.hold(put(held))
        if facts.calls:
            self._follow(call, facts, places, put)
        if info.generator:
            edges = put(facts.returns)
            for objs in places.values():
                edges |= objs
            made = self.new("iter", edges=edges, life=(function,))
            made.places = {function: frozenset(put(facts.mutates))} if facts.mutates else made.places
            return AbstractValue(frozenset((made,)))
        given = frozenset(obj for obj in put(facts.returns) if not self._is_no_method(obj))
        return AbstractValue(given, typ=facts.return_typ)

    def _stored(self, info: FunctionInfo, facts: Effects) -> list[tuple[Obj, tuple[Obj, ...]]]:
        """Return what a function stores into what was there before it: a registry that each call adds an entry to."""
        if facts.stored is not None:
            return facts.stored
        end = self.serial if info.busy else info.end

        def is_own(obj: Obj) -> bool:
            return info.start < obj.serial <= end

        outside = [obj for obj in facts.mutates if obj.edges and not is_own(obj)]
        found = [(obj, tuple(filter(is_own, obj.edges))) for obj in outside]
        stored = [(obj, held) for obj, held in found if held]
        if not info.busy:
            facts.stored = stored
        return stored

    def _is_no_method(self, obj: Obj) -> bool:
        """Tell whether what was taken for a method is certainly none: the classes of its owners have none so named."""
        owners = [self.class_of(one) if one.kind == "inst" else None for one in obj.edges]
        return obj.kind == "bound" and all(
            info is not None and not info.foreign and not info.find(str(obj.info)) for info in owners
        )

    def _follow(
        self,
        call: tuple[Hashable, ...],
        facts: Effects,
        places: dict[Obj, frozenset[Obj]],
        put: Callable[[Iterable[Obj]], set[Obj]],
    ) -> None:
        """Note what a call does by the calls of its parameters."""
        roots = {obj for objs in places.values() for obj in objs}
        for (callee, _, _), values in facts.calls.items():
            roots.add(callee)
            roots.update(objs_of(values))

        def follow() -> None:
            size = len(reach(roots))
            for (callee, method, _), values in list(facts.calls.items()):
                self.work += size
                if self.gives_up():
                    return
                args = [value._replace(objs=frozenset(put(value.objs))) for value in values]
                for target in places.get(callee, (callee,)):
                    self._deferred(target, method, args)

        self.once((*call, len(facts.calls)), roots, follow)

    def _deferred(self, target: Obj, method: str | None, given: list[AbstractValue]) -> None:
        value = AbstractValue(frozenset((target,)), typ=target.typ)
        if method is None:
            self.invoke(value, given)
            info = self.class_of(target) if target.kind == "inst" else None
            if info is not None and not info.find("__call__"):  # a method, by a name that was put together
                for method_of_it in info.all_methods():
                    self.apply(method_of_it, given, value)
        elif method.startswith("@"):
            self.attribute(value, method[1:])
            self._hand_over(target, method[1:])  # a method that the function took from it may be called there
        elif method.startswith(HANDED):
            self._hand_over(target, method.removeprefix(HANDED))
        elif method.startswith(STORED):
            for one in given:
                self.attribute_stored(target, method.removeprefix(STORED), one)
        elif method == HELD:
            if target.kind not in ("func", "bound", "mod"):
                for keeper in self.keepers((target,)):
                    keeper.hold(objs_of(given))
            if target.kind == "param":
                self.call_later(target, method, given)
        elif method == GIVEN:
            self.give((target,))
        elif method == "__iter__":
            self.consume(value)
        elif method == "__getitem__":
            self.use_item(value)
        elif method.startswith("super:"):
            info = self.class_of(target)
            for base in info.bases if info else ():
                for found in base.info.find(method[6:]) if isinstance(base.info, ClassInfo) else ():
                    self.apply(found, given, value)
            if target.kind == "param":
                self.call_later(target, method, given)
        else:
            name, mark, _ = method.partition("!")
            self.method(value, name, given, {"inplace": ATOM} if mark else {})

    def summary(self, info: FunctionInfo) -> Effects | None:
        """Return what the function does when called; None while it is being found (a recursion)."""
        if info.busy:
            self.recursion_met = True
            return info.partial
        env = self.env
        holds = info.epoch in (-1, self.epoch)
        if info.facts is not None and holds and all(env.get(name) is value for name, value in info.rests_on.items()):
            for outer in self.building:
                for name, value in info.rests_on.items():
                    outer.rests_on.setdefault(name, value)
            return info.facts
        if isinstance(info.node, ast.GeneratorExp):
            return info.facts
        if self.building:
            self._look_into(info)
        else:
            self._look_into_all(info)
        for outer in self.building:
            for name, found in info.rests_on.items():
                outer.rests_on.setdefault(name, found)
        return info.facts

    def _look_into_all(self, info: FunctionInfo) -> None:
        """Look into a function and all that it calls, again and again while some call each other and more is found.

        In one round each function is looked into once; a call of one that is being looked into does what was found in
        the round before.
        """
        self.session += 1
        self.recursion_met = False
        self.looked_into.clear()
        for _ in range(ROUNDS):
            self.epoch += 1
            self.more_found = False
            self._look_into(info)
            if not (self.recursion_met and self.more_found):
                break
        else:
            assert info.facts is not None
            info.facts.everything = info.facts.everything or 1
        for one in self.looked_into:
            one.epoch, one.partial = -1, None  # what was found holds from now on

    def _look_into(self, info: FunctionInfo) -> None:
        """Find what a function does when called, by what is known of those that it calls."""
        if info.session != self.session:
            info.session = self.session
            info.partial = None
            info.start = self.serial
            self._make_params(info)
            info.rests_on = {}
        else:
            info.partial = info.facts
        info.busy, info.epoch = True, self.epoch
        self.building.append(info)
        try:
            info.facts = self._body(info)
        finally:
            self.building.pop()
            info.busy = False
        info.end = self.serial
        self.looked_into.append(info)
        if not _same(info, info.facts, info.partial):
            self.more_found = True

    def _body(self, info: FunctionInfo) -> Effects:
        """Return what the statements of a function do, by what is known of its own calls so far."""
        saved = (self.facts, self.bound, self.frames, self.inner, self.weak)
        self.facts, self.bound, self.inner, self.weak = Effects(), set(), [], 0
        frame = Frame(info.locals, info.owner)
        frame.function = info
        frame.vals.update({name: self._param_value(info, number) for number, name in enumerate(info.names)})
        self.frames = [frame]
        try:
            if isinstance(info.node, ast.Lambda):
                value = self.eval(info.node.body)
                self.facts.returns.update(value.objs, self.methods_of_parameters(info.node.body))
                self.facts.return_typ = value.typ
            elif not isinstance(info.node, ast.GeneratorExp):
                self.block(info.node.body)
            return self.facts
        finally:
            self.facts, self.bound, self.frames, self.inner, self.weak = saved

    def methods_of_parameters(self, node: ast.expr) -> list[Obj]:
        """Return what an expression that a function gives may be beside its value: a method that a parameter has."""
        if not isinstance(node, ast.Attribute):
            return []
        owners = [obj for obj in self.base(node.value).objs if obj.kind == "param"]
        return [self.new("bound", info=node.attr, edges=(obj,)) for obj in owners]

    def _make_params(self, info: FunctionInfo) -> None:
        info.params = []
        for name in info.names:
            inner = self.new("param", opaque=True)
            param = self.new("param", info=inner, edges=(inner,), typ=None)
            inner.info = name
            info.params.append(param)

    @staticmethod
    def _param_value(info: FunctionInfo, number: int) -> AbstractValue:
        return AbstractValue(frozenset((info.params[number],)) | info.defaults)

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
        given = [*args, *keywords.values()]
        if not receiver.objs:
            return self._atomic_method(receiver, name, args, given)
        results: list[AbstractValue] = []
        others: list[Obj] = []
        for obj in receiver.objs:
            if name == "__call__" and obj.kind in ("func", "bound", "class"):
                results.append(self.invoke(AbstractValue(frozenset((obj,))), args, keywords))
            elif obj.kind == "func" and obj.typ is not None and name in CACHE_METHODS:
                results.append(self.cache_method(obj.typ, name))
            elif (part := part_of_module(obj)) is not None:
                results.append(self._method_of_part(part, name, args, keywords))
            elif obj.kind in ("inst", "class") and (info := self.class_of(obj)) is not None:
                results.extend(self._own_method(obj, info, name, args, keywords, others))
            elif obj.kind == "param":
                mark = "!" if "inplace" in keywords or "out" in keywords else ""
                self.call_later(obj, f"{name}{mark}", given)
                fresh = name in known.FRESH_METHODS
                results.append(self.fresh(opaque=True, edges=() if fresh else objs_of(given) | {obj} | obj.edges))
            else:
                others.append(obj)
        if others:
            self.file_method(name, args, keywords=keywords)
            if receiver.typ is None:
                self.may_write(name, given)
            if receiver.typ not in _TABLED_TYPES:
                self.named_files(given, writes=name not in known.PURE_METHODS and name not in known.DRAWING)
            if name in known.FILE_WRITER_METHODS:  # a connection, a stream, a writer: it is written to
                self.change_deep(obj for obj in objs_of(given) if obj.kind in _HANDLES and obj.typ not in TABLES)
            results.append(
                self._foreign_method(AbstractValue(frozenset(others), typ=receiver.typ), name, args, keywords)
            )
        return self.join(results) if results else ATOM

    def entered(self, manager: AbstractValue) -> AbstractValue:
        """Return what ``as`` names in a ``with`` statement: what the manager gives, or the manager itself."""
        results = [manager]
        for obj in manager.objs:
            info = self.class_of(obj)
            if obj.kind != "inst" or info is None:
                continue
            own = AbstractValue(frozenset((obj,)))
            results += [self.apply(one, [], own) for one in info.find("__enter__")]
            results += [self.element(self.apply(one, [], own)) for one in info.find("__aenter__")]
        return self.join(results)

    def _method_of_part(
        self, part: AbstractValue, name: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> AbstractValue:
        """Note a call of what is taken from a part of a module; it may stand for a part of that, too."""
        for generator in generators_below(part.path or ""):
            self.move_on(generator)
        return self.invoke(self.attribute(part, name), args, keywords)

    def _own_method(
        self,
        obj: Obj,
        info: ClassInfo,
        name: str,
        args: list[AbstractValue],
        keywords: Mapping[str, AbstractValue],
        others: list[Obj],
    ) -> list[AbstractValue]:
        found = info.find(name)
        value = AbstractValue(frozenset((obj,)))
        results: list[AbstractValue] = []
        if found:
            for method in found:
                unbound = obj.kind == "class" and isinstance(method.info, FunctionInfo) and not method.info.static
                bound_to_class = unbound and "classmethod" in _decorators(method)
                results.append(self.apply(method, args, None if unbound and not bound_to_class else value, keywords))
            return results
        held = [inner for inner in obj.edges | held_by_classes(obj) if _is_called(inner)]
        if held and name not in known.PURE_METHODS:
            results = [self.invoke(AbstractValue(frozenset((inner,))), args, keywords) for inner in held]
            if all(inner.kind in ("func", "class") for inner in held):
                return results
        if info.foreign or (name not in known.PURE_METHODS and _has_library_base(obj)):
            others.append(obj)
        elif name == "__subclasses__" and info.family:
            self.touch(info.family)
        return results

    def _atomic_method(
        self, receiver: AbstractValue, name: str, args: list[AbstractValue], given: list[AbstractValue]
    ) -> AbstractValue:
        for value in given:
            self.use(value)
        if name == "join":
            for value in args:
                self.consume(value)
        self.file_method(name, args, receiver)
        if name in ("split", "rsplit", "splitlines", "partition", "rpartition"):
            return self.fresh(typ="list")
        if name in ("open", "iterdir", "glob", "rglob"):
            return self.fresh(opaque=True)
        return AbstractValue(typ=receiver.typ)

    def _foreign_method(
        self, receiver: AbstractValue, name: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> AbstractValue:
        given = [*args, *keywords.values()]
        self._call_back(given, receiver)
        typ = receiver.typ
        objs = receiver.objs
        if name in ("query", "eval") and args:
            read_query(self, args[0])
        self._parts_called(objs)
        if name in _ENTERS:  # what sets an option while it is open sets it for all of its package
            self.change(one for obj in (*objs, *objs_of(given)) for one in obj.life if one.kind == "mod")
        if name not in known.PURE_METHODS and name not in known.SHALLOW_METHODS:
            self._fields_called(objs, args, keywords)
        if "random_state" not in keywords and (name == "sample" or _is_of(objs, "sklearn")):
            self.draw_by_object(objs, name)
        if _DRAWS.match(name) and not {"random_state", "seed"} & keywords.keys() and _is_of(objs, "scipy"):
            self.draw("rng:numpy")
        if not _is_in_tables(receiver):
            if _only_asks(receiver, name) and not _IN_PLACE & keywords.keys():
                self.change((self.world_object(ASKED),))
                return self._leaves_alone(receiver, given, (), changes=False)
            return self._unknown_method(receiver, name, args, given)
        changes = (
            "inplace" in keywords
            or "out" in keywords
            or any(name in known.CHANGES_BY_TYPE.get(obj.typ or "", ()) for obj in objs)
            or any(obj.typ == "rng" for obj in objs)
        )
        if "out" in keywords:
            self.change_deep(keywords["out"].objs)
        if name in known.MUTATING_METHODS_OF_ARGUMENTS and args:
            self.change(args[0].objs)
        self.give(objs_of(given))
        parts = [*given, *map(self.element, given)]
        self.change_deep(obj for obj in objs_of(parts) if is_foreign(obj) or _is_drawn_on(obj))
        iterator = any(obj.kind == "iter" for obj in objs)
        if name in known.SHALLOW_METHODS and typ not in TABLES:
            self.change(objs)
            # One that stands for what it holds, and an archive, which is its file.
            self.change_deep(obj for obj in objs if obj.opaque or obj.info == "file")
            if name in known.STORING_METHODS:
                self._store(objs, name, args, given)
        elif changes or iterator or (name not in known.PURE_METHODS and not (typ in TABLES and name == "plot")):
            self.change_deep(objs)
            self.change(obj for obj in objs if obj.kind == "mod")  # ``asyncio.get_event_loop().set_debug(True)``
            if re.match(r"add|set|insert|push|append|register|attach|put", name):
                self._store(objs, name, args, given)
        return self._method_result(receiver, name, given)

    def _unknown_method(
        self, receiver: AbstractValue, name: str, args: list[AbstractValue], given: list[AbstractValue]
    ) -> AbstractValue:
        """Note a method of an object that no table speaks of: it may change all that it can reach, and keep it.

        A name says nothing: ``get`` takes an item out of a queue, ``simplify`` works in place on a matrix.
        """
        held = objs_of(given)
        if self.gives_up():
            made = self.new(edges=receiver.objs | held, opaque=True, life=self.lives(receiver))
            return AbstractValue(receiver.objs | held | {made})
        roots = {owner.info for obj in receiver.objs for owner in obj.life if owner.kind == "mod"}
        if roots == {"matplotlib"} and name in known.DRAWING:
            return self._leaves_alone(receiver, args, given[len(args) :], changes=True)
        self.may_draw(roots)
        self.named_files(given, writes=False)
        if not roots or not roots <= TEXT_BLIND:
            read_named(self, given)
        read_forward(self, receiver.objs)
        self.change_deep(receiver.objs)
        self.change(obj for obj in receiver.objs if obj.kind in ("func", "class", "mod"))
        self.change_deep(held)
        self.held_called(receiver, args)
        for obj in self.keepers(receiver.objs):
            obj.hold(held)
            if isinstance(obj.info, FunctionInfo):
                obj.info.registered.extend(one for one in held if one.kind == "func" and one is not obj)
        made = self.new(edges=receiver.objs | held, opaque=True, life=self.lives(receiver))
        return AbstractValue(receiver.objs | held | {made})

    def held_called(self, receiver: AbstractValue, args: list[AbstractValue]) -> None:
        """Note that a library's object may call the notebook's functions and objects that it holds."""
        below = reach(receiver.objs)
        self.work += len(below)
        for inside in [o for o in below if o.kind in ("func", "bound", "inst")]:
            if self.depth < DEPTH and inside not in receiver.objs and not self.gives_up():
                self.depth += 1
                self.invoke(AbstractValue(frozenset((inside,))), args)
                self.depth -= 1

    def _leaves_alone(
        self, receiver: AbstractValue, data: list[AbstractValue], others: Iterable[AbstractValue], *, changes: bool
    ) -> AbstractValue:
        """Note a method that changes no data which it is given, and its object only where it ``changes``."""
        changed = objs_of(others) | not_plain(data)
        for value in data:
            self.consume(value)
        self.give(objs_of(data))
        self.change_deep(changed | receiver.objs if changes else changed)
        self.held_called(receiver, data)
        for obj in self.keepers(receiver.objs):
            obj.hold(changed)
        made = self.new(edges=receiver.objs | changed | objs_of(data), opaque=True, life=self.lives(receiver))
        return AbstractValue(receiver.objs | {made})

    def _parts_called(self, objs: Iterable[Obj]) -> None:
        """Note that a library's object may call the methods of the notebook's objects that it holds."""
        if not self.user_code or self.depth >= DEPTH or self.gives_up():
            return
        below = reach(objs)
        self.work += len(below)
        for inside in below:
            if inside.kind == "inst" and inside not in objs:
                self.once(("parts", inside), (inside,), partial(self.methods_called, inside))

    def _fields_called(
        self, objs: Iterable[Obj], args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> None:
        """Note that what a library's object holds may be called by a name that is none of its own: a field's."""
        inside = {one for obj in objs if obj.kind == "data" for one in obj.edges}
        for method in [one for one in inside if one.kind == "bound"]:
            self.called_once(method, [*args, *keywords.values()])
        functions = frozenset(one for one in inside if one.kind == "func")
        if functions and self.depth < DEPTH:
            self.depth += 1
            self.invoke(AbstractValue(functions), args, keywords)
            self.depth -= 1

    def keepers(self, objs: Iterable[Obj]) -> set[Obj]:
        """Return the objects that keep what these are given: what came out of a parameter may be a part of it."""
        found = set(objs)
        held = {one for obj in found for one in (obj, *(obj.edges if obj.opaque else ())) if one.kind == "param"}
        for info in self.building if held else ():
            found.update(param for param in info.params if param in held or param.info in held)
        return found

    def _store(self, objs: Iterable[Obj], name: str, args: list[AbstractValue], given: list[AbstractValue]) -> None:
        stored = set(objs_of(given))
        if name in ("extend", "update", "extendleft"):
            for value in args:
                self.consume(value)
                stored.update(self.element(value).objs)
        for obj in self.keepers(objs):
            obj.hold(stored)

    def _method_result(self, receiver: AbstractValue, name: str, given: list[AbstractValue]) -> AbstractValue:
        objs, typ = receiver.objs, receiver.typ
        lives = self.lives(receiver)
        if name in known.ITERATOR_METHODS or (name == "split" and typ not in TABLES):
            return AbstractValue(frozenset((self.new("iter", edges=objs | objs_of(given), life=lives),)))
        if name == "copy" and typ not in TABLES:
            return self.fresh(edges=self.element(receiver).objs, typ=typ, life=lives, opaque=opaque(objs))
        if name in known.FRESH_METHODS or name in ("fit_transform", "fit_predict"):
            kept = typ if typ in TABLES else None
            if name in ("to_list", "tolist", "to_dict"):
                kept = "list"
            edges = {obj for obj in objs if obj.kind == "iter"} if typ not in TABLES else set()
            return self.fresh(opaque=True, typ=kept, life=lives, edges=edges)
        if name in ("keys", "values", "items") and typ not in TABLES:
            # A view shows what its dict becomes.
            inside = self.element(receiver).objs
            if name == "items":
                pair = self.new(edges=inside, typ="tuple")
                return AbstractValue(frozenset((self.new(edges=(pair,), life=objs),)))
            return AbstractValue(inside | {self.new(edges=inside, life=objs)})
        if name in ("get", "pop", "popleft", "popitem", "setdefault", "most_common"):
            element = self.element(receiver)
            inner = element.objs | objs_of(given)
            return AbstractValue(inner | {self.new(edges=inner)}, typ=element.typ) if inner else self.fresh()
        if typ in ("list", "dict", "set") and name in known.SHALLOW_METHODS:
            return ATOM
        made = self.new(edges=objs | objs_of(given), opaque=True, life=lives)
        return AbstractValue(objs | {made}, typ=typ if typ in TABLES else None)


def _is_drawn_on(obj: Obj) -> bool:
    """Tell whether an object is a part of a figure: a method that is given it draws there."""
    return obj.kind in ("data", "iter") and any(one.kind == "mod" and one.info == "matplotlib" for one in obj.life)


def _is_of(objs: Iterable[Obj], package: str) -> bool:
    """Tell whether an object is a package's: made by it, of a class that stems from one of it, or a part of it."""
    owners = [one for obj in objs for one in (obj, *obj.life)]
    owners += [one for owner in owners if owner.kind == "class" for one in owner.life]
    return any(owner.kind == "mod" and owner.info == package for owner in owners)


def _is_in_tables(receiver: AbstractValue) -> bool:
    """Tell whether the tables of methods speak of this receiver: its type is known, or its library is in them."""
    if receiver.typ in _TABLED_TYPES:
        return True
    roots = {owner.info for obj in receiver.objs for owner in obj.life if owner.kind == "mod"}
    if roots:
        return roots <= _TABLED_LIBRARIES
    return all(obj.kind in ("data", "iter", "mod") and not obj.opaque for obj in receiver.objs)


def _only_asks(receiver: AbstractValue, name: str) -> bool:
    """Tell whether a method of this name only looks at objects of the receiver's library."""
    roots = {owner.info for obj in receiver.objs for owner in obj.life if owner.kind == "mod"}
    own = roots - _TABLED_LIBRARIES
    return bool(own) and all(name in known.QUESTIONS.get(root, ()) for root in own if isinstance(root, str))


def _is_called(obj: Obj) -> bool:
    """Tell whether an object that an instance holds may be what a method stands for that its class has not."""
    return obj.kind in ("func", "class", "bound", "inst") or _may_have_methods(obj)


def _may_have_methods(obj: Obj) -> bool:
    """Tell whether a library's object may have methods that change it, and that no table knows."""
    return obj.kind == "data" and obj.opaque and obj.typ not in TABLES


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


def _same(info: FunctionInfo, found: Effects, before: Effects | None) -> bool:
    """Tell whether a round found no more than the one before: what is made anew in each round does not count."""
    if before is None:
        return False

    def outer(objs: Iterable[Obj]) -> set[Obj]:
        params = {*info.params, *(param.info for param in info.params)}
        return {obj for obj in objs if obj.serial <= info.start or obj in params}

    return (
        found.reads == before.reads
        and found.maybe == before.maybe
        and found.binds == before.binds
        and outer(found.mutates) == outer(before.mutates)
        and outer(found.returns) == outer(before.returns)
        and {key for key in found.calls if key[0] in info.params}
        == {key for key in before.calls if key[0] in info.params}
    )


def _has_library_base(obj: Obj) -> bool:
    """Tell whether a base or the metaclass of the object's class comes from a library: its methods are not known."""
    cls = obj.info if isinstance(obj.info, Obj) else obj
    info = cls.info
    bases = info.bases if isinstance(info, ClassInfo) else []
    return any(owner.kind == "mod" for owner in cls.life) or any(_has_library_base(base) for base in bases)


def _decorators(function: Obj) -> set[str]:
    node = function.info.node if isinstance(function.info, FunctionInfo) else None
    listed = getattr(node, "decorator_list", ())
    return {decorator.id for decorator in listed if isinstance(decorator, ast.Name)}


def _stars(info: FunctionInfo) -> list[str]:
    """Return the names of the parameters that take all that is left: ``*args`` and ``**kwargs``."""
    arguments = info.node.args if not isinstance(info.node, ast.GeneratorExp) else None
    return [star.arg for star in (arguments.vararg, arguments.kwarg) if star is not None] if arguments else []


def _places(
    info: FunctionInfo, given: list[AbstractValue], keywords: Mapping[str, AbstractValue]
) -> dict[Obj, frozenset[Obj]]:
    """Return what each parameter, and what each parameter's inside, stands for in this call."""
    arguments = info.node.args if not isinstance(info.node, ast.GeneratorExp) else None
    count = len(arguments.posonlyargs) + len(arguments.args) if arguments else 0
    rest: set[Obj] = set()
    named = dict(zip(info.names[:count], (value.objs for value in given), strict=False))
    for value in given[count:]:
        rest.update(value.objs)
    spread: set[Obj] = set()
    for name, value in keywords.items():
        if name in info.names:
            named[name] = value.objs
        else:
            rest.update(value.objs)
        if name.startswith("**"):  # any of the names may be in it
            spread.update(inner for obj in value.objs for inner in (*obj.edges, *((obj,) if obj.opaque else ())))
    stars = _stars(info)
    named |= dict.fromkeys(stars, frozenset(rest))
    places: dict[Obj, frozenset[Obj]] = {}
    held: dict[frozenset[Obj], set[Obj]] = {}
    for param, name in zip(info.params, info.names, strict=True):
        objs = named[name] if name in named else info.defaults | spread
        places[param] = objs
        if isinstance(param.info, Obj):
            if objs not in held:
                below = reach(set[Obj]().union(*(outer.edges for outer in objs)))
                held[objs] = {obj for obj in below if obj.kind not in ("mod", "class")}
            inner = set(held[objs])
            if name in stars:
                inner.update(objs)
            places[param.info] = frozenset(inner | {obj for obj in objs if obj.opaque})
    return places
