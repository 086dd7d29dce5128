from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from buildr_jupyter.analysis.draws import Draw, draw_of
from buildr_jupyter.analysis.libraries.scipy import DRAWS, METHODS
from tests.unit.analysis.libraries.called import check_methods

scipy = pytest.importorskip("scipy")  # its parts come when they are asked for
KINDS = ("csr_matrix", "csc_matrix", "coo_matrix", "lil_matrix", "dok_matrix", "bsr_matrix", "dia_matrix", "csr_array")
MATRIX = np.array([[1.0, 0, 2], [0, 3, 0]])
GRID = np.linspace(0, 1, 6)


def _matrix(kind: str) -> Callable[[], Any]:
    return lambda: getattr(scipy.sparse, kind)(MATRIX)


SAMPLES: list[Callable[[], Any]] = [
    *map(_matrix, KINDS),
    lambda: scipy.stats.norm(1, 2),
    lambda: scipy.stats.binom(5, 0.5),
    lambda: scipy.stats.gaussian_kde([1.0, 2, 4, 3]),
    lambda: scipy.stats.ttest_1samp([1.0, 2, 3], 1),
    lambda: scipy.interpolate.CubicSpline(GRID, GRID**2),
    lambda: scipy.interpolate.UnivariateSpline(GRID, GRID**2),
    lambda: scipy.interpolate.make_interp_spline(GRID, GRID**2),
    lambda: scipy.spatial.cKDTree(MATRIX),
    lambda: scipy.spatial.transform.Rotation.from_euler("z", 90, degrees=True),
    lambda: scipy.optimize.minimize(lambda x: (x**2).sum(), [1.0]),
]
ARGUMENTS = [
    (), (0,), (1,), (0.5,), ((3, 2),), (MATRIX,), ("f8",), (0, 1), ([1.0, 2.0, 3.0],), ([0.5, 0.2],), ("x",), (MATRIX.T,),
]  # fmt: skip


def test_methods_change_what_the_table_says() -> None:
    check_methods(METHODS.quiet, METHODS.changing, SAMPLES, ARGUMENTS, {})


def test_functions_that_draw_take_a_seed() -> None:
    for path in sorted(DRAWS):
        module, _, name = f"scipy.{path}".rpartition(".")
        found = getattr(importlib.import_module(module), name, None)
        if found is None:
            continue  # it came with a later version, or left with one
        assert {"random_state", "seed", "rng"} & set(inspect.signature(found).parameters), path
        assert draw_of(f"scipy.{path}", (), Draw.NOT)
        assert not draw_of(f"scipy.{path}", ("rng",), Draw.NOT)
    assert draw_of("scipy.stats.norm.rvs", (), Draw.NOT)
    assert not draw_of("scipy.optimize.minimize", (), Draw.NOT)
