"""The process under test: commands of ``buildr``, one JSON list of words a line, in one process as in a kernel.

Its clock (``time.time``) is ahead by the seconds that the file $BUILDR_FAULTS_CLOCK holds. After each it prints one
line: ``{"status", "threads", "descriptors", "record"}``. What a person would see goes to standard error as it comes.
With the argument ``lowered`` the modes of files bind it though it is root.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import json
import os
import re
import signal
import sys
import threading
import time

_real = time.time


def _ahead() -> float:
    with open(os.environ["BUILDR_FAULTS_CLOCK"]) as file:
        return _real() + float(file.read() or 0)


time.time = _ahead  # before the package takes it for its clocks
from buildr_jupyter import cli  # noqa: E402


def run(words: list[str]) -> dict[str, object]:
    out = io.StringIO()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with contextlib.redirect_stdout(out):
            status = cli.main(words)
    except KeyboardInterrupt:
        status = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = out.getvalue().splitlines()
    record = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None
    until = time.monotonic() + 5  # what is just about to end may do so
    while time.monotonic() < until and threading.active_count() > 1:
        time.sleep(0.02)
    gc.collect()
    return {
        "status": status,
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "descriptors": _descriptors(),
        "record": record,
    }


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(re.sub(r":?\[.*|[\w-]+$", "", os.readlink(f"/proc/self/fd/{name}")))
    return sorted(found)


def _lower() -> None:
    """Take the rights to pass over the modes of files out of the effective set (capset(2)): exec gives them back.

    So a child, as buildah, mounts what root mounts: overlay's own work folder has mode 0.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then the upper halves
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~(1 << 1 | 1 << 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    if sys.argv[1:] == ["lowered"]:
        _lower()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
