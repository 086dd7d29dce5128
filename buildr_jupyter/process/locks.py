"""What a process has in hand, marked so that a later one can tell when it was left behind: folders, files, containers.

The mark is a lock on the thing itself (``flock``), which ends with the process that took it, however that ended. So
nothing has to be written down to be found: what has our name and no lock belongs to nobody any more, and ``sweep``
takes it away. Where there is no ``flock`` (Windows), things are made just so and nothing is swept.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import logging
import os
import secrets
import stat
import sys
from pathlib import Path

from buildr_jupyter.secretscan.redact import masked_logger

__all__ = [
    "LOCK_LABEL",
    "OWNER_LABEL",
    "close_to_others",
    "hold",
    "in_cache",
    "private_folder",
    "this_user",
    "write_private",
]

logger = masked_logger(logging.getLogger(__name__))

OWNER_LABEL = "io.buildr.owner"
"""Label of a container that we made; its value is the user and machine that did."""
LOCK_LABEL = "io.buildr.lock"
"""Label of a container that ends with the process that made it; its value is the file which that process has locked."""


def this_user() -> str:
    """Return user and machine, as ``me@laptop``."""
    import socket

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"  # a numeric user without a name, or no pwd at all
    return f"{user}@{socket.gethostname()}"


# -- locks


def hold(path: Path, *, wait: bool = False) -> int | None:
    """Lock a file or folder and return the descriptor whose ``os.close`` gives it free.

    None where another process has it (with ``wait``: its end is waited for), where it is gone, and where there are no
    locks.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        now, held = path.lstat(), os.fstat(handle)
        if (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino):
            return handle
    os.close(handle)
    return None


# -- folders and files


def _new_folder(folder: Path, prefix: str) -> Path:
    while True:
        path = folder / f"{prefix}{secrets.token_hex(6)}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path


# -- what holds the user's data


def in_cache(path: Path) -> bool:
    """Tell whether a place is in our folder of the user's cache: one that nobody named."""
    from platformdirs import user_cache_path

    ours = Path(os.path.abspath(user_cache_path("buildr")))  # noqa: PTH100 - no link is followed
    return Path(os.path.abspath(path)).is_relative_to(ours)  # noqa: PTH100


def private_folder(folder: Path) -> Path:
    """Make a folder that only this user may enter, with what is missing above it, and return it.

    A folder of our cache that others may enter is closed to them. Raises OSError.
    """
    missing, above = [], folder
    while not above.exists() and above != above.parent:
        missing.append(above)
        above = above.parent
    for one in reversed(missing):
        try:
            one.mkdir(mode=0o700)
        except FileExistsError:
            if not one.is_dir():  # else another process was faster
                raise
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    for one in (folder, *folder.parents):
        if not in_cache(one):
            break
        close_to_others(one)
    return folder


def close_to_others(path: Path) -> None:
    """Take the rights of group and others from a file or folder of this user in our cache; others stay as they are."""
    if sys.platform == "win32" or not in_cache(path):
        return
    with contextlib.suppress(OSError):
        status = path.lstat()
        if status.st_uid == os.geteuid() and status.st_mode & 0o077 and not stat.S_ISLNK(status.st_mode):
            path.chmod(stat.S_IMODE(status.st_mode) & 0o700)


def write_private(path: Path, content: bytes = b"") -> None:
    """Write a small file for this user only, whatever the umask."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(handle, "wb") as out:  # noqa: PTH123 - a descriptor
        out.write(content)


# -- containers
