"""Sweep: the runs of a grid, some at a time, each done once however often its process is killed and begun again.

A run is known by its key. What was done is in the journal, and its files in the user's data folder; what runs still is
found in the backend by its name and followed. A lock on the key keeps two sweeps of the same cell from doing a run
twice. Files are collected into a folder beside, checked, and then renamed: there is never half a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from buildr_jupyter.errors import (
    BuildrError,
    Cancelled,
    ClusterUnavailable,
    EngineUnavailable,
    JournalError,
    ReturnError,
    RunLost,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, Phase, RunUpdate
from buildr_jupyter.events.streams import drain
from buildr_jupyter.journal.journal import Journal, place_of
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.process.locks import hold, private_folder
from buildr_jupyter.runner.grid import Point
from buildr_jupyter.runner.protocol import Runner
from buildr_jupyter.runner.values import check_returned, outputs_of

__all__ = ["KEY_LABEL", "Sweep", "Task"]

KEY_LABEL = "io.buildr.run"
"""Label of a sweep's run: its key."""
_LOCK_LOOK_S = 0.1
_QUEUED = 10_000
_SHOWN_BYTES = 200


@dataclass(frozen=True, slots=True)
class Task:
    """One run that is wanted."""

    number: int
    """Its first 0-based place in the grid."""
    point: Point
    key: str
    reusable: bool
    """Whether a run of this key that is done may be taken for it."""
    title: str
    """Its inputs as a person reads them."""
    stored: Mapping[str, Any]
    """Its inputs as the journal keeps them: what is named like a secret as its digest."""
    spec: RunSpec


