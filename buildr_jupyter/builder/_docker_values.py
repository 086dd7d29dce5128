"""What the engine's API takes and answers: build options, logins in docker's form, digests, sizes."""

from __future__ import annotations

import logging
from typing import Any

from buildr_jupyter import credentials
from buildr_jupyter.errors import CredentialError, PublishError
from buildr_jupyter.masking import masked_logger
from buildr_jupyter.model import BuildRequest, ImageRef

__all__ = [
    "auth_config",
    "compressed_bytes",
    "digest_of",
    "fits",
    "number_of",
    "text_of",
]

logger = masked_logger(logging.getLogger(__name__))


def classic_options(request: BuildRequest) -> dict[str, Any]:
    """Return what docker-py's ``build`` takes of a request, for the classic builder."""
    custom = request.plan.dockerfile if request.plan else None
    platforms = request.platforms or (request.plan.platforms if request.plan else ())
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


def auth_config(login: credentials.Login | None) -> dict[str, str]:
    if login is None:
        return {}
    if login.identity_token:
        return {"identitytoken": login.identity_token, "serveraddress": credentials.server_address(login.host)}
    return {
        "username": login.user,
        "password": login.password,
        "serveraddress": credentials.server_address(login.host),
    }


def compressed_bytes(ref: ImageRef, digest: str, login: credentials.Login | None) -> int | None:
    """Return the size of layers and config as the registry's manifest says, None where it cannot be asked from here."""
    from buildr_jupyter.oci.registry import connect as connect_registry

    try:
        registry = connect_registry(ref.registry_host, login, timeout_s=5)
        return registry.manifest(ref.registry_path, digest).size_bytes
    except (PublishError, CredentialError) as error:
        logger.debug("size of %s is not known: %s", ref, error)
        return None


def fits(image: dict[str, Any], platform: str | None) -> bool:
    if not platform:
        return True
    system, _, rest = platform.partition("/")
    architecture, _, _variant = rest.partition("/")
    return image.get("Os") == system and image.get("Architecture") == architecture


def digest_of(image: dict[str, Any], base: str) -> str | None:
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
