"""Runs as a program, in namespaces of its own: makes a folder the root of all that it starts, with no way back.

``chroot`` is no border for root: a step of a build walks out of it. Here the old root is taken away (pivot_root), so
that nothing of it has a name any more; devices of the machine cannot be made or opened; what the kernel lets root
change under /proc is read-only; capabilities are those that unpacking images and running steps needs; no program gets
more (no_new_privs); the terminal is given up. Network, and the abstract sockets that belong to it, stay the machine's:
images are pulled and pushed.

It is called as ``_confined.py ROOT PROGRAM ARGUMENT…`` below ``unshare --mount --pid --ipc --uts --fork`` and ends with
exit status 125 and one line where it cannot do all of that; then nothing was started. Standard library only: after the
old root is gone no module can be loaded.

Source: pivot_root(2), notes on ``pivot_root(".", ".")``; capabilities(7); the OCI runtime specification's defaults for
masked and read-only paths (containers/common, moby ``oci/defaults.go``).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["STATUS", "confine", "main"]

STATUS = 125
"""Exit status where the root cannot be made."""
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_DETACH = 2
_KEPT = {"chown": 0, "dac_override": 1, "fowner": 3, "fsetid": 4, "kill": 5, "setgid": 6, "setuid": 7,
         "net_bind_service": 10, "sys_chroot": 18, "setfcap": 31}  # fmt: skip
"""Capabilities that stay. Without mknod, sys_admin, sys_ptrace, dac_read_search, sys_module and the like."""
_PDEATHSIG, _CAPBSET_READ, _CAPBSET_DROP, _NO_NEW_PRIVS, _CAP_AMBIENT, _AMBIENT_CLEAR_ALL = 1, 23, 24, 38, 47, 4
_CAP_VERSION = 0x20080522
_TIOCNOTTY = 0x5422
_SIGKILL = 9
_DEVICES = ("null", "zero", "full", "random", "urandom")
_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "asound", "scsi")
_MASKED = (
    "kcore",
    "keys",
    "latency_stats",
    "timer_list",
    "timer_stats",
    "sched_debug",
    "kpagecount",
    "kpageflags",
    "kmsg",
)
_FILES = ("resolv.conf", "hosts")

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount, as mount(2). Raises OSError."""
    texts = [text.encode() if text is not None else None for text in (source, str(target), kind)]
    _must(_libc.mount(*texts, ctypes.c_ulong(flags), data.encode() if data else None), f"mount {target}")


def _bind(source: Path, target: Path, flags: int = 0) -> None:
    mount(str(source), target, None, BIND)
    if flags:
        mount(str(source), target, None, BIND | REMOUNT | flags)


def _must(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def confine(root: Path) -> None:
    """Make ``root`` the root of this process, with what a step expects of a machine below it. Raises OSError."""
    mount("none", Path("/"), None, REC | PRIVATE)
    _bind(root, root, NODEV | NOSUID)
    proc = root / "proc"
    mount("proc", proc, "proc", NOSUID | NODEV | NOEXEC)
    for name in _READ_ONLY:
        if (proc / name).exists():
            _bind(proc / name, proc / name, RDONLY | NOSUID | NODEV | NOEXEC)
    dev = root / "dev"
    mount("tmpfs", dev, "tmpfs", NOSUID | NODEV | NOEXEC, "mode=755,size=1m")
    for name in _DEVICES:
        (dev / name).touch()
        _bind(Path("/dev") / name, dev / name)
    for name in _MASKED:
        if (proc / name).exists():
            _bind(dev / "null", proc / name)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        (dev / name).symlink_to(f"/proc/self/fd{target}")
    (dev / "shm").mkdir()
    mount("tmpfs", dev / "shm", "tmpfs", NOSUID | NODEV, "mode=1777")
    for name in _FILES:
        if (Path("/etc") / name).exists():
            _bind(Path("/etc") / name, root / "etc" / name, RDONLY | NOSUID | NODEV)
    os.chdir(root)
    _must(_libc.pivot_root(b".", b"."), "pivot_root")  # the old root lies over the new one now
    _must(_libc.umount2(b".", _DETACH), "umount the old root")
    os.chdir("/")


def drop_rights() -> None:
    """Give up all capabilities but those that stay, for good. Raises OSError."""
    kept = 0
    for number in range(64):
        if _libc.prctl(_CAPBSET_READ, number, 0, 0, 0) < 0:
            break
        if number in _KEPT.values():
            kept |= 1 << number
        else:
            _must(_libc.prctl(_CAPBSET_DROP, number, 0, 0, 0), "prctl")
    _libc.prctl(_CAP_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)
    _must(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION, 0)
    low, high = kept & 0xFFFFFFFF, kept >> 32
    _must(_libc.capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)), "capset")
    _must(_libc.prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl")


def _give_up_terminal() -> None:
    """A step that has the terminal of the caller could type into it."""
    terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _libc.ioctl(terminal, ctypes.c_ulong(_TIOCNOTTY), 0)
    finally:
        os.close(terminal)


def main(arguments: Sequence[str]) -> int:
    """Start the program in its root; return only where that fails."""
    root, program, *rest = arguments
    try:
        with contextlib.suppress(OSError):
            _give_up_terminal()
        confine(Path(root))
        drop_rights()
        os.closerange(3, 1024)
        os.execv(program, [program, *rest])  # noqa: S606 - what this program is for
    except OSError as error:
        sys.stderr.write(f"error: a root of its own cannot be made here: {error.strerror}\n")
    return STATUS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
