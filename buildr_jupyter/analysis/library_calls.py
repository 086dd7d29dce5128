"""What builtins and the functions of modules do and give, by the tables and by their names."""

from __future__ import annotations

import ast
import re
import sys
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import (
    ATOM,
    CONTAINER,
    MADE_CLASS,
    NOTHING,
    AbstractValue,
    FunctionInfo,
    Obj,
    reach,
)
from buildr_jupyter.analysis.expressions import Expressions, is_foreign
from buildr_jupyter.analysis.names_in_text import (
    BINDERS,
    LOADERS,
    LOOKS_AT_MAIN,
    RUNNERS,
    TEXT_BLIND,
    name_pattern,
    read_all,
    read_examples,
    read_forward,
    read_named,
)
from buildr_jupyter.analysis.namespace import Namespace
from buildr_jupyter.analysis.side_effects import CACHES, World, draw_made, mark_of_draw, registers
from buildr_jupyter.analysis.state import TABLES
from buildr_jupyter.analysis.table_cells import cells_of, columns_of, may_hold_objects

__all__ = [
    "ALL_WORK",
    "ASKED",
    "BOUND_CALLS",
    "CALLS",
    "COPIES",
    "DECORATED",
    "DEPTH",
    "GIVEN",
    "HANDED",
    "HELD",
    "SHARE",
    "WORK",
    "Library",
    "moves_on",
    "not_plain",
    "objs_of",
    "opaque",
    "root_of",
]

DEPTH = 12
"""How many calls are looked into one inside the other."""
WORK = 200_000
"""How many objects the calls of one statement may make or look at before all that came earlier is kept."""
ALL_WORK, SHARE = 3 * WORK, 20
"""Once the statements of a notebook have made or looked at so many, each has that part of what one may."""
CALLS = 8_000
"""How many calls of one statement are followed before all that came earlier is kept."""
ASKED = "@asked"
"""Token of what questions leave in the objects that are asked."""
BOUND_CALLS = 3
"""How many methods that were taken from their objects are followed one inside the other."""
COPIES = 32
"""How many objects that one call makes are told apart."""
HELD = "held!"
"""Stands for a method where something is stored into a part of a parameter."""
GIVEN = "given!"
"""Stands for a method where a parameter is given to a library."""
HANDED = "handed:"
"""Stands before the name of a method of a parameter that is given to another call."""
DECORATED = "@decorated:"
"""What the names begin with of what a package was given by its decorators: its questions may show it."""
_STREAM_MODULES = frozenset(["io", "tempfile", "urllib", "gzip", "bz2", "lzma", "codecs", "zipfile", "tarfile", "mmap"])
_MODE = re.compile(r"(?=.*[wax+])[rwaxbtU+]{1,3}(:\w*)?")
_CHOOSERS = frozenset(
    ["functools.reduce", "random.choice", "random.choices", "random.sample", "operator.itemgetter", "heapq.heappop"]
)
"""Functions that give back what a container holds."""
_CALL_LATER = ("threading", "multiprocessing", "sched", "asyncio", "concurrent", "atexit", "signal")
"""Packages that are given a function and, in a list or a dict, what to call it with."""
_GIVE_ITERATORS = ("itertools.tee", "itertools.groupby")
"""Functions whose result holds iterators: they share what they go through."""
_GETTERS = re.compile(r"get(?!size|doc|source|users|pass)")
_WITH_STATE = frozenset(("decimal", "locale", "warnings", "asyncio", "contextvars", "logging", "gettext", "signal"))
"""Packages whose functions without arguments give the state that all share."""
_ASIDE = ("mod", "func", "class")
_LISTED = ("list", "tuple", "dict", "set")
_ONLY_LOOKED_AT = frozenset(("print", "type", "isinstance", "id", "repr", "hasattr", "callable", "help", "str"))
"""Builtins that iterate over nothing that they are given."""
_PLAIN = (known.ATOMIC_BUILTINS | _ONLY_LOOKED_AT) - {"type", "object", "frozenset", "dir"}
"""Builtins that give a plain value, and do nothing but to what they are given."""


class _Call(NamedTuple):
    """What one call of a library's function is given."""

    args: list[AbstractValue]
    given: list[AbstractValue]
    """Those and the keywords' values."""
    dtype: AbstractValue | None = None
    made: frozenset[Obj] = NOTHING
    """What the functions among them may give."""


