"""The world that statements share without a name: generators of random numbers, files, options, figures."""

from __future__ import annotations

import ast
import re
import sys
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue, Effects, FunctionInfo, Obj, packages_of, reach
from buildr_jupyter.analysis.draws import Draw, draw_of, may_draw_when_asked
from buildr_jupyter.analysis.value_origins import GENERATORS, origins_of_call

__all__ = [
    "CACHES",
    "CACHE_METHODS",
    "FILE",
    "MAYBE",
    "World",
    "acts_on_world",
    "draw_made",
    "file_token",
    "generators_below",
    "leads_to_world",
    "mark_of_draw",
    "registers",
]

_SETTERS = re.compile(
    r"set|reset|register|unregister|use\Z|rc|config|basicConfig|filter|simplefilter|install|patch|enable|disable|init|"
    r"theme|style|option|putenv|unsetenv|chdir|update\Z|append\Z|insert\Z|extend\Z|load_ext|login|download|clear|remove|"
    r"addLevelName|add_|seterr|setlocale|monkey"
)
_ALWAYS = ("os.chdir", "os.putenv", "sys.set", "locale.setlocale", "sys.path", "os.environ", "os.umask")
_BACKENDS = ("matplotlib.use", "matplotlib.pyplot.switch_backend")
_GLOBAL_DRAWS = re.compile(r"(?:random|numpy\.random)\.[a-z]")
_FAMILY = {
    "pandas": ("numpy",),
    "scipy": ("numpy",),
    "sklearn": ("numpy", "scipy"),
    "matplotlib": ("numpy",),
    "seaborn": ("matplotlib", "numpy", "pandas"),
    "statsmodels": ("numpy", "pandas"),
    "numpy": (),
}
_MAY_GIVE = ("numpy", "pandas", "matplotlib")
"""Packages whose options show in what any other package may give: all but those of the standard library."""
_NO_DRAWS = (
    (known.LIBRARIES_OF_VALUES | known.QUIET_MODULES) & (sys.stdlib_module_names | {"numpy", "pandas"})
    | {"matplotlib", "PIL", "IPython", "tqdm", "bs4", "tabulate", "pytz", "dateutil", "requests", "mpl_toolkits"}
    | {"sklearn", "scipy"}
)  # fmt: skip
"""Packages that draw from no global generator, those aside of which other tables say what draws."""


ASKED = "asked"
"""Type of the mark of an object that may draw whatever it is asked for, not only when it is fitted."""
CACHES = ("functools.cache", "functools.lru_cache")
CACHE_METHODS = ("cache_info", "cache_clear", "cache_parameters")
_PLACES = ("path_or_buf", "path", "fname", "buf", "excel_writer", "fid", "file")
"""Keywords under which methods are told where to write."""
_SUFFIXES = {"numpy.save": ".npy", "numpy.savez": ".npz", "numpy.savez_compressed": ".npz"}
"""Functions that put an ending to a name that lacks it."""
FILE = "@file:"
"""What the names begin with under which files are tracked."""
MAYBE = "@maybe:"
"""What the names begin with under which files are tracked that something of which nothing is known may have written."""
_PATH = re.compile(r"[^\s\0]{1,400}")
_HAS_FORM = re.compile(r"/|\.\w{1,8}\Z")
"""Texts that look like paths, by themselves."""
_WRITES = re.compile(r"save|write|dump|export|to_|store|extract|download|convert|render|copy|mkdir|make", re.IGNORECASE)
OUTPUT = "@stdout"
"""Token of what the notebook put in the place of standard output."""


_FILE_NAME = re.compile(r"[^\s:*?<>|\"]*[^\s:*?<>|\"/.]\.[A-Za-z][A-Za-z0-9]{0,7}")
"""What a text looks like that names a file: by its ending."""
_WRITING_MODE = re.compile(r"(?=.*[wax+])[rwaxbt+]{1,3}")
_FILES_ARE_LISTED = known.LIBRARIES_OF_VALUES & sys.stdlib_module_names
"""Packages whose functions that read or write files are in the tables, all of them."""
_LOOKS = frozenset(("exists", "glob", "is_dir", "is_file", "iterdir", "read_bytes", "read_text", "rglob", "stat"))
"""Methods of a path that read a file, or what is in a folder."""
_LOOKS_BELOW = frozenset(("glob", "iterdir", "rglob"))


