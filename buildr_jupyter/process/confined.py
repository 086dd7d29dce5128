"""Confined files: what goes into an image is opened below the folder that it may come from, and never through a link
out of it.

A path is resolved first and compared; then the resolved path is opened part by part from the folder's descriptor
without following any link, so that a link put in between the two is refused as well.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from buildr_jupyter.errors import FileRefused
from buildr_jupyter.model.plan import FileEntry

__all__ = ["file_entry", "iter_files", "open_beneath", "resolve_beneath"]

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def file_entry(path: str, source: Path, root: Path, *, mode: int | None = None, why: str = "") -> FileEntry:
    """Return an entry for the file ``source``, hashed now, that is opened again below ``root`` when it is read.

    ``path`` is where it goes in the context folder; without ``mode`` it is 0o755 or 0o644, as the owner's right to
    execute it says. Raises FileRefused for a link out of ``root`` and for what is no regular file, OSError where it
    cannot be read.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise FileRefused(f"file name {source.name!r} is not UTF-8", hint="rename the file") from None
    with open_beneath(source, root) as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size_bytes = stream.tell()
        executable = os.fstat(stream.fileno()).st_mode & 0o100
    if mode is None:
        mode = 0o755 if executable else 0o644
    return FileEntry(path, mode, size_bytes, sha256, lambda: open_beneath(source, root), why)


def open_beneath(source: Path, root: Path) -> io.BufferedReader:
    """Return the regular file ``source``, opened for reading below ``root``; see ``file_entry`` for the errors."""
    real = resolve_beneath(source, root)
    descriptor = _open_parts(root.resolve(), real)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileRefused(f"{source.name!r} is no regular file", hint="carry regular files only")
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def resolve_beneath(source: Path, root: Path) -> Path:
    """Return ``source`` with every link followed; raises FileRefused where that leads out of ``root``."""
    try:
        real = source.resolve(strict=True)
    except RuntimeError as error:  # a link to itself, before Python 3.13
        raise FileRefused(f"{_shown(source, root)} is a link to itself", hint="take the link away") from error
    if not real.is_relative_to(root.resolve()):
        raise FileRefused(
            f"{_shown(source, root)} is a link out of the folder {root.name!r}",
            hint="put a copy of the file where the link is",
        )
    return real


def iter_files(folder: Path, root: Path, *, skip: Callable[[str], bool] = lambda _relative: False) -> Iterator[Path]:
    """Yield the regular files in ``folder`` and below, sorted, links to files and folders within ``root`` followed.

    ``skip`` is asked with each path relative to ``folder``, ``/`` between its parts. Raises FileRefused for a link out
    of ``root``; sockets, pipes and devices are passed over.
    """
    yield from _iter_below(folder, root, "", skip, frozenset({folder.resolve()}))


def _iter_below(
    folder: Path, root: Path, inside: str, skip: Callable[[str], bool], above: frozenset[Path]
) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        relative = inside + path.name
        if skip(relative):
            continue
        if path.is_symlink():
            real = resolve_beneath(path, root) if path.exists() else None
            if real is None or real in above:
                continue  # it leads nowhere, or to a folder that it lies in
        if path.is_dir():
            yield from _iter_below(path, root, f"{relative}/", skip, above | {path.resolve()})
        elif path.is_file():
            yield path


def _open_parts(root: Path, real: Path) -> int:
    parts = real.relative_to(root).parts
    if os.open not in os.supports_dir_fd or not parts:
        return os.open(real, _FLAGS)
    held = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FLAGS | os.O_DIRECTORY, dir_fd=held)
            os.close(held)
            held = inner
        return os.open(parts[-1], _FLAGS, dir_fd=held)
    finally:
        os.close(held)


def _shown(source: Path, root: Path) -> str:
    return repr(source.relative_to(root).as_posix() if source.is_relative_to(root) else source.name)
