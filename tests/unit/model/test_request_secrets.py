"""The secrets of a request are those that were given and those that its Dockerfile is said to need."""

from __future__ import annotations

from pathlib import Path

from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan
from buildr_jupyter.model.request import BuildRequest, Secret
from buildr_jupyter.model.request_secrets import secrets_of

PLAN = ImagePlan(base="", python="", dockerfile=CustomDockerfile("FROM scratch", secrets=("pip", "ssh")))


def test_ids_of_both_in_order() -> None:
    given = (Secret("token", variable="TOKEN"), Secret("file", source=Path("x")))
    assert secrets_of(BuildRequest(Path(), (), secrets=given)) == ("token", "file")
    assert secrets_of(BuildRequest(Path(), (), plan=PLAN)) == ("pip", "ssh")
    assert secrets_of(BuildRequest(Path(), (), plan=PLAN, secrets=given)) == ("token", "file", "pip", "ssh")


def test_a_request_without_any_has_none() -> None:
    assert secrets_of(BuildRequest(Path(), ())) == ()
    assert secrets_of(BuildRequest(Path(), (), plan=ImagePlan(base="python:3", python="3.12"))) == ()
