"""Bytecode for a layer: compiled here, where this interpreter is of the image's Python, with the names of the image.

Measured with pandas as a user who may not write to the packages: its import takes 0.5 s with bytecode and 3.0 s
without, at every start. Tests of packages are left out: nothing imports them at a start.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

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
    for path, source in sorted(files):
        if path.endswith(".py") and not _TESTS.search(path):
            folder, _, name = path.rpartition("/")
            jobs.append((str(source), path, f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc"))
    parts = [jobs[start::_WORKERS] for start in range(_WORKERS)] if len(jobs) > 20 else [jobs]
    parts = list(filter(None, parts))
    children: list[subprocess.Popen[bytes]] = []
    entries: list[Entry] = []
    try:
        children += [_start(part, scratch / f"{number}.pycs") for number, part in enumerate(parts)]
        for number, (part, child) in enumerate(zip(parts, children, strict=True)):
            sizes, said = child.communicate()
            if child.returncode:
                text = said.decode("utf-8", "replace")[-500:].strip()
                if os.strerror(errno.ENOSPC) in text:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                raise BuildError(f"Image build failed: compiling: {text}")
            entries += _entries(scratch / f"{number}.pycs", [inside for _, _, inside in part], json.loads(sizes))
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
                child.communicate()
    return entries


def _entries(written: Path, names: Sequence[str], sizes: Sequence[int | None]) -> Iterator[Entry]:
    """Yield the pycs in a file, which has one after another."""
    start = 0
    for name, size in zip(names, sizes, strict=True):
        if size is not None:
            yield Entry(name, "file", 0o644, size, partial(_part, written, start, size))
            start += size


def _part(path: Path, start: int, size: int) -> IO[bytes]:
    with path.open("rb", buffering=0) as stream:
        stream.seek(start)
        return io.BytesIO(stream.read(size))


def _start(part: Sequence[tuple[str, str, str]], target: Path) -> subprocess.Popen[bytes]:
    """Start the compiler on (source, path in the image, path of its pyc there), to write the pycs to ``target``."""
    child = subprocess.Popen(
        [sys.executable, "-S", "-s", str(Path(__file__).with_name("_compile_worker.py")), str(target)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
    )  # fmt: skip
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin:  # it ended: what it said is raised where it is waited for
        child.stdin.write(json.dumps([[source, f"/{path}"] for source, path, _ in part]).encode())
    child.stdin = None
    return child
