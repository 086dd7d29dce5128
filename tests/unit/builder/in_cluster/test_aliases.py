"""Registries by the names that a cluster has for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from buildr_jupyter.builder.in_cluster.aliases import Aliases, unreached
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest, Push
from buildr_jupyter.registry.keychain import Login

ALIASES = Aliases({"localhost:5000": "registry.svc:5000", "docker.io": "mirror.svc"})


def test_names_and_back() -> None:
    assert str(ALIASES.ref(ImageRef.parse("localhost:5000/a/b:1"))) == "registry.svc:5000/a/b:1"
    assert str(ALIASES.ref(ImageRef.parse("python:3.12"))) == "mirror.svc/library/python:3.12"
    assert str(ALIASES.ref(ImageRef.parse("ghcr.io/a/b:1"))) == "ghcr.io/a/b:1"
    assert ALIASES.location("localhost:5000/a/b") == "registry.svc:5000/a/b"
    assert (ALIASES.outside("mirror.svc"), ALIASES.outside("ghcr.io")) == ("docker.io", "ghcr.io")


def test_a_login_is_for_the_name_there() -> None:
    made = ALIASES.login(Login("localhost:5000", "me", "secret"))
    assert (made.host, made.user, made.password) == ("registry.svc:5000", "me", "secret")


def test_loopback_without_another_name_is_not_reached() -> None:
    refs = [ImageRef.parse(name) for name in ("localhost:5000/a", "127.0.0.1:5001/a", "ghcr.io/a/b")]
    assert ALIASES.unreachable(refs) == ["127.0.0.1:5001"]


def test_what_a_pod_does_not_reach_is_said_with_a_way(tmp_path: Path) -> None:
    pushed = ImageRef.parse("localhost:5000/app:1")
    request = BuildRequest(tmp_path, (pushed,), outputs=(Push(pushed),), network="host")
    told = [str(one) for one in unreached(request)]  # the folder is not written yet
    assert "--registry-alias localhost:5000=INSIDE" in told[0]
    assert "index" in told[1]
    (tmp_path / "Dockerfile").write_text("FROM 127.0.0.1:5001/base:1\n")
    aliased = replace(request, registry_aliases=(("localhost:5000", "r.svc"),), network=None)
    (base,) = unreached(aliased)
    assert "127.0.0.1:5001=INSIDE" in base.why
