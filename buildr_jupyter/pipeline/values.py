"""Values of a run: its returned files checked, and read where the image may be trusted."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.events.event import Event
from buildr_jupyter.model.interface import Interface
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.job import Job
from buildr_jupyter.pipeline.planner import CellSource
from buildr_jupyter.runner.values import check_returned, read_returned

__all__ = ["from_kernel", "own_folder", "stream_values", "with_returned"]


def own_folder(output: Path) -> Path:
    """Return the folder below a run's output that is ours and no output of the program."""
    return output / ".buildr"


def from_kernel(job: Job) -> bool:
    """Tell whether the program comes from the cells of a kernel that runs here."""
    return isinstance(job.source, CellSource) and job.source.namespace is not None


def with_returned(result: BuildResult, output: Path, written: Sequence[Path]) -> BuildResult:
    """Return the result with the files of its run's values, checked; raises ReturnError."""
    names = [one.name for one in Interface.from_label(result.interface).returns] if result.interface else []
    if not names or result.run is None:
        return result
    return replace(result, run=replace(result.run, returned=check_returned(output, names, written)))


def stream_values(job: Job, result: BuildResult) -> Generator[Event, None, BuildResult]:
    """Return the result with the values of its run; a warning names those that stay files. Raises ReturnError.

    A pickle is read only where its image, by its id, was built from cells of this kernel, or is named by
    ``--trust-image``.
    """
    if result.run is None or not result.run.returned:
        return result
    trusted = result.image_id is not None and result.image_id in {*job.made_here, *job.options.trust_images}
    namespace = job.source.namespace if isinstance(job.source, CellSource) else None
    values, kept = read_returned(result.run.returned, trusted=trusted, namespace=namespace)
    for one in kept:
        yield BuildWarning(
            f"{one.name} ({one.type}) stays a file, {one.path}: a pickle of an image that this kernel did not make",
            hint=f"if you trust it: --trust-image {result.image_id}",
        )
    return replace(result, run=replace(result.run, values=values))
