"""Fingerprints of what names stand for: bounded, without running code of the objects, keeping none of them.

A fingerprint is a digest of the objects that a name reaches, in the order in which they are reached: it is the same as
long as nothing there changes, whatever other names there are. Types are asked for by ``type(x)`` alone, and attributes
are read from the dictionaries and slots of an object: no special method, property or metaclass of the notebook runs.
Where not all was looked at (a limit, a sample of a large array, state that only C code sees), it is not complete: two
that differ tell of a change, two that are the same tell nothing.
"""

from __future__ import annotations

import collections
import datetime as dt
import functools
import marshal
import pathlib
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Fingerprint", "Snapshot", "take_snapshot"]


class Fingerprint(NamedTuple):
    """What a name stood for at one moment."""

    identity: int
    """The object's id: it means something only while the object lives."""
    digest: int
    complete: bool


class Snapshot(NamedTuple):
    """The names that there was time for."""

    prints: dict[str, Fingerprint]
    shared: tuple[frozenset[str], ...]
    """Names that reached the same object that may change."""


_Look: TypeAlias = Callable[["_Walk", Any, list[object]], None]
"""Notes one object of a type that it knows, and puts what that holds on the stack."""

_MAX_TEXT = 1 << 18
"""A longer text or run of bytes is told by its identity and its ends."""
_BYTES_PER_S = 0.7e9
"""How fast the bytes of an array are read and hashed, at the least."""
_ELEMENTS_PER_S = 12e6
_SAMPLE = 64
_MAX_NODES = 50_000

_mro = type.__dict__["__mro__"].__get__
_class_dict = type.__dict__["__dict__"].__get__
_flags = type.__dict__["__flags__"].__get__
_HEAP_TYPE = 1 << 9
_INSTALLED = tuple({f"{sysconfig.get_path(name)}/" for name in ("purelib", "platlib", "stdlib", "platstdlib")})
_LEAVES = frozenset(
    id(kind)
    for kind in (
        types.ModuleType,
        types.BuiltinFunctionType,
        types.MethodDescriptorType,
        types.WrapperDescriptorType,
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
        types.CodeType,
        types.MethodWrapperType,
        types.ClassMethodDescriptorType,
        type(Ellipsis),
        type(NotImplemented),
    )
)
"""What has no state that a program changes, or state that is not an object's own: a module."""
_UNSEEN = frozenset(("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__firstlineno__"))


class _OutOfTime(Exception):
    pass


def take_snapshot(
    namespace: Mapping[str, object],
    names: Iterable[str],
    *,
    until: float,
    clock: Callable[[], float],
) -> Snapshot:
    """Return the fingerprints of these names of a namespace, in their order, as many as there is time for.

    ``until`` is a moment of the ``clock``, in seconds.
    """
    walk = _Walk(until, clock)
    prints: dict[str, Fingerprint] = {}
    for name in names:
        if name not in namespace:
            continue
        if walk.clock() >= until:
            break
        value = namespace[name]
        digest, complete = walk.digest(name, value)
        prints[name] = Fingerprint(id(value), digest, complete and type(value) is not types.ModuleType)
    return Snapshot(prints, walk.shared())


