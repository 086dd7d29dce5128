"""Values that were computed: carried as a literal, as a parameter or as a snapshot, or refused."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import pickle
import tempfile
import threading
import types
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from buildr_jupyter.config.suggestions import nearest
from buildr_jupyter.errors import ValueRefused
from buildr_jupyter.model.plan import FileEntry, ImportUse
from buildr_jupyter.process.tempfiles import TEMPORARY, fresh

__all__ = ["STATE_PATH", "Snapshot", "as_literal", "take_snapshot", "why_not_carried"]

STATE_PATH = "app/state/snapshot.pickle"
_LITERAL_LIMIT = 200
_PARALLEL_BYTES = 1 << 20
_CHOICES = "recompute it in the image (--recompute NAME), give it by --param, or make it in the chosen cell"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Values of now, in one file, so that what they share stays shared."""

    names: tuple[str, ...]
    entry: FileEntry
    classes: tuple[str, ...]
    """Names of the notebook whose definitions the file needs when it is read."""
    imports: tuple[ImportUse, ...]
    """Modules that the file names."""


def as_literal(value: object) -> str | None:
    """Return the source of a small value that its source text gives back exactly, else None."""
    if not _is_plain(value, 0):
        return None
    text = repr(value)
    if len(text) > _LITERAL_LIMIT:
        return None
    try:
        same = ast.literal_eval(text) == value
    except (ValueError, SyntaxError):  # inf, nan
        return None
    return text if same else None


def _is_plain(value: object, depth: int) -> bool:
    if value is None or type(value) in (bool, int, float, complex, str, bytes):
        return True
    return type(value) is tuple and depth < 5 and all(_is_plain(item, depth + 1) for item in value)


class _Writer:
    """Writes to a file, counts and hashes; a large piece is hashed while it is written."""

    def __init__(self, stream: IO[bytes], limit_bytes: int) -> None:
        self.stream = stream
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        size = memoryview(data).nbytes
        self.size_bytes += size
        if self.size_bytes > self.limit_bytes:
            raise _TooLarge
        if size < _PARALLEL_BYTES:
            self.sha256.update(data)
            self.stream.write(data)
        else:  # both leave the interpreter's lock
            hashing = threading.Thread(target=self.sha256.update, args=(data,))
            hashing.start()
            try:
                self.stream.write(data)
            finally:
                hashing.join()
        return size


class _TooLarge(Exception):
    pass


class _Pickler(pickle.Pickler):
    """Notes the classes and functions that the pickle names."""

    def __init__(self, file: _Writer) -> None:
        super().__init__(file, protocol=5)
        self.named: set[tuple[str, str]] = set()

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, types.FunctionType, types.BuiltinFunctionType)):
            module = getattr(obj, "__module__", None)
            if isinstance(module, str):
                self.named.add((module, obj.__qualname__))
        return NotImplemented


def take_snapshot(
    names: Sequence[str], namespace: Mapping[str, object], *, limit_bytes: int, origins: Mapping[str, str]
) -> Snapshot:
    """Return the values that the names have now, pickled to a temporary file as they come.

    ``origins`` tells where each name got its value. Raises ValueRefused, which names the value, its type, where it
    came from and the choices.
    """
    values = {name: namespace[name] for name in names if name in namespace}
    for name in names:
        if name not in values:
            near = nearest(name, [one for one in namespace if not one.startswith("_")])
            raise ValueRefused(
                f"--snapshot {name}: the kernel has no value of that name",
                hint=f"write {near} if you meant that" if near else "run the cell that gives it one first",
            )
    stack = contextlib.ExitStack()
    path = stack.enter_context(fresh(Path(tempfile.gettempdir()), TEMPORARY))

    def open_snapshot() -> IO[bytes]:
        return path.open("rb")

    # The file lives as long as something may open it.
    weakref.finalize(open_snapshot, stack.close)
    with path.open("wb") as file:
        writer = _Writer(file, limit_bytes)
        pickler = _Pickler(writer)
        try:
            pickler.dump(values)
        except _TooLarge:
            raise ValueRefused(
                f"the snapshot of {', '.join(names)} is larger than {limit_bytes:,} bytes",
                hint="raise the limit with --snapshot-limit SIZE, or recompute it in the image (--recompute NAME)",
            ) from None
        except Exception as error:
            raise _refusal(values, origins, error) from error
    why = f"snapshot of {', '.join(names)}"
    entry = FileEntry(STATE_PATH, 0o644, writer.size_bytes, writer.sha256.hexdigest(), open_snapshot, why)
    classes = sorted({name.partition(".")[0] for module, name in pickler.named if module == "__main__"})
    modules = sorted({module for module, _ in pickler.named if module not in ("__main__", "builtins")})
    modules.extend(_modules_of(values.values(), modules))
    return Snapshot(tuple(values), entry, tuple(classes), tuple(ImportUse(m, (), why) for m in sorted(set(modules))))


def _modules_of(values: Iterable[object], known: Sequence[str]) -> list[str]:
    found = {type(value).__module__ for value in values}
    return [module for module in found if module not in ("builtins", "__main__") and module not in known]


def _refusal(values: Mapping[str, object], origins: Mapping[str, str], error: Exception) -> ValueRefused:
    for name, value in values.items():
        try:
            pickle.dump(value, _Sink(), protocol=5)
        except Exception as reason:  # noqa: BLE001 - a value's own code may raise anything
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            where = origins.get(name)
            return ValueRefused(
                f"{name} ({kind}{', from ' + where if where else ''}) cannot be carried as a snapshot: {reason}",
                hint=_CHOICES.replace("NAME", name),
            )
    return ValueRefused(f"the snapshot of {', '.join(values)} failed: {error}", hint=_CHOICES)


def why_not_carried(value: object) -> str | None:
    """Return why a value cannot be pickled, None where it can; its own code runs."""
    try:
        pickle.dump(value, _Sink(), protocol=5)
    except Exception as reason:  # noqa: BLE001 - a value's own code may raise anything
        return str(reason) or type(reason).__name__
    return None


class _Sink:
    def write(self, data: bytes) -> int:
        return len(data)
