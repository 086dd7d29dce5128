from __future__ import annotations

import builtins
import contextlib
import copy
import gc
import importlib
import io
import pickle
import random
import types
from collections.abc import Callable, Collection
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.analysis import library_tables as tables
from tests.unit.analysis.test_slicer import kept


def names_of(table: Collection[object]) -> list[str]:
    return [one for one in table if isinstance(one, str)]


@pytest.mark.parametrize("name", [name for name in sorted(tables.__all__) if name.isupper()])
def test_a_table_holds_names_without_spaces(name: str) -> None:
    found = names_of(getattr(tables, name))
    assert found
    assert [one for one in found if not one or one != one.strip() or " " in one] == []


@pytest.mark.parametrize("name", ["ATOMIC_BUILTINS", "CONSUMING_BUILTINS"])
def test_what_is_called_a_builtin_is_one(name: str) -> None:
    assert [one for one in names_of(getattr(tables, name)) if not hasattr(builtins, one)] == []


def test_functions_of_the_standard_library_exist() -> None:
    missing = []
    for path in sorted(tables.ITERATOR_FUNCTIONS):
        module, _, attribute = path.partition(".")
        if module in ("csv", "re", "glob", "os", "itertools", "heapq"):
            found = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part, None)  # type: ignore[assignment]
            if found is None and path != "itertools.batched":  # from Python 3.12
                missing.append(path)
    assert missing == []


def test_no_function_both_iterates_and_gives_a_view() -> None:
    assert tables.ITERATOR_FUNCTIONS.isdisjoint(tables.VIEW_FUNCTIONS)


LEFT_OUT = ("diff", "matrix_power", "polyder", "polyint", "test")
"""Functions that give back what they are given if asked to do something no times; and numpy's own tests."""
WAYS_TO_CALL: tuple[tuple[Any, ...], ...] = ((), (0,), (1,), (0, 1), ((2, 2),), ((4,),), ([1],))
"""Arguments after the array."""


@pytest.mark.parametrize("module", [np, np.linalg, np.lib.stride_tricks, np.emath])
def test_what_shares_memory_with_its_argument_is_called_a_view(module: types.ModuleType) -> None:
    shared: set[str] = set()
    called = 0
    for name, function in dict(vars(module)).items():
        if name.startswith("_") or not callable(function) or isinstance(function, np.ufunc) or name in LEFT_OUT:
            continue
        for rest in WAYS_TO_CALL:
            for given in (np.arange(4.0).reshape(2, 2), np.arange(4, dtype=np.int64), np.zeros(4, np.complex128)):
                with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
                    made = np.einsum("ii->i", given) if name == "einsum" else function(given, *rest)
                    called += 1
                    parts = made if isinstance(made, (list, tuple)) else [made]
                    if any(isinstance(part, np.ndarray) and np.shares_memory(part, given) for part in parts):
                        shared.add(f"{module.__name__}.{name}")
    assert called > 5
    assert sorted(shared - tables.VIEW_FUNCTIONS) == []


def held_by(root: object) -> list[Any]:
    """Return the arrays and tables that an object holds at any depth, modules, classes and functions left out."""
    found: list[Any] = []
    seen: set[int] = set()
    todo = [root]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (types.ModuleType, type, types.FunctionType, str, int, float)):
            continue
        seen.add(id(one))
        if isinstance(one, (np.ndarray, pd.Series)):
            found.append(one)
        todo.extend(gc.get_referents(one))
    return found


def given_to(name: str) -> list[Any]:
    """Return what a function of the table is given: lists, arrays and tables that it could change or keep."""
    x, y, grid = np.arange(4.0), pd.Series([1.0, 3.0, 2.0, 5.0]), np.arange(16.0).reshape(4, 4)
    if name in ("contour", "contourf", "imshow", "matshow", "pcolormesh"):
        return [grid]
    if name in ("axhline", "axvline", "set_title", "set_xlabel", "set_ylabel", "suptitle", "title", "xlabel", "ylabel"):
        return [1.0] if name.startswith("ax") else ["a text"]
    if name in ("axhspan", "axvspan"):
        return [0.0, 1.0]
    if name in ("set_xlim", "set_ylim", "xlim", "ylim"):
        return [[0.0, 3.0]]
    if name == "text":
        return [1.0, 2.0, "a text"]
    if name in ("hist", "pie", "boxplot", "violinplot"):
        return [np.array([1.0, 3.0, 2.0, 2.5])]
    if name in ("hlines", "vlines", "fill_between", "fill_betweenx"):
        return [x, y, y + 1]
    return [x, y]


