"""Suggestions: the known word that a mistyped one is nearest to."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest_hint"]


def nearest_hint(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint: the nearest of ``known`` where one is near, and ``otherwise``, what lists them all."""
    from difflib import get_close_matches  # only where something is wrong

    words = {one.lstrip("-"): one for one in known}  # the dashes of options are alike and say nothing
    near = get_close_matches(word.lstrip("-"), list(words), n=1, cutoff=0.7)
    return f"write {words[near[0]]} if you meant that; {otherwise}" if near else otherwise