class Library(Expressions, World):
    """Adds the calls of libraries to the expressions."""

    depth = 0

    @abstractmethod
    def keepers(self, objs: Iterable[Obj]) -> set[Obj]:
        """Supplied by a subclass."""

    def attribute(self, base: AbstractValue, name: str) -> AbstractValue:
        """Return what ``base.name`` may be; a package has a submodule because some statement imported it."""
        if base.path is not None and (token := f"@submodule:{base.path}.{name}") in self.env:
            self.touch(token)
        if base.path is None and name in known.LEFT_BY_QUESTIONS:
            self.touch(ASKED)
        found = super().attribute(base, name)
        if name == "style" and base.typ == "DataFrame":  # no table: its methods change it, whatever their names
            life = {self.module(f"pandas.{name}"), *base.objs, *self.lives(base)}
            return self.fresh(opaque=True, edges=found.objs - base.objs, life=life)
        return found

    def module_named(self, modules: AbstractValue, key: AbstractValue) -> AbstractValue:
        """Return what an item of ``sys.modules`` is: a module, or anything where it is not known which."""
        root = (key.const or "").partition(".")[0]
        if not root.isidentifier():
            return self.join([self.element(modules), self.fresh(opaque=True)])
        found = self._module_of(root)
        return AbstractValue(found.objs | modules.objs, key.const if found.path else None)

    def _module_of(self, root: str) -> AbstractValue:
        """Return the module of this name: one of the notebook's own that stands in ``sys.modules``, or a package."""
        found = self.touch_module(root)
        return found._replace(path=root) if (put := self.put_into_modules.get(root)) is None else AbstractValue(put)

    def consume(self, value: AbstractValue) -> None:
        """Note that a value is iterated: a stream moves on by that, too."""
        super().consume(value)
        self.change(obj for obj in value.objs if moves_on(obj))

    def give(self, objs: Iterable[Obj]) -> None:
        """Note that a library is given these: some change by being used, as a generator of randomness does."""
        for obj in objs:
            if moves_on(obj):
                self.change((obj,))
            elif obj.kind == "param":
                self.call_later(obj, GIVEN, [])

    def change_deep(self, objs: Iterable[Obj]) -> None:
        """Note that these objects, and all that they hold, may change."""
        if self.gives_up():
            return
        below = reach(objs)
        self.work += len(below)
        self.change(obj for obj in below if obj.kind not in _ASIDE)

    def called(self, functions: Iterable[Obj], given: list[AbstractValue]) -> frozenset[Obj]:
        """Return what calls of functions may give, or None that the functions keep."""
        found: set[Obj] = set()
        for function in functions:
            if self.depth < DEPTH:
                value = self.apply(function, given) if function.kind == "func" else self.call_bound(function, given)
                found |= value.objs
        return frozenset(found)

    def called_once(self, method: Obj, given: list[AbstractValue]) -> None:
        """Note a call of a method, taken from its object, whose result nobody takes.

        Methods that a library's objects hold may call each other, in any order: each is followed once.
        """
        objs = objs_of(given)
        self.once(("called", method, objs), (method, *objs), partial(self.call_bound, method, given))

    def methods_called(self, obj: Obj) -> None:
        """Note that a library may call a function of the notebook, or any method of a class or an object."""
        if self.depth >= DEPTH:
            return
        if obj.kind == "func":
            self.apply(obj, [])
        elif (info := self.class_of(obj)) is not None:
            own = AbstractValue(frozenset((obj,)))
            for method in info.all_methods():
                self.apply(method, [], own)

    def call_back(
        self, given: Iterable[AbstractValue], source: AbstractValue = ATOM, *, plain: bool = False
    ) -> set[Obj]:
        """Note that a library may call the functions, and the methods of the objects, that it is given.

        Return what the functions may give. A ``plain`` builtin calls no other methods of an object than those that
        have no name in a call.
        """
        element = [self.element(source)] if source.objs else [ATOM]
        beside = frozenset(
            o for value in given if value is not source for o in value.objs if o.kind in ("data", "inst")
        )
        if beside:  # ``reduce`` has a first value, ``apply`` more arguments
            element = [element[0]._replace(objs=element[0].objs | beside)]
        made: set[Obj] = set()
        for value in given:
            for obj in value.objs:
                if obj.kind == "func" and self.depth < DEPTH:
                    made |= self.apply(obj, element * 3).objs
                elif obj.kind == "bound" and self.depth < DEPTH:
                    self.called_once(obj, element)
                elif obj.kind in ("class", "inst") and plain is False:
                    self.methods_called(obj)
                elif value.typ in _LISTED and plain is False and self.depth < DEPTH:
                    for one in [one for one in reach((obj,)) if one.kind == "func"]:  # ``agg({"v": [spread]})``
                        self.once(("listed", one, element[0].objs), (one,), partial(self.apply, one, element * 3))
                if obj.kind in ("class", "func", "inst"):
                    read_forward(self, (obj,))
                elif obj.kind == "param":
                    self.call_later(obj, "__getitem__", [])
            self.use(value)
        return made

    def library(
        self,
        path: str,
        base: AbstractValue,
        args: list[AbstractValue],
        keywords: Mapping[str, AbstractValue],
        node: ast.Call | None,
    ) -> AbstractValue:
        """Note what a builtin or a module's function does; return what it may give."""
        given = [*args, *keywords.values()]
        if path == "print" and "file" not in keywords:
            self.print_to()
        if path in _PLAIN and not any(value.objs for value in given):
            return self._builtin_result(path, _Call(args, given))
        root, _, _ = path.partition(".")
        name = path.rpartition(".")[2]
        builtin = "." not in path and path not in self.modules
        if path in ("open", "io.open", "gzip.open", "bz2.open", "lzma.open", "codecs.open", "h5py.File"):
            return self.open_file(args, keywords)
        if path in known.FILE_HANDLES and args and args[0].const != ":memory:":
            return self.open_file(args[:1], {"mode": ATOM})
        if not builtin and args and args[0].const and _writes_by_mode(path, args, keywords):
            return self.open_file(args[:1], {"mode": ATOM})
        if path in CACHES and args:
            return self.cached(args[0])
        if path == "operator.methodcaller" and args and args[0].const:
            caller, rest = self.caller_of(args[0].const), objs_of(given[1:])
            return self.fresh(edges=caller.objs | rest, opaque=True) if rest else caller
        if path == "operator.attrgetter":
            return self.getter_of([value.const or "" for value in args])
        if path.startswith("numpy.ndarray.") and args:
            return self.call_bound(self.new("bound", info=name, edges=args[0].objs, typ=args[0].typ), args[1:])
        if path == "runpy.run_path":
            self.star_import(f"run {args[0].const if args else None}", base.objs)
        if builtin and path == "__import__" and args and args[0].const:
            root = args[0].const.partition(".")[0]
            return self._module_of(root)
        if builtin and path in ("globals", "locals", "exec", "eval", "vars", "dir", "__import__"):
            if path in ("exec", "eval") and node is not None and (made := self._in_a_dict(args, node)) is not None:
                return made
            special = self.reflect(path, args, node)
            if special is not None:
                return special
        if path in RUNNERS and args:
            setup = [*args[1:2], *(value for name, value in keywords.items() if name == "setup")]
            if path.startswith("timeit.") and setup:
                self.reflect("exec", setup[:1], node)
            self.reflect("exec", args[:1], node)
        if path in LOOKS_AT_MAIN:
            looked_at = read_all(self, ("func", "class"))
            for obj in looked_at:
                self.methods_called(obj)
            if path.startswith("doctest."):
                read_examples(self, looked_at)
        if path in BINDERS:
            Namespace(self).bind_listed(args, self.fresh(opaque=True, life=base.objs))
        if path in LOADERS:
            read_all(self, ("class",))
        if path == "pandas.eval" or (not builtin and root not in TEXT_BLIND and path not in RUNNERS):
            read_named(self, given)
        if root == "weakref" and given:
            self._watch(args, keywords)
        if path == "gc.collect" and self.finalized:
            self.change((self.world_object("@always"),))
        if path == "setattr" and args[0].path in ("__main__", "builtins") and len(args) > 2:
            Namespace(self).bind(args[1], args[2])
        elif any(value.path == "__main__" for value in given):
            self.facts.everything = self.facts.everything or 1
        if path not in _ONLY_LOOKED_AT:
            for value in given:
                self.consume(value)
        data = [value for value in args if not any(o.kind == "func" for o in value.objs)]
        source = data[0] if data else ATOM  # the others are given as they are, as the first value of ``reduce``
        threads = root in _CALL_LATER and any(o.kind == "func" for value in given for o in value.objs)
        beside = [self.element(value) for value in given if value.objs] if threads else []
        if beside:
            source = self.fresh(edges=source.objs | objs_of(beside))
        made_by_functions = self.call_back(given, source, plain=builtin)
        call = _Call(args, given, keywords.get("dtype"), frozenset(made_by_functions))
        self.world_call(path, base, args, keywords)
        if name.startswith("get_") and any(o.kind in ("func", "class") for value in args for o in value.objs):
            self.touch(f"{DECORATED}{root}")
        self._module_calls(base, args)
        if (
            not builtin
            and root not in known.LIBRARIES_OF_VALUES
            and not (path in known.FILE_READERS or path in known.FILE_WRITERS)
        ):
            self.may_write(name, given)
        if registers(name):
            for module in base.objs if not builtin else ():
                module.hold(obj for obj in objs_of(given) if obj.kind in ("func", "bound"))
        of_arrays = path.replace("numpy.ma.", "numpy.")  # those of masked arrays are named as those of arrays
        for position in known.MUTATING_FUNCTIONS.get(of_arrays, ()):
            if position < len(args):
                self.change(args[position].objs)
                # A part of what a library made may be any of what that holds: ``h[0]`` of ``h = asyncio.run(f(x))``.
                library_made = [
                    obj for obj in args[position].objs if obj.opaque and obj.kind == "data" and obj.typ not in TABLES
                ]
                self.change_deep(library_made)
                if path in ("setattr", "heapq.heappush", "bisect.insort", "operator.setitem"):
                    for obj in self.keepers(args[position].objs):
                        obj.hold(objs_of(args[position + 1 :]))
        if root == "numpy" and len(args) > (out := known.OUT_POSITIONS.get(name, len(args))):
            self.change_deep(objs_of(args[out:]))
        for keyword in ("out", "file", "ax", "random_state", "rng"):
            if keyword in keywords:
                self.change_deep(keywords[keyword].objs)
        if args and any(one in ("inplace", "copy") or one.startswith("overwrite_") for one in keywords):
            self.change_deep(objs_of(args))
        self.give(objs_of(given))
        draws = path.startswith("matplotlib.pyplot.") and name in known.DRAWING
        if not builtin and root not in known.LIBRARIES_OF_VALUES:
            # A frame or an array is drawn, not changed; another object may be a tree, a buffer, an axis.
            quiet = root in known.QUIET_MODULES
            parts = [*keywords.values(), AbstractValue(not_plain(args))] if draws else given
            self.change_deep(obj for value in parts if not (quiet and value.typ in TABLES) for obj in value.objs)
        if not builtin and root not in known.QUIET_MODULES:
            self.change_deep(objs_of(given))
            # What is registered somewhere behaves in another way from then on.
            self.change(obj for value in given for obj in value.objs if obj.kind in ("class", "inst"))
        if root in ("sklearn", "copy") and (draw := draw_made(path, args, keywords)):
            made = self._library_result(path, name, base, call)
            mark = self.new(info=draw, edges=made.objs, life=self.lives(made), typ=mark_of_draw(path))
            return made._replace(objs=made.objs | {mark})
        if not builtin and root not in known.LIBRARIES_OF_VALUES:
            made = self._library_result(path, name, base, call)
            # A part that was made of a tree may be in the tree from then on.
            new = [obj for obj in made.objs if obj.kind == "data"]
            for obj in new:
                obj.hold(self.may_be_written(given))  # ``logging.FileHandler("run.log")`` writes it when it is used
            if root not in known.QUIET_MODULES and any(self._names_module(value) for value in given):
                for obj in new:
                    obj.hold((self.world_object("@always"),))  # who works with it may change the module for all
            for obj in objs_of(args) if not draws else ():
                if obj.kind in ("data", "inst", "param") and obj.typ not in TABLES:
                    obj.hold(new)
            return made
        return self._library_result(path, name, base, call)

    def _module_calls(self, module: AbstractValue, args: list[AbstractValue]) -> None:
        """Note that a module may call the notebook's functions that were put into it, or registered with it."""
        for obj in module.objs:
            for held in [one for one in obj.edges if one.kind in ("func", "bound")] if obj.kind == "mod" else ():
                if held.kind == "bound":
                    self.called_once(held, args)
                elif self.depth < DEPTH:
                    self.depth += 1
                    self.apply(held, args)
                    self.depth -= 1

    def _methods_named(self, owner: AbstractValue, name: AbstractValue) -> frozenset[Obj]:
        """Return the methods that an attribute may be of which no more is known than a part of its name."""
        pattern = name_pattern(name)
        found: set[Obj] = set()
        for obj in owner.objs:
            info = self.class_of(obj) if obj.kind in ("inst", "class") else None
            named = {getattr(one.info.node, "name", "") for one in (info.all_methods() if info is not None else ())
                     if isinstance(one.info, FunctionInfo)}  # fmt: skip
            found |= {self.new("bound", info=one, edges=(obj,)) for one in named if pattern.fullmatch(one)}
        return frozenset(found)

    def _names_module(self, value: AbstractValue) -> bool:
        """Tell whether a value is a module, or a text that names a part of one: ``"time.time"``."""
        root, dot, _ = (value.const or "").partition(".")
        return value.path in self.modules or bool(dot and (root in self.modules or root in sys.stdlib_module_names))

    def _in_a_dict(self, args: list[AbstractValue], node: ast.Call) -> AbstractValue | None:
        """Note a text that runs with the names of dicts that it is given; return None where it has the notebook's."""
        dicts = [value for value, given in zip(args[1:], node.args[1:], strict=False) if self.namespace(given) is None]
        held = objs_of(dicts)
        for obj in held:
            obj.hold((self.new(edges=held, opaque=True),))
        self.change_deep(held)
        self.call_back(dicts)
        own = len(args) > 1 and args[1] in dicts and args[1].path is None
        return self.fresh(edges=held, opaque=True) if own else None

    def _watch(self, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]) -> None:
        """Note that a weak reference looks at objects: their end shows in it, and calls what it was given."""
        called = AbstractValue(objs_of(one for one in args[1:2] if any(o.kind in ("func", "bound") for o in one.objs)))
        self.finalized = True
        for value in (*args, *keywords.values()):
            for obj in (*value.objs, *self.element(value).objs):
                self.watched.setdefault(obj, []).append((called, [*args[2:], ATOM]))

    def _library_result(self, path: str, name: str, base: AbstractValue, call: _Call) -> AbstractValue:
        if "." not in path:
            return self._builtin_result(path, call)
        args, given = call.args, call.given
        life = base.objs if path not in ("copy.copy", "copy.deepcopy") else frozenset(self.lives(*args))
        if path.startswith(("matplotlib.pyplot.", "seaborn.")):
            # What pyplot gives, or is told to go on with, is the figure that its calls in this cell draw on.
            figure = self.figure()
            life |= {figure}
            for obj in objs_of(given):
                if any(one.kind == "mod" and one.info == "matplotlib" for one in obj.life):
                    obj.life.add(figure)
        if path in known.RNG_CONSTRUCTORS:
            # Generators that are made of one source of bits share it.
            return self.fresh(typ="rng", opaque=True, life=life, edges=[o for o in objs_of(given) if o.kind != "mod"])
        if path in known.ITERATOR_FUNCTIONS:
            iterator = self.new("iter", edges=self._iterated([*given, AbstractValue(call.made)]), life=life)
            if path in _GIVE_ITERATORS:  # what is taken from one of them is gone from the other
                iterator.hold((self.new("iter", edges={*objs_of(given), iterator}, life=life),))
            return AbstractValue(frozenset((iterator,)))
        if path == "copy.copy":
            inside = {inner for obj in objs_of(args) for inner in obj.edges}
            return self.fresh(edges=inside, opaque=opaque(objs_of(args)), life=life)
        if path in _CHOOSERS:
            inner = {obj for value in given for obj in self.element(value).objs} | objs_of(given)
            return AbstractValue(frozenset(inner | {self.new(edges=inner)}))
        if not args and (_GETTERS.match(name) or (name[:1].islower() and root_of(path) in _WITH_STATE)):
            return AbstractValue(life | {self.new(edges=life, opaque=True)})
        if path.startswith(
            ("math.", "cmath.", "os.path.", "statistics.", "time.", "string.", "keyword.", "unicodedata.")
        ):
            return AbstractValue(typ="str") if path.startswith("os.path.") else ATOM
        if path in ("pathlib.Path", "pathlib.PurePath") and args and args[0].const is not None:
            return AbstractValue(const=args[0].const, typ="str")
        typ = _result_type(path, name)
        cells = self._cells_of_call(path, name, call) if root_of(path) in ("numpy", "pandas") else NOTHING
        if path in known.VIEW_FUNCTIONS or path.startswith("numpy.ma."):
            # An object that says where its array lies gives a view of what it holds.
            given_away = reach(obj for obj in objs_of(args) if obj.kind == "inst")
            seen = objs_of(args) | {obj for obj in given_away if obj.kind not in _ASIDE}
            made = self.new(opaque=True, typ="ndarray", life=life, edges=cells)
            return AbstractValue(seen | {made}, typ="ndarray")
        if path.startswith("numpy.") and not name[:1].isupper():
            edges: frozenset[Obj] = frozenset(o for o in reach(objs_of(given)) if o.kind in ("func", "inst"))
        elif path.startswith("pandas.") and name[:1].isupper():
            edges = frozenset(o for o in objs_of(given) if o.typ == "ndarray")  # a table may stand on its memory
            edges |= {o for o in reach(objs_of(given)) if o.kind in ("func", "inst")}
        elif path.startswith(("sklearn.pipeline.", "sklearn.compose.")):
            edges = objs_of(given)  # what it makes of estimators fits these
        elif path.startswith("pandas.") or (path.startswith("sklearn.") and not name[:1].isupper()):
            edges = NOTHING
        else:
            edges = objs_of(given)
        edges |= cells
        if not any(
            obj.kind in ("func", "bound") for obj in edges
        ):  # what holds a function gives more once it is called
            edges |= call.made - objs_of(args)
        info = CONTAINER if path in known.CONTAINERS else None
        return self.fresh(opaque=True, typ=typ, edges=edges, life=life, info=info)

    def _cells_of_call(self, path: str, name: str, call: _Call) -> frozenset[Obj]:
        """Return what a table has in its cells that a function of pandas or numpy makes of these."""
        if path.startswith("pandas."):
            return cells_of(call.given, levels=columns_of(name))
        if call.dtype is not None and may_hold_objects(call.dtype):
            marked = self.new(info="cell")  # it may hold objects: what is stored into it, it holds
            return cells_of(call.given) | {marked}
        if name == "full" and len(call.args) > 1:
            return call.args[1].objs | ({self.new(info="cell")} if not call.args[1].const else NOTHING)
        return cells_of(call.given, levels=2)

    def _iterated(self, values: Iterable[AbstractValue]) -> frozenset[Obj]:
        """Return what an iterator over these holds: them, and what they give."""
        return objs_of([one for value in values for one in (value, self.element(value))])

    def _builtin_result(self, path: str, call: _Call) -> AbstractValue:
        args, given = call.args, call.given
        if path == "type" and len(args) > 1:  # it makes a class
            members = objs_of(self.element(value) for value in given)
            return self.fresh(edges=objs_of(given) | members, opaque=True, info=MADE_CLASS)
        if path == "vars":
            made = self.new(edges=objs_of(args), typ="dict", info="vars")
            for obj in objs_of(args):
                obj.edges.add(made)  # it is the object's own: who changes it changes the object
            return AbstractValue(frozenset((made,)), typ="dict")
        if path in known.ATOMIC_BUILTINS or path in ("delattr", "setattr"):
            if path == "type":
                return AbstractValue(self.classes_of(objs_of(args)))
            if path == "frozenset":
                return self.fresh(edges=objs_of(map(self.element, args)), typ=path)
            if path == "object":
                return ATOM
            return AbstractValue(typ="str" if path in ("str", "repr", "format", "ascii") else path)
        if path in known.ITERATOR_FUNCTIONS:
            funcs = [obj for value in args for obj in value.objs if obj.kind in ("func", "bound")]
            if path in ("map", "filter"):  # it gives what the function gives, or what it was given, and no function
                results = self.called(funcs, [self.element(value) for value in args[1:]]) if path == "map" else NOTHING
                return AbstractValue(
                    frozenset((self.new("iter", edges=self._iterated(args[1:]) | results, life=funcs),))
                )
            inside = self._iterated(given) | call.made
            return AbstractValue(frozenset((self.new("iter", edges=inside, life=funcs),)))
        if path in ("list", "tuple", "set", "dict", "sorted"):
            edges = {obj for value in args for obj in self.element(value).objs}
            if path == "dict":  # of pairs, or of another dict: the values are what the pairs hold
                edges |= objs_of(given[len(args) :])
                edges |= self.element(AbstractValue(frozenset(edges))).objs
            return self.fresh(edges=edges, typ="list" if path == "sorted" else path)
        if path in ("min", "max", "next", "sum", "getattr"):
            if path == "getattr" and args and len(args) > 1 and args[1].const:
                return self.callable_anywhere(self.attribute(args[0], args[1].const))
            if path == "getattr" and len(args) > 1 and (methods := self._methods_named(args[0], args[1])):
                reached = objs_of(args) | methods
                return AbstractValue(reached | {self.new(edges=reached)})
            if path == "getattr" and args and args[0].path in ("random", "numpy.random"):
                return self.callable_anywhere(self.attribute(args[0], "any"))  # any of its functions draws
            inner = {obj for value in args for obj in self.element(value).objs} | objs_of(args if path != "sum" else ())
            return AbstractValue(frozenset(inner | {self.new(edges=inner)})) if inner else ATOM
        if path[:1].isupper():  # exceptions
            return self.fresh(edges=objs_of(given), opaque=bool(objs_of(given)))
        if path == "property":
            return self.fresh(edges=objs_of(given))._replace(objs=frozenset(implicit(objs_of(given))))
        if path in ("memoryview", "super", "staticmethod", "classmethod"):
            return AbstractValue(objs_of(args) | {self.new(edges=objs_of(args), opaque=True)})
        return self.fresh(edges=objs_of(given))