def file_token(path: str | None) -> str:
    """Return the name under which a file is tracked; ``@file:*`` where the path is not known."""
    return _token(FILE, path)


def _maybe_token(path: str | None) -> str:
    """Return the name under which a file is tracked that may have been written; ``@maybe:*`` for any."""
    return _token(MAYBE, path)


def _token(prefix: str, path: str | None) -> str:
    return f"{prefix}*" if path is None else f"{prefix}{path.removeprefix('./')}"


@lru_cache(maxsize=4096)
def acts_on_world(path: str) -> bool:
    """Tell whether a module's function draws from a global generator, or reads or writes files."""
    if path.rpartition(".")[2][:1].isupper() or path in known.RNG_CONSTRUCTORS:
        return False
    if path.startswith(("scipy.", "sklearn.")) and draw_of(path, (), Draw.NOT) is Draw.DOES:
        return True
    return _GLOBAL_DRAWS.match(path) is not None or path in known.FILE_WRITERS or path in known.FILE_READERS


_OWNERS = frozenset(
    ".".join(parts[:count])
    for parts in (
        path.split(".") for path in (*known.FILE_READERS, *known.FILE_WRITERS, "numpy.random.rand", "random.random")
    )
    for count in range(1, len(parts))
)
"""Modules and classes whose members draw from a global generator, or read or write files."""


@lru_cache(maxsize=4096)
def leads_to_world(path: str) -> bool:
    """Tell whether a part of a module, or what is taken from it by a name, draws or reads or writes files."""
    if path in _OWNERS or acts_on_world(path):
        return True
    root, _, inner = path.partition(".")
    if root not in ("scipy", "sklearn") or inner.rpartition(".")[2][:1].isupper():
        return False
    return draw_of(path, (), Draw.NOT) is not Draw.NOT or not inner or inner == "stats"


def registers(name: str) -> bool:
    """Tell whether a function of this name keeps what it is given, as a module's own state."""
    return not name[:1].isupper() and _SETTERS.match(name) is not None


def _works_on_data(path: str, args: Sequence[AbstractValue]) -> bool:
    """Tell whether a function of a package of values is given a table or a list first: ``np.append``, ``add_constant``.

    What sets an option or registers something is given a text, a number or a function, or keywords alone; a method
    that is called by its class (``DataFrame.insert``) changes the table.
    """
    root, *owners, _ = path.split(".")
    if any(one[:1].isupper() or one == "ndarray" for one in owners):
        return False
    of_values = root in known.LIBRARIES_OF_VALUES and root not in sys.stdlib_module_names
    return of_values and bool(args) and args[0].typ in ("DataFrame", "Series", "ndarray", "list", "range")


def generators_below(path: str) -> tuple[str, ...]:
    """Return the tokens of the global generators from which members of members of a package draw."""
    return ("@rng:numpy",) if path in ("numpy", "scipy", "scipy.stats", "sklearn") else ()


def held(objs: Iterable[Obj], *, unknown: Draw = Draw.NOT) -> Draw:
    """Return whether an estimator or a splitter that draws is among these objects and what they hold.

    What a function is given may be one: then it is ``unknown``.
    """
    found = frozenset(objs)
    most = max([obj.info for obj in reach(found) if isinstance(obj.info, Draw)], default=Draw.NOT)
    return max(most, unknown) if any(obj.kind == "param" for obj in found) else most


def draw_made(path: str, args: Iterable[AbstractValue], keywords: Mapping[str, AbstractValue]) -> Draw:
    """Return whether what a function of scikit-learn gives draws when it is fitted or split."""
    draw = _draw_of(path, args, keywords) if path.startswith("sklearn.") else Draw.NOT
    if path.rpartition(".")[2][:1].isupper():
        return draw
    given = held(obj for value in (*args, *keywords.values()) for obj in value.objs)
    return max(given, Draw(draw is Draw.MAY))  # one that no table knows may give the generator itself


def mark_of_draw(path: str) -> str | None:
    """Return the type of the mark that says of an object that it draws."""
    return ASKED if path.startswith("sklearn.") and may_draw_when_asked(path) else None


def _draw_of(path: str, args: Iterable[AbstractValue], keywords: Mapping[str, AbstractValue]) -> Draw:
    given = (obj for value in (*args, *keywords.values()) for obj in value.objs)
    return draw_of(path, keywords, held(given, unknown=Draw.MAY))


