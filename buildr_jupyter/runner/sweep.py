"""Sweep: the runs of a grid, some at a time, each done once however often its process is killed and begun again.

A run is known by its key. What was done is in the journal, and its files in the user's data folder; what runs still is
found in the backend by its name and followed. A lock on the key keeps two sweeps of the same cell from doing a run
twice. Files are collected into a folder beside, checked, and then renamed: there is never half a run.
"""

from __future__ import annotations

import contextlib
import functools
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from buildr_jupyter.errors import (
    BuildrError,
    Cancelled,
    ClusterUnavailable,
    EngineUnavailable,
    JournalError,
    ReturnError,
    RunError,
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
from buildr_jupyter.runner.kept import has_all_of, note_collected
from buildr_jupyter.runner.protocol import GridRunner, PointEnd, Runner
from buildr_jupyter.runner.values import check_returned, outputs_of

__all__ = ["KEY_LABEL", "Sweep", "Task"]

KEY_LABEL = "io.buildr.run"
"""Label of a sweep's run: its key."""
Collect = Callable[[Path, CancelToken], Generator[Event, None, tuple[Path, ...]]]
Say = Callable[[Event], None]
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
    _forgotten: list[JournalError] = field(default_factory=list, init=False, repr=False, compare=False)
    """Why the journal did not take what it was told."""

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
        yield from self._said_forgotten()
        failures = [error for error in errors if not isinstance(error, Cancelled)]
        if failures:
            raise failures[0]
        if cancel.is_set():
            raise Cancelled("the sweep was cancelled; what was done stays done")
        return [results.get(task.number) or self._cancelled(task) for task in tasks]

    # -- a grid as one group

    def stream_grid(
        self, runner: GridRunner, tasks: Sequence[Task], total: int, cancel: CancelToken
    ) -> Generator[Event, None, list[RunResult]]:
        """Do the tasks as one group of the backend, ``jobs`` at a time; returns and raises as ``stream`` does.

        What an earlier process left there is followed. Two sweeps of the same cell at once follow the same group.
        """
        results: dict[int, RunResult] = {}
        yield from (self._update(task, total, "waiting") for task in tasks)
        for task in tasks:
            if (kept := self._kept(task)) is not None:
                results[task.number] = kept
                said = self._update(task, total, "done", ended=True)
                yield replace(said, reused=True, returned=_scalars(kept))
        for attempt in range(1, self.retries + 2):
            left = [task for task in tasks if not (known := results.get(task.number)) or known.state != "done"]
            if cancel.is_set() or not left or (self.fail_fast and attempt > 1 and _failed(results)):
                break
            if attempt == 1:
                for group, keys in runner.list_grids():
                    at = {key: index for index, key in enumerate(keys)}
                    mine = {at[task.key]: task for task in left if task.key in at and _gives(group, task)}
                    if mine and not _failed(results):
                        yield from self._round(runner, group, len(keys), mine, attempt, total, results, cancel)
                        left = [
                            task for task in left if task.number not in results or results[task.number].state == "lost"
                        ]
            if left and not cancel.is_set() and not (self.fail_fast and _failed(results)):
                specs = [_point_spec(task) for task in left]
                group = yield from runner.start_grid(specs, [task.key for task in left], self.jobs, cancel)
                points = dict(enumerate(left))
                yield from self._round(runner, group, len(left), points, attempt, total, results, cancel)
        for task in tasks:
            known = results.get(task.number)
            if known is None or known.state != "done":
                ended = known or self._cancelled(task)
                said = self._update(task, total, ended.state, ended=True, reason=ended.reason)
                yield replace(said, log_tail=ended.log_tail)
        yield from self._said_forgotten()
        if cancel.is_set():
            raise Cancelled("the sweep was cancelled; what was done stays done")
        return [results.get(task.number) or self._cancelled(task) for task in tasks]

    def _round(
        self,
        runner: GridRunner,
        group: RunGroup,
        points: int,
        tasks: Mapping[int, Task],
        attempt: int,
        total: int,
        results: dict[int, RunResult],
        cancel: CancelToken,
    ) -> Generator[Event, None, None]:
        """Follow one group to its end, collect what is done as it ends, and remove it; ``tasks`` are by index."""
        rows = {index: self._begin(task, attempt, self.clock(), adopted=False) for index, task in tasks.items()}
        began: dict[int, float] = {}
        away = False
        try:
            for told in runner.follow_grid(group, points, cancel):
                if not isinstance(told, PointEnd):
                    yield told
                    continue
                task = tasks.get(told.index)
                if task is None:
                    continue
                began.setdefault(told.index, self.clock())
                if told.result is None:
                    yield self._update(task, total, told.phase, began=began[told.index])
                    continue
                said: list[Event] = []
                result = self._point(runner, group, task, told, _warnings(said.append), cancel)
                yield from said
                results[task.number] = result
                self._end(rows.pop(told.index), result)
                if result.state == "done":
                    yield replace(self._update(task, total, "done", ended=True), returned=_scalars(result))
                elif self.fail_fast:
                    break
        except (Cancelled, RunLost) as error:
            lost = isinstance(error, RunLost)
            for index in rows:
                known = self._cancelled(tasks[index])
                if lost:
                    known = replace(known, state="lost", reason=str(error))
                results[tasks[index].number] = known
        except ClusterUnavailable:
            away = True  # it may come back, and the runs may have gone on in it
            raise
        finally:
            if not away:
                for index, row in rows.items():
                    self._end(row, results.get(tasks[index].number) or self._cancelled(tasks[index]))
                runner.remove(group)

    def _point(
        self, runner: GridRunner, group: RunGroup, task: Task, told: PointEnd, say: Say, cancel: CancelToken
    ) -> RunResult:
        """Return the result of a point that ended, its files collected where it is done."""
        assert told.result is not None
        result = self._described(task, told.result)
        collect = functools.partial(runner.collect_point, group, told.index)
        if result.state != "done":
            if result.exit_code > 0:  # else it has no end of its own: its pod was taken away
                result = self._with_remains(task, result, collect, say, cancel)
            return replace(result, reason=told.reason or result.reason)
        try:
            return self._described(task, self._stored(task, told.result, collect, say, cancel))
        except RunLost as error:
            return replace(self._cancelled(task), state="lost", reason=str(error))
        except (ReturnError, JournalError) as error:
            return replace(self._cancelled(task), state="failed", reason=str(error))

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
            if left is not None and not _gives(left, task):
                runner.remove(left)
                left = None
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
            say(self._update(task, total, "collecting", began=began))
            collect = functools.partial(runner.collect, group.runs[0], wanted=task.spec.collect)
            if ended.exit_code == 0:
                ended = self._stored(task, ended, collect, _warnings(say), cancel)
            else:
                ended = self._with_remains(task, ended, collect, _warnings(say), cancel)
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

    def _with_remains(self, task: Task, ended: RunResult, collect: Collect, say: Say, cancel: CancelToken) -> RunResult:
        """Return the result of a run that failed with the files that it left, where they can be had.

        They are beside those of a run of this key that is done, and go after a day.
        """
        place = place_of(self.folder, f"{task.key}.failed")
        try:
            self._put(place, (), task, collect, say, cancel)
        except (ReturnError, RunError, JournalError):
            return ended  # how the program failed is what has to be told
        files = outputs_of(place, sorted(path for path in place.rglob("*") if path.is_file()))
        if not files:
            shutil.rmtree(place, ignore_errors=True)
        return replace(ended, outputs=files)

    def _stored(self, task: Task, ended: RunResult, collect: Collect, say: Say, cancel: CancelToken) -> RunResult:
        place = place_of(self.folder, task.key)
        self._put(place, self.returns, task, collect, say, cancel)
        shutil.rmtree(place_of(self.folder, f"{task.key}.failed"), ignore_errors=True)
        return self._with_files(task, ended, place)

    def _put(
        self, place: Path, returns: Sequence[str], task: Task, collect: Collect, say: Say, cancel: CancelToken
    ) -> None:
        """Copy the run's files beside their place, check them, and put them there by one rename.

        What did not come is said, and noted with what was asked for.
        """
        left_out: list[Event] = []

        def note(event: Event) -> None:
            if isinstance(event, BuildWarning):
                left_out.append(event)
            say(event)

        private_folder(place.parent)
        half = place.with_name(f"{place.name}.{secrets.token_hex(4)}.part")
        try:
            half.mkdir(mode=0o700)
            written = drain(collect(half, cancel), note)
            if returns:
                check_returned(half, returns, written)
            note_collected(half, task.spec.collect, left_out=bool(left_out))
            shutil.rmtree(place, ignore_errors=True)
            half.rename(place)
        except OSError as error:
            raise ReturnError(f"the files of a run cannot be kept in {place.parent}: {error.strerror}") from error
        finally:
            shutil.rmtree(half, ignore_errors=True)

    def _with_files(self, task: Task, ended: RunResult, place: Path) -> RunResult:
        """Return the result with what is kept of its files, checked anew."""
        files = sorted(path for path in place.rglob("*") if path.is_file())
        returned = check_returned(place, self.returns, files) if self.returns else ()
        outputs = () if task.spec.collect.nothing else outputs_of(place, files)
        return replace(ended, outputs=outputs, returned=returned)

    def _kept(self, task: Task) -> RunResult | None:
        """Return the run that is done already; None where there is none, or its files are not what they were or
        not all that is asked for now."""
        if self.journal is None or self.again or not task.reusable:
            return None
        try:
            row = self.journal.done(task.key)
        except JournalError:
            return None
        if row is None or row.folder is None or not row.folder.is_dir():
            return None
        if not has_all_of(row.folder, task.spec.collect):
            return None
        known = RunResult(0, duration_s=row.duration_s or 0.0, log_tail=row.log_tail)
        try:
            return replace(self._described(task, self._with_files(task, known, row.folder)), reused=True)
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
        try:
            rows = self.journal.unfinished(task.key)
            for row in rows[:-1] if adopted else rows:  # nobody saw them end, and the backend has them no more
                self.journal.end(row.id, "lost", now=now, reason="its process was gone")
            if adopted and rows:
                return rows[-1].id
            return self.journal.begin(
                task.key, image=self.image, image_id=self.image_id, inputs=task.stored, attempt=attempt, now=now
            )
        except JournalError as error:
            self._forgotten.append(error)
        return None

    def _end(self, row: int | None, result: RunResult) -> None:
        if self.journal is None or row is None:
            return
        try:
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
        except JournalError as error:
            self._forgotten.append(error)

    def _said_forgotten(self) -> Iterator[BuildWarning]:
        """Say once that a later sweep does not know of all that was done here."""
        if self._forgotten:
            error = self._forgotten[0]
            yield BuildWarning(f"{error}: a later sweep does not know of all runs of this one", error.hint)
            self._forgotten.clear()

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


def _failed(results: Mapping[int, RunResult]) -> bool:
    return any(result.state == "failed" for result in results.values())


def _gives(group: RunGroup, task: Task) -> bool:
    """Tell whether what an earlier process started can give all the files that are asked for now."""
    return group.collects is None or group.collects.includes(task.spec.collect)


def _point_spec(task: Task) -> RunSpec:
    """Return how a task is run as a point of a grid: what is its own alone is not in the group's labels."""
    labels = tuple(one for one in task.spec.labels if one[0] != KEY_LABEL)
    return replace(task.spec, name="buildr-grid", labels=labels)


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


def _warnings(say: Say) -> Say:
    return lambda event: say(event) if isinstance(event, BuildWarning) else None
