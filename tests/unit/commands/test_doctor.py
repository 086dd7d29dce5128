from __future__ import annotations

from pathlib import Path

import pytest
from uv import find_uv_bin

from buildr_jupyter.commands.doctor import Check, Report, examine


def report(*checks: Check) -> Report:
    return Report((Check("python", True, "CPython 3.11.7"), *checks))


ENGINE, NO_ENGINE = Check("engine", True, "Docker 25"), Check("engine", False, "none answers", "start Docker")
OCI, NO_OCI = Check("oci", True, "writes images itself"), Check("oci", False, "no", "make room")

PODMAN = Check("podman", True, "Podman Engine 5", runs=True)


@pytest.mark.parametrize(
    ("checks", "can_build", "can_run", "verdict"),
    [
        ((ENGINE, OCI), True, True, "Images can be built and run here."),
        ((NO_ENGINE, OCI), True, False, "Images can be built here, without an engine (builder oci)"),
        ((NO_ENGINE, OCI, PODMAN), True, True, "Images can be built here, and run with --builder podman."),
        ((ENGINE, OCI, PODMAN), True, True, "Images can be built and run here."),
        ((NO_ENGINE, NO_OCI), False, False, "No image can be built here yet: see 'to do' above."),
    ],
)
def test_the_verdict_is_of_what_was_found(
    checks: tuple[Check, ...], can_build: bool, can_run: bool, verdict: str
) -> None:
    found = report(*checks)
    assert (found.can_build, found.can_run) == (can_build, can_run)
    assert found.render().splitlines()[-1].startswith(verdict)
    said = found.to_json()
    assert (said["can_build"], said["can_run"]) == (can_build, can_run)


def test_what_is_not_there_says_what_to_do() -> None:
    lines = report(NO_ENGINE, OCI).render().splitlines()
    assert lines[1:3] == ["--  engine       none answers", "                 to do: start Docker"]
    assert lines[3] == "ok  oci          writes images itself"


def test_this_machine_is_examined_without_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{tmp_path}/no-podman.sock")
    found = examine({"BUILDR_BASE": "python:3.11-slim"})
    by_name = {check.name: check for check in found.checks}
    assert not by_name["engine"].ok
    assert by_name["engine"].advice
    assert by_name["oci"].ok
    assert by_name["base"].found == "python:3.11-slim (BUILDR_BASE)"
    assert (found.can_build, found.can_run) == (True, False)


def test_uv_is_the_one_that_builds_take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It comes with this package; a PATH without this environment's commands has no part in that."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    (check,) = [one for one in examine({"PATH": str(tmp_path)}).checks if one.name == "uv"]
    assert (check.ok, check.found) == (True, find_uv_bin())
