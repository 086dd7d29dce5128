"""Tables and ages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.ui.table import render_table, show_age


def test_columns_line_up_below_their_headers() -> None:
    assert render_table(("NAME", "SIZE"), [("a", "188 MB"), ("longer", "")]) == (
        "NAME    SIZE\na       188 MB\nlonger  -\n"
    )
    assert render_table(("NAME",), []) == "NAME\n"


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_a_row_is_a_line_whatever_is_in_it(rows: list[tuple[str, str]]) -> None:
    lines = render_table(("A", "B"), rows).splitlines()
    assert len(lines) == len(rows) + 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7199, "1 hour ago"),
        (7200, "2 hours ago"),
        (86400 * 6, "6 days ago"),
        (86400 * 400, "1 year ago"),
    ],
)
def test_an_age_is_in_the_largest_unit_that_fills(seconds: float, shown: str) -> None:
    assert show_age(seconds) == shown
