"""A text is read as a JSON object or as nothing, whatever it holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.model.json_object import parse_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_an_object_comes_back_and_no_other_value(value: object) -> None:
    expected = value if isinstance(value, dict) else None
    assert parse_object(json.dumps(value)) == expected
    assert parse_object(json.dumps(value).encode()) == expected


@pytest.mark.parametrize(
    "text",
    ["", "  ", "{", '{"a": 1} {"b": 2}', "null", "[]", '"{}"', b"\xff{}", "{'a': 1}", '{"a":' * 100_000, "[" * 100_000],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_object_is_none(text: str | bytes) -> None:
    assert parse_object(text) is None


def test_a_byte_order_mark_before_bytes_is_no_part_of_the_text() -> None:
    assert parse_object("﻿".encode() + b'{"a": 1}') == {"a": 1}


def test_the_last_of_two_equal_names_counts() -> None:
    assert parse_object('{"a": 1, "a": 2}') == {"a": 2}
