"""Values that a program gives back: each in the plainest format that gives it back exactly, then the manifest.

It goes into the image as it is and runs there, on any Python from 3.8, with the standard library and with what the
program's own packages are. The formats: JSON text, ``.npy`` for arrays, Arrow's file format for what pandas and Arrow
hold in columns, safetensors for tensors of torch, PNG for figures, else pickle protocol 5 with its buffers behind it.
The manifest comes last, by rename: without it there are no values. Here the same module reads what it wrote, once the
caller has checked sizes and digests.
"""

from __future__ import annotations

import collections
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
EXTENSIONS = {
    "json": "json", "npy": "npy", "arrow": "arrow", "safetensors": "safetensors", "png": "png", "pickle": "pickle",
}  # fmt: skip
_MAGIC = b"buildr pickle 5\n"
_ALIGNED = 64
_ARROW_KEY = b"buildr"
_TENSORS_KEY = "buildr"
_BLOCK = 1 << 20
_SAFE_ARROW = 15  # CVE-2023-47248: before 14.0.1 a file's extension type could be a pickle
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

    def take_file(self):
        """Count and hash what another writer has put into the same file."""
        with open(self.stream.name, "rb") as written:
            for block in iter(lambda: written.read(_BLOCK), b""):
                self.sha256.update(block)
                self.size += len(block)

    def flush(self):
        self.stream.flush()

    def tell(self):
        return self.size

    closed = False

    def close(self):
        """Stay open: Arrow's writer closes what it wrote to."""


def _packages(entries):
    """Return distribution to version of the packages that the values' classes are from."""
    found = {}
    tops = {entry["type"].partition(".")[0] for entry in entries if "." in entry["type"]}
    tops |= {"torch" for entry in entries if entry["format"] == "safetensors"}
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
    table = _as_arrow(value)
    if table is not None:
        return "arrow", lambda _, sink: _save_arrow(table, sink)
    tensors = _as_tensors(value)
    if tensors is not None:
        return "safetensors", lambda _, sink: _save_tensors(tensors, sink)
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


# -- Arrow: whether it gives a value back exactly is tried, for no list of dtypes says it


def _as_arrow(value):
    """Return the Arrow table that gives a value of pandas or Arrow back exactly, None where there is none."""
    arrow, pandas = _arrow(), sys.modules.get("pandas")
    if arrow is None:
        return None
    if type(value) is arrow.Table:
        return _marked(value, "table")
    if pandas is None:
        return None
    try:
        if type(value) is pandas.DataFrame:
            table = _marked(arrow.Table.from_pandas(value), "frame")
        elif type(value) is pandas.Series and type(value.name) in (type(None), str, int):
            table = _marked(arrow.Table.from_pandas(value.to_frame("values")), "series", value.name)
        elif isinstance(value, pandas.Index) and type(value).__module__.partition(".")[0] == "pandas":
            frame = pandas.DataFrame({"": False}, index=value)  # of a range without columns its length is lost
            table = _marked(arrow.Table.from_pandas(frame), "index")
        else:
            return None
        tried = table if table.num_rows else _reread(table)
        return table if _same(pandas, _from_arrow(tried), value) else None
    except Exception:  # noqa: BLE001 - a dtype that Arrow does not have, an attribute that JSON does not have: pickle it is
        return None


def _arrow():
    if "pandas" not in sys.modules and "pyarrow" not in sys.modules:
        return None
    try:
        import pyarrow as pa
    except ImportError:
        return None
    return pa


def _marked(table, kind, name=None):
    """Return the table with a note of what it is; the metadata that it had stays."""
    note = json.dumps({"kind": kind, "name": name}).encode("ascii")
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _ARROW_KEY: note})


def _save_arrow(table, sink):
    with _arrow().PythonFile(sink, mode="w") as stream:
        _write_table(table, stream)


def _write_table(table, stream):
    """Write a table: one without rows as a batch of none, for without a batch the file has no categories."""
    arrow = _arrow()
    with arrow.ipc.new_file(stream, table.schema) as writer:
        if table.num_rows:
            writer.write_table(table)
        else:
            parts = [one.chunk(0) if one.num_chunks else one.combine_chunks() for one in table.columns]
            writer.write_batch(arrow.RecordBatch.from_arrays(parts, schema=table.schema))


def _reread(table):
    """Return the table as its file gives it back."""
    arrow = _arrow()
    stream = arrow.BufferOutputStream()
    _write_table(table, stream)
    with arrow.ipc.open_file(stream.getvalue()) as reader:
        return reader.read_all()


def _from_arrow(table):
    metadata = dict(table.schema.metadata)
    note = json.loads(metadata.pop(_ARROW_KEY))
    if note["kind"] == "table":
        return table.replace_schema_metadata(metadata or None)
    frame = table.to_pandas().copy()  # a block that is the file's own memory could not be written to
    if note["kind"] == "frame":
        return frame
    return frame.index if note["kind"] == "index" else frame["values"].rename(note["name"])


