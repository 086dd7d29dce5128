"""Project tree: which folder a notebook belongs to, and where each of its files goes below ``app/``.

The project's root is the nearest folder at or above the notebook with ``.git`` or ``pyproject.toml``, or the folder
that the setting ``root`` names; never the home folder, ``/`` or what lies above them. While all that is carried lies
in the notebook's folder, ``app/`` is that folder. Otherwise ``app/`` holds the tree from the root, and the program
changes into the notebook's folder first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.errors import FileRefused, OptionError

__all__ = ["Tree", "find_root"]

_MARKS = (".git", "pyproject.toml")


def find_root(folder: Path, named: str | None = None, *, home: Path) -> Path:
    """Return the root of the project that ``folder`` is in, absolute; ``folder`` itself where it is in none.

    ``named`` is the setting, relative to ``folder``. Raises OptionError where that does not hold ``folder``, or holds
    the home folder as well.
    """
    folder = Path(os.path.normpath(folder.absolute()))
    if named is not None:
        root = Path(os.path.normpath(folder / Path(named).expanduser()))
        if not folder.is_relative_to(root):
            raise OptionError(
                f"--root {named}: the notebook does not lie in it", hint="name a folder above the notebook"
            )
        if _too_high(root, home):
            raise OptionError(
                f"--root {named}: a project is never the home folder, or what lies above it",
                hint="name a folder nearer to the notebook",
            )
        return root
    for place in (folder, *folder.parents):
        if _too_high(place, home):
            break
        if any((place / mark).exists() for mark in _MARKS):
            return place
    return folder


def _too_high(place: Path, home: Path) -> bool:
    real = place.resolve()
    return real == Path(real.anchor) or home.absolute().is_relative_to(place) or home.resolve().is_relative_to(real)


@dataclass(frozen=True, slots=True)
class Tree:
    """Where files of this machine go below ``app/``."""

    folder: Path
    """The notebook's folder, absolute and normalized."""
    root: Path
    """The project's root, at or above it."""
    whole: bool = False
    """Whether ``app/`` holds the tree from the root, and not from the notebook's folder."""

    @classmethod
    def of(cls, folder: Path, root: Path | None) -> Tree:
        """Return the tree that begins at the notebook's folder."""
        normal = Path(os.path.normpath(folder.absolute()))
        return cls(normal, root or normal)

    @property
    def inside(self) -> str:
        """The notebook's folder below ``app/``; empty where it is ``app/`` itself."""
        relative = self.folder.relative_to(self.root).as_posix() if self.whole else "."
        try:
            relative.encode()
        except UnicodeEncodeError:
            raise FileRefused(f"folder name {self.folder.name!r} is not UTF-8", hint="rename the folder") from None
        return "" if relative == "." else relative

    def wants_root(self, path: Path) -> bool:
        """Tell whether a normalized path lies in the project, but not in the notebook's folder."""
        return path.is_relative_to(self.root) and not path.is_relative_to(self.folder)

    def target(self, path: Path) -> str | None:
        """Return where a normalized path of the notebook's folder or the tree goes; None for any other."""
        if path.is_relative_to(self.folder):
            return self.below(path.relative_to(self.folder).as_posix())
        if self.whole and path.is_relative_to(self.root):
            return f"app/{path.relative_to(self.root).as_posix()}"
        return None

    def below(self, relative: str) -> str:
        """Return where a path relative to the notebook's folder goes."""
        return f"app/{self.inside}/{relative}" if self.inside else f"app/{relative}"
