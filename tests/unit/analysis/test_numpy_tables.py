"""The positions of ``out`` are those of the numpy that is installed."""

from __future__ import annotations

import inspect

import pytest

from buildr_jupyter.analysis.numpy_tables import OUT_POSITIONS

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
