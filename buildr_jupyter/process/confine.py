"""Program that runs another one behind a barrier that the system holds, and says how it ended.

It is started as a process of its own (``process/barrier.py``), so that nothing of a kernel's state is touched. It reads
one line of JSON from standard input, forks, and the child confines itself: limits, no capabilities, no new privileges,
Landlock for files (and signals, where the system can), seccomp for sockets and for what else reaches other processes.
Then the child becomes the program. This process waits for it, ends it with all that it started when it takes too long,
uses too much or when standard input is closed, and writes a line of JSON and what the program wrote.

Sources: landlock(7), seccomp(2), linux/landlock.h (ABI 7), the system call tables of Linux 6.17.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import select
import signal
import struct
import sys
import time
from typing import Any, TypedDict

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_SECCOMP = 1, 24, 22
_PR_SET_NO_NEW_PRIVS, _PR_SET_CHILD_SUBREAPER = 38, 36
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_OLDEST_ABI = 3
"""Before it, Landlock does not know truncation: a file that may be read could be emptied."""
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_POLL_S = 0.05
_PIECE_BYTES = 1 << 16

_EPERM, _EACCES, _ENOSYS, _PRETEND = 1, 13, 38, 0

# (x86_64, aarch64) of each call; -1 where the machine has no such call.
_REFUSED: dict[int, dict[str, tuple[int, int]]] = {
    _EACCES: {
        "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
        "accept4": (288, 242),
    },
    _ENOSYS: {"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    _EPERM: {
        "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
        "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "migrate_pages": (256, 238),
        "move_pages": (279, 239), "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
        "msgget": (68, 186), "mq_open": (240, 180), "mq_unlink": (241, 181), "add_key": (248, 217),
        "request_key": (249, 218), "keyctl": (250, 219), "unshare": (272, 97), "setns": (308, 268),
        "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
        "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "mount_setattr": (442, 442),
        "perf_event_open": (298, 241), "bpf": (321, 280), "userfaultfd": (323, 282),
        "open_by_handle_at": (304, 265), "ioprio_set": (251, 30), "sched_setattr": (314, 274),
    },
    # Mode, owner, times and attributes: Landlock knows no right for them, and a program that copies a file sets them.
    _PRETEND: {
        "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, -1),
        "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1), "utimes": (235, -1),
        "futimesat": (261, -1), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
        "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
        "setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469),
    },
}  # fmt: skip
_OWN_ONLY = {
    "prlimit64": (302, 261, 0), "setpriority": (141, 140, 1), "sched_setparam": (142, 118, 0),
    "sched_setscheduler": (144, 119, 0), "sched_setaffinity": (203, 122, 0),
}  # fmt: skip
"""(x86_64, aarch64, which argument is the process): only for itself."""
_SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
}  # fmt: skip
"""Where Landlock does not keep signals inside (before ABI 6): only to itself."""
_SOCKETPAIR, _SOCK_STREAM = (53, 199), 1
_IOCTL, _SET_FLAGS = (16, 29), 0x40086602
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine: column in the tables, the audit architecture."""


class NoBarrier(Exception):
    """The system cannot hold a barrier; the text says why."""


