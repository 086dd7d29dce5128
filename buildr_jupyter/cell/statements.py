"""What a statement binds, reads and changes: the top floor of the flow analysis."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from buildr_jupyter.cell.calls import Calls
from buildr_jupyter.cell.expressions import Frame
from buildr_jupyter.cell.knowledge import IMPORTS_THAT_CHANGE
from buildr_jupyter.cell.objects import ATOM, ClassInfo, Facts, Obj, Val
from buildr_jupyter.cell.scope import stored_names
from buildr_jupyter.cell.world import CACHES

__all__ = ["Flow"]

_NAME_ERRORS = {"NameError", "Exception", "BaseException", "UnboundLocalError"}
_PROPERTIES = {"property", "cached_property", "setter", "getter"}


class Flow(Calls):
    """Takes the statements of a notebook one after the other, in the order in which they ran."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[tuple[int, Val]]] = {}
        """For each name, the statements that gave it a value, with the value."""
        self.number = 0
        self.star_imports = []
        self._statements: dict[type, Callable[[Any], None]] = {
            ast.Expr: lambda node: self._expression(node),
            ast.Assign: self._assign,
            ast.AugAssign: self._augmented,
            ast.AnnAssign: self._annotated,
            ast.Import: self._import,
            ast.ImportFrom: self._import_from,
            ast.FunctionDef: self._def,
            ast.AsyncFunctionDef: self._def,
            ast.ClassDef: self._class,
            ast.Return: self._return,
            ast.If: self._if,
            ast.For: self._for,
            ast.AsyncFor: self._for,
            ast.While: self._while,
            ast.With: self._with,
            ast.AsyncWith: self._with,
            ast.Try: self._try,
            ast.TryStar: self._try,
            ast.Delete: self._delete,
            ast.Global: self._global,
            ast.Match: self._match,
            ast.Raise: self._raise,
        }

    def statement(self, node: ast.stmt, *, cell: int, may_fail: bool = False) -> Facts:
        """Return what one top-level statement does, given all that came before it.

        Raises Fails for a statement that certainly fails, where ``may_fail`` allows for that.
        """
        self.facts = Facts()
        self.bound = set()
        self.cell = cell
        self.weak = self.guarded = self.unsure = 0
        self.may_fail = may_fail
        try:
            self._one(node)
        finally:
            self.may_fail = False
        self.number += 1
        return self.facts

    def before(self, name: str, number: int) -> Val | None:
        """Return what a name was before the statement with this number."""
        found = None
        for when, value in self.history.get(name, ()):
            if when >= number:
                break
            found = value
        return found

    def _one(self, node: ast.stmt) -> None:
        handler = self._statements.get(type(node))
        if handler is not None:
            handler(node)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.eval(child)

    def block(self, body: list[ast.stmt]) -> None:
        """Take the statements of a block in order."""
        for node in body:
            self._one(node)

    # -- binding

    def set_global(self, name: str, value: Val, *, weak: bool) -> None:
        """Give a name of the notebook a value; a weak one may leave the old."""
        facts = self.facts
        if weak:
            old = self.env.get(name)
            if old is not None:
                value = old if old == value else self.join([old, value])
            if name not in facts.binds:
                facts.maybe.add(name)
        else:
            self.bound.add(name)
            facts.binds.add(name)
        self.env[name] = value
        entries = self.history.setdefault(name, [])
        if entries and entries[-1][0] == self.number:
            entries[-1] = (self.number, value)
        else:
            entries.append((self.number, value))

    def bind(self, name: str, value: Val) -> None:
        """Give a name a value, where it belongs."""
        if self.frames:
            frame = self.frames[-1]
            if name in frame.globals or (name not in frame.names and not self._captured(name)):
                facts = self.facts
                (facts.maybe if self.weak else facts.binds).add(name)
                old = facts.assigned.get(name)
                facts.assigned[name] = value if old is None else self.join([old, value])
                return
            if name not in frame.names:
                if frame.owner is not None:  # nonlocal: the closure changes
                    self.change((frame.owner,))
                    frame.owner.edges.update(obj for obj in value.objs if obj is not frame.owner)
                return
            old = frame.vals.get(name)
            frame.vals[name] = value if old is None or old == value else self.join([old, value])
            return
        self.set_global(name, value, weak=self.weak > 0)

    def _captured(self, name: str) -> bool:
        return any(frame.function is not None and name in frame.function.enclosing for frame in self.frames)

    def assign(self, target: ast.expr, value: Val) -> None:
        """Give an assignment's target a value."""
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self.consume(value)
            element = self.element(value)
            for inner in target.elts:
                self.assign(inner.value if isinstance(inner, ast.Starred) else inner, self._unpacked(inner, element))
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, (ast.Attribute, ast.Subscript)):
            self._store_into(target, value)

    def _unpacked(self, target: ast.expr, element: Val) -> Val:
        if isinstance(target, ast.Starred):
            return self.fresh(edges=element.objs, typ="list")
        return element

    def _store_into(self, target: ast.Attribute | ast.Subscript, value: Val) -> None:
        base = self.eval(target.value)
        if isinstance(target, ast.Subscript):
            self.eval(target.slice)
            self.use(base)
        objs = base.objs
        if not objs and base.typ in ("str", "tuple", "range"):
            self.fail()
        if isinstance(target.value, ast.Attribute) and target.value.attr in ("loc", "iloc", "at", "iat", "flat"):
            objs = self.eval(target.value.value).objs | objs
        self.change(objs)
        if base.path is not None and base.path.startswith(("os.environ", "sys.path", "sys.stdout")):
            self.change((self.world_object("@always"),))
        typ_changes = base.typ in ("DataFrame", "Series", "ndarray")
        for obj in objs:
            if not typ_changes:
                obj.edges.update(inner for inner in value.objs if inner is not obj)
            if isinstance(target, ast.Attribute) and isinstance(obj.info, ClassInfo):
                functions = [inner for inner in value.objs if inner.kind == "func"]
                if functions:
                    obj.info.methods[target.attr] = functions
                elif value.objs:
                    obj.info.mutable = True

    # -- simple statements

    def _expression(self, node: ast.Expr) -> None:
        self.use(self.eval(node.value))

    def _assign(self, node: ast.Assign) -> None:
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            targets, values = node.targets[0].elts, node.value.elts
            if len(targets) == len(values) and not any(isinstance(e, ast.Starred) for e in (*targets, *values)):
                for target, value in zip(targets, [self.eval(value) for value in values], strict=True):
                    self.assign(target, value)
                return
        value = self.eval(node.value)
        for target in node.targets:
            self.assign(target, value)

    def _augmented(self, node: ast.AugAssign) -> None:
        target = node.target
        load: ast.expr
        if isinstance(target, ast.Name):
            load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        elif isinstance(target, ast.Attribute):
            load = ast.copy_location(ast.Attribute(target.value, target.attr, ast.Load()), target)
        else:
            load = ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)
        old = self.eval(load)
        right = self.eval(node.value)
        self.use(right)
        self.consume(right)
        self.change(obj for obj in old.objs if obj.kind not in ("func", "class", "mod") and obj.typ != "tuple")
        result = self.operate(old, right) if old.objs or right.objs else Val(typ=old.typ)
        if old.objs:
            for obj in old.objs:
                if obj.typ in ("list", "set", "dict", None) and old.typ not in ("ndarray", "DataFrame", "Series"):
                    obj.edges.update(inner for inner in self.element(right).objs if inner is not obj)
            result = Val(old.objs | result.objs, typ=old.typ)
        if isinstance(target, ast.Name):
            self.bind(target.id, result)
        else:
            self._store_into(target, right)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if not self.frames:
            self.eval(node.annotation)
        if node.value is not None:
            self.assign(node.target, self.eval(node.value))

    def _return(self, node: ast.Return) -> None:
        if node.value is not None:
            value = self.eval(node.value)
            self.facts.returns.update(value.objs)
            self.facts.return_typ = (
                value.typ if value.typ == self.facts.return_typ or not self.facts.return_typ else None
            )

    def _raise(self, node: ast.Raise) -> None:
        for part in (node.exc, node.cause):
            if part is not None:
                self.eval(part)
        self.fail()

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                if self.frames and target.id in self.frames[-1].names:
                    continue
                self.read(target.id, target.lineno)
                self.facts.deletes.add(target.id)
                self.facts.maybe.add(target.id)
                if not self.frames and not self.weak:
                    self.env.pop(target.id, None)
            elif isinstance(target, (ast.Attribute, ast.Subscript)):
                self._store_into(target, ATOM)
            elif isinstance(target, (ast.Tuple, ast.List)):
                self._delete(ast.copy_location(ast.Delete(target.elts), node))

    def _global(self, node: ast.Global) -> None:
        if self.frames:
            self.frames[-1].globals.update(node.names)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            root = alias.name.partition(".")[0]
            module = self._imported(alias.name)
            if alias.asname:
                self.bind(alias.asname, Val(module, alias.name))
            else:
                self.bind(root, Val(module, root))

    def _import_from(self, node: ast.ImportFrom) -> None:
        path = "." * node.level + (node.module or "")
        module = self._imported(path)
        if path == "__future__":  # the kernel's compiler remembers it for all later cells
            self.change((self.world_object("@always"),))
        for alias in node.names:
            if alias.name == "*":
                self.star_imports.append((self.number, path))
                self.star_import(path, module)
            else:
                self.bind(alias.asname or alias.name, Val(module, f"{path}.{alias.name}"))

    def _imported(self, path: str) -> frozenset[Obj]:
        """Return the module's object; what changed the package before is needed, too."""
        root = path.partition(".")[0] or path
        value = Val(frozenset((self.module(root),)))
        token = f"@module:{root}"
        if token not in self.env:
            self.env[token] = value
            self.history[token] = [(-1, value)]
        self.touch(token)
        if f"@file:{root}.py" in self.env:  # a module that the notebook wrote
            self.touch_file(f"{root}.py", reads=True, writes=False)
        for prefix, changed in IMPORTS_THAT_CHANGE.items():
            if path.startswith(prefix):
                self.change((self.module(changed),))
        return value.objs

    star_imports: list[tuple[int, str]]

    def star_import(self, path: str, module: frozenset[Obj]) -> None:
        """Bind ``*``: a name that nothing else binds may come from there."""
        self.star.append(Val(module, path))
        self.set_global(f"*{path}", Val(module), weak=False)

    # -- definitions

    def _def(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        obj = self.function(node)
        if not self.frames:
            self._annotations(node)
        if self.weak or node.decorator_list or self.frames:
            pass
        value = self._decorated(node, Val(frozenset((obj,))))
        self.bind(node.name, value)

    def _annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = node.args
        listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self.guarded += 1
        for argument in listed:
            if argument is not None and argument.annotation is not None:
                self.eval(argument.annotation)
        if node.returns is not None:
            self.eval(node.returns)
        self.guarded -= 1

    def _decorated(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, value: Val) -> Val:
        for decorator in reversed(node.decorator_list):
            callee = self.eval(decorator)
            maker = self.eval(decorator.func) if isinstance(decorator, ast.Call) else callee
            if maker.path in CACHES:
                value = self.cached(value)
                continue
            if callee.path is not None:
                if callee.path.split(".")[0] not in (
                    "functools",
                    "dataclasses",
                    "property",
                    "staticmethod",
                    "classmethod",
                ):
                    value = Val(value.objs | callee.objs)
                continue
            result = self.invoke(callee, [value])
            value = Val(value.objs | result.objs)
        return value

    def _class(self, node: ast.ClassDef) -> None:
        info = ClassInfo(node.name)
        obj = self.new("class", info=info)
        for base in node.bases:
            value = self.eval(base)
            users = [one for one in value.objs if one.kind == "class"]
            info.bases.extend(users)
            obj.life.update(value.objs)
            if not users and value.path not in (
                "object",
                "abc.ABC",
                "typing.Protocol",
                "typing.NamedTuple",
                "enum.Enum",
            ):
                info.foreign = True
            if value.path is not None and re_enum(value.path):
                info.foreign = False
            self._call_hook(users, "__init_subclass__", obj)
        for keyword in node.keywords:
            value = self.eval(keyword.value)
            obj.life.update(value.objs)
            info.foreign = info.foreign or not value.path
        names = frozenset(name for inner in node.body for name in _class_names(inner))
        frame = Frame(names, obj, is_class=True)
        self.frames.append(frame)
        weak, self.weak = self.weak, 0
        guarded, self.guarded = self.guarded, self.guarded + 1
        direct_before = dict(self.facts.direct)
        try:
            for inner in node.body:
                if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    self._method_def(inner, info)
                else:
                    self._one(inner)
        finally:
            self.frames.pop()
            self.weak = weak
            self.guarded = guarded
        self.facts.direct = direct_before | {k: v for k, v in self.facts.direct.items() if k not in names}
        for name, value in frame.vals.items():
            functions = [one for one in value.objs if one.kind == "func"]
            if functions:
                info.methods.setdefault(name, []).extend(f for f in functions if f not in info.methods.get(name, ()))
            if any(one.kind in ("data", "iter") for one in value.objs):
                info.mutable = True
            obj.edges.update(one for one in value.objs if one is not obj)
        self.user_code = True
        value = self._decorated(node, Val(frozenset((obj,))))
        self.bind(node.name, value)

    def _call_hook(self, classes: Iterable[Obj], name: str, obj: Obj) -> None:
        for cls in classes:
            if isinstance(cls.info, ClassInfo):
                for method in cls.info.find(name):
                    self.apply(method, [], Val(frozenset((obj,))))

    def _method_def(self, node: ast.FunctionDef | ast.AsyncFunctionDef, info: ClassInfo) -> None:
        marks = {one.id for one in node.decorator_list if isinstance(one, ast.Name)}
        marks |= {one.attr for one in node.decorator_list if isinstance(one, ast.Attribute)}
        special = node.name.startswith("__") and node.name.endswith("__")
        implicit = bool(marks & _PROPERTIES) or (special and node.name not in ("__init__", "__new__", "__post_init__"))
        obj = self.function(node, static="staticmethod" in marks, implicit=implicit)
        info.methods.setdefault(node.name, []).append(obj)
        for decorator in node.decorator_list:
            callee = self.eval(decorator)
            if callee.path is None:
                result = self.invoke(callee, [Val(frozenset((obj,)))])
                info.methods[node.name].extend(one for one in result.objs if one.kind == "func")
        self.bind(node.name, Val(frozenset((obj,))))

    # -- branches and loops

    def _branch(self, *parts: Callable[[], None]) -> None:
        """Take branches of which one runs: what all of them bind is bound."""
        start = set(self.bound)
        binds = set(self.facts.binds)
        ends: list[set[str]] = []
        for part in parts:
            self.bound = set(start)
            self.weak += 1
            part()
            ends.append(self.bound)
            self.weak -= 1
        self.bound = set.intersection(*ends) if ends else start
        if not self.frames and not self.weak:
            surely = self.bound - start
            self.facts.binds = binds | surely

    def _if(self, node: ast.If) -> None:
        self.use(self.eval(node.test))
        self._branch(lambda: self._tracked(node.body), lambda: self._tracked(node.orelse))

    def _tracked(self, body: list[ast.stmt]) -> None:
        """Take a block inside a branch, noting in ``bound`` what each of its statements surely binds."""
        for inner in body:
            self._one(inner)
            self.bound.update(self._surely(inner))

    def _surely(self, node: ast.stmt) -> set[str]:
        if self.frames:
            return set()
        if isinstance(node, ast.Assign):
            return {name for target in node.targets for name in stored_names(target)}
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return set(stored_names(node.target))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return {node.name}
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            return {alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name != "*"}
        return set()

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        value = self.eval(node.iter)
        self.consume(value)

        if not self.frames and not self.weak:
            for name in stored_names(node.target):
                # A loop that never runs leaves the old value: the slice knows. Not so the aliases, which would pile up.
                self.env.pop(name, None)

        def loop() -> None:
            for _ in range(2):
                self.assign(node.target, self.element(value))
                self.bound.update(stored_names(node.target) if not self.frames else ())
                self._tracked(node.body)

        self._branch(loop, lambda: None)
        self._branch(lambda: self._tracked(node.orelse), lambda: None)

    def _while(self, node: ast.While) -> None:
        def loop() -> None:
            for _ in range(2):
                self.use(self.eval(node.test))
                self._tracked(node.body)

        self.use(self.eval(node.test))
        self._branch(loop, lambda: None)
        self._branch(lambda: self._tracked(node.orelse), lambda: None)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        suppresses = False
        for item in node.items:
            value = self.eval(item.context_expr)
            self.use(value)
            self.change_deep(value.objs)
            suppresses = suppresses or "suppress" in ast.dump(item.context_expr)[:400]
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        if suppresses:
            self.guarded += 1
            self._branch(lambda: self._tracked(node.body), lambda: None)
            self.guarded -= 1
        else:
            self.block(node.body)

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        guarded = any(_catches_names(handler) for handler in node.handlers)

        def body() -> None:
            self.guarded += guarded
            self._tracked(node.body)
            self.guarded -= guarded
            self._tracked(node.orelse)

        def handle(handler: ast.ExceptHandler) -> Callable[[], None]:
            def run() -> None:
                if handler.type is not None:
                    self.eval(handler.type)
                if handler.name:
                    self.bind(handler.name, self.fresh(edges=()))
                    if not self.frames:
                        self.bound.add(handler.name)
                self._tracked(handler.body)

            return run

        self._branch(body, *(handle(handler) for handler in node.handlers if not _leaves(handler.body)))
        for handler in node.handlers:
            if _leaves(handler.body):
                self._branch(handle(handler), lambda: None)
        self.block(node.finalbody)

    def _match(self, node: ast.Match) -> None:
        value = self.eval(node.subject)
        self.use(value)

        def take(case: ast.match_case) -> Callable[[], None]:
            def run() -> None:
                for inner in ast.walk(case.pattern):
                    name = getattr(inner, "name", None) or getattr(inner, "rest", None)
                    if isinstance(name, str):
                        self.bind(name, Val(value.objs | self.element(value).objs))
                        if not self.frames:
                            self.bound.add(name)
                    if isinstance(inner, (ast.MatchValue, ast.MatchClass)):
                        self.eval(inner.value if isinstance(inner, ast.MatchValue) else inner.cls)
                if case.guard is not None:
                    self.eval(case.guard)
                self._tracked(case.body)

            return run

        self._branch(*(take(case) for case in node.cases), lambda: None)


def re_enum(path: str) -> bool:
    """Tell whether a base class is one whose behaviour the notebook's class keeps to itself."""
    return path.startswith(("enum.", "abc.", "typing.")) or path.endswith(("Error", "Exception", "Warning"))


def _class_names(node: ast.stmt) -> list[str]:
    from buildr_jupyter.cell.scope import bound_names

    return sorted(bound_names([node])[0])


def _catches_names(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _NAME_ERRORS for kind in kinds)


def _leaves(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))
