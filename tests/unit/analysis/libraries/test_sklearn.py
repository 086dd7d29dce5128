"""What the tables say of draws is true of the libraries that are installed."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from buildr_jupyter.analysis.draws import Draw, draw_of, may_draw_when_asked
from buildr_jupyter.analysis.libraries.names import words
from buildr_jupyter.analysis.libraries.sklearn import (
    DRAWS,
    DRAWS_WHEN_ASKED,
    FIT_MAY_DRAW,
    FITTERS,
    METHODS,
    QUIET,
    QUIET_WITHOUT,
)
from tests.unit.analysis.libraries.called import check_methods

np = pytest.importorskip("numpy")

X = np.random.RandomState(0).rand(24, 4)
Y = (X[:, 0] > 0.5).astype(int)
_ARGUMENTS: list[tuple[Any, ...]] = [
    (X, Y), (X,), (X, X), (Y, Y), (Y, X[:, 0]), (X[:, 0], Y), (["a b", "b c"] * 12,), ([{"a": 1}, {"b": 2}],), (),
    (X, Y, [0.1]), (X[:, :2], 0.1), (X @ X.T,),
]  # fmt: skip


def _public() -> dict[str, Any]:
    sklearn = pytest.importorskip("sklearn")
    found: dict[str, Any] = {}
    for module in pkgutil.walk_packages(sklearn.__path__, "sklearn."):
        parts = module.name.split(".")
        if any(part.startswith("_") or part in ("tests", "externals", "conftest") for part in parts):
            continue
        loaded = importlib.import_module(module.name)
        found |= {name: getattr(loaded, name) for name in getattr(loaded, "__all__", ()) if hasattr(loaded, name)}
    return found | dict(importlib.import_module("sklearn.utils.discovery").all_estimators())


@pytest.fixture(scope="module", name="public")
def public_fixture() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _public()


def _calls(made: Any) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield what is called with what: a function, or the fitting of a class's object."""
    for arguments in _ARGUMENTS:
        yield (made.fit if inspect.isclass(made) is False and hasattr(made, "fit") else made), arguments


@functools.cache
def _draws(make: Any) -> bool:
    return _draws_with(make)


def _draws_with(make: Any, **keywords: Any) -> bool:
    """Tell whether numpy's global generator has another state once this was fitted or called with samples."""
    kept = np.random.get_state()
    np.random.seed(0)
    before = np.random.get_state()[1].copy(), np.random.get_state()[2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call, arguments in _calls(make(**keywords) if inspect.isclass(make) else make):
            try:
                list(call(*arguments)) if inspect.isgeneratorfunction(call) else call(*arguments)
                break
            except Exception:  # noqa: BLE001 - these arguments are not for it
                continue
    after = np.random.get_state()
    np.random.set_state(kept)
    return not (before[1] == after[2] and (before[0] == after[1]).all())


def _is_called(name: str) -> bool:
    """Leave out what reads the network or the disk, or asks a screen."""
    return not name.startswith(("fetch_", "dump_", "clear_", "load_svm")) and not name.endswith("Display")


def test_what_is_called_quiet_draws_nothing(public: dict[str, Any]) -> None:
    """In one test, since one look at the package serves all of its names."""
    wrong, called = [], 0
    for name in sorted(QUIET):
        one = public.get(name)
        if one is None or not _is_called(name):
            continue
        parameters = inspect.signature(one).parameters
        if "random_state" in parameters:
            wrong.append(name)
        elif not inspect.isclass(one) or _is_made_of_nothing(one):
            called += 1
            wrong.extend([name] if _draws(one) else [])
    assert wrong == []
    assert called > 150


@pytest.mark.parametrize("name", sorted(QUIET_WITHOUT))
def test_what_is_quiet_without_a_keyword_is(public: dict[str, Any], name: str) -> None:
    one = public[name]
    assert not _draws(one)
    assert not draw_of(f"sklearn.x.{name}", (), Draw.NOT)
    for keyword in QUIET_WITHOUT[name]:
        assert keyword in inspect.signature(one).parameters
        assert draw_of(f"sklearn.x.{name}", (keyword,), Draw.NOT)


def test_what_is_said_to_draw_does(public: dict[str, Any]) -> None:
    named = [public[name] for name in sorted(DRAWS) if name in public]
    assert len(named) > 60
    assert [one.__name__ for one in named if "random_state" not in inspect.signature(one).parameters] == []
    assert [one.__name__ for one in named if hasattr(one, "fit") and _is_made_of_nothing(one) and not _draws(one)] == []
    assert draw_of("sklearn.cluster.KMeans", (), Draw.NOT) is Draw.DOES
    assert draw_of("sklearn.svm.SVC", (), Draw.NOT) is Draw.MAY
    assert draw_of("sklearn.ensemble.AdaBoostClassifier", ("random_state",), Draw.DOES) is Draw.MAY


def _is_made_of_nothing(one: Any) -> bool:
    parameters = inspect.signature(one).parameters.values()
    return all(parameter.default is not parameter.empty or parameter.kind > 1 for parameter in parameters)


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("LogisticRegression", {"solver": "liblinear"}),
        ("RandomForestClassifier", {}),
        ("KMeans", {}),
        ("SVR", {}),
        ("Lasso", {}),
        ("train_test_split", {}),
    ],
)
def test_what_draws_is_said_to(public: dict[str, Any], name: str, keywords: dict[str, Any]) -> None:
    assert _draws_with(public[name], **keywords)
    assert draw_of(f"sklearn.x.{name}", keywords, Draw.NOT)
    assert not draw_of(f"sklearn.x.{name}", (*keywords, "random_state"), Draw.NOT)


