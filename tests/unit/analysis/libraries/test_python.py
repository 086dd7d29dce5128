from __future__ import annotations

import collections
import datetime as dt
import decimal
import re
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from buildr_jupyter.analysis.libraries.python import FILE_READERS, FILE_WRITERS, METHODS
from tests.unit.analysis.libraries.called import check_methods


class Pair(NamedTuple):
    left: int
    right: int


SAMPLES: dict[str, list[Callable[[], Any]]] = {
    "builtins": [
        lambda: "a b,c",
        lambda: b"a b",
        lambda: "%d",
        lambda: 5,
        lambda: 2.5,
        lambda: 1 + 2j,
        lambda: [3, 1, 2],
        lambda: (1, 2),
        lambda: {"a": 1, 0: [3]},
        lambda: {1, 2},
        lambda: frozenset((1, 2)),
        lambda: range(3),
    ],
    "collections": [
        lambda: collections.Counter("abca"),
        lambda: collections.deque([1, 2]),
        lambda: collections.OrderedDict(a=1),
        lambda: collections.defaultdict(list, a=[1]),
        lambda: collections.ChainMap({"a": 1}),
        lambda: collections.UserDict(a=1),
        lambda: collections.UserList([1]),
        lambda: Pair(1, 2),
    ],
    "datetime": [
        lambda: dt.datetime(2020, 1, 2, 3, 4, tzinfo=dt.UTC),
        lambda: dt.date(2020, 1, 2),
        lambda: dt.time(1, 2),
        lambda: dt.timedelta(1, 2),
    ],
    "decimal": [lambda: decimal.Decimal("1.5"), lambda: decimal.Context(prec=5)],
    "re": [lambda: re.compile("a(?P<g>b)?"), lambda: re.match("a(?P<g>b)?", "ab")],
    "statistics": [lambda: statistics.NormalDist(1, 2)],
}
ARGUMENTS = [
    (), ("a",), (0,), (2,), (",", "x"), ([1],), (["a"],), ({1},), (b"a",), (b"a", b"b"), (8, "big"), ("0x1p0",), ({97: "b"},),
    ("x", "ab"), ("%Y",), (dt.UTC,), (dt.date(2020, 1, 1), dt.time(1)), (decimal.Decimal(2),),
    (decimal.Decimal(2), decimal.Decimal(3)), (1.5,), ("zz",),
    (decimal.Decimal("1.23456789"),), (decimal.Decimal("1.23456789"), decimal.Decimal("0.01")), ("",),
    (decimal.Decimal("1.23456789"), decimal.Decimal(2)),
]  # fmt: skip


@pytest.mark.parametrize("library", sorted(METHODS))
def test_methods_change_what_the_table_says(library: str) -> None:
    own = METHODS[library]
    assert own.quiet
    check_methods(own.quiet, own.changing, SAMPLES[library], ARGUMENTS, {})


@pytest.mark.parametrize("library", sorted(METHODS))
def test_what_is_fresh_is_quiet(library: str) -> None:
    assert METHODS[library].fresh <= METHODS[library].quiet


def test_positions_of_paths_are_those_of_the_signatures() -> None:
    assert FILE_READERS["os.path.exists"] == 0
    assert FILE_WRITERS["os.rename"] == FILE_WRITERS["shutil.copy"] == 1
