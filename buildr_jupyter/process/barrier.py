"""Barrier: a program in a clean process that the system confines, run to its end.

It reads what is named and nothing else, writes only into the folders that are named, has no sockets, ends after a time
and with a limit on memory, and takes all that it started with it. ``process/confine.py`` is the program that does it;
nothing happens in this process but the start of that one, so that a kernel's state stays as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.process.confine import Order

__all__ = ["Confinement", "Ended", "NoBarrier", "run_confined"]

_OVER_S = 10.0
"""How long the watching process may take beyond the program's own time."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a confined program may do; everything else is refused by the system."""

    readable: tuple[Path, ...]
    """Files and folders, with all in them, that it may read and execute. What does not exist is passed over."""
    writable: tuple[Path, ...]
    """Folders with which it may do everything."""
    listable: tuple[Path, ...] = ()
    """Folders whose names it may list, at any depth; what is in the files stays closed."""
    timeout_s: float = 10.0
    """Of the clock on the wall."""
    memory_bytes: int = 2 << 30
    """Of the program and all that it starts, together."""
    output_bytes: int = 16 << 20
    """Of standard output, and as much of standard error."""
    file_bytes: int = 1 << 30
    """The largest file that it may write."""
    abi: int | None = None
    """The newest version of Landlock that is used; None: the system's."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a confined program ended."""

    status: int
    """Its exit status, negative for the signal that killed it."""
    stdout: bytes
    stderr: bytes
    stopped: Literal["", "time", "memory", "output", "asked"] = ""
    """Which limit it went over; ``asked`` where the work was cancelled."""
    took_s: float = 0.0
    peak_bytes: int = 0
    """The most memory that was seen in use; a short peak may be missed."""


@dataclass(frozen=True, slots=True)
class NoBarrier:
    """The program was not run, for nothing here can confine it."""

    why: str


def run_confined(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    cwd: Path,
    confinement: Confinement,
    cancel: CancelToken | None = None,
) -> Ended | NoBarrier:
    """Run ``command`` (an absolute path and arguments) with exactly this environment and return how it ended.

    Standard input is empty. A token that is set ends it at once, with all that it started.
    """
    if not sys.platform.startswith("linux"):
        return NoBarrier(f"{sys.platform} has no Landlock")
    order: Order = {
        "command": [str(word) for word in command],
        "environment": dict(environment),
        "cwd": str(cwd),
        "readable": [str(path) for path in confinement.readable],
        "listable": [str(path) for path in confinement.listable],
        "writable": [str(path) for path in confinement.writable],
        "timeout_s": confinement.timeout_s,
        "memory_bytes": confinement.memory_bytes,
        "output_bytes": confinement.output_bytes,
        "file_bytes": confinement.file_bytes,
        "abi": confinement.abi,
    }
    watcher = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("confine.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.defpath},
        cwd="/",
        start_new_session=True,  # an interrupt of the kernel's group is ours to hear
    )
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    try:
        undo = cancel.on_cancel(lambda: _close(watcher)) if cancel else lambda: None
        try:
            with contextlib.suppress(OSError, ValueError):  # cancelled before it began
                watcher.stdin.write(json.dumps(order).encode() + b"\n")
                watcher.stdin.flush()
            said = watcher.stdout.read()
        finally:
            undo()
    finally:
        _close(watcher)  # it ends what it started when its standard input ends
        try:
            watcher.wait(_OVER_S)
        except subprocess.TimeoutExpired:
            watcher.kill()
            watcher.wait()
        words = watcher.stderr.read() if watcher.stderr else b""
        for pipe in (watcher.stdout, watcher.stderr):
            if pipe:
                pipe.close()
    return _read_end(said, words)


def _close(watcher: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        if watcher.stdin:
            watcher.stdin.close()


def _read_end(said: bytes, words: bytes) -> Ended | NoBarrier:
    head, _, rest = said.partition(b"\n")
    try:
        end = json.loads(head)
    except ValueError:
        last = words.decode("utf-8", "replace").strip().splitlines() or ["it was killed"]
        return NoBarrier(f"the process that confines did not answer: {last[-1]}")
    if "no_barrier" in end:
        return NoBarrier(str(end["no_barrier"]))
    size = end["stdout"]
    return Ended(end["status"], rest[:size], rest[size:], end["stopped"], end["took_s"], end["peak_bytes"])