class Order(TypedDict):
    """What is run, and what it may do: one line of JSON on standard input."""

    command: list[str]
    environment: dict[str, str]
    cwd: str
    readable: list[str]
    listable: list[str]
    writable: list[str]
    timeout_s: float
    memory_bytes: int
    output_bytes: int
    file_bytes: int
    abi: int | None
    """The newest version of Landlock that is used; None: the system's."""


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """Return the version of Landlock that the system has; 0 where it has none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)))


def missing() -> str | None:
    """Return why no barrier can be held here, None where one can."""
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no Landlock"
    if platform.machine() not in _MACHINES:
        return f"the system calls of {platform.machine()} are not known"
    found = abi()
    if found < _OLDEST_ABI:
        return f"this system has Landlock {found or 'not at all'}, and {_OLDEST_ABI} is needed (Linux 6.2)"
    return None


# -- Landlock


def _restrict_files(order: Order, version: int) -> None:
    """Allow this process, from now on, to reach what the order names, and nothing else."""
    libc = _libc()
    if version < _OLDEST_ABI:
        raise NoBarrier(f"Landlock {version} is too old")
    handled = (1 << {3: 15, 4: 15}.get(version, 16)) - 1
    attributes = struct.pack("QQQ", handled, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    attributes = attributes[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise NoBarrier(f"landlock_create_ruleset: {os.strerror(ctypes.get_errno())}")
    for paths, access in (
        (order["listable"], _READ_DIR),
        ([*order["readable"], f"/proc/{os.getpid()}"], _EXECUTE | _READ_FILE | _READ_DIR),
        (order["writable"], handled),
    ):
        for path in paths:
            try:
                place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # what is not there needs no right
            allowed = access if os.path.isdir(path) else access & _OF_FILES & handled
            rule = struct.pack("=Qi", allowed, place)
            if libc.syscall(_ADD_RULE, ruleset, 1, rule, 0):
                raise NoBarrier(f"landlock_add_rule: {os.strerror(ctypes.get_errno())}")
            os.close(place)
    if libc.syscall(_RESTRICT_SELF, ruleset, 0):
        raise NoBarrier(f"landlock_restrict_self: {os.strerror(ctypes.get_errno())}")
    os.close(ruleset)


# -- seccomp

_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


def filter_program(machine: str, version: int, own: int) -> bytes:
    """Return the seccomp filter (classic BPF) for a process ``own`` on ``machine`` beside this version of Landlock."""
    column, architecture = _MACHINES[machine]
    steps = [(_LOAD, 0, 0, _ARCHITECTURE_AT), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    steps.append((_LOAD, 0, 0, _NUMBER_AT))
    if machine == "x86_64":  # the x32 numbers are other names of the same calls
        steps += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    for error, calls in _REFUSED.items():
        for numbers in calls.values():
            if numbers[column] >= 0:
                steps += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _ERRNO | error)]
    only = [(numbers[column], numbers[2], (0, own)) for numbers in _OWN_ONLY.values()]
    if version < 6:
        only += [(numbers[column], 0, (0, own)) for numbers in _SIGNALS.values()]
    for number, argument, values in only:
        steps += _allowed_values(number, argument, values, _EPERM)
    steps += _allowed_values(_SOCKETPAIR[column], 1, (_SOCK_STREAM,), _EACCES, mask=0xF)
    number = _IOCTL[column]
    steps += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _ARGUMENTS_AT + 8), (_EQUAL, 0, 1, _SET_FLAGS)]
    steps += [(_RETURN, 0, 0, _ERRNO | _PRETEND), (_LOAD, 0, 0, _NUMBER_AT)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _allowed_values(
    number: int, argument: int, values: tuple[int, ...], error: int, *, mask: int | None = None
) -> list[tuple[int, int, int, int]]:
    """Return the steps that refuse a call unless one of its arguments (counted from 0) has one of the values."""
    inner = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)]
    inner += [(_AND, 0, 0, mask)] if mask is not None else []
    inner += [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    inner += [(_RETURN, 0, 0, _ERRNO | error), (_LOAD, 0, 0, _NUMBER_AT)]
    return [(_EQUAL, 0, len(inner), number), *inner]


def _restrict_calls(version: int) -> None:
    program = filter_program(platform.machine(), version, os.getpid())
    kept = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(kept))
    if _libc().prctl(_PR_SET_SECCOMP, 2, header, 0, 0):
        raise NoBarrier(f"seccomp: {os.strerror(ctypes.get_errno())}")


# -- the child


def _drop_capabilities() -> None:
    """Give up every capability, so that the superuser is held, too."""
    libc = _libc()
    for number in range(64):
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    header, none = struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[0] * 6)
    if libc.capset(header, none):
        raise NoBarrier(f"capset: {os.strerror(ctypes.get_errno())}")


def _limit(order: Order) -> None:
    import resource  # not on every system, and this module is imported on all

    memory, file_bytes = int(order["memory_bytes"]), int(order["file_bytes"])
    for what, most in (
        (
            resource.RLIMIT_AS,
            2 * memory,
        ),  # address space, of which a program uses a part; the watch counts what is used
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def _become(order: Order, say: int) -> None:
    """Confine this process and become the program; what goes wrong is written to ``say``."""
    try:
        libc = _libc()
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.umask(0o022)
        os.chdir(order["cwd"])
        _limit(order)
        _drop_capabilities()
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise NoBarrier(f"no_new_privs: {os.strerror(ctypes.get_errno())}")
        version = min(abi(), int(order.get("abi") or 99))
        _restrict_files(order, version)
        _restrict_calls(version)
        os.write(say, b"+")
        os.execve(order["command"][0], order["command"], order["environment"])
    except BaseException as error:  # noqa: BLE001 - told to the process that waits
        os.write(say, str(error).encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _start(order: Order) -> tuple[int, int, int, int]:
    """Fork and return the child's id and the reading ends of what it writes and of what it says on its way."""
    (out, out_end), (errors, errors_end), (said, say) = os.pipe(), os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for place, target in ((nothing, 0), (out_end, 1), (errors_end, 2)):
            os.dup2(place, target)
        os.closerange(3, say)
        os.closerange(say + 1, 256)
        _become(order, say)
    for place in (out_end, errors_end, say):
        os.close(place)
    return child, out, errors, said


