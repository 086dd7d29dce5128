"""Detached build: a helper process finishes it where its kernel leaves, and any later kernel follows what it writes.

The kernel finds the program and looks for what must not leave; the context folder then holds all that the build needs.
A process of its own, in a session of its own, builds, publishes and runs from there. It writes what happens as lines of
JSON into a folder of the user's cache that it holds a lock on, so that a later kernel can tell whether it still runs.
Options and the settings of package indexes go to it through a pipe, the environment as a child gets it: neither is ever
in a file or among its arguments.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.errors import BuildError, BuildrError, Cancelled
from buildr_jupyter.events import codec
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline import stages as pipeline
from buildr_jupyter.pipeline import values
from buildr_jupyter.pipeline.cell_names import CellNames
from buildr_jupyter.pipeline.driver import drive_events
from buildr_jupyter.pipeline.job import BuildOrder, ExportRequest
from buildr_jupyter.pipeline.planner import Assembly
from buildr_jupyter.pipeline.verify import Settled
from buildr_jupyter.process import locks
from buildr_jupyter.secretscan.redact import masked_events

__all__ = ["DetachedBuild", "places", "stream"]

_LOOK_EVERY_S = 0.05
_KEPT_S = 7 * 86400.0
_LOG, _ABOUT, _CANCEL = "events.jsonl", "about.json", "cancel"


@dataclass(frozen=True)
class DetachedBuild:
    """Where a helper writes what happens."""

    folder: Path

    @property
    def reference(self) -> str:
        """The image that is built."""
        return str(self._about().get("reference", "?"))

    def _about(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / _ABOUT).read_bytes())
            return found if isinstance(found, dict) else {}
        return {}

    def running(self) -> bool:
        """Tell whether its helper lives."""
        handle = locks.hold(self.folder)
        if handle is not None:
            os.close(handle)
        return handle is None

    def end(self) -> BuildResult | BaseException | None:
        """Return how it ended, None where it has not, or was killed."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            last = codec.from_line((self.folder / _LOG).read_bytes().splitlines()[-1])
            if isinstance(last, (BuildResult, BaseException)):
                return last
        return None

    def said(self) -> str:
        """Return in a few words how it is, or ended."""
        ended = self.end()
        if isinstance(ended, BuildResult):
            return f"done, {ended.image_id or ended.digest or ''}".rstrip(", ")
        if isinstance(ended, Cancelled):
            return "cancelled"
        if isinstance(ended, BaseException):
            return f"failed, {ended}"
        if self.running():
            return "running"
        return "cancelled" if self.cancelled() else "its helper was killed"

    def cancelled(self) -> bool:
        """Tell whether its end was asked for."""
        return (self.folder / _CANCEL).exists()


def places() -> list[DetachedBuild]:
    """Return the kept builds of this user, the oldest first; those of a week ago are removed."""
    found = []
    for folder in _home().glob("[0-9]*"):
        with contextlib.suppress(OSError):
            age_s = time.time() - folder.stat().st_mtime
            if age_s > _KEPT_S and not DetachedBuild(folder).running():
                shutil.rmtree(folder, ignore_errors=True)
            else:
                found.append(DetachedBuild(folder))
    return sorted(found, key=lambda place: place.folder.name)


def _home() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("buildr") / "kept"


# -- in the kernel


