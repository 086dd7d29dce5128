"""Sweeps: groups of runs in a backend, and what the runs of a grid came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, overload

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.request import Collection
from buildr_jupyter.model.result import RunResult

__all__ = ["RunGroup", "SweepResult"]

_SCALARS = (bool, int, float, str)


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs that a backend accepted under one name; it lives without the process that started it."""

    name: str
    runs: tuple[str, ...]
    """What the backend calls each of them: container ids."""
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    state: str = field(default="", compare=False)
    """How far it is, where the backend tells that in its list: running, done, failed."""
    image: str = field(default="", compare=False)
    started: str = field(default="", compare=False)
    """When it was made, as ISO text; empty where the list does not tell."""
    collects: Collection | None = field(default=None, compare=False)
    """Which of its runs' files can be collected; None: those of any collection."""


@dataclass(frozen=True, slots=True, eq=False)
class SweepResult(Sequence[RunResult]):
    """What the runs of a grid came to, in the order of the grid."""

    runs: tuple[RunResult, ...]
    image: str = ""
    again: Callable[[], SweepResult] | None = field(default=None, repr=False)
    """Runs what failed once more; None where nothing can."""

    @overload
    def __getitem__(self, place: int) -> RunResult: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[RunResult, ...]: ...
    def __getitem__(self, place: int | slice) -> RunResult | tuple[RunResult, ...]:
        return self.runs[place]

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.runs)

    @property
    def failed(self) -> tuple[RunResult, ...]:
        """The runs that did not end with status 0."""
        return tuple(run for run in self.runs if run.state != "done")

    def values(self, name: str) -> list[object]:
        """Return what each run gave back under this name, in the order of the grid; None for a run that gave none."""
        return [run.values.get(name) for run in self.runs]

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with a row for each run: its inputs, state, seconds, and returned scalars."""
        return import_module("pandas").DataFrame([_record(run) for run in self.runs])

    def rerun_failed(self) -> SweepResult:
        """Run what failed once more and return the whole; what is done stays as it is. Raises OptionError."""
        if self.again is None:
            raise OptionError("these runs belong to no cell that can run again", hint="run the cell again")
        return self.again()

    def __repr__(self) -> str:
        done = len(self.runs) - len(self.failed)
        return f"SweepResult({self.image!r}, {len(self.runs)} runs: {done} done, {len(self.failed)} failed)"


def _record(run: RunResult) -> dict[str, object]:
    scalars = {one.name: run.values.get(one.name) for one in run.returned if one.format == "json"}
    shown = {name: value for name, value in scalars.items() if value is None or isinstance(value, _SCALARS)}
    return {**run.inputs, "state": run.state, "seconds": round(run.duration_s, 3), **shown}
