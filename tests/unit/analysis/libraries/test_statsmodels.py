"""What the tables call a question is asked of objects of the library, which are compared before and after."""

from __future__ import annotations

import ast
import copy
import gc
import pickle
import random
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import patsy
import pytest

from buildr_jupyter.analysis.libraries.statsmodels import LEFT_BY_QUESTIONS, QUESTIONS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import statsmodels
    import statsmodels.api as sm
    import statsmodels.formula.api as smf
    from statsmodels.tsa.api import ARIMA, SARIMAX, VAR, AutoReg, ExponentialSmoothing, UnobservedComponents
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

RNG = np.random.RandomState(0)
N = 40
DATA = pd.DataFrame({"x": RNG.normal(size=N), "w": RNG.normal(size=N), "g": np.arange(N) % 4})
DATA["y"] = 1 + DATA["x"] - DATA["w"] + RNG.normal(size=N)
DATA["z"] = (DATA["y"] > 1).astype(int)
X = sm.add_constant(DATA[["x", "w"]])
SERIES = pd.Series(10 + RNG.normal(size=60).cumsum(), index=pd.period_range("2001-01", periods=60, freq="M"))

MADE: dict[str, Callable[[], Any]] = {
    "ols": lambda: sm.OLS(DATA["y"], X).fit(),
    "ols of a formula": lambda: smf.ols("y ~ x + w", DATA).fit(),
    "wls": lambda: sm.WLS(DATA["y"], X, weights=np.ones(N)).fit(),
    "gls": lambda: sm.GLS(DATA["y"], X).fit(cov_type="HC0"),
    "glm": lambda: sm.GLM(DATA["z"], X, family=sm.families.Binomial()).fit(),
    "logit": lambda: sm.Logit(DATA["z"], X).fit(disp=0),
    "poisson": lambda: sm.Poisson(DATA["g"], X).fit(disp=0),
    "rlm": lambda: sm.RLM(DATA["y"], X).fit(),
    "quantreg": lambda: sm.QuantReg(DATA["y"], X).fit(),
    "gee": lambda: sm.GEE(DATA["y"], X, groups=DATA["g"]).fit(),
    "mixed": lambda: sm.MixedLM(DATA["y"], X, groups=DATA["g"]).fit(),
    "recursive": lambda: sm.RecursiveLS(DATA["y"], X).fit(),
    "autoreg": lambda: AutoReg(SERIES, 2).fit(),
    "arima": lambda: ARIMA(SERIES, order=(1, 0, 0)).fit(),
    "sarimax": lambda: SARIMAX(SERIES, order=(1, 0, 0)).fit(disp=0),
    "unobserved": lambda: UnobservedComponents(SERIES, "llevel").fit(disp=0),
    "smoothing": lambda: ExponentialSmoothing(SERIES, trend="add").fit(),
    "ets": lambda: ETSModel(SERIES).fit(disp=0),
    "var": lambda: VAR(DATA[["x", "w"]]).fit(1),
    "prediction": lambda: sm.OLS(DATA["y"], X).fit().get_prediction(X.iloc[:3]),
    "forecast": lambda: SARIMAX(SERIES, order=(1, 0, 0)).fit(disp=0).get_forecast(3),
    "influence": lambda: sm.OLS(DATA["y"], X).fit().get_influence(),
    "test": lambda: sm.OLS(DATA["y"], X).fit().t_test("x = 0"),
    "table": lambda: sm.datasets.longley.load_pandas().data,
}
TESTS = {name: [np.eye(1, 3)] for name in ("f_test", "t_test", "wald_test")}


def reached(root: object) -> dict[int, Any]:
    """Return what an object holds at any depth, by identity; modules, classes and functions are left out."""
    found: dict[int, Any] = {}
    todo = [root]
    aside = types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType, types.FrameType
    while todo:
        one = todo.pop()
        if id(one) in found or isinstance(one, aside):
            continue
        found[id(one)] = one
        todo.extend(inner for inner in gc.get_referents(one) if inner is not MADE and not isinstance(inner, aside))
    return found


