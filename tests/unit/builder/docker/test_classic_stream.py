"""Documents to events."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.docker.classic_stream import DockerStream, error_of
from buildr_jupyter.events.event import MAX_LINE_BYTES, LogLine, TransferUpdate
from buildr_jupyter.model.progress import BuildWarning, StepUpdate

CAPTURES = json.loads((Path(__file__).parents[3] / "fakes" / "engine-build-events.json").read_text())


def stream(verb: Any = "build") -> DockerStream:
    ticks = itertools.count()
    return DockerStream(verb, clock=lambda: float(next(ticks)))


def feed(state: DockerStream, *documents: dict[str, Any]) -> list[Any]:
    return [event for document in documents for event in state.feed(document)]


def texts(state: DockerStream, *parts: str) -> list[tuple[str, bool]]:
    events = feed(state, *({"stream": part} for part in parts))
    return [(event.text, event.partial) for event in events if isinstance(event, LogLine)]


def test_the_captured_build() -> None:
    state = stream()
    events = [*feed(state, *CAPTURES["classic_ok"]), *state.finish()]
    steps = [(e.step, e.title, e.index, e.total, e.status) for e in events if isinstance(e, StepUpdate)]
    assert steps == [
        ("1", "FROM deps-bb:1", 1, 3, "running"),
        ("1", "FROM deps-bb:1", 1, 3, "done"),
        ("2", "COPY a.txt /a", 2, 3, "running"),
        ("2", "COPY a.txt /a", 2, 3, "done"),
        ("3", "RUN echo hello", 3, 3, "running"),
        ("3", "RUN echo hello", 3, 3, "done"),
    ]
    assert [e for e in events if isinstance(e, LogLine)] == [LogLine(0, "hello", "3", "stdout", 5.0)]
    assert state.image_id == "sha256:3f63f8223230a49f96ee843935be9a0536a42861ad33e9d916e90a61f02b618c"
    assert [step.duration_s for step in state.steps.values()] == [1.0, 1.0, 2.0]


def test_cached_step() -> None:
    state = stream()
    feed(state, {"stream": "Step 1/1 : RUN x"}, {"stream": "\n"}, {"stream": " ---> Using cache\n"})
    assert [event.status for event in state.finish() if isinstance(event, StepUpdate)] == ["cached"]


def test_podman_says_it_in_its_own_way() -> None:
    state = stream()
    events = feed(
        state, {"stream": "STEP 1/2: FROM x\n"}, {"stream": "STEP 2/2: RUN y\n"}, {"stream": "hello\n"},
        {"stream": "COMMIT demo\n"}, {"stream": "--> 3f63f822323\n"}, {"stream": "Successfully tagged localhost/demo:latest\n"},
        {"stream": f"{'ab' * 32}\n"},
    )  # fmt: skip
    assert [e.title for e in events if isinstance(e, StepUpdate) and e.status == "running"] == ["FROM x", "RUN y"]
    assert [e.text for e in events if isinstance(e, LogLine)] == ["hello"]
    assert state.image_id == "ab" * 32


def test_stages_of_podman_have_keys_of_their_own() -> None:
    state = stream()
    feed(state, {"stream": "[1/2] STEP 1/1: FROM x\n"}, {"stream": "[2/2] STEP 1/1: FROM y\n"})
    assert list(state.steps) == ["1.1", "2.1"]


def test_standard_error_is_told_by_its_colour() -> None:
    events = feed(stream(), {"stream": "\x1b[91mwrong\nagain\n\x1b[0m"}, {"stream": "right\n"})
    assert [(e.text, e.stream) for e in events] == [("wrong", "stderr"), ("again", "stderr"), ("right", "stdout")]


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        (("a\nb\n",), [("a", False), ("b", False)]),
        (("a", "b\n"), [("a", True), ("b", False)]),
        (("1%\r2%\r",), [("2%\r", True)]),
        (("1%\r", "2%\r", "done\n"), [("1%\r", True), ("2%\r", True), ("done", False)]),
        (("a\r\n",), [("a", False)]),
        (("a\r", "\n"), [("a\r", True), ("a", False)]),
        (("\n\n",), [("", False), ("", False)]),
        (("a\u2028b\x0bc\n",), [("a\u2028b\x0bc", False)]),
    ],
)
def test_line_ends(parts: tuple[str, ...], lines: list[tuple[str, bool]]) -> None:
    assert texts(stream(), *parts) == lines


def test_the_tail_is_what_a_person_would_see() -> None:
    state = stream()
    texts(state, "10%\r", "20%\r", "done\n", "half", " and half\n", *(f"{n}\n" for n in range(48)))
    assert list(state.tail)[:3] == ["done", "half and half", "0"]
    assert len(state.tail) == 50
    texts(state, "x\n")
    assert state.tail[0] == "half and half"


def test_a_long_line_is_cut() -> None:
    (line,) = feed(stream(), {"stream": "ü" * 100_000 + "\n"})
    assert len(line.text.encode()) == MAX_LINE_BYTES
    assert line.truncated_bytes == 200_000 - MAX_LINE_BYTES
    (bar,) = feed(stream(), {"stream": "".join(f"{n}\r" for n in range(100_000))})
    assert (bar.text, bar.partial) == ("99999\r", True)


def test_output_that_looks_like_the_builders_own_in_part_is_output() -> None:
    lines = ["Step by step\n", " ---> arrow\n", "Successfully installed six\n", "Removing everything\n", "[Warning\n"]
    assert [text for text, _ in texts(stream(), *lines)] == [line[:-1] for line in lines]


def test_warnings() -> None:
    said = "[Warning] One or more build-args [FOO] were not consumed\n"
    assert feed(stream(), {"stream": said}) == [BuildWarning("One or more build-args [FOO] were not consumed")]


def test_a_pull_never_runs_backwards() -> None:
    layer = {"id": "0123456789ab"}
    events = feed(
        stream("pull"),
        {"status": "Pulling from library/python", "id": "3.11-slim"},
        {"status": "Pulling fs layer", "progressDetail": {}, **layer},
        {"status": "Downloading", "progressDetail": {"current": 50, "total": 100}, "progress": "[=> ]", **layer},
        {"status": "Download complete", "progressDetail": {}, **layer},
        {"status": "Extracting", "progressDetail": {"current": 1, "total": 100}, **layer},
        {"status": "Pull complete", "progressDetail": {}, **layer},
        {"status": "Already exists", "progressDetail": {}, "id": "ba9876543210"},
        {"status": f"Digest: sha256:{'a' * 64}"},
    )
    assert [(e.status, e.current_bytes, e.total_bytes) for e in events] == [
        ("waiting", 0, None), ("moving", 50, 100), ("moving", 100, 100), ("done", 100, 100), ("exists", 0, None),
    ]  # fmt: skip
    assert all(event.verb == "pull" for event in events)


def test_a_push() -> None:
    state = stream("push")
    events = feed(
        state,
        {"status": "The push refers to repository [reg/x]"},
        {"status": "Preparing", "progressDetail": {}, "id": "0123456789ab"},
        {"status": "Pushing", "progressDetail": {"current": 512}, "id": "0123456789ab"},
        {"status": "Pushing", "progressDetail": {"current": 2048, "total": 1024}, "id": "0123456789ab"},
        {"status": "Retrying in 5 seconds", "progressDetail": {}, "id": "0123456789ab"},
        {"status": "Pushed", "progressDetail": {}, "id": "0123456789ab"},
        {"status": "Layer already exists", "progressDetail": {}, "id": "1123456789ab"},
        {"status": "Mounted from base", "progressDetail": {}, "id": "2123456789ab"},
        {"status": f"latest: digest: sha256:{'b' * 64} size: 740"},
    )
    moved = [(e.status, e.current_bytes) for e in events if isinstance(e, TransferUpdate)]
    assert moved == [
        ("waiting", 0), ("moving", 512), ("moving", 1024), ("waiting", 0), ("done", 0), ("exists", 0), ("mounted", 0),
    ]  # fmt: skip
    assert state.digest == "sha256:" + "b" * 64
    assert [event.text for event in events if isinstance(event, BuildWarning)] == [
        "layer 0123456789ab is sent again: the registry failed"
    ]


def test_odd_documents_are_nothing() -> None:
    odd: list[dict[str, Any]] = [
        {}, {"stream": None}, {"stream": 7}, {"status": None}, {"aux": "x"}, {"aux": {"ID": 7}}, {"stream": ""},
        {"status": "Pushing", "id": 7}, {"status": "New", "id": "0123456789ab"},
    ]  # fmt: skip
    assert feed(stream(), *odd) == []


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"error": "a"}, ("a", None)),
        ({"errorDetail": {"message": "b", "code": 7}}, ("b", 7)),
        ({"errorDetail": {"code": 3, "message": "c"}, "error": "c"}, ("c", 3)),
        ({"errorDetail": {"message": "executor failed: exit code: 9"}}, ("executor failed: exit code: 9", 9)),
        (
            {"errorDetail": {"message": "while running runtime: exit status 3\n"}},
            ("while running runtime: exit status 3", 3),
        ),
        ({"errorDetail": "odd"}, ("odd", None)),
        ({"errorDetail": {}, "error": ""}, None),
        ({"stream": "x"}, None),
    ],
)
def test_errors(document: dict[str, Any], found: tuple[str, int | None] | None) -> None:
    assert error_of(document) == found
