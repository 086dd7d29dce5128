"""Tables: rows below headers, for a terminal and for what reads lines."""

from __future__ import annotations

from collections.abc import Sequence

from buildr_jupyter.ui.sanitize import clean_text

__all__ = ["render_table", "show_age"]

_UNITS = (("year", 365 * 86400), ("month", 30 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60))


def render_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the lines of a table, each ended: two spaces between columns, every column as wide as its widest cell.

    Cells are cleaned of control characters and line ends; nothing is cut, so that lines can be searched.
    """
    cells = [[" ".join(clean_text(cell).split()) or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (headers, *cells))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def show_age(seconds: float) -> str:
    """Return how long ago that is, in the largest unit that fills: ``3 hours ago``; below a minute ``just now``."""
    for unit, size in _UNITS:
        if (count := int(seconds // size)) >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