# -- the process that watches


def _below(pid: int) -> list[int]:
    """Return the processes below one."""
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        for task in _listed(f"/proc/{at}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{at}/task/{task}/children") as file:
                below = [int(word) for word in file.read().split()]
                found += below
                todo += below
    return found


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _used_bytes(pids: list[int]) -> int:
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{pid}/statm") as file:
            fields = file.read().split()
            pages += int(fields[1]) - int(fields[2])  # what is shared with others is counted once, in a file
    return pages * os.sysconf("SC_PAGE_SIZE")


def _end_all() -> None:
    """Kill and reap everything below this process, also what left its session."""
    while below := _below(os.getpid()):
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, 0)[0]:
                pass


class _Watch:
    """Follows a child to its end."""

    def __init__(self, order: Order, child: int, out: int, errors: int) -> None:
        self.order, self.child = order, child
        self.pipes = {out: bytearray(), errors: bytearray()}
        self.open = {out, errors}
        self.peak, self.stopped = 0, ""
        self.status: int | None = None
        self.began = time.monotonic()

    def follow(self) -> None:
        """Read what it writes until it has ended, or has to be ended."""
        while self.status is None and not self.stopped:
            ready, _, _ = select.select([0, *self.open], [], [], _POLL_S)
            if 0 in ready:
                self.stopped = "asked"
            self._read(ready)
            self._look()
        if self.status is None:
            os.kill(self.child, signal.SIGKILL)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        _end_all()
        while self.open and (ready := select.select(list(self.open), [], [], 0)[0]):
            self._read(ready)

    def _read(self, ready: list[int]) -> None:
        for pipe in self.open & set(ready):
            if data := os.read(pipe, _PIECE_BYTES):
                room = self.order["output_bytes"] - len(self.pipes[pipe])
                self.pipes[pipe] += data[:room]
                if len(data) > room and not self.stopped:
                    self.stopped = "output"
            else:
                self.open.discard(pipe)

    def _look(self) -> None:
        pid, status = os.waitpid(self.child, os.WNOHANG)
        if pid:
            self.status = os.waitstatus_to_exitcode(status)
            return
        used = _used_bytes([self.child, *_below(self.child)])
        self.peak = max(self.peak, used)
        if used > self.order["memory_bytes"]:
            self.stopped = self.stopped or "memory"
        elif time.monotonic() - self.began > self.order["timeout_s"]:
            self.stopped = self.stopped or "time"


def main() -> None:
    """Read the order, run it, and write how it ended."""
    order: Order = json.loads(os.fdopen(0, "rb", buffering=0, closefd=False).readline())
    why = missing()
    if why is None:
        _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        child, out, errors, said = _start(order)
        watch = _Watch(order, child, out, errors)
        word = b""
        while piece := os.read(said, 4096):  # ends where it became the program, or failed on the way
            word += piece
        watch.follow()
        if word == b"+":
            end = {
                "status": watch.status, "stopped": watch.stopped, "peak_bytes": watch.peak,
                "took_s": time.monotonic() - watch.began, "stdout": len(watch.pipes[out]),
            }  # fmt: skip
            head = json.dumps(end).encode() + b"\n"
            sys.stdout.buffer.write(head + bytes(watch.pipes[out]) + bytes(watch.pipes[errors]))
            return
        why = word.decode("utf-8", "replace").lstrip("+") or "the process ended before it was confined"
    sys.stdout.buffer.write(json.dumps({"no_barrier": why}).encode() + b"\n")


if __name__ == "__main__":
    main()
