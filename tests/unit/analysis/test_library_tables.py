from __future__ import annotations

import builtins
import contextlib
import importlib
import io
from collections.abc import Callable, Collection
from typing import Any

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


@pytest.mark.parametrize(
    ("name", "typ", "libraries", "expected"),
    [
        ("mean", "DataFrame", (), True),
        ("partition", None, ("numpy",), False),
        ("partition", "str", (), True),
        ("subtract", None, ("collections",), False),
        ("subtract", "Series", (), True),
        ("mean", None, ("sklearn",), True),  # of the array that it gives
        ("sparsify", None, ("sklearn",), False),
        ("eval", None, (), False),
        ("get", None, (), True),
        ("get", None, ("queue",), False),
        ("sqrt", None, ("decimal", "numpy"), False),
    ],
)
def test_a_name_counts_for_the_objects_of_its_library_alone(
    name: str, typ: str | None, libraries: tuple[str, ...], expected: bool
) -> None:
    assert tables.is_quiet(name, typ, libraries) is expected
    assert tables.is_quiet(name, typ, libraries) or not tables.is_fresh(name, typ, libraries)


@pytest.mark.parametrize(
    ("make", "call"),
    [
        ("import decimal\na = decimal.Context(prec=3)", "a.sqrt(decimal.Decimal(2))"),
        ("from collections import defaultdict\na = defaultdict(list)", "a.__getitem__('x')"),
        ("from sklearn.linear_model import LogisticRegression\na = LogisticRegression()", "a.sparsify()"),
        ("import torch\nclass N(torch.nn.Module):\n    pass\nclass M(N):\n    pass\na = M()", "a.eval()"),
    ],
)
def test_a_method_that_another_library_has_by_this_name_says_nothing(make: str, call: str) -> None:
    assert call in kept(make, call, "print(a)")
