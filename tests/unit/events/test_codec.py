"""Events, results and errors go through a line of JSON and come back the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter import errors
from buildr_jupyter.events.codec import from_line, to_line
from buildr_jupyter.events.event import Event, Finished, LogLine, RunOutput, StageUpdate, TransferUpdate
from buildr_jupyter.model.plan import FileNote, NameNote, Requirement
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.request import PortBinding
from buildr_jupyter.model.result import BuildResult, RunResult

TEXT = st.text()
MAYBE = st.none() | TEXT
STEPS = st.builds(
    StepUpdate, TEXT, TEXT, st.none() | st.integers(0), st.none() | st.integers(0), st.sampled_from(["running", "done", "cached"]),
    st.none() | st.floats(0, 1e12), st.none() | st.floats(0, 1e12), MAYBE,
)  # fmt: skip
RESULTS = st.builds(
    BuildResult, TEXT, MAYBE, MAYBE, st.none() | st.integers(0), cached=st.booleans(),
    context=st.none() | st.just(Path("/a b")), tags=st.tuples(TEXT), steps=st.tuples(STEPS),
    images=st.just((BuildResult("inner"),)) | st.just(()),
    run=st.none() | st.builds(RunResult, st.integers(0, 255), TEXT, ports=st.just((PortBinding(80, 8080),)), outputs=st.just((Path("x"),))),
    requirements=st.just((Requirement("a==1"),)), names=st.just((NameNote("n", "cell 1", "code", "why"),)),
    files=st.just((FileNote("app/x", 1, "why"),)), warnings=st.tuples(st.builds(BuildWarning, TEXT, MAYBE)),
)  # fmt: skip
EVENTS = st.one_of(
    st.builds(StageUpdate, st.sampled_from(["export", "build"]), st.sampled_from(["running", "done"])),
    STEPS,
    st.builds(
        TransferUpdate, TEXT, st.sampled_from(["pull", "push"]), MAYBE, st.integers(0), st.none() | st.integers(0)
    ),
    st.builds(LogLine, st.integers(0), TEXT, MAYBE, partial=st.booleans()),
    st.builds(RunOutput, st.sampled_from(["stdout", "stderr"]), TEXT),
    st.builds(BuildWarning, TEXT, MAYBE),
    st.builds(Finished, RESULTS),
)


@given(EVENTS)
def test_events_come_back(event: Event) -> None:
    line = to_line(event)
    assert "\n" not in line
    assert from_line(line) == event


@given(RESULTS)
def test_results_come_back(result: BuildResult) -> None:
    assert from_line(to_line(result)) == result


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_come_back_with_what_they_say(name: str) -> None:
    if name in ("BuildBusy",):
        made: errors.BuildrError = errors.BuildBusy("busy", handle=object(), hint="wait")
    else:
        made = getattr(errors, name)("what\nfailed", hint="do this")
    made.stage = "build"
    if isinstance(made, errors.BuildError):
        made.step, made.exit_code, made.log_tail = "RUN x", 7, ("a", "b")
    found = from_line(to_line(made))
    assert (str(found), found.hint, found.stage) == (str(made), made.hint, "build")
    assert type(found) is (errors.BuildError if name == "BuildBusy" else type(made))
    if isinstance(made, errors.BuildError):
        assert (found.step, found.exit_code, found.log_tail) == ("RUN x", 7, ("a", "b"))


@pytest.mark.parametrize("line", [b"", b"{", b"{}", b'{"$": "os"}', b'{"$": "LogLine"}', b'{"$": []}'])
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_line(line)


def test_a_proof_comes_back() -> None:
    result = BuildResult("app", proof=Proof("differs", "line 1", ("everything that ran before: line 1",), "x", 0.5))
    assert from_line(to_line(result)) == result
