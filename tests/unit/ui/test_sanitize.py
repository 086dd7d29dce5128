"""Text from a build is shown without anything that a terminal or a reader would take for something else."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.ui.sanitize import clean_text, show_count, show_size, show_title, warning_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[91mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x1b[2J\x1b[Hb", "ab"),
        ("a\x08\x08b\x00c\x7fd\x9bm", "abcdm"),
        ("one\r\ntwo\n\tthree", "one\ntwo\n\tthree"),
        ("10%\r20%", "10%20%"),
        ("user\u202egnp.exe", "usergnp.exe"),
        ("\u2066x\u2069", "x"),
        ("ünï😀 日本", "ünï😀 日本"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x1b", ""),
    ],
    ids=repr,
)
def test_clean(text: str, shown: str) -> None:
    assert clean_text(text) == shown


@given(st.text(st.characters() | st.sampled_from("\x1b[]m\x07\\\r\n"), max_size=40))
def test_no_control_character_is_left_and_cleaning_again_changes_nothing(text: str) -> None:
    shown = clean_text(text)
    assert all(unicodedata.category(c) != "Cc" or c in "\n\t" for c in shown)
    assert clean_text(shown) == shown


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (None, "-"), (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (9940, "9.9 kB"), (12_345, "12 kB"),
        (999_499, "999 kB"), (999_500, "1.0 MB"), (188_000_000, "188 MB"), (2_500_000_000, "2.5 GB"),
        (1_500_000_000_000, "1500 GB"),
    ],
)  # fmt: skip
def test_size(size: int | None, shown: str) -> None:
    assert show_size(size) == shown


def test_a_title_is_one_short_line() -> None:
    assert show_title("RUN  a \\\n\t&& \x1b[1mb") == "RUN a \\ && b"
    assert show_title("x" * 120) == "x" * 120
    assert show_title("x" * 121) == "x" * 119 + "…"


def test_a_number_of_things_has_its_plural() -> None:
    assert [show_count(number, "step") for number in (0, 1, 2)] == ["0 steps", "1 step", "2 steps"]


def test_a_warning_is_one_line_with_its_hint() -> None:
    assert warning_line(BuildWarning("x is old")) == "warning: x is old"
    assert (
        warning_line(BuildWarning("x\x1b[2J is old", hint="make\x07 it again")) == "warning: x is old (make it again)"
    )
