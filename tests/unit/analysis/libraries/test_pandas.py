from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.analysis.libraries.pandas import METHODS, OF_OLDER_RELEASES
from tests.unit.analysis.libraries.called import check_methods


def table() -> pd.DataFrame:
    return pd.DataFrame({"g": [1, 1, 2], "v": [1.0, 2.0, np.nan], "w": [3.0, 5.0, 4.0]})


def days() -> pd.Series[Any]:
    return pd.Series([1.0, 2.0, 3.0, 4.0], index=pd.date_range("2020", periods=4), name="v")


SAMPLES: list[Callable[[], Any]] = [
    table,
    lambda: pd.DataFrame({"g": ["a", "b"], "v": ["x y", None]}),
    lambda: days().to_frame(),
    lambda: pd.Series([3.0, 1.0, 2.0, np.nan], name="v"),
    lambda: pd.Series(["a b", "c", None]),
    days,
    lambda: table().set_index(["g", "w"]),
    lambda: pd.Index(["a", "b"], name="g"),
    lambda: pd.date_range("2020", periods=3),
    lambda: pd.period_range("2020-01", periods=3, freq="M"),
    lambda: pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["g", "v"]),
    lambda: pd.Categorical(["a", "b"]),
    lambda: table().groupby("g"),
    lambda: table().groupby("g")["w"],
    lambda: table().rolling(2),
    lambda: days().resample("2D"),
    lambda: pd.Series(["a b", "c"]).str,
    lambda: pd.Series(pd.date_range("2020", periods=3)).dt,
    lambda: pd.Series(["a", "b"], dtype="category").cat,
    lambda: pd.Timestamp("2020-01-02"),
    lambda: pd.Timestamp("2020-01-02", tz="UTC"),
    lambda: pd.Period("2020-01"),
]
ARGUMENTS = [
    (), ("g",), (0,), (2,), ("v",), ([0],), ("D",), (float,), ({"v": "w"},), (1.5,), ("a",), (["g"],), ("%Y",), (len,),
    ("sum",), (pd.Series([1.0, 2.0, 3.0]),), (pd.DataFrame({"g": [1, 2, 1], "v": [1.0, 2.0, 3.0]}),), ("UTC",), ("g", "v"),
    ([0, 1],), ("v > 0",), (["a", "b"],), ({"a": "z"},), ([1, 2, 3],), (pd.Timestamp("2020"),), ("0:00", "1:00"), (1,),
    (["c", "d"],), (pd.Index(["a", "b"]),), ("(a)",), (0, "g"), (1, 0),
]  # fmt: skip
SPECIAL: dict[str, Callable[[Any], Any]] = {
    "mask": lambda one: one.mask(one.v > 1, 0),
    "pivot": lambda one: one.pivot(columns="g", values="v"),
    "set_codes": lambda one: one.set_codes([[0, 0, 1, 1], [0, 1, 0, 1]]),
    "set_levels": lambda one: one.set_levels([["c", "d"], [3, 4]]),
    "to_feather": lambda one: one.to_feather(io.BytesIO()),
    "to_parquet": lambda one: one.to_parquet(io.BytesIO()),
    "to_pickle": lambda one: one.to_pickle(io.BytesIO()),
    "to_sql": lambda one: one.to_sql("t", sqlite3.connect(":memory:")),
    "tz_convert": lambda one: one.tz_convert("UTC"),
}
UNCALLED = {"to_excel": "openpyxl", "to_hdf": "tables", "to_markdown": "tabulate"}
"""Methods to the package that they need and the tests do not have."""


@pytest.fixture(autouse=True)
def _no_figures() -> Iterator[None]:
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_methods_change_what_the_table_says() -> None:
    check_methods(METHODS.quiet - OF_OLDER_RELEASES - UNCALLED.keys(), METHODS.changing, SAMPLES, ARGUMENTS, SPECIAL)
