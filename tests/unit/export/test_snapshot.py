from __future__ import annotations

import decimal
import hashlib
import math
import pickle
from typing import Any

import pytest

from buildr_jupyter.errors import ValueRefused
from buildr_jupyter.export.snapshot import STATE_PATH, Snapshot, as_literal, take_snapshot, why_not_carried


def take(namespace: dict[str, object], *names: str, limit: int = 1 << 20) -> Snapshot:
    return take_snapshot(names, namespace, limit_bytes=limit, origins=dict.fromkeys(names, "cell 1, line 2"))


@pytest.mark.parametrize("value", [None, True, 3, -2.5, 1j, "tex't\n", b"\0", (1, ("a", None))])
def test_a_small_plain_value_is_its_own_source(value: object) -> None:
    text = as_literal(value)
    assert text is not None
    assert eval(text, {}) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, [1], {"a": 1}, {1}, "x" * 500, object(), decimal.Decimal(1)])
def test_what_may_change_is_large_or_no_literal_is_none(value: object) -> None:
    assert as_literal(value) is None


def test_values_that_share_an_object_share_it_in_the_file() -> None:
    inner = [1]
    found = take({"a": inner, "b": {"inner": inner}, "c": 3}, "a", "b")
    assert (found.names, found.entry.path) == (("a", "b"), STATE_PATH)
    with found.entry.open() as stream:
        content = stream.read()
    read: dict[str, Any] = pickle.loads(content)
    assert read == {"a": [1], "b": {"inner": [1]}}
    assert read["a"] is read["b"]["inner"]
    assert (found.entry.size_bytes, found.entry.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_modules_that_the_file_names_are_imports() -> None:
    found = take({"a": decimal.Decimal("1.5")}, "a")
    assert [use.module for use in found.imports] == ["decimal"]
    assert found.classes == ()


def test_classes_of_the_notebook_are_named() -> None:
    class Own:
        pass

    Own.__module__, Own.__qualname__ = "__main__", "Own"
    import __main__

    __main__.Own = Own  # type: ignore[attr-defined]
    try:
        assert take({"a": Own()}, "a").classes == ("Own",)
    finally:
        del __main__.Own  # type: ignore[attr-defined]


def test_what_cannot_be_taken_is_refused_by_name() -> None:
    with pytest.raises(ValueRefused, match="--snapshot gone: the kernel has no value of that name"):
        take({}, "gone")
    with pytest.raises(ValueRefused) as caught:
        take({"prices": 1, "_prcies": 2}, "prcies")
    assert caught.value.hint == "write prices if you meant that"
    with pytest.raises(ValueRefused, match="the snapshot of a is larger than 100 bytes"):
        take({"a": "x" * 1000}, "a", limit=100)
    with pytest.raises(
        ValueRefused, match=r"b \(builtins.generator, from cell 1, line 2\) cannot be carried"
    ) as caught:
        take({"a": 1, "b": (one for one in ())}, "a", "b")
    assert "--recompute b" in (caught.value.hint or "")


def test_a_large_value_is_hashed_as_it_is_written() -> None:
    found = take({"a": bytes(3 << 20)}, "a", limit=1 << 30)
    with found.entry.open() as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == found.entry.sha256


def test_why_a_value_cannot_be_carried() -> None:
    assert why_not_carried([1, "x"]) is None
    assert "generator" in (why_not_carried(one for one in ()) or "")