def _mode_of(args: Sequence[AbstractValue], keywords: Mapping[str, AbstractValue]) -> str | None:
    """Return the mode that is given to ``open``, first or by its name; ``r`` for none, None where it is not known."""
    return (args[0] if args else keywords.get("mode", AbstractValue(const="r"))).const


def _may_write(mode: str | None) -> bool:
    """Tell whether a file that is opened so may be written to."""
    return mode is None or any(letter in mode for letter in "wax+")


class World:
    """Adds what calls of modules do to the world."""

    env: dict[str, AbstractValue]
    history: dict[str, list[tuple[int, AbstractValue]]]
    facts: Effects
    bound: set[str]
    building: list[FunctionInfo]
    modules: dict[str, Obj]
    serial: int
    file_tokens: list[str]

    weak = 0
    """How many branches or loops are around the current statement."""
    cell = 0
    figures_stay = False
    """Whether the notebook has another backend of matplotlib than its own."""

    def __init_subclass__(cls) -> None:
        cls.shared = frozenset()

    shared: frozenset[Obj]

    def module(self, root: str) -> Obj:
        """Return the object that stands for all of a package."""
        found = self.modules.get(root)
        if found is None:
            self.serial += 1
            found = self.modules[root] = Obj("mod", self.serial, info=root)
            family = _FAMILY.get(root, () if root in sys.stdlib_module_names else _MAY_GIVE)
            found.life.update(self.module(other) for other in family if other != root)
        return found

    def touch_module(self, root: str) -> AbstractValue:
        """Note that a package is needed as it is; return it."""
        value, token = AbstractValue(frozenset((self.module(root),))), f"@module:{root}"
        if token not in self.env:
            self.env[token] = value
            self.history[token] = [(-1, value)]
        self.touch(token)
        return value

    def world_object(self, token: str) -> Obj:
        """Return the object of a token, which is made when first asked for."""
        value = self.env.get(token)
        if value is None:
            self.serial += 1
            value = AbstractValue(frozenset((Obj("world", self.serial, info=token),)))
            if token.startswith(FILE):
                self.file_tokens.append(token)
            # It was there from the start: who meets it first, and only reads it, does not make it.
            self.env[token] = value
            self.history[token] = [(-1, value)]
        return next(iter(value.objs))

    @abstractmethod
    def methods_called(self, obj: Obj) -> None:
        """Supplied by a subclass."""

    @abstractmethod
    def set_global(self, name: str, value: AbstractValue, *, weak: bool) -> None:
        """Supplied by a subclass."""

    def seed(self, token: str, *, weak: bool) -> None:
        """Note that a generator gets a known state."""
        self.serial += 1
        self.set_global(f"@{token}", AbstractValue(frozenset((Obj("world", self.serial, info=token),))), weak=weak)

    def touch(self, token: str) -> None:
        """Note that a part of the world is needed as it is."""
        for info in self.building:
            info.rests_on.setdefault(token, self.env.get(token))
        if token not in self.bound:
            self.facts.reads.add(token)

    def draw(self, token: str) -> None:
        """Note a draw from a global generator: it matters once that was seeded."""
        self.facts.origins.add(token.removeprefix("rng:"))
        self.move_on(f"@{token}")

    def move_on(self, token: str) -> None:
        """Note that a generator may move on."""
        for info in self.building:
            info.rests_on.setdefault(token, self.env.get(token))
        if token in self.env:
            self.touch(token)
            self.facts.mutates.update(self.env[token].objs)

    def may_draw(self, roots: Iterable[object]) -> None:
        """Note that functions and objects of packages may draw from the global generators, as all may do.

        That matters for the generator that the notebook seeded; of a value nothing is said by it.
        """
        if ("@rng:numpy" in self.env or "@rng:random" in self.env or self.building) and any(
            root not in _NO_DRAWS for root in roots
        ):
            for generator in GENERATORS:
                self.move_on(f"@rng:{generator}")
                if f"@rng:{generator}" in self.env:
                    self.facts.origins.add(generator)

    def draw_by_object(self, objs: frozenset[Obj], name: str) -> None:
        """Note a draw that an object may make on its own: a random estimator's fit, a frame's sample.

        An object of the standard library, as a ``random.Random``, draws from no generator of numpy.
        """
        makers = packages_of(objs)
        if makers and makers <= sys.stdlib_module_names:
            return
        if name == "sample":
            self.draw_as(Draw.DOES)
        elif name == "split" or not known.is_quiet(name, None, ("sklearn",)):
            self.draw_as(held(objs))
        elif any(isinstance(obj.info, Draw) and obj.typ == ASKED for obj in reach(objs)):
            self.draw_as(min(held(objs), Draw.MAY))

    def draw_as(self, draw: Draw) -> None:
        """Note a draw from numpy's generator, or that there may be one: then nothing is said of the value by it."""
        if draw is Draw.DOES:
            self.draw("rng:numpy")
        elif draw is Draw.MAY:
            self.move_on("@rng:numpy")

    # -- standard output

    def replace_output(self, value: AbstractValue) -> None:
        """Note that what is printed goes to another object from now on, or to the process's own output again."""
        own = (value.path or "").startswith("sys.") or any(obj.kind == "mod" for obj in value.objs)
        self.set_global(OUTPUT, ATOM if own else value, weak=bool(self.weak or self.building))

    def print_to(self) -> None:
        """Note that something is printed: that changes what takes the place of standard output."""
        place = self.env.get(OUTPUT, ATOM)
        for info in self.building:
            info.rests_on.setdefault(OUTPUT, self.env.get(OUTPUT))
        if place.objs:
            self.touch(OUTPUT)
            self.facts.mutates.update(place.objs)
            for obj in place.objs:
                self.methods_called(obj)

    # -- files

    def touch_file(self, path: str | None, *, reads: bool, writes: bool) -> Obj:
        """Note that a file is read or written; return its object."""
        token = file_token(path)
        obj = self.world_object(token)
        parts = path.removeprefix("./").split("/")[:-1] if path is not None else []
        for count in range(1, len(parts) + 1):
            place = "/".join(parts[:count])
            for folder in (file_token(place), _maybe_token(place)):
                if folder in self.env:
                    self.touch(folder)  # it was made before
        if reads:
            # A file that the text does not name may be any that was written, and any may be the named one.
            self.touch(token if path is not None else f"{FILE}any")
            for other in (file_token(None), _maybe_token(None), _maybe_token(path or "")):
                if other in self.env:
                    self.touch(other)
        if writes:
            self.facts.mutates.add(obj)
            self.facts.mutates.add(self.world_object(f"{FILE}any"))
            if path is None:
                for other, value in list(self.env.items()):
                    if other.startswith(FILE):
                        self.facts.mutates.update(value.objs)
        return obj

    def may_be_written(self, values: Iterable[AbstractValue]) -> list[Obj]:
        """Return what stands for the files that these values name: who is given the names may write them later."""
        texts = [value.const for value in values if value.const]
        return [
            self.world_object(_maybe_token(text)) for text in texts if _PATH.fullmatch(text) and _HAS_FORM.search(text)
        ]

    def may_write(self, name: str, values: Iterable[AbstractValue]) -> None:
        """Note that a function of this name, of which nothing is known, may write the files that it is given."""
        writes = _WRITES.match(name) is not None
        for value in values:
            text = value.const
            if text is None and value.typ != "str":
                continue
            if text is not None and _PATH.fullmatch(text):
                if not (writes or _HAS_FORM.search(text)):
                    continue
                self.facts.mutates.add(self.world_object(_maybe_token(text)))
            if writes:
                self.facts.mutates.add(self.world_object(f"{FILE}any"))
                if text is None:
                    self.facts.mutates.add(self.world_object(_maybe_token(None)))

    def named_files(self, values: Iterable[AbstractValue], *, writes: bool) -> list[Obj]:
        """Note files that a call is given the names of, and of which no table says what the call does with them.

        It reads them, as what a cell before wrote may be there, and where it ``writes`` it may write them. Return the
        objects of these.
        """
        names = [value.const for value in values if value.const and self._is_file(value.const)]
        files = [self.touch_file(name, reads=True, writes=False) for name in names]
        if writes and names:
            files = [self.world_object(_maybe_token(name)) for name in names]
            self.facts.mutates.update((*files, self.world_object(f"{FILE}any")))
        return files

    def _is_file(self, text: str) -> bool:
        """Tell whether a text looks like the name of a file, or is that of one that the notebook wrote."""
        tracked = file_token(text) in self.env or _maybe_token(text) in self.env
        return tracked or _FILE_NAME.fullmatch(text) is not None

    def files_of_library(
        self, path: str, base: AbstractValue, given: Sequence[AbstractValue], made: AbstractValue
    ) -> AbstractValue:
        """Return what a library's function gave: it holds the files that it may write by what it was given."""
        root = path.partition(".")[0]
        listed = path in known.FILE_READERS or path in known.FILE_WRITERS
        if "." not in path or (root in _FILES_ARE_LISTED and not listed):
            return made
        files = self.named_files(given, writes=not listed)
        if listed or not files:
            return made
        by_mode = any(_WRITING_MODE.fullmatch(value.const or "") for value in given)
        foreign = root not in known.QUIET_MODULES
        for file in files if foreign else ():
            file.life.update(base.objs)  # a log: what the library does later may be written there
        for obj in made.objs if by_mode or foreign else ():
            if obj.kind in ("data", "iter"):
                obj.hold(files)
                obj.info = "file" if by_mode else obj.info
        return made

    def read_source(self, module: str) -> None:
        """Note that a module is read from its files, where the notebook wrote them."""
        for written in [
            one for one in self.file_tokens if one == f"{FILE}{module}.py" or one.startswith(f"{FILE}{module}/")
        ]:
            self.touch_file(written.removeprefix(FILE), reads=True, writes=False)

    def file_method(
        self,
        name: str,
        args: list[AbstractValue],
        receiver: AbstractValue = ATOM,
        keywords: Mapping[str, AbstractValue] = MappingProxyType({}),
    ) -> None:
        """Note files that methods such as ``to_csv`` and ``write_text`` touch."""
        if name in known.FILE_WRITER_METHODS:
            place = args[0] if args else next((keywords[one] for one in _PLACES if one in keywords), None)
            if receiver.typ == "str" or (receiver is ATOM and name in ("write_text", "write_bytes", "mkdir")):
                self.touch_file(receiver.const, reads=False, writes=True)
            elif place is not None and name.startswith(("to_", "tofile", "dump", "save")):
                self.touch_file(place.const, reads=False, writes=True)
                self.facts.mutates.update(obj for obj in place.objs if obj.kind in ("data", "iter", "param"))
        elif receiver.const is not None and name == "open":
            self.touch_file(receiver.const, reads=True, writes=_may_write(_mode_of(args, keywords)))
        elif name in _LOOKS and (receiver.const is not None or name in _LOOKS_BELOW):
            self.touch_file(None if name in _LOOKS_BELOW else receiver.const, reads=True, writes=False)

    def open_file(self, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]) -> AbstractValue:
        """Return a file's handle: a change of it is a change of the file, where it is open for writing."""
        mode = _mode_of(args[1:], keywords)
        writes = _may_write(mode)
        reads = mode is None or "w" not in mode
        path = args[0].const if args else None
        obj = self.touch_file(path, reads=reads, writes=writes)
        self.serial += 1
        edges = (obj, self.world_object(f"{FILE}any")) if writes else ()
        return AbstractValue(frozenset((Obj("iter", self.serial, info="file", edges=edges),)))

    # -- functions that keep their results

    def cached(self, functions: AbstractValue) -> AbstractValue:
        """Return functions as ``functools.cache`` makes them of these; a call of one changes its cache."""
        made: set[Obj] = set()
        for obj in functions.objs:
            if obj.kind != "func":
                continue
            self.serial += 2
            token = f"@cache:{self.serial}"
            self.world_object(token)
            # The same result is given to all who ask for it: who changes it changes what the others have.
            results = Obj("data", self.serial - 1, info="results")
            life = {*obj.life, results}
            function = Obj("func", self.serial, info=obj.info, edges=obj.edges, life=life, typ=token)
            function.places = obj.places
            made.add(function)
        return AbstractValue(frozenset(made or functions.objs))

    def cache_method(self, token: str, name: str) -> AbstractValue:
        """Note a look at a function's cache, or its clearing."""
        self.touch(token)
        if name == "cache_clear":
            self.facts.mutates.add(self.world_object(token))
        return ATOM

    # -- calls

    def world_call(
        self, path: str, base: AbstractValue, args: list[AbstractValue], keywords: Mapping[str, AbstractValue]
    ) -> None:
        """Note what a library's function does to the world; a builtin does nothing to it, and ``open`` is elsewhere."""
        if "." not in path:
            return
        self.facts.origins.update(origins_of_call(path, len(args), keywords))
        name = path.rpartition(".")[2]
        root = path.partition(".")[0]
        if root in ("random", "numpy") and _GLOBAL_DRAWS.match(path):
            self._random(path, root, name)
        elif root in ("sklearn", "scipy"):
            # What a class makes draws when it is fitted.
            self.draw_as(Draw.NOT if name[:1].isupper() else _draw_of(path, args, keywords))
        elif root not in _NO_DRAWS:
            self.may_draw((root,))
        if path in known.FILE_READERS and path not in ("open", "io.open"):
            # A folder holds what was written under any name.
            folder = root in ("os", "glob", "shutil")
            self.touch_file(args[0].const if args and not folder else None, reads=True, writes=False)
        if path in known.FILE_WRITERS:
            place = known.FILE_WRITERS[path]
            name_of_file = args[place].const if place < len(args) else None
            if name_of_file is not None and not name_of_file.endswith(ending := _SUFFIXES.get(path, "")):
                name_of_file += ending
            self.touch_file(name_of_file, reads=False, writes=True)
        if path == "importlib.reload":
            for obj in args[0].objs if args else ():
                if obj.kind == "mod" and isinstance(obj.info, str):
                    self.read_source(obj.info)
        if path.startswith(("subprocess.", "os.system", "os.popen")):
            self.touch_file(None, reads=True, writes=True)
        if path in _BACKENDS and not (args and "inline" in (args[0].const or "")):
            self.figures_stay = True
        if path.startswith(("matplotlib.pyplot.", "seaborn.")):
            self._figure(path, name, base)
        elif path.startswith(_ALWAYS):
            if path == "os.chdir" and args:
                self.touch_file(args[0].const, reads=True, writes=False)  # the folder is made before
            self.facts.mutates.update(base.objs)
            self.facts.mutates.add(self.world_object("@always"))
        elif ("." in path and base.objs and registers(name) and not _works_on_data(path, args)) or (
            root not in known.QUIET_MODULES and "." in path and base.objs
        ):
            self.facts.mutates.update(base.objs)
        if root == "warnings" and args and args[0].const == "error":
            self.facts.mutates.add(self.world_object("@always"))

    def _random(self, path: str, root: str, name: str) -> None:
        if path in known.RNG_CONSTRUCTORS:
            return
        token = "rng:numpy" if root == "numpy" else "rng:random"
        if name in ("seed", "set_state", "setstate"):
            self.seed(token, weak=bool(self.weak or self.building))
        else:
            self.draw(token)

    def _figure(self, path: str, name: str, base: AbstractValue) -> None:
        if path.startswith("seaborn.set") or path in ("seaborn.reset_defaults", "seaborn.reset_orig"):
            self.facts.mutates.add(self.module("matplotlib"))
            self.facts.mutates.add(self.module("seaborn"))
        elif ".style." in path or ".rc" in path or name in ("rc", "rcdefaults", "ion", "ioff", "switch_backend"):
            self.facts.mutates.update(base.objs)
        else:
            self.facts.mutates.add(self.figure())

    def figure(self) -> Obj:
        """Return what pyplot draws on.

        The notebook's own backend closes its figures at the end of each cell; another one leaves them to the next.
        """
        token = "@figure:" if self.figures_stay else f"@figure:{self.cell}"
        obj = self.world_object(token)
        self.touch(token)
        return obj

    def reflect(self, path: str, args: list[AbstractValue], node: ast.Call | None) -> AbstractValue | None:
        """Note ``exec``, ``eval`` and their like; return None for those that are harmless here."""
        if path in ("vars", "dir") and args:
            return None
        if path == "__import__":
            return None
        if path in ("locals", "vars") and self.building:
            return None
        if path in ("eval", "exec") and args and args[0].const is not None:
            try:
                if path == "eval":
                    return self.eval(ast.parse(args[0].const.strip(), mode="eval").body)
                tree = ast.parse(args[0].const)
            except SyntaxError:
                return ATOM
            self.weak += 1
            self.block(tree.body)
            self.weak -= 1
            return ATOM
        if path == "exec" and not self.building:
            self.star_import("exec", frozenset())
        self.facts.everything = node.lineno if node is not None else 1
        return None

    @abstractmethod
    def eval(self, node: ast.expr) -> AbstractValue:
        """Supplied by a subclass."""

    @abstractmethod
    def block(self, body: list[ast.stmt]) -> None:
        """Supplied by a subclass."""

    @abstractmethod
    def star_import(self, path: str, module: frozenset[Obj]) -> None:
        """Supplied by a subclass."""
