"""Values of a pickle, each with the name that it has there, read without running anything of it.

A pickle is a program for a small stack machine (Python's ``pickletools``). ``iter_named`` follows it with plain lists
and dicts: classes are not imported, functions are noted and not called. What it yields is what a person would call the
value: a dict's item by its key, an object's attribute by its name, a column of a DataFrame by its label, a header.
"""

from __future__ import annotations

import itertools
import pickle
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

__all__ = ["Packed", "iter_named"]

_MAX_OPCODES = 5_000_000
_MAX_VALUE = 8192
"""Characters; what is longer is data, and searched as text."""
_ARROW_ARRAY = "_pa_array"
"""Where pandas' arrays have Arrow's: no name that a person would give it."""
_PACKED = 10_000
"""Strings of an Arrow array that are searched as one text."""
_STRINGS = frozenset(
    ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES",
     "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")
)  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK: object = object()


@dataclass(eq=False, slots=True)
class _Made:
    """What a call would have made."""

    of: str
    """``module.name`` of the class or function."""
    arguments: object = ()
    states: list[object] = field(default_factory=list)
    items: list[tuple[object, object]] = field(default_factory=list)
    elements: list[object] = field(default_factory=list)


class Packed(str):
    """Strings of an Arrow array, each on a line: in the pickle they stand together with nothing between them."""

    __slots__ = ()


def iter_named(stream: IO[bytes]) -> Iterator[tuple[str, str]]:
    """Yield (name, value) of the strings in a pickle that have a name; for a file that is none, nothing.

    The strings of an Arrow array come once more, as ``Packed`` under the name that leads to it, or none. A damaged
    pickle, or one of more than five million opcodes, gives what was read until there.
    """
    for value in _read(stream):
        yield from _named(value)


