"""What a process has in hand, marked so that a later one can tell when it was left behind: folders, files, containers.

The mark is a lock on the thing itself (``flock``), which ends with the process that took it, however that ended. So
nothing has to be written down to be found: what has our name and no lock belongs to nobody any more, and ``sweep``
takes it away. Where there is no ``flock`` (Windows), things are made just so and nothing is swept.
"""

from __future__ import annotations

import contextlib
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
    "LOCK_LABEL", "OWNER_LABEL", "TEMPORARY", "Scratch", "abandon", "fresh", "half_of", "hold", "labels", "sweep",
    "sweep_containers", "sweep_folder", "this_user",
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
def fresh(folder: Path, prefix: str, *, directory: bool = False) -> Iterator[Path]:
    """Give a new file (or directory) in ``folder``, to be renamed when it is whole; where it was not, it is removed.

    It is for this user only (mode 0600, 0700). Raises OSError where it cannot be made.
    """
    make = _new_file if not directory else lambda where, start: Path(tempfile.mkdtemp(prefix=start, dir=where))
    made, handle = _held(lambda: make(folder, prefix))
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


def _new_file(folder: Path, prefix: str) -> Path:
    handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)
    os.close(handle)
    return Path(name)


@contextlib.contextmanager
def half_of(target: Path, *, directory: bool = False) -> Iterator[Path]:
    """Give what ``fresh`` gives, beside ``target``; what killed processes left there on the way to it is removed."""
    prefix = f".{target.name}.half-"
    sweep_folder(target.parent, prefix)
    with fresh(target.parent, prefix, directory=directory) as made:
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
            folder.mkdir(parents=True, exist_ok=True)
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
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{container}.json").write_text(json.dumps({"address": address, "since": since}), encoding="utf-8")


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
