"""Values that a program gives back: each in the plainest format that gives it back exactly, then the manifest.

It goes into the image as it is and runs there, on any Python from 3.8, with the standard library and with what the
program's own packages are. The formats: JSON text, ``.npy`` for arrays, PNG for figures, else pickle protocol 5 with
its buffers behind it. The manifest comes last, by rename: without it there are no values. Here the same module reads
what it wrote, once the caller has checked sizes and digests.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import pickle
import sys
from typing import Any

FOLDER = ".buildr/returns"
"""Below the output folder."""
MANIFEST = "manifest.json"
EXTENSIONS = {"json": "json", "npy": "npy", "png": "png", "pickle": "pickle"}
_MAGIC = b"buildr pickle 5\n"
_ALIGNED = 64
_DEEP = 50


class NotCarried(Exception):
    """A value cannot be given back; the text says why."""


def write(scope: Any, names: Any, output: str, last: str = "_buildr_value") -> None:
    """Write the values that ``names`` have in ``scope`` below the folder ``output``; ``_`` is what ``last`` has there.

    Raises NotCarried, which names the value, where it is missing or has no format, OSError where the disk refuses.
    """
    place = os.path.join(output, *FOLDER.split("/"))
    os.makedirs(place, exist_ok=True)
    manifest = os.path.join(place, MANIFEST)
    if os.path.exists(manifest):
        os.unlink(manifest)
    entries = []
    for name in names:
        key = last if name == "_" else name
        if key not in scope:
            raise NotCarried("{}: the program has no such name at its end".format(name))
        entries.append(write_value(name, scope[key], place))
    document = {
        "schema": 1,
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "packages": _packages(entries),
        "returns": entries,
    }
    with open(manifest + ".part", "w", encoding="utf-8") as stream:
        json.dump(document, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(manifest + ".part", manifest)


def write_value(name: str, value: Any, folder: str) -> Any:
    """Write one value and return its entry of the manifest: name, format, type, size (bytes), sha256."""
    form, save = _format_of(value)
    path = os.path.join(folder, "{}.{}".format(name, EXTENSIONS[form]))
    with open(path, "wb") as stream:
        sink = _Hashed(stream)
        try:
            save(value, sink)
        except OSError:
            raise
        except Exception as error:
            raise NotCarried("{} ({}) cannot be given back: {}".format(name, type_name(value), error)) from error
    return {
        "name": name,
        "format": form,
        "type": type_name(value),
        "size": sink.size,
        "sha256": sink.sha256.hexdigest(),
    }


def type_name(value: Any) -> str:
    """Return the full name of a value's class."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else "{}.{}".format(kind.__module__, kind.__qualname__)


class _Hashed:
    """A file that counts and hashes what is written to it."""

    def __init__(self, stream):
        self.stream, self.size, self.sha256 = stream, 0, hashlib.sha256()

    def write(self, data):
        view = memoryview(data).cast("B")
        self.stream.write(view)
        self.sha256.update(view)
        self.size += view.nbytes
        return view.nbytes

    def flush(self):
        self.stream.flush()


def _packages(entries):
    """Return distribution to version of the packages that the values' classes are from."""
    found = {}
    tops = {entry["type"].partition(".")[0] for entry in entries if "." in entry["type"]}
    for top in sorted(tops - {"__main__"}):
        version = getattr(sys.modules.get(top), "__version__", None)
        if isinstance(version, str):
            found[top] = version
    return found


# -- which format


def _format_of(value):
    if _is_json(value):
        return "json", _save_json
    numpy = sys.modules.get("numpy")
    if numpy is not None and type(value) is numpy.ndarray and _is_plain_array(value):
        return "npy", lambda array, sink: numpy.lib.format.write_array(sink, array, allow_pickle=False)
    figures = sys.modules.get("matplotlib.figure")
    if figures is not None and isinstance(value, figures.Figure):
        return "png", _save_png
    return "pickle", _save_pickle


def _is_json(value):
    """Tell whether JSON gives a value back exactly; what it would make two of, or one of, is not."""
    seen = set()
    todo = [(value, 0)]
    while todo:
        one, depth = todo.pop()
        kind = type(one)
        if kind is int:
            if one.bit_length() > 10000:  # longer than Python reads from a text
                return False
        elif kind is float:
            if not math.isfinite(one):
                return False
        elif kind is str:
            if any("\ud800" <= letter <= "\udfff" for letter in one):
                return False
        elif kind is list or kind is dict:
            if id(one) in seen or depth > _DEEP:
                return False
            seen.add(id(one))
            if kind is dict:
                todo.extend((key, depth + 1) for key in one)
                if not all(type(key) is str for key in one):
                    return False
            todo.extend((inner, depth + 1) for inner in (one.values() if kind is dict else one))
        elif one is not None and kind is not bool:
            return False
    return True


def _save_json(value, sink):
    sink.write(json.dumps(value).encode("ascii"))


def _save_png(figure, sink):
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", bbox_inches="tight")
    sink.write(drawn.getbuffer())


def _is_plain_array(array):
    dtype = array.dtype
    return dtype.names is None and dtype.subdtype is None and dtype.kind in "biufcSUmM" and dtype.metadata is None


def _save_pickle(value, sink):
    """Write the magic line, a line of JSON with the sizes, the pickle, and each buffer at a multiple of 64 bytes."""
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    views = [buffer.raw() for buffer in buffers]
    sizes = [len(stream), *(view.nbytes for view in views)]
    sink.write(_MAGIC + json.dumps(sizes).encode("ascii") + b"\n")
    for part in (stream, *views):
        sink.write(b"\0" * (-sink.size % _ALIGNED))
        sink.write(part)


# -- reading


def read_value(path: str, form: str, namespace: Any = None) -> Any:
    """Return the value of a file that ``write_value`` wrote; a pickle runs code, so that the caller must trust it.

    A class of the program is the one that ``namespace`` has under its name, ``__main__`` where that is None.
    Raises what the format's reader raises.
    """
    if form == "json":
        with open(path, "rb") as stream:
            return json.loads(stream.read())
    if form == "npy":
        import numpy as np

        return np.load(path, allow_pickle=False)
    if form == "png":
        with open(path, "rb") as stream:
            return Picture(stream.read())
    return _read_pickle(path, namespace)


class _Reader(pickle.Unpickler):
    """Takes the notebook's own classes from its namespace."""

    namespace = None

    def find_class(self, module, name):
        if module != "__main__" or self.namespace is None:
            return super().find_class(module, name)
        first, *rest = name.split(".")
        if first not in self.namespace:
            raise AttributeError("the notebook has no {!r} any more".format(first))
        found = self.namespace[first]
        for part in rest:
            found = getattr(found, part)
        return found


def _read_pickle(path, namespace):
    with open(path, "rb") as stream:
        if stream.readline() != _MAGIC:
            raise ValueError("it does not begin as such a file does")
        sizes = json.loads(stream.readline())
        left = os.path.getsize(path)
        if type(sizes) is not list or not all(type(size) is int and 0 <= size <= left for size in sizes):
            raise ValueError("its sizes are none")
        parts = []
        for size in sizes:
            stream.seek(-stream.tell() % _ALIGNED, 1)
            part = bytearray(size)
            if stream.readinto(part) != size:
                raise ValueError("it ends too early")
            parts.append(part)
    reader = _Reader(io.BytesIO(parts[0]), buffers=parts[1:])
    reader.namespace = namespace
    return reader.load()


class Picture(bytes):
    """A figure as the bytes of its PNG; a notebook shows it."""

    def _repr_png_(self):
        return bytes(self)