def attributes_of(one: object) -> dict[str, int]:
    """Return the public attributes of an object with the identities of their values."""
    return {name: id(value) for name, value in vars(one).items() if not name.startswith("_")}


def state_of(objs: dict[int, Any]) -> dict[int, Any]:
    """Return the contents of the arrays and tables, and the public attributes of the library's objects."""
    state: dict[int, Any] = {}
    for key, one in objs.items():
        if isinstance(one, (np.ndarray, pd.DataFrame, pd.Series)):
            state[key] = copy.deepcopy(one)
        elif type(one).__module__.startswith("statsmodels.") and hasattr(one, "__dict__"):
            state[key] = attributes_of(one)
    return state


def differing(objs: dict[int, Any], before: dict[int, Any]) -> list[str]:
    """Return what is another than before."""
    found = []
    for key, old in before.items():
        one = objs[key]
        if isinstance(old, dict):
            now = attributes_of(one)
            found += [f"{type(one).__name__}.{name}" for name in old.keys() | now if old.get(name) != now.get(name)]
        elif not np.array_equal(np.asarray(one), np.asarray(old), equal_nan=np.asarray(old).dtype.kind in "fc"):
            found.append(f"{type(one).__name__} {one!r:.60}")
    return found


@pytest.mark.parametrize("kind", sorted(MADE))
@pytest.mark.filterwarnings("ignore")
def test_a_question_changes_nothing(kind: str) -> None:
    made = MADE[kind]()
    asked = 0
    objs = {**reached(made), **reached([DATA, X, SERIES])}
    for name in sorted(QUESTIONS):
        method = getattr(made, name, None)
        if method is None:
            continue
        args = TESTS.get(name, [])
        before, given = state_of(objs), copy.deepcopy(args)
        state = pickle.dumps((random.getstate(), np.random.get_state()))
        try:
            method(*args)
        except (NotImplementedError, ValueError, TypeError, AttributeError):
            continue
        asked += 1
        assert {one.rpartition(".")[2] for one in differing(objs, before)} <= LEFT_BY_QUESTIONS, name
        assert pickle.dumps((random.getstate(), np.random.get_state())) == state, name
        assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(args, given, strict=True)), name
    assert asked


def methods_of(library: types.ModuleType) -> Iterator[str]:
    """Yield the names of the methods of all classes in a library's source."""
    for _, _, method in methods_in(library):
        yield method.name


def methods_in(library: types.ModuleType) -> Iterator[tuple[str, str, ast.FunctionDef]]:
    """Yield the methods of all classes in a library's source, with the names of the file and of the class."""
    for file in sorted(Path(str(library.__file__)).parent.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8")) if "tests" not in file.parts else ast.Module([], [])
        for cls in ast.walk(tree):
            for method in cls.body if isinstance(cls, ast.ClassDef) else ():
                if isinstance(method, ast.FunctionDef):
                    yield file.stem, cls.name, method


def stored_by(library: types.ModuleType, names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the attributes that methods of these names of any class in a library's source store, with the class."""
    for file, cls, method in methods_in(library):
        for node in ast.walk(method) if method.name in names else ():
            stores = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            if stores and isinstance(node, ast.Attribute) and ast.unparse(node).startswith("self."):
                yield node.attr, f"{file}.{cls}.{method.name}"


def test_what_questions_store_is_in_the_table() -> None:
    stored = set(stored_by(statsmodels, QUESTIONS))
    stored.remove(("model", "dynamic_factor_mq.DynamicFactorMQ.summary"))  # a model notes that it is its own model
    assert {one for one in stored if one[0] not in LEFT_BY_QUESTIONS and not one[0].startswith("_")} == set()
    assert {name for name, _ in stored} >= {"diagn", "table"}


def test_a_table_that_statsmodels_gives_has_the_methods_of_pandas_alone() -> None:
    """A name that none of its classes has is a method of a table, of which the tables of pandas speak."""
    own = {"head", "tail"}
    assert own <= QUESTIONS
    classes = {name for library in (statsmodels, patsy, mpl) for name in methods_of(library)}
    assert own & classes == set()
