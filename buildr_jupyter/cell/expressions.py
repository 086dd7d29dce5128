"""What an expression may be, found without running it: the first floor of the flow analysis."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from buildr_jupyter.cell.objects import ATOM, NOTHING, ClassInfo, Facts, Fails, FunctionInfo, Obj, Val, reach
from buildr_jupyter.cell.scope import BUILTINS, KERNEL_NAMES, SHADOWED_BY_STARS, local_names, parameters, stored_names

__all__ = ["Expressions", "Frame"]

_ATOMIC_ATTRIBUTES = frozenset(
    [
        "shape",
        "size",
        "ndim",
        "dtype",
        "nbytes",
        "itemsize",
        "empty",
        "is_unique",
        "__name__",
        "__doc__",
        "name",
        "year",
        "month",
        "day",
        "hour",
        "minute",
        "second",
        "real",
        "imag",
        "numerator",
        "denominator",
    ]
)
_TABLES = ("DataFrame", "Series", "ndarray")


class Frame:
    """A function or class body that is being looked into."""

    __slots__ = ("function", "globals", "is_class", "names", "owner", "vals")

    def __init__(self, names: frozenset[str], owner: Obj | None, *, is_class: bool = False) -> None:
        self.names = names
        self.owner = owner
        self.vals: dict[str, Val] = {}
        self.is_class = is_class
        self.globals: set[str] = set()
        self.function: FunctionInfo | None = None


class Expressions:
    """Evaluates expressions to what they may be, noting reads and changes in ``self.facts``."""

    def __init__(self) -> None:
        self.env: dict[str, Val] = {}
        self.facts = Facts()
        self.bound: set[str] = set()
        """Names that the current statement has surely bound already."""
        self.frames: list[Frame] = []
        self.inner: list[dict[str, Val]] = []
        """Variables of the comprehensions around the current expression."""
        self.serial = 0
        self.guarded = 0
        self.user_code = False
        """The notebook defines a class or function with effects that no call shows."""
        self.star: list[Val] = []
        """What ``from … import *`` may have supplied, oldest first."""
        self.unsure = 0
        """How many parts that may not run are around the current expression."""
        self.modules: dict[str, Obj] = {}
        self.building: list[FunctionInfo] = []
        self._handlers: dict[type, Callable[[Any], Val]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Subscript: self._subscript,
            ast.Call: self.call,
            ast.BinOp: self._binop,
            ast.BoolOp: self._boolop,
            ast.UnaryOp: self._unary,
            ast.Compare: self._compare,
            ast.List: self._display,
            ast.Tuple: self._display,
            ast.Set: self._display,
            ast.Dict: self._dict,
            ast.IfExp: self._ifexp,
            ast.JoinedStr: self._joined,
            ast.FormattedValue: self._formatted,
            ast.Lambda: self._lambda,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.GeneratorExp: self._generator,
            ast.NamedExpr: self._walrus,
            ast.Starred: self._starred,
            ast.Await: self._await,
            ast.Yield: self._yield,
            ast.YieldFrom: self._yield,
            ast.Slice: self._slice,
        }

    # -- the parts that other floors supply

    def call(self, node: ast.Call) -> Val:
        raise NotImplementedError

    def apply(self, function: Obj, args: list[Val], self_val: Val | None = None) -> Val:
        raise NotImplementedError

    # -- making objects

    def new(self, kind: Any = "data", **more: Any) -> Obj:
        """Return a fresh object."""
        self.serial += 1
        return Obj(kind, self.serial, **more)

    weak = 0
    """How many branches or loops are around the current statement."""

    def fresh(self, *, edges: Iterable[Obj] = (), opaque: bool = False, typ: str | None = None, **more: Any) -> Val:
        """Return the value of a fresh object that holds ``edges``."""
        return Val(frozenset((self.new(edges=edges, opaque=opaque, typ=typ, **more),)), typ=typ)

    # -- entry

    def eval(self, node: ast.expr) -> Val:
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

    may_fail = False
    """How the run ended is not known, so that a failure is not ruled out."""

    # -- names

    def read(self, name: str, line: int) -> Val:
        """Note that a name of the notebook is read; return what it may be."""
        if name not in self.bound:
            self.facts.reads.add(name)
            if not self.frames and not self.guarded and name not in self.facts.direct:
                self.facts.direct[name] = line
        value = self.env.get(name)
        for info in self.building:
            info.rests_on.setdefault(name, value)
        if value is not None:
            return value
        if name in BUILTINS and not (self.star and name in SHADOWED_BY_STARS):
            return Val(path=name)
        if self.star:
            objs = frozenset().union(*(star.objs for star in self.star))
            return Val(objs, f"{self.star[-1].path}.{name}")
        if name not in KERNEL_NAMES:
            self.fail()
        return self.fresh(opaque=True)

    def _name(self, node: ast.Name) -> Val:
        name = node.id
        for variables in reversed(self.inner):
            if name in variables:
                return variables[name]
        for frame in reversed(self.frames):
            if frame.is_class and frame is not self.frames[-1]:
                continue
            if name in frame.globals:
                break
            if name in frame.names:
                if name in frame.vals:
                    return frame.vals[name]
                if frame.is_class:
                    continue
                return ATOM
            if frame.function is not None and name in frame.function.enclosing:
                captured = frame.function.captured.get(name)
                owner = frozenset((frame.owner,)) if frame.owner is not None else NOTHING
                return Val(owner | captured.objs, captured.path, None, captured.typ) if captured else Val(owner)
        return self.read(name, node.lineno)

    # -- leaves and operators

    def _constant(self, node: ast.Constant) -> Val:
        value = node.value
        return Val(const=value, typ="str") if isinstance(value, str) else ATOM

    def _attribute(self, node: ast.Attribute) -> Val:
        return self.attribute(self.eval(node.value), node.attr)

    def attribute(self, base: Val, name: str) -> Val:
        """Return what ``base.name`` may be."""
        if base.path is not None:
            if base.path == "warnings" or not base.objs:
                return Val(base.objs, f"{base.path}.{name}")
            return Val(base.objs, f"{base.path}.{name}")
        if not base.objs or (name in _ATOMIC_ATTRIBUTES and base.typ in _TABLES):
            return ATOM
        found: set[Obj] = set()
        for obj in base.objs:
            if obj.opaque or obj.kind in ("class", "func", "iter"):
                found.add(obj)
            if obj.kind in ("inst", "class") and isinstance(info := self.class_of(obj), ClassInfo):
                methods = info.find(name)
                for method in methods:
                    if isinstance(method.info, FunctionInfo) and method.info.implicit:
                        found.update(self.apply(method, [], Val(frozenset((obj,)))).objs)
                if methods:
                    found.add(obj)
                found.update(methods)
            elif obj.kind == "param":
                self.facts.calls.append((obj, f"@{name}", []))
            found.update(obj.edges)
        if name == "__class__":
            found.update(obj.info for obj in base.objs if isinstance(obj.info, Obj))
        return Val(frozenset(found), typ=base.typ if base.typ in _TABLES else None)

    @staticmethod
    def class_of(obj: Obj) -> ClassInfo | None:
        """Return what is known of the class of an instance, or of a class itself."""
        info = obj.info.info if isinstance(obj.info, Obj) else obj.info
        return info if isinstance(info, ClassInfo) else None

    def element(self, value: Val) -> Val:
        """Return what an element of ``value`` may be."""
        if not value.objs:
            return ATOM
        found: set[Obj] = set()
        for obj in value.objs:
            found.update(obj.edges)
            if obj.opaque:
                found.add(obj)
        return Val(frozenset(found), typ=value.typ if value.typ in _TABLES else None)

    def _subscript(self, node: ast.Subscript) -> Val:
        base = self.eval(node.value)
        key = self.eval(node.slice)
        self.use(base)
        if not base.objs:
            return Val(typ="str") if base.typ == "str" else ATOM
        if base.path is not None and base.path not in ("sys.modules",):
            return Val(base.objs, None)
        if base.typ in _TABLES and (
            isinstance(node.slice, (ast.Compare, ast.List, ast.BoolOp, ast.UnaryOp, ast.ListComp))
            or (isinstance(node.slice, ast.BinOp) and isinstance(node.slice.op, (ast.BitAnd, ast.BitOr)))
        ):
            return self.fresh(opaque=True, typ=base.typ, life=self.lives(base))
        if isinstance(node.slice, ast.Slice) and base.typ in ("list", "tuple"):
            return self.fresh(edges=self.element(base).objs, typ=base.typ)
        for obj in base.objs:
            if obj.kind == "param":
                self.facts.calls.append((obj, "__getitem__", [key]))
        return self.element(base)

    @staticmethod
    def lives(*values: Val) -> set[Obj]:
        """Return what the behaviour of these values rests on."""
        return {inner for value in values for obj in value.objs for inner in obj.life}

    def _binop(self, node: ast.BinOp) -> Val:
        return self.operate(self.eval(node.left), self.eval(node.right), formats=isinstance(node.op, ast.Mod))

    def operate(self, left: Val, right: Val, *, formats: bool = False) -> Val:
        """Return what an operator may give for these operands."""
        self.use(left)
        self.use(right)
        if formats and left.typ == "str":
            return Val(typ="str")
        objs = left.objs | right.objs
        if not objs:
            return Val(typ="str") if left.typ == "str" or right.typ == "str" else ATOM
        typ = next((v.typ for v in (left, right) if v.typ in _TABLES), None) or left.typ or right.typ
        edges = {inner for obj in objs for inner in obj.edges} if typ not in _TABLES else set()
        edges.update(obj for obj in objs if obj.kind in ("inst", "param"))
        return self.fresh(edges=edges, opaque=any(obj.opaque for obj in objs), typ=typ, life=self.lives(left, right))

    def _boolop(self, node: ast.BoolOp) -> Val:
        first = self.eval(node.values[0])
        return self.join([first, *self._perhaps(node.values[1:])])

    def _perhaps(self, nodes: Iterable[ast.expr]) -> list[Val]:
        """Return what expressions give that may not run."""
        self.unsure += 1
        values = [self.eval(node) for node in nodes]
        self.unsure -= 1
        return values

    @staticmethod
    def join(values: list[Val]) -> Val:
        """Return what any of the values may be."""
        first = values[0]
        if len(values) == 1 or all(value == first for value in values):
            return first
        objs = frozenset().union(*(value.objs for value in values))
        path = next((value.path for value in values if value.path), None) if not objs or first.path else None
        typs = {value.typ for value in values}
        return Val(objs, path, None, first.typ if len(typs) == 1 else None)

    def _unary(self, node: ast.UnaryOp) -> Val:
        operand = self.eval(node.operand)
        self.use(operand)
        if isinstance(node.op, ast.Not) or not operand.objs:
            return ATOM
        return self.fresh(opaque=True, typ=operand.typ, life=self.lives(operand))

    def _compare(self, node: ast.Compare) -> Val:
        values = [self.eval(node.left), *(self.eval(value) for value in node.comparators)]
        for value in values:
            self.use(value)
        contains = any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops)
        if contains:
            self.consume(values[-1])
        if contains or all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            return ATOM
        typ = next((v.typ for v in values if v.typ in _TABLES), None)
        return self.fresh(opaque=True, typ=typ, life=self.lives(*values)) if typ else ATOM

    # -- displays

    def _display(self, node: ast.List | ast.Tuple | ast.Set) -> Val:
        edges: set[Obj] = set()
        for element in node.elts:
            edges.update(self.eval(element).objs)
        if isinstance(node, ast.Tuple):
            # A tuple cannot change itself: it is what it holds.
            return Val(frozenset((self.new(edges=edges, typ="tuple"),)), typ="tuple") if edges else Val(typ="tuple")
        return self.fresh(edges=edges, typ="list" if isinstance(node, ast.List) else "set")

    def _dict(self, node: ast.Dict) -> Val:
        edges: set[Obj] = set()
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                edges.update(self.eval(key).objs)
                edges.update(self.eval(value).objs)
            else:
                edges.update(self.element(self.eval(value)).objs)
        return self.fresh(edges=edges, typ="dict")

    def _ifexp(self, node: ast.IfExp) -> Val:
        self.eval(node.test)
        return self.join(self._perhaps((node.body, node.orelse)))

    def _joined(self, node: ast.JoinedStr) -> Val:
        for value in node.values:
            self.eval(value)
        return Val(typ="str")

    def _formatted(self, node: ast.FormattedValue) -> Val:
        self.use(self.eval(node.value))
        if node.format_spec is not None:
            self.eval(node.format_spec)
        return Val(typ="str")

    def _slice(self, node: ast.Slice) -> Val:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self.eval(part)
        return ATOM

    def _walrus(self, node: ast.NamedExpr) -> Val:
        value = self.eval(node.value)
        self.assign(node.target, value)
        return value

    def _starred(self, node: ast.Starred) -> Val:
        value = self.eval(node.value)
        self.consume(value)
        return self.element(value)

    def _await(self, node: ast.Await) -> Val:
        value = self.eval(node.value)
        self.consume(value)
        return self.element(value) if value.objs else ATOM

    def _yield(self, node: ast.Yield | ast.YieldFrom) -> Val:
        if node.value is not None:
            value = self.eval(node.value)
            if isinstance(node, ast.YieldFrom):
                self.consume(value)
                value = self.element(value)
            self.facts.returns.update(value.objs)
        return ATOM

    # -- functions and comprehensions

    def function(self, node: Any, *, static: bool = False, implicit: bool = False) -> Obj:
        """Return the object of a function; its defaults are evaluated here and now."""
        defaults: set[Obj] = set()
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            defaults.update(self.eval(default).objs)
        enclosing = frozenset(
            name
            for frame in self.frames
            if not frame.is_class
            for name in (*frame.names, *(frame.function.enclosing if frame.function else ()))
        ) | {name for variables in self.inner for name in variables}
        from buildr_jupyter.cell.scope import is_generator

        info = FunctionInfo(
            node, local_names(node), enclosing, static=static, implicit=implicit, generator=is_generator(node)
        )
        info.names = parameters(node.args)
        info.defaults = frozenset(defaults)
        obj = self.new("func", info=info, edges=defaults)
        info.owner = obj
        if enclosing:
            self._capture(info, obj)
        return obj

    def _capture(self, info: FunctionInfo, obj: Obj) -> None:
        for variables in (*(frame.vals for frame in self.frames if not frame.is_class), *self.inner):
            for name, value in variables.items():
                if name in info.enclosing and name not in info.locals:
                    info.captured[name] = value
        for frame in self.frames:
            if frame.function is not None:
                for name, value in frame.function.captured.items():
                    info.captured.setdefault(name, value)
        obj.edges.update(inner for value in info.captured.values() for inner in value.objs if inner is not obj)

    def _lambda(self, node: ast.Lambda) -> Val:
        return Val(frozenset((self.function(node),)))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp) -> Val:
        elements = self._inside(node)
        typ = {ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict"}[type(node)]
        return self.fresh(edges=elements, typ=typ)

    def _generator(self, node: ast.GeneratorExp) -> Val:
        # It runs later, and reads then what its names are then; its first iterable is taken at once.
        first = self.eval(node.generators[0].iter)
        facts, self.facts = self.facts, Facts()
        bound, self.bound = self.bound, set()
        elements = self._inside(node)
        inside, self.facts = self.facts, facts
        self.bound = bound
        self.merge(inside, certain=False)
        info = FunctionInfo(node, local_names(node))
        info.facts = Facts(reads=inside.reads)
        function = self.new("func", info=info)
        return Val(frozenset((self.new("iter", edges=elements | first.objs, life=(function,), info="generator"),)))

    def _inside(self, node: Any) -> set[Obj]:
        variables: dict[str, Val] = {}
        self.inner.append(variables)
        self.unsure += 1
        try:
            for generator in node.generators:
                value = self.eval(generator.iter)
                self.consume(value)
                element = self.element(value)
                names = stored_names(generator.target)
                variables.update(dict.fromkeys(names, element))
                for condition in generator.ifs:
                    self.eval(condition)
            if isinstance(node, ast.DictComp):
                return set(self.eval(node.key).objs | self.eval(node.value).objs)
            return set(self.eval(node.elt).objs)
        finally:
            self.unsure -= 1
            self.inner.pop()

    # -- uses

    def use(self, value: Val) -> None:
        """Note that a value is worked with: the special methods of the notebook's own classes may run."""
        if not self.user_code or not value.objs:
            return
        for obj in value.objs if len(value.objs) > 20 else reach(value.objs):
            if obj.kind == "inst" and (info := self.class_of(obj)) is not None:
                for method in info.all_methods():
                    if isinstance(method.info, FunctionInfo) and method.info.implicit:
                        self.apply(method, [], Val(frozenset((obj,))))

    def consume(self, value: Val) -> None:
        """Note that a value is iterated: an iterator is changed by that."""
        for obj in value.objs:
            if obj.kind == "iter":
                self.change((obj,))
                self.change(inner for inner in reach((obj,)) if inner.kind == "iter")
                for function in obj.life:
                    if function.kind == "func":
                        self.apply(function, [])
            elif obj.kind == "param":
                self.facts.calls.append((obj, "__iter__", []))
        self.use(value)

    def change(self, objs: Iterable[Obj]) -> None:
        """Note that these objects change."""
        self.facts.mutates.update(objs)

    def merge(self, facts: Facts, *, certain: bool) -> None:
        """Take what another statement or a function does into the current facts."""
        mine = self.facts
        mine.reads.update(facts.reads - self.bound if self.bound else facts.reads)
        mine.maybe.update(facts.maybe)
        mine.mutates.update(facts.mutates)
        mine.calls.extend(facts.calls)
        mine.everything = mine.everything or facts.everything
        for name in facts.reads | facts.maybe:
            for info in self.building:
                info.rests_on.setdefault(name, self.env.get(name))
        if certain:
            mine.binds.update(facts.binds)
        else:
            mine.maybe.update(facts.binds)

    def assign(self, target: ast.expr, value: Val) -> None:
        raise NotImplementedError