def test_every_estimator_that_draws_is_said_to(public: dict[str, Any]) -> None:
    """The other way round: no class whose fitting was seen to draw is taken for a quiet one."""
    wrong = []
    for name, one in sorted(public.items()):
        if not inspect.isclass(one) or not hasattr(one, "fit") or name in FITTERS:
            continue
        if _is_made_of_nothing(one) and not draw_of(f"sklearn.x.{name}", (), Draw.NOT) and _draws(one):
            wrong.append(name)
    assert wrong == []


def test_what_fits_what_it_is_given_takes_no_seed(public: dict[str, Any]) -> None:
    named = [name for name in sorted(FITTERS) if name in public]
    assert len(named) > 25
    assert [name for name in named if "random_state" in inspect.signature(public[name]).parameters] == []
    assert draw_of("sklearn.model_selection.cross_val_score", ("cv",), Draw.DOES)
    assert not draw_of("sklearn.model_selection.cross_val_score", ("cv",), Draw.NOT)


_ASKED = words(
    "predict predict_proba predict_log_proba decision_function score score_samples transform inverse_transform apply "
    "kneighbors decision_path staged_predict bic aic sparsify"
)


def _is_asked(made: Any, samples: tuple[Any, ...]) -> bool:
    """Tell whether a fitted estimator draws from numpy's global generator when it is asked for anything."""
    before = np.random.get_state()[1].copy(), np.random.get_state()[2]
    for name in sorted(_ASKED):
        for given in (samples[:1], samples):
            try:
                result = getattr(made, name)(*given)
                list(result) if inspect.isgenerator(result) else result
            except Exception:  # noqa: BLE001 - it has no such method, or takes other samples
                continue
    after = np.random.get_state()
    return not (before[1] == after[2] and (before[0] == after[1]).all())


def _fitted(cls: Any, **keywords: Any) -> tuple[Any, tuple[Any, ...]] | None:
    for samples in _ARGUMENTS:
        with contextlib.suppress(Exception):
            return cls(**keywords).fit(*samples), samples
    return None


@pytest.mark.filterwarnings("ignore")
def test_what_is_said_to_draw_only_when_fitted_does(public: dict[str, Any]) -> None:
    """As its options stand, and with as few trees and steps as it takes."""
    wrong, asked = [], 0
    for name in sorted(DRAWS | FIT_MAY_DRAW | QUIET | QUIET_WITHOUT.keys()):
        one = public.get(name)
        if not inspect.isclass(one) or not hasattr(one, "fit") or not _is_made_of_nothing(one):
            continue
        assert not may_draw_when_asked(f"sklearn.x.{name}") or name in DRAWS_WHEN_ASKED
        few = {key: 2 for key in ("n_estimators", "max_iter") if key in inspect.signature(one).parameters}
        if name not in DRAWS_WHEN_ASKED and (found := _fitted(one, **few) or _fitted(one)):
            asked += 1
            wrong += [name] if _is_asked(*found) else []
    assert wrong == []
    assert asked > 120


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "keywords"), [("DummyClassifier", {"strategy": "uniform"}), ("BernoulliRBM", {"n_iter": 1})]
)
def test_what_draws_when_it_is_asked_is_said_to(public: dict[str, Any], name: str, keywords: dict[str, Any]) -> None:
    found = _fitted(public[name], **keywords)
    assert found is not None
    assert _is_asked(*found)
    assert may_draw_when_asked(f"sklearn.x.{name}")
    assert draw_of(f"sklearn.x.{name}", keywords, Draw.NOT)


def _fitted_samples() -> list[Callable[[], Any]]:
    from sklearn import (
        decomposition,
        ensemble,
        feature_extraction,
        feature_selection,
        linear_model,
        mixture,
        model_selection,
        naive_bayes,
        neighbors,
        preprocessing,
        svm,
        tree,
    )

    made = [
        linear_model.LinearRegression(), linear_model.LogisticRegression(), linear_model.SGDClassifier(),
        tree.DecisionTreeClassifier(), ensemble.RandomForestClassifier(3), ensemble.AdaBoostClassifier(n_estimators=3),
        ensemble.GradientBoostingClassifier(n_estimators=3), decomposition.PCA(2), preprocessing.StandardScaler(),
        neighbors.KNeighborsClassifier(), neighbors.KernelDensity(), naive_bayes.GaussianNB(), svm.SVC(),
        feature_selection.SelectKBest(k=2), mixture.GaussianMixture(2),
    ]  # fmt: skip
    texts = feature_extraction.text.CountVectorizer(token_pattern=r"\w").fit(["a b c", "b c d"])
    return [
        *((lambda one=one: copy.deepcopy(one)) for one in [made.fit(X, Y) for made in made]),
        lambda: copy.deepcopy(texts),
        lambda: model_selection.KFold(2),
    ]


def test_methods_change_what_the_table_says() -> None:
    check_methods(METHODS.quiet, METHODS.changing, _fitted_samples(), [(X,), (X, Y), (X[:, :2],), (), (["a b"],)], {})
