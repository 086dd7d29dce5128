"""Bytecode for a layer: compiled here, where this interpreter is of the image's Python, with the names of the image.

Measured with pandas as a user who may not write to the packages: its import takes 0.5 s with bytecode and 3.0 s
without, at every start. Tests of packages are left out: nothing imports them at a start.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from buildr_jupyter.errors import BuildError
from buildr_jupyter.oci.layer import Entry

__all__ = ["compile_entries", "key"]

_TESTS = re.compile(r"(^|/)(tests?|testing/tests|idle_test)/")
_WORKERS = 2


def key(python: str) -> str:
    """Return what stands for the bytecode of Python ``python`` as made here: empty where none can be made."""
    if python != f"{sys.version_info.major}.{sys.version_info.minor}" or sys.implementation.name != "cpython":
        return ""
    return f"pyc-2 {sys.version_info[:3]} {importlib.util.MAGIC_NUMBER.hex()}"


def compile_entries(files: Iterable[tuple[str, Path]], scratch: Path) -> list[Entry]:
    """Return the pyc of each (path in the image, source), written below ``scratch``; the same bytes each time.

    What does not compile (a package's templates and traps) has none. Raises BuildError where the compiler fails,
    OSError for a full disk.
    """
    tag = sys.implementation.cache_tag
    jobs = []
    for number, (path, source) in enumerate(sorted(files)):
        if path.endswith(".py") and not _TESTS.search(path):
            folder, _, name = path.rpartition("/")
            jobs.append((str(source), path, f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc", scratch / f"{number}.pyc"))
    parts = [jobs[start::_WORKERS] for start in range(_WORKERS)] if len(jobs) > 20 else [jobs]
    children: list[subprocess.Popen[bytes]] = []
    try:
        children += map(_start, filter(None, parts))
        for child in children:
            _, said = child.communicate()
            if child.returncode:
                text = said.decode("utf-8", "replace")[-500:].strip()
                if os.strerror(errno.ENOSPC) in text:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise BuildError(f"Image build failed: compiling: {text}")
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
                child.communicate()
    return [Entry.of_file(inside, target, mode=0o644) for _, _, inside, target in jobs if target.exists()]


def _start(part: list[tuple[str, str, str, Path]]) -> subprocess.Popen[bytes]:
    """Start the compiler on (source, path in the image, path of its pyc there, pyc here)."""
    child = subprocess.Popen(
        [sys.executable, "-S", "-s", str(Path(__file__).with_name("_compile_worker.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin:  # it ended: what it said is raised where it is waited for
        child.stdin.write(json.dumps([[s, f"/{path}", str(target)] for s, path, _, target in part]).encode())
    child.stdin = None
    return child
