"""Contract of runners: what holds for each of them, on the fake cluster, the real one and the engines.

A test module has a fixture ``subject`` and a class that inherits from ``RunnerContract``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from buildr_jupyter.errors import Cancelled, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import Collection, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.runner.protocol import Runner

__all__ = ["RunnerContract", "Subject", "collected", "text_of"]

T = TypeVar("T")
WRITES = (
    "import os; out = os.environ['BUILDR_OUTPUT_DIR']; os.makedirs(out + '/sub/deep', exist_ok=True)\n"
    "open(out + '/sub/deep/a.txt', 'w').write('1'); open(out + '/big', 'wb').write(bytes(1 << 20))\n"
)


@dataclass(frozen=True)
class Subject:
    """A kind of runner, and an image whose entrypoint runs the Python text that it is given."""

    make: Callable[[], Runner]
    """Gives a new runner, as another process would have it."""
    image: str

    def spec(self, code: str, **options: Any) -> RunSpec:
        name = options.pop("name", f"run-{secrets.token_hex(4)}")
        return RunSpec(self.image, name, args=(code,), **options)

    def run(self, code: str, **options: Any) -> tuple[list[Event], RunResult]:
        return collected(self.make().stream_run(self.spec(code, **options), CancelToken()))


def collected(stream: Generator[Event, None, T]) -> tuple[list[Event], T]:
    events: list[Event] = []
    return events, drain(stream, events.append)


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, RunOutput))


class RunnerContract:
    """What each runner does."""

    before_its_end = ""
    """What a program does between its last line and its end."""

    def test_output_and_status(self, subject: Subject) -> None:
        events, ended = subject.run("import sys; print('häl'); print('more'); sys.exit(3)")
        assert text_of(events) == "häl\nmore\n"
        assert (ended.exit_code, ended.stdout_tail) == (3, "häl\nmore\n")
        assert [event.status for event in events if isinstance(event, StepUpdate)] == ["running", "failed"]
        assert subject.make().list() == []

    def test_no_line_is_lost_or_doubled(self, subject: Subject) -> None:
        events, ended = subject.run(f"for i in range(20000): print('ü', i)\n{self.before_its_end}")
        assert text_of(events) == "".join(f"ü {i}\n" for i in range(20000))
        assert ended.exit_code == 0

    def test_variables(self, subject: Subject) -> None:
        value = "b 'c' \"d\" $e $(A) $$ \\ ü"
        _, ended = subject.run("import os; print(os.environ['A'])", environment=(("A", value),))
        assert ended.stdout_tail == f"{value}\n"

    def test_words_reach_the_program_as_they_are(self, subject: Subject) -> None:
        _, ended = subject.run("print('$(PATH) $$(PATH) $PATH')")
        assert ended.stdout_tail == "$(PATH) $$(PATH) $PATH\n"

    def test_output_files_come_back(self, subject: Subject, tmp_path: Path) -> None:
        events, ended = subject.run(WRITES + "os.symlink('/etc/passwd', out + '/link')", output_dir=tmp_path)
        assert ended.exit_code == 0
        assert (tmp_path / "sub" / "deep" / "a.txt").read_text() == "1"
        assert (tmp_path / "big").read_bytes() == bytes(1 << 20)
        assert set(ended.outputs) == {tmp_path / "big", tmp_path / "sub" / "deep" / "a.txt"}
        assert ["link" in event.text for event in events if isinstance(event, BuildWarning)] == [True]

    def test_a_run_outlives_who_started_it(self, subject: Subject, tmp_path: Path) -> None:
        labels = (("io.buildr.run", "ab" * 32),)
        spec = subject.spec(WRITES + "print('done')", labels=labels, environment=(("S", "1"),))
        drain(subject.make().start(spec, CancelToken()))
        later = subject.make()
        (group,) = later.list()
        assert (group.name, group.labels["io.buildr.run"]) == (spec.name, "ab" * 32)
        (ended,) = drain(later.follow(group, CancelToken()))
        assert (ended.exit_code, ended.log_tail) == (0, ("done",))
        written = drain(later.collect(group.runs[0], tmp_path, CancelToken()))
        assert tmp_path / "sub" / "deep" / "a.txt" in written
        for wanted, names in ((Collection(nothing=True), []), (Collection(("*.txt",)), ["a.txt"])):
            if group.collects is None:  # else they were chosen when it was started
                some = drain(later.collect(group.runs[0], tmp_path / "some", CancelToken(), wanted))
                assert [path.name for path in some] == names
        later.remove(group)
        assert later.list() == []
        later.remove(group)

    def test_a_second_start_takes_the_place_of_the_first(self, subject: Subject) -> None:
        runner = subject.make()
        first = drain(runner.start(subject.spec("import time; time.sleep(600)", name="same"), CancelToken()))
        second = drain(runner.start(subject.spec("print(2)", name="same"), CancelToken()))
        assert [group.runs for group in runner.list()] == [second.runs]
        assert first.runs != second.runs
        assert drain(runner.follow(second, CancelToken()))[0].log_tail == ("2",)
        with pytest.raises(RunLost):
            drain(runner.follow(first, CancelToken()))
        runner.remove(second)

    def test_cancelled_while_it_runs(self, subject: Subject) -> None:
        cancel, runner = CancelToken(), subject.make()
        stream = runner.stream_run(subject.spec("import time; print('up', flush=True); time.sleep(600)"), cancel)
        with pytest.raises(Cancelled):
            for event in stream:
                if isinstance(event, RunOutput):
                    cancel.set()
        assert runner.list() == []

    def test_closed_while_it_runs(self, subject: Subject) -> None:
        runner = subject.make()
        stream = runner.stream_run(subject.spec("import time; print('up', flush=True); time.sleep(600)"), CancelToken())
        next(event for event in stream if isinstance(event, RunOutput))
        stream.close()
        assert runner.list() == []

    def test_cancelled_before_it_begins(self, subject: Subject) -> None:
        cancel, runner = CancelToken(), subject.make()
        cancel.set()
        with pytest.raises(Cancelled):
            drain(runner.stream_run(subject.spec("print(1)"), cancel))
        assert runner.list() == []
