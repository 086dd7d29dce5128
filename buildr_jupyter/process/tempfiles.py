"""Temporary files and folders: made for this user, renamed when whole, swept when left behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from buildr_jupyter.process.locks import _new_folder, hold

__all__ = ["TEMPORARY", "Scratch", "Spool", "atomic_write", "fresh", "spool", "sweep", "sweep_folder"]


TEMPORARY = "buildr-tmp-"
"""How the names of temporary files and folders begin."""


def _remove(path: Path) -> None:
    """Remove a temporary file or folder of this user that no process holds; what is held, or another user's, stays."""
    try:
        status = path.lstat()
    except OSError:
        return
    if status.st_uid != os.geteuid() or stat.S_ISLNK(status.st_mode):
        return
    if (handle := hold(path)) is not None:
        try:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _held(make: Callable[[], Path]) -> tuple[Path, int | None]:
    while True:  # between its making and its lock, a sweep may take a thing for one that was left
        path = make()
        handle = hold(path, wait=True)
        if handle is not None or path.exists():
            return path, handle


class Scratch:
    """A new folder for this user only, in the machine's place for temporary files; ``close`` removes it.

    With ``large`` it is where what is large goes: $TMPDIR, else /var/tmp, which is a disk where /tmp may be memory. As
    a context manager it gives its ``path``.
    """

    def __init__(self, *, large: bool = False) -> None:
        place = _large_place() if large else None
        self.path, self._handle = _held(lambda: Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=place)))

    def close(self) -> None:
        """Remove the folder with what is in it; a second time, nothing."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def fresh(folder: Path, prefix: str, *, directory: bool = False, shared: bool = False) -> Iterator[Path]:
    """Give a new file (or directory) in ``folder``, to be renamed when it is whole; where it was not, it is removed.

    It is for this user only (mode 0600, 0700); with ``shared`` it has the mode that the umask leaves, as what a user
    makes at a place of their own. Raises OSError where it cannot be made.
    """

    def make() -> Path:
        if directory:
            return _new_folder(folder, prefix) if shared else Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
        return _new_file(folder, prefix, 0o666 if shared else 0o600)

    made, handle = _held(make)
    status = made.lstat()
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            now = made.lstat()
            if (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino):
                shutil.rmtree(made, ignore_errors=True) if directory else made.unlink()
        if handle is not None:
            os.close(handle)


def _new_file(folder: Path, prefix: str, mode: int) -> Path:
    # Not by the umask of the process: to read it is to change it, under the feet of other threads.
    while True:
        path = folder / f"{prefix}{secrets.token_hex(6)}"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
            return path


@contextlib.contextmanager
def atomic_write(target: Path, *, directory: bool = False, shared: bool = False) -> Iterator[Path]:
    """Give what ``fresh`` gives, beside ``target``; what killed processes left there on the way to it is removed."""
    prefix = f".{target.name}.half-"
    sweep_folder(target.parent, prefix)
    with fresh(target.parent, prefix, directory=directory, shared=shared) as made:
        yield made


def sweep_folder(folder: Path, prefix: str) -> None:
    """Remove what begins with ``prefix`` in a folder, is this user's, and is held by nobody."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(prefix):
                _remove(Path(entry.path))


def sweep() -> None:
    """Remove the scratch folders that killed processes of this user left."""
    for place in {tempfile.gettempdir(), _large_place()}:
        sweep_folder(Path(place), TEMPORARY)


Spool: TypeAlias = "tempfile.SpooledTemporaryFile[bytes]"


def spool(memory_bytes: int) -> Spool:
    """Return a file without a name for what may be large: in memory up to so many bytes, then where that goes."""
    return tempfile.SpooledTemporaryFile(memory_bytes, dir=_large_place())


def _large_place() -> str:
    if given := os.environ.get("TMPDIR"):
        return given
    usual = "/var/tmp"  # noqa: S108 - mkdtemp makes the folder in it
    return usual if os.access(usual, os.W_OK) else tempfile.gettempdir()
