"""Manifest size: the compressed bytes of an image in a registry."""

from __future__ import annotations

import logging

from buildr_jupyter.errors import CredentialError, PublishError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.registry import keychain
from buildr_jupyter.secretscan.redact import masked_logger

__all__ = ["compressed_bytes"]

logger = masked_logger(logging.getLogger(__name__))


def compressed_bytes(ref: ImageRef, digest: str, login: keychain.Login | None) -> int | None:
    """Return the size of layers and config as the registry's manifest says, None where it cannot be asked from here."""
    from buildr_jupyter.registry.client import connect as connect_registry

    try:
        registry = connect_registry(ref.registry_host, login, timeout_s=5)
        return registry.manifest(ref.registry_path, digest).size_bytes
    except (PublishError, CredentialError) as error:
        logger.debug("size of %s is not known: %s", ref, error)
        return None
