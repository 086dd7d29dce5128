"""Cells named by the number beside them, in all that a kernel's user is told."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from buildr_jupyter.errors import RunError
from buildr_jupyter.events.event import Event, Finished, RunOutput
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.plan import NameNote, Requirement
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult, FileNote
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline.cell_names import CellNames


def cell(cell_id: str | None, count: int | None, index: int | None = None) -> CellRun:
    return CellRun("x = 1", "x = 1", id=cell_id, count=count, index=index)


NAMES = CellNames(
    [cell("ab-1", 3), cell("ab", 4), cell("ab-1", 6), cell("file", 7, 0), cell(None, 8), cell("new", None)]
)


@pytest.mark.parametrize(
    ("told", "seen"),
    [
        ("nb.ipynb, cell ab-1, line 2", "nb.ipynb, cell [6], line 2"),
        ("nb.ipynb, cell ab, line 2 and cell ab-1", "nb.ipynb, cell [4], line 2 and cell [6]"),
        ("cell ab-12, cell abc, subcell ab", "cell ab-12, cell abc, subcell ab"),
        ("nb.ipynb, cell file; cell new; this cell", "nb.ipynb, cell file; cell new; this cell"),
    ],
)
def test_the_last_number_of_a_cell(told: str, seen: str) -> None:
    assert NAMES.text(told) == seen


def test_without_ids_nothing_changes() -> None:
    assert CellNames([]).text("cell ab") == "cell ab"


WHERE, SEEN = "nb.ipynb, cell ab, line 1", "nb.ipynb, cell [4], line 1"


def result_of(where: str) -> BuildResult:
    return BuildResult(
        image="x", names=(NameNote("n", where, "code", f"read by {where}"),), files=(FileNote("f", 1, f"read by {where}"),),
        requirements=(Requirement("six==1", where),), warnings=(BuildWarning(where, where),),
    )  # fmt: skip


def test_events_results_and_errors_say_it_and_what_a_program_prints_stays() -> None:
    def work() -> Generator[Event, None, BuildResult]:
        yield BuildWarning(f"{WHERE}: what", f"see {WHERE}")
        yield RunOutput("stdout", WHERE)
        yield Finished(result_of(WHERE))
        return result_of(WHERE)

    stream = NAMES.stream(work())
    events = [next(stream) for _ in range(3)]
    assert events == [
        BuildWarning(f"{SEEN}: what", f"see {SEEN}"), RunOutput("stdout", WHERE), Finished(result_of(SEEN)),
    ]  # fmt: skip
    assert drain(stream) == result_of(SEEN)

    def failing() -> Generator[Event, None, BuildResult]:
        yield from ()
        error = RunError(f"{WHERE}: failed", hint=f"look at {WHERE}")
        error.result = result_of(WHERE)
        raise error

    with pytest.raises(RunError) as caught:
        drain(NAMES.stream(failing()))
    assert (str(caught.value), caught.value.hint) == (f"{SEEN}: failed", f"look at {SEEN}")
    assert caught.value.result == result_of(SEEN)
