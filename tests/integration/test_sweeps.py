"""Sweeps on a real engine: from a cell, from the command line, and after their process was killed."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.error import UsageError

from buildr_jupyter import cli
from buildr_jupyter.runner.sweep import KEY_LABEL
from tests.engines import base, containers
from tests.engines.fixtures import _or_skip
from tests.faults.crash import CELL, command, crash, write_notebook
from tests.integration.builders import World
from tests.integration.test_builder_contract import world
from tests.shells import loaded_shell, run

__all__ = ["world"]


@pytest.fixture(params=["docker", "podman"], autouse=True)
def builder(
    request: pytest.FixtureRequest, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Name of a builder whose engine runs what it built; what a sweep left in it is an error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))
    if request.param == "docker":
        monkeypatch.setenv("DOCKER_HOST", world.engines.docker().host)
        monkeypatch.setenv("BUILDR_BASE", base.NAME)
        yield "docker"
        assert world.client.containers(all=True) == []
        return
    store = _or_skip("podman", world.engines.containers)
    registries = containers.registries(tmp_path / "registries.conf", insecure=[world.open.host])
    settings = {"CONTAINERS_REGISTRIES_CONF": str(registries), "HOME": str(tmp_path), "BUILDR_BASE": world.base}
    for name, value in {**store.environment, **settings, "DOCKER_HOST": "unix:///not/there.sock"}.items():
        monkeypatch.setenv(name, value)
    yield "podman"
    listing = ["podman", "ps", "--all", "--quiet", "--filter", f"label={KEY_LABEL}"]
    left = subprocess.run(listing, check=True, capture_output=True, text=True)
    assert left.stdout == ""


@pytest.fixture
def shell(builder: str) -> Iterator[Any]:
    with loaded_shell() as made:
        yield made


def test_a_cell_over_a_grid(shell: Any, builder: str) -> None:
    run(shell, "n = 1\nscale: float = 1.0\nimport sys")
    cell = f"%%containerize sweep --builder {builder} --map n=1..3 --map scale=1,10 --return out --return _ --jobs 2\n"
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


def test_the_command_line_prints_a_line_for_each_run(builder: str, tmp_path: Path) -> None:
    nb = write_notebook(tmp_path, "n = 1", "%%containerize many --return out\nout = 10 // n")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(["build", str(nb), "--builder", builder, "--map", "n=[0, 5, 5]", "--json"])
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


def test_a_sweep_that_is_killed_again_and_again_does_each_run_once(builder: str, tmp_path: Path) -> None:
    options = ("--builder", builder)
    subprocess.run(command(write_notebook(tmp_path, "n = 1", CELL), 1, *options), check=True, capture_output=True)
    runs, kills = (6, 3) if builder == "docker" else (4, 2)  # podman's service begins anew each time
    _, wrong = crash(tmp_path, runs=runs, kills=kills, seed=7, options=options)
    assert wrong == []