@dataclass(frozen=True, slots=True)
class Sweep:
    """How the runs of a grid are done."""

    runner: Callable[[], Runner]
    """Gives a runner for one thread."""
    folder: Path
    """The user's data folder."""
    journal: Journal | None
    image: str
    image_id: str
    returns: tuple[str, ...] = ()
    jobs: int = 1
    retries: int = 0
    fail_fast: bool = False
    again: bool = False
    clock: Callable[[], float] = time.time

    def stream(self, tasks: Sequence[Task], total: int, cancel: CancelToken) -> Generator[Event, None, list[RunResult]]:
        """Do the tasks and return how each ended, in their order; a ``RunUpdate`` tells each change.

        A run that fails is a result and no error. Cancelled, what runs is stopped and removed. Raises Cancelled, and
        EngineUnavailable or ClusterUnavailable where what runs them goes away.
        """
        events: queue.Queue[Event | None] = queue.Queue(maxsize=_QUEUED)
        stopped = CancelToken()
        undo = cancel.on_cancel(stopped.set)
        runners: queue.SimpleQueue[Runner] = queue.SimpleQueue()  # each is used by one thread at a time
        runners.put(self.runner())
        known = self._groups(runners)
        results: dict[int, RunResult] = {}
        errors: list[BaseException] = []

        def work(task: Task) -> None:
            try:
                with _borrowed(runners, self.runner) as runner:
                    results[task.number] = self._one(
                        task, total, runner, known.get(task.spec.name), events.put, stopped
                    )
                if self.fail_fast and results[task.number].state == "failed":
                    stopped.set()
            except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
                errors.append(error)
                stopped.set()

        def all_of_them() -> None:
            with ThreadPoolExecutor(max(1, self.jobs), thread_name_prefix="buildr-run") as pool:
                for _ in pool.map(work, tasks):
                    pass
            events.put(None)

        for task in tasks:
            yield self._update(task, total, "waiting")
        thread = threading.Thread(target=all_of_them, name="buildr-sweep", daemon=True)
        thread.start()
        try:
            while (event := events.get()) is not None:
                yield event
        except GeneratorExit:
            stopped.set()
            while events.get() is not None:
                pass
            raise
        finally:
            undo()
        thread.join()
        failures = [error for error in errors if not isinstance(error, Cancelled)]
        if failures:
            raise failures[0]
        if cancel.is_set():
            raise Cancelled("the sweep was cancelled; what was done stays done")
        return [results.get(task.number) or self._cancelled(task) for task in tasks]

    def _groups(self, runners: queue.SimpleQueue[Runner]) -> dict[str, RunGroup]:
        """Return what an earlier process left in the backend, by name."""
        with _borrowed(runners, self.runner) as runner:
            return {group.name: group for group in runner.list() if KEY_LABEL in group.labels}

    # -- one run

    def _one(
        self,
        task: Task,
        total: int,
        runner: Runner,
        left: RunGroup | None,
        say: Callable[[Event], None],
        cancel: CancelToken,
    ) -> RunResult:
        if cancel.is_set():
            say(self._update(task, total, "cancelled", ended=True))
            return self._cancelled(task)
        with self._locked(task, cancel):
            if (kept := self._kept(task)) is not None:
                if left is not None:
                    runner.remove(left)
                say(replace(self._update(task, total, "done", ended=True), reused=True, returned=_scalars(kept)))
                return kept
            result = self._attempt(task, total, 1, runner, left, say, cancel)
            if left is not None and result.state == "lost":  # another process took it away meanwhile
                result = self._attempt(task, total, 1, runner, None, say, cancel)
            for attempt in range(2, self.retries + 2):
                if result.state == "done" or cancel.is_set():
                    break
                result = self._attempt(task, total, attempt, runner, None, say, cancel)
        said = self._update(task, total, result.state, ended=True, reason=result.reason)
        done = result.state == "done"
        if said.finished_at is not None and result.duration_s:
            said = replace(said, started_at=said.finished_at - result.duration_s)
        say(replace(said, log_tail=() if done else result.log_tail, returned=_scalars(result)))
        return result

    def _attempt(
        self,
        task: Task,
        total: int,
        attempt: int,
        runner: Runner,
        left: RunGroup | None,
        say: Callable[[Event], None],
        cancel: CancelToken,
    ) -> RunResult:
        began = self.clock()
        row = self._begin(task, attempt, began, adopted=left is not None)
        group = left
        try:
            if group is None:
                say(self._update(task, total, "starting"))
                group = drain(runner.start(task.spec, cancel))
            began = self.clock()
            say(self._update(task, total, "running", began=began))
            ended = drain(runner.follow(group, cancel), _warnings(say))[0]
            if ended.exit_code == 0:
                say(self._update(task, total, "collecting", began=began))
                ended = self._collected(task, ended, runner, group, cancel)
            result = self._described(task, ended)
        except Cancelled:
            result = self._cancelled(task)
        except RunLost as error:
            result = replace(self._cancelled(task), state="lost", reason=str(error), exit_code=-1)
        except (EngineUnavailable, ClusterUnavailable):
            raise  # it may come back, and the run may have gone on in it
        except BuildrError as error:
            tail = tuple(getattr(error, "log_tail", ()))
            result = replace(
                self._cancelled(task), state="failed", reason=str(error), log_tail=tail, exit_code=-1,
            )  # fmt: skip
        if group is not None and cancel.is_set():
            with contextlib.suppress(BuildrError):
                runner.stop(group)
        self._end(row, result)
        if group is not None:
            runner.remove(group)
        return result

    def _collected(
        self, task: Task, ended: RunResult, runner: Runner, group: RunGroup, cancel: CancelToken
    ) -> RunResult:
        """Copy the run's files beside their place, check them, and put them there by one rename."""
        place = place_of(self.folder, task.key)
        private_folder(place.parent)
        half = place.with_name(f"{place.name}.{secrets.token_hex(4)}.part")
        try:
            half.mkdir(mode=0o700)
            written = drain(runner.collect(group.runs[0], half, cancel))
            if self.returns:
                check_returned(half, self.returns, written)
            shutil.rmtree(place, ignore_errors=True)
            half.rename(place)
        except OSError as error:
            raise ReturnError(f"the files of a run cannot be kept in {place.parent}: {error.strerror}") from error
        finally:
            shutil.rmtree(half, ignore_errors=True)
        return self._with_files(ended, place)

    def _with_files(self, ended: RunResult, place: Path) -> RunResult:
        """Return the result with what is kept of its files, checked anew."""
        files = sorted(path for path in place.rglob("*") if path.is_file())
        returned = check_returned(place, self.returns, files) if self.returns else ()
        return replace(ended, outputs=outputs_of(place, files), returned=returned)

    def _kept(self, task: Task) -> RunResult | None:
        """Return the run that is done already, None where there is none or its files are not what they were."""
        if self.journal is None or self.again or not task.reusable:
            return None
        try:
            row = self.journal.done(task.key)
        except JournalError:
            return None
        if row is None or row.folder is None or not row.folder.is_dir():
            return None
        known = RunResult(0, duration_s=row.duration_s or 0.0, log_tail=row.log_tail)
        try:
            return replace(self._described(task, self._with_files(known, row.folder)), reused=True)
        except ReturnError:
            return None

    def _described(self, task: Task, ended: RunResult) -> RunResult:
        done = ended.exit_code == 0
        return replace(
            ended,
            inputs=task.point.inputs,
            key=task.key,
            state="done" if done else "failed",
            reason="" if done else f"the program ended with status {ended.exit_code}",
        )

    def _cancelled(self, task: Task) -> RunResult:
        return RunResult(-1, inputs=task.point.inputs, key=task.key, state="cancelled", reason="it was cancelled")

    # -- what is remembered and said

    def _begin(self, task: Task, attempt: int, now: float, *, adopted: bool) -> int | None:
        if self.journal is None:
            return None
        with contextlib.suppress(JournalError):
            rows = self.journal.unfinished(task.key)
            for row in rows[:-1] if adopted else rows:  # nobody saw them end, and the backend has them no more
                self.journal.end(row.id, "lost", now=now, reason="its process was gone")
            if adopted and rows:
                return rows[-1].id
            return self.journal.begin(
                task.key, image=self.image, image_id=self.image_id, inputs=task.stored, attempt=attempt, now=now
            )
        return None

    def _end(self, row: int | None, result: RunResult) -> None:
        if self.journal is None or row is None:
            return
        with contextlib.suppress(JournalError):
            self.journal.end(
                row,
                result.state,
                now=self.clock(),
                exit_code=result.exit_code,
                reason=result.reason or None,
                log_tail=result.log_tail,
                duration_s=result.duration_s,
                folder=place_of(self.folder, result.key) if result.state == "done" else None,
            )

    def _update(
        self,
        task: Task,
        total: int,
        phase: Phase,
        *,
        began: float | None = None,
        ended: bool = False,
        reason: str = "",
    ) -> RunUpdate:
        finished = self.clock() if ended else None
        return RunUpdate(task.key, task.number, total, phase, task.title, reason, began, finished)

    @contextlib.contextmanager
    def _locked(self, task: Task, cancel: CancelToken) -> Iterator[None]:
        """Hold the key's lock, waiting for another process that does the same run."""
        path = self.folder / "locks" / task.key
        if sys.platform == "win32":  # there are no such locks
            yield
            return
        try:
            private_folder(path.parent)
            path.touch(mode=0o600)
        except OSError:
            yield  # nothing can be kept there, and so nothing is done twice for it
            return
        handle = hold(path)
        while handle is None and not cancel.wait(_LOCK_LOOK_S):
            path.touch(mode=0o600)
            handle = hold(path)
        try:
            yield
        finally:
            if handle is not None:
                path.unlink(missing_ok=True)
                os.close(handle)


@contextlib.contextmanager
def _borrowed(runners: queue.SimpleQueue[Runner], make: Callable[[], Runner]) -> Iterator[Runner]:
    """Lend a runner that no other thread has, a new one where all are lent."""
    try:
        runner = runners.get_nowait()
    except queue.Empty:
        runner = make()
    try:
        yield runner
    finally:
        runners.put(runner)


def _scalars(result: RunResult) -> tuple[tuple[str, str], ...]:
    """Return the names and texts of what is small enough to be shown while other runs go on."""
    found = []
    for one in result.returned:
        if one.format == "json" and one.size_bytes <= _SHOWN_BYTES:
            with contextlib.suppress(OSError, ValueError):
                value = json.loads(one.path.read_bytes())
                if value is not None and not isinstance(value, (list, dict)):
                    found.append((one.name, value if isinstance(value, str) else json.dumps(value)))
    return tuple(found)


def _warnings(say: Callable[[Event], None]) -> Callable[[Event], None]:
    return lambda event: say(event) if isinstance(event, BuildWarning) else None
