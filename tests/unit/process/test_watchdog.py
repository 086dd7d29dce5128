"""A process that is killed takes with it what it started."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.process.watchdog import Watchdog, serving
from tests.fakes.processes import arguments_with

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no watchdog on Windows")
ROOT = Path(__file__).parents[3]
WORK = """
import sys
from buildr_jupyter.process.run import follow
from buildr_jupyter.events.cancel import CancelToken
script = "trap '' TERM; setsid sleep $0 & sleep $0 & echo ready; wait"
for piece in follow(["sh", "-c", script, sys.argv[1]], cancel=CancelToken()):
    print(piece.data, flush=True)
"""


def wait_until(holds: Callable[[], object], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_children_of_a_killed_process_end_within_seconds() -> None:
    """Also those that ignore SIGTERM, and those that left the group."""
    nonce = f"{1000 + secrets.randbelow(8000)}.{secrets.randbelow(10**6):06d}"
    with subprocess.Popen([sys.executable, "-c", WORK, nonce], stdout=subprocess.PIPE, cwd=ROOT) as worker:
        assert worker.stdout
        try:
            assert worker.stdout.readline() == b"b'ready\\n'\n"
            wait_until(lambda: len(arguments_with(nonce)) >= 4, 10)  # one that is just being started shows none
        finally:
            worker.kill()
    wait_until(lambda: not arguments_with(nonce), 10)


WATCHED = """
import os, subprocess, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    child = subprocess.Popen(["sleep", sys.argv[1]])
    status = child.wait()
    open("ended", "w").write(str(status))
    os._exit(0)
print("ready", flush=True)
time.sleep(600)
"""


def test_what_watches_a_program_is_killed_with_its_service_before_it_can_tell_of_an_end(tmp_path: Path) -> None:
    """As podman's conmon, which has left the service's group and is nobody's child any more."""
    nonce = f"{1000 + secrets.randbelow(8000)}.{secrets.randbelow(10**6):06d}"
    command = serving([sys.executable, "-c", WATCHED, nonce])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as service:
        assert service.stdout
        assert service.stdin
        assert service.stdout.readline() == b"ready\n"
        wait_until(lambda: len(arguments_with(nonce)) >= 4, 10)
        service.stdin.close()  # as when its owner was killed
        service.wait(10)
    wait_until(lambda: not arguments_with(nonce), 5)
    assert not (tmp_path / "ended").exists()


def test_who_lets_go_leaves_the_child_alone() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        watchdog = Watchdog()
        watchdog.hold_child(child.pid)
        watchdog.undo()
        watchdog.undo()
        time.sleep(0.1)
        assert child.poll() is None
        child.kill()


def test_a_watchdog_that_holds_nothing_ends_with_its_process() -> None:
    mark = secrets.token_hex(8)
    code = "from buildr_jupyter.process.watchdog import Watchdog; import os; Watchdog(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "WATCHDOG_MARK": mark}, check=False, cwd=ROOT)

    def marked() -> list[str]:
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                found += [environ.parent.name] * (mark.encode() in environ.read_bytes())
            except OSError:
                continue
        return found

    wait_until(lambda: not marked(), 5)
