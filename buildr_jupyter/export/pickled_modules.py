"""Pickled modules: what the pickles among a program's files import when they are loaded, read without loading them.

A model that ``joblib.load`` reads is an estimator of scikit-learn, though no line of the notebook says so.
"""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from buildr_jupyter.model.plan import FileEntry, ImportUse

__all__ = ["find_pickled", "modules_of"]

_MAX_OPCODES = 200_000
_MAX_BYTES = 64 << 20
"""Of a packed pickle, so much is unpacked."""
_STRINGS = frozenset(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "SHORT_BINSTRING"))
_PUTS = frozenset(("BINPUT", "LONG_BINPUT", "PUT"))
_GETS = frozenset(("BINGET", "LONG_BINGET", "GET"))


def find_pickled(files: Iterable[FileEntry]) -> list[ImportUse]:
    """Return the modules that the pickles among these files import, each once; what is no pickle has none."""
    found: dict[str, ImportUse] = {}
    for entry in files:
        if entry.path.endswith((".py", ".csv", ".json", ".txt", ".parquet", ".md")):
            continue
        with entry.open() as stream:
            unpacked = _unpacked(stream)
            for module in modules_of(unpacked) if unpacked is not None else ():
                origin = f"a pickle in {entry.path.removeprefix('app/')}"
                found.setdefault(module, ImportUse(module, (), origin, optional=True))
    return list(found.values())


def _unpacked(stream: IO[bytes]) -> IO[bytes] | None:
    """Return the bytes of a pickle, unpacked if joblib or a person packed them; None for anything else."""
    start = stream.read(2)
    rest = start + stream.read(_MAX_BYTES) if start in (b"\x1f\x8b", b"x\x01", b"x^", b"x\x9c", b"x\xda") else b""
    try:
        if start == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(rest)) as packed:
                rest = packed.read(_MAX_BYTES)
        elif rest:
            rest = zlib.decompressobj().decompress(rest, _MAX_BYTES)
    except (OSError, EOFError, zlib.error):
        return None
    first = rest[:2] if rest else start
    if len(first) < 2 or first[0] != 0x80 or not 2 <= first[1] <= pickle.HIGHEST_PROTOCOL:
        return None
    if rest:
        return io.BytesIO(rest)
    stream.seek(0)
    return stream


def modules_of(stream: IO[bytes]) -> list[str]:
    """Return the modules that a pickle names, in their order; of a damaged one, or one in parts, what is readable."""
    return list(dict.fromkeys(module for module in _named(stream) if all(map(str.isidentifier, module.split(".")))))


def _named(stream: IO[bytes]) -> Iterator[str]:
    texts: list[str] = []
    memo: dict[int, str] = {}
    count, fresh = 0, False
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            name = opcode.name
            if number > _MAX_OPCODES:
                return
            if name in _STRINGS:
                texts = [*texts[-1:], str(argument)]
            elif name == "GLOBAL":
                yield str(argument).partition(" ")[0]
            elif name == "STACK_GLOBAL" and len(texts) == 2:
                yield texts[0]
            elif name == "MEMOIZE":
                if fresh:
                    memo[count] = texts[-1]
                count += 1
            elif name in _PUTS and fresh:
                memo[int(str(argument))] = texts[-1]
            elif name in _GETS and int(str(argument)) in memo:
                texts = [*texts[-1:], memo[int(str(argument))]]
            fresh = name in _STRINGS
    except (ValueError, IndexError, KeyError, EOFError, OverflowError, UnicodeDecodeError):
        return
