"""What an expression may be, found without running it."""

from __future__ import annotations

import ast
import builtins
import re
from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from keyword import iskeyword
from typing import Any

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    CONTAINER,
    NOTHING,
    AbstractValue,
    ClassInfo,
    Effects,
    FunctionInfo,
    Obj,
    packages_of,
    reach,
)
from buildr_jupyter.analysis.names_in_text import NAMESPACES, annotation_names, join_texts
from buildr_jupyter.analysis.namespace import Namespace
from buildr_jupyter.analysis.scope import local_names, parameters, stored_names
from buildr_jupyter.analysis.side_effects import generators_below, leads_to_world
from buildr_jupyter.analysis.state import TABLES, FlowState
from buildr_jupyter.analysis.table_cells import in_tables

__all__ = [
    "GIVE_VALUES", "SETTERS", "STORED", "Expressions", "changes_its_owner", "gives_values", "held_by_classes",
    "is_foreign", "part_of_module",
]  # fmt: skip

_HANDS_ON: Any = ast.parse("lambda *args, **keywords: called(*args, **keywords)", mode="eval").body
SETTERS = "@setters"
"""Token of the methods that run where an attribute is given a value: it is there once the notebook has one."""
STORED = "stored:"
"""Stands before the name of an attribute of a parameter that is given a value."""
_OPERATORS = re.compile(
    r"__[ri]?(add|sub|mul|matmul|truediv|floordiv|mod|divmod|pow|lshift|rshift|and|xor|or)__|__(eq|ne|lt|le|gt|ge)__"
)
_MODULES_OF_NAMES = ("__main__", "builtins")
GIVE_VALUES = known.LIBRARIES_OF_VALUES | known.QUIET_MODULES
_ATOMIC_ATTRIBUTES = frozenset((
    "shape", "size", "ndim", "dtype", "nbytes", "itemsize", "empty", "is_unique", "__name__", "__doc__", "name", "year",
    "month", "day", "hour", "minute", "second", "numerator", "denominator",
))  # fmt: skip


