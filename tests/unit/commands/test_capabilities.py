from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.commands.capabilities import SAMPLES, survey


def test_each_sample_is_answered_with_yes_or_why_not() -> None:
    (oci,) = survey(["oci"])
    assert oci.ready
    assert sorted([*oci.can, *(what for what, _ in oci.cannot)]) == sorted(SAMPLES)
    assert all(why for _, why in oci.cannot)
    assert "--apt" in dict(oci.cannot), "it runs no steps"
    assert "--output DIR" in oci.can


def test_a_builder_that_is_not_here_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    docker, unknown = survey(["docker", "no-such-builder"])
    assert (docker.ready, unknown.ready) == (False, False)
    assert docker.advice
    assert "Unknown spec no-such-builder" in unknown.found
