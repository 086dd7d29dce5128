"""Sweeps on a real engine: from a cell, from the command line, and after their process was killed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from docker import APIClient
from IPython.core.error import UsageError

from buildr_jupyter import cli
from buildr_jupyter.journal.journal import Journal
from tests.shells import loaded_shell, run


@pytest.fixture(autouse=True)
def places(client: APIClient, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BUILDR_BASE", base_image)
    yield
    assert client.containers(all=True) == []


@pytest.fixture
def shell() -> Iterator[Any]:
    with loaded_shell() as made:
        yield made


def test_a_cell_over_a_grid(shell: Any, tmp_path: Path) -> None:
    run(shell, "n = 1\nscale: float = 1.0\nimport sys")
    cell = "%%containerize sweep --map n=1..3 --map scale=1,10 --return out --return _ --jobs 2\n"
    cell += "if n == 3 and scale > 5: sys.exit('too much')\nout = n * scale\n{n}"
    found = run(shell, cell)
    assert len(found) == 6
    assert [(one.inputs["n"], one.inputs["scale"]) for one in found][:3] == [(1, 1.0), (1, 10.0), (2, 1.0)]
    assert found.values("out") == [1.0, 10.0, 2.0, 20.0, 3.0, None]
    assert found.values("_")[:5] == [{1}, {1}, {2}, {2}, {3}]
    (bad,) = found.failed
    assert (bad.inputs["n"], bad.exit_code, bad.log_tail) == (3, 1, ("too much",))
    frame = found.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["n", "scale", "state", "seconds", "out"]

    wider = run(shell, cell.replace("n=1..3", "n=3..4"))
    assert [one.reused for one in wider] == [True, False, False, False]
    assert len(wider.rerun_failed().failed) == 1
    shell.user_ns["rows"] = pd.DataFrame({"n": [1, 2]})
    again = run(shell, cell.replace("--map n=1..3", "--map-from rows"))
    assert [one.reused for one in again] == [True] * 4
    with pytest.raises(UsageError, match="--map n: 'x' is no int"):
        run(shell, cell.replace("n=1..3", "n=x"))


def notebook(folder: Path, *cells: str) -> str:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    nbformat.write(made, folder / "nb.ipynb")
    return str(folder / "nb.ipynb")


def test_the_command_line_prints_a_line_for_each_run(tmp_path: Path) -> None:
    nb = notebook(tmp_path, "n = 1", "%%containerize many --return out\nout = 10 // n")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(["build", nb, "--map", "n=[0, 5, 5]", "--json"])
    assert status == 1, err.getvalue()
    *runs, whole = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sorted((one["run"]["number"], one["run"]["state"]) for one in runs) == [(0, "failed"), (1, "done")]
    assert whole["sweep"] == {"runs": 3, "done": 2, "failed": 1, "reused": 0}
    with contextlib.redirect_stdout(out := io.StringIO()):
        assert cli.main(["runs", "list", "--json"]) == 0
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert sorted((row["inputs"]["n"], row["state"]) for row in rows) == [(0, "failed"), (5, "done")]
    failed = next(row for row in rows if row["state"] == "failed")
    with contextlib.redirect_stdout(out := io.StringIO()):
        assert cli.main(["runs", "logs", failed["key"][:12]]) == 0
    assert "ZeroDivisionError" in out.getvalue()


def test_a_sweep_that_is_killed_again_and_again_does_each_run_once(tmp_path: Path) -> None:
    nb = notebook(tmp_path, "n = 1", "%%containerize crash --return out\nout = n * n")
    command = [sys.executable, "-m", "buildr_jupyter", "build", nb, "--map", "n=1..12", "--jobs", "2", "--json"]
    chance = random.Random(7)
    subprocess.run([*command[:5], "--map", "n=1", "--json"], check=True, capture_output=True)
    for _ in range(6):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(chance.uniform(1.5, 4.5))
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    whole = json.loads(done.stdout.splitlines()[-1])
    assert (whole["sweep"]["runs"], whole["sweep"]["done"]) == (12, 12)
    rows = Journal(tmp_path / "data").rows()
    finished = [row.inputs["n"] for row in rows if row.state == "done"]
    assert sorted(finished) == list(range(1, 13)), "each exactly once"
    for row in rows:
        if row.state == "done" and row.folder:
            value = (row.folder / ".buildr" / "returns" / "out.json").read_text()
            assert int(value) == row.inputs["n"] ** 2
