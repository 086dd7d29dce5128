"""What docker's API is told and says, in our own types."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.builder.docker.api import (
    auth_config,
    classic_options,
    digest_of,
    fits,
    number_of,
    text_of,
)
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.registry.keychain import Login

DIGEST = "sha256:" + "a" * 64


def test_a_request_becomes_the_options_of_the_classic_builder() -> None:
    plain = BuildRequest(Path("folder"), (ImageRef.parse("me/x:1"),))
    request = replace(
        plain, platforms=("linux/arm64",), no_cache=True, build_args={"A": "1"}, labels={"l": "2"}, network="none"
    )
    options = classic_options(request)
    assert (options["platform"], options["nocache"], options["pull"]) == ("linux/arm64", True, False)
    assert (options["buildargs"], options["labels"], options["network_mode"]) == ({"A": "1"}, {"l": "2"}, "none")
    assert options["rm"]
    assert options["forcerm"]
    assert classic_options(plain)["platform"] is None


def test_a_login_is_a_password_or_a_token_and_never_both() -> None:
    assert auth_config(None) == {}
    assert auth_config(Login("reg.example", "u", "p")) == {
        "username": "u",
        "password": "p",
        "serveraddress": "reg.example",
    }
    assert auth_config(Login("reg.example", "", identity_token="t")) == {
        "identitytoken": "t",
        "serveraddress": "reg.example",
    }


@pytest.mark.parametrize(
    ("platform", "wanted"),
    [(None, True), ("linux/amd64", True), ("linux/amd64/v2", True), ("linux/arm64", False), ("windows/amd64", False)],
)
def test_an_image_fits_a_platform_by_system_and_architecture(platform: str | None, wanted: bool) -> None:
    assert fits({"Os": "linux", "Architecture": "amd64"}, platform) is wanted


def test_a_base_has_its_repository_s_digest_else_its_id() -> None:
    image = {"Id": "sha256:id", "RepoDigests": [f"other@{DIGEST[:-1]}b", f"python@{DIGEST}"]}
    assert digest_of(image, "docker.io/library/python:3.11") == DIGEST
    assert digest_of(image, "python:3.11") == DIGEST
    assert digest_of(image, "mine:1") == "sha256:id"
    assert digest_of({}, "python:3.11") is None


def test_values_of_another_type_are_none() -> None:
    assert [text_of(one) for one in ("a", "", None, 1)] == ["a", None, None, None]
    assert [number_of(one) for one in (3, True, "3", None)] == [3, None, None, None]
