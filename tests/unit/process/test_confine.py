"""The program that confines: its filter of system calls, read as the system reads it, on both machines."""

from __future__ import annotations

import struct

import pytest

from buildr_jupyter.process import confine

ALLOWED = 0x7FFF0000
OWN = 4321


def answer(machine: str, number: int, *arguments: int, abi: int = 7, architecture: int | None = None) -> int:
    """Return what the filter answers to a call: run as classic BPF is, on ``struct seccomp_data``."""
    _, own = confine._MACHINES[machine]
    data = struct.pack("=iIQ6Q", number, architecture or own, 0, *[*arguments, *[0] * 6][:6])
    steps = list(struct.iter_unpack("=HBBI", confine.filter_program(machine, abi, OWN)))
    value = at = 0
    while True:
        code, yes, no, k = steps[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("=I", data, k)[0]
        elif code == 0x15:
            at += yes if value == k else no
        elif code == 0x35:
            at += yes if value >= k else no
        elif code == 0x54:
            value &= k
        else:
            assert code == 0x06
            return int(k)


def error(number: int) -> int:
    return 0x00050000 | number


@pytest.mark.parametrize(
    ("machine", "call", "arguments", "wanted"),
    [
        ("x86_64", 41, (2, 1), error(13)),  # socket(AF_INET)
        ("aarch64", 198, (2, 1), error(13)),
        ("x86_64", 42, (3,), error(13)),  # connect
        ("x86_64", 53, (1, 1 | 0o2000000), ALLOWED),  # socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        ("aarch64", 199, (1, 1), ALLOWED),
        ("x86_64", 53, (1, 2), error(13)),  # a datagram pair could be sent elsewhere
        ("x86_64", 425, (), error(38)),  # io_uring_setup makes sockets without a call of its own
        ("x86_64", 101, (), error(1)),  # ptrace
        ("aarch64", 117, (), error(1)),
        ("x86_64", 90, (), error(0)),  # chmod does nothing, and says that it did
        ("aarch64", 53, (), error(0)),
        ("x86_64", 302, (0, 7), ALLOWED),  # prlimit64 of itself
        ("x86_64", 302, (OWN, 7), ALLOWED),
        ("x86_64", 302, (OWN + 1, 7), error(1)),
        ("aarch64", 261, (OWN + 1, 7), error(1)),
        ("x86_64", 16, (3, 0x40086602), error(0)),  # chattr
        ("x86_64", 16, (3, 0x5401), ALLOWED),  # isatty
        ("x86_64", 62, (1, 9), ALLOWED),  # kill: Landlock holds it from ABI 6 on
        ("x86_64", 0, (3,), ALLOWED),  # read
        ("x86_64", 257, (3,), ALLOWED),  # openat: Landlock's
        ("x86_64", 0x40000000 | 41, (2, 1), error(38)),  # the x32 name of socket
    ],
)
def test_the_filter_of_calls(machine: str, call: int, arguments: tuple[int, ...], wanted: int) -> None:
    assert answer(machine, call, *arguments) == wanted


def test_signals_stay_inside_where_landlock_does_not_keep_them() -> None:
    assert answer("x86_64", 62, OWN, 9, abi=5) == ALLOWED
    assert answer("x86_64", 62, 0, 9, abi=5) == ALLOWED
    assert answer("x86_64", 62, 1, 9, abi=5) == error(1)
    assert answer("aarch64", 129, 2**32 - 1, 9, abi=5) == error(1)  # kill(-1)


def test_the_calls_of_another_architecture_kill() -> None:
    assert answer("x86_64", 11, architecture=0x40000003) == 0x80000000


def test_each_call_has_one_answer() -> None:
    for column in (0, 1):
        numbers = [n[column] for calls in confine._REFUSED.values() for n in calls.values() if n[column] >= 0]
        numbers += [n[column] for n in (*confine._OWN_ONLY.values(), *confine._SIGNALS.values())]
        assert len(numbers) == len(set(numbers))


def test_it_says_why_there_is_no_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confine, "abi", lambda: 2)
    assert confine.missing() == "this system has Landlock 2, and 3 is needed (Linux 6.2)"
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert confine.missing() == "the system calls of riscv64 are not known"
