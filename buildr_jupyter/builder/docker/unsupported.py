"""What an engine cannot do of a request, found before it starts; the engine is asked only where it matters."""

from __future__ import annotations

from collections.abc import Callable

from buildr_jupyter.builder.buildkit.session import can_serve
from buildr_jupyter.context.base_images import has_heredoc
from buildr_jupyter.model.request import (
    INTERPRETER_BASE_REFUSAL,
    Archive,
    BuildRequest,
    Layout,
    Unsupported,
)
from buildr_jupyter.model.request_secrets import secrets_of

__all__ = ["docker_unsupported"]


def docker_unsupported(
    request: BuildRequest, *, speaks_buildkit: Callable[[], bool], lacks_heredocs: Callable[[], str | None]
) -> list[Unsupported]:
    """Return the refusals; ``lacks_heredocs`` tells why here-documents are not known, None where they are."""
    found = []
    if request.wants_interpreter_base:
        found.append(INTERPRETER_BASE_REFUSAL)
    platforms = request.target_platforms
    if len(platforms) > 1:
        found.append(Unsupported("several platforms", "the engine builds for one at a time", ("buildkit", "oci")))
    wants = [what for what, asked in (("build secrets", secrets_of(request)), ("ssh agents", request.ssh)) if asked]
    if wants and not speaks_buildkit():
        found += [Unsupported(what, "the classic builder has none", ("buildkit",)) for what in wants]
    elif wants and not can_serve():
        why = "they need pip install 'buildr-jupyter[buildkit]'"
        found += [Unsupported(what, why, ("buildkit",)) for what in wants]
    if has_heredoc(request) and (unknown := lacks_heredocs()):
        found.append(Unsupported("here-documents", unknown, ("buildkit",)))
    if request.cache_to:
        found.append(Unsupported("--cache-to", "the engine keeps its cache to itself", ("buildkit",)))
    for output in request.outputs:
        if isinstance(output, (Archive, Layout)):
            kind = "an archive" if isinstance(output, Archive) else "an image layout"
            found.append(Unsupported(kind, "the engine keeps the image in its own store", ("buildkit", "oci")))
    return found
