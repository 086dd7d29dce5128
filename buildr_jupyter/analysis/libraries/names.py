"""Names as the tables of libraries write them, and what a table says of the methods of a library's objects."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Methods", "words"]


def words(text: str) -> frozenset[str]:
    """Return the words of a text, which white space parts: how a table of names is written."""
    return frozenset(text.split())


class Methods(NamedTuple):
    """What is known of the methods of a library's objects, by their names.

    A name counts for the objects of this library alone. A test calls each on real ones.
    """

    quiet: frozenset[str]
    """They leave their object alone, unless called with ``inplace=`` or ``out=``."""
    changing: frozenset[str] = frozenset()
    """They change their object, though those of that name change nothing of what ``gives`` names."""
    fresh: frozenset[str] = frozenset()
    """Those of the quiet ones whose result shares nothing with their object."""
    gives: tuple[str, ...] = ()
    """Libraries whose objects its functions and methods give, too."""
