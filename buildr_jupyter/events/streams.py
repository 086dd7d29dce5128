"""Streams: generators of events that end in a value."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import TypeVar

from buildr_jupyter.events.event import Event

__all__ = ["drain"]

T = TypeVar("T")


def drain(stream: Generator[Event, None, T], say: Callable[[Event], object] | None = None) -> T:
    """Run a stream to its end and return what it returns; ``say`` is told each event. It is closed in any case."""
    with contextlib.closing(stream):
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                found: T = end.value
                return found
            if say is not None:
                say(event)
