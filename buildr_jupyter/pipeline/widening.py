"""Widening: what a program that failed, or printed something else, is to carry beside what it was read to need.

First what its error tells: a name, a module that is installed here, files of the project that it asked for. Where
that leads no further, all modules that it looked for in vain, and then every statement that ran before.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from buildr_jupyter.export.options import Widening
from buildr_jupyter.export.verify import Trial
from buildr_jupyter.secretscan.scan import never_included

__all__ = ["Surroundings", "next_widenings"]

_NAMES = (
    re.compile(r"name '(\w+)' is not defined"),
    re.compile(r"module '__main__' has no attribute '(\w+)'"),
    re.compile(r"Can't get (?:local )?attribute '(\w+)' on <module '__main__'"),
)
_MODULES = (
    re.compile(r"No module named '([\w.]+)'"),
    re.compile(r"[Mm]issing optional dependency '([\w.-]+)'"),
    re.compile(r"[`']?Import (\w+)[`']? failed"),
)
_LAST = 4000
_MOST_FILES = 1000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of this machine a program may be widened with."""

    app: Path
    """The folder of this machine that ``app`` is made from."""
    folder: Path
    """The notebook's folder."""
    root: Path
    """What is carried lies in it."""
    limit_bytes: int
    """The largest file, or folder with all in it, that is carried."""
    installed: Callable[[str], bool]
    """Tells whether a distribution that is installed here has this module."""


def next_widenings(trial: Trial, said: str, so_far: Widening, place: Surroundings) -> Iterator[Widening]:
    """Yield the widenings to try after this run, the smallest first; ``said`` is what its proof says of it."""
    words = trial.stderr[-_LAST:]
    if trial.exit_code:
        names = [name for name in _named(_NAMES, words) if name not in so_far.names]
        if names and not so_far.everything:
            yield _more(so_far, names=names, why=f"{_listed(names)}: {said}")
        modules = [one for one in _named(_MODULES, words) if one not in so_far.modules and place.installed(one)]
        if modules:
            yield _more(so_far, modules=modules, why=f"{_listed(modules)}: {said}")
    files = [path for path in _files(trial.missing, place) if path not in so_far.files]
    if files:
        yield _more(so_far, files=files, why=f"{_listed(files)}: the program asked for it")
    probed = [one for one in trial.module if one not in so_far.modules and place.installed(one)]
    if trial.exit_code and probed:
        yield _more(so_far, modules=probed, why=f"{_listed(probed)}: the program looked for it; {said}")
    if not so_far.everything:
        yield _more(so_far, everything=True, why=f"everything that ran before: {said}")


def _named(patterns: Iterable[re.Pattern[str]], words: str) -> list[str]:
    return list(dict.fromkeys(found for pattern in patterns for found in pattern.findall(words)))


def _listed(found: list[str]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(found[:3]) + more


def _more(
    so_far: Widening,
    *,
    names: Iterable[str] = (),
    modules: Iterable[str] = (),
    files: Iterable[str] = (),
    everything: bool = False,
    why: str,
) -> Widening:
    return replace(
        so_far,
        names=(*so_far.names, *names),
        modules=(*so_far.modules, *modules),
        files=(*so_far.files, *files),
        everything=so_far.everything or everything,
        why=(*so_far.why, why),
    )


def _files(missing: Iterable[str], place: Surroundings) -> Iterator[str]:
    """Yield those of the missing paths that the project has and that may be carried, relative to the notebook's folder.

    Links out of the project, logins and keys, and what is over the limit stay here.
    """
    root = place.root.resolve()
    for asked in missing:
        path = Path(os.path.normpath(place.app / asked))
        try:
            fits = path.resolve(strict=True).is_relative_to(root) and path != place.root
            inside = path.relative_to(place.root).as_posix()
        except (OSError, ValueError, RuntimeError):
            continue
        if fits and not never_included(inside) and _size_bytes(path) <= place.limit_bytes:
            yield os.path.relpath(path, place.folder)


def _size_bytes(path: Path) -> float:
    """Return the size of a file, or of a folder with all in it; infinite for what has too many files, or none."""
    if path.is_file():
        return path.stat().st_size
    found = 0
    size = 0
    for inner in path.rglob("*"):
        found += 1
        if found > _MOST_FILES:
            return float("inf")
        if inner.is_file():
            size += inner.stat().st_size
    return size if found else float("inf")
