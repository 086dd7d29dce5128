"""Job: what an entry point asks the pipeline for."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from buildr_jupyter import builder as builders
from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.events.event import Event
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.pipeline.planner import Source, default_name

__all__ = ["Display", "Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What an entry point asks for."""

    source: Source
    options: Options
    interpreter: Interpreter
    environ: Mapping[str, str] = field(repr=False)
    builder: builders.Builder | None = None
    """None: the one that the options name."""
    executor: str = "docker"
    notebook_path: Path | None = None
    """Where the notebook is, for the key of its context folder; in no image."""
    by_docker_rules: bool = False
    """A repository without a registry is one on Docker Hub: what the seed's decorator means by it."""
    proofs: MutableMapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """What a kernel remembers of programs that were proven (``pipeline/verify.py``); None: nothing."""
    warnings: tuple[BuildWarning, ...] = ()
    """What was learned before: settings files and options of the notebook's line that do not count."""

    made_here: set[str] = field(default_factory=set, repr=False, compare=False)
    """Ids of the images that were built from cells of this kernel: their pickles are read. A session shares one set."""
    reads_values: bool = True
    """Whether returned files become values in this process."""

    @property
    def refs(self) -> tuple[ImageRef, ...]:
        """The references that the image gets, the main one first."""
        return self.options.refs(default_name(self.source))

    @property
    def run_environment(self) -> tuple[tuple[str, str], ...]:
        """The variables of a run; one that was given by its name alone has this environment's value, empty if none."""
        given = self.options.run_environment
        return tuple((name, self.environ.get(name, "") if value is None else value) for name, value in given)

    @property
    def runs_on(self) -> str:
        """What runs the image, as ``runner.select`` takes it."""
        return self.options.on or self.executor

    def run_spec(self, image: str, name: str) -> RunSpec:
        """Return how a container of ``image`` is run by the options."""
        options = self.options
        return RunSpec(
            image=image,
            name=name,
            environment=self.run_environment,
            ports=options.ports,
            mounts=options.mounts,
            memory_bytes=options.memory_bytes,
            cpus=options.cpus,
            gpus=options.gpus,
            placement=options.placement,
            standing=options.standing,
        )


class Display(Protocol):
    """Shows a build to a person; called from one thread only."""

    def open(self, state: BuildState, title: str) -> None:
        """Show that the work begins."""
        ...

    def draw(self, state: BuildState, events: list[Event]) -> bool | None:
        """Show what is new; called at most every 50 ms. True asks to be called again soon, with news or without."""
        ...

    def close(self, state: BuildState) -> None:
        """Show the end, good or bad; called once."""
        ...


def _builder(job: Job) -> builders.Builder:
    return job.builder or builders.select(job.options.builder)
