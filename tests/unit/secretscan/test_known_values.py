"""A known value is masked in each form in which programs write it, also where it is cut over lines."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.secretscan.known_values import Known, forms, hidden, hidden_in_lines, open_end, open_lines

MASK = "****"
SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=8, max_size=24).filter(
    lambda text: text.strip() == text and not text.isalpha()
)
WRITERS: list[Callable[[str], str]] = [
    str, repr, lambda v: repr(v.encode()), json.dumps, lambda v: json.dumps(v, ensure_ascii=False), html.escape,
    lambda v: quote(v, safe=""), quote, quote_plus, lambda v: v.encode().hex(), lambda v: json.dumps(json.dumps(v)),
    lambda v: base64.b64encode(v.encode()).decode(), lambda v: base64.urlsafe_b64encode(v.encode()).decode(),
]  # fmt: skip


@given(SECRETS, st.sampled_from(WRITERS))
def test_no_form_of_a_value_is_left(value: str, write: Callable[[str], str]) -> None:
    known = Known(forms(value))
    shown = hidden(f"before {write(value)} after", known, MASK)
    assert MASK in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert value not in shown.replace(MASK, "")


@given(SECRETS, st.text(alphabet="abc:", max_size=7), st.text(alphabet="xyz", max_size=5))
def test_inside_of_longer_base64_it_is_masked(value: str, before: str, after: str) -> None:
    packed = base64.b64encode(f"{before}{value}{after}".encode()).decode()
    shown = hidden(packed, Known(forms(value)), MASK)
    assert MASK in shown
    assert len(shown.replace(MASK, "")) <= len(packed) - len(value.encode())


def test_letters_of_base64_are_no_word() -> None:
    """base64 of an eight-digit number is ten letters, and what stands behind it made them part of a longer word."""
    packed = base64.b64encode(b"00000000x").decode()
    assert hidden(packed, Known(forms("00000000")), MASK) == "****B4"


def test_the_value_comes_first_and_each_form_once() -> None:
    found = forms("pa ss'w&rd")
    assert found[0] == "pa ss'w&rd"
    assert len(set(found)) == len(found)
    assert forms("") == ()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("--secret x", "--secret x"), ("the secret is", "the **** is"), ("secrets", "secrets"), ("a=secret;", "a=****;"),
        ("my-secret", "my-secret"),
    ],
)  # fmt: skip
def test_a_word_is_masked_as_a_word_only(text: str, shown: str) -> None:
    assert hidden(text, Known(["secret"]), MASK) == shown


@given(SECRETS, st.lists(st.integers(1, 23), max_size=3), st.sampled_from(["", "  ", '"', "| "]))
def test_a_value_that_is_cut_over_lines_is_masked_in_each(value: str, cuts: list[int], edge: str) -> None:
    places = sorted({at for at in cuts if at < len(value)})
    pieces = [value[a:b] for a, b in zip([0, *places], [*places, len(value)], strict=True)]
    if any(piece.strip(" \t\r\"'\\+|") != piece for piece in pieces):
        return  # what stands at the edge of a piece is taken for the edge of a line
    lines = [f"{edge}{piece}{edge}" for piece in pieces]
    shown = hidden_in_lines(["first", *lines, "last"], Known([value]), MASK)
    assert shown == ["first", *[edge + MASK + edge] * len(pieces), "last"]


def test_lines_without_a_value_stay_as_they_are() -> None:
    lines = ["one ", "\ttwo", ""]
    assert hidden_in_lines(lines, Known(["hunter2!"]), MASK) == lines


@given(SECRETS, st.integers(0, 24), st.text(alphabet="., ", max_size=5))
def test_the_open_end_is_the_longest_beginning_of_a_value(value: str, length: int, before: str) -> None:
    text = before + value[: min(length, len(value) - 1)]
    expected = max((n for n in range(len(value)) if text.endswith(value[:n])), default=0)
    assert open_end(text, Known([value])) == expected


def test_open_lines_counts_those_that_a_value_may_begin_in() -> None:
    known = Known(["abcdefghij"])
    assert open_lines(["x", "abcde"], known) == 1
    assert open_lines(["x", "abcd", "efgh"], known) == 2
    assert open_lines(["x", "abc"], known) == 0, "fewer than four characters are no beginning"
    assert open_lines(["abcdefghij"], known) == 0, "it is whole"
    assert open_lines([], known) == 0