@pytest.mark.parametrize("name", sorted(tables.DRAWING))
def test_what_draws_neither_changes_nor_keeps_what_it_is_given(name: str) -> None:
    found = 0
    for owner_is_axes in (False, True):
        plt.close("all")
        figure, axes = plt.subplots(figsize=(1, 1), dpi=20)
        called = getattr(axes if owner_is_axes else plt, name, None)
        if not callable(called):  # ``axes.title`` is its text
            continue
        found += 1
        given = given_to(name)
        before = copy.deepcopy(given)
        state = pickle.dumps((random.getstate(), np.random.get_state()))
        called(*given)
        figure.canvas.draw()
        assert pickle.dumps((random.getstate(), np.random.get_state())) == state
        assert [np.asarray(one).tolist() for one in given] == [np.asarray(one).tolist() for one in before]
        mine = [np.asarray(one) for one in given if isinstance(one, (np.ndarray, pd.Series))]
        held = [np.asarray(one) for one in held_by(figure)]
        assert [one for one in held for own in mine if np.shares_memory(one, own)] == []
    plt.close("all")
    assert found


def _changed_frame(frame: pd.DataFrame) -> None:
    frame.loc[0, "v"] = 100.0
    frame["g"] = [7, 8, 9]
    frame.insert(0, "z", 0)


def _changed_series(series: pd.Series[Any]) -> None:
    series.iloc[0] = 50.0
    series.index = pd.Index([5, 6, 7])
    series.name = "w"


def _changed_array(array: Any) -> None:
    array[...] = 9


def _seen(result: Any) -> str:
    """Return all that can be seen of what a method gave, and of the table that it stands for."""
    if hasattr(result, "obj"):
        return f"{result.obj} {list(result)}"
    return f"{list(result)} {result}" if hasattr(result, "__iter__") else repr(result)


_OWNERS: list[tuple[Callable[[], Any], Callable[[Any], None]]] = [
    (lambda: pd.DataFrame({"g": [1, 1, 2], "v": [1.0, 2.0, 3.0]}), _changed_frame),
    (lambda: pd.Series([3.0, 1.0, 2.0], name="v"), _changed_series),
    (lambda: np.array([[3.0, 1.0], [2.0, 4.0]]), _changed_array),
]
_ARGUMENTS: list[tuple[Any, ...]] = [(), ("g",), (2,), ("v",), (0,), ([0],), ("D",), (float,), ({"v": "w"},)]
_ANOTHER_EACH_TIME = {"sample"}
_SAME_WITHOUT_ARGUMENTS = {"clip"}  # nobody calls it so
_ASKED = sorted(tables.FRESH_METHODS - _ANOTHER_EACH_TIME)


@pytest.mark.parametrize("owner", _OWNERS, ids=["frame", "series", "array"])
def test_what_is_called_fresh_shares_nothing_with_its_owner(
    owner: tuple[Callable[[], Any], Callable[[Any], None]],
) -> None:
    make, change = owner
    shared, tried = [], 0
    for name in _ASKED:
        if not callable(getattr(make(), name, None)):
            continue
        # What writes would take a number for an open file of this process, write to it and close it.
        for arguments in _ARGUMENTS[:1] if name.startswith("to_") else _ARGUMENTS[name in _SAME_WITHOUT_ARGUMENTS :]:
            changed = make()
            with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
                result, again = getattr(make(), name)(*arguments), getattr(changed, name)(*arguments)
                change(changed)
                tried += 1
                if _seen(again) != _seen(result):
                    shared.append((name, arguments))
    assert shared == []
    assert tried > 40


@pytest.mark.parametrize("holder", ["groupby('g')", "rolling(2)", "expanding()", "ewm(1)", "resample('D', on='t')"])
@pytest.mark.parametrize("change", ["df.v *= 10", "df['v'] = 5", "df.insert(0, 'z', 1)"])
def test_what_stands_for_a_table_is_changed_with_it(holder: str, change: str) -> None:
    make = "import pandas as pd\ndf = pd.read_csv('x.csv')"
    assert change in kept(make, f"h = df.{holder}", change, "print(list(h))")
