"""Syntax trees of cells: parsed once, kept within bounds, and out of the collector's way while they come to life."""

from __future__ import annotations

import ast
import gc
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["collector_paused", "forget", "parsed", "parses", "remember"]

KEPT_CHARS = 1 << 16
"""Of so much text the trees are kept between exports: some 5 MB, and a kernel that builds a thousand times stays level.

A tree has some hundred bytes a character. To parse a thousand cells of ten lines again takes 0.2 s.
"""

_MANY = 100_000
"""Objects: a round of the collector over so many takes some 10 ms."""

_trees: dict[str, ast.Module] = {}
_newer: dict[str, ast.Module] = {}
"""Trees of texts that only a newer Python reads."""
_MOST_NEWER = 1000


def parsed(text: str) -> ast.Module:
    """Return the tree of plain Python, which nobody may change; the same tree for the same text, while it is kept.

    A cell is parsed to see whether it is plain Python, and again by each export. Raises what ``ast.parse`` raises.
    """
    tree = _trees.get(text) or _newer.get(text)
    if tree is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        _trees[text] = tree
    return tree


def parses(text: str) -> bool:
    """Tell whether ``text`` is plain Python."""
    try:
        parsed(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def remember(trees: Mapping[str, ast.Module]) -> None:
    """Keep trees that a newer Python made of texts which this one cannot read, for ``parsed`` to return them."""
    if len(_newer) + len(trees) > _MOST_NEWER:
        _newer.clear()
    _newer.update(trees)


def forget(keep_chars: int = KEPT_CHARS) -> None:
    """Let go of the trees of all but the last ``keep_chars`` characters of text that were parsed."""
    left = keep_chars
    for text in reversed(list(_trees)):
        left -= len(text)
        if left < 0:
            del _trees[text]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python's collector of cycles from running.

    Thousands of syntax trees come to life at once and none of them dies: each of its rounds looks at all of them in
    vain, which takes as long as the rest of an export (measured with 1,000 cells). Where few came, all is as it was
    before: what becomes old without being looked at does not count for the next round over all that is old, and what
    dies there would stay, build after build.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            if gc.get_count()[0] > _MANY and not gc.get_freeze_count():
                # Everything young becomes old without being looked at: the first round would look at all of it.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