def _same(pandas, one, other):
    """Tell whether two values of pandas are the same in class, values, dtypes, index, names, attributes and flags."""
    if type(one) is not type(other):
        return False
    if isinstance(one, pandas.Index):
        return one.identical(other) and _same_elements(one, other) and _same_categories(one, other)
    if not one.equals(other) or one.attrs != other.attrs or one.flags != other.flags:
        return False
    if not _same(pandas, one.index, other.index):
        return False
    if isinstance(one, pandas.Series):
        return one.name == other.name and one.dtype == other.dtype and _same_elements(one, other)
    if not _same(pandas, one.columns, other.columns):
        return False
    columns = range(len(one.columns))
    return all(_same_elements(one.iloc[:, place], other.iloc[:, place]) for place in columns)


def _same_elements(one, other):
    """Tell whether values that are objects, which compare equal, are of the same classes too; and zeros of one sign."""
    if one.dtype != other.dtype:
        return False
    if one.dtype == object:
        return list(map(type, one)) == list(map(type, other))
    return one.dtype.kind not in "fc" or _signs(one) == _signs(other)


def _signs(values):
    numpy = sys.modules["numpy"]
    plain = numpy.asarray(values)
    return numpy.signbit(plain.real).tobytes() + numpy.signbit(plain.imag).tobytes()


def _same_categories(one, other):
    if one.nlevels > 1:
        return all(map(_same_level, one.levels, other.levels))
    return _same_level(one, other)


def _same_level(one, other):
    return one.dtype == other.dtype and getattr(one, "freq", None) == getattr(other, "freq", None)


# -- tensors of torch: the file has their dtypes, shapes and bytes, and a note of what they were in


def _as_tensors(value):
    """Return the tensors by name and a note, where safetensors gives a value back exactly; None where it does not.

    It is one tensor, a dict of them, or what ``state_dict`` of a module gives. The package has to be there.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    try:
        note: dict[str, Any] = {"kind": type(value).__name__}
        if type(value) is torch.Tensor:
            named = {"tensor": value}
        elif type(value) is dict or type(value) is collections.OrderedDict:
            named = dict(value)
            if type(value) is not dict and not _note_attributes(vars(value), note):
                return None
        else:
            return None
        note["names"] = list(named)
        if not named or not all(type(name) is str for name in named) or "__metadata__" in named:
            return None
        if not _are_plain_tensors(torch, list(named.values())):
            return None
        return named, {_TENSORS_KEY: json.dumps(note)}
    except Exception:  # noqa: BLE001 - no such package, or an older torch: pickle it is
        return None


def _note_attributes(attributes, note):
    """Note the versions that ``state_dict`` puts beside its tensors; tell whether that is all that is there."""
    if not attributes:
        return True
    versions = attributes.get("_metadata")
    if set(attributes) != {"_metadata"} or type(versions) is not collections.OrderedDict or vars(versions):
        return False
    note["versions"] = dict(versions)
    return _is_json(note["versions"])


def _are_plain_tensors(torch, tensors):
    """Tell whether dtype, shape and bytes are all that there is of the tensors, and none has memory of another."""
    from safetensors.torch import load, save

    places = set()
    for one in tensors:
        if type(one) is not torch.Tensor or one.layout is not torch.strided or one.device.type != "cpu":
            return False
        if one.requires_grad or vars(one) or one.is_conj() or one.is_neg() or not one.is_contiguous():
            return False
        place = one.untyped_storage().data_ptr()
        if one.numel() and place in places:
            return False
        places.add(place)
    dtypes = {one.dtype for one in tensors}
    return all(load(save({"x": torch.zeros(1, dtype=dtype)}))["x"].dtype == dtype for dtype in dtypes)


def _save_tensors(tensors, sink):
    from safetensors.torch import save_file

    named, metadata = tensors
    save_file(named, sink.stream.name, metadata)
    sink.take_file()


def _read_tensors(path):
    from safetensors.torch import load

    with open(path, "rb") as stream:
        data = stream.read()
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    note = json.loads(head["__metadata__"][_TENSORS_KEY])
    found = load(data)
    if note["kind"] == "Tensor":
        return found["tensor"]
    named = {name: found[name] for name in note["names"]}
    if note["kind"] == "dict":
        return named
    ordered = collections.OrderedDict(named)
    if "versions" in note:
        vars(ordered)["_metadata"] = collections.OrderedDict(note["versions"])
    return ordered


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
    if form == "arrow":
        import pyarrow as pa

        if int(pa.__version__.partition(".")[0]) < _SAFE_ARROW:
            raise ValueError("pyarrow {} runs code of the file; {} does not".format(pa.__version__, _SAFE_ARROW))
        with open(path, "rb") as stream, pa.ipc.open_file(stream) as reader:
            return _from_arrow(reader.read_all())
    if form == "safetensors":
        return _read_tensors(path)
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
