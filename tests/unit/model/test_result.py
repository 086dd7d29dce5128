"""A result shows what a person wants to know of it, and nothing that is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from buildr_jupyter.model.result import BuildResult, RunResult


def test_a_result_shows_what_is_known_alone() -> None:
    assert repr(BuildResult("app:1", duration_s=1.234)) == "BuildResult(image='app:1', duration_s=1.23)"
    full = BuildResult("app:1", "sha256:aa", "sha256:bb", cached=True, pushed=("app:1",), archive=Path("x.tar"))
    assert repr(full) == (
        "BuildResult(image='app:1', image_id='sha256:aa', digest='sha256:bb', cached=True, pushed=('app:1',), "
        f"archive={Path('x.tar')!r}, duration_s=0.00)"
    )


def test_results_are_values() -> None:
    one, other = BuildResult("a", run=RunResult(1)), BuildResult("a", run=RunResult(1))
    assert one == other
    assert hash(one) == hash(other)
    assert BuildResult("a", run=RunResult(0)) != one


def test_the_archive_is_loaded_by_what_reads_it() -> None:
    result = BuildResult("reg.example:5000/team/app:1")
    assert result.load_command == ""
    assert replace(result, archive=Path("/o/my image.tar")).load_command == "docker load -i '/o/my image.tar'"
    layout = replace(result, archive=Path("/o/layout")).load_command
    assert layout == "skopeo copy oci:/o/layout:1 docker-daemon:reg.example:5000/team/app:1"
