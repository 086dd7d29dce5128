"""A step that runs as root in the throw-away root cannot reach the machine; a plain chroot is the control."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.builder.kaniko import confinement
from buildr_jupyter.builder.kaniko.executor import Executor, Root
from buildr_jupyter.events.cancel import CancelToken
from tests.fakes.escape import compiled

BUSYBOX = shutil.which("busybox") or ""
_needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not BUSYBOX or not shutil.which("gcc"),
    reason="needs root on Linux, busybox-static and gcc",
)
pytestmark = _needs_root


@pytest.fixture(scope="session")
def escape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The way out of a chroot that root has, as a static program."""
    return compiled(tmp_path_factory.mktemp("escape"))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "canary"
    path.write_text("untouched")
    return path


@pytest.fixture
def room(tmp_path: Path, escape: Path) -> Iterator[tuple[Executor, Path]]:
    """A root whose executor is a shell, with the escape in it."""
    script = tmp_path / "executor"
    script.write_text('#!/bin/busybox sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\neval "$1"\n')
    script.chmod(0o755)
    made = Root(script, files={}, context=(bytes(10240),), cancel=CancelToken())
    with made.opened() as opened:
        (made._root / "bin").mkdir()
        shutil.copy2(BUSYBOX, made._root / "bin" / "busybox")
        shutil.copy2(escape, made._root / "bin" / "escape")
        yield opened, made._root


def run(room: Executor, script: str) -> tuple[int, str]:
    said = b""
    stream = room.run([script], {}, CancelToken())
    while True:
        try:
            said += next(stream).data + b"\n"
        except StopIteration as end:
            return int(end.value), said.decode()


def test_the_control_a_chroot_is_no_border(room: tuple[Executor, Path], canary: Path) -> None:
    _, root = room
    done = subprocess.run(
        ["chroot", str(root), "/bin/escape", str(canary)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), canary.read_text()) == ("escaped", "escaped")


def test_the_same_program_in_the_root(room: tuple[Executor, Path], canary: Path) -> None:
    status, said = run(room[0], f"escape {canary}; echo status $?; id -u; ls /")
    assert status == 0
    assert "not there" in said
    assert "\n0\n" in said, "it runs as root"
    assert canary.read_text() == "untouched"


@pytest.mark.parametrize(
    ("step", "proof"),
    [
        ("mount -t tmpfs none /tmp && echo OUT", "mount"),
        ("mount -o remount,rw /proc/sys && echo OUT", "mount"),
        ("umount /proc/sys && echo OUT", "umount"),
        ("echo x > /proc/sys/kernel/hostname && echo OUT", "Read-only"),
        ("echo '|/tmp/evil' > /proc/sys/kernel/core_pattern && echo OUT", "Read-only"),
        ("[ ! -e /proc/sysrq-trigger ] || { echo h > /proc/sysrq-trigger && echo OUT; }", ""),
        ("mknod /disk b 8 0 && echo OUT", "mknod"),
        ("mknod /dev/mem2 c 1 1 && echo OUT", "mknod"),
        ("ls /proc/1/root/{canary} && echo OUT", "No such file"),
        ("cat /proc/*/root{canary} && echo OUT", "No such file"),
        ("ls /proc/self/cwd/../../..{canary} && echo OUT", "No such file"),
        ("kill -0 {pid} && echo OUT", "No such process"),
        ("nsenter -t 1 -m ls {canary} && echo OUT", ""),
        ("pivot_root / /tmp && echo OUT", ""),
        ("insmod /tmp/x && echo OUT", ""),
        ("hostname evil && echo OUT", ""),
        ("date -s @$(date +%s)", "not permitted"),
        ("hwclock -w && echo OUT", ""),
        ("chroot /proc/1/root ls {canary} && echo OUT", "No such file"),
        ("head -c1 /proc/kcore | grep . && echo OUT", ""),
        ("cat < /dev/tty && echo OUT", "tty"),
        ("unshare -U -r -m sh -c 'umount /proc/sys || mount -o remount,rw,bind /proc/sys' && echo OUT", ""),
        ("echo changed > /etc/hosts && echo OUT", "Read-only"),
    ],
)  # fmt: skip
def test_other_ways_out(room: tuple[Executor, Path], canary: Path, step: str, proof: str) -> None:
    before = Path("/etc/hosts").read_bytes()
    status, said = run(
        room[0], step.replace("{canary}", str(canary)).replace("{pid}", str(os.getpid())) + "; echo ended"
    )
    assert status == 0
    assert "OUT" not in said.split()
    assert "ended" in said
    assert proof in said
    assert (canary.read_text(), Path("/etc/hosts").read_bytes()) == ("untouched", before)


def test_what_steps_need_works(room: tuple[Executor, Path]) -> None:
    step = (
        "echo a > /f && chown 1000:1000 /f && chmod 4755 /f && su -s /bin/sh -c 'id -u; echo b > /tmp/g' nobody; stat -c %u /f; "
        "echo x > /dev/null; head -c2 /dev/urandom | wc -c; echo $$; [ -d /proc/self ] && echo proc; echo s > /dev/shm/s && echo shm; "
        "chroot / true && echo chroot; cat /etc/resolv.conf > /dev/null && echo names; grep -E 'CapBnd|NoNewPrivs' /proc/self/status"
    )
    (room[1] / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n")
    (room[1] / "tmp").chmod(0o1777)
    status, said = run(room[0], step)
    assert status == 0, said
    words = said.split()
    assert [one in words for one in ("65534", "1000", "2", "proc", "shm", "chroot", "names")] == [True] * 7, said
    kept = sum(1 << number for number in confinement._KEPT.values())
    assert f"{kept:016x}" in said
    assert words[words.index("NoNewPrivs:") + 1] == "1"


def test_nothing_is_left(room: tuple[Executor, Path]) -> None:
    run(room[0], "true")
    assert str(room[1]) not in Path("/proc/mounts").read_text()


def test_where_it_cannot_be_made(tmp_path: Path) -> None:
    """Without the right to mount it says so, and starts nothing."""
    (tmp_path / "proc").mkdir()
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-I", "-S", confinement.__file__, str(tmp_path), "/bin/touch", str(tmp_path / "ran")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, (tmp_path / "ran").exists()) == (confinement.STATUS, False)
    assert "a root of its own cannot be made here: mount /" in done.stderr