class _Walk:
    """Walks through the objects of one snapshot; holds what it meets until the end, so that an id is one object."""

    def __init__(self, until: float, clock: Callable[[], float]) -> None:
        self.until = until
        self.clock = clock
        self.held: list[object] = []
        self.owner: dict[int, str] = {}
        self.groups: dict[str, str] = {}
        self.layouts: dict[int, _Layout] = {}
        self.arrays: dict[int, tuple[object, bool]] = {}
        self.classes: dict[int, tuple[int, bool]] = {}
        self.special = _special_types(tuple(name in sys.modules for name in _SPECIAL_MODULES))
        self.name = ""

    def digest(self, name: str, value: object) -> tuple[int, bool]:
        """Return the digest of what a value reaches, and whether that was all."""
        self.name = name
        self.tokens: list[object] = []
        self.seen: dict[int, int] = {}
        self.complete = True
        try:
            self._walk(value)
        except _OutOfTime:
            self.complete = False
        except Exception:  # noqa: BLE001 - a container that another thread changes, a library in an odd state
            self.complete = False
        return hash(marshal.dumps(self.tokens, 2)), self.complete

    def shared(self) -> tuple[frozenset[str], ...]:
        """Return the groups of names that reached the same object."""
        found: dict[str, set[str]] = {}
        for name in self.groups:
            found.setdefault(self._root(name), set()).add(name)
        return tuple(frozenset({root, *names}) for root, names in found.items())

    def _root(self, name: str) -> str:
        while name in self.groups:
            name = self.groups[name]
        return name

    def _walk(self, value: object) -> None:
        tokens, seen = self.tokens, self.seen
        stack: list[object] = [value]
        turns = 0
        while stack:
            turns += 1
            if not turns & 31 and (self.clock() >= self.until or turns > _MAX_NODES):
                raise _OutOfTime
            item = stack.pop()
            kind = type(item)
            # No set of types is asked: that would run the __hash__ and __eq__ of a metaclass.
            if kind is int or kind is float or item is None or kind is bool or kind is complex:
                tokens.append(item)
            elif kind is str or kind is bytes:
                self._text(item)
            else:
                identity = id(item)
                number = seen.get(identity)
                if number is not None:
                    tokens.append(("seen", number))
                    continue
                seen[identity] = len(seen)
                if kind is not tuple and kind is not frozenset:
                    self._own(identity)
                self._open(item, kind, stack)

    def _own(self, identity: int) -> None:
        other = self.owner.setdefault(identity, self.name)
        if other != self.name:
            mine, its = self._root(self.name), self._root(other)
            if mine != its:
                self.groups[mine] = its

    def _text(self, item: Any) -> None:
        if len(item) > _MAX_TEXT:
            self.tokens.append((len(item), id(item), hash(item[:_SAMPLE]), hash(item[-_SAMPLE:])))
            self.complete = False
        else:
            self.tokens.append((type(item) is str, hash(item)))

    def _open(self, item: Any, kind: type, stack: list[object]) -> None:
        """Note one object that is met for the first time, and put what it holds on the stack."""
        if kind is list or kind is tuple or kind is collections.deque:
            self._sequence(item, stack)
        elif kind is dict or kind is collections.defaultdict or kind is collections.Counter:
            self._mapping(dict.items(item), len(item), stack)
            if kind is collections.defaultdict:
                stack.append(item.default_factory)
        elif kind is collections.OrderedDict:
            self._mapping(item.items(), len(item), stack)
        elif kind is set or kind is frozenset:
            self._sequence(tuple(item), stack)
        elif (special := self.special.get(id(kind))) is not None:
            special(self, item, stack)
        elif kind is types.FunctionType:
            self._function(item, stack)
        elif (read := _READERS.get(id(kind))) is not None:
            self.tokens.append("read")
            self._push(read(item), stack)
        elif id(kind) in _LEAVES:
            self.tokens.append(("leaf", id(item)))
        elif any(base is type for base in _mro(kind)):
            self._class(item, stack)
        else:
            self._instance(item, kind, stack)

    def _push(self, values: Iterable[object], stack: list[object]) -> None:
        made = list(values)
        self.held.append(made)
        stack.extend(reversed(made))

    def _room(self, units: int, per_s: float) -> bool:
        return units / per_s < self.until - self.clock()

    def _sequence(self, item: Any, stack: list[object]) -> None:
        size = len(item)
        self.tokens.append(("sequence", size))
        if size > 32 and type(item) is not collections.deque:
            if not self._room(size, _ELEMENTS_PER_S):
                self.complete = False
                item = [*item[:_SAMPLE], *item[-_SAMPLE:]]
            if (digest := _plain_digest(item)) is not None:
                self.tokens.append(digest)
                return
        stack.extend(reversed(item))

    def _mapping(self, items: Iterable[tuple[object, object]], size: int, stack: list[object]) -> None:
        self.tokens.append(("mapping", size))
        if size > 32 and not self._room(size, _ELEMENTS_PER_S / 4):
            self.complete = False
            return
        flat: list[object] = []
        for key, value in items:
            flat.append(key)
            flat.append(value)
        if size > 32 and (digest := _plain_digest(flat)) is not None:
            self.tokens.append(digest)
            return
        flat.reverse()
        stack.extend(flat)

    def _function(self, item: types.FunctionType, stack: list[object]) -> None:
        self.tokens.append(("function", id(item.__code__)))
        cells = []
        for cell in item.__closure__ or ():
            try:
                cells.append(cell.cell_contents)
            except ValueError:
                cells.append(None)
        self._push((item.__defaults__, item.__kwdefaults__, cells, item.__dict__), stack)

    def _class(self, item: type, stack: list[object]) -> None:
        own = _class_dict(item)
        self.tokens.append(("class", id(item)))
        if own.get("__module__") == "__main__":
            # Annotations come into being when they are first asked for: only what stands in them counts.
            annotations = own.get("__annotations__") or None
            parts = [("__annotations__", annotations), *(pair for pair in own.items() if pair[0] not in _UNSEEN)]
            self._push((*(part for pair in parts for part in pair), *_mro(item)[1:]), stack)

    def _instance(self, item: object, kind: type, stack: list[object]) -> None:
        layout = self.layouts.get(id(kind))
        if layout is None:
            layout = self.layouts[id(kind)] = _Layout(kind)
        self.tokens.append(("object", id(kind)))
        if layout.opaque:
            self.complete = False
            self.tokens.append(id(item))
        held: list[object] = []
        for slot in layout.slots:
            try:
                held.append(slot.__get__(item))
            except AttributeError:
                held.append(None)
        if layout.content is not None:
            held.append(layout.content(item))
        if layout.dictionary is not None:
            own = layout.dictionary.__get__(item)
            caches = layout.caches
            held.append(
                {name: value for name, value in own.items() if name not in caches}
                if caches and all(type(name) is str for name in own)
                else own
            )
        held.append(kind if layout.own else layout.state)
        self._push(held, stack)

    # -- arrays and tables

    def array(self, item: Any, _stack: list[object]) -> None:
        """Note a numpy array: all its bytes where there is time, else a sample."""
        base = item
        while type(base.base) is type(item):
            base = base.base
        if base is not item:
            self._own(id(base))
        self.tokens.append((str(item.dtype), item.shape, item.strides, item.flags.writeable))
        known = self.arrays.get(id(item))
        if known is None:
            known = self.arrays[id(item)] = self._array_digest(item)
            self.held.append(item)
        self.tokens.append(known[0])
        self.complete = self.complete and known[1]

    def _array_digest(self, item: Any) -> tuple[object, bool]:
        if item.dtype.hasobject:
            return self._objects_digest(item)
        if self._room(item.nbytes, _BYTES_PER_S) and item.nbytes < 1 << 26:
            return hash(item.tobytes()), True
        flat = item.reshape(-1) if item.flags.c_contiguous else item.T.reshape(-1) if item.flags.f_contiguous else None
        if flat is None:
            return id(item), False
        step = max(1, flat.size // (_SAMPLE * 4))
        return hash(flat[::step].tobytes()) if flat.size else 0, False

    def _objects_digest(self, item: Any) -> tuple[object, bool]:
        if item.dtype.names is not None or not self._room(item.size, _ELEMENTS_PER_S / 2):
            sample = [] if item.dtype.names is not None else item.reshape(-1)[:: max(1, item.size // _SAMPLE)].tolist()
            return _plain_digest(sample) or id(item), False
        digest = _plain_digest(item.reshape(-1).tolist())
        return (id(item), False) if digest is None else (digest, True)

    def scalar(self, item: Any, _stack: list[object]) -> None:
        """Note a numpy scalar."""
        self.tokens.append((str(item.dtype), item.tobytes()))

    def table(self, item: Any, stack: list[object]) -> None:
        """Note a DataFrame or Series: its blocks, its axes, and what hangs on it."""
        own = item.__dict__
        manager = own["_mgr"]
        self.tokens.append("table")
        held: list[object] = [list(manager.axes), own.get("_attrs"), own.get("_name")]
        for block in manager.blocks:
            held.append(block.mgr_locs.as_array)
            held.append(block.values)
        self._push(held, stack)

    def index(self, item: Any, stack: list[object]) -> None:
        """Note an Index, without what it keeps to be quick."""
        own = item.__dict__
        self.tokens.append("index")
        fields = ("_data", "_name", "_range", "_levels", "_codes", "_names", "_sortorder")
        self._push([own.get(name) for name in fields], stack)

    def extension_array(self, item: Any, stack: list[object]) -> None:
        """Note one of pandas' own arrays that stands on a numpy array."""
        self.tokens.append(("extension", str(item.dtype)))
        self._push([item._ndarray], stack)

    def arrow_array(self, item: Any, _stack: list[object]) -> None:
        """Note one of pandas' arrays that stands on Arrow's: the bytes of its buffers, which none changes in place."""
        data = item._pa_array
        self.tokens.append(("arrow", str(data.type)))
        for chunk in data.chunks:
            self.tokens.append((len(chunk), chunk.offset))
            for buffer in chunk.buffers():
                if buffer is None:
                    self.tokens.append(None)
                elif self._room(buffer.size, _BYTES_PER_S) and buffer.size < 1 << 26:
                    self.tokens.append(hash(buffer.to_pybytes()))
                else:
                    self.tokens.append((buffer.address, buffer.size))
                    self.complete = False
        if "dictionary" in str(data.type):  # its values are in no buffer that an array tells of
            self.tokens.append(id(data))
            self.complete = False


_READERS_BY_TYPE: dict[type, Callable[[Any], Iterable[object]]] = {
    types.MethodType: lambda it: (it.__self__, it.__func__),
    property: lambda it: (it.fget, it.fset, it.fdel),
    staticmethod: lambda it: (it.__func__,),
    classmethod: lambda it: (it.__func__,),
    functools.partial: lambda it: (it.func, it.args, it.keywords),
    range: lambda it: (it.start, it.stop, it.step),
    slice: lambda it: (it.start, it.stop, it.step),
    bytearray: lambda it: (bytes(it),),
    dt.date: lambda it: (it.toordinal(),),
    dt.timedelta: lambda it: (it.days, it.seconds, it.microseconds),
    dt.datetime: lambda it: (it.replace(tzinfo=None).isoformat(), it.fold, it.tzinfo),
    dt.timezone: lambda it: (str(it),),
    pathlib.PosixPath: lambda it: (str(it),),
    types.MappingProxyType: lambda it: (id(it),),
}
_READERS = {id(kind): read for kind, read in _READERS_BY_TYPE.items()}
_CONTAINERS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (list, lambda it: list.__getitem__(it, slice(None))),
    (tuple, lambda it: tuple.__getitem__(it, slice(None))),
    (dict, lambda it: [part for pair in dict.items(it) for part in pair]),
    (set, lambda it: list(set.__iter__(it))),
    (frozenset, lambda it: list(frozenset.__iter__(it))),
    (str, lambda it: str.__getitem__(it, slice(None))),
    (int, lambda it: int.__index__(it)),
    (float, lambda it: float.__float__(it)),
)


class _Layout:
    """Where the instances of a class keep their state."""

    def __init__(self, kind: type) -> None:
        self.dictionary: types.GetSetDescriptorType | None = None
        self.slots: list[types.MemberDescriptorType] = []
        self.caches: set[str] = set()
        """Attributes that a first look at a ``cached_property`` puts there."""
        self.content: Callable[[object], object] | None = None
        own = _class_dict(kind)
        self.own = own.get("__module__") == "__main__"
        # The methods of a module beside the notebook may change what stands in that module.
        self.opaque = not self.own and not _is_installed(own.get("__module__"))
        state: list[object] = []
        for base in _mro(kind):
            if base is object:
                continue
            names = _class_dict(base)
            for name, value in names.items():
                if type(value) is types.MemberDescriptorType and name not in _UNSEEN:
                    self.slots.append(value)
                elif name == "__dict__" and type(value) is types.GetSetDescriptorType:
                    self.dictionary = self.dictionary or value
                elif type(value) is functools.cached_property:
                    self.caches.add(name)
                elif id(type(value)) in _STATE_TYPES and name not in _UNSEEN:
                    state.append(value)
            if not _flags(base) & _HEAP_TYPE or not _is_python(names):
                content = next((read for known, read in _CONTAINERS if base is known), None)
                self.content = self.content or content
                self.opaque = self.opaque or (content is None and id(base) not in _STATELESS)
        self.state = state
        """What classes of other modules hold that may change; those of the notebook are looked at as a whole."""


_STATE_TYPES = frozenset(
    id(kind) for kind in (list, dict, set, int, float, collections.defaultdict, collections.OrderedDict)
)


def _is_installed(module: object) -> bool:
    """Tell whether a module is of the standard library or an installed package."""
    if type(module) is not str or module.partition(".")[0] in sys.stdlib_module_names:
        return type(module) is str
    loaded = sys.modules.get(module.partition(".")[0])
    file = vars(loaded).get("__file__") if type(loaded) is types.ModuleType else None
    return type(file) is str and file.startswith(_INSTALLED)


def _is_python(names: Mapping[str, object]) -> bool:
    """Tell whether a class was made by a class statement: those of C code may keep state that has no name."""
    return "__module__" in names and not any(
        id(type(value)) in _OF_C_CODE for name, value in names.items() if name not in ("__dict__", "__weakref__")
    )


_OF_C_CODE = frozenset(map(id, (types.BuiltinMethodType, types.GetSetDescriptorType, types.MethodDescriptorType)))
_STATELESS = frozenset(map(id, (object, BaseException, Exception)))


def _plain_digest(items: Iterable[object]) -> object | None:
    """Return a digest of values that are all numbers or texts; None where any is something else."""
    for item in items:
        kind = type(item)
        if kind is not int and kind is not float and kind is not str and kind is not bool and item is not None:
            return None
    return hash(marshal.dumps([hash(item) if type(item) is str else item for item in items], 2))


_SPECIAL_MODULES = ("numpy", "pandas", "decimal", "uuid")


@functools.lru_cache(maxsize=16)
def _special_types(_loaded: tuple[bool, ...]) -> dict[int, _Look]:
    """Return how types of the special modules are looked at, by the id of the type, where these are loaded."""
    found: dict[int, _Look] = {}
    if (number := getattr(sys.modules.get("decimal"), "Decimal", None)) is not None:
        found[id(number)] = lambda walk, item, _stack: walk.tokens.append(str(item))
    if (identifier := getattr(sys.modules.get("uuid"), "UUID", None)) is not None:
        found[id(identifier)] = lambda walk, item, _stack: walk.tokens.append(item.int)
    numpy = sys.modules.get("numpy")
    if (array := getattr(numpy, "ndarray", None)) is None or (generic := getattr(numpy, "generic", None)) is None:
        return found
    found[id(array)] = _Walk.array
    for scalar in {*getattr(numpy, "sctypeDict", {}).values()}:
        if scalar is not getattr(numpy, "object_", None) and any(base is generic for base in _mro(scalar)):
            found[id(scalar)] = _Walk.scalar
    pandas = sys.modules.get("pandas")
    for name, look in _PANDAS:
        if (kind := getattr(pandas, name, None)) is not None:
            found[id(kind)] = look
    arrays = getattr(pandas, "arrays", None)
    for name in ("DatetimeArray", "TimedeltaArray", "PeriodArray", "NumpyExtensionArray", "StringArray"):
        if (kind := getattr(arrays, name, None)) is not None:
            found[id(kind)] = _Walk.extension_array
    for name in ("ArrowStringArray", "ArrowExtensionArray"):
        if (kind := getattr(arrays, name, None)) is not None:
            found[id(kind)] = _Walk.arrow_array
    return found


_PANDAS: tuple[tuple[str, _Look], ...] = (
    ("DataFrame", _Walk.table),
    ("Series", _Walk.table),
    ("Index", _Walk.index),
    ("RangeIndex", _Walk.index),
    ("MultiIndex", _Walk.index),
    ("DatetimeIndex", _Walk.index),
    ("CategoricalIndex", _Walk.index),
    ("TimedeltaIndex", _Walk.index),
    ("PeriodIndex", _Walk.index),
)
