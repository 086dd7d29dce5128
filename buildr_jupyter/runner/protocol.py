"""Runner protocol: the seam between an image and a container that runs it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.model.result import RunResult

__all__ = ["Runner"]


class Runner(Protocol):
    """Runs an image and follows it to its end; raises RunError or EngineError."""

    def stream_run(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunResult]:
        """Start the container, yield what it writes as it comes, remove it, return how it ended."""
        ...
