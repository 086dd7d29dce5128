"""A builder is chosen by name; those of other distributions are found by their entry points."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.podman_builder import PodmanBuilder
from buildr_jupyter.builder.protocol import Builder
from buildr_jupyter.builder.selection import BUILDERS, names, select
from buildr_jupyter.errors import OptionError, UnknownSpec


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with two builders, one of which takes an argument."""
    (tmp_path / "foreign_builder.py").write_text(
        "class Plain:\n    name = 'plain'\n"
        "class Told(Plain):\n"
        "    argument = ''\n"
        "    @classmethod\n"
        "    def of(cls, argument):\n"
        "        made = cls()\n"
        "        made.argument = argument\n"
        "        return made\n"
    )
    info = tmp_path / "foreign-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[buildr_jupyter.builders]\nplain = foreign_builder:Plain\ntold = foreign_builder:Told\n"
        "docker = foreign_builder:Plain\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_each_of_ours_is_a_builder_of_its_name_and_new_each_time(name: str) -> None:
    made = select(name)
    assert isinstance(made, Builder)
    assert made.name == name
    assert select(name) is not made


def test_what_follows_an_equals_sign_is_the_builders() -> None:
    classic, podman = select("docker=classic"), select("podman=unix:///x=y.sock")
    assert isinstance(classic, DockerBuilder)
    assert isinstance(podman, PodmanBuilder)
    assert podman.address == "unix:///x=y.sock"
    with pytest.raises(OptionError, match="docker=quick"):
        select("docker=quick")


@pytest.mark.parametrize("spec", ["", "=x", "nothing", "Docker", "nothing=x"])
def test_an_unknown_one_is_named_with_those_that_there_are(spec: str) -> None:
    with pytest.raises(UnknownSpec) as caught:
        select(spec)
    assert str(caught.value) == f"Unknown spec {spec}"
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"choose one that is here: {', '.join(names())}")


def test_one_that_takes_no_argument_says_so() -> None:
    with pytest.raises(UnknownSpec, match="Unknown spec auto=x: builder auto takes nothing after '='"):
        select("auto=x")


@pytest.mark.usefixtures("foreign")
def test_one_of_another_distribution() -> None:
    assert {"plain", "told"} < set(names())
    assert names() == sorted(set(names()))
    assert select("plain").name == "plain"
    assert select("told=a=b").argument == "a=b"  # type: ignore[attr-defined]
    with pytest.raises(UnknownSpec, match="builder plain takes nothing after '='"):
        select("plain=x")


@pytest.mark.usefixtures("foreign")
def test_none_of_ours_is_replaced() -> None:
    assert isinstance(select("docker"), DockerBuilder)
