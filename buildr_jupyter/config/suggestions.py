"""Suggestions: the known word that a mistyped one is nearest to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

__all__ = ["nearest", "nearest_hint"]

_CUTOFF = 0.66  # one letter of three, too: ocy for oci


def nearest(word: str, known: Iterable[str], *, shared: str = "") -> str | None:
    """Return the one of ``known`` that ``word`` is nearest to, None where none is near; capitals count for nothing.

    ``shared`` is what all begin with: it is alike and says nothing.
    """
    said = word.removeprefix(shared).casefold()
    words = {one.removeprefix(shared).casefold(): one for one in known}
    able = [one for one in words if 2 * _common(said, one) >= _CUTOFF * (len(said) + len(one))]
    if not able:
        return None
    from difflib import get_close_matches  # only where something is wrong

    near = get_close_matches(said, able, n=1, cutoff=_CUTOFF)
    return words[near[0]] if near else None


def _common(one: str, other: str) -> int:
    """Return how many letters both have, wherever: no more than difflib finds in one order."""
    return (Counter(one) & Counter(other)).total()


def nearest_hint(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint: the nearest of ``known`` where one is near, and ``otherwise``, what lists them all."""
    near = nearest(word, known, shared="--")
    return f"write {near} if you meant that; {otherwise}" if near else otherwise
