from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildr_jupyter.errors import BuildError, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, Finished, StageUpdate
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.handle import Build


def job(name: str = "app:1") -> Any:
    return SimpleNamespace(refs=(ImageRef.parse(name),))


def waits(_job: object, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    yield StageUpdate("build", "running")
    cancel.wait(30)
    raise Cancelled("stopped")


def builds(_job: object, _cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    result = BuildResult("app:1")
    yield Finished(result)
    return result


def fails(_job: object, _cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    yield StageUpdate("build", "running")
    raise BuildError("Image build failed: no")


def test_a_handle_gives_the_result() -> None:
    ended: list[Build] = []
    build = Build(job("one:1"), [], work=builds, after=ended.append).start()
    assert build.result(10).image == "app:1"
    assert build.status == "done"
    assert ended == [build]
    assert repr(build) == "Build('one:1', done)"
    build.cancel()
    assert build.status == "done"


def test_a_handle_cancels() -> None:
    build = Build(job("two:1"), [], work=waits).start()
    with pytest.raises(TimeoutError, match="two:1"):
        build.result(0.01)
    build.cancel()
    with pytest.raises(Cancelled):
        build.result(10)
    assert build.status == "cancelled"


def test_a_handle_raises_what_the_build_raised() -> None:
    build = Build(job("three:1"), [], work=fails).start()
    with pytest.raises(BuildError, match="no"):
        build.result(10)
    assert build.status == "failed"
    assert isinstance(build.state.error, BuildError)


def test_two_of_one_reference_do_not_go_together() -> None:
    first = Build(job("four:1"), [], work=waits).start()
    with pytest.raises(TimeoutError):
        first.result(0.1)
    second = Build(job("four:1"), [], work=builds).start()
    with pytest.raises(BuildError, match="being built already"):
        second.result(10)
    assert second.status == "failed"
    first.cancel()
    with pytest.raises(Cancelled):
        first.result(10)


@pytest.mark.parametrize(("stage", "stays"), [("publish", False), ("run", True)])
def test_leaving_the_process_leaves_a_run_in_a_cluster(stage: str, stays: bool, tmp_path: Path) -> None:
    code = (
        "import sys, threading, time\n"
        "from tests.unit.pipeline.test_handle import job\n"
        "from buildr_jupyter.pipeline.handle import Build\n"
        "from buildr_jupyter.errors import Cancelled\n"
        "from buildr_jupyter.events.event import StageUpdate\n"
        "reached = threading.Event()\n"
        "def work(job, cancel):\n"
        "    yield StageUpdate(sys.argv[2], 'running')\n"
        "    reached.set()\n"
        "    cancel.wait(60)\n"
        "    open(sys.argv[1], 'w').write('cleaned up')\n"
        "    raise Cancelled('x')\n"
        "made = job()\n"
        "made.runs_on = 'kubernetes'\n"
        "build = Build(made, [], work=work).start()\n"
        "reached.wait(60)\n"
        "while build.state.stages.get(sys.argv[2]) != 'running': time.sleep(0.01)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x"), stage], check=True, timeout=120, cwd=Path(__file__).parents[3]
    )
    assert (tmp_path / "x").exists() != stays


def test_leaving_the_process_cancels(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tests.unit.pipeline.test_handle import job\n"
        "from buildr_jupyter.pipeline.handle import Build\n"
        "from buildr_jupyter.errors import Cancelled\n"
        "from buildr_jupyter.events.event import StageUpdate\n"
        "def work(job, cancel):\n"
        "    yield StageUpdate('build', 'running')\n"
        "    cancel.wait(30)\n"
        "    open(sys.argv[1], 'w').write('cleaned up')\n"
        "    raise Cancelled('x')\n"
        "Build(job(), [], work=work).start()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x")], check=True, timeout=30, cwd=Path(__file__).parents[3]
    )
    assert (tmp_path / "x").read_text() == "cleaned up"
