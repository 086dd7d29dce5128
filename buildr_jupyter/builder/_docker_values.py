"""What a request and the engine's answers hold: registries of the bases, logins in docker's form, digests, sizes."""

from __future__ import annotations

import logging
import re
from typing import Any

from buildr_jupyter import credentials
from buildr_jupyter.errors import ContextError, CredentialError, ImageRefError, PublishError
from buildr_jupyter.masking import masked_logger
from buildr_jupyter.model import BuildRequest, ImageRef

__all__ = [
    "FROM",
    "METADATA",
    "auth_config",
    "base_locations",
    "compressed_bytes",
    "digest_of",
    "fits",
    "number_of",
    "text_of",
]

logger = masked_logger(logging.getLogger(__name__))

FROM = re.compile(r"^[ \t]*FROM\s+(?:--\S+\s+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?", re.IGNORECASE | re.MULTILINE)
METADATA = re.compile(r"load metadata for (\S+)")
_COPY_FROM = re.compile(r"^\s*(?:COPY|ADD)\s.*?--from=(\S+)", re.IGNORECASE | re.MULTILINE)


def base_locations(request: BuildRequest) -> dict[str, str]:
    """Return the registries that the Dockerfile's stages are taken from, each with the first repository there.

    An engine is told one login for a registry. Names that hold a variable are left out.
    """
    try:
        text = (request.context / request.dockerfile).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ContextError(f"{request.dockerfile} cannot be read: {error.strerror}", hint="check its mode") from error
    found: dict[str, str] = {}
    stages = {"scratch"}
    for line in FROM.finditer(text):
        if line[1].lower() not in stages:
            found = {**_location_of(line[1]), **found}
        stages.add((line[2] or "scratch").lower())
    for name in _COPY_FROM.findall(text):
        if name.lower() not in stages and not name.isdigit():
            found = {**_location_of(name), **found}
    return found


def _location_of(name: str) -> dict[str, str]:
    try:
        ref = ImageRef.parse(name)
    except ImageRefError:
        return {}
    return {ref.registry_host: ref.location}


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
