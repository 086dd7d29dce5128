"""Orphans: containers whose process is gone, labelled so that a later one can remove them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import address_of, connect, find_address
from buildr_jupyter.process.locks import LOCK_LABEL, OWNER_LABEL, hold, logger, private_folder, this_user, write_private
from buildr_jupyter.process.tempfiles import sweep_folder

__all__ = ["REMOVE_CONTAINER", "abandon", "labels", "remove_container", "sweep_containers"]


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


def sweep_containers(client: EngineClient) -> None:
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


def _remove_container(client: EngineClient, container: str, lock: Path) -> None:
    handle = hold(lock)
    try:
        if handle is not None or not lock.exists():  # else its process lives
            client.remove_container(container, force=True, v=True)
    finally:
        if handle is not None:
            os.close(handle)


def abandon(client: EngineClient, container: str, since: float = 0.0) -> None:
    """Note a container that could not be removed, because its engine went away; the next sweep of that engine does.

    ``client`` is the connection to that engine; one without an address, which is not ours, notes nothing.
    ``container`` is its id or the beginning of it, ``since`` when it had not been made yet (seconds since the epoch).
    """
    address = address_of(client)
    if address is None:
        return
    with contextlib.suppress(OSError):
        folder = _abandoned()
        private_folder(folder)
        write_private(folder / f"{container}.json", json.dumps({"address": address.url, "since": since}).encode())


def _abandoned() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("buildr") / "abandoned"


def _sweep_abandoned(client: EngineClient) -> None:
    """Remove what was noted, where it is what it was taken for: one that was made since, and has ended.

    A step's own output may imitate the engine's words and so name a container of another user.
    """
    from docker.errors import NotFound

    address = address_of(client)
    url = address and address.url
    for note in _abandoned().glob("*.json"):
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["address"] != url:
            continue
        with contextlib.suppress(NotFound):
            found = client.inspect_container(note.stem)
            made = datetime.fromisoformat(found["Created"][:19]).replace(tzinfo=UTC).timestamp()
            if made >= int(known["since"]) and not found["State"]["Running"]:
                client.remove_container(note.stem, force=True, v=True)
        note.unlink(missing_ok=True)


def remove_container(container: str, address: str) -> None:
    """Remove a container of the engine at ``address``, running or not: what a watchdog calls."""
    # The environment may say more of that engine than its address: certificates, a context.
    environ = None if address == find_address().url else {**os.environ, "DOCKER_HOST": address}
    with contextlib.closing(connect(environ)) as client:
        client.remove_container(container, force=True, v=True)


REMOVE_CONTAINER = f"{__name__}:{remove_container.__name__}"
"""The target of ``Watchdog.hold_call`` that removes a container; its words are container and address."""
