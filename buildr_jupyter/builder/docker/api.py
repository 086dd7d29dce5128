"""What the engine's API takes and answers: build options, logins in docker's form, digests, sizes."""

from __future__ import annotations

import logging
from typing import TypedDict

from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.registry import keychain
from buildr_jupyter.secretscan.redact import masked_logger

__all__ = ["auth_config", "digest_of", "fits", "number_of", "text_of"]

logger = masked_logger(logging.getLogger(__name__))


class ClassicOptions(TypedDict):
    """What docker-py's ``build`` is told beside the context."""

    dockerfile: str
    rm: bool
    forcerm: bool
    nocache: bool
    pull: bool
    buildargs: dict[str, str]
    labels: dict[str, str]
    target: str | None
    network_mode: str | None
    platform: str | None


def classic_options(request: BuildRequest) -> ClassicOptions:
    """Return what docker-py's ``build`` takes of a request, for the classic builder."""
    custom = request.plan.dockerfile if request.plan else None
    platforms = request.target_platforms
    return {
        "dockerfile": request.dockerfile,
        "rm": True,
        "forcerm": True,
        "nocache": request.no_cache,
        "pull": request.pull,
        "buildargs": {**dict(custom.build_args if custom else ()), **request.build_args},
        "labels": dict(request.labels),
        "target": request.target or (custom.target if custom else None),
        "network_mode": request.network,
        "platform": platforms[0] if platforms else None,
    }


def auth_config(login: keychain.Login | None) -> dict[str, str]:
    if login is None:
        return {}
    if login.identity_token:
        return {"identitytoken": login.identity_token, "serveraddress": keychain.server_address(login.host)}
    return {
        "username": login.user,
        "password": login.password,
        "serveraddress": keychain.server_address(login.host),
    }


def fits(image: JsonObject, platform: str | None) -> bool:
    if not platform:
        return True
    system, _, rest = platform.partition("/")
    architecture, _, _variant = rest.partition("/")
    return image.get("Os") == system and image.get("Architecture") == architecture


def digest_of(image: JsonObject, base: str) -> str | None:
    name = ImageRef.parse(base).name
    familiar = name.removeprefix("docker.io/").removeprefix("library/")
    for known in image.get("RepoDigests") or ():
        repository, _, digest = str(known).partition("@")
        if repository in (name, familiar):
            return digest
    return text_of(image.get("Id"))


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def number_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