class Expressions(FlowState):
    """Evaluates expressions to what they may be, noting reads and changes in ``self.facts``."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers = {
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

    # -- names

    def _name(self, node: ast.Name) -> AbstractValue:
        value = self._named(node)
        return value if value.path is None else self.callable_anywhere(value)

    def base(self, node: ast.expr) -> AbstractValue:
        """Return what an expression may be of which a part is taken, or which is called, at once."""
        if isinstance(node, ast.Name):
            return self._named(node)
        if isinstance(node, ast.Attribute):
            return self.attribute(self.base(node.value), node.attr)
        return self.eval(node)

    def _named(self, node: ast.Name) -> AbstractValue:
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
                return (
                    AbstractValue(owner | captured.objs, captured.path, None, captured.typ)
                    if captured
                    else AbstractValue(owner)
                )
        return self.read(name, node.lineno)

    # -- leaves and operators

    def _constant(self, node: ast.Constant) -> AbstractValue:
        value = node.value
        return AbstractValue(const=value, typ="str") if isinstance(value, str) else ATOM

    def _attribute(self, node: ast.Attribute) -> AbstractValue:
        return self.callable_anywhere(self.attribute(self.base(node.value), node.attr))

    def callable_anywhere(self, value: AbstractValue) -> AbstractValue:
        """Return a part of a module so that it is known where its path is lost: in a list, an attribute, a default.

        It is then one of the notebook's functions that hands on what it is given. A direct call needs none of this,
        and neither do those of packages that are known to give values, where no generator of randomness and no file is
        got at.
        """
        path = value.path
        if path is None or (gives_values(path) and not leads_to_world(path)):
            return value
        function = self.parts_of_modules.get(path)
        if function is None:
            info = FunctionInfo(_HANDS_ON, local_names(_HANDS_ON)[0], frozenset(("called",)))
            info.names = parameters(_HANDS_ON.args)
            info.captured["called"] = value
            function = self.parts_of_modules[path] = info.owner = self.new(
                "func", info=info, life=value.objs, opaque=bool(generators_below(path)) or not gives_values(path)
            )
        return value._replace(objs=value.objs | {function})

    def caller_of(self, name: str) -> AbstractValue:
        """Return a function that calls the method of this name of what it is given."""
        if not name.isidentifier() or iskeyword(name):
            return ATOM
        return self._lambda_of(f"lambda owner, *args, **keywords: owner.{name}(*args, **keywords)")

    def getter_of(self, names: list[str]) -> AbstractValue:
        """Return a function that gives the attributes of these names, dotted ones too, of what it is given."""
        if not names or not all(part.isidentifier() and not iskeyword(part) for n in names for part in n.split(".")):
            return self.fresh(opaque=True)
        inner = ", ".join(f"owner.{name}" for name in names)
        return self._lambda_of(f"lambda owner: ({inner})" if len(names) == 1 else f"lambda owner: ({inner},)")

    def _lambda_of(self, text: str) -> AbstractValue:
        return AbstractValue(frozenset((self.function(ast.parse(text, mode="eval").body),)))

    def attribute(self, base: AbstractValue, name: str) -> AbstractValue:
        """Return what ``base.name`` may be."""
        if base.path == "__main__":
            return self.read(name, 0)
        if base.path is not None:
            path = f"{base.path}.{name}"
            put = self.put_into_modules.get(path)
            return AbstractValue(base.objs, path) if put is None else AbstractValue(put)
        if not base.objs or (name in _ATOMIC_ATTRIBUTES and base.typ in TABLES):
            return ATOM
        found: set[Obj] = set()
        for obj in base.objs:
            if obj.opaque or obj.kind in ("class", "func", "iter"):
                found.add(obj)
            if (part := part_of_module(obj)) is not None:
                found.update(self.callable_anywhere(self.attribute(part, name)).objs)
            elif obj.kind == "func" or (obj.kind == "data" and (not obj.opaque or _is_method(obj, name))):
                # What is taken from a container of Python's own is a method: it changes what it was taken from.
                found.add(self.new("bound", info=name, edges=(obj,), typ=obj.typ))
            if obj.kind in ("inst", "class") and isinstance(info := self.class_of(obj), ClassInfo):
                methods = info.find(name)
                for method in methods:
                    if isinstance(method.info, FunctionInfo) and method.info.implicit:
                        given = self.apply(method, [], AbstractValue(frozenset((obj,)))).objs
                        found.update(given)
                        if method.info.stores:
                            self.change((obj,))
                            obj.hold(given)
                hooks = (
                    info.find("__getattribute__") if methods else self._hooks(obj, "__getattribute__", "__getattr__")
                )
                for method in hooks:
                    found.update(self.apply(method, [], AbstractValue(frozenset((obj,)))).objs)
                if methods:
                    found.add(obj)
                found.update(methods)
                held = held_by_classes(obj)
                found.update(inner for inner in held if inner.kind != "func")
                found.update(self._from_descriptors(obj, held))
            elif obj.kind == "param":
                self.call_later(obj, f"@{name}", [])
            found.update(obj.edges)
            for one in obj.edges:
                if one.info == "vars":  # the object's own dict: what it holds, the object has as attributes
                    found.update(one.edges)
        if name == "attrs" and base.typ in TABLES:  # a dict of Python's own
            return AbstractValue(frozenset(found))
        if name == "__dict__":  # what it holds, the object has as attributes
            found.update(base.objs)
        if name == "__class__":
            found.update(self.classes_of(base.objs))
        return AbstractValue(frozenset(found), typ=base.typ if base.typ in TABLES else None)

    def _hooks(self, obj: Obj, *names: str) -> list[Obj]:
        """Return the special methods of these names of an object."""
        return [method for name in names for kind in self.kinds_of(obj) for method in kind.find(name)]

    def _from_descriptors(self, obj: Obj, held: Iterable[Obj]) -> frozenset[Obj]:
        """Return what the descriptors among what an object's class, or a class itself, holds give."""
        given = AbstractValue(frozenset((obj,)))
        values = [
            self.apply(method, [given], AbstractValue(frozenset((one,))))
            for one in held
            if one.kind == "inst" and (info := self.class_of(one)) is not None
            for method in info.find("__get__")
        ]
        return frozenset().union(*(value.objs for value in values))

    def attribute_stored(self, obj: Obj, name: str, value: AbstractValue) -> None:
        """Note what runs where an attribute is given a value or is taken away: a setter, a descriptor, a hook."""
        own = AbstractValue(frozenset((obj,)))
        if obj.kind == "param":
            for outer in self.building:
                outer.rests_on.setdefault(SETTERS, self.env.get(SETTERS))
            if SETTERS in self.env or any(one.kind in ("func", "param") for one in value.objs):
                self.call_later(obj, f"{STORED}{name}", [value])
        if obj.kind not in ("inst", "class"):
            return
        if isinstance(obj.info, ClassInfo):
            functions = [one for one in value.objs if one.kind == "func"]
            if functions:
                found = obj.info.methods.setdefault(name, [])
                found.extend(one for one in functions if one not in found)
            elif value.objs:
                obj.info.mutable = True
        dicts = {one for one in obj.edges if one.info == "vars" and one.kind == "data"}
        self.change(dicts)  # what the object was told to have its attributes in
        for one in dicts:
            one.hold(value.objs)
        for one in value.objs if name == "__dict__" else ():
            if one.kind == "data" and one.info is None:
                one.info = "vars"
            obj.hold((one,))
        for method in self._hooks(obj, name, "__setattr__", "__delattr__"):
            self.apply(method, [value], own)
        for one in held_by_classes(obj) if obj.kind == "inst" else ():
            if one.kind == "inst" and (descriptor := self.class_of(one)) is not None:
                for method in (*descriptor.find("__set__"), *descriptor.find("__delete__")):
                    self.apply(method, [own, value], AbstractValue(frozenset((one,))))

    def _subscript(self, node: ast.Subscript) -> AbstractValue:
        if names := self.namespace(node.value):
            return names.item(self.eval(node.slice))
        base = self.eval(node.value)
        key = self.eval(node.slice)
        self.use(key)
        if base.path == "sys.modules" and (key.const == "__main__" or getattr(node.slice, "id", "") == "__name__"):
            return AbstractValue(path="__main__")
        made = self.use_item(base, key)
        if not base.objs:
            return AbstractValue(typ="str") if base.typ == "str" else ATOM
        if base.path == "sys.modules":
            return self.module_named(base, key)
        if base.path is not None:
            return AbstractValue(base.objs, None)
        if base.typ in TABLES and (
            isinstance(node.slice, (ast.Compare, ast.List, ast.BoolOp, ast.ListComp))
            or (isinstance(node.slice, ast.UnaryOp) and not isinstance(node.slice.operand, ast.Constant))
            or (isinstance(node.slice, ast.BinOp) and isinstance(node.slice.op, (ast.BitAnd, ast.BitOr)))
        ):
            return self.fresh(opaque=True, typ=base.typ, life=self.lives(base), edges=in_tables(base.objs))
        if isinstance(node.slice, ast.Slice) and base.typ in ("list", "tuple"):
            return self.fresh(edges=self.element(base).objs, typ=base.typ)
        for obj in base.objs:
            if obj.kind == "param":
                self.call_later(obj, "__getitem__", [key])
        found = self.element(base)
        made |= {obj for obj in base.objs if obj.kind == "class"}  # ``Stack[int]`` is called as ``Stack`` is
        return found._replace(objs=found.objs | made) if made else found

    @abstractmethod
    def module_named(self, modules: AbstractValue, key: AbstractValue) -> AbstractValue:
        """Supplied by a subclass."""

    def namespace(self, node: ast.expr) -> Namespace | None:
        """Return the notebook's names, where an expression gives the dict of them, or that of the builtins."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMESPACES:
            main = not node.args or (node.func.id == "vars" and self.eval(node.args[0]).path in _MODULES_OF_NAMES)
            if main and node.func.id not in self.env and (node.func.id == "globals" or not self.frames or node.args):
                return Namespace(self)
        elif (
            isinstance(node, ast.Attribute)
            and node.attr == "__dict__"
            and self.eval(node.value).path in _MODULES_OF_NAMES
        ):
            return Namespace(self)
        return None

    def _binop(self, node: ast.BinOp) -> AbstractValue:
        chain = [node]
        while isinstance(inner := chain[-1].left, ast.BinOp):
            chain.append(inner)  # a sum of a thousand terms is no thousand calls deep
        value = self.eval(chain[-1].left)
        for one in reversed(chain):
            value = self._operated(one, value, self.eval(one.right))
        return value

    def _operated(self, node: ast.BinOp, left: AbstractValue, right: AbstractValue) -> AbstractValue:
        if isinstance(node.op, ast.Add) and "str" in (left.typ, right.typ) and not left.objs and not right.objs:
            return join_texts((left, right))
        return self.operate(left, right, formats=isinstance(node.op, ast.Mod))

    def operate(self, left: AbstractValue, right: AbstractValue, *, formats: bool = False) -> AbstractValue:
        """Return what an operator may give for these operands."""
        self.use(left)
        self.use(right)
        self._given_operand(left, right)
        self._given_operand(right, left)
        if formats and left.typ == "str":
            return AbstractValue(typ="str", text=left.const or left.text)
        objs = left.objs | right.objs
        if not objs:
            return AbstractValue(typ="str") if left.typ == "str" or right.typ == "str" else ATOM
        typ = next((v.typ for v in (left, right) if v.typ in TABLES), None) or left.typ or right.typ
        edges = {inner for obj in objs for inner in obj.edges} if typ not in TABLES else in_tables(objs)
        return self.fresh(
            edges=edges | _kept_operands(objs),
            opaque=any(obj.opaque for obj in objs),
            typ=typ,
            life=self.lives(left, right),
        )

    def _given_operand(self, own: AbstractValue, other: AbstractValue) -> None:
        """Note that operators of the notebook's classes get the other operand: they may keep it, call it, change it."""
        if not self.user_code or not other.objs or self.gives_up():
            return
        for obj in own.objs:
            if obj.kind == "inst" and self.class_of(obj) is not None:
                roots = (obj, *other.objs)
                self.once(("operand", obj, other.objs), roots, partial(self._operator_called, obj, other))

    def _operator_called(self, obj: Obj, other: AbstractValue) -> None:
        for kind in self.kinds_of(obj):
            for method in kind.all_methods():
                info = method.info
                if isinstance(info, FunctionInfo) and _OPERATORS.fullmatch(getattr(info.node, "name", "")):
                    self.apply(method, [other], AbstractValue(frozenset((obj,))))

    def _boolop(self, node: ast.BoolOp) -> AbstractValue:
        first = self.eval(node.values[0])
        return self.join([first, *self._perhaps(node.values[1:])])

    def _perhaps(self, nodes: Iterable[ast.expr]) -> list[AbstractValue]:
        """Return what expressions give that may not run."""
        self.unsure += 1
        values = [self.eval(node) for node in nodes]
        self.unsure -= 1
        return values

    def _unary(self, node: ast.UnaryOp) -> AbstractValue:
        operand = self.eval(node.operand)
        self.use(operand)
        if isinstance(node.op, ast.Not) or not operand.objs:
            return ATOM
        return self.fresh(edges=_kept_operands(operand.objs), opaque=True, typ=operand.typ, life=self.lives(operand))

    def _compare(self, node: ast.Compare) -> AbstractValue:
        values = [self.eval(node.left), *(self.eval(value) for value in node.comparators)]
        for value in values:
            self.use(value)
        contains = any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops)
        if contains:
            self.consume(values[-1])
        if contains or all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):
            return ATOM
        typ = next((v.typ for v in values if v.typ in TABLES), None)
        kept = {obj for value in values for obj in value.objs if is_foreign(obj)}
        return self.fresh(edges=kept, opaque=True, typ=typ, life=self.lives(*values)) if typ or kept else ATOM

    # -- displays

    def _display(self, node: ast.List | ast.Tuple | ast.Set) -> AbstractValue:
        edges: set[Obj] = set()
        for element in node.elts:
            value = self.eval(element)
            edges.update(value.objs)
            if isinstance(node, ast.Set):
                self.use(value)
        if isinstance(node, ast.Tuple):
            # A tuple cannot change itself: it is what it holds.
            return (
                AbstractValue(frozenset((self.new(edges=edges, typ="tuple"),)), typ="tuple")
                if edges
                else AbstractValue(typ="tuple")
            )
        return self.fresh(edges=edges, typ="list" if isinstance(node, ast.List) else "set")

    def _dict(self, node: ast.Dict) -> AbstractValue:
        edges: set[Obj] = set()
        for key, value in zip(node.keys, node.values, strict=True):
            if key is not None:
                hashed = self.eval(key)
                self.use(hashed)
                edges.update(hashed.objs)
                edges.update(self.eval(value).objs)
            else:
                edges.update(self.element(self.eval(value)).objs)
        return self.fresh(edges=edges, typ="dict")

    def _ifexp(self, node: ast.IfExp) -> AbstractValue:
        self.eval(node.test)
        return self.join(self._perhaps((node.body, node.orelse)))

    def _joined(self, node: ast.JoinedStr) -> AbstractValue:
        return join_texts([self.eval(value) for value in node.values])

    def _formatted(self, node: ast.FormattedValue) -> AbstractValue:
        value = self.eval(node.value)
        self.use(value)
        if node.format_spec is not None:
            self.eval(node.format_spec)
            return AbstractValue(typ="str")
        return AbstractValue(const=value.const, typ="str", text=value.text)

    def _slice(self, node: ast.Slice) -> AbstractValue:
        for part in (node.lower, node.upper, node.step):
            if part is not None:
                self.use(self.eval(part))
        return ATOM

    def _walrus(self, node: ast.NamedExpr) -> AbstractValue:
        value = self.eval(node.value)
        self.assign(node.target, value)
        if not self.frames:
            self.bound.add(node.target.id)
        return value

    def _starred(self, node: ast.Starred) -> AbstractValue:
        value = self.eval(node.value)
        self.consume(value)
        return self.element(value)

    def _await(self, node: ast.Await) -> AbstractValue:
        value = self.eval(node.value)
        if not isinstance(node.value, ast.Call):  # a coroutine or a task: what it does is done now
            waiting = frozenset(obj for obj in reach(value.objs) if obj.kind == "iter")
            self.consume(AbstractValue(waiting))
            self.change(obj for obj in reach(waiting) if obj.kind in ("data", "inst", "iter", "param"))
        self.consume(value)
        return self.element(value) if value.objs else ATOM

    def _yield(self, node: ast.Yield | ast.YieldFrom) -> AbstractValue:
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
        names, generator = local_names(node)
        later = generator or isinstance(node, ast.AsyncFunctionDef)
        info = FunctionInfo(node, names, enclosing, static=static, implicit=implicit, generator=later)
        info.names = parameters(node.args)
        info.defaults = frozenset(defaults)
        if not isinstance(node, ast.Lambda):
            arguments = node.args
            listed = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            texts = (*(argument.annotation for argument in listed), node.returns)
            if any(text is not None for text in texts):
                info.forward = frozenset(annotation_names(texts, all_are_texts=self.annotations_are_texts))
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
        obj.hold(inner for value in info.captured.values() for inner in value.objs)
        for frame in self.frames:
            if frame.function is not None:
                frame.closure = frame.closure or self.new(info="closure")
                obj.hold((frame.closure,))

    def _lambda(self, node: ast.Lambda) -> AbstractValue:
        return AbstractValue(frozenset((self.function(node),)))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp) -> AbstractValue:
        elements = self._inside(node)
        typ = {ast.ListComp: "list", ast.SetComp: "set", ast.DictComp: "dict"}[type(node)]
        return self.fresh(edges=elements, typ=typ)

    def _generator(self, node: ast.GeneratorExp) -> AbstractValue:
        # It runs later, and reads then what its names are then; its first iterable is taken at once.
        first = self.eval(node.generators[0].iter)
        facts, self.facts = self.facts, Effects()
        bound, self.bound = self.bound, set()
        elements = self._inside(node)
        inside, self.facts = self.facts, facts
        self.bound = bound
        self.merge(inside, certain=False)
        info = FunctionInfo(node, local_names(node)[0])
        info.facts = Effects(reads=inside.reads)
        function = self.new("func", info=info)
        return AbstractValue(
            frozenset((self.new("iter", edges=elements | first.objs, life=(function,), info="generator"),))
        )

    def _spread(self, target: ast.expr, value: AbstractValue, variables: dict[str, AbstractValue]) -> None:
        """Give the variables of a comprehension what they may be."""
        if isinstance(target, (ast.Tuple, ast.List)):
            element = self.element(value)
            for inner in target.elts:
                self._spread(inner, element, variables)
        elif isinstance(target, (ast.Subscript, ast.Attribute)):  # ``for row[0] in …``
            held = self.eval(target.value).objs
            self.change(held)
            for obj in held:
                obj.hold(value.objs)
        else:
            variables.update(dict.fromkeys(stored_names(target), value))

    def _inside(self, node: Any) -> set[Obj]:
        variables: dict[str, AbstractValue] = {}
        self.inner.append(variables)
        self.unsure += 1
        try:
            for generator in node.generators:
                value = self.eval(generator.iter)
                self.consume(value)
                self._spread(generator.target, self.element(value), variables)
                for condition in generator.ifs:
                    self.eval(condition)
            if isinstance(node, ast.DictComp):
                return set(self.eval(node.key).objs | self.eval(node.value).objs)
            return set(self.eval(node.elt).objs)
        finally:
            self.unsure -= 1
            self.inner.pop()


