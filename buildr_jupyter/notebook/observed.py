"""Records of what one run of a cell was seen to do, beside what its text says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ImportedModule", "Observed", "OpenedFile", "Stamp", "stamp_of"]

Stamp = tuple[int, int]
"""Size and time of the last change, in nanoseconds: a file that has another one is another file."""


def stamp_of(path: str) -> Stamp | None:
    """Return the stamp of a file, None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file or folder that a run opened."""

    path: str
    """Absolute and normalized."""
    reads: bool
    """It was first opened to read what was there before the run."""
    writes: bool = False
    listed: bool = False
    """It is a folder whose names were asked for."""
    line: int | None = None
    """1-based line of the cell whose statement opened it; None where no frame of the cell was on the stack."""
    keeps: bool = False
    """It was first opened to write into it, and what was there before the run stays in it."""
    stamp: Stamp | None = field(default=None, compare=False)
    """As the run found it; None where it was not there."""

    @property
    def changes(self) -> bool:
        """Whether the run changed what was there, so that the same run would change it once more."""
        return self.writes and (self.reads or self.keeps)


@dataclass(frozen=True, slots=True)
class ImportedModule:
    """A module that was loaded for the first time in the kernel."""

    module: str
    """Dotted name."""
    importer: str
    """Dotted name of the module that asked for it; ``__main__`` for the cell."""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What one run did. A name is one of the notebook's; those of IPython are left out."""

    bound: frozenset[str] = frozenset()
    """Names that are new, or stand for another object than before."""
    deleted: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    """Names that stand for the same object as before, of which something that they reach changed."""
    unchanged: frozenset[str] = frozenset()
    """Names that stand for the same object, all of which was looked at before and after and was the same.

    A name in none of these sets was not looked at, or not at all of it: it may have changed.
    """
    shared: tuple[frozenset[str], ...] = ()
    """Names that reached an object that may change together, as far as was looked at when the run ended."""
    opened: tuple[OpenedFile, ...] = ()
    imported: tuple[ImportedModule, ...] = ()
    loaded: tuple[tuple[str, Stamp], ...] = ()
    """Absolute paths of the sources that became modules, or became them again, but for libraries; as they were."""
    processes: tuple[str, ...] = ()
    """Names of the programs that were started."""
    sockets: tuple[str, ...] = ()
    """Hosts, or paths of sockets, that were connected to."""
    generators: frozenset[str] = frozenset()
    """Of ``random`` and ``numpy``: those whose global generator has another state than before, not by imports alone."""
    drawn_by_imports: frozenset[str] = frozenset()
    """Those whose state moved while modules were loaded."""
    world: frozenset[str] = frozenset()
    """What else of the process is another than before: ``environ``, ``folder``, ``sys.path``, ``locale``, ``warnings``.
    """
    cut: bool = False
    """More was opened, imported, started or connected to than is kept."""
