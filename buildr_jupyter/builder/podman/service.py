"""podman's Docker-compatible socket: the one that is there, else a service of our own that ends when nobody asks.

Source: podman-system-service(1), podman(1) for CONTAINER_HOST and the places of the sockets.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from buildr_jupyter.builder.buildah.storage import swept
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import connect
from buildr_jupyter.errors import EngineError, EnginePermission, EngineUnavailable
from buildr_jupyter.process.tempfiles import Scratch
from buildr_jupyter.process.watchdog import descendants, serving

__all__ = ["Service", "find", "leased", "own"]

INSTALL = "install podman (Debian and Ubuntu: apt-get install podman), or --builder oci, which needs no engine"
IDLE_S = 60
"""How long a service that was started here waits for a further question before it ends by itself."""
_START_WAIT_S, _END_WAIT_S = 20.0, 5.0
_SETTINGS = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF",
             "CONTAINERS_REGISTRIES_CONF", "BUILDAH_ISOLATION", "PATH")  # fmt: skip
"""What a service takes from the environment; another value, and it is another service."""


def find(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the address of a podman that serves: CONTAINER_HOST, the user's socket or the system's; None for none."""
    if named := environ.get("CONTAINER_HOST", "").strip():
        return named
    return next((f"unix://{path}" for path in _places(environ) if _answers(path)), None)


def _places(environ: Mapping[str, str]) -> list[Path]:
    user = os.getuid() if hasattr(os, "getuid") else 0
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    return [Path(runtime) / "podman" / "podman.sock", *([Path("/run/podman/podman.sock")] if user == 0 else [])]


def _answers(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        probe.connect(str(path))
        return True
    return False


class Service:
    """A child that serves at ``address``; its folder goes with it.

    Raises EngineUnavailable where there is no podman, EngineError with its last words where it does not come up.
    """

    def __init__(self, command: str = "podman", environ: Mapping[str, str] = os.environ) -> None:
        if shutil.which(command, path=environ.get("PATH")) is None:
            raise EngineUnavailable(f"there is no command {command!r} here", hint=INSTALL)
        self.folder = Scratch(large=True)
        self.path = self.folder.path / "podman.sock"
        self._log = self.folder.path / "log"
        settings = {**environ, "TMPDIR": str(self.folder.path)}  # it leaves files there (4.3: one with each push)
        try:
            with self._log.open("wb") as log:
                self.child = subprocess.Popen(
                    serving([command, "system", "service", f"--time={IDLE_S}", f"unix://{self.path}"]),
                    stdin=subprocess.PIPE, stdout=log, stderr=log, env=settings, start_new_session=True,
                    cwd=self.folder.path,  # a container that runs out of memory leaves a file "oom" there
                )  # fmt: skip
        except OSError as error:
            self.folder.close()
            raise EnginePermission(f"the command {command!r} cannot be run: {error}", hint=INSTALL) from error
        self.address = f"unix://{self.path}"
        self._client: EngineClient | None = None
        self._wait()

    def client(self) -> EngineClient:
        """Return this service's connection, made once: podman takes a third of a second to tell its version."""
        if self._client is None:
            self._client = connect({"DOCKER_HOST": self.address})
        return self._client

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_WAIT_S
        while not _answers(self.path):
            if self.child.poll() is not None or time.monotonic() > deadline:
                said = self._log.read_text(errors="replace").strip()[-500:] if self._log.exists() else ""
                self.end()
                raise EngineError(f"podman's service does not come up: {said or 'it says nothing'}", hint=INSTALL)
            time.sleep(0.02)

    def kill_work(self) -> None:
        """Kill what it runs: a RUN goes on where its client has left (measured with podman 4.3), unlike Docker's."""
        for pid in descendants(self.child.pid):
            with contextlib.suppress(OSError):
                if str(self.path).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """End it, and what it runs, where it has not ended by itself."""
        if self._client is not None:
            self._client.close()
        deadline = time.monotonic() + _END_WAIT_S
        self.child.terminate()
        while self.child.poll() is None and time.monotonic() < deadline:
            self.kill_work()
            time.sleep(0.02)
        self.child.kill()
        self.child.wait()
        if self.child.stdin is not None:
            self.child.stdin.close()
        self.folder.close()


_idle: dict[tuple[str, ...], list[Service]] = {}
_shared: dict[tuple[str, ...], Service] = {}
_lock = threading.Lock()


@contextlib.contextmanager
def leased(environ: Mapping[str, str] = os.environ) -> Iterator[Service]:
    """Give a service of this process that nobody else uses meanwhile, so that what it runs can be ended with it.

    It stays for who comes next, unless the block raises. Raises as ``Service``.
    """
    key = tuple(environ.get(name, "") for name in _SETTINGS)
    service = _take(key) or Service(environ=environ)
    with swept("podman", idle=_idle_processes):
        try:
            yield service
        except BaseException:
            service.end()
            raise
    with _lock:
        _idle.setdefault(key, []).append(service)


def _idle_processes() -> set[int]:
    """Return the processes of our services that build nothing: what stands before podman, and podman."""
    with _lock:
        known = (*_shared.values(), *(one for idle in _idle.values() for one in idle))
    return {pid for service in known for pid in (service.child.pid, *descendants(service.child.pid))}


def own(environ: Mapping[str, str] = os.environ) -> Service:
    """Return the service that this process asks everything but builds, started where it does not run (any more).

    Raises as ``Service``.
    """
    key = tuple(environ.get(name, "") for name in _SETTINGS)
    with _lock:
        known = _shared.get(key)
        if known is not None and known.child.poll() is None and _answers(known.path):
            return known
        _shared[key] = made = Service(environ=environ)
    if known is not None:
        known.end()
    return made


def _take(key: tuple[str, ...]) -> Service | None:
    while True:
        with _lock:
            known = _idle.get(key) or []
            service = known.pop() if known else None
        if service is None or (service.child.poll() is None and _answers(service.path)):
            return service
        service.end()  # it had nothing to do for so long that it ended by itself


@atexit.register
def _end_all() -> None:
    with _lock:
        for service in (*_shared.values(), *(one for idle in _idle.values() for one in idle)):
            service.end()
        _shared.clear()
        _idle.clear()
