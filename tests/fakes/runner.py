"""Runner in memory, with the seam of a real one: what it started lives in a ``Backend`` that outlives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from buildr_jupyter.errors import Cancelled, OptionError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.in_image import parameters, returns
from buildr_jupyter.model.capabilities import RunnerCapabilities
from buildr_jupyter.model.request import Collection, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.model.sweep import RunGroup

Program = Callable[[dict[str, Any]], dict[str, Any]]
"""Inputs that were given, to values that are returned; an exception is status 1."""


@dataclass
class Backend:
    """The containers, by the id of each, and how often each program ran."""

    program: Program
    groups: dict[str, tuple[RunGroup, RunSpec]] = field(default_factory=dict)
    started: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: dict[str, str] = field(default_factory=dict)
    """What each program that failed has said; it leaves that as a file, too."""
    files: dict[str, str] = field(default_factory=dict)
    """Name in /app/output to content of what each program that ends with status 0 leaves beside its values."""
    collects: Collection | None = None
    """What it says of each group."""
    most: int = 0
    """The most that were there at once."""


@dataclass
class FakeRunner:
    """Implements the protocol; a program runs when its end is waited for."""

    backend: Backend
    name: str = "fake"

    def capabilities(self) -> RunnerCapabilities:
        return RunnerCapabilities()

    def stream_run(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunResult]:
        group = yield from self.start(spec, cancel)
        (ended,) = yield from self.follow(group, cancel)
        self.remove(group)
        return ended

    def start(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        given = json.loads(dict(spec.environment).get(parameters.ALL, "{}"))
        group = RunGroup(spec.name, (f"id-{spec.name}",), dict(spec.labels))
        with self.backend.lock:
            self.backend.started.append(given)
            self.backend.groups[group.runs[0]] = (group, spec)
            self.backend.most = max(self.backend.most, len(self.backend.groups))
        yield RunOutput("stdout", "")
        return group

    def deploy(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        raise OptionError("it keeps nothing")
        yield

    def follow(self, group: RunGroup, cancel: CancelToken) -> Generator[Event, None, list[RunResult]]:
        if cancel.is_set():
            raise Cancelled("cancelled")
        if group.runs[0] not in self.backend.groups:
            raise RunLost("it is gone")
        yield RunOutput("stdout", "")
        try:
            self._values(group.runs[0])
        except Exception as error:  # noqa: BLE001 - the program's own
            self.backend.failed[group.runs[0]] = str(error)
            return [RunResult(1, log_tail=(str(error),))]
        return [RunResult(0, duration_s=0.5)]

    def _values(self, run: str) -> dict[str, Any]:
        _, spec = self.backend.groups[run]
        return self.backend.program(json.loads(dict(spec.environment)[parameters.ALL]))

    def collect(
        self, run: str, into: Path, cancel: CancelToken, wanted: Collection | None = None
    ) -> Generator[Event, None, tuple[Path, ...]]:
        if run in self.backend.failed:
            (into / "why").write_text(self.backend.failed[run])
            return (into / "why",)
        values = self._values(run)
        returns.write(values, tuple(values), str(into))
        asked = self.backend.groups[run][1].collect if wanted is None else wanted
        for name, text in self.backend.files.items():
            if asked.takes(f"/app/output/{name}", "/app"):
                (into / name).write_text(text)
        yield RunOutput("stdout", "")
        return tuple(sorted(path for path in into.rglob("*") if path.is_file()))

    def stop(self, group: RunGroup) -> None:
        pass

    def list(self) -> list[RunGroup]:
        with self.backend.lock:  # another thread may start one meanwhile
            return [replace(group, collects=self.backend.collects) for group, _ in self.backend.groups.values()]

    def remove(self, group: RunGroup) -> None:
        with self.backend.lock:
            self.backend.groups.pop(group.runs[0], None)
            self.backend.failed.pop(group.runs[0], None)
