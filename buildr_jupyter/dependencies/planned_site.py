"""Planned site: an environment of an interpreter that has the planned distributions and none beside them.

The files are those that are installed for the interpreter now, reached by links: a folder that only planned
distributions write into is one link, one that others share is made anew, with a link for each file. What a plan leaves
out is thus not there to be imported, though it lies in the folder next to what is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Pep508
from packaging.utils import canonicalize_name

from buildr_jupyter.dependencies.environment import Distribution, Installed, Interpreter
from buildr_jupyter.model.plan import Requirement

__all__ = ["PlannedSite", "find_planned", "interpreter_paths", "write_environment"]

_SITES = frozenset(("site-packages", "dist-packages"))
_NO_IMPORT = frozenset(("test", "idlelib", "turtledemo", "__pycache__"))


@dataclass(frozen=True, slots=True)
class PlannedSite:
    """What an environment of the planned distributions is made of."""

    links: tuple[tuple[str, Path], ...] = ()
    """(path below site-packages, ``/`` between its parts; the installed file or folder), sorted."""
    absent: tuple[str, ...] = ()
    """Planned distributions that are not installed here, or at another version, each with why."""


def find_planned(requirements: Iterable[Requirement], installed: Installed) -> PlannedSite:
    """Return the links to the installed files of these requirements. Nothing is imported, nothing written."""
    planned: dict[str, Distribution] = {}
    absent: list[str] = []
    for requirement in requirements:
        if requirement.text.startswith("-"):
            continue
        key, wanted = _key_and_version(requirement.text)
        found = installed.distributions.get(key)
        if found is None:
            absent.append(f"{key} is not installed here")
        elif wanted is not None and not wanted.specifier.contains(found.version, prereleases=True):
            absent.append(f"{wanted} is planned, and {found.version} is installed here")
        else:
            planned[key] = found
    shared = _tops(found for key, found in installed.distributions.items() if key not in planned)
    links: dict[str, Path] = {}
    for found in planned.values():
        for top, files in _by_top(found).items():
            whole = (found.site, top) not in shared and (found.site / top).is_dir()
            if whole and links.get(top, found.site / top) == found.site / top:
                links[top] = found.site / top
            else:
                links.update((name, found.site / name) for name in files)
    return PlannedSite(tuple(sorted(_unfolded(links))), tuple(absent))


def _unfolded(links: dict[str, Path]) -> Iterator[tuple[str, Path]]:
    """Yield the links without those that lie in a folder that is a link itself."""
    for name, source in links.items():
        parts = name.split("/")
        if not any("/".join(parts[:depth]) in links for depth in range(1, len(parts))):
            yield name, source


def _key_and_version(text: str) -> tuple[str, Pep508 | None]:
    if text.startswith("./wheels/"):
        return canonicalize_name(text.rpartition("/")[2].partition("-")[0]), None
    try:
        requirement = Pep508(text)
    except InvalidRequirement:
        return canonicalize_name(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]), None
    return canonicalize_name(requirement.name), None if requirement.url else requirement


def _files(distribution: Distribution) -> list[str]:
    """Return its files below ``site``; where no RECORD lists them, its top-level modules and metadata."""
    listed = [name for name in distribution.files if not name.startswith(("..", "/"))]
    if listed:
        return listed
    names = [distribution.info.name]
    for top in distribution.top_level:
        names += [entry.name for entry in distribution.site.glob(f"{top}*") if entry.name.partition(".")[0] == top]
    return names


def _by_top(distribution: Distribution) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in _files(distribution):
        found.setdefault(name.partition("/")[0], []).append(name)
    found.setdefault(distribution.info.name, [distribution.info.name])
    return found


def _tops(distributions: Iterable[Distribution]) -> set[tuple[Path, str]]:
    """Return the top-level folders and files of distributions; a RECORD's first column up to the first ``/``."""
    found = set()
    for one in distributions:
        names = set(re.findall(r"^\"?([^/,\"\n]+)", one.record, re.MULTILINE))
        found |= {(one.site, top) for top in names}
        found |= {(one.site, top) for top in one.top_level}
    return found


def write_environment(site: PlannedSite, folder: Path, interpreter: Interpreter, executable: Path) -> Path:
    """Write a virtual environment of ``interpreter`` with the planned files into ``folder``; return its Python.

    ``executable`` is the interpreter's own, links followed. Raises OSError.
    """
    packages = site_folder(folder, interpreter)
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "pyvenv.cfg").write_text(
        f"home = {executable.parent}\ninclude-system-site-packages = false\nversion = {interpreter.version}\n"
    )
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(executable)
    made: set[Path] = set()
    for name, source in site.links:
        target = packages / name
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        target.symlink_to(source)
    return folder / "bin" / "python"


def site_folder(folder: Path, interpreter: Interpreter) -> Path:
    """Return where the packages of an environment in ``folder`` lie."""
    return folder / "lib" / f"python{interpreter.minor}" / "site-packages"


def interpreter_paths(interpreter: Interpreter, executable: Path) -> tuple[Path, ...]:
    """Return what a program needs of the interpreter itself: its file, its standard library, its shared libraries.

    Packages that are installed into it are not among them.
    """
    found = [executable]
    for place in interpreter.stdlib:
        folder = Path(place)
        found += [path for path in _entries(folder) if path.name not in _SITES | _NO_IMPORT]
        found += [path for path in _entries(folder.parent) if ".so" in path.name]
    return tuple(dict.fromkeys(Path(os.path.realpath(path)) for path in found))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
