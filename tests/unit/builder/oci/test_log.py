from __future__ import annotations

import logging
from collections.abc import Generator

import pytest

from buildr_jupyter.builder.oci.log import logged
from buildr_jupyter.errors import BuildError
from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.result import BuildResult

LOGGER = logging.getLogger("tests.oci.log")


def build(*events: Event, fails: bool = False) -> Generator[Event, None, BuildResult]:
    yield from events
    if fails:
        raise BuildError("Image build failed: no")
    return BuildResult("app:1")


def ended(stream: Generator[Event, None, BuildResult], seen: list[Event]) -> BuildResult:
    """Read a build to its end into ``seen`` and return its result."""
    try:
        while True:
            seen.append(next(stream))
    except StopIteration as end:
        result: BuildResult = end.value
        return result


def test_lines_are_numbered_and_logged_with_the_steps(caplog: pytest.LogCaptureFixture) -> None:
    events = (
        LogLine(9, "one\n"),
        StepUpdate("s", "a step"),
        LogLine(9, "two"),
        StepUpdate("s", "a step", status="done"),
    )
    with caplog.at_level("DEBUG", LOGGER.name):
        stream = logged(build(*events), LOGGER)
        seen: list[Event] = []
        result = ended(stream, seen)
    assert result == BuildResult("app:1")
    assert [event.seq for event in seen if isinstance(event, LogLine)] == [0, 1]
    assert [type(event) for event in seen] == [type(event) for event in events]
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [("DEBUG", f"Build output: {text}") for text in ("one", "a step", "two")]


def test_a_failure_is_logged_and_raised(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", LOGGER.name), pytest.raises(BuildError, match="no"):
        list(logged(build(fails=True), LOGGER))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "Build failed: Image build failed: no")
    ]


def test_who_stops_listening_ends_the_build() -> None:
    ended = []

    def work() -> Generator[Event, None, BuildResult]:
        try:
            yield LogLine(0, "one")
            yield LogLine(1, "two")
        finally:
            ended.append(True)
        return BuildResult("app:1")

    stream = logged(work(), LOGGER)
    next(stream)
    stream.close()
    assert ended == [True]
