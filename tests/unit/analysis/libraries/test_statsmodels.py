"""What the tables call a question is asked of objects of the library, which are compared before and after."""

from __future__ import annotations

import ast
import copy
import gc
import importlib.util
import pickle
import random
import re
import types
import warnings
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.analysis.libraries.statsmodels import LEFT_BY_QUESTIONS, QUESTIONS

N = 40


@pytest.fixture(scope="module")
def given() -> types.SimpleNamespace:
    """The library, which takes two seconds to import, and what its models are made of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import statsmodels.api as sm
        import statsmodels.formula.api as smf
        import statsmodels.tsa.api as tsa
        from statsmodels.tsa.exponential_smoothing.ets import ETSModel
    rng = np.random.RandomState(0)
    data = pd.DataFrame({"x": rng.normal(size=N), "w": rng.normal(size=N), "g": np.arange(N) % 4})
    data["y"] = 1 + data["x"] - data["w"] + rng.normal(size=N)
    data["z"] = (data["y"] > 1).astype(int)
    months = pd.period_range("2001-01", periods=60, freq="M")
    return types.SimpleNamespace(
        sm=sm, smf=smf, tsa=tsa, ETSModel=ETSModel, data=data, x=sm.add_constant(data[["x", "w"]]),
        series=pd.Series(10 + rng.normal(size=60).cumsum(), index=months),
    )  # fmt: skip


MADE: dict[str, Callable[[Any], Any]] = {
    "ols": lambda g: g.sm.OLS(g.data["y"], g.x).fit(),
    "ols of a formula": lambda g: g.smf.ols("y ~ x + w", g.data).fit(),
    "wls": lambda g: g.sm.WLS(g.data["y"], g.x, weights=np.ones(N)).fit(),
    "gls": lambda g: g.sm.GLS(g.data["y"], g.x).fit(cov_type="HC0"),
    "glm": lambda g: g.sm.GLM(g.data["z"], g.x, family=g.sm.families.Binomial()).fit(),
    "logit": lambda g: g.sm.Logit(g.data["z"], g.x).fit(disp=0),
    "poisson": lambda g: g.sm.Poisson(g.data["g"], g.x).fit(disp=0),
    "rlm": lambda g: g.sm.RLM(g.data["y"], g.x).fit(),
    "quantreg": lambda g: g.sm.QuantReg(g.data["y"], g.x).fit(),
    "gee": lambda g: g.sm.GEE(g.data["y"], g.x, groups=g.data["g"]).fit(),
    "mixed": lambda g: g.sm.MixedLM(g.data["y"], g.x, groups=g.data["g"]).fit(),
    "recursive": lambda g: g.sm.RecursiveLS(g.data["y"], g.x).fit(),
    "autoreg": lambda g: g.tsa.AutoReg(g.series, 2).fit(),
    "arima": lambda g: g.tsa.ARIMA(g.series, order=(1, 0, 0)).fit(),
    "sarimax": lambda g: g.tsa.SARIMAX(g.series, order=(1, 0, 0)).fit(disp=0),
    "unobserved": lambda g: g.tsa.UnobservedComponents(g.series, "llevel").fit(disp=0),
    "smoothing": lambda g: g.tsa.ExponentialSmoothing(g.series, trend="add").fit(),
    "ets": lambda g: g.ETSModel(g.series).fit(disp=0),
    "var": lambda g: g.tsa.VAR(g.data[["x", "w"]]).fit(1),
    "prediction": lambda g: g.sm.OLS(g.data["y"], g.x).fit().get_prediction(g.x.iloc[:3]),
    "forecast": lambda g: g.tsa.SARIMAX(g.series, order=(1, 0, 0)).fit(disp=0).get_forecast(3),
    "influence": lambda g: g.sm.OLS(g.data["y"], g.x).fit().get_influence(),
    "test": lambda g: g.sm.OLS(g.data["y"], g.x).fit().t_test("x = 0"),
    "table": lambda g: g.sm.datasets.longley.load_pandas().data,
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
def test_a_question_changes_nothing(kind: str, given: types.SimpleNamespace) -> None:
    made = MADE[kind](given)
    asked = 0
    objs = {**reached(made), **reached([given.data, given.x, given.series])}
    for name in sorted(QUESTIONS):
        method = getattr(made, name, None)
        if method is None:
            continue
        args = TESTS.get(name, [])
        before, same = state_of(objs), copy.deepcopy(args)
        state = pickle.dumps((random.getstate(), np.random.get_state()))
        try:
            method(*args)
        except (NotImplementedError, ValueError, TypeError, AttributeError):
            continue
        asked += 1
        assert {one.rpartition(".")[2] for one in differing(objs, before)} <= LEFT_BY_QUESTIONS, name
        assert pickle.dumps((random.getstate(), np.random.get_state())) == state, name
        assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(args, same, strict=True)), name
    assert asked


def methods_in(library: str, names: Collection[str]) -> Iterator[tuple[str, str, ast.FunctionDef]]:
    """Yield the methods of these names of all classes in a library's source, with the names of the file and of the class."""
    found = importlib.util.find_spec(library)
    assert found
    assert found.origin
    defined = re.compile(rf"\bdef\s+(?:{'|'.join(sorted(names))})\b")
    for file in sorted(Path(found.origin).parent.rglob("*.py")):
        text = file.read_text(encoding="utf-8") if "tests" not in file.parts else ""
        tree = ast.parse(text) if defined.search(text) else ast.Module([], [])
        for cls in ast.walk(tree):
            for method in cls.body if isinstance(cls, ast.ClassDef) else ():
                if isinstance(method, ast.FunctionDef) and method.name in names:
                    yield file.stem, cls.name, method


def stored_by(library: str, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the attributes that methods of these names of any class in a library's source store, with the class."""
    for file, cls, method in methods_in(library, names):
        for node in ast.walk(method):
            stores = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            if stores and isinstance(node, ast.Attribute) and ast.unparse(node).startswith("self."):
                yield node.attr, f"{file}.{cls}.{method.name}"


def test_what_questions_store_is_in_the_table() -> None:
    stored = set(stored_by("statsmodels", QUESTIONS))
    stored.remove(("model", "dynamic_factor_mq.DynamicFactorMQ.summary"))  # a model notes that it is its own model
    assert {one for one in stored if one[0] not in LEFT_BY_QUESTIONS and not one[0].startswith("_")} == set()
    assert {name for name, _ in stored} >= {"diagn", "table"}


def test_a_table_that_statsmodels_gives_has_the_methods_of_pandas_alone() -> None:
    """A name that none of its classes has is a method of a table, of which the tables of pandas speak."""
    own = {"head", "tail"}
    assert own <= QUESTIONS
    assert list(methods_in("pandas", own)), "the control: pandas has them"
    assert [found for library in ("statsmodels", "patsy", "matplotlib") for found in methods_in(library, own)] == []
