"""What a process has in hand, marked so that a later one can tell when it was left behind: folders, files, containers.

The mark is a lock on the thing itself (``flock``), which ends with the process that took it, however that ended. So
nothing has to be written down to be found: what has our name and no lock belongs to nobody any more, and ``sweep``
takes it away. Where there is no ``flock`` (Windows), things are made just so and nothing is swept.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import json
import logging
import os
import secrets
import shutil
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from buildr_jupyter.masking import masked_logger

__all__ = [
    "LOCK_LABEL", "OWNER_LABEL", "TEMPORARY", "Scratch", "abandon", "close_to_others", "fresh", "half_of", "hold",
    "in_cache", "labels", "private_folder", "sweep", "sweep_containers", "sweep_folder", "this_user", "write_private",
]  # fmt: skip

logger = masked_logger(logging.getLogger(__name__))

OWNER_LABEL = "io.buildr.owner"
"""Label of a container that we made; its value is the user and machine that did."""
LOCK_LABEL = "io.buildr.lock"
"""Label of a container that ends with the process that made it; its value is the file which that process has locked."""

TEMPORARY = "buildr-tmp-"
"""How the names of temporary files and folders begin."""


def this_user() -> str:
    """Return user and machine, as ``me@laptop``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = "unknown"  # a numeric user without a name, or no pwd at all
    return f"{user}@{socket.gethostname()}"


# -- locks


def hold(path: Path, *, wait: bool = False) -> int | None:
    """Lock a file or folder and return the descriptor whose ``os.close`` gives it free.

    None where somebody else has it (with ``wait``: their end is waited for), where it is gone, and where there are no
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


def _remove(path: Path) -> None:
    """Remove a file or folder of ours that nobody holds; what is held, or somebody else's, stays."""
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


# -- folders and files


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


def _new_folder(folder: Path, prefix: str) -> Path:
    while True:
        path = folder / f"{prefix}{secrets.token_hex(6)}"
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path


@contextlib.contextmanager
def half_of(target: Path, *, directory: bool = False, shared: bool = False) -> Iterator[Path]:
    """Give what ``fresh`` gives, beside ``target``; what killed processes left there on the way to it is removed."""
    prefix = f".{target.name}.half-"
    sweep_folder(target.parent, prefix)
    with fresh(target.parent, prefix, directory=directory, shared=shared) as made:
        yield made


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


def _large_place() -> str:
    if given := os.environ.get("TMPDIR"):
        return given
    usual = "/var/tmp"  # noqa: S108 - mkdtemp makes the folder in it
    return usual if os.access(usual, os.W_OK) else tempfile.gettempdir()


# -- containers

_lock = threading.Lock()
_own: list[tuple[Path, int | None]] = []


def _lock_file() -> Path:
    """Return this process's own file, locked as long as it lives; made when it is first asked for."""
    from platformdirs import user_cache_path

    with _lock:
        if not _own or not _own[0][0].exists():
            folder = user_cache_path("buildr") / "owners"
            private_folder(folder)
            sweep_folder(folder, "")
            path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
            path.touch(mode=0o600)
            _own[:] = [(path, hold(path))]
        return _own[0][0]


def labels() -> dict[str, str]:
    """Return the labels of a container that is to end with this process."""
    return {OWNER_LABEL: this_user(), LOCK_LABEL: str(_lock_file())}


def sweep_containers(client: Any) -> None:
    """Remove the containers whose process was killed before it could; ``client`` is docker-py's.

    An engine that will not list or remove them stops nobody's build: the next command tries again.
    """
    if sys.platform == "win32":
        return
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        ours = {"label": [f"{OWNER_LABEL}={this_user()}", LOCK_LABEL]}
        for found in client.containers(all=True, filters=ours):
            _remove_container(client, found["Id"], Path(found["Labels"][LOCK_LABEL]))
        _sweep_abandoned(client)
    except (DockerException, RequestException, OSError, ValueError, KeyError, TypeError) as error:
        logger.debug("what is left in the engine stays there: %s", error)


def _remove_container(client: Any, container: str, lock: Path) -> None:
    handle = hold(lock)
    try:
        if handle is not None or not lock.exists():  # else its process lives
            client.remove_container(container, force=True, v=True)
    finally:
        if handle is not None:
            os.close(handle)


def abandon(client: Any, container: str, since: float = 0.0) -> None:
    """Note a container that could not be removed, because its engine went away; the next sweep of that engine does.

    ``client`` is the connection to that engine; one without an address, which is not ours, notes nothing.
    ``container`` is its id or the beginning of it, ``since`` when it had not been made yet (seconds since the epoch).
    """
    address = _address(client)
    if address is None:
        return
    with contextlib.suppress(OSError):
        folder = _abandoned()
        private_folder(folder)
        write_private(folder / f"{container}.json", json.dumps({"address": address, "since": since}).encode())


def _address(client: Any) -> str | None:
    return getattr(getattr(client, "buildr_address", None), "url", None)


def _abandoned() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("buildr") / "abandoned"


def _sweep_abandoned(client: Any) -> None:
    """Remove what was noted, where it is what it was taken for: one that was made since, and has ended.

    A step's own output may imitate the engine's words and so name a container of somebody else's.
    """
    from docker.errors import NotFound

    address = _address(client)
    for note in _abandoned().glob("*.json"):
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["address"] != address:
            continue
        with contextlib.suppress(NotFound):
            found = client.inspect_container(note.stem)
            made = datetime.fromisoformat(found["Created"][:19]).replace(tzinfo=UTC).timestamp()
            if made >= int(known["since"]) and not found["State"]["Running"]:
                client.remove_container(note.stem, force=True, v=True)
        note.unlink(missing_ok=True)
