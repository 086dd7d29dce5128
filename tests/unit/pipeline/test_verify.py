"""Proof in the pipeline: what is proven, what is widened, and what is then built, pushed or refused."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import Cancelled, ExportError, OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine, StageUpdate
from buildr_jupyter.model.capabilities import Capabilities
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline import driver, stages, verify
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import CellSource
from buildr_jupyter.process import confine
from buildr_jupyter.process.barrier import NoBarrier
from tests.unit.pipeline.test_stages import Recorder, Watcher

pytestmark = pytest.mark.skipif(confine.missing() is not None, reason=str(confine.missing()))


def job(
    folder: Path, *cells: str, printed: str | None = None, kernel: bool = True, builder: Any = None, **options: Any
) -> ExportRequest:
    """Return the job of the last cell; ``printed`` is what its last run printed."""
    runs = [CellRun(source=text, transformed=text, index=number) for number, text in enumerate(cells)]
    runs[-1] = CellRun(source=cells[-1], transformed=cells[-1], index=len(cells) - 1, stdout=printed)
    source = CellSource(tuple(runs), runs[-1], folder, "nb.ipynb", {} if kernel else None)
    chosen = {"name": "app", "context": folder.parent / f"{folder.name}-context", **options}
    return ExportRequest(
        source, Options(**chosen), Interpreter.current(), {"PIP_CONFIG_FILE": "/dev/null"}, builder=builder
    )


def proven(made: ExportRequest) -> verify.Settled:
    return verify.prove(made, stages.prepare(made))


def main_of(settled: verify.Settled) -> str:
    entry = next(entry for entry in settled.assembly.plan.files if entry.path == "app/main.py")
    with entry.open() as stream:
        return stream.read().decode()


def test_a_program_that_prints_the_same_is_proven(tmp_path: Path) -> None:
    settled = proven(job(tmp_path, "a = 20", "print(a)\na + 1", printed="20\n21\n"))
    assert (str(settled.proof), settled.proof.widened, settled.proof.barrier) == ("proven", (), "Landlock with seccomp")
    assert settled.proof.duration_s > 0


def test_without_an_earlier_run_it_is_not_compared(tmp_path: Path) -> None:
    assert proven(job(tmp_path, "print(1)")).proof.status == "ran, not compared"


def test_what_display_shows_in_a_kernel_is_not_compared(tmp_path: Path) -> None:
    made = job(tmp_path, "display(1)\nprint(2)", printed="2\n")
    assert str(proven(made).proof) == "ran, not compared: the kernel keeps nothing of what display() shows"
    file = job(tmp_path, "display(1)\nprint(2)", printed="1\n2\n", kernel=False)
    assert str(proven(file).proof) == "proven"


def test_random_numbers_and_the_clock_are_told_from_a_fault(tmp_path: Path) -> None:
    settled = proven(job(tmp_path, "import time\nprint(time.time_ns())", printed="1\n"))
    assert str(settled.proof) == "not proven: it is random or depends on the clock: two runs differ"
    settled = proven(job(tmp_path, "print(2)", printed="1\n"))
    assert str(settled.proof) == "differs: line 1 is '2' and was '1'"


HIDDEN = "made = {'n': 1}\nname = ''.join(['ma', 'de'])"


def test_a_name_that_only_a_text_names_is_carried(tmp_path: Path) -> None:
    """The error tells the name; the smaller step is taken, and the cell that nobody needs stays out."""
    cells = ["made = 5", "print('never carried')", "print(eval('ma' + 'de'))"]
    made = job(tmp_path, *cells, printed="5\n")
    settled = proven(made)
    assert settled.proof.status == "proven"
    assert "made = 5" in main_of(settled)


def test_what_the_slice_missed_is_found_by_running_everything(tmp_path: Path) -> None:
    """The change goes through a bound method that the analysis does not follow."""
    cells = ["import gc", "class Box: pass\nbox = Box()", "next(o for o in gc.get_objects() if type(o).__name__ == 'Box').x = 7",
             "print(getattr(box, 'x', None))"]  # fmt: skip
    made = job(tmp_path, *cells, printed="7\n")
    first = stages.prepare(made)
    settled = verify.prove(made, first)
    assert settled.proof.status == "proven"
    assert "gc.get_objects" in main_of(settled)
    if settled.widened:
        assert settled.proof.widened == ("everything that ran before: line 1 is 'None' and was '7'",)
        assert settled.assembly.plan.content_digest != first.plan.content_digest


def again(made: ExportRequest, *since: str) -> ExportRequest:
    """Return the job of a cell that ran before, and after it the cells ``since``."""
    *before, target = made.source.runs  # type: ignore[union-attr]
    ran = [CellRun(text, text, status="ok") for text in (target.source, *since)]
    return replace(made, source=replace(made.source, runs=(*before, *ran, target)))


def test_a_cell_that_changes_its_own_state_is_the_run_that_was_seen(tmp_path: Path) -> None:
    settled = proven(again(job(tmp_path, "n = [1]", "n.append(2)\nprint(n)", printed="[1, 2]\n")))
    assert settled.proof.status == "proven"
    [why] = settled.proof.widened
    assert why == "the state before the cell's last run, which changed it: line 1 is '[1, 2, 2]' and was '[1, 2]'"
    assert main_of(settled).count("n.append(2)") == 1


def test_what_ran_since_is_no_difference_of_the_program(tmp_path: Path) -> None:
    settled = proven(again(job(tmp_path, "x = 1", "print(x)", printed="1\n"), "x = 5"))
    assert str(settled.proof) == (
        "ran, not compared: cells that ran since its last run change what it prints: line 1 is '5' and was '1'"
    )
    assert "x = 5" in main_of(settled)


def test_a_file_that_the_run_asks_for_is_carried(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.txt").write_text("inside")
    code = "import base64\nprint(open(base64.b64decode('ZGF0YS9pbi50eHQ=')).read())"
    settled = proven(job(tmp_path, code, printed="inside\n"))
    assert (settled.proof.status, settled.proof.widened) == ("proven", ("data/in.txt: the program asked for it",))
    [entry] = [entry for entry in settled.assembly.plan.files if entry.path == "app/data/in.txt"]
    assert entry.why == "a run of the program asked for it"


def test_a_file_with_a_credential_is_not_carried_by_a_proof(tmp_path: Path) -> None:
    from tests.fakes.credentials import fakes

    token = next(fake.value for fake in fakes() if fake.kind == "github-pat")
    (tmp_path / "in.txt").write_text(token)
    code = "import base64\nprint(len(open(base64.b64decode('aW4udHh0')).read()))"
    settled = proven(job(tmp_path, code, printed=f"{len(token)}\n"))
    assert (settled.proof.status, settled.proof.widened) == ("differs", ())
    assert [entry.path for entry in settled.assembly.plan.files] == ["app/main.py"]


def test_a_module_that_is_loaded_by_name_is_planned(tmp_path: Path) -> None:
    code = "import importlib\nprint(importlib.import_module('pack' + 'aging').__name__)"
    settled = proven(job(tmp_path, code, printed="packaging\n"))
    assert settled.proof.status == "proven"
    assert [pin.text.partition("==")[0] for pin in settled.assembly.plan.requirements] == ["packaging"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"python": "3.9"}, "the image has Python 3.9, and the kernel "),
        ({"platforms": ("linux/s390x",)}, "the image is for linux/s390x, and this machine is linux/"),
    ],
)
def test_what_cannot_be_tried_here(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    proof = proven(job(tmp_path, "print(1)", printed="1\n", **options)).proof
    assert (proof.status, proof.why.startswith(why), proof.barrier) == ("not proven", True, "")


def test_without_a_barrier_nothing_is_proven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildr_jupyter.export.verify.run_confined", lambda *_, **__: NoBarrier("Landlock is off"))
    assert str(proven(job(tmp_path, "print(1)", printed="1\n")).proof) == "not proven: no barrier: Landlock is off"


def test_check_insists(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--check: the program differs: line 1 is '2' and was '1'"):
        driver.drive(job(tmp_path, "print(2)", printed="1\n", builder=Recorder(), check="program", kernel=False), [])
    with pytest.raises(ExportError, match="--check: the program is not proven: it reached outside: the network"):
        made = job(tmp_path, "import socket; socket.socket()", builder=Recorder(), check="program", kernel=False)
        driver.drive(made, [])
    builder = Recorder()
    result = driver.drive(job(tmp_path, "print(1)", printed="1\n", builder=builder, check="program", kernel=False), [])
    assert (str(result.proof), len(builder.requests)) == ("proven", 1)


def test_nothing_runs_unasked_outside_of_a_kernel(tmp_path: Path) -> None:
    assert driver.drive(job(tmp_path, "print(1)", printed="1\n", builder=Recorder(), kernel=False), []).proof is None
    made = job(tmp_path, "print(1)", printed="1\n", builder=Recorder(), no_check=True)
    assert driver.drive(made, []).proof is None


def test_the_proof_runs_beside_the_build_and_is_in_no_plan(tmp_path: Path) -> None:
    def during(cancel: CancelToken) -> Generator[Event, None, None]:
        yield LogLine(0, "building")

    builder, window = Recorder(during), Watcher()
    cells = ("import time; time.sleep(0.4); print(1)",)
    result = driver.drive(job(tmp_path, *cells, printed="1\n", builder=builder), [window])
    assert str(result.proof) == "proven"
    stages_seen = [(event.stage, event.status) for event in window.events if isinstance(event, StageUpdate)]
    assert stages_seen[-3:] == [("build", "done"), ("proof", "running"), ("proof", "done")]
    without = Recorder()
    driver.drive(job(tmp_path, *cells, builder=without, no_check=True), [])
    assert builder.requests[0].plan.content_digest == without.requests[0].plan.content_digest
    assert "proven" not in (tmp_path.parent / f"{tmp_path.name}-context" / "buildr.json").read_text()


def test_what_was_widened_is_built_again_and_said(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("inside")
    builder, window = Recorder(), Watcher()
    code = "import base64\nprint(open(base64.b64decode('aW4udHh0')).read())"
    result = driver.drive(job(tmp_path, code, printed="inside\n", builder=builder), [window])
    assert [len(request.plan.files) for request in builder.requests] == [1, 2]
    assert result.content_digest == builder.requests[1].plan.content_digest
    assert [file.path for file in result.files] == ["app/in.txt", "app/main.py"]
    said = [event.text for event in window.events if isinstance(event, BuildWarning)]
    assert said == ["the program was made again with in.txt: the program asked for it"]


def test_a_kernel_remembers_what_it_proved(tmp_path: Path) -> None:
    """The same cell again is built as it was widened, at once; a file that changed is another program."""
    (tmp_path / "in.txt").write_text("inside")
    code = "import base64\nprint(open(base64.b64decode('aW4udHh0')).read()[:6])"
    first = Recorder()
    made = replace(job(tmp_path, code, printed="inside\n", builder=first), proofs={})
    driver.drive(made, [])
    again = Recorder()
    window = Watcher()
    result = driver.drive(replace(made, builder=again), [window])
    assert [request.plan.content_digest for request in again.requests] == [first.requests[-1].plan.content_digest]
    assert (str(result.proof), result.proof and result.proof.widened) == (
        "proven", ("in.txt: the program asked for it",),
    )  # fmt: skip
    assert not any(isinstance(event, StageUpdate) and event.stage == "proof" for event in window.events)
    (tmp_path / "in.txt").write_text("inside, changed")
    changed = Recorder()
    driver.drive(replace(made, builder=changed), [])
    assert len(changed.requests) == 2
    other = replace(made.source, target=replace(made.source.target, stdout="other\n"))  # type: ignore[union-attr]
    assert verify.recall(replace(made, source=other), stages.prepare(made)) is None


@pytest.mark.parametrize("asked", ["publish", "run"])
def test_what_differs_is_neither_pushed_nor_run(tmp_path: Path, asked: str) -> None:
    builder = Recorder()
    made = job(tmp_path, "print(2)", printed="1\n", builder=builder, name="reg.example/app", **{asked: True})
    with pytest.raises(ExportError, match="neither pushed nor run: the program differs") as raised:
        driver.drive(made, [])
    assert builder.published == []
    assert (raised.value.stage, raised.value.result.image) == ("proof", "reg.example/app:latest")
    assert raised.value.hint == "leave the proof out with --no-check"
    pushed = Recorder()
    again = job(
        tmp_path, "print(2)", printed="1\n", builder=pushed, name="reg.example/app", publish=True, no_check=True
    )
    driver.drive(again, [])
    assert pushed.published[0] == "reg.example/app:latest"


class Pusher(Recorder):
    """A builder that pushes while it builds."""

    def capabilities(self) -> Capabilities:
        return Capabilities(pushes_while_building=True)


@pytest.mark.parametrize(("printed", "pushes"), [("2\n", 3), ("1\n", 0)])
def test_a_builder_that_pushes_while_it_builds_waits(tmp_path: Path, printed: str, pushes: int) -> None:
    builder = Pusher()
    made = job(
        tmp_path, "print(2)", printed=printed, builder=builder, name="reg.example/app", tags=("1", "2"), publish=True
    )
    if pushes:
        driver.drive(made, [])
    else:
        with pytest.raises(ExportError, match="neither pushed nor run"):
            driver.drive(made, [])
    assert [type(output).__name__ for output in builder.requests[0].outputs].count("Push") == pushes


def test_a_push_waits_for_the_proof_and_goes_on_where_it_cannot_be_had(tmp_path: Path) -> None:
    builder, window = Recorder(), Watcher()
    code = "import time; time.sleep(60)"
    made = job(tmp_path, code, printed="", builder=builder, name="reg.example/app", publish=True, check_time_s=0.5)
    result = driver.drive(made, [window])
    assert str(result.proof) == "not proven: it took longer than 0.5 s (--check-time)"
    assert len(builder.published) == 2
    said = [event.text for event in window.events if isinstance(event, BuildWarning)]
    assert said[0] == "the program is not proven: it took longer than 0.5 s (--check-time)"


def test_a_build_that_is_cancelled_ends_the_proof(tmp_path: Path) -> None:
    token = CancelToken()

    def during(cancel: CancelToken) -> Generator[Event, None, None]:
        yield LogLine(0, "building")
        time.sleep(0.5)
        token.set()

    began = time.monotonic()
    with pytest.raises(Cancelled):
        made = job(tmp_path, "import time; time.sleep(60)", printed="", builder=Recorder(during), check_time_s=50.0)
        driver.drive(made, [], cancel=token)
    assert time.monotonic() - began < 10


def test_only_a_cell_has_a_proof(tmp_path: Path) -> None:
    from buildr_jupyter.pipeline.planner import ScriptSource

    script = tmp_path / "main.py"
    script.write_text("print(1)")
    made = ExportRequest(ScriptSource(script, tmp_path), Options(name="app"), Interpreter.current(), {})
    with pytest.raises(OptionError, match="only a cell's program"):
        verify.checked(made, stages.prepare(made))
    assert not verify.is_wanted(made)


def test_no_credential_is_in_what_a_proof_says(tmp_path: Path) -> None:
    from tests.fakes.credentials import fakes

    token = next(fake.value for fake in fakes() if fake.kind == "github-pat")
    (tmp_path / "in.txt").write_text(token)
    window = Watcher()
    made = job(tmp_path, "print('no such text')", printed=f"{token}\n", builder=Recorder())
    result = driver.drive(made, [window])
    assert result.proof is not None
    assert result.proof.status == "differs"
    assert "****" in result.proof.why
    assert token not in str(result.proof) + str(window.events)