def implicit(objs: Iterable[Obj]) -> Iterator[Obj]:
    """Yield functions as ``property`` has them: called without a call."""
    for obj in objs:
        if not isinstance(obj.info, FunctionInfo) or obj.info.implicit:
            yield obj
            continue
        made = Obj(
            "func", obj.serial, info=replace(obj.info, implicit=True), edges=obj.edges, life=obj.life, typ=obj.typ
        )
        made.places = obj.places
        yield made


def root_of(path: str) -> str:
    return path.partition(".")[0]


def objs_of(values: Iterable[AbstractValue]) -> frozenset[Obj]:
    return frozenset().union(*(value.objs for value in values))


def opaque(objs: Iterable[Obj]) -> bool:
    return any(obj.opaque for obj in objs)


def _result_type(path: str, name: str) -> str | None:
    if path.startswith("pandas."):
        if name in ("Series", "to_datetime", "to_numeric", "cut", "qcut", "date_range", "Index", "Categorical"):
            return "Series"
        return (
            "DataFrame"
            if name == "DataFrame" or name.startswith(("read_", "concat", "merge", "pivot", "get_d"))
            else None
        )
    if path.startswith("numpy.") and not path.startswith("numpy.random.default"):
        return "ndarray"
    return None


def moves_on(obj: Obj) -> bool:
    """Tell whether an object changes by being used, wherever it is given: a generator of randomness, a stream."""
    if obj.typ == "rng":
        return True
    return obj.kind == "data" and any(one.kind == "mod" and one.info in _STREAM_MODULES for one in obj.life)


def not_plain(values: Iterable[AbstractValue]) -> frozenset[Obj]:
    """Return what is given to be drawn, and held by that, and is no data of which it is known whose they are."""
    return frozenset(
        obj
        for obj in reach(objs_of(values))
        if obj.kind != "data" or is_foreign(obj) or (obj.opaque and all(one.kind != "mod" for one in obj.life))
    )


def _writes_by_mode(path: str, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]) -> bool:
    """Tell whether a function that is given a path is told to write there, as ``open`` is."""
    modes = [value for name, value in keywords.items() if name == "mode" or name.endswith("_mode")]
    if "mode" not in keywords and path in known.FILE_READERS and len(args) > 1:
        modes.append(args[1])
    return any(mode.const is not None and _MODE.fullmatch(mode.const) is not None for mode in modes)