def stream(job: ExportRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    """Do what ``pipeline.stream`` does, the build and what follows in a helper process. Raises as that does."""

    def work() -> Generator[Event, None, BuildResult]:
        assembly = yield from pipeline.stream_prepared(job, cancel)
        settled = yield from pipeline.stream_settled(job, assembly, cancel)
        proof = None
        if settled is not None:
            assembly, proof = settled.assembly, settled.proof
        order = job.order()
        pipeline.write_context(assembly.plan, order.context)
        place, helper = _start(order, assembly, proof)

        def stop() -> None:
            (place.folder / _CANCEL).touch(mode=0o600)  # for one that is still starting and hears no signal
            helper.send_signal(signal.SIGINT)  # sent to none that has ended

        undo = cancel.on_cancel(stop)
        try:
            result = yield from _follow(place, helper)
            values.remember(order, result)
            return (yield from values.stream_values(order, result))
        finally:
            undo()

    return (yield from masked_events(CellNames.of(job).stream(work()), job.environ))


def _start(order: BuildOrder, assembly: Assembly, proof: Proof | None) -> tuple[DetachedBuild, subprocess.Popen[bytes]]:
    place = DetachedBuild(_home() / f"{time.time_ns()}-{os.getpid()}")
    locks.private_folder(place.folder)
    locks.write_private(place.folder / _ABOUT, json.dumps({"reference": str(order.refs[0])}).encode())
    locks.write_private(place.folder / _LOG)
    locks.write_private(place.folder / "helper.log")
    root = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from buildr_jupyter.pipeline.detached import main; main()"
    with (place.folder / "helper.log").open("wb") as log:
        helper = subprocess.Popen(
            [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=log, stderr=log, env=dict(order.environ),
            start_new_session=True,
        )  # fmt: skip
    told = {
        "place": place.folder, "order": order.by_name(), "settings": assembly.settings, "warnings": assembly.warnings,
        "proof": proof,
    }  # fmt: skip
    assert helper.stdin is not None
    with contextlib.suppress(OSError), helper.stdin:  # a helper that ends before it has read it says why in its log
        helper.stdin.write(pickle.dumps(told))
    return place, helper


def _follow(place: DetachedBuild, helper: subprocess.Popen[bytes]) -> Generator[Event, None, BuildResult]:
    """Yield the events that the helper writes, return its result, raise its error."""
    for found in _iter_lines(place.folder / _LOG, helper):
        if isinstance(found, BuildResult):
            return found
        if isinstance(found, BaseException):
            raise found
        assert isinstance(found, Event), found
        yield found
    if (place.folder / _CANCEL).exists():
        raise Cancelled("the work was cancelled")
    said = (place.folder / "helper.log").read_text(errors="replace").strip().splitlines()
    raise BuildError(
        f"Image build failed: the helper process ended with status {helper.returncode}",
        hint=said[-1] if said else "build again: it was killed",
    )


def _iter_lines(path: Path, helper: subprocess.Popen[bytes]) -> Iterator[object]:
    """Yield the values of the file's whole lines as they are written, until the helper has ended and all are read."""
    rest = b""
    with path.open("rb") as file:
        while True:
            ended = helper.poll() is not None
            rest += file.read()
            *whole, rest = rest.split(b"\n")
            for line in whole:
                yield codec.from_line(line)
            if ended and not whole:
                return
            if not whole:
                time.sleep(_LOOK_EVERY_S)


# -- in the helper


class _File:
    """The display that writes events down."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, state: BuildState, title: str) -> None:
        """Nothing to write yet."""

    def draw(self, state: BuildState, events: list[Event]) -> None:
        """Write the events, all of them whole."""
        self.write(*events)

    def close(self, state: BuildState) -> None:
        """Nothing more: how it ended is written by who knows."""

    def write(self, *values: object) -> None:
        """Append a line for each value."""
        with self._path.open("a", encoding="ascii") as file:
            file.write("".join(codec.to_line(value) + "\n" for value in values))


def main() -> None:
    """Read the order from standard input and carry it out; how it ended is the last line of the file."""
    # A kernel between two cells ignores interrupts, and what is ignored is handed on: a cancel would not be heard.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - a pipe from the process that started us
    place, proof = told["place"], told["proof"]
    held = locks.hold(place)
    order = BuildOrder.from_names(told["order"], dict(os.environ))
    assembly = Assembly(ImagePlan.from_folder(order.context), told["settings"], None, told["warnings"])
    settled = Settled(assembly, proof) if proof is not None else None
    display, token = _File(place / _LOG), CancelToken()
    work = pipeline.stream_rest(order, assembly, token, time.monotonic(), settled)
    end: BuildResult | BaseException
    try:
        if DetachedBuild(place).cancelled():
            raise KeyboardInterrupt
        end = drive_events(masked_events(work, order.environ), order.refs, [display], cancel=token)
    except KeyboardInterrupt:
        end = Cancelled("the work was cancelled")
    except BuildrError as error:
        end = error
    display.write(end)
    if held is not None:
        os.close(held)
