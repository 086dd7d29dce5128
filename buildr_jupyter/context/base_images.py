"""The Dockerfile of a request: read from its context folder, and what it would pull."""

from __future__ import annotations

import contextlib

from buildr_jupyter.context.dockerfile_parse import Dockerfile, parse_dockerfile
from buildr_jupyter.errors import ContextError, ImageRefError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest

__all__ = ["base_images", "base_locations", "base_names", "has_heredoc", "read_dockerfile"]


def read_dockerfile(request: BuildRequest) -> Dockerfile:
    """Return the request's Dockerfile in its parts. Raises ContextError where it cannot be read."""
    try:
        text = (request.context / request.dockerfile).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ContextError(f"{request.dockerfile} cannot be read: {error.strerror}", hint="check its mode") from error
    return parse_dockerfile(text)


def base_names(request: BuildRequest) -> tuple[str, ...]:
    """Return the images that the Dockerfile begins from or copies from, in order, each once: what would be pulled."""
    custom = request.plan.dockerfile if request.plan else None
    return read_dockerfile(request).images({**dict(custom.build_args if custom else ()), **request.build_args})


def base_images(request: BuildRequest) -> list[ImageRef]:
    """Return what ``base_names`` finds as references, in its order, each once; a text that is none is left out."""
    found = []
    for name in base_names(request):
        with contextlib.suppress(ImageRefError):
            found.append(ImageRef.parse(name).tagged())
    return list(dict.fromkeys(found))


def base_locations(request: BuildRequest) -> dict[str, str]:
    """Return the registries of ``base_images``, each with the first repository there: an engine is told one login."""
    return {ref.registry_host: ref.location for ref in reversed(base_images(request))}


def has_heredoc(request: BuildRequest) -> bool:
    """Tell whether the Dockerfile has a here-document; one that is not written yet has none."""
    try:
        return read_dockerfile(request).has_heredoc
    except ContextError:
        return False
