"""Secrets of a request: the ids that its steps may read."""

from __future__ import annotations

from buildr_jupyter.model.request import BuildRequest

__all__ = ["secrets_of"]


def secrets_of(request: BuildRequest) -> tuple[str, ...]:
    """Return the ids of the secrets that the request has or that its Dockerfile is said to need."""
    custom = request.plan.dockerfile if request.plan else None
    return (*(secret.id for secret in request.secrets), *(custom.secrets if custom else ()))
