"""Pickled modules: what pickles import is read from them, and nothing of them runs."""

from __future__ import annotations

import collections
import fractions
import gzip
import io
import pickle
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from buildr_jupyter.export.pickled_modules import find_pickled, modules_of
from buildr_jupyter.model.plan import FileEntry

VALUE = [fractions.Fraction(1, 2), collections.OrderedDict(a=fractions.Fraction(1, 3)), "numpy.linalg", "os"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_the_modules_of_classes_are_named_and_those_of_texts_are_not(protocol: int) -> None:
    found = modules_of(io.BytesIO(pickle.dumps(VALUE, protocol)))
    assert set(found) - {"copyreg", "copy_reg"} == {"fractions", "collections"}


def model_by_joblib(**options: object) -> bytes:
    import joblib
    from sklearn.linear_model import LinearRegression

    stream = io.BytesIO()
    joblib.dump(LinearRegression().fit(np.eye(3), [1, 2, 3]), stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "modules"),
    [
        (pickle.dumps(VALUE), {"fractions", "collections"}),
        (gzip.compress(pickle.dumps(VALUE)), {"fractions", "collections"}),
        (zlib.compress(pickle.dumps(VALUE)), {"fractions", "collections"}),
        (model_by_joblib, {"sklearn.linear_model._base", "joblib.numpy_pickle", "numpy"}),
        (lambda: model_by_joblib(compress=3), {"sklearn.linear_model._base", "joblib.numpy_pickle", "numpy"}),
        (pickle.dumps(VALUE)[:-20], {"fractions"}),
        (pickle.dumps([1, "fractions"]), set()),
        (b"\x80\x04garbage", set()),
        (b"\x1f\x8bgarbage", set()),
        (b"x\x9cgarbage", set()),
        (b"a,b\n1,2\n", set()),
        (b"", set()),
    ],
)
def test_files_that_are_pickles(content: bytes | Callable[[], bytes], modules: set[str]) -> None:
    written = content if isinstance(content, bytes) else content()
    found = find_pickled([FileEntry.from_bytes("app/data/model.bin", written)])
    assert modules <= {use.module for use in found}
    assert bool(found) == bool(modules)
    assert all(use.optional and use.origin == "a pickle in data/model.bin" for use in found)
