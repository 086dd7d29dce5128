from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.builder.kaniko.stream import KanikoStream
from buildr_jupyter.events.event import Event, LogLine, TransferUpdate
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.process.run import Output


def own(msg: str, level: str = "info") -> Output:
    return Output("stderr", json.dumps({"level": level, "msg": msg, "time": "2026-11-23T10:33:15Z"}).encode() + b"\n")


def feed(stream: KanikoStream, *pieces: Output) -> list[Event]:
    return [event for piece in pieces for event in stream.feed(piece)[0]]


def test_steps_lines_and_a_push() -> None:
    stream = KanikoStream(clock=lambda: 1.0)
    events = feed(
        stream,
        own("Retrieving image manifest reg/base:1"),
        own("Building stage 'reg/base:1' [idx: '0', base-idx: '-1']"),
        own("Using caching version of cmd: RUN echo a"),
        own("RUN echo a"),
        own("RUN echo hi"),
        Output("stdout", b"hi\n"),
        own("something odd", "warning"),
        own("Pushing image to reg/x:1"),
        own(f"Pushed reg/x@sha256:{'0' * 64}"),
    )
    steps = [(event.step, event.title, event.status) for event in events if isinstance(event, StepUpdate)]
    assert steps == [
        ("0.0", "FROM reg/base:1", "running"), ("0.0", "FROM reg/base:1", "done"), ("0.1", "RUN echo a", "cached"),
        ("0.1", "RUN echo a", "cached"), ("0.2", "RUN echo hi", "running"), ("0.2", "RUN echo hi", "done"),
    ]  # fmt: skip
    assert [(e.text, e.step) for e in events if isinstance(e, LogLine)] == [("hi", "0.2")]
    assert [event for event in events if isinstance(event, BuildWarning)] == [BuildWarning("something odd")]
    moves = [(event.item, event.status) for event in events if isinstance(event, TransferUpdate)]
    assert moves == [("reg/x:1", "moving"), ("reg/x:1", "done")]
    assert (stream.base, stream.pushing) == ("reg/base:1", "reg/x:1")


def test_its_last_words_are_the_message_and_no_line_of_the_step() -> None:
    stream = KanikoStream()
    said = "error building image: error building stage: failed to execute command: waiting for process to exit: exit status 7"
    feed(stream, own("RUN exit 7"), Output("stderr", b"why\n"), Output("stderr", f"{said}\n".encode()))
    assert stream.message(1) == (said, 7)
    assert (stream.step_title, stream.tail) == ("RUN exit 7", ("why",))


def test_an_end_without_a_word() -> None:
    stream = KanikoStream()
    assert stream.message(-9) == ("kaniko's executor was killed", None)
    assert stream.message(137) == ("kaniko's executor was killed", None)
    assert stream.message(3) == ("kaniko's executor ended with status 3", None)


def test_a_command_that_prints_json_is_shown() -> None:
    stream = KanikoStream()
    events = feed(stream, own("RUN x"), Output("stdout", b'{"a": 1}\n'), Output("stdout", b'{"level'))
    assert [event.text for event in events if isinstance(event, LogLine)] == ['{"a": 1}', '{"level']


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=80))))
def test_nothing_that_a_command_prints_breaks_it(pieces: list[tuple[str, bytes]]) -> None:
    stream = KanikoStream()
    for name, data in pieces:
        stream.feed(Output(name, data))  # type: ignore[arg-type]
    stream.finish()
    assert stream.message(1)[0]


def test_its_last_words_are_found_where_what_a_step_printed_arrives_after_them() -> None:
    stream = KanikoStream()
    said = "error building image: waiting for process to exit: exit status 7"
    feed(
        stream,
        own("RUN echo before; exit 7"),
        Output("stderr", b"why\n"),
        Output("stderr", f"{said}\n".encode()),
        Output("stdout", b"before\n"),
    )
    assert stream.message(7) == (said, 7)
    assert stream.tail == ("why", "before")
