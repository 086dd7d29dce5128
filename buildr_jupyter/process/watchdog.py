"""Ends what was started for us when we are killed and cannot: a child with all that it started, or a container.

A kernel that is killed leaves its children running, and a ``buildah`` that pulls and installs for an hour is work that
nobody waits for any more. So beside each of them stands a shell that reads from a pipe. While this process lives it
sleeps; when we are done with the child we say so, and it ends; when the pipe breaks we were killed, and it does what
we would have done: SIGTERM, a few seconds, SIGKILL. This file is the program that it becomes then.

A process that was forked from ours without a new program keeps the pipe open, and the watchdog waits for its end, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

__all__ = ["Watchdog", "descendants", "end_group", "members", "serving"]

TERM_WAIT_S, KILL_WAIT_S = 3.0, 5.0
_PR_SET_CHILD_SUBREAPER = 36
_WAIT = 'IFS= read -r what || exit 0; IFS= read -r said && exit 0; exec "$@" $what'
"""The first line says whom to end; a second one, that there is nothing to end any more."""


class Watchdog:
    """Tied to one child, container or piece of work (``hold_…``) until ``undo``; without a shell, nothing."""

    def __init__(self) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        if sys.platform == "win32":
            return
        command = ["/bin/sh", "-c", _WAIT, "buildr", sys.executable, "-P", __file__]
        with contextlib.suppress(OSError):
            self._shell = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, bufsize=0,
                cwd="/", start_new_session=True,
            )  # fmt: skip

    def hold_child(self, pid: int) -> None:
        """End this process, its group and what is below it."""
        self._say(f"child {pid}")

    def hold_call(self, target: str, *words: str) -> None:
        """Call ``module:function`` with these words (none of them with a space in it)."""
        self._say(" ".join(("call", target, *words)))

    def undo(self) -> None:
        """Let go: it has ended, or may go on without us."""
        if self._shell is None:
            return
        self._say("done")
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()
        self._shell = None

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()

    def _say(self, line: str) -> None:
        if self._shell is not None and self._shell.stdin is not None:
            with contextlib.suppress(OSError):
                self._shell.stdin.write(f"{line}\n".encode())


def serving(command: list[str]) -> list[str]:
    """Return ``command`` as it is run for a service that is to end, with all that it started, when its stdin ends."""
    return command if sys.platform != "linux" else [sys.executable, "-I", "-S", __file__, "serve", *command]


# -- processes


def descendants(pid: int) -> list[int]:
    """Return the processes below one, parents before their children; from /proc, nothing where there is none."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(stat.parent.name))
    found: list[int] = []
    level = children.get(pid, [])
    while level:
        found += level
        level = [child for one in level for child in children.get(one, [])]
    return found


def members(group: int) -> set[int]:
    """Return the processes of a group that have not ended, from /proc; nothing where there is none."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.add(int(stat.parent.name))
    return found


def end_group(group: int, *, ended: Callable[[], bool] = lambda: True) -> None:
    """End a process group: SIGTERM, so that it can clean up; who is left is killed, the group's first process last.

    ``ended`` tells whether the first process is gone, for a parent that has to reap it.
    """
    _signal(group, signal.SIGTERM)
    if _gone(group, TERM_WAIT_S, ended):
        return
    for pid in members(group) - {group}:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    if not _gone(group, KILL_WAIT_S, ended):
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _gone(group: int, within_s: float, ended: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if ended() and not members(group):
            return True
        time.sleep(0.02)
    return False


# -- the program that the shell becomes


def _serve(command: list[str]) -> None:
    """Run a service for the process that holds our standard input; with either's end, all that it started ends.

    What a killed service leaves is handed to us by the kernel ("child subreaper", prctl(2)), so that it is found. Of
    podman's containers it is conmon, which notes how a program ended: it is killed first, so that a program that was
    killed with its service never counts as one that ended by itself.
    """
    import ctypes
    import select

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        select.select([0, os.pidfd_open(child.pid)], [], [])
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        below = descendants(os.getpid())
        end_group(child.pid, ended=lambda: child.poll() is not None)
        _kill([*below, *descendants(os.getpid())])


def _kill(pids: list[int]) -> None:
    """Kill these processes, each before those that it would miss."""
    for pid in dict.fromkeys(pids):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _main(what: str, name: str, *words: str) -> None:
    if what == "child":
        below = descendants(int(name))
        end_group(int(name))
        _kill([*below, *descendants(int(name))])
        return
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    module, _, function = name.partition(":")
    getattr(import_module(module), function)(*words)


if __name__ == "__main__":
    _serve(sys.argv[2:]) if sys.argv[1] == "serve" else _main(*sys.argv[1:])
