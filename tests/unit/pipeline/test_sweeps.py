"""Sweeps in the pipeline: rows, the grid before the build, keys, and secrets that no journal keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from buildr_jupyter.config.options import Options, make_line_parser, make_options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import RunUpdate
from buildr_jupyter.journal.journal import Journal
from buildr_jupyter.model.interface import Input, Interface, Return, Said
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Mount
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.model.sweep import SweepResult
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline.job import BuildOrder, ExportRequest
from buildr_jupyter.pipeline.planner import CellSource
from buildr_jupyter.pipeline.sweeps import check_grid, stream_sweep, with_rows
from tests.fakes.runner import Backend, FakeRunner

INTERFACE = Interface((Input("n", "int", 1), Input("api_token", "str", "none")), (Return("double"),))
RESULT = BuildResult(
    "x:1", image_id="sha256:1", tags=("x:1", "x:c-0123"), interface=INTERFACE.to_label(), content_digest="sha256:2"
)


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))


def options(*words: str) -> Options:
    return make_options(vars(make_line_parser().parse_args(words)), base_folder=Path())


def job(folder: Path, asked: Options) -> BuildOrder:
    run = CellRun("1", "1")
    environ = {"MINE": "hush-hush"}
    source = CellSource((run,), run, folder, namespace={})
    return ExportRequest(source, asked, Interpreter.current(), environ).order()


def double(given: dict[str, Any]) -> dict[str, Any]:
    return {"double": given.get("n", 1) * 2}


def swept(asked: BuildOrder, backend: Backend) -> tuple[list[Any], SweepResult]:
    stream: Generator[Any, None, BuildResult] = stream_sweep(asked, RESULT, lambda: FakeRunner(backend), CancelToken())
    events = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as stop:
            found: SweepResult = stop.value.sweep
            return events, found


def test_a_map_makes_an_input_and_runs_the_image() -> None:
    made = options("--map", "n=1,2", "--map", "rate=1..3", "--param", "n=7")
    assert made.maps == (("n", "1,2"), ("rate", "1..3"))
    assert made.params == (("n", "7"), ("rate", None))
    assert (made.run, made.sweeps, options("--run").sweeps) == (True, True, False)
    for wrong in ("n", "=1", "a b=1"):
        with pytest.raises(OptionError, match="is not NAME=VALUES"):
            options("--map", wrong)
    for word in ("--jobs", "--map-limit"):
        with pytest.raises(OptionError, match="not a whole number from 1 on"):
            options(word, "0")


def test_rows_of_the_kernel() -> None:
    kernel = {"rows": [{"n": 1, "api_token": "a"}], "frame": pd.DataFrame({"n": np.array([1, 2], "i8")}), "x": 3}
    found = with_rows(options("--map-from", "rows"), kernel)
    assert found.rows == ({"n": Said(value=1), "api_token": Said(value="a")},)
    assert found.params == (("n", None), ("api_token", None))
    frame = with_rows(options("--map-from", "frame[frame.n > 1]"), kernel)
    assert [type(row["n"].value) for row in frame.rows] == [int]
    for expression, says in (
        ("x", "it is a int"),
        ("gone", "NameError"),
        ("[{'a b': 1}]", "no name of a variable"),
        ("[]", "no rows"),
    ):
        with pytest.raises(OptionError, match=says):
            with_rows(options("--map-from", expression), kernel)
    with pytest.raises(OptionError, match="there is no kernel"):
        with_rows(options("--map-from", "rows"), None)


def test_the_whole_grid_is_looked_at_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--map n: 'x' is no int"):
        check_grid(options("--map", "n=1,2,x"), INTERFACE, tmp_path)


def test_duplicates_run_once_and_a_later_sweep_knows_them(tmp_path: Path) -> None:
    backend = Backend(double)
    _, found = swept(job(tmp_path, options("--map", "n=3,1,3")), backend)
    assert found.values("double") == [6, 2, 6]
    assert len(backend.started) == 2
    _, again = swept(job(tmp_path, options("--map", "n=1,4")), backend)
    assert [one.reused for one in again] == [True, False]


def test_iterations_are_runs_of_their_own(tmp_path: Path) -> None:
    backend = Backend(double)
    asked = job(tmp_path, options("--iterations", "3"))
    assert asked.options.run
    _, found = swept(asked, backend)
    assert [run.inputs["n"] for run in found] == [1, 1, 1]
    assert len({run.key for run in found}) == len(backend.started) == 3
    swept(asked, backend)
    assert len(backend.started) == 6
    _, found = swept(job(tmp_path, options("--iterations", "2", "--map", "n=1,2")), backend)
    assert [run.inputs["n"] for run in found] == [1, 1, 2, 2]
    with pytest.raises(OptionError, match="that is 6 runs, more than 5"):
        check_grid(options("--iterations", "3", "--map", "n=1,2", "--map-limit", "5"), INTERFACE, tmp_path)


def test_what_cannot_be_hashed_is_never_taken_for_another(tmp_path: Path) -> None:
    backend = Backend(double)
    port = options("--map", "n=1", "--port", "8080")
    writable = replace(options("--map", "n=1"), mounts=(Mount(tmp_path, "/x"),))
    for asked in (port, writable):
        for _ in range(2):
            swept(job(tmp_path, asked), backend)
    assert len(backend.started) == 4


def test_a_folder_that_is_only_read_is_part_of_the_key_by_its_content(tmp_path: Path) -> None:
    backend = Backend(double)
    folder = tmp_path / "seen"
    folder.mkdir()
    asked = job(tmp_path, replace(options("--map", "n=1"), mounts=(Mount(folder, "/x", read_only=True),)))
    for content in ("a", "a", "b"):
        (folder / "f").write_text(content)
        swept(asked, backend)
    assert len(backend.started) == 2


def test_the_environment_of_a_run_is_part_of_its_key(tmp_path: Path) -> None:
    backend = Backend(double)
    asked = job(tmp_path, options("--map", "n=1", "--run-env", "MINE"))
    for environ in (asked.environ, asked.environ, {**asked.environ, "MINE": "other"}):
        swept(replace(asked, environ=environ), backend)
    assert len(backend.started) == 2


def test_no_secret_is_in_the_journal_or_in_what_is_shown(tmp_path: Path) -> None:
    events, _ = swept(job(tmp_path, options("--map", "api_token=very-secret", "--run-env", "MINE")), Backend(double))
    (row,) = Journal(tmp_path / "data").rows()
    assert set(row.inputs["api_token"]) == {"hmac"}
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert b"very-secret" not in kept
    assert b"hush-hush" not in kept
    assert {event.title for event in events if isinstance(event, RunUpdate)} == {"api_token=****"}


def test_a_data_folder_that_cannot_be_used_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    events, found = swept(job(tmp_path, options("--map", "n=1,2")), Backend(double))
    assert found.values("double") == [2, 4]
    (warning,) = [event for event in events if isinstance(event, BuildWarning)]
    assert "this sweep runs, and a later one does not know of it" in warning.text


def test_a_folder_that_stands_in_for_the_data_folder_ends_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    code = (
        "from buildr_jupyter.events.streams import drain\n"
        "from buildr_jupyter.pipeline.sweeps import _stream_data\n"
        "from buildr_jupyter.process import tempfiles\n"
        "folder, journal = drain(_stream_data())\n"
        "(folder / 'value').touch()\n"
        "tempfiles.sweep()\n"  # another command's
        "print(journal, folder, (folder / 'value').exists())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "BUILDR_DATA": str(tmp_path / "data")},
    )  # fmt: skip
    journal, folder, held = done.stdout.split()
    assert (journal, Path(folder).parent, held) == ("None", tmp_path, "True")
    assert not Path(folder).exists()
