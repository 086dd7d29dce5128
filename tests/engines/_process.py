"""Daemons that are started for a test run and ended by their process id, never by a name."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class EngineStartError(RuntimeError):
    """An engine did not come up, or a tool that makes one failed; the text holds the end of its log."""


@dataclass(frozen=True)
class Process:
    """A process by its id and its start time, so that an id used again later is never taken for it."""

    name: str
    pid: int
    started: str
    """Field 22 of /proc/PID/stat: clock ticks since boot."""

    @classmethod
    def of(cls, pid: int, name: str) -> Process:
        return cls(name, pid, _start_time(pid) or "")

    def alive(self) -> bool:
        """Tell whether the same process still runs (a zombie does not)."""
        return bool(self.started) and _start_time(self.pid) == self.started


def _start_time(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def start(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    ready: Callable[[], bool],
    timeout_s: float = 60,
) -> Process:
    """Start ``command`` in a session of its own and wait until ``ready`` says so.

    Raises EngineStartError with the end of its log when it ends or does not get ready; nothing is left running then.
    """
    with log.open("ab") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(env), start_new_session=True
        )
    process = Process.of(child.pid, name)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise EngineStartError(f"{name} ended with status {child.returncode}\n{tail(log)}")
        if ready():
            _reap_later(child)
            _how[process] = {"command": command, "log": log, "env": env, "ready": ready, "timeout_s": timeout_s}
            return process
        time.sleep(0.05)
    stop(process)
    raise EngineStartError(f"{name} was not ready after {timeout_s:.0f} s\n{tail(log)}")


_how: dict[Process, dict[str, Any]] = {}


def again(process: Process) -> Process:
    """Start once more what ``start`` started as this process, after its end. Raises EngineStartError."""
    stop(process)
    return start(process.name, **_how.pop(process))


_children: list[subprocess.Popen[bytes]] = []


def _reap_later(child: subprocess.Popen[bytes]) -> None:
    # Kept, so that its ResourceWarning stays away and its zombie is collected in stop().
    _children.append(child)


def stop(process: Process, *, grace_s: float = 20) -> None:
    """End one process: SIGTERM, then SIGKILL after ``grace_s`` seconds; returns when it is gone."""
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0)):
        if not process.alive():
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        deadline = time.monotonic() + wait_s
        while process.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
    for child in list(_children):
        if child.pid == process.pid:
            child.wait(timeout=10)
            _children.remove(child)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file, empty where there is none."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def search_path() -> str:
    """Return PATH and the sbin folder beside each bin folder on it, which an ordinary user's PATH lacks."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    beside = [folder.with_name("sbin") for folder in folders if folder.name == "bin"]
    return os.pathsep.join(dict.fromkeys(map(str, [*folders, *beside])))


def find_program(name: str) -> str | None:
    """Return the path of an installed program, None where there is none."""
    return shutil.which(name, path=search_path())


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on at ``address`` now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def listens(address: str, port: int) -> bool:
    """Tell whether something accepts TCP connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> str:
    """Run a tool to its end and return what it wrote; raises EngineStartError with that text when it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        check=False,
    )
    if done.returncode:
        raise EngineStartError(f"{' '.join(command[:3])} … failed with status {done.returncode}\n{done.stdout[-2000:]}")
    return done.stdout
