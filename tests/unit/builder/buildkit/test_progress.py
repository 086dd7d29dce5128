"""From BuildKit's records to events: merged steps, their lines, layers, warnings and the failing one."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.buildkit.progress import BuildkitStream
from buildr_jupyter.builder.buildkit.proto import (
    StatusResponse,
    Vertex,
    VertexLog,
    VertexStatus,
    VertexWarning,
    decode_json,
)
from buildr_jupyter.builder.docker.classic_stream import DockerStream
from buildr_jupyter.events.event import Event, LogLine, TransferUpdate
from buildr_jupyter.model.progress import BuildWarning, StepUpdate

FAKES = Path(__file__).parents[3] / "fakes"
ENGINE = json.loads((FAKES / "engine-build-events.json").read_text())
BLOB = "sha256:" + "ab" * 32


def stream() -> BuildkitStream:
    return BuildkitStream({}, count())


def test_the_engines_capture() -> None:
    state = DockerStream()
    events = [event for document in ENGINE["buildkit_ok"] for event in state.feed(document)] + state.finish()
    assert state.image_id == "sha256:f5c570be8b5514f70a69d74c1812c412e02a683aef25354d692827fec8d7e96d"
    numbered = [(step.index, step.total, step.title, step.status) for step in state.steps.values() if step.index]
    assert [(index, title) for index, _, title, _ in numbered][:2] == [
        (1, "FROM docker.io/library/deps-bb:1"), (2, "COPY a.txt /a"),
    ]  # fmt: skip
    assert {total for _, total, _, _ in numbered} == {3}
    assert {status for *_, status in numbered} <= {"done", "cached"}
    assert len([event for event in events if isinstance(event, StepUpdate) and event.status == "running"]) > 3


def test_the_failing_step_of_the_capture() -> None:
    state = DockerStream()
    for document in ENGINE["buildkit_fail"]:
        state.feed(document)
    assert state.step_title == "RUN echo out; echo err >&2; exit 3"
    assert sorted(state.tail) == ["err", "out"]


def test_buildctls_capture() -> None:
    state = stream()
    events: list[Event] = []
    for line in (FAKES / "buildx-rawjson.jsonl").read_text().splitlines():
        events += state.feed(decode_json(json.loads(line)))
    said = [event.text for event in events if isinstance(event, LogLine)]
    assert said == ["hi", "l1", "l2", "l3"]
    statuses = {step.title: step.status for step in state.steps.values()}
    assert statuses["FROM docker.io/library/deps-bb:1"] == "cached"
    assert statuses["exporting to image"] == "done"
    assert all(step.duration_s is not None for step in state.steps.values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("[2/3] RUN a [1/2] b", (None, 2, 3, "RUN a [1/2] b")),
        ("[stage-1 2/3] COPY x /", (None, 2, 3, "COPY x /")),
        ("[build 10/12] RUN x", (None, 10, 12, "RUN x")),
        ("[linux/arm64 2/3] RUN x", ("linux/arm64", 2, 3, "RUN x")),
        ("[linux/arm/v7 final  2/3] RUN x\\\n y", ("linux/arm/v7", 2, 3, "RUN x\\\n y")),
        ("[linux/amd64->arm64 build 2/3] RUN x", ("linux/amd64->arm64", 2, 3, "RUN x")),
        ("[internal] load .dockerignore", (None, None, None, "load .dockerignore")),
        ("[auth] me/x:pull token for reg", (None, None, None, "me/x:pull token for reg")),
        ("exporting to image", (None, None, None, "exporting to image")),
    ],
)
def test_names(name: str, expected: tuple[Any, ...]) -> None:
    state = stream()
    state.feed(StatusResponse([Vertex("d", name, started=1.0)]))
    step = state.steps["d"]
    assert (step.platform, step.index, step.total, step.title) == expected


def test_a_vertex_told_again_and_again_is_one_step() -> None:
    state = stream()
    name = "[1/2] FROM x"
    told = [
        Vertex("d", name), Vertex("d", name, started=1.0), Vertex("d", name, started=1.0),
        Vertex("d", name, started=1.0, completed=2.0), Vertex("d", name, started=1.0),
        Vertex("d", name, cached=True, started=1.0, completed=2.0), Vertex("d", name, started=1.0, completed=2.0),
        Vertex("", name), Vertex("e", ""),
    ]  # fmt: skip
    events = [event for vertex in told for event in state.feed(StatusResponse([vertex]))]
    assert [event.status for event in events if isinstance(event, StepUpdate)] == ["running", "done", "cached"]
    assert list(state.steps) == ["d"]


def test_failed_and_cancelled() -> None:
    state = stream()
    for digest in "abc":
        state.feed(StatusResponse([Vertex(digest, f"[1/1] RUN {digest}", started=1.0)]))
        state.feed(StatusResponse(logs=[VertexLog(digest, None, 1, f"from {digest}\n".encode())]))
    state.feed(StatusResponse([Vertex("a", "[1/1] RUN a", started=1.0, completed=2.0, error="context canceled")]))
    state.feed(StatusResponse([Vertex("b", "[1/1] RUN b", started=1.0, completed=2.0, error="exit code: 1")]))
    state.feed(StatusResponse([Vertex("c", "[1/1] RUN c", started=1.0, error="error: code = Canceled: CANCELED")]))
    assert {step.title: step.status for step in state.steps.values()} == {
        "RUN a": "cancelled", "RUN b": "failed", "RUN c": "cancelled",
    }  # fmt: skip
    assert (state.failing_title, state.tail) == ("RUN b", ("from b",))


def test_characters_and_lines_that_come_in_parts() -> None:
    state = stream()
    data = "ä one\r\n日 two\nhalf".encode()
    events: list[Event] = []
    for byte in data:
        events += state.feed(StatusResponse(logs=[VertexLog("d", 5.0, 1, bytes([byte]))]))
        events += state.feed(StatusResponse(logs=[VertexLog("d", 5.0, 2, b"")]))
    lines = [event for event in events if isinstance(event, LogLine)]
    assert "�" not in "".join(line.text for line in lines)
    assert state.tail == ("ä one", "日 two", "half")
    assert [line.seq for line in lines] == list(range(len(lines)))


def test_clipped_output_is_said_once() -> None:
    state = stream()
    record = StatusResponse(logs=[VertexLog("d", None, 1, b"x\n[output clipped, log limit 200KiB/s reached]\n")])
    warned = [event for event in (*state.feed(record), *state.feed(record)) if isinstance(event, BuildWarning)]
    assert [warning.text for warning in warned] == [
        "the engine left out a part of a step's output, which goes above 200KiB/s"
    ]


def test_warnings_of_the_frontend() -> None:
    record = StatusResponse(
        warnings=[VertexWarning("d", "LegacyKeyValueFormat: …", "https://docs"), VertexWarning("d")]
    )
    assert stream().feed(record) == [BuildWarning("LegacyKeyValueFormat: …", "https://docs")]


def test_a_trace_that_does_not_decode_is_a_warning_once() -> None:
    state = DockerStream()
    document = {"id": "moby.buildkit.trace", "aux": "AA=="}
    assert state.feed(document) == [
        BuildWarning("a progress record of the engine cannot be read: the trace ends in the middle of a field")
    ]
    assert state.feed(document) == []


def test_layers_on_the_move() -> None:
    state = stream()
    state.feed(
        StatusResponse([Vertex("f", "[1/2] FROM x", started=1.0), Vertex("p", "exporting to image", started=1.0)])
    )

    def moved(*statuses: VertexStatus) -> list[tuple[str, str, int, int | None, str]]:
        events = [event for status in statuses for event in state.feed(StatusResponse(statuses=[status]))]
        return [
            (e.item, e.verb, e.current_bytes, e.total_bytes, e.status) for e in events if isinstance(e, TransferUpdate)
        ]

    assert moved(
        VertexStatus(BLOB, "f", "downloading", 1, 10), VertexStatus(BLOB, "f", "downloading", 1, 10),
        VertexStatus(BLOB, "f", "downloading", 20, 10), VertexStatus(BLOB, "f", "done", 10, 10, 2.0),
        VertexStatus(BLOB, "f", "extracting", 3, 10), VertexStatus(f"extracting {BLOB}", "f", "extract", 1, 10),
    ) == [("abababababab", "pull", 1, 10, "moving"), ("abababababab", "pull", 10, 10, "moving"),
          ("abababababab", "pull", 10, 10, "done")]  # fmt: skip
    assert moved(VertexStatus("transferring context:", "c", "", 7, 0, 2.0), VertexStatus("naming to x", "p")) == [
        ("context", "upload", 7, None, "done")
    ]
    assert moved(VertexStatus(BLOB, "p", "pushing", 5, 10)) == [("abababababab", "push", 5, 10, "moving")]
