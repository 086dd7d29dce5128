"""The seam between an image's description and whatever can make it.

``select(spec)`` gives a builder by name. A new builder is one module and one row of ``BUILDERS``, or an entry point
in the group ``buildr_jupyter.builders``. What follows a ``=`` in the spec (``buildkit=tcp://host:1234``) goes to the
class method ``of`` of a builder that has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING

from buildr_jupyter.builder.protocol import Builder
from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import UnknownSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BUILDERS", "names", "select"]

BUILDERS = {
    "auto": "buildr_jupyter.builder.auto_builder:AutoBuilder",
    "buildah": "buildr_jupyter.builder.buildah_builder:BuildahBuilder",
    "buildkit": "buildr_jupyter.builder.buildkit_builder:BuildkitBuilder",
    "docker": "buildr_jupyter.builder.docker_builder:DockerBuilder",
    "kaniko": "buildr_jupyter.builder.kaniko_builder:KanikoBuilder",
    "oci": "buildr_jupyter.builder.oci_builder:OciBuilder",
    "podman": "buildr_jupyter.builder.podman_builder:PodmanBuilder",
}
"""Name to ``module:class``; the module is imported when the builder is selected."""


def names() -> list[str]:
    """Return the names that ``select`` knows, sorted."""
    return sorted({*BUILDERS, *(point.name for point in _entry_points())})


def _entry_points() -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # reads e-mail and zip files, too

    return entry_points(group="buildr_jupyter.builders")


def select(spec: str) -> Builder:
    """Return a new builder for the spec, ``NAME`` or ``NAME=ARGUMENT``; it connects to nothing yet.

    Raises UnknownSpec, whose text begins with ``Unknown spec``, as the seed's did; also for an argument that the
    builder does not take.
    """
    name, separator, argument = spec.partition("=")
    if name in BUILDERS:
        module, _, attribute = BUILDERS[name].partition(":")
        made: Callable[[], Builder] = getattr(import_module(module), attribute)
    elif found := [point for point in _entry_points() if point.name == name]:
        made = found[0].load()
    else:
        raise UnknownSpec(
            f"Unknown spec {spec}", hint=nearest_hint(name, names(), f"choose one that is here: {', '.join(names())}")
        )
    if not separator:
        plain: Builder = made()
        return plain
    if not hasattr(made, "of"):
        raise UnknownSpec(
            f"Unknown spec {spec}: builder {name} takes nothing after '='", hint=f"choose it: --builder {name}"
        )
    particular: Builder = made.of(argument)
    return particular
