"""The table of numpy says what the numpy that is installed does."""

from __future__ import annotations

import contextlib
import inspect
import io
import types
from collections.abc import Callable
from typing import Any

import pytest

from buildr_jupyter.analysis.libraries.numpy import CHANGES_BY_TYPE, METHODS, OUT_POSITIONS, VIEW_FUNCTIONS
from tests.unit.analysis.libraries.called import check_methods
from tests.unit.analysis.test_slicer import kept

np = pytest.importorskip("numpy")


def _positions() -> dict[str, int]:
    found: dict[str, int] = {}
    for name in dir(np):
        function = getattr(np, name)
        if isinstance(function, np.ufunc):
            found[name] = function.nin
        elif callable(function) and not isinstance(function, type):
            try:
                parameters = inspect.signature(function).parameters
            except (ValueError, TypeError):
                continue
            if "out" in parameters and parameters["out"].kind is not inspect.Parameter.KEYWORD_ONLY:
                found[name] = list(parameters).index("out")
    return found


def test_every_function_of_numpy_that_takes_an_out_by_position_is_in_the_table() -> None:
    positions = _positions()
    assert len(positions) > 90
    assert {name: OUT_POSITIONS.get(name) for name in positions} == positions


def test_a_ufunc_writes_where_the_table_says() -> None:
    for name in ("add", "sqrt", "clip", "cumsum"):
        position = OUT_POSITIONS[name]
        array = np.array([4.0, 9.0])
        arguments = {"add": (array, 1.0), "sqrt": (array,), "clip": (array, 5, 6), "cumsum": (array, 0, None)}[name]
        assert len(arguments) == position
        before = array.copy()
        getattr(np, name)(*arguments, array)
        assert (array != before).any()


SAMPLES: list[Callable[[], Any]] = [
    lambda: np.array([3.0, 1.0, 2.0]),
    lambda: np.array([[3.0, 1.0], [2.0, 4.0]]),
    lambda: np.array([2, 0, 1]),
    lambda: np.array([1 + 2j]),
    lambda: np.array(["a", "b"]),
    lambda: np.array([[1], "g", None], dtype=object),
    lambda: np.rec.array([(1, 2.0)], dtype=[("g", int), ("v", float)]),
    lambda: np.float64(2.5),
    lambda: np.int64(3),
    lambda: np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]),
    lambda: np.polynomial.Polynomial([1, 2, 3]),
    lambda: np.char.array(["a b", "c"]),
]
ARGUMENTS = [
    (), (0,), (1,), ("a",), ([0],), (0, 1), ((2, 1),), ("f8",), (1.5,), ([1.0, 2.0, 3.0],), ([[1.0, 2.0], [3.0, 4.0]],),
    ([1, 0, 1],), ("a", "b"), (8,), (2,), ([[1, 2], [3, 4], [5, 6]],),
]  # fmt: skip
SPECIAL: dict[str, Callable[[Any], Any]] = {
    "choose": lambda one: np.array([0, 1]).choose([one[:2], one[:2]]),
    "dump": lambda one: one.dump(io.BytesIO()),
    "tofile": lambda one: one.tofile("/dev/null"),
}


def test_methods_change_what_the_table_says() -> None:
    check_methods(METHODS.quiet, METHODS.changing, SAMPLES, ARGUMENTS, SPECIAL)


def test_methods_of_arrays_that_change_them_do() -> None:
    gone = {"itemset"}  # with numpy 2
    given = {"setflags": lambda one: one.setflags(write=False), "resize": lambda one: one.resize((2,), refcheck=False)}
    given |= {"put": lambda one: one.put([0], [9]), "setfield": lambda one: one.setfield(9, "f8")}
    given |= {"byteswap": lambda one: one.byteswap(inplace=True), "sort": lambda one: one.sort()}
    given |= {"fill": lambda one: one.fill(9), "partition": lambda one: one.partition(0)}
    assert given.keys() | gone == CHANGES_BY_TYPE["ndarray"]
    check_methods((), given, SAMPLES[:1], ARGUMENTS, given)


@pytest.mark.parametrize(
    "call", ["a.cumsum(0, None, b)", "a.clip(0, 1, b)", "a.conj(b)", "a.max(0, b)", "a.take([0], 0, b)"]
)
def test_a_method_writes_into_the_array_that_stands_where_out_does(call: str) -> None:
    make = "import numpy as np\na = np.arange(5.0)\nb = np.zeros(5)"
    assert call in kept(make, call, "print(b)")
    assert call not in kept(make, call, "print(a)")


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
    assert sorted(shared - VIEW_FUNCTIONS) == []
