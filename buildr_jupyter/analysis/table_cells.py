"""Cells of tables: the objects that frames, series and arrays of objects hold, and share with who put them there."""

from __future__ import annotations

from collections.abc import Iterable

from buildr_jupyter.analysis.abstract_values import AbstractValue, Obj, reach
from buildr_jupyter.analysis.state import TABLES

__all__ = ["cells_of", "columns_of", "in_tables", "may_hold_objects", "stored_in_table"]

_CELLS = frozenset(("data", "inst", "iter", "func", "bound", "param"))
_COPIED = frozenset(("list", "tuple", "set", "dict", None, *TABLES))
"""Types of what lists the cells and is not one itself."""
_NUMBERS = frozenset(("int", "float", "bool", "complex", "str", "bytes"))


def cells_of(values: Iterable[AbstractValue], *, levels: int = 1) -> frozenset[Obj]:
    """Return what a table has in its cells that is made of these: what lies that many levels of lists deep, or deeper.

    Of a table these are what it has in its own cells, and what is no list is a cell wherever it lies.
    """
    found: set[Obj] = set()
    level = {obj for value in values for obj in value.objs}
    for _ in range(levels):
        below: set[Obj] = set()
        for obj in level:
            if obj.kind not in ("data", "iter") or (obj.typ not in _COPIED and not obj.life):
                found |= {obj} if obj.kind in _CELLS else set()
            elif obj.typ in TABLES:
                found |= obj.edges
            else:
                below |= obj.edges
        level = below
    return frozenset(one for one in reach(level) | found if one.kind in _CELLS)


def in_tables(objs: Iterable[Obj]) -> set[Obj]:
    """Return what the tables among these hold: what is made of them may hold it, too."""
    return {inner for obj in objs if obj.typ in TABLES for inner in obj.edges}


def columns_of(name: str) -> int:
    """Return how many lists lie around a cell in what the class or function of pandas is given."""
    return 1 if name in ("Series", "Index", "Categorical", "array") else 2


def may_hold_objects(value: AbstractValue) -> bool:
    """Tell whether a ``dtype`` that is given may be that of objects."""
    root, _, name = (value.path or "").partition(".")
    if root in _NUMBERS or (root == "numpy" and name != "object_"):
        return False
    return value.const is None or value.const in ("object", "O")


def stored_in_table(table: AbstractValue, value: AbstractValue, *, whole_column: bool) -> frozenset[Obj]:
    """Return what a table holds once the value was stored into it: the items of a column, or the value itself."""
    cells = cells_of((value,))
    if whole_column:
        return cells
    lists = frozenset(obj for obj in value.objs if obj.kind in _CELLS and obj.typ not in TABLES)
    has_objects = table.typ == "ndarray" and any(obj.edges for obj in table.objs)
    return cells | lists | (value.objs if has_objects else frozenset())
