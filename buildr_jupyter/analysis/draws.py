"""Draws of scikit-learn and scipy from numpy's global generator: what draws none, and what draws by what it holds."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

from buildr_jupyter.analysis.libraries.scipy import DRAWS as DRAWS_OF_SCIPY
from buildr_jupyter.analysis.libraries.sklearn import (
    DRAWS,
    DRAWS_WHEN_ASKED,
    FIT_MAY_DRAW,
    FITTERS,
    QUIET,
    QUIET_WITHOUT,
)

__all__ = ["Draw", "draw_of", "may_draw_when_asked"]

_SEEDS = frozenset(("random_state", "seed", "rng"))


class Draw(IntEnum):
    """Whether something draws from numpy's global generator."""

    NOT = 0
    MAY = 1
    DOES = 2


def may_draw_when_asked(path: str) -> bool:
    """Tell whether what a class makes may draw when it is fitted already: when it predicts, scores or transforms."""
    name = path.rpartition(".")[2]
    return name in DRAWS_WHEN_ASKED or not (
        name in QUIET or name in FITTERS or name in DRAWS or name in QUIET_WITHOUT or name in FIT_MAY_DRAW
    )


def draw_of(path: str, keywords: Collection[str], held: Draw) -> Draw:
    """Return whether a function draws, or what it makes does when it is fitted, by its dotted name.

    ``held`` tells whether anything that it is given does.
    """
    package, _, inner = path.partition(".")
    seeded = any(seed in keywords for seed in _SEEDS)
    if package == "scipy":
        may = not seeded and (inner in DRAWS_OF_SCIPY or inner.startswith("stats."))
        return Draw.DOES if may and inner.endswith(".rvs") else Draw(may)
    *_, owner, name = path.split(".")
    name = owner if owner[:1].isupper() else name
    if name in QUIET:
        return Draw.NOT
    if name in FITTERS:
        return held
    if seeded:  # it may seed what it is given, as a forest does with its trees
        return min(held, Draw.MAY)
    if name in DRAWS:
        return Draw.DOES
    told = QUIET_WITHOUT.get(name)
    return max(held, Draw(told is None or any(keyword in keywords for keyword in told)))
