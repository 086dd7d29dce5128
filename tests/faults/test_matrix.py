"""Some rows of the fault matrix in each run (``make faults`` runs all), and what the probe sees."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.process import locks, tempfiles
from buildr_jupyter.registry.client import Registry
from tests.engines import EngineStartError, short_folder, sweep
from tests.engines.fixtures import REQUIRED_ENGINES
from tests.faults import matrix, probe
from tests.faults.__main__ import Piece
from tests.faults.rows import FAULTS, STAGES, Row, every_row, impossible
from tests.faults.world import CASES, IN_CLUSTER, World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    if os.name != "posix" or os.geteuid() != 0:
        _leave_out("small disks and engines of its own need root")
    sweep()
    with short_folder() as folder:
        try:
            made = World(folder)
        except EngineStartError as error:
            _leave_out(str(error))
        with contextlib.closing(made):
            try:
                assert all((made.base, made.kaniko, made.buildkit, made.podman_settings()))
            except EngineStartError as error:
                _leave_out(str(error))
            yield made


def _leave_out(why: str) -> None:
    if REQUIRED_ENGINES:
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


BUILDERS = [name for name in CASES if name not in IN_CLUSTER]
"""No cluster is started for these: its parts are killed in tests/integration/cluster/test_runner.py."""


SAMPLE: dict[str, dict[str, str]] = {
    "docker": {"build": "kernel killed", "run": "clock"},
    "docker-buildkit": {"build": "silence", "run": "interrupt"},
    "buildkit": {"publish": "trickle", "run": "engine restarted"},
    "buildah": {"build": "disk full", "publish": "denied"},
    "podman": {"publish": "clock", "run": "engine killed"},
    "kaniko": {"publish": "clock", "run": "child killed"},
    "oci": {"publish": "registry killed", "run": "reset"},
}
"""A fault for each of two stages of each builder: every fault once at least, every stage by three builders at least."""

INTERRUPTED = ("docker", "buildah", "oci")
"""An engine builds, a child process, our own process: each is interrupted once at a random moment of its build."""


def chosen(builder: str) -> list[Row]:
    """Return the builder's rows of the sample."""
    return [Row(stage, builder, fault) for stage, fault in SAMPLE[builder].items()]


@pytest.mark.parametrize("builder", BUILDERS)
def test_a_sample_of_rows(world: World, builder: str) -> None:
    case = matrix.start(world, builder)
    try:
        for row in chosen(builder):
            outcome = matrix.run(case, row)
            assert outcome.wrong == [], f"{row}: {outcome.seen}"
            assert outcome.seen
        if builder in INTERRUPTED:
            assert matrix.interrupts(case, 1) == []
    finally:
        case.close()


def test_every_row_is_run_or_has_its_reason() -> None:
    rows = list(every_row())
    assert len(rows) == len(set(rows)) == len(CASES) * len(STAGES) * len(FAULTS)
    reasons = {impossible(row) for row in rows} - {None}
    assert all(len(reason or "") > 10 for reason in reasons)
    assert sum(impossible(row) is None for row in rows) > 180


def test_the_sample_has_every_fault() -> None:
    rows = [row for builder in BUILDERS for row in chosen(builder)]
    assert [row for row in rows if impossible(row)] == []
    assert {row.fault for row in rows} == set(FAULTS) - {"node killed"}
    assert all(sum(row.stage == stage for row in rows) >= 3 for stage in ("build", "publish", "run"))


def test_the_probe_sees_what_is_planted(world: World) -> None:
    case = matrix.start(world, "docker")
    folder = case.disk / "cache" / "store"
    planted = subprocess.Popen(["sleep", "100"], env={**os.environ, "BUILDR_FAULTS": case.mark})
    container = world.client.create_container(world.base, ["true"], labels={locks.OWNER_LABEL: "x"})["Id"]
    try:
        assert probe.left_over(case, settled=False) == [
            f"container of {world.base[:40]} (created)",
            "process sleep 100 ",
        ]
        (case.disk / "tmp" / f"{tempfiles.TEMPORARY}planted").mkdir()
        (case.disk / "cache" / ".planted.half-x").touch()
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        (blobs / ("0" * 64)).write_text("not what its name says")
        context = next((case.disk / "cache" / "buildr" / "contexts").iterdir())
        (context / "Dockerfile").unlink()
        with contextlib.closing(Registry(world.registry_host)) as registry:
            layer = registry.manifest("docker/x", "latest").document["layers"][-1]["digest"]
        link = f"registry-http/data/**/docker/x/_layers/{layer.replace(':', '/')}"
        subprocess.run(["rm", "-r", str(next(world.engines.folder.glob(link)))], check=True)
        found = "\n".join(probe.left_over(case, settled=False))
        for word in ("temporary", "half a", "damaged blob", "half a context folder", "the registry's image lacks"):
            assert word in found, found
    finally:
        planted.kill()
        planted.wait()
        world.client.remove_container(container, force=True)
        case.close()


def test_a_matrix_goes_on_where_an_earlier_piece_ended(tmp_path: Path) -> None:
    piece = Piece(tmp_path / "kept", until=float("inf"))
    assert piece.known() == {}
    piece.keep("build · oci · clock")
    piece.keep("interrupts · oci", 10)
    piece.keep("interrupts · oci", 0)
    assert piece.known() == {"build · oci · clock": 1, "interrupts · oci": 10}
    assert not piece.is_over
    assert Piece(None, until=0.0).is_over
    assert Piece(None, until=0.0).known() == {}
