"""Values of a run: its returned files checked, and read where the image may be trusted."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.errors import JournalError
from buildr_jupyter.events.event import Event
from buildr_jupyter.journal.journal import Journal, data_folder
from buildr_jupyter.model.interface import Interface
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult, Returned
from buildr_jupyter.pipeline.job import BuildOrder
from buildr_jupyter.runner.values import check_returned, read_returned

__all__ = ["LazyValues", "is_trusted", "remember", "stream_values", "with_returned"]


def remember(job: BuildOrder, result: BuildResult) -> None:
    """Note that an image was built now from cells of a kernel, in memory and in the journal."""
    if result.cached or not result.image_id or job.namespace is None:
        return
    job.made_here.add(result.image_id)
    with suppress(JournalError):  # it is needed by later kernels only
        Journal(data_folder()).remember_image(result.image_id, now=time.time())


def is_trusted(job: BuildOrder, image_id: str | None) -> bool:
    """Tell whether pickles of an image are read: a kernel of this user built it, or ``--trust-image`` names its id."""
    if image_id is None or job.namespace is None:
        return False
    if image_id in job.made_here or image_id in job.options.trust_images:
        return True
    with suppress(JournalError):
        return Journal(data_folder()).made_image(image_id)
    return False


class LazyValues(Mapping[str, object]):
    """Returned values by name, each read when it is asked for: a sweep may have more than memory holds.

    A pickle of an image that is not trusted is not among them.
    """

    def __init__(
        self, returned: Sequence[Returned], *, trusted: bool, namespace: Mapping[str, object] | None = None
    ) -> None:
        self._files = {one.name: one for one in returned if trusted or one.format != "pickle"}
        self._trusted, self._namespace = trusted, namespace

    def __getitem__(self, name: str) -> object:
        """Return the value; raises KeyError, and ReturnError where it cannot be read."""
        values, _ = read_returned([self._files[name]], trusted=self._trusted, namespace=self._namespace)
        return values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def with_returned(result: BuildResult, output: Path, written: Sequence[Path]) -> BuildResult:
    """Return the result with the files of its run's values, checked; raises ReturnError."""
    names = [one.name for one in Interface.from_label(result.interface).returns] if result.interface else []
    if not names or result.run is None:
        return result
    return replace(result, run=replace(result.run, returned=check_returned(output, names, written)))


def stream_values(job: BuildOrder, result: BuildResult) -> Generator[Event, None, BuildResult]:
    """Return the result with the values of its run; a warning names those that stay files. Raises ReturnError.

    A pickle is read only where ``is_trusted`` says so of its image.
    """
    if result.run is None or not result.run.returned:
        return result
    trusted = is_trusted(job, result.image_id)
    values, kept = read_returned(result.run.returned, trusted=trusted, namespace=job.namespace)
    for one in kept:
        yield BuildWarning(
            f"{one.name} ({one.type}) stays a file, {one.path}: a pickle of an image that no kernel of yours made",
            hint=f"give --trust-image {result.image_id}, if you trust it",
        )
    return replace(result, run=replace(result.run, values=values))
