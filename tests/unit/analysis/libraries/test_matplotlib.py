from __future__ import annotations

import copy
import gc
import pickle
import random
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.analysis.libraries.matplotlib import DRAWING


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


@pytest.mark.parametrize("name", sorted(DRAWING))
def test_what_draws_neither_changes_nor_keeps_what_it_is_given(name: str) -> None:
    import matplotlib.pyplot as plt

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
