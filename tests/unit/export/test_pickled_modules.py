"""Pickled modules: what pickles import is read from them, and nothing of them runs."""

from __future__ import annotations

import collections
import fractions
import gzip
import io
import pickle
import zlib

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from buildr_jupyter.export.pickled_modules import find_pickled, modules_of
from buildr_jupyter.model.plan import FileEntry

VALUE = [fractions.Fraction(1, 2), collections.OrderedDict(a=fractions.Fraction(1, 3)), "numpy.linalg", "os"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_the_modules_of_classes_are_named_and_those_of_texts_are_not(protocol: int) -> None:
    found = modules_of(io.BytesIO(pickle.dumps(VALUE, protocol)))
    assert set(found) - {"copyreg", "copy_reg"} == {"fractions", "collections"}


def joblib_bytes(value: object, **options: object) -> bytes:
    stream = io.BytesIO()
    joblib.dump(value, stream, **options)
    return stream.getvalue()


MODEL = LinearRegression().fit(np.eye(3), [1, 2, 3])


@pytest.mark.parametrize(
    ("content", "modules"),
    [
        (pickle.dumps(VALUE), {"fractions", "collections"}),
        (gzip.compress(pickle.dumps(VALUE)), {"fractions", "collections"}),
        (zlib.compress(pickle.dumps(VALUE)), {"fractions", "collections"}),
        (joblib_bytes(MODEL), {"sklearn.linear_model._base", "joblib.numpy_pickle", "numpy"}),
        (joblib_bytes(MODEL, compress=3), {"sklearn.linear_model._base", "joblib.numpy_pickle", "numpy"}),
        (pickle.dumps(VALUE)[:-20], {"fractions"}),
        (pickle.dumps([1, "fractions"]), set()),
        (b"\x80\x04garbage", set()),
        (b"\x1f\x8bgarbage", set()),
        (b"x\x9cgarbage", set()),
        (b"a,b\n1,2\n", set()),
        (b"", set()),
    ],
)
def test_files_that_are_pickles(content: bytes, modules: set[str]) -> None:
    found = find_pickled([FileEntry.from_bytes("app/data/model.bin", content)])
    assert modules <= {use.module for use in found}
    assert bool(found) == bool(modules)
    assert all(use.optional and use.origin == "a pickle in data/model.bin" for use in found)
