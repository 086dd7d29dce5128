"""BuildKit's progress records, from either of their two encodings: the engine's protobuf and buildctl's JSON lines.

Both are the same four lists. Source: moby/buildkit ``api/services/control/control.proto`` (StatusResponse, Vertex,
VertexStatus, VertexLog, VertexWarning) and ``client/status.go``; captures ``engine-build-events.json`` (protobuf in
base64, Docker Engine 20.10) and ``buildx-rawjson.jsonl``. Fields that are not known are passed over, so that a newer
BuildKit can be read. No protobuf library is needed.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from dataclasses import dataclass, field

from buildr_jupyter.model.json_object import JsonObject

__all__ = [
    "DecodeError",
    "StatusResponse",
    "Vertex",
    "VertexLog",
    "VertexStatus",
    "VertexWarning",
    "decode_aux",
    "decode_json",
    "decode_status",
    "fields_of",
]


class DecodeError(ValueError):
    """A progress record that is none."""


@dataclass(slots=True)
class Vertex:
    """One step of the build's graph, as it stands now."""

    digest: str = ""
    name: str = ""
    cached: bool = False
    started: float | None = None
    """Seconds since the epoch."""
    completed: float | None = None
    error: str = ""


@dataclass(slots=True)
class VertexStatus:
    """Something within a step that moves on."""

    id: str = ""
    vertex: str = ""
    name: str = ""
    current: int = 0
    total: int = 0
    completed: float | None = None


@dataclass(slots=True)
class VertexLog:
    """Some bytes that a step wrote; they end anywhere, in the middle of a character too."""

    vertex: str = ""
    at: float | None = None
    stream: int = 0
    """1 standard output, 2 standard error, as file descriptors."""
    data: bytes = b""


@dataclass(slots=True)
class VertexWarning:
    """A warning of the frontend, mostly of its linter."""

    vertex: str = ""
    short: str = ""
    url: str = ""


@dataclass(slots=True)
class StatusResponse:
    """One progress record."""

    vertexes: list[Vertex] = field(default_factory=list)
    statuses: list[VertexStatus] = field(default_factory=list)
    logs: list[VertexLog] = field(default_factory=list)
    warnings: list[VertexWarning] = field(default_factory=list)


def decode_aux(aux: object) -> StatusResponse:
    """Return the record of an engine's ``moby.buildkit.trace`` document: base64 of a protobuf StatusResponse.

    Raises DecodeError.
    """
    if not isinstance(aux, str):
        raise DecodeError(f"the trace is no text but {type(aux).__name__}")
    try:
        data = binascii.a2b_base64(aux, strict_mode=True)
    except ValueError as error:
        raise DecodeError(f"the trace is no base64: {error}") from None
    return decode_status(data)


# -- protobuf
#
# A message is a row of fields: a varint key (number << 3 | wire type), then the value: 0 varint, 1 eight bytes,
# 2 a varint length and so many bytes, 5 four bytes. Source: protobuf.dev, "Encoding".


def decode_status(data: bytes) -> StatusResponse:
    """Return the record of the bytes of a StatusResponse. Raises DecodeError."""
    found = StatusResponse()
    try:
        for number, value in _fields(data):
            if type(value) is not bytes:
                continue
            if number == 1:
                found.vertexes.append(_vertex(value))
            elif number == 2:
                found.statuses.append(_status(value))
            elif number == 3:
                found.logs.append(_log(value))
            elif number == 4:
                found.warnings.append(_warning(value))
    except IndexError:
        raise DecodeError("the trace ends in the middle of a field") from None
    return found


