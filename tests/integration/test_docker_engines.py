"""The test engines themselves: nothing of them is left, no matter what ends them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import Engines, EngineStartError, sweep
from tests.engines._process import Process
from tests.engines.dockerd import Dockerd
from tests.engines.fixtures import _or_skip


def left_of(folder: Path, state: dict[str, list[list[str]]]) -> list[str]:
    """Return what is left of engines: processes, folders, mounts, bridges, packet rules."""
    found = [name for name, pid, started in state["processes"] if Process(name, int(pid), started).alive()]
    found += [str(folder)] if folder.exists() else []
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line]
    for command in (["ip", "-o", "link"], ["iptables", "-w", "-S"], ["iptables", "-w", "-t", "nat", "-S"]):
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found += [line for line in listed.splitlines() for bridge in state["bridges"] if str(bridge) in line]
    return found


@pytest.mark.parametrize("how", ["close", "killed owner"])
def test_nothing_is_left(docker_engine: Dockerd, tmp_path: Path, how: str) -> None:
    code = (
        "import json, os, sys; from pathlib import Path; from tests.engines import Engines, base\n"
        "engines = Engines(rootfs=base.small_tar); up = engines.docker(); engines.registry_http()\n"
        "from docker import APIClient; client = APIClient(up.host, version='auto')\n"
        "made = client.create_container('python:3.11-slim', ['sleep', '1000']); client.start(made)\n"
        "print(engines.folder); print((engines.folder / 'engines.json').read_text().replace('\\n', ' '), flush=True)\n"
        "engines.close() if sys.argv[1] == 'close' else os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True)
    folder, state = done.stdout.splitlines()
    if how != "close":
        assert len(left_of(Path(folder), json.loads(state))) > 3
        sweep()
    assert left_of(Path(folder), json.loads(state)) == []


def test_an_engine_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Engines(tmp_path / "engines") as engines:
        with pytest.raises(EngineStartError, match="not installed: dockerd"):
            engines.docker()
        with pytest.raises(EngineStartError, match="not installed: docker-registry"):
            engines.registry_http()


SKIPPED, FAILED = pytest.skip.Exception, pytest.fail.Exception


@pytest.mark.parametrize(
    ("required", "kind"), [("", SKIPPED), ("podman", SKIPPED), ("all", FAILED), ("docker,podman", FAILED)]
)
def test_missing_engines(monkeypatch: pytest.MonkeyPatch, required: str, kind: type[BaseException]) -> None:
    def missing() -> None:
        raise EngineStartError("not here")

    monkeypatch.setattr("tests.engines.fixtures.REQUIRED_ENGINES", required)
    with pytest.raises(kind, match="engine docker: not here"):
        _or_skip("docker", missing)
