"""Values of a run in the pipeline: which images are trusted, and what is said of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import ReturnError
from buildr_jupyter.in_image import returns
from buildr_jupyter.model.interface import Interface, Return
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline import values
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import CellSource

ID = "sha256:" + "1" * 64
LABEL = Interface((), (Return("a"), Return("b"))).to_label()


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))


def ran(folder: Path, *, interface: str | None = LABEL) -> BuildResult:
    output = folder / "output"
    returns.write({"a": 1, "b": {2}}, ("a", "b"), str(output))
    result = BuildResult("x:latest", image_id=ID, interface=interface, run=RunResult(0))
    return values.with_returned(result, output, [path for path in output.rglob("*") if path.is_file()])


def taken(folder: Path, result: BuildResult, **changes: Any) -> tuple[list[Any], BuildResult]:
    run = CellRun("1", "1")
    made = changes.pop("made_here", set())
    source = CellSource((run,), run, folder, namespace={})
    request = ExportRequest(source, Options(**changes), Interpreter.current(), {}, made_here=made)
    stream = values.stream_values(request.order(), result)
    events = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as stop:
            return events, stop.value


def test_a_pickle_is_read_of_an_image_of_this_kernel_or_one_that_is_named(tmp_path: Path) -> None:
    for how in ({"made_here": {ID}}, {"trust_images": (ID,)}):
        events, result = taken(tmp_path, ran(tmp_path), **how)
        assert events == []
        assert result.run is not None
        assert result.run.values == {"a": 1, "b": {2}}


def test_a_pickle_of_another_image_stays_a_file_and_that_is_said(tmp_path: Path) -> None:
    events, result = taken(tmp_path, ran(tmp_path), made_here={"sha256:other"}, trust_images=("sha256:1",))
    assert result.run is not None
    assert result.run.values == {"a": 1}
    assert [type(one) for one in events] == [BuildWarning]
    assert events[0].hint == f"give --trust-image {ID}, if you trust it"
    assert str(tmp_path / "output" / ".buildr" / "returns" / "b.pickle") in events[0].text


def test_an_image_without_returns_and_a_run_that_gave_none(tmp_path: Path) -> None:
    assert ran(tmp_path, interface=None).run == RunResult(0)
    result = BuildResult("x:latest", interface=LABEL, run=RunResult(0))
    with pytest.raises(ReturnError, match="gave nothing back, though it ended with status 0: a, b"):
        values.with_returned(result, tmp_path, [])


def test_only_cells_with_a_namespace_are_of_this_kernel(tmp_path: Path) -> None:
    run = CellRun("1", "1")
    for namespace, known in (({}, True), (None, False)):
        source = CellSource((run,), run, tmp_path, namespace=namespace)
        order = ExportRequest(source, Options(trust_images=(ID,)), Interpreter.current(), {}).order()
        assert values.is_trusted(order, ID) is known


def test_a_later_kernel_knows_from_the_journal_what_an_earlier_one_built(tmp_path: Path) -> None:
    run = CellRun("1", "1")
    source = CellSource((run,), run, tmp_path, namespace={})
    first, later = (ExportRequest(source, Options(), Interpreter.current(), {}).order() for _ in range(2))
    values.remember(first, BuildResult("x:1", image_id="sha256:cached", cached=True))
    values.remember(first, BuildResult("x:1", image_id=ID))
    assert [values.is_trusted(later, one) for one in (ID, "sha256:cached", None)] == [True, False, False]
    from_file = ExportRequest(CellSource((run,), run, tmp_path), Options(trust_images=(ID,)), Interpreter.current(), {})
    assert not values.is_trusted(from_file.order(), ID)
