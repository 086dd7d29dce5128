"""The load of ``make load``, small: builds at once in two kernels, and one after another in one."""

from __future__ import annotations

from pathlib import Path

from tests.engines.dockerd import Dockerd
from tests.faults import load


def test_builds_at_once_in_two_kernels(docker_engine: Dockerd, base_image: str, tmp_path: Path) -> None:
    assert load.at_once(docker_engine.host, tmp_path, count=2, each=3) == []


def test_a_kernel_stays_level_and_the_probe_sees_a_leak(
    docker_engine: Dockerd, base_image: str, tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    before, after = load.one_after_another(docker_engine.host, tmp_path / "a", builds=24)
    assert load.grown(before, after, 24) == []
    (tmp_path / "b").mkdir()
    before, after = load.one_after_another(docker_engine.host, tmp_path / "b", builds=12, leak=True)
    found = " ".join(load.grown(before, after, 12))
    assert all(word in found for word in ("memory", "threads", "descriptors", "disk")), found
