"""Fingerprints see every change of what they call complete, run no code of the notebook and keep no object."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import functools
import gc
import itertools
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.notebook.fingerprint import Fingerprint, take_snapshot


def look(value: object, seconds: float = 5.0) -> Fingerprint:
    until = time.perf_counter() + seconds
    return take_snapshot({"x": value}, ["x"], until=until, clock=time.perf_counter).prints["x"]


class Thing:
    shelf: list[int] = []

    def __init__(self) -> None:
        self.rows = [1]
        self.name = "a"


class Slotted:
    __slots__ = ("value",)


class Numbers(list):
    pass


class Elsewhere:
    """Of a module beside the notebook."""


for _kind in (Thing, Slotted, Numbers):
    _kind.__module__ = "__main__"


def _slot() -> Slotted:
    made = Slotted()
    made.value = [1]
    return made


def _counter() -> Callable[[], list[int]]:
    rows = [1]
    return lambda: rows


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "list": (lambda: [1, -1], lambda x: x.__setitem__(1, -2)),
    "one number for another that hashes the same": (lambda: [-1] * 50, lambda x: x.__setitem__(3, -2)),
    "true for one": (lambda: [1] * 50, lambda x: x.__setitem__(3, True)),
    "nested": (lambda: {"a": [{"b": {1}}]}, lambda x: x["a"][0]["b"].add(2)),
    "order of a dict": (lambda: {"a": 1, "b": 2}, lambda x: x.update(a=x.pop("a"))),
    "order of an OrderedDict": (lambda: collections.OrderedDict(a=1, b=2), lambda x: x.move_to_end("a")),
    "deque": (lambda: collections.deque([1, 2]), lambda x: x.rotate()),
    "defaultdict": (lambda: collections.defaultdict(list), lambda x: x["a"]),
    "bytearray": (lambda: bytearray(b"ab"), lambda x: x.reverse()),
    "instance": (Thing, lambda x: x.rows.append(2)),
    "attribute": (Thing, lambda x: setattr(x, "name", "b")),
    "class of the instance": (Thing, lambda x: x.shelf.append(len(x.shelf))),
    "annotations of a class": (
        lambda: type("Noted", (), {"__module__": "__main__", "__annotations__": {"a": int}}),
        lambda x: x.__annotations__.update(b=str),
    ),
    "an array that may not be written": (lambda: np.arange(3), lambda x: x.setflags(write=False)),
    "slots": (_slot, lambda x: x.value.append(1)),
    "list with a class of its own": (lambda: Numbers([1]), lambda x: x.append(2)),
    "closure": (_counter, lambda x: x().append(1)),
    "date": (lambda: [dt.date(2020, 1, 1)], lambda x: x.__setitem__(0, dt.date(2020, 1, 2))),
    "decimal": (lambda: [decimal.Decimal(1)], lambda x: x.__setitem__(0, decimal.Decimal(2))),
    "identifier": (lambda: [uuid.UUID(int=1)], lambda x: x.__setitem__(0, uuid.UUID(int=2))),
    "array": (lambda: np.arange(6.0), lambda x: x.__setitem__(2, 9)),
    "array by a view": (lambda: np.arange(6.0), lambda x: x[2:].sort(axis=0) or x[3:4].fill(7)),
    "shape of an array": (lambda: np.arange(6.0), lambda x: x.resize((2, 3), refcheck=False)),
    "array of texts": (lambda: np.array(["a", "b"], dtype=object), lambda x: x.__setitem__(0, "c")),
    "frame": (lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), lambda x: x.__setitem__("c", 1)),
    "cell of a frame of Arrow's": (
        lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).convert_dtypes(dtype_backend="pyarrow"),
        lambda x: x.__setitem__("a", [1, 3]),
    ),
    "cell of a frame": (lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), lambda x: x.__setitem__("b", "z")),
    "columns of a frame": (lambda: pd.DataFrame({"a": [1]}), lambda x: setattr(x, "columns", ["q"])),
    "index of a frame": (lambda: pd.DataFrame({"a": [1, 2]}), lambda x: setattr(x, "index", [5, 6])),
    "series": (lambda: pd.Series([1.0, 2.0]), lambda x: x.__setitem__(0, 5.0)),
    "attrs": (lambda: pd.Series([1.0]), lambda x: x.attrs.update(a=1)),
    "partial": (lambda: functools.partial(print, [1]), lambda x: x.args[0].append(2)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_and_nothing_else_is(name: str) -> None:
    make, change = CHANGES[name]
    value = make()
    before, again = look(value), look(value)
    assert before == again
    assert before.complete
    change(value)
    assert look(value).digest != before.digest


def test_annotations_that_are_asked_for_are_no_change() -> None:
    kind = type("Plain", (), {"__module__": "__main__"})
    before = look(kind)
    assert kind.__annotations__ == {}
    assert look(kind) == before


def test_what_is_only_looked_at_is_the_same() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": list("xyx")})
    before = look(frame)
    frame.groupby("b").a.sum()
    frame["a"].value_counts()
    frame.index.is_unique  # noqa: B018 - kept by the index when first asked
    assert look(frame) == before


class Angry(type):
    """A metaclass of which nothing may run."""

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("__eq__")

    def __hash__(cls) -> int:
        raise AssertionError("__hash__")

    def __instancecheck__(cls, other: object) -> bool:
        raise AssertionError("__instancecheck__")

    def __getattribute__(cls, name: str) -> Any:
        raise AssertionError(name)


def test_no_code_of_the_notebook_runs() -> None:
    ran: list[str] = []

    def noted(name: str) -> Callable[..., Any]:
        def method(self: object, *args: object) -> Any:
            ran.append(name)
            return 1

        return method

    names = "__eq__ __hash__ __reduce__ __reduce_ex__ __getattribute__ __len__ __iter__ __getitem__ __repr__ __bool__"
    kind = type("Loud", (), {name: noted(name) for name in names.split()})
    loud_list = type("LoudList", (list,), {name: noted(name) for name in names.split()})
    loud_dict = type("LoudDict", (dict,), {name: noted(name) for name in names.split()})
    angry = Angry("Angry", (), {})
    values = [kind(), loud_list([1]), loud_dict(a=2), type.__call__(angry), angry, property(noted("property"))]
    ran.clear()
    look(values)
    look([[*values] for _ in range(50)])
    assert ran == []


def test_what_c_code_holds_and_what_is_cut_are_not_complete() -> None:
    assert not look(iter([1])).complete
    assert not look(Elsewhere()).complete  # a method of it may change what stands in its module
    assert not look(threading.Lock()).complete
    assert not look(np.random.default_rng(1)).complete
    assert not look(np.zeros(80_000_000, dtype="u1"), seconds=0.01).complete
    assert not look([[n] for n in range(200_000)], seconds=0.01).complete
    assert not look("x" * 1_000_000).complete


def test_a_large_array_that_changes_everywhere_is_seen_by_its_sample() -> None:
    array = np.zeros(80_000_000, dtype="u1")
    before = look(array, seconds=0.01)
    array += 1
    assert look(array, seconds=0.01).digest != before.digest


def test_cycles_and_shared_objects() -> None:
    ring: list[object] = [1]
    ring.append(ring)
    base = np.arange(4)
    names = {"ring": ring, "also": ring, "base": base, "view": base[1:], "alone": [1], "words": ("a", 1)}
    until = time.perf_counter() + 5
    found = take_snapshot(names, names, until=until, clock=time.perf_counter)
    assert found.prints["ring"].complete
    assert set(found.shared) == {frozenset({"ring", "also"}), frozenset({"base", "view"})}


def test_nothing_is_kept_alive() -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    kept = look([thing, np.zeros(3)])
    del thing
    gc.collect()
    assert gone() is None
    assert kept.complete


def test_time_is_kept() -> None:
    names = {f"n{number}": [[one] for one in range(3_000)] for number in range(50)}
    looks = itertools.count()
    found = take_snapshot(names, names, until=20, clock=lambda: next(looks))
    assert 0 < len(found.prints) < 50
    assert next(looks) < 25  # it ends with the look that says so
