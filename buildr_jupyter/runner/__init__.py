"""The seam between an image and a container that runs it."""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import Protocol

from buildr_jupyter.errors import UnknownSpec
from buildr_jupyter.events import CancelToken, Event
from buildr_jupyter.model import RunResult, RunSpec

__all__ = ["RUNNERS", "Runner", "select"]

RUNNERS = {
    "docker": "buildr_jupyter.runner.docker_runner:DockerRunner",
}


class Runner(Protocol):
    """Runs an image and follows it to its end; raises RunError or EngineError."""

    def stream_run(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunResult]:
        """Start the container, yield what it writes as it comes, remove it, return how it ended."""
        ...


def select(spec: str) -> Runner:
    """Return a new runner of the name ``spec``; it connects to nothing yet. Raises UnknownSpec."""
    if spec in RUNNERS:
        module, _, attribute = RUNNERS[spec].partition(":")
        found: Runner = getattr(import_module(module), attribute)()
        return found
    if spec == "kubernetes":
        raise UnknownSpec(
            "Unknown spec kubernetes: running in a cluster is not built yet", hint="publish the image and run it there"
        )
    raise UnknownSpec(f"Unknown spec {spec}", hint=f"runners here: {', '.join(sorted(RUNNERS))}")
