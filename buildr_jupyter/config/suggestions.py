"""Suggestions: the known word that a mistyped one is nearest to."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest", "nearest_hint"]


def nearest(word: str, known: Iterable[str], *, shared: str = "") -> str | None:
    """Return the one of ``known`` that ``word`` is nearest to, None where none is near; capitals count for nothing.

    ``shared`` is what all begin with: it is alike and says nothing.
    """
    from difflib import get_close_matches  # only where something is wrong

    words = {one.removeprefix(shared).casefold(): one for one in known}
    near = get_close_matches(word.removeprefix(shared).casefold(), list(words), n=1, cutoff=0.7)
    return words[near[0]] if near else None


def nearest_hint(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint: the nearest of ``known`` where one is near, and ``otherwise``, what lists them all."""
    near = nearest(word, known, shared="--")
    return f"write {near} if you meant that; {otherwise}" if near else otherwise
