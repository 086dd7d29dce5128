"""Outside paths: what exists where a computed path leads out of the notebook's folder, and is not carried.

A literal path that leads out is carried or refused (``data_files.py``). One that is put together, or that stands where
no reader is known, may be no path: it is told, with the option that brings what is there.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from buildr_jupyter.errors import OptionError
from buildr_jupyter.export.data_files import is_mounted, is_named, mount_words
from buildr_jupyter.export.project import Tree, find_root
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.secretscan.scan import never_included

__all__ = ["OutsidePaths"]


@dataclass(slots=True)
class OutsidePaths:
    """The paths out of the notebook's folder that a program names, as they are met."""

    tree: Tree
    include: Sequence[str] = ()
    mounts: Sequence[str] = ()
    searched: Collection[Path] = ()
    """Folders of modules, of which comes what is imported."""
    _found: dict[Path, tuple[str, str]] = field(default_factory=dict)
    """What exists: the path relative to the notebook's folder, or a pattern, and where it stands first."""

    def note(self, text: str, where: str, places: Iterable[Path]) -> None:
        """Note a relative path that leads out of the folder, and back or not; ``places`` are those that it may mean.

        Folders that hold the notebook's are no more than a part of a path.
        """
        path = Path(os.path.normpath(self.tree.folder / text))
        if path in self._found or self.tree.folder.is_relative_to(path) or path in self.searched:
            return
        try:
            there = any(place.exists() for place in places)
        except OSError:
            return
        if there and not is_mounted(text, self.tree, self.mounts):
            self._found[path] = (Path(os.path.relpath(path, self.tree.folder)).as_posix(), where)

    def warnings(self, carried: Collection[str]) -> list[BuildWarning]:
        """Return a warning for each that is not ``carried``, those paths being of the context, nor included."""
        told: list[BuildWarning] = []
        for path, (shown, where) in self._found.items():
            target = self.tree.target(path) if self.tree.whole else None
            there = target is not None and any(one == target or one.startswith(f"{target}/") for one in carried)
            if there or (target is not None and self._is_included(path)):
                continue
            if any(path in other.parents for other in self._found):  # a part of another one
                continue
            if path.is_relative_to(self.tree.folder):
                text = f"{where}: a path leads out of the notebook's folder and back to {shown!r}: not in the image"
                told.append(BuildWarning(text, hint=f"write it as {shown!r}"))
                continue
            text = f"{where}: {shown!r} lies outside of the notebook's folder and is not carried"
            told.append(BuildWarning(text, hint=self._hint(path, shown)))
        return told

    def _is_included(self, path: Path) -> bool:
        names = (Path(os.path.normpath(self.tree.folder / Path(one).expanduser())) for one in self.include)
        return any(is_named(path, name) for name in names)

    def _hint(self, path: Path, shown: str) -> str:
        """Return what brings a path, which is given in both ways, to the place that the program looks for it."""
        words = f"--include {shlex.quote(shown)}"
        if never_included(path.name):
            return f"give it at run time with {mount_words(shown, self.tree)}"
        if path.is_relative_to(self.tree.root):
            return f"carry it with {words}"
        root = os.path.relpath(os.path.commonpath([path, self.tree.folder]), self.tree.folder)
        try:
            find_root(self.tree.folder, root, home=Path.home())
        except OptionError:
            return f"give it at run time with {mount_words(shown, self.tree)}"
        return f"carry it with --root {shlex.quote(Path(root).as_posix())} {words}"
