"""Streams: what they return, what they say on the way, and that they are closed."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.events.streams import drain


def stream(closed: list[str]) -> Generator[Event, None, int]:
    try:
        yield LogLine(0, "one")
        yield LogLine(1, "two")
        return 3
    finally:
        closed.append("closed")


def test_it_returns_what_the_stream_returns_and_tells_each_event() -> None:
    said: list[Event] = []
    assert drain(stream([]), said.append) == 3
    assert said == [LogLine(0, "one"), LogLine(1, "two")]
    assert drain(stream([])) == 3


def test_it_is_closed_where_saying_raises() -> None:
    closed: list[str] = []

    def fails(event: Event) -> None:
        raise ValueError(event)

    with pytest.raises(ValueError):
        drain(stream(closed), fails)
    assert closed == ["closed"]
