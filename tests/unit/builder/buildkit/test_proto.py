"""BuildKit's progress records: what the captures hold, and what no rubbish may do."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildr_jupyter.builder.buildkit.progress import BuildkitStream
from buildr_jupyter.builder.buildkit.proto import (
    DecodeError,
    StatusResponse,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
    decode_aux,
    decode_json,
    decode_status,
)
from buildr_jupyter.engine.json_stream import iter_lines

FAKES = Path(__file__).parents[3] / "fakes"
ENGINE = json.loads((FAKES / "engine-build-events.json").read_text())
AUX = [one["aux"] for name in ("buildkit_ok", "buildkit_fail") for one in ENGINE[name] if "trace" in one.get("id", "")]
RAW = (FAKES / "buildx-rawjson.jsonl").read_bytes()


def field(number: int, value: int | bytes) -> bytes:
    """Return one field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def test_the_engines_capture() -> None:
    records = [decode_aux(aux) for aux in AUX]
    names = {vertex.name for record in records for vertex in record.vertexes}
    assert {"[internal] load remote build context", "copy /context /", "[2/3] COPY a.txt /a"} <= names
    first = records[1].vertexes[0]
    assert first.started == pytest.approx(1795407501.97315283)
    assert (first.completed, first.cached, first.error) == (None, False, "")
    logs = [(log.stream, log.data) for record in records for log in record.logs]
    assert (2, b"err\n") in logs
    assert (1, b"out\n") in logs
    failed = [vertex.error for record in records for vertex in record.vertexes if vertex.error]
    assert failed[0].endswith("exit code: 3")


def test_every_field_of_both_encodings() -> None:
    when = field(1, 1_700_000_000) + field(2, 500_000_000)
    vertex = (
        field(1, b"sha256:1") + field(2, b"sha256:0") + field(3, "näme".encode()) + field(4, 1) + field(5, when)
        + field(6, when) + field(7, b"why") + field(99, b"newer") + b"\x3d\0\0\0\0" + b"\x39" + bytes(8)
    )  # fmt: skip
    status = (
        field(1, b"id") + field(2, b"sha256:1") + field(3, b"n") + field(4, 5) + field(5, 300)
        + field(6, when) + field(7, when) + field(8, when)
    )  # fmt: skip
    log = field(1, b"sha256:1") + field(2, when) + field(3, 2) + field(4, b"\xff\n")
    warning = field(1, b"sha256:1") + field(2, 1) + field(3, b"short") + field(4, b"detail") + field(5, b"https://x")
    expected = StatusResponse(
        [Vertex("sha256:1", "näme", True, 1_700_000_000.5, 1_700_000_000.5, "why")],
        [VertexStatus("id", "sha256:1", "n", 5, 300, 1_700_000_000.5)],
        [VertexLog("sha256:1", 1_700_000_000.5, 2, b"\xff\n")],
        [VertexWarning("sha256:1", "short", "https://x")],
    )
    data = field(1, vertex) + field(2, status) + field(3, log) + field(4, warning) + field(9, 1)
    assert decode_status(data) == expected
    assert decode_aux(base64.b64encode(data).decode()) == expected
    stamp = "2023-11-14T22:13:20.5Z"
    document = {
        "vertexes": [{"digest": "sha256:1", "name": "näme", "cached": True, "started": stamp, "completed": stamp, "error": "why"}],
        "statuses": [{"id": "id", "vertex": "sha256:1", "name": "n", "current": 5, "total": 300, "completed": stamp}],
        "logs": [{"vertex": "sha256:1", "stream": 2, "data": base64.b64encode(b"\xff\n").decode(), "timestamp": stamp}],
        "warnings": [{"vertex": "sha256:1", "short": base64.b64encode(b"short").decode(), "url": "https://x"}],
    }  # fmt: skip
    assert decode_json(document) == expected


@pytest.mark.parametrize(
    ("aux", "says"),
    [
        (None, "no text but NoneType"), ({"ID": "x"}, "no text but dict"), ("é", "no base64"), ("AA=", "no base64"),
        ("CgU=", "in the middle of a field"), ("Cw==", "wire type 3"), ("/////////////w==", "more than 64 bits"),
    ],
)  # fmt: skip
def test_a_record_that_is_none(aux: Any, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode_aux(aux)


def test_cut_at_every_byte_it_is_read_or_refused() -> None:
    for aux in AUX:
        data = base64.b64decode(aux)
        whole = decode_status(data)
        for stop in range(len(data)):
            try:
                part = decode_status(data[:stop])
            except DecodeError:
                continue
            assert len(part.vertexes) + len(part.logs) <= len(whole.vertexes) + len(whole.logs)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200), st.lists(st.sampled_from(AUX)).map(lambda all_: base64.b64decode("".join(all_[:1])))
    )
)
def test_no_bytes_break_the_decoder(data: bytes) -> None:
    for number in (None, 1, 2, 3, 4):
        try:
            record = decode_status(data if number is None else field(number, data))
        except DecodeError:
            continue
        BuildkitStream({}, iter(range(10**6))).feed(record)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["vertexes", "statuses", "logs", "warnings", "digest", "name", "started", "data", "stream", "current",
                         "id", "vertex", "short", "error", "cached"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_no_json_breaks_the_decoder(document: Any) -> None:
    try:
        record = decode_json(document)
    except DecodeError:
        return
    BuildkitStream({}, iter(range(10**6))).feed(record)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, len(RAW) - 1), max_size=40))
def test_any_cut_of_a_stream_gives_the_same_records(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(RAW)]
    chunks = [RAW[start:stop] for start, stop in pairwise(edges)]
    whole = [decode_json(json.loads(line)) for line in RAW.splitlines() if line.strip()]
    assert [decode_json(json.loads(line)) for line in iter_lines(chunks)] == whole
