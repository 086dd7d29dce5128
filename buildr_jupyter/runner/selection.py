"""The seam between an image and a container that runs it."""

from __future__ import annotations

from importlib import import_module

from buildr_jupyter.errors import UnknownSpec
from buildr_jupyter.runner.protocol import Runner

__all__ = ["RUNNERS", "select"]

RUNNERS = {
    "docker": "buildr_jupyter.runner.docker_runner:DockerRunner",
}


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
