"""The keeper of a node: ``python -m tests.engines.kubernetes.keeper LAYOUT OWNER``.

It starts the node in its namespaces, relays between the two networks, and ends the node and what it leaves when it is
told to (SIGTERM), when the node ends, or when the process OWNER is gone (0: nobody's).
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.engines._process import Process
from tests.engines.kubernetes import cgroups
from tests.engines.kubernetes.layout_file import read
from tests.engines.kubernetes.relay import Relay

NAMESPACES = ("--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "--propagation", "private")


def main(file: str, owner: int) -> int:
    """Keep the node; return an exit status: 0 when it was told to end it."""
    at = read(Path(file))
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    watched = [told, *([os.pidfd_open(owner)] if owner else [])]
    # The node ends with unshare, and unshare with this process, also by SIGKILL.
    command = [sys.executable, "-m", "tests.engines.kubernetes.node", file]
    unshare = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", *NAMESPACES, "--kill-child=SIGKILL", *command],
        stdin=subprocess.DEVNULL,
    )
    first: Process | None = None
    ended, orphaned = 1, False
    try:
        while unshare.poll() is None:
            if first is None and (at.folder / "network").exists():
                first = _first_process(unshare.pid)
                relay = Relay(first.pid)
                relay.let_in(at.port)
                for registry in at.registries:
                    relay.let_out(registry.port)
                (at.folder / "first.pid").write_text(str(first.pid))
                (at.folder / "relayed").touch()
            ready, _, _ = select.select(watched, [], [], 0.05 if first is None else None)
            if any(one != told for one in ready):
                orphaned = True
                break
            if told in ready and {signal.SIGTERM, signal.SIGINT} & set(os.read(told, 4096)):
                ended = 0
                break
    finally:
        _end(unshare, first)
        cgroups.remove(at.cgroup)
        if orphaned:
            shutil.rmtree(at.folder, ignore_errors=True)  # nobody is left to do it
    return ended


def _first_process(unshare: int) -> Process:
    children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
    return Process.of(int(children[0]), "node")


def _end(unshare: subprocess.Popen[bytes], first: Process | None) -> None:
    unshare.kill()
    unshare.wait()
    deadline = time.monotonic() + 30
    # With process 1 of a namespace all its processes end, and it is the last.
    while first and first.alive() and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
