"""Cells of tables: what frames and arrays share with who put it there, and what they copied."""

from __future__ import annotations

import pytest

from buildr_jupyter.analysis.abstract_values import AbstractValue
from buildr_jupyter.analysis.table_cells import cells_of, columns_of, may_hold_objects, stored_in_table
from tests.unit.analysis.executed import followed
from tests.unit.analysis.test_slicer import kept

HEAD = "import numpy as np\nimport pandas as pd\nx = [3, 1]"


@pytest.mark.parametrize(
    ("put", "got"),
    [
        ("h = pd.DataFrame({'c': [x]})", "h['c'][0]"),
        ("h = pd.DataFrame({'c': [x]}).query('index == 0')", "h['c'][0]"),
        ("h = pd.Series([x])", "h[0]"),
        ("h = pd.Series([0]).map(lambda v: x)", "h[0]"),
        ("h = pd.DataFrame({'d': [1]})\nh['c'] = [x]", "h['c'][0]"),
        ("h = pd.DataFrame({'d': [1]})\nh.attrs['k'] = x", "h.attrs['k']"),
        ("h = np.empty(1, dtype=object)\nh[0] = x", "h.copy()[0]"),
        ("h = np.array([x, None], dtype=object)", "h[0]"),
    ],
)
def test_what_lies_in_a_cell_is_shared(put: str, got: str) -> None:
    assert "x.append(9)" in kept(HEAD, put, "x.append(9)", f"print({got})")
    assert f"{got}.append(9)" in kept(HEAD, put, f"{got}.append(9)", "print(x)")


@pytest.mark.parametrize("put", ["h = pd.DataFrame({'c': x})", "h = pd.Series(x)"])
def test_a_list_of_numbers_is_copied(put: str) -> None:
    assert "x.append(9)" not in kept(HEAD, put, "x.append(9)", "print(h)")


def test_a_cell_lies_as_deep_as_lists_are_around_it() -> None:
    flow = followed("x = [1]\ncolumn = [x]\ntable = {'c': column}")
    inside, column, table = (flow.env[name] for name in ("x", "column", "table"))
    assert cells_of((column,), levels=columns_of("Series")) == inside.objs
    assert cells_of((table,), levels=columns_of("DataFrame")) == inside.objs
    assert inside.objs <= stored_in_table(AbstractValue(typ="DataFrame"), column, whole_column=True)
    assert stored_in_table(AbstractValue(typ="Series"), inside, whole_column=False) == inside.objs


@pytest.mark.parametrize(
    ("path", "const", "objects"),
    [("object", None, True), ("numpy.object_", None, True), (None, "O", True), ("float", None, False), ("numpy.int8", None, False),
     (None, "f8", False)],
)  # fmt: skip
def test_only_a_dtype_of_objects_holds_objects(path: str | None, const: str | None, objects: bool) -> None:
    assert may_hold_objects(AbstractValue(path=path, const=const)) is objects
