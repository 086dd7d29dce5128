"""Barrier: what a hostile program cannot do behind it, each seen to work without it, and the limits."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.process import confine
from buildr_jupyter.process.barrier import Confinement, Ended, NoBarrier, run_confined
from buildr_jupyter.process.system_files import devices, system_paths

PYTHON = Path(os.path.realpath(sys.executable))
STDLIB = Path(sysconfig.get_path("stdlib"))

pytestmark = pytest.mark.skipif(confine.missing() is not None, reason=str(confine.missing()))


@dataclass
class World:
    """A home with a secret, a server on loopback, and a place where the program works."""

    home: Path
    place: Path
    port: int
    visits: list[bytes] = field(default_factory=list)

    def run(self, code: str, *, abi: int | None = None, cancel: CancelToken | None = None, **limits: float) -> Ended:
        confinement = Confinement(
            (PYTHON, STDLIB, *PYTHON.parent.parent.glob("lib/*.so*"), *system_paths()),
            (self.place, *devices()),
            abi=abi,
            **limits,  # type: ignore[arg-type]
        )
        ended = run_confined(
            [PYTHON, "-I", "-c", code],
            environment={"PATH": "/usr/bin:/bin"}, cwd=self.place, confinement=confinement, cancel=cancel,
        )  # fmt: skip
        assert isinstance(ended, Ended), ended
        return ended

    def run_freely(self, code: str) -> subprocess.CompletedProcess[str]:
        place = self.place.with_name("free")
        place.mkdir(exist_ok=True)
        return subprocess.run(
            [PYTHON, "-I", "-c", code], cwd=place, capture_output=True, text=True, check=False, timeout=30
        )


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    home, place = tmp_path / "home", tmp_path / "place"
    home.mkdir()
    place.mkdir()
    (home / "canary").write_text("the secret")
    monkeypatch.setenv("BUILDR_TEST_CANARY", "the secret of the environment")
    with socket.create_server(("127.0.0.1", 0)) as server:
        world = World(home, place, server.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.settimeout(2)
                    world.visits.append(peer.recv(16))

        thread = threading.Thread(target=serve)
        thread.start()
        yield world
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


HOSTILE = {
    "reads": "print(open({canary!r}).read())",
    "reads by a link": "import os; os.symlink({canary!r}, 'link'); print(open('link').read())",
    "reads by a hard link": "import os; os.link({canary!r}, 'hard'); print(open('hard').read())",
    "reads by another program": "import subprocess; print(subprocess.run(['cat', {canary!r}], capture_output=True, text=True, check=True).stdout)",
    "writes": "open({canary!r}, 'w').write('gone'); print('the secret')",
    "appends": "open({canary!r}, 'a').write('more'); print('the secret')",
    "truncates": "import os; os.truncate({canary!r}, 0); print('the secret')",
    "removes": "import os; os.remove({canary!r}); print('the secret')",
    "renames": "import os; os.rename({canary!r}, {canary!r} + '2'); print('the secret')",
    "makes a file beside it": "open({canary!r} + '3', 'w'); print('the secret')",
    "reads the environment of its parents": """
import os
pid, found = os.getppid(), ''
for _ in range(4):
    found += open(f'/proc/{{pid}}/environ').read()
    pid = int(open(f'/proc/{{pid}}/stat').read().rpartition(')')[2].split()[1])
