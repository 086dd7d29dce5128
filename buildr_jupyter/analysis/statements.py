"""What a statement binds, reads and changes: the whole flow analysis."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable
from functools import partial

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue, ClassInfo, Effects, Obj
from buildr_jupyter.analysis.definitions import Definitions
from buildr_jupyter.analysis.library_calls import HELD
from buildr_jupyter.analysis.library_methods import held_called
from buildr_jupyter.analysis.methods import entered
from buildr_jupyter.analysis.namespace import Namespace
from buildr_jupyter.analysis.scope import stored_names
from buildr_jupyter.analysis.side_effects import acts_on_world, registers
from buildr_jupyter.analysis.state import TABLES
from buildr_jupyter.analysis.summaries import methods_of_parameters
from buildr_jupyter.analysis.table_cells import stored_in_table

__all__ = ["Flow"]

_PROCESS = ("os", "sys", "builtins")
"""Modules whose containers are the process's own: ``sys.modules``, ``os.environ``."""
_AT_WORK_BESIDE = ("threading", "_thread", "concurrent", "multiprocessing", "sched", "subprocess")
"""Modules by which a notebook has work done beside its cells."""
_NAME_ERRORS = {"NameError", "Exception", "BaseException", "UnboundLocalError"}


class Flow(Definitions):
    """Takes the statements of a notebook one after the other, in the order in which they ran."""

    def __init__(self) -> None:
        super().__init__()
        self._statements = {
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

    def statement(self, node: ast.stmt, *, cell: int, may_fail: bool = False) -> Effects:
        """Return what one top-level statement does, given all that came before it.

        Raises Fails for a statement that certainly fails, where ``may_fail`` allows for that.
        """
        self.facts = Effects()
        self.bound = set()
        self.cell = cell
        self.spent += self.work
        self.work = self.calls = 0
        self.followed.clear()
        self.made_by.clear()
        self.weak = self.guarded = self.unsure = 0
        self.may_fail = may_fail
        try:
            self._one(node)
        finally:
            self.may_fail = False
        self.number += 1
        return self.facts

    def before(self, name: str, number: int) -> AbstractValue | None:
        """Return what a name was before the statement with this number."""
        found = None
        for when, value in self.history.get(name, ()):
            if when >= number:
                break
            found = value
        return found

    # -- targets

    def assign(self, target: ast.expr, value: AbstractValue) -> None:
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

    def _unpacked(self, target: ast.expr, element: AbstractValue) -> AbstractValue:
        if isinstance(target, ast.Starred):
            return self.fresh(edges=element.objs, typ="list")
        return element

    def _store_into(self, target: ast.Attribute | ast.Subscript, value: AbstractValue) -> None:
        if isinstance(target, ast.Subscript) and (names := self.namespace(target.value)):
            names.bind(self.eval(target.slice), value)
            return
        base = self.eval(target.value)
        if base.path in ("builtins", "__main__") and isinstance(target, ast.Attribute):
            Namespace(self).bind(AbstractValue(const=target.attr), value)
        if not self.building and isinstance(target, ast.Attribute) and any(obj.kind == "mod" for obj in base.objs):
            self.change((self.world_object("@always"),))  # other modules read what is put into a module
            if base.path is not None and value.objs:
                path = f"{base.path}.{target.attr}"
                self.put_into_modules[path] = self.put_into_modules.get(path, frozenset()) | value.objs
        if base.path == "sys" and isinstance(target, ast.Attribute) and target.attr == "stdout":
            self.replace_output(value)
        if isinstance(target, ast.Subscript):
            key = self.eval(target.slice)
            self.use(key)
            self.use(base)
            if base.path == "sys.modules" and key.const and value.objs:
                self.put_into_modules[key.const] = self.put_into_modules.get(key.const, frozenset()) | value.objs
                self.module(key.const).hold(value.objs)
            if key.objs and base.typ not in TABLES:
                value = value._replace(objs=value.objs | key.objs)
            if isinstance(target.slice, ast.Slice):
                self.consume(value)
                value = value._replace(objs=value.objs | self.element(value).objs)
        objs = base.objs
        if not objs and base.typ in ("str", "tuple", "range"):
            self.fail()
        owner = target.value
        while not objs and base.path is None and isinstance(owner, (ast.Attribute, ast.Subscript)):
            owner = owner.value  # a part that by itself cannot change, as a dtype: what has it changes
            objs = self.eval(owner).objs
        if isinstance(target.value, ast.Attribute) and target.value.attr in ("loc", "iloc", "at", "iat", "flat"):
            objs = self.eval(target.value.value).objs | objs
        self.change(objs)
        # What a library made of others may put it into these; an item of a file's object is in the file.
        self.change_deep(inner for obj in objs
                         if (obj.opaque and obj.kind == "data" and obj.typ not in TABLES) or obj.info == "file"
                         for inner in obj.edges)  # fmt: skip
        if base.path is not None and base.path.partition(".")[0] in _PROCESS:
            self.change((self.world_object("@always"),))
        self._told_of_store(objs)
        held = value.objs
        if base.typ in TABLES and isinstance(target, ast.Subscript):
            whole = base.typ == "DataFrame" and not isinstance(target.value, ast.Attribute)
            held = stored_in_table(base, value, whole_column=whole)
        for obj in self.keepers(objs) if held else ():
            obj.hold(held)
            if obj.kind == "param" and value.objs:
                self.call_later(obj, HELD, [value])
        for obj in objs:
            if isinstance(target, ast.Attribute):
                if isinstance(obj.info, ClassInfo) and any(inner.kind == "func" for inner in value.objs):
                    obj.info.methods.pop(target.attr, None)
                self.attribute_stored(obj, target.attr, value)

    def _told_of_store(self, objs: Iterable[Obj]) -> None:
        """Note that who watches an object of a library is told that it was given a value: a widget, a trait."""
        if not self.user_code and not any(obj.edges for obj in objs):
            return
        for obj in objs:
            if obj.kind == "data" and obj.opaque and obj.typ not in TABLES and obj.life:
                held_called(self, AbstractValue(frozenset((obj,))), [])
            elif obj.kind == "inst" and (info := self.class_of(obj)) is not None and info.foreign:
                self.once(("stored", obj), (obj,), partial(self.methods_called, obj))

    # -- simple statements

    def _expression(self, node: ast.Expr) -> None:
        value = self.eval(node.value)
        self.use(value)
        if not self.building and isinstance(node.value, ast.Call):
            self._discarded_call(node.value)

    def _discarded_call(self, node: ast.Call) -> None:
        """Note a library's function that is called for what it does and not for what it gives.

        A program that throws a result away wanted something else of the call: a patch, an option, a registration.
        Where no table says that the library's functions leave the process alone, that is kept.
        """
        path = self.eval(node.func).path if isinstance(node.func, (ast.Name, ast.Attribute)) else None
        if path == "time.sleep" and not self.modules.keys().isdisjoint(_AT_WORK_BESIDE):
            self.change((self.world_object("@always"),))  # what goes on beside the cell has that time
        if path is None or "." not in path or path in known.HARMLESS_CALLS:
            return
        root, name = path.partition(".")[0], path.rpartition(".")[2]
        if root not in known.LIBRARIES_WITHOUT_STATE or (root == "sys" and registers(name)):
            self.change((self.world_object("@always"),))
        elif root in sys.stdlib_module_names and root != "random" and not acts_on_world(path):
            given = [self.eval(one) for one in (*node.args, *(keyword.value for keyword in node.keywords))]
            if given and not any(value.objs for value in given):  # there is nothing else that it may have changed
                self.change((self.module(root),))
            elif root in _PROCESS:  # a descriptor that it gave: who uses it, or its other end, sees what was done
                module = self.module(root)
                self.change(obj for value in given for obj in value.objs if module in obj.life)

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
        result = self.operate(old, right) if old.objs or right.objs else AbstractValue(typ=old.typ)
        if old.objs:
            for obj in old.objs:
                if obj.typ in ("list", "set", "dict", None) and old.typ not in ("ndarray", "DataFrame", "Series"):
                    obj.hold(self.element(right).objs)
            result = AbstractValue(old.objs | result.objs, typ=old.typ)
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
            self.facts.returns.update(value.objs, methods_of_parameters(self, node.value))
            self.facts.return_typ = (
                value.typ if value.typ == self.facts.return_typ or not self.facts.return_typ else None
            )

    def _raise(self, node: ast.Raise) -> None:
        for part in (node.exc, node.cause):
            if part is not None:
                raised = self.eval(part)
                made = self._made(raised)
                self.facts.raised.update(
                    obj for obj in (*raised.objs, *made.objs) if obj.kind in ("data", "inst", "param")
                )
        self.fail()

    def _made(self, value: AbstractValue) -> AbstractValue:
        """Return the exceptions that classes among these are made to when they are raised."""
        classes = frozenset(obj for obj in value.objs if obj.kind == "class")
        return self.invoke(AbstractValue(classes), []) if classes else self.fresh()

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                if self.frames and target.id in self.frames[-1].names:
                    continue
                self.read(target.id, target.lineno)
                self.facts.deletes.add(target.id)
                self.let_go(self.env.get(target.id, ATOM))
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

    def _changing(self, body: list[ast.stmt]) -> bool:
        """Take the block of a loop; tell whether it bound or changed anything."""
        facts = self.facts
        before = self.effects, len(facts.mutates), len(facts.calls)
        self._tracked(body)
        return before != (self.effects, len(facts.mutates), len(facts.calls))

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
                if not self._changing(node.body):
                    break  # a second turn would find what the first one did

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
        suppresses = may_suppress = False
        for item in node.items:
            value = self.eval(item.context_expr)
            self.use(value)
            self.change_deep(value.objs)
            may_suppress = may_suppress or any(obj.info != "file" for obj in value.objs)
            suppresses = suppresses or "suppress" in ast.dump(item.context_expr)[:400]
            if item.optional_vars is not None:
                self.assign(item.optional_vars, entered(self, value))
                self.bound.update(stored_names(item.optional_vars) if not self.frames else ())
        if suppresses:
            self.guarded += 1
            self._branch(lambda: self._tracked(node.body), lambda: None)
            self.guarded -= 1
        else:
            self.unsure += may_suppress  # what fails in there need not fail outside
            self._tracked(node.body)
            self.unsure -= may_suppress

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        guarded = any(_catches_names(handler) for handler in node.handlers)

        def body() -> None:
            self.guarded += guarded
            self._tracked(node.body)
            self.guarded -= guarded
            self._tracked(node.orelse)

        def handle(handler: ast.ExceptHandler) -> Callable[[], None]:
            def run() -> None:
                kinds = self.eval(handler.type) if handler.type is not None else ATOM
                if handler.name:
                    made = self._made(self.join([kinds, self.element(kinds)]))
                    self.bind(handler.name, made._replace(objs=made.objs | self.facts.raised))
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
                        self.bind(name, AbstractValue(value.objs | self.element(value).objs))
                        if not self.frames:
                            self.bound.add(name)
                    if isinstance(inner, (ast.MatchValue, ast.MatchClass)):
                        self.eval(inner.value if isinstance(inner, ast.MatchValue) else inner.cls)
                if case.guard is not None:
                    self.eval(case.guard)
                self._tracked(case.body)

            return run

        self._branch(*(take(case) for case in node.cases), lambda: None)


def _catches_names(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in _NAME_ERRORS for kind in kinds)


def _leaves(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], (ast.Raise, ast.Return, ast.Continue, ast.Break))
