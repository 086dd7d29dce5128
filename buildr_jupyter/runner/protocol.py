"""Runner protocol: the seam between an image and a container that runs it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, Phase
from buildr_jupyter.model.capabilities import RunnerCapabilities
from buildr_jupyter.model.request import ClusterPlacement, Collection, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.runner.nodes import NodeFacts

__all__ = ["GridRunner", "PointEnd", "Runner"]


@dataclass(frozen=True, slots=True)
class PointEnd:
    """How far a point of a grid is, or how it ended."""

    index: int
    phase: Phase
    """running, collecting, done (it ended with ``result.exit_code`` 0), failed or lost."""
    result: RunResult | None = None
    """None until it ended."""
    reason: str = ""


class GridRunner(Protocol):
    """Runs all points of a grid as one group, which outlives this process."""

    def start_grid(
        self, specs: Sequence[RunSpec], keys: Sequence[str], jobs: int, cancel: CancelToken
    ) -> Generator[Event, None, RunGroup]:
        """Start the runs, ``jobs`` at a time; they differ in their inputs alone. Returns once they are accepted."""
        ...

    def list_grids(self) -> list[tuple[RunGroup, tuple[str, ...]]]:
        """Return this user's grids that the backend has, each with the keys of its points by index."""
        ...

    def follow_grid(self, group: RunGroup, points: int, cancel: CancelToken) -> Generator[Event | PointEnd, None, None]:
        """Yield how far each point is, until all have ended; raises Cancelled, ClusterError."""
        ...

    def collect_point(
        self, group: RunGroup, index: int, into: Path, cancel: CancelToken
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Write the output files of a point that ended below ``into`` and return their paths, sorted.

        They are those that were asked for when it was started: ``collects`` of its group.
        """
        ...

    def nodes(self, placement: ClusterPlacement) -> NodeFacts | None:
        """Return what is known of the nodes that a run may be on; None where they are too many to look at.

        Raises ClusterForbidden for who may not see them, ClusterError.
        """
        ...

    def remove(self, group: RunGroup) -> None:
        """Remove the group, running or not."""
        ...


class Runner(Protocol):
    """Runs an image; raises RunError or EngineError.

    ``stream_run`` follows a run that ends with this process. The other methods are for runs that outlive it: any
    process of this user may list, follow, collect, stop and remove what one started.
    """

    def capabilities(self) -> RunnerCapabilities:
        """Return what it takes; asks nobody."""
        ...

    def stream_run(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunResult]:
        """Start the container, yield what it writes as it comes, remove it, return how it ended."""
        ...

    def start(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        """Start the run and return its group once the backend has accepted it; nothing of it is awaited.

        The group's name is the spec's; an older one of this user with that name is removed.
        """
        ...

    def deploy(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        """Leave what ``spec.standing`` says in the backend, or change what is there, and return it once it is ready.

        Raises OptionError where the backend keeps nothing of the kind.
        """
        ...

    def follow(self, group: RunGroup, cancel: CancelToken) -> Generator[Event, None, list[RunResult]]:
        """Wait for the end of each run of the group and return how they ended; they and their files stay.

        Raises RunLost where one is gone and nothing tells how it ended, Cancelled while they go on.
        """
        ...

    def collect(
        self, run: str, into: Path, cancel: CancelToken, wanted: Collection | None = None
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Write the output files of a run that ended below ``into`` and return their paths, sorted.

        They are those that ``wanted`` takes, where the group does not say what it ``collects``; else, and without
        ``wanted``, those that were asked for when it was started.
        """
        ...

    def stop(self, group: RunGroup) -> None:
        """Stop what still runs of the group; one that is gone is no error."""
        ...

    def list(self) -> list[RunGroup]:
        """Return this user's groups that the backend has, running or ended."""
        ...

    def remove(self, group: RunGroup) -> None:
        """Remove the group and its files from the backend; one that is gone is no error."""
        ...
