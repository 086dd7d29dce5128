"""The seam between an image and a container that runs it."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, cast

from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import UnknownSpec
from buildr_jupyter.runner.protocol import GridRunner, Runner

if TYPE_CHECKING:
    from buildr_jupyter.engine.client import OpenEngine

__all__ = ["RUNNERS", "select", "select_grid"]

RUNNERS = {
    "docker": "buildr_jupyter.runner.docker_runner:DockerRunner",
    "kubernetes": "buildr_jupyter.runner.kubernetes_runner:KubernetesRunner",
}
_SEED_NAMES = {"metaparticle": "kubernetes"}


def select_grid(spec: str) -> GridRunner | None:
    """Return a new runner that runs the points of a grid as one group, None where each is a run of its own."""
    found = select(spec)
    return None if found.capabilities().in_engine else cast("GridRunner", found)


def select(spec: str, *, engine: OpenEngine | None = None) -> Runner:
    """Return a new runner for ``NAME`` or ``NAME=WHERE``; it connects to nothing yet. Raises UnknownSpec, OptionError.

    ``engine`` opens the connection that a runner of an engine works over, in place of the one that it finds;
    a runner of a cluster has no use for it. ``kubernetes=CONTEXT/NAMESPACE`` says which cluster; the seed's
    ``metaparticle`` is another name of it.
    """
    name, equals, where = spec.partition("=")
    name = _SEED_NAMES.get(name, name)
    if name not in RUNNERS or (equals and name == "docker"):
        raise UnknownSpec(
            f"Unknown spec {spec}",
            hint=nearest_hint(name, RUNNERS, f"choose one that is here: {', '.join(sorted(RUNNERS))}"),
        )
    module, _, attribute = RUNNERS[name].partition(":")
    make = getattr(import_module(module), attribute)
    if name == "docker":
        made = make()
        if engine is not None:
            made.docker_client = engine()
    else:
        made = make(f"{name}{equals}{where}", user=os.environ.get("JUPYTERHUB_USER"))
    found: Runner = made
    return found