assert 'PATH=' in found
print('the secret')
""",
    "connects": "import socket; socket.create_connection(('127.0.0.1', {port})).sendall(b'hello'); print('the secret')",
    "connects by another program": "import subprocess; subprocess.run(['bash', '-c', 'echo hello > /dev/tcp/127.0.0.1/{port}'], check=True); print('the secret')",
    "kills": "import os; os.kill({victim}, 9); print('the secret')",
    "limits another process": "import resource; resource.prlimit({victim}, resource.RLIMIT_NOFILE, (9, 9)); print('the secret')",
    "traces another process": "import ctypes; assert ctypes.CDLL(None).ptrace(16, {victim}, 0, 0) == 0; print('the secret')",
    "mounts": "import ctypes; assert ctypes.CDLL(None).unshare(0x00020000) == 0; print('the secret')",
}


@pytest.mark.parametrize("abi", [None, 4], ids=["newest", "abi 4"])
@pytest.mark.parametrize("deed", HOSTILE)
def test_a_hostile_program_is_held(world: World, deed: str, abi: int | None) -> None:
    canary = world.home / "canary"
    victim = subprocess.Popen(["sleep", "60"])
    try:
        code = HOSTILE[deed].format(canary=str(canary), port=world.port, victim=victim.pid)
        ended = world.run(code, abi=abi)
        assert ended.status != 0
        assert b"the secret" not in ended.stdout
        assert (canary.read_text(), sorted(os.listdir(world.home)), victim.poll()) == ("the secret", ["canary"], None)
        assert world.visits == []
        # The control: without the barrier the same program does it.
        free = world.run_freely(code)
        if deed not in ("mounts", "traces another process", "limits another process") or os.geteuid() == 0:
            assert (free.returncode, "the secret" in free.stdout) == (0, True), free.stderr
    finally:
        victim.kill()
        victim.wait()


def test_the_mode_of_a_file_stays_as_it_is(world: World) -> None:
    canary = world.home / "canary"
    canary.chmod(0o600)
    code = f"import os; os.chmod({str(canary)!r}, 0o777); os.utime({str(canary)!r}, (1, 1)); print('done')"
    assert world.run(code).stdout == b"done\n"
    assert (canary.stat().st_mode & 0o777, canary.stat().st_mtime > 1) == (0o600, True)
    assert world.run_freely(code).returncode == 0
    assert (canary.stat().st_mode & 0o777, canary.stat().st_mtime) == (0o777, 1)


def test_the_environment_is_the_one_that_is_given(world: World) -> None:
    ended = world.run("import os; print(sorted(os.environ.items()))")
    assert ended.stdout == b"[('LC_CTYPE', 'C.UTF-8'), ('PATH', '/usr/bin:/bin')]\n"


def test_what_a_program_needs_works(world: World) -> None:
    code = """
import asyncio, os, subprocess, tempfile, threading, sys
async def main():
    await asyncio.sleep(0)
    return 'async'
print(asyncio.run(main()))
threading.Thread(target=lambda: print('thread')).start()
open('made', 'w').write('x'); os.makedirs('a/b'); os.rename('made', 'a/b/c'); print(os.listdir('a/b'))
print(subprocess.run('echo shell | cat', shell=True, capture_output=True, text=True).stdout, end='')
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); child.terminate(); print(child.wait())
print(len(os.urandom(4)), open('/dev/null').read() == '')
sys.stderr.write('aside')
raise SystemExit(3)
"""
    ended = world.run(code)
    assert ended.stdout.decode().split("\n") == ["async", "thread", "['c']", "shell", "-15", "4 True", ""]
    assert (ended.status, ended.stderr, ended.stopped) == (3, b"aside", "")


@pytest.mark.parametrize(
    ("code", "stopped"),
    [
        ("while True: pass", "time"),
        ("import time; time.sleep(60)", "time"),
        ("held = []\nwhile True: held.append(bytearray(1 << 20))", "memory"),
        ("while True: print('x' * 1000)", "output"),
    ],
)
def test_a_limit_ends_it(world: World, code: str, stopped: str) -> None:
    ended = world.run(code, timeout_s=1.5, memory_bytes=200 << 20, output_bytes=1 << 20)
    assert (ended.stopped, ended.status) == (stopped, -9)
    assert len(ended.stdout) <= 1 << 20


def test_what_it_started_ends_with_it(world: World) -> None:
    """A program that leaves its session and its parents behind is found all the same."""
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open('pid', 'w').write(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
while not os.path.exists('pid') or not open('pid').read(): time.sleep(0.01)
"""
    assert world.run(code).status == 0
    assert not Path(f"/proc/{(world.place / 'pid').read_text()}").exists()


def test_a_token_ends_it(world: World) -> None:
    token = CancelToken()
    threading.Timer(0.5, token.set).start()
    began = time.monotonic()
    ended = world.run("import time; time.sleep(60)", cancel=token, timeout_s=50)
    assert (ended.stopped, time.monotonic() - began < 10) == ("asked", True)


def test_without_a_barrier_nothing_runs(tmp_path: Path) -> None:
    """An old Landlock, as it is asked for: it is refused by the system, and the program is not run without."""
    found = run_confined(
        [PYTHON, "-c", "open('ran', 'w')"], environment={}, cwd=tmp_path,
        confinement=Confinement((Path("/"),), (tmp_path,), abi=1),
    )  # fmt: skip
    assert found == NoBarrier("Landlock 1 is too old")
    assert not (tmp_path / "ran").exists()
    gone = run_confined(
        ["/no/such/python"], environment={}, cwd=tmp_path, confinement=Confinement((), (tmp_path,))
    )  # fmt: skip
    assert isinstance(gone, NoBarrier)
    assert "No such file" in gone.why
