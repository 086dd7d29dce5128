"""Limits of what is kept of runs: how long, and how many bytes their values may take."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.config.parse import parse_age, parse_size
from buildr_jupyter.errors import OptionError
from buildr_jupyter.journal.journal import Journal, place_of

__all__ = ["Limits", "keep_within", "keep_within_daily", "limits_of"]

_DAY_S = 86400.0
_AGE, _SIZE = "BUILDR_RUNS_AGE", "BUILDR_RUNS_SIZE"
_LOOKED = "looked"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is kept."""

    age_s: float = 30 * _DAY_S
    """Runs that ended longer ago are forgotten."""
    size_bytes: int = 10 << 30
    """Where all values take more, those of the runs that ended first are removed."""


def limits_of(environ: Mapping[str, str]) -> Limits:
    """Return the limits of ``BUILDR_RUNS_AGE`` (``30d``) and ``BUILDR_RUNS_SIZE`` (``10g``); raises OptionError."""
    known = Limits()
    age, size = environ.get(_AGE), environ.get(_SIZE)
    try:
        age_s = parse_age(age) if age else known.age_s
    except ValueError as error:
        raise OptionError(f"{_AGE}: {error}", hint=f"write it as {_AGE}=30d") from error
    return Limits(age_s, parse_size(_SIZE, size or None) or known.size_bytes)


def keep_within_daily(journal: Journal, limits: Limits, *, now: float) -> None:
    """Do ``keep_within`` where it was not done within the last day: to look at all values takes a while."""
    mark = journal.path.with_name(_LOOKED)
    try:
        if mark.exists() and 0 <= now - mark.stat().st_mtime < _DAY_S:
            return
        mark.touch(mode=0o600)
        os.utime(mark, (now, now))
    except OSError:
        return  # a full disk: a later call looks
    keep_within(journal, limits, now=now)


def keep_within(journal: Journal, limits: Limits, *, now: float) -> set[str]:
    """Forget runs until the limits hold, and remove files that belong to no run; return the keys that are gone.

    A run that has not ended is never touched. Raises JournalError.
    """
    folder = journal.path.parent
    gone = {row.key for row in journal.forget(now - limits.age_s)}
    held = journal.held()
    for path in _folders(folder):
        if path.name not in held and (path.name in gone or _is_old(path, now)):  # not one that is being written
            shutil.rmtree(path, ignore_errors=True)
    sizes = {key: _size_of(place_of(folder, key)) for key in held}
    total = sum(sizes.values())
    for key in held:
        if total <= limits.size_bytes:
            break
        journal.forget_values(key)
        shutil.rmtree(place_of(folder, key), ignore_errors=True)
        total -= sizes[key]
        gone.add(key)
    return gone - set(journal.held())


def _folders(folder: Path) -> list[Path]:
    try:
        return list(place_of(folder, "x").parent.iterdir())
    except FileNotFoundError:
        return []


def _is_old(path: Path, now: float) -> bool:
    try:
        return now - path.lstat().st_mtime > _DAY_S
    except FileNotFoundError:
        return False


def _size_of(folder: Path) -> int:
    """Return the bytes of a folder's files; what vanishes meanwhile counts as nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total