def fields_of(data: bytes) -> list[tuple[int, int | bytes]]:
    """Return the fields of any message in order, as number and value. Raises DecodeError."""
    try:
        return _fields(data)
    except IndexError:
        raise DecodeError("a message ends in the middle of a field") from None


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Return the fields of a message in order, as number and value. Raises IndexError where it is cut off."""
    found: list[tuple[int, int | bytes]] = []
    position, end = 0, len(data)
    while position < end:
        key = data[position]
        position += 1
        if key > 127:
            key, position = _long_varint(data, position - 1)
        kind = key & 7
        if kind == 2:
            size = data[position]
            position += 1
            if size > 127:
                size, position = _long_varint(data, position - 1)
            stop = position + size
            if stop > end:
                raise IndexError
            found.append((key >> 3, data[position:stop]))
            position = stop
        elif kind == 0:
            value = data[position]
            position += 1
            if value > 127:
                value, position = _long_varint(data, position - 1)
            found.append((key >> 3, value))
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
            if position > end:
                raise IndexError
        else:
            raise DecodeError(f"the trace holds wire type {kind}, which is none")
    return found


def _long_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > 63:
            raise DecodeError("the trace holds a number of more than 64 bits")


def _text(value: int | bytes) -> str:
    return value.decode("utf-8", "replace") if type(value) is bytes else ""


def _int64(value: int | bytes) -> int:
    if type(value) is not int:
        return 0
    return value - (1 << 64) if value >> 63 else value


def _time(value: int | bytes) -> float | None:
    """Return seconds of a google.protobuf.Timestamp: 1 seconds, 2 nanoseconds."""
    if type(value) is not bytes:
        return None
    seconds = nanoseconds = 0
    for number, part in _fields(value):
        if number == 1:
            seconds = _int64(part)
        elif number == 2:
            nanoseconds = _int64(part)
    return seconds + nanoseconds / 1e9


def _vertex(data: bytes) -> Vertex:
    made = Vertex()
    for number, value in _fields(data):
        if number == 1:
            made.digest = _text(value)
        elif number == 3:
            made.name = _text(value)
        elif number == 4:
            made.cached = bool(value)
        elif number == 5:
            made.started = _time(value)
        elif number == 6:
            made.completed = _time(value)
        elif number == 7:
            made.error = _text(value)
    return made


def _status(data: bytes) -> VertexStatus:
    made = VertexStatus()
    for number, value in _fields(data):
        if number == 1:
            made.id = _text(value)
        elif number == 2:
            made.vertex = _text(value)
        elif number == 3:
            made.name = _text(value)
        elif number == 4:
            made.current = _int64(value)
        elif number == 5:
            made.total = _int64(value)
        elif number == 8:
            made.completed = _time(value)
    return made


def _log(data: bytes) -> VertexLog:
    made = VertexLog()
    for number, value in _fields(data):
        if number == 1:
            made.vertex = _text(value)
        elif number == 2:
            made.at = _time(value)
        elif number == 3:
            made.stream = _int64(value)
        elif number == 4 and type(value) is bytes:
            made.data = value
    return made


def _warning(data: bytes) -> VertexWarning:
    made = VertexWarning()
    for number, value in _fields(data):
        if number == 1:
            made.vertex = _text(value)
        elif number == 3:
            made.short = _text(value)
        elif number == 5:
            made.url = _text(value)
    return made


# -- JSON


def decode_json(document: object) -> StatusResponse:
    """Return the record of one line of ``--progress=rawjson``. Raises DecodeError."""
    if not isinstance(document, dict):
        raise DecodeError(f"the progress record is no object but {type(document).__name__}")
    return StatusResponse(
        [
            Vertex(
                _said(one, "digest"), _said(one, "name"), one.get("cached") is True,
                _rfc3339(one.get("started")), _rfc3339(one.get("completed")), _said(one, "error"),
            )
            for one in _objects(document, "vertexes")
        ],
        [
            VertexStatus(
                _said(one, "id"), _said(one, "vertex"), _said(one, "name"),
                _number(one, "current"), _number(one, "total"), _rfc3339(one.get("completed")),
            )
            for one in _objects(document, "statuses")
        ],
        [
            VertexLog(_said(one, "vertex"), _rfc3339(one.get("timestamp")), _number(one, "stream"), _data(one))
            for one in _objects(document, "logs")
        ],
        [
            VertexWarning(_said(one, "vertex"), _base64_text(one.get("short")), _said(one, "url"))
            for one in _objects(document, "warnings")
        ],
    )  # fmt: skip


def _objects(document: JsonObject, name: str) -> list[JsonObject]:
    listed = document.get(name)
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _said(document: JsonObject, name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _number(document: JsonObject, name: str) -> int:
    value = document.get(name)
    return value if isinstance(value, int) else 0


def _data(document: JsonObject) -> bytes:
    try:
        return base64.b64decode(_said(document, "data"))
    except ValueError as error:
        raise DecodeError(f"a log record is no base64: {error}") from None


def _base64_text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    try:
        return base64.b64decode(value, validate=True).decode("utf-8", "replace")
    except ValueError:
        return value


def _rfc3339(value: object) -> float | None:
    if not isinstance(value, str):
        return None
    try:
        return dt.datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):
        return None
