"""Options of an export: what the person asked for, in what concerns the program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildr_jupyter.export.function_inputs import FunctionInputs

__all__ = ["ExportOptions", "Widening"]


@dataclass(frozen=True, slots=True)
class Widening:
    """What a program carries beside what it was read to need, for a run of it showed that it is needed."""

    names: tuple[str, ...] = ()
    """Names, with what makes them."""
    modules: tuple[str, ...] = ()
    """Modules, dotted, as if they were imported."""
    files: tuple[str, ...] = ()
    """Files and folders, relative to the notebook's folder."""
    everything: bool = False
    """All statements that ran before."""
    why: tuple[str, ...] = ()
    """A sentence for each step that led here."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What the person asked for, in what concerns the program."""

    params: tuple[tuple[str, str | None], ...] = ()
    """(name, default as text or None)."""
    asked_by: tuple[tuple[str, str], ...] = ()
    """(name, option) of the inputs that another option than ``--param`` asked for: ``--set``, ``--map``."""
    returns: tuple[str, ...] = ()
    """Names whose values a run gives back; ``_`` is the value of the last expression."""
    snapshots: tuple[str, ...] = ()
    recompute: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    """Files to carry beside those that the code names, relative to the notebook's folder, or absolute."""
    mounts: tuple[str, ...] = ()
    """Folders and files of the container that are given at run time and so not carried."""
    root: Path | None = None
    """The project's root; None: the notebook's folder."""
    snapshot_limit_bytes: int = 1 << 30
    file_limit_bytes: int = 100 << 20
    slow_s: float = 5.0
    widening: Widening = Widening()
    function: FunctionInputs | None = None
    """The decorated function that the chosen cell calls: its parameters are the inputs."""
    absent: tuple[str, ...] = ()
    """Modules that are not installed where the notebook ran: an import of one in a run of which nobody knows how it
    ended is taken to have failed."""
