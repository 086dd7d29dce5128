"""Suggestions: the known word that a mistyped one is nearest to."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that is nearest to ``word``, None where none is near."""
    from difflib import get_close_matches  # only where something is wrong

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=0.7)), None)


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint: the nearest of ``known`` where one is near, and ``otherwise``, what lists them all."""
    near = nearest(word, known)
    return f"write {near} if you meant that; {otherwise}" if near else otherwise
