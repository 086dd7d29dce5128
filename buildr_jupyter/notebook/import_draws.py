"""Draws from global generators of random numbers while modules are loaded: ``rich`` draws a number when it is imported.

The states are looked at when the code of a module of another package begins: a look takes 0.1 ms. What moved between
two looks in one import moved while it loaded modules; whatever moved at another time was the cell's doing, or may be.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping

__all__ = ["IMPORT_SYSTEM", "MAX_FRAMES", "ImportDraws", "moved"]

States = Mapping[str, int]
"""Name of a generator to a digest of its state; ``NAME:untouched`` beside it where nothing was drawn yet."""
IMPORT_SYSTEM = ("importlib", "_frozen_importlib")
"""What the names of the import system's modules begin with."""
MAX_FRAMES = 2_000
"""So many frames of a stack are looked at."""


class ImportDraws:
    """What moves in the run that begins now, with the states ``before``; ``states`` gives those of the moment."""

    def __init__(self, states: Callable[[], States], before: States, namespace: Mapping[str, object]) -> None:
        self._states, self._namespace = states, namespace
        self._last = before
        self._package = ""
        self._import: types.FrameType | None = None
        """The outermost frame of the import that was going on then."""
        self._by_imports: set[str] = set()
        self._by_others: set[str] = set()

    def look(self, frame: types.FrameType | None, module: str) -> None:
        """Note how the states are now that ``frame``, a frame of the import system, begins with a module."""
        package = module.partition(".")[0]
        if package == self._package:
            return
        self._package = package
        going = self._outermost(frame)
        now = self._states()
        within = going is not None and going is self._import
        (self._by_imports if within else self._by_others).update(moved(self._last, now))
        self._last, self._import = now, going

    def end(self, states: States) -> tuple[frozenset[str], frozenset[str]]:
        """Return the generators that moved while modules were loaded, and those that moved at other times."""
        self._import = None
        return frozenset(self._by_imports), frozenset(self._by_others | moved(self._last, states))

    def _outermost(self, frame: types.FrameType | None) -> types.FrameType | None:
        found = None
        for _ in range(MAX_FRAMES):
            if frame is None or frame.f_globals is self._namespace:
                return found
            name = frame.f_globals.get("__name__")
            if type(name) is str and name.startswith(IMPORT_SYSTEM):
                found = frame
            frame = frame.f_back
        return None


def moved(before: States, after: States) -> set[str]:
    """Return the generators that moved; one that was loaded in between did if it was drawn from."""
    return {
        name
        for name, state in after.items()
        if ":" not in name and (before[name] != state if name in before else after.get(f"{name}:untouched") != state)
    }
