"""Sweeps on a runner in memory: order, what is done once, failures, retries, and processes that are killed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import Cancelled, EngineUnavailable, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import RunOutput, RunUpdate
from buildr_jupyter.events.streams import drain
from buildr_jupyter.in_image import parameters
from buildr_jupyter.journal.journal import Journal
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Collection, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.runner.grid import Point, run_key
from buildr_jupyter.runner.sweep import KEY_LABEL, Sweep, Task
from buildr_jupyter.runner.values import read_returned
from tests.fakes.runner import Backend, FakeRunner


def tasks(numbers: range) -> list[Task]:
    found = []
    for place, number in enumerate(numbers):
        point = Point({"n": number}, {"n": number}, identity={"n": number})
        key = run_key("sha256:1", point)
        assert key is not None
        spec = RunSpec(
            "x:1", f"buildr-{key[:24]}", environment=((parameters.ALL, json.dumps({"n": number})),),
            labels=((KEY_LABEL, key),),
        )  # fmt: skip
        found.append(Task(place, point, key, True, f"n={number}", {"n": number}, spec))
    return found


def sweep(folder: Path, backend: Backend, **changes: Any) -> Sweep:
    journal = changes.pop("journal", None) or Journal(folder)
    return Sweep(lambda: FakeRunner(backend), folder, journal, "x:1", "sha256:1", ("double",), **changes)


def run(
    how: Sweep, work: list[Task], cancel: CancelToken | None = None, warnings: list[str] | None = None
) -> tuple[list[RunUpdate], list[RunResult]]:
    stream = how.stream(work, len(work), cancel or CancelToken())
    events: list[RunUpdate] = []
    while True:
        try:
            event = next(stream)
        except StopIteration as stop:
            return events, stop.value
        if isinstance(event, BuildWarning) and warnings is not None:
            warnings.append(event.text)
            continue
        assert isinstance(event, RunUpdate)
        events.append(event)


def double(given: dict[str, Any]) -> dict[str, Any]:
    return {"double": given["n"] * 2}


def values(results: list[RunResult]) -> list[Any]:
    return [read_returned(one.returned, trusted=False)[0].get("double") for one in results]


def test_results_have_the_order_of_the_grid_and_each_phase_is_said(tmp_path: Path) -> None:
    backend = Backend(double)
    events, results = run(sweep(tmp_path, backend, jobs=3), tasks(range(5)))
    assert values(results) == [0, 2, 4, 6, 8]
    assert [one.inputs for one in results] == [{"n": n} for n in range(5)]
    assert {one.state for one in results} == {"done"}
    of_one = [event.phase for event in events if event.number == 2]
    assert of_one == ["waiting", "starting", "running", "collecting", "done"]
    assert backend.groups == {}
    assert 1 <= backend.most <= 3


def test_what_is_done_is_not_done_again_unless_it_is_asked_for(tmp_path: Path) -> None:
    backend = Backend(double)
    run(sweep(tmp_path, backend), tasks(range(3)))
    events, results = run(sweep(tmp_path, backend), tasks(range(5)))
    assert [given["n"] for given in backend.started] == [0, 1, 2, 3, 4]
    assert [one.reused for one in results] == [True, True, True, False, False]
    assert values(results) == [0, 2, 4, 6, 8]
    assert [event.reused for event in events if event.phase == "done"].count(True) == 3
    run(sweep(tmp_path, backend, again=True), tasks(range(2)))
    assert [given["n"] for given in backend.started][5:] == [0, 1]


def asking(collect: Collection, count: int = 1) -> list[Task]:
    return [replace(task, spec=replace(task.spec, collect=collect)) for task in tasks(range(count))]


NOTHING, ALL, TABLES = Collection(nothing=True), Collection(), Collection(("*.csv",))


def test_a_run_counts_as_done_if_it_has_the_files_that_are_asked_for_now(tmp_path: Path) -> None:
    backend = Backend(double, files={"a.csv": "1", "b.txt": "2"})

    def names(collect: Collection) -> tuple[bool, list[str]]:
        _, (ended,) = run(sweep(tmp_path, backend), asking(collect))
        assert values([ended]) == [0]
        return ended.reused, [path.name for path in ended.outputs]

    assert names(NOTHING) == (False, [])
    assert names(NOTHING) == (True, [])
    assert names(TABLES) == (False, ["a.csv"]), "it was run without them"
    assert names(TABLES) == (True, ["a.csv"])
    assert names(NOTHING) == (True, []), "what is asked for now is less"
    assert names(ALL) == (False, ["a.csv", "b.txt"])
    assert names(TABLES)[0], "all of them are there"
    assert names(ALL) == (True, ["a.csv", "b.txt"])
    assert len(backend.started) == 3


def test_kept_files_without_a_note_of_what_they_are_count_for_their_values_alone(tmp_path: Path) -> None:
    backend = Backend(double, files={"a.csv": "1"})
    run(sweep(tmp_path, backend), asking(ALL))
    for path in (tmp_path / "values").glob("*/.buildr/collected.json"):
        path.unlink()
    assert [run(sweep(tmp_path, backend), asking(one))[1][0].reused for one in (NOTHING, ALL, ALL)] == [
        True, False, True,
    ]  # fmt: skip


def test_what_an_earlier_process_started_gives_the_files_that_are_asked_for_now(tmp_path: Path) -> None:
    backend = Backend(double, files={"a.csv": "1"})
    drain(FakeRunner(backend).start(asking(NOTHING)[0].spec, CancelToken()))
    _, (ended,) = run(sweep(tmp_path, backend), asking(ALL))
    assert ([path.name for path in ended.outputs], len(backend.started)) == (["a.csv"], 1)


@pytest.mark.parametrize(("collects", "started"), [(ALL, 1), (NOTHING, 2)])
def test_what_was_left_and_cannot_give_those_files_is_run_anew(
    tmp_path: Path, collects: Collection, started: int
) -> None:
    backend = Backend(double, files={"a.csv": "1"}, collects=collects)
    drain(FakeRunner(backend).start(asking(collects)[0].spec, CancelToken()))
    _, (ended,) = run(sweep(tmp_path, backend), asking(TABLES))
    assert ([path.name for path in ended.outputs], len(backend.started)) == (["a.csv"], started)
    assert backend.groups == {}


def test_a_file_that_is_left_out_is_said_and_asked_for_by_name_it_is_run_anew(tmp_path: Path) -> None:
    class Large(FakeRunner):
        def collect(self, run: str, into: Path, cancel: CancelToken, wanted: Collection | None = None) -> Any:
            if wanted is not None and not wanted.patterns:
                yield BuildWarning("a.csv has 2.0 GB and is left in the container")
                self.backend.files.clear()
            else:
                self.backend.files["a.csv"] = "1"
            return (yield from super().collect(run, into, cancel, wanted))

    backend, told = Backend(double), []
    how = replace(sweep(tmp_path, backend), runner=lambda: Large(backend))
    reused = [run(how, asking(one), warnings=told)[1][0].reused for one in (ALL, ALL, TABLES, TABLES)]
    assert reused == [False, True, False, True]
    assert told == ["a.csv has 2.0 GB and is left in the container"]


@pytest.mark.parametrize("harm", ["content", "gone", "manifest"])
def test_files_that_are_not_what_they_were_are_made_anew(tmp_path: Path, harm: str) -> None:
    backend = Backend(double)
    run(sweep(tmp_path, backend), tasks(range(1)))
    (place,) = (tmp_path / "values").iterdir()
    value = place / ".buildr" / "returns" / "double.json"
    act: dict[str, Callable[[], Any]] = {
        "content": lambda: value.write_text("7"), "gone": value.unlink,
        "manifest": (value.parent / "manifest.json").unlink,
    }  # fmt: skip
    act[harm]()
    _, results = run(sweep(tmp_path, backend), tasks(range(1)))
    assert len(backend.started) == 2
    assert values(results) == [0]


def test_a_run_that_fails_is_a_result_and_is_tried_again(tmp_path: Path) -> None:
    tried: list[int] = []

    def sometimes(given: dict[str, Any]) -> dict[str, Any]:
        tried.append(given["n"])
        if given["n"] == 1 and tried.count(1) < 3:
            raise ValueError("not yet")
        return double(given)

    _, results = run(sweep(tmp_path, Backend(sometimes)), tasks(range(2)))
    assert [(one.state, one.reason, one.log_tail) for one in results] == [
        ("done", "", ()), ("failed", "the program ended with status 1", ("not yet",)),
    ]  # fmt: skip
    _, results = run(sweep(tmp_path, Backend(sometimes), retries=2), tasks(range(2)))
    assert [one.state for one in results] == ["done", "done"]
    rows = Journal(tmp_path).rows()
    assert [(row.state, row.attempt) for row in reversed(rows)] == [
        ("done", 1), ("failed", 1), ("failed", 1), ("done", 2),
    ]  # fmt: skip


def test_what_a_run_that_fails_has_written_is_kept_beside_what_is_done(tmp_path: Path) -> None:
    fails: list[bool] = [False]

    def program(given: dict[str, Any]) -> dict[str, Any]:
        if fails[0]:
            raise ValueError("so far")
        return double(given)

    backend = Backend(program)
    run(sweep(tmp_path, backend), tasks(range(1)))
    fails[0] = True
    _, (failed,) = run(sweep(tmp_path, backend, again=True), tasks(range(1)))
    assert (failed.state, failed.returned) == ("failed", ())
    assert [path.read_text() for path in failed.outputs] == ["so far"]
    _, (kept,) = run(sweep(tmp_path, backend), tasks(range(1)))  # the run that was done is still what it was
    assert (kept.reused, values([kept])) == (True, [0])
    fails[0] = False
    run(sweep(tmp_path, backend, again=True), tasks(range(1)))
    assert not failed.outputs[0].exists()


def test_fail_fast_leaves_the_rest(tmp_path: Path) -> None:
    def never(given: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no")

    backend = Backend(never)
    _, results = run(sweep(tmp_path, backend, fail_fast=True), tasks(range(4)))
    assert [one.state for one in results] == ["failed", "cancelled", "cancelled", "cancelled"]
    assert len(backend.started) == 1


def test_a_cancel_stops_it_and_what_was_done_stays_done(tmp_path: Path) -> None:
    cancel = CancelToken()

    def until(given: dict[str, Any]) -> dict[str, Any]:
        if given["n"] == 2:
            cancel.set()
        return double(given)

    backend = Backend(until)
    with pytest.raises(Cancelled):
        run(sweep(tmp_path, backend), tasks(range(5)), cancel)
    assert backend.groups == {}
    assert sum(row.state == "done" for row in Journal(tmp_path).rows()) >= 2
    _, results = run(sweep(tmp_path, Backend(double)), tasks(range(5)))
    assert values(results) == [0, 2, 4, 6, 8]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("where", ["start", "follow", "collect", "remove"])
def test_a_process_that_is_killed_anywhere_leaves_each_input_done_once(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Backend(double)
    real = getattr(FakeRunner, where)

    def dies(self: FakeRunner, *args: Any, **more: Any) -> Any:
        if where == "start":
            for _ in real(self, *args, **more):  # the engine has it, and nobody knows
                pass
        raise Killed

    monkeypatch.setattr(FakeRunner, where, dies)
    with pytest.raises(Killed):
        run(sweep(tmp_path, backend), tasks(range(1)))
    monkeypatch.setattr(FakeRunner, where, real)
    assert len(backend.groups) == 1
    _, results = run(sweep(tmp_path, backend), tasks(range(1)))
    assert values(results) == [0]
    assert len(backend.started) == 1, "it was followed and not begun anew"
    assert backend.groups == {}
    assert [row.state for row in Journal(tmp_path).rows()] == ["done"]


def test_two_sweeps_at_once_do_each_run_once(tmp_path: Path) -> None:
    gate = threading.Barrier(2, timeout=20)
    backend = Backend(double)
    found: list[list[Any]] = []

    def work() -> None:
        gate.wait()
        found.append(values(run(sweep(tmp_path, backend, jobs=2), tasks(range(10)))[1]))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[2 * n for n in range(10)]] * 2
    assert sorted(given["n"] for given in backend.started) == list(range(10))
    assert backend.groups == {}


def test_without_a_journal_all_works_but_remembering(tmp_path: Path) -> None:
    backend = Backend(double)
    how = replace(sweep(tmp_path, backend), journal=None)
    for _ in range(2):
        assert values(run(how, tasks(range(2)))[1]) == [0, 2]
    assert len(backend.started) == 4


def test_an_engine_that_goes_away_is_an_error_and_the_runs_stay_in_it(tmp_path: Path) -> None:
    def gone(given: dict[str, Any]) -> dict[str, Any]:
        raise EngineUnavailable("no engine")

    class Away(FakeRunner):
        def follow(self, group: Any, cancel: CancelToken) -> Any:
            raise EngineUnavailable("no engine")
            yield

    backend = Backend(double)
    how = replace(sweep(tmp_path, backend), runner=lambda: Away(backend))
    with pytest.raises(EngineUnavailable):
        run(how, tasks(range(1)))
    assert len(backend.groups) == 1
    assert values(run(sweep(tmp_path, backend), tasks(range(1)))[1]) == [0]
    assert len(backend.started) == 1


def test_what_was_left_and_is_lost_is_run_anew(tmp_path: Path) -> None:
    class Lost(FakeRunner):
        def follow(self, group: Any, cancel: CancelToken) -> Any:
            if len(self.backend.started) == 1:
                raise RunLost("it was made, and never started")
            return (yield from super().follow(group, cancel))

    backend = Backend(double)
    (left,) = tasks(range(1))
    drain(FakeRunner(backend).start(left.spec, CancelToken()))
    how = replace(sweep(tmp_path, backend), runner=lambda: Lost(backend))
    assert values(run(how, [left])[1]) == [0]
    assert backend.groups == {}
    assert [row.state for row in Journal(tmp_path).rows()] == ["done", "lost"]


def test_a_value_that_is_missing_is_a_failed_run_and_leaves_no_files(tmp_path: Path) -> None:
    _, results = run(sweep(tmp_path, Backend(lambda given: {"other": 1})), tasks(range(1)))
    assert (results[0].state, results[0].reason) == ("failed", "the manifest names other values than double: ['other']")
    assert list((tmp_path / "values").iterdir()) == []


def test_a_program_that_is_killed_while_it_writes_its_values_gives_none(tmp_path: Path) -> None:
    class Killed(FakeRunner):
        def follow(self, group: Any, cancel: CancelToken) -> Any:
            yield RunOutput("stdout", "")
            return [RunResult(137, log_tail=("half",))]

        def collect(self, run: str, into: Path, cancel: CancelToken, wanted: Collection | None = None) -> Any:
            half = into / ".buildr" / "returns" / "double.json"
            half.parent.mkdir(parents=True)
            half.write_text("1")
            yield RunOutput("stdout", "")
            return (half,)

    how = replace(sweep(tmp_path, Backend(double)), runner=lambda: Killed(Backend(double)))
    (task,) = tasks(range(1))
    _, (ended,) = run(how, [task])
    assert (ended.state, ended.reason, ended.returned) == ("failed", "the program ended with status 137", ())
    assert Journal(tmp_path).done(task.key) is None


def test_a_disk_that_fills_leaves_no_half_of_a_run(tmp_path: Path) -> None:
    class Full(FakeRunner):
        def collect(self, run: str, into: Path, cancel: CancelToken, wanted: Collection | None = None) -> Any:
            (into / "half").write_text("h")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield

    backend = Backend(double)
    _, (ended,) = run(replace(sweep(tmp_path, backend), runner=lambda: Full(backend)), tasks(range(1)))
    assert ended.state == "failed"
    assert ended.reason.endswith("No space left on device")
    assert list((tmp_path / "values").iterdir()) == []
    assert values(run(sweep(tmp_path, backend), tasks(range(1)))[1]) == [0]


def test_a_clock_that_goes_back_does_no_run_twice_and_none_for_a_negative_time(tmp_path: Path) -> None:
    backend, times = Backend(double), itertools.count(1e9, -100.0)
    events, results = run(sweep(tmp_path, backend, clock=lambda: next(times)), tasks(range(3)))
    assert (values(results), [one.duration_s for one in results]) == ([0, 2, 4], [0.5] * 3)
    assert all(one.finished_at >= one.started_at for one in events if one.started_at and one.finished_at)
    assert [one.reused for one in run(sweep(tmp_path, backend), tasks(range(3)))[1]] == [True] * 3
    assert {row.state for row in Journal(tmp_path).rows()} == {"done"}


def test_a_journal_that_another_process_holds_stops_no_run_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildr_jupyter.journal.journal._WAIT_S", 0.0)
    how, told = sweep(tmp_path, Backend(double)), []
    with contextlib.closing(sqlite3.connect(how.journal.path, isolation_level=None)) as held:  # type: ignore[union-attr]
        held.execute("BEGIN EXCLUSIVE")
        assert values(run(how, tasks(range(3)), warnings=told)[1]) == [0, 2, 4]
    assert [
        text.endswith("database is locked: a later sweep does not know of all runs of this one") for text in told
    ] == [True]
    told.clear()
    assert values(run(how, tasks(range(3)), warnings=told)[1]) == [0, 2, 4]
    assert (told, [row.state for row in Journal(tmp_path).rows()]) == ([], ["done"] * 3)


def test_a_journal_that_was_damaged_meanwhile_stops_no_run(tmp_path: Path) -> None:
    how, told = sweep(tmp_path, Backend(double)), []
    for path in tmp_path.glob("journal.sqlite*"):
        path.unlink()
    (tmp_path / "journal.sqlite").write_bytes(b"this is no database at all" * 100)
    assert values(run(how, tasks(range(2)), warnings=told)[1]) == [0, 2]
    assert [("not a database" in text) for text in told] == [True]