def changes_its_owner(obj: Obj, name: str) -> bool:
    """Tell whether a name is that of a method that changes the object, where the object has such a method."""
    return name in known.SHALLOW_METHODS or name in known.CHANGES_BY_TYPE.get(obj.typ or "", ())


def _is_method(obj: Obj, name: str) -> bool:
    """Tell whether a name is that of a method of a library's object that changes it, or can be nothing else."""
    return changes_its_owner(obj, name) or obj.info == CONTAINER


def gives_values(path: str) -> bool:
    """Tell whether a function is one of a package, or of a builtin type, that keeps nothing of what it is given."""
    root = path.partition(".")[0]
    return root in GIVE_VALUES or hasattr(builtins, root)


def part_of_module(obj: Obj) -> AbstractValue | None:
    """Return the part of a module that an object stands for, with its path; None for any other object."""
    info = obj.info
    return info.captured["called"] if isinstance(info, FunctionInfo) and info.node is _HANDS_ON else None


def held_by_classes(obj: Obj) -> set[Obj]:
    """Return what the class of an instance, or a class, and those above it hold: it shows that as its own."""
    found: set[Obj] = set()
    todo = [obj if obj.kind == "class" else obj.info]
    while todo:
        cls = todo.pop()
        if isinstance(cls, Obj) and isinstance(cls.info, ClassInfo):
            found |= cls.edges
            todo.extend(base for base in cls.info.bases if base is not cls)
    return found


def _kept_operands(objs: Iterable[Obj]) -> set[Obj]:
    """Return the operands that what an operator gives may keep."""
    return {obj for obj in objs if obj.kind in ("inst", "param") or is_foreign(obj)}


def is_foreign(obj: Obj) -> bool:
    """Tell whether an object comes from a package that no table knows to give values: a connection, an engine."""
    return obj.kind in ("data", "iter") and (obj.info == "file" or not packages_of((obj,)) <= GIVE_VALUES)