class _Machine:
    """The stack machine with values in the place of objects."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[object, object] = {}

    def pop_mark(self) -> list[object]:
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def settle(self) -> None:
        """Put what is not in its container yet where it would have come: the rest of the pickle is missing."""
        while any(one is _MARK for one in self.stack):
            found = self.pop_mark()
            target = self.stack[-1] if self.stack else None
            if isinstance(target, _Made):
                target.items.extend(zip(found[::2], found[1::2], strict=False))
            self.stack.append(found)

    def run(self, name: str, argument: object) -> None:
        """Do one opcode."""
        stack = self.stack
        if name in _STRINGS:
            stack.append(argument)
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("TUPLE", "LIST", "FROZENSET"):
            found = self.pop_mark()
            stack.append(found if name == "LIST" else tuple(found))
        elif name == "DICT":
            stack.append(_pairs(self.pop_mark()))
        elif name in ("EMPTY_LIST", "EMPTY_SET"):
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append(_Made("dict"))
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS"):
            self._fill(name)
        elif name in ("GLOBAL", "STACK_GLOBAL", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "BUILD"):
            self._make(name, argument)
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self.pop_mark()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "BINPERSID":
            stack[-1] = None
        elif name not in ("PROTO", "FRAME", "READONLY_BUFFER", "STOP"):
            stack.append(None)  # numbers, None, persistent ids, buffers

    def _fill(self, name: str) -> None:
        if name == "APPEND":
            added = [self.stack.pop()]
        elif name == "SETITEM":
            added = self.stack[-2:]
            del self.stack[-2:]
        else:
            added = self.pop_mark()
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(added)
        elif isinstance(target, _Made) and name.startswith("SET"):
            target.items.extend(zip(added[::2], added[1::2], strict=False))
        elif isinstance(target, _Made):
            target.elements.extend(added)

    def _make(self, name: str, argument: object) -> None:
        stack = self.stack
        if name == "GLOBAL":
            stack.append(_Made("type", str(argument).replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_Made("type", f"{stack[-2]}.{stack[-1]}")]
        elif name in ("REDUCE", "NEWOBJ"):
            stack[-2:] = [_Made(_name(stack[-2]), stack[-1])]
        elif name == "NEWOBJ_EX":
            stack[-3:] = [_Made(_name(stack[-3]), stack[-2], [stack[-1]])]
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], _Made):
                stack[-1].states.append(state)
        else:
            found = self.pop_mark()
            what = str(argument).replace(" ", ".") if name == "INST" else _name(found.pop(0))
            stack.append(_Made(what, tuple(found)))


def _name(what: object) -> str:
    named = what.arguments if isinstance(what, _Made) and what.of == "type" else None
    return named if isinstance(named, str) else "?"


def _pairs(found: list[object]) -> _Made:
    return _Made("dict", (), [], list(zip(found[::2], found[1::2], strict=False)))


def _read(stream: IO[bytes]) -> Iterator[object]:
    """Yield what the pickles of a file make, one after another; of a damaged one, what its stack held."""
    left = _MAX_OPCODES
    while left > 0:
        machine = _Machine()
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                machine.run(opcode.name, argument)
                left -= 1
                if left <= 0:
                    break
        except (ValueError, IndexError, KeyError, TypeError, EOFError, OverflowError, pickle.UnpicklingError):
            left = 0
            machine.settle()
        yield from (one for one in machine.stack if one is not _MARK)
        if not machine.stack:
            return


def _named(top: object) -> Iterator[tuple[str, str]]:
    """Yield what has a name in the value; each object once under each name that leads to it."""
    seen: set[tuple[int, str]] = set()
    todo: list[tuple[str, object]] = [("", top)]
    while todo:
        name, value = todo.pop()
        if isinstance(value, (str, bytes, bytearray)):
            if isinstance(value, Packed) or (name and 0 < len(value) <= _MAX_VALUE):
                yield name, value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
            continue
        if not isinstance(value, (list, tuple, _Made)) or (id(value), name) in seen:
            continue
        seen.add((id(value), name))
        if isinstance(value, _Made):
            todo.extend(_parts(name, value))
        elif len(value) == 2 and isinstance(value[0], (str, bytes)) and isinstance(value[1], (str, bytes)):
            label = _text(value[0])  # a pair, as headers and logins are written
            todo += [(name or label, value[1]), (label, value[1]), (name, value[0])]
        else:
            todo.extend((name, one) for one in value)


def _parts(name: str, made: _Made) -> Iterator[tuple[str, object]]:
    if made.of == "type" or made.of.endswith("dtype"):
        return
    if made.of == "_codecs.encode":  # how protocol 2 writes bytes: the text, and the word latin1
        yield name, made.arguments[:1] if isinstance(made.arguments, tuple) else made.arguments
        return
    if made.of.endswith("_restore_array") and (cells := _arrow_cells(made.arguments)):
        yield from ((name, cell) for cell in cells)  # no list: two of them are no pair
        for first in range(0, len(cells), _PACKED):
            yield name, Packed("\n".join(cells[first : first + _PACKED]))
        return
    yield name, made.arguments
    yield name, made.elements
    for key, value in made.items:
        yield (name if name and key == _ARROW_ARRAY else _text(key) or name), value
    for state in made.states:
        for one in state if isinstance(state, tuple) else (state,):  # of a class with slots it is a pair
            yield name, one
            if isinstance(one, _Made) and isinstance(label := dict(_texts(one)).get("name"), str):
                yield f"{made.of.rpartition('.')[2]} {label}", dict(_texts(one)).get("value")  # a cookie, a field
    yield from _columns(made)


def _texts(made: _Made) -> Iterator[tuple[str, object]]:
    return ((key, value) for key, value in made.items if isinstance(key, str))


def _text(key: object) -> str:
    return key if isinstance(key, str) else bytes(key).decode("utf-8", "replace") if isinstance(key, bytes) else ""


# -- tables


def _columns(made: _Made) -> Iterator[tuple[str, object]]:
    """Yield the columns of a pandas table by their labels, the values of a Series by its name.

    Source: pandas ``core/internals/managers.py`` and ``_libs/internals.pyx``: a manager is made from its blocks and
    axes; a block from its values, one row for each of its columns, and which columns those are.
    """
    if made.of.endswith("BlockManager") and isinstance(made.arguments, tuple) and len(made.arguments) == 2:
        blocks, axes = made.arguments
        if isinstance(blocks, (list, tuple)) and isinstance(axes, (list, tuple)) and axes:
            labels = _labels(axes[0])
            for block in blocks:
                if isinstance(block, _Made) and isinstance(block.arguments, tuple) and len(block.arguments) >= 2:
                    yield from _in_block(block.arguments[0], block.arguments[1], labels)
    for state in made.states:
        if isinstance(state, _Made):
            known = dict(_texts(state))
            name = known.get("_name", known.get("name"))
            if isinstance(name, str) and "_mgr" in known:
                yield name, known["_mgr"]


def _in_block(values: object, placement: object, labels: list[str]) -> Iterator[tuple[str, object]]:
    columns = [labels[number] if 0 <= number < len(labels) else "" for number in _numbers(placement)]
    cells = _cells(values)
    if not columns or not cells:
        return
    rows = max(1, len(cells) // len(columns))
    for number, label in enumerate(columns):
        if label:
            yield label, cells[number * rows : (number + 1) * rows]


def _labels(axis: object) -> list[str]:
    if isinstance(axis, _Made):
        for part in (axis.arguments, *axis.states):
            for one in part if isinstance(part, tuple) else (part,):
                if isinstance(one, _Made):
                    for key, value in one.items:
                        if key == "data":
                            return [cell if isinstance(cell, str) else "" for cell in _cells(value)]
    return []


def _cells(values: object) -> list[object]:
    """Return the objects of an array: the longest list inside of what makes it."""
    best: list[object] = []
    todo, seen = [values], set()
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, _Made):
            if one.of.endswith("_restore_array") and (found := _arrow_cells(one.arguments)):
                best = [*best, *found]
                continue
            todo += [one.arguments, *one.states, one.elements, *(value for _, value in one.items)]
        elif isinstance(one, (list, tuple)):
            if isinstance(one, list) and len(one) > len(best) and any(isinstance(cell, (str, bytes)) for cell in one):
                best = one
            else:
                todo += [part for part in one if isinstance(part, (list, tuple, _Made))]
    return best


def _arrow_cells(arguments: object) -> list[str]:
    """Return the strings of an Arrow array.

    Source: pyarrow ``array.pxi``, ``Array.__reduce__`` (type, length, nulls, offset, buffers, children, dictionary);
    Arrow's columnar format, "Variable-size Binary Layout": a validity map, where each string ends, and all strings.
    """
    data = arguments[0] if isinstance(arguments, tuple) and len(arguments) == 1 else arguments
    if not isinstance(data, tuple) or len(data) < 5 or not isinstance(data[4], list):
        return []
    length, first = data[1], data[3]
    buffers = [_bytes_of(one) for one in data[4]]
    if len(buffers) != 3 or buffers[1] is None or buffers[2] is None:
        return []
    if not isinstance(length, int) or not isinstance(first, int) or length < 0 or first < 0:
        return []
    places = first + length + 1
    width = 8 if len(buffers[1]) >= 8 * places and not any(buffers[1][4:8]) else 4
    ends = [int.from_bytes(buffers[1][at : at + width], "little") for at in range(width * first, width * places, width)]
    return [buffers[2][start:end].decode("utf-8", "replace") for start, end in itertools.pairwise(ends)]


def _bytes_of(value: object) -> bytes | None:
    """Return what a buffer holds: bytes, wrapped in a bytearray before protocol 5, written as text in protocol 2."""
    while isinstance(value, _Made):
        is_text = value.of == "_codecs.encode"
        value = value.arguments[0] if isinstance(value.arguments, tuple) and value.arguments else None
        if is_text and isinstance(value, str):
            return value.encode("latin1", "replace")
    return bytes(value) if isinstance(value, (bytes, bytearray)) else None


def _numbers(placement: object) -> list[int]:
    """Return the numbers that a slice, or an array of 64-bit integers, means."""
    if not isinstance(placement, _Made):
        return []
    arguments = placement.arguments if isinstance(placement.arguments, tuple) else ()
    if placement.of.endswith("slice") and len(arguments) == 3:
        start, stop, step = arguments
        if isinstance(start, int) and isinstance(stop, int):
            return list(range(start, min(stop, 1_000_000), step if isinstance(step, int) and step else 1))
    for part in (*arguments, *(one for state in placement.states if isinstance(state, tuple) for one in state)):
        if isinstance(part, (bytes, bytearray)) and len(part) >= 8 and len(part) % 8 == 0:
            return [int.from_bytes(part[at : at + 8], "little", signed=True) for at in range(0, len(part), 8)]
    return []
