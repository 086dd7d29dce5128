"""Job: what an entry point asks the pipeline for, in two parts.

An ``ExportRequest`` has all that the program is found from; a ``BuildOrder`` says what is then built, pushed and run,
without the notebook's cells. A detached build sends its order to another process.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from buildr_jupyter import builder as builders
from buildr_jupyter.config.options import Options
from buildr_jupyter.context.folder import cache_key
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.events.event import Event
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.pipeline.planner import CellSource, ContextSource, Source, default_name

__all__ = ["BuildOrder", "Display", "Expected", "ExportRequest"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a program has to print to be proven."""

    stdout: str | None = None
    """What the cell's last run printed; None where that is not known."""
    has_gaps: bool = False
    """Whether what is known has gaps: a kernel publishes what display() shows and keeps none of it."""

    @classmethod
    def of(cls, source: Source) -> Expected:
        """Return what the last run of a source's cell printed."""
        if not isinstance(source, CellSource):
            return cls()
        has_gaps = source.namespace is not None and "display" in source.target.body
        return cls(None if has_gaps else source.target.stdout, has_gaps)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What an entry point asks for: a program, and what is to be done with its image."""

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
    proofs: MutableMapping[str, object] | None = field(default=None, repr=False, compare=False)
    """What a kernel remembers of programs that were proven (``pipeline/verify.py``); None: nothing."""
    warnings: tuple[BuildWarning, ...] = ()
    """What was learned before: settings files and options of the notebook's line that do not count."""

    made_here: set[str] = field(default_factory=set, repr=False, compare=False)
    """Ids of the images that were built from cells of this kernel: their pickles are read. A session shares one set."""
    shows_objects: bool = False
    """Whether who asks can show objects of a run as a notebook does: tables, pictures, Markdown."""

    @property
    def refs(self) -> tuple[ImageRef, ...]:
        """The references that the image gets, the main one first."""
        return self.options.refs(default_name(self.source))

    @property
    def namespace(self) -> Mapping[str, object] | None:
        """The live names of the kernel that the program comes from, None where it comes from a file."""
        return self.source.namespace if isinstance(self.source, CellSource) else None

    @property
    def context(self) -> Path:
        """Where the context of the image is kept: ``--context``, else a folder of the user's cache."""
        if isinstance(self.source, ContextSource):
            return self.source.folder
        if self.options.context:
            return self.options.context
        from platformdirs import user_cache_path

        target = self.source.target if isinstance(self.source, CellSource) else None
        cell = (target.id or str(target.index)) if target else None
        key = cache_key(self.notebook_path, cell, {"name": self.refs[0].name})
        return user_cache_path("buildr") / "contexts" / key

    def order(self) -> BuildOrder:
        """Return what is left to do once the program was found."""
        return BuildOrder(
            options=self.options,
            refs=self.refs,
            context=self.context,
            folder=self.source.folder,
            executor=self.executor,
            notebook_path=self.notebook_path,
            shows_objects=self.shows_objects,
            own_context=isinstance(self.source, ContextSource),
            expected=Expected.of(self.source),
            environ=self.environ,
            builder=self.builder,
            namespace=self.namespace,
            made_here=self.made_here,
        )


_OF_THIS_PROCESS = frozenset(("environ", "builder", "namespace", "made_here"))
"""Fields of an order that stay in the process that made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOrder:
    """What is built of a program that was found, pushed and run."""

    options: Options
    refs: tuple[ImageRef, ...]
    """The references that the image gets, the main one first."""
    context: Path
    """The context folder."""
    folder: Path
    """The notebook's folder: a run's ``output/`` lies in it, and files that the grid names."""
    executor: str = "docker"
    notebook_path: Path | None = None
    own_context: bool = False
    """The context folder is the user's own, and is built as it stands."""
    shows_objects: bool = False
    """Whether the program is asked to frame what its objects look like, for a notebook that shows it."""
    origin: str = "--map "
    """What an error about an input says before its name."""
    expected: Expected = Expected()
    """What the program has to print, for ``--check=image``."""
    reads_values: bool = True
    """Whether returned files become values in this process."""
    environ: Mapping[str, str] = field(repr=False)
    builder: builders.Builder | None = None
    """None: the one that the options name."""
    namespace: Mapping[str, object] | None = field(default=None, repr=False, compare=False)
    """The live names of the kernel that the program comes from, None where it comes from a file."""
    made_here: set[str] = field(default_factory=set, repr=False, compare=False)
    """Ids of the images that were built from cells of this kernel: their pickles are read."""

    def by_name(self) -> dict[str, object]:
        """Return the fields that another process is given, each under its name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in _OF_THIS_PROCESS}

    @classmethod
    def from_names(cls, given: Mapping[str, Any], environ: Mapping[str, str]) -> BuildOrder:
        """Return the order of ``by_name`` in another process, which has its own environment and reads no values.

        Raises TypeError for a name that is no field.
        """
        return cls(**{**given, "environ": environ, "reads_values": False})

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
            claims=options.claims,
            collect=options.collect,
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


def _builder(job: BuildOrder) -> builders.Builder:
    return job.builder or builders.select(job.options.builder)
