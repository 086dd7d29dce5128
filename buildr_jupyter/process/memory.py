"""Memory of a build that ended, given back to the system.

glibc keeps what is freed in the arenas of its threads, in pieces between what lives on: a kernel that builds a thousand
times would grow by some 10 kB each time, though no object is left.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable

__all__ = ["give_back"]


@functools.cache
def _trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda keep: int(trim(keep))


def give_back() -> bool:
    """Give freed memory back; tell whether there was any, False where the C library has no way to. Takes some ms."""
    trim = _trim()
    return bool(trim and trim(0))
