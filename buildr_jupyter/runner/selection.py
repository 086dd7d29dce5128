"""The seam between an image and a container that runs it."""

from __future__ import annotations

import os
from importlib import import_module

from buildr_jupyter.errors import UnknownSpec
from buildr_jupyter.runner.protocol import Runner

__all__ = ["RUNNERS", "select"]

RUNNERS = {
    "docker": "buildr_jupyter.runner.docker_runner:DockerRunner",
    "kubernetes": "buildr_jupyter.runner.kubernetes_runner:KubernetesRunner",
}
_SEED_NAMES = {"metaparticle": "kubernetes"}


def select(spec: str) -> Runner:
    """Return a new runner for ``NAME`` or ``NAME=WHERE``; it connects to nothing yet. Raises UnknownSpec, OptionError.

    ``kubernetes=CONTEXT/NAMESPACE`` says which cluster; the seed's ``metaparticle`` is another name of it.
    """
    name, equals, where = spec.partition("=")
    name = _SEED_NAMES.get(name, name)
    if name not in RUNNERS or (equals and name == "docker"):
        raise UnknownSpec(f"Unknown spec {spec}", hint=f"runners here: {', '.join(sorted(RUNNERS))}")
    module, _, attribute = RUNNERS[name].partition(":")
    make = getattr(import_module(module), attribute)
    found: Runner = (
        make() if name == "docker" else make(f"{name}{equals}{where}", user=os.environ.get("JUPYTERHUB_USER"))
    )
    return found
