"""What gives names: binding, imports, functions, classes and their decorators."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    NOTHING,
    AbstractValue,
    ClassInfo,
    Fails,
    FunctionInfo,
    Obj,
    reach,
)
from buildr_jupyter.analysis.calls import Calls
from buildr_jupyter.analysis.expressions import SETTERS, part_of_module
from buildr_jupyter.analysis.import_effects import KNOWN_ROOTS, iter_effects
from buildr_jupyter.analysis.library_calls import DECORATED, root_of
from buildr_jupyter.analysis.library_tables import IMPORTS_THAT_CHANGE
from buildr_jupyter.analysis.names_in_text import annotation_names, read_named
from buildr_jupyter.analysis.scope import bound_names
from buildr_jupyter.analysis.side_effects import CACHES
from buildr_jupyter.analysis.state import Frame

__all__ = ["Definitions"]

_PLAIN_DECORATORS = frozenset((
    "functools", "dataclasses", "property", "staticmethod", "classmethod", "contextlib", "abc", "typing", "enum",
    "typing_extensions",
))  # fmt: skip
"""Where decorators come from that register nothing."""
_PLAIN_BASES = ("object", "abc.ABC", "typing.Protocol", "typing.NamedTuple", "enum.Enum")
"""Bases that bring no behaviour of their own."""
SCRIPTS = frozenset(("bash", "sh", "script", "perl", "ruby", "system", "sx", "cmd", "python", "python3", "pypy"))
SCRIPTS_BIND = re.compile(r"--(?:out|err|proc)[= ]+(\w+)")
_PROPERTIES = {"property", "cached_property", "setter", "getter", "deleter"}
_STORING = {"__set__", "__delete__", "__setattr__", "__delattr__", "setter", "deleter"}
"""Methods, and decorators of methods, that run where an attribute is given a value or taken away."""


class Definitions(Calls):
    """Adds what binds names to the calls."""

    def __init__(self) -> None:
        super().__init__()
        self._statements: dict[type, Callable[[Any], None]] = {}
        """What takes each kind of statement; the subclass fills it."""
        self.history: dict[str, list[tuple[int, AbstractValue]]] = {}
        """For each name, the statements that gave it a value, with the value."""
        self.number = 0
        self.star_imports: list[tuple[int, str]] = []
        self.local_source: Callable[[str], str | None] = lambda _: None
        """Gives the text of a module that lies beside the notebook, by its dotted name; the exporter supplies it."""
        self.local_code: Callable[[str], list[str] | None] = lambda _: None
        """Gives the code of a script or the cells of a notebook beside this one; the exporter supplies it."""
        self.absent: frozenset[str] = frozenset()
        """Modules that are known not to be there, dotted: the exporter supplies them."""
        self.missed: dict[int, str] = {}
        """Run to the first of these that it imports."""
        self._effects_of_import: dict[str, bool] = {}

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

    def set_global(self, name: str, value: AbstractValue, *, weak: bool) -> None:
        """Give a name of the notebook a value; a weak one may leave the old."""
        facts = self.facts
        self.effects += 1
        if self.finalized and name in self.env and not name.startswith(("@", "*")):
            self.let_go(self.env[name])
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

    def bind(self, name: str, value: AbstractValue) -> None:
        """Give a name a value, where it belongs."""
        self.effects += 1
        if self.frames:
            frame = self.frames[-1]
            if name in frame.globals or (name not in frame.names and not self._captured(name)):
                facts = self.facts
                (facts.maybe if self.weak else facts.binds).add(name)
                old = facts.assigned.get(name)
                facts.assigned[name] = value if old is None else self.join([old, value])
                return
            if name not in frame.names:
                if frame.owner is not None:  # nonlocal: the closure changes, and that of the functions beside it
                    cells = [one for one in frame.owner.edges if one.info == "closure"]
                    self.change((frame.owner, *cells))
                    for holder in (frame.owner, *cells):
                        holder.hold(value.objs)
                return
            old = frame.vals.get(name)
            frame.vals[name] = value if old is None or old == value else self.join([old, value])
            return
        self.set_global(name, value, weak=self.weak > 0)

    def _captured(self, name: str) -> bool:
        return any(frame.function is not None and name in frame.function.enclosing for frame in self.frames)

    # -- imports

    def _import(self, node: ast.Import) -> None:
        self._fails_without([alias.name for alias in node.names])
        for alias in node.names:
            root = alias.name.partition(".")[0]
            module = self._imported(alias.name)
            self._perhaps_for_its_effect(alias.asname or root, root)
            if alias.asname:
                self.bind(alias.asname, AbstractValue(module, alias.name))
            else:
                self.bind(root, AbstractValue(module, root))

    def _import_from(self, node: ast.ImportFrom) -> None:
        path = "." * node.level + (node.module or "")
        self._fails_without([path])
        module = self._imported(path)
        if path == "__future__":  # the kernel's compiler remembers it for all later cells
            self.change((self.world_object("@always"),))
            self.annotations_are_texts = self.annotations_are_texts or any(a.name == "annotations" for a in node.names)
        for alias in node.names:
            if path == "__main__" and alias.name != "*":
                self.bind(alias.asname or alias.name, self.read(alias.name, node.lineno))
            elif alias.name == "*":
                self.star_imports.append((self.number, path))
                self.star_import(path, module)
            else:
                value = AbstractValue(module, f"{path}.{alias.name}")
                self.bind(alias.asname or alias.name, self.callable_anywhere(value))
                self._perhaps_for_its_effect(alias.asname or alias.name, path.partition(".")[0])

    def _fails_without(self, modules: Iterable[str]) -> None:
        """Note that an import of a module fails that is not there."""
        for module in modules:
            if any(module == one or module.startswith(f"{one}.") for one in self.absent):
                try:
                    self.fail()
                except Fails:
                    self.missed.setdefault(self.cell, module)
                    raise

    def _imported(self, path: str) -> frozenset[Obj]:
        """Return the module's object; what changed the package before is needed, too."""
        root = path.partition(".")[0] or path
        value = self.touch_module(root)
        parts = path.split(".")
        for count in range(2, len(parts) + 1 if root == parts[0] else 0):
            # A package has its submodules from whatever statement imported them first.
            self.facts.mutates.add(self.world_object(f"@submodule:{'.'.join(parts[:count])}"))
        self.read_source(root)
        if root not in KNOWN_ROOTS and self._has_effect(path):
            self.change((self.world_object("@always"),))
        for prefix, changed in IMPORTS_THAT_CHANGE.items():
            if path.startswith(prefix):
                self.change((self.module(changed),))
        return value.objs

    def _perhaps_for_its_effect(self, name: str, root: str) -> None:
        """Remember an import of a package that no table knows: if nothing reads the name, it was for its effect."""
        if not self.frames and root and root not in KNOWN_ROOTS:
            self.unread_imports[name] = self.number

    def _has_effect(self, module: str) -> bool:
        """Tell whether importing a module that lies beside the notebook does more than to define names."""
        found = self._effects_of_import.get(module)
        if found is None:
            self._effects_of_import[module] = False  # a module that imports itself in a circle adds nothing
            source = self.local_source(module)
            found = source is not None and any(
                root != module and self._has_effect(root) if isinstance(root, str) else root
                for root in iter_effects(source)
            )
            self._effects_of_import[module] = found
        return found

    def star_import(self, path: str, module: frozenset[Obj]) -> None:
        """Bind ``*``: a name that nothing else binds may come from there."""
        self.star.append(AbstractValue(module, path))
        self.set_global(f"*{path}", AbstractValue(module), weak=self.weak > 0)

    # -- magics that only IPython can run

    def kernel_call(self, method: str, node: ast.Call) -> AbstractValue:
        """Note what a magic does: the code that it runs is read, the names that it may bind come from it."""
        self.read("get_ipython", node.lineno)
        args, keywords = self._arguments(node)
        texts = [value.const or "" for value in args]
        read_named(self, [*args, *keywords.values()])
        magic = texts[0] if texts else ""
        self.touch("@magics")
        if magic == "load_ext":
            self.facts.mutates.add(self.world_object("@magics"))
        elif magic in ("precision", "config", "alias", "alias_magic", "cd"):  # how the shell shows and reads, and where
            self.facts.mutates.add(self.world_object("@always"))
        elif magic == "run" and len(texts) > 1:
            self._run_file(texts[1], node)
        elif magic in ("timeit", "prun", "time") and len(texts) > 1:
            self._run_texts([texts[-1] if len(texts) > 2 else _without_options(texts[1])])
        elif magic in SCRIPTS and len(texts) > 2:
            self.touch_file(None, reads=True, writes=True)
            for name in SCRIPTS_BIND.findall(texts[1]):
                self.bind(name, self.fresh(opaque=True))
        elif method in ("run_line_magic", "run_cell_magic", "run_cell", "ex", "magic", "push"):
            self.star_import(f"%{magic}", NOTHING)
        return self.fresh(opaque=True)

    def _run_file(self, line: str, node: ast.Call) -> None:
        """Note what ``%run`` of a file beside the notebook does, read from its text."""
        name = next((word for word in line.split() if not word.startswith("-")), "").strip("'\"")
        sources = self.local_code(name) if name else None
        if sources is None:
            self.facts.everything = self.facts.everything or node.lineno
            self.star_import(f"%run {name}", NOTHING)
        else:
            self._run_texts(sources)

    def _run_texts(self, sources: Iterable[str]) -> None:
        self.weak += 1
        for source in sources:
            try:
                self.block(ast.parse(source).body)
            except (SyntaxError, ValueError):
                self.star_import("%run", NOTHING)
        self.weak -= 1

    # -- functions and classes

    def _def(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        obj = self.function(node)
        if not self.frames:
            self._annotations(node)
        value = self._decorated(node, AbstractValue(frozenset((obj,))))
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

    def _decorated(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, value: AbstractValue
    ) -> AbstractValue:
        for decorator in reversed(node.decorator_list):
            callee = self.eval(decorator)
            maker = self.eval(decorator.func) if isinstance(decorator, ast.Call) else callee
            if maker.path in CACHES:
                value = self.cached(value)
                continue
            if maker.path is not None and "." in maker.path and not self.building:  # its module may list them
                self.facts.mutates.add(self.world_object(f"{DECORATED}{root_of(maker.path)}"))
            if maker.path is not None and maker.path.partition(".")[0] in _PLAIN_DECORATORS:
                if callee.path is None:
                    value = AbstractValue(value.objs | self.invoke(callee, [value]).objs)
                continue
            if maker.path is not None:
                self._decorated_by_library(node, value)
            if callee.path is not None:
                self.invoke(callee, [value])
                value = AbstractValue(value.objs | callee.objs)
                continue
            if isinstance(decorator, ast.Attribute):  # ``@signal.connect``: a method of an object
                result = self.method(self.base(decorator.value), decorator.attr, [value], {})
            else:
                result = self.invoke(callee, [value])
            if maker is not callee:
                self._register(maker, value)
            value = AbstractValue(value.objs | result.objs)
        return value

    def _register(self, maker: AbstractValue, value: AbstractValue) -> None:
        """Note that ``@show.register(list)`` gives a function to ``show``."""
        for method in maker.objs:
            for owner in method.edges if method.kind == "bound" else ():
                if isinstance(owner.info, FunctionInfo):
                    owner.info.registered.extend(one for one in value.objs if one.kind == "func")
                    owner.hold(value.objs)
                    self.change((owner,))

    def _decorated_by_library(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, value: AbstractValue
    ) -> None:
        """Note that a library may put a function where its annotations say, as ``fastcore.patch`` does."""
        if self.frames or isinstance(node, ast.ClassDef):
            return
        for argument in (*node.args.posonlyargs, *node.args.args):
            if argument.annotation is None:
                continue
            for cls in self.eval(argument.annotation).objs:
                if isinstance(cls.info, ClassInfo):
                    self.change((cls,))
                    cls.info.methods.setdefault(node.name, []).extend(one for one in value.objs if one.kind == "func")

    def _class(self, node: ast.ClassDef) -> None:
        info = ClassInfo(node.name, node)
        obj = self.new("class", info=info)
        keywords = self._bases(node, obj, info)
        names = frozenset(name for inner in node.body for name in _class_names(inner))
        values = self._class_body(node, obj, info, names)
        self._members(values, obj, info)
        texts = (inner.annotation for inner in node.body if isinstance(inner, ast.AnnAssign))
        info.forward = frozenset(annotation_names(texts, all_are_texts=self.annotations_are_texts))
        self.user_code = True
        for meta in info.metaclasses:
            space = [ATOM, ATOM, self.fresh(edges=obj.edges, typ="dict")]
            for made in self._call_hook((meta,), "__new__", meta, space, keywords):
                obj.edges.update(one for one in reach(made.objs) if one.kind != "mod")
                obj.edges.discard(obj)
            self._call_hook((meta,), "__init__", obj, space, keywords)
        self._call_hook(info.bases, "__init_subclass__", obj, (), keywords)
        value = self._decorated(node, AbstractValue(frozenset((obj,))))
        self.bind(node.name, value)

    def _bases(self, node: ast.ClassDef, obj: Obj, info: ClassInfo) -> dict[str, AbstractValue]:
        """Note what a class has from its bases; return what its keywords give, to those and to its metaclass."""
        for base in node.bases:
            value = self.eval(base)
            self.use(value)  # ``__mro_entries__``
            users = [one for one in value.objs if one.kind == "class"]
            info.bases.extend(users)
            obj.edges.update(users)  # what they hold, it shows as its own
            obj.life.update(value.objs)
            if not users and value.path not in _PLAIN_BASES:
                info.foreign = True
            if value.path is not None and re_enum(value.path):
                info.foreign = False
        keywords: dict[str, AbstractValue] = {}
        for keyword in node.keywords:
            value = self.eval(keyword.value)
            if keyword.arg != "metaclass":
                keywords[keyword.arg or "**"] = value
            obj.life.update(value.objs)
            info.foreign = info.foreign or not value.path
            if keyword.arg == "metaclass":
                info.metaclasses.extend(one for one in value.objs if one.kind == "class")
        for cls in info.bases:
            if isinstance(cls.info, ClassInfo):
                info.metaclasses.extend(one for one in cls.info.metaclasses if one not in info.metaclasses)
        if info.bases:
            self._note_subclass(info)
        return keywords

    def _class_body(
        self, node: ast.ClassDef, obj: Obj, info: ClassInfo, names: frozenset[str]
    ) -> dict[str, AbstractValue]:
        """Take the statements of a class; return what its names are at the end."""
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
        return frame.vals

    def _members(self, values: dict[str, AbstractValue], obj: Obj, info: ClassInfo) -> None:
        """Note what a class holds under the names of its body."""
        for name, value in values.items():
            functions = [one for one in value.objs if one.kind == "func"]
            if functions:
                info.methods.setdefault(name, []).extend(f for f in functions if f not in info.methods.get(name, ()))
            if any(one.kind in ("data", "iter", "inst") or part_of_module(one) is not None for one in value.objs):
                info.mutable = True
            for one in value.objs:  # a descriptor is told its name
                if one.kind == "inst" and (kind := self.class_of(one)) is not None:
                    for method in kind.find("__set_name__"):
                        self.apply(method, [AbstractValue(frozenset((obj,))), ATOM], AbstractValue(frozenset((one,))))
            info.fields.extend(one for one in value.objs if one.kind == "data" and one.life)
            obj.hold(value.objs)

    def _note_subclass(self, info: ClassInfo) -> None:
        """Note that each class above knows its subclasses."""
        above = list(info.bases)
        for base in above:
            if isinstance(base.info, ClassInfo):
                base.info.family = base.info.family or f"@subclasses:{base.serial}"
                self.facts.mutates.add(self.world_object(base.info.family))
                above.extend(one for one in base.info.bases if one not in above)

    def _call_hook(
        self,
        classes: Iterable[Obj],
        name: str,
        obj: Obj,
        given: Iterable[AbstractValue],
        keywords: Mapping[str, AbstractValue],
    ) -> list[AbstractValue]:
        infos = [cls.info for cls in classes if isinstance(cls.info, ClassInfo)]
        own = AbstractValue(frozenset((obj,)))
        return [self.apply(method, list(given), own, keywords) for info in infos for method in info.find(name)]

    def _method_def(self, node: ast.FunctionDef | ast.AsyncFunctionDef, info: ClassInfo) -> None:
        marks = {one.id for one in node.decorator_list if isinstance(one, ast.Name)}
        marks |= {one.attr for one in node.decorator_list if isinstance(one, ast.Attribute)}
        if node.name == "__del__":
            self.finalized = True
        if node.name in _STORING or marks & _STORING:
            self.world_object(SETTERS)
        special = node.name.startswith("__") and node.name.endswith("__")
        implicit = bool(marks & _PROPERTIES) or (special and node.name not in ("__init__", "__new__", "__post_init__"))
        obj = self.function(node, static="staticmethod" in marks, implicit=implicit)
        if isinstance(obj.info, FunctionInfo):
            obj.info.stores = "cached_property" in marks
        info.methods.setdefault(node.name, []).append(obj)
        for decorator in node.decorator_list:
            callee = self.eval(decorator)
            if callee.path is None:
                result = self.invoke(callee, [AbstractValue(frozenset((obj,)))])
                info.methods[node.name].extend(one for one in result.objs if one.kind == "func")
        self.bind(node.name, AbstractValue(frozenset((obj,))))


def _without_options(line: str) -> str:
    """Return the code of a line magic, without the options before it."""
    return re.sub(r"^(?:\s*-(?:[nr]\s*\d+|[a-zA-Z]+(?=\s)))+", "", line).strip()


def re_enum(path: str) -> bool:
    """Tell whether a base class is one whose behaviour the notebook's class keeps to itself."""
    return path.startswith(("enum.", "abc.", "typing.")) or path.endswith(("Error", "Exception", "Warning"))


def _class_names(node: ast.stmt) -> list[str]:
    return sorted(bound_names([node])[0])
