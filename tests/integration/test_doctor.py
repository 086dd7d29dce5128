"""``buildr doctor`` on a bare machine and with each engine: what a person reads, word for word."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
from pathlib import Path

import pytest

from buildr_jupyter.builder.selection import names
from buildr_jupyter.cli import main
from buildr_jupyter.commands.capabilities import SAMPLES, survey
from tests.engines import Engines, containers
from tests.engines.fixtures import _or_skip

BARE = """\
--  engine       no engine at unix:///nowhere/docker.sock (DOCKER_HOST): No such file or directory
                 to do: start Docker, or set DOCKER_HOST to where an engine is
ok  auto         takes oci; not here: --dockerfile, --apt, --secret, --ssh, --cache-to
--  buildah      there is no command 'buildah' here
                 to do: install buildah (Debian and Ubuntu: apt-get install buildah), or --builder oci, which needs no engine
--  buildkit     there is no command 'buildctl' here
                 to do: install BuildKit's buildctl (its releases, or go install github.com/moby/buildkit/cmd/buildctl@latest)
--  docker       no engine at unix:///nowhere/docker.sock (DOCKER_HOST): No such file or directory
                 to do: start Docker, or set DOCKER_HOST to where an engine is
--  kaniko       no engine at unix:///nowhere/docker.sock (DOCKER_HOST): No such file or directory
                 to do: start Docker, or set DOCKER_HOST to where an engine is
ok  oci          needs no engine; its store is STORE; not here: --dockerfile, --apt, --secret, --ssh, --cache-to
--  podman       there is no command 'podman' here
                 to do: install podman (Debian and Ubuntu: apt-get install podman), or --builder oci, which needs no engine
"""
EQUIPPED = """\
ok  auto         takes docker; not here: several platforms, --output FILE.tar, --output DIR, --cache-to
ok  buildah      buildah VERSION; not here: several platforms, --cache-to
ok  buildkit     unix://BUILDKITD, 1 worker
ok  docker       Docker Engine VERSION at unix://DOCKER, with BuildKit; not here: several platforms, --output FILE.tar, --output DIR, --cache-to
ok  kaniko       gcr.io/kaniko-project/executor:vVERSION, pulled when it is first used; not here: --secret, --ssh, several platforms, --cache-to
ok  oci          needs no engine; its store is STORE; not here: --dockerfile, --apt, --secret, --ssh, --cache-to
ok  podman       Podman Engine VERSION, whose service is started for the build; not here: --secret, --ssh, several platforms, --output FILE.tar, --output DIR, --cache-to
"""


def doctor() -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["doctor"]) == 0
    return re.sub(r"its store is \S+;", "its store is STORE;", out.getvalue())


def test_on_a_bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    said = doctor()
    assert BARE in said
    assert said.endswith("Images can be built here, without an engine (builder oci); nothing here can run them yet.\n")


def test_with_every_engine(engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = _or_skip("docker", engines.docker)
    made = _or_skip("containers", engines.containers)
    daemon = _or_skip("buildkit", engines.buildkitd)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", docker.host)
    monkeypatch.setenv("BUILDKIT_HOST", daemon.address)
    monkeypatch.setenv("PATH", f"{daemon.buildctl.parent}:{os.environ['PATH']}")
    said = doctor()
    said = said.replace(docker.host, "unix://DOCKER").replace(daemon.address, "unix://BUILDKITD")
    said = re.sub(r"(?<=[ v])\d+\.\d+[\w.+]*(?= at|;|,)", "VERSION", said)
    assert EQUIPPED in said
    assert said.endswith("Images can be built and run here.\n")


def test_each_builder_is_asked_for_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for ability in survey(names()):
        asked = {*ability.can, *(what for what, _ in ability.cannot)}
        assert asked == (set(SAMPLES) if ability.ready else set()), ability.name
        assert all(why for _, why in ability.cannot)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'buildah version 1.5 (image-spec 1.0)'", "buildah 1.5 is too old"),
        ("echo rubbish", "--version answers 'rubbish'"),
        ("echo why >&2; exit 3", "failed with status 3: why"),
        ("kill -9 $$", "failed with status -9"),
        ("yes x", "does not stop writing"),
    ],
)
def test_a_command_that_is_not_what_it_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str
) -> None:
    (tmp_path / "buildah").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "buildah").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (ability,) = survey(["buildah"])
    assert not ability.ready
    assert says in ability.found


def test_tools_that_it_names_are_what_it_takes(tmp_path: Path) -> None:
    _or_skip("containers", lambda: containers.set_up(tmp_path))
    assert shutil.which("buildah")
