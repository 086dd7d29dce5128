"""Aliases: registries by the names that a cluster has for them, and back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from buildr_jupyter.context.base_images import base_images
from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest, Push, Unsupported
from buildr_jupyter.registry.addresses import is_local
from buildr_jupyter.registry.keychain import Login

__all__ = ["Aliases", "unreached"]


class Aliases:
    """The pairs of ``--registry-alias OUTSIDE=INSIDE``; a registry without one has the same name everywhere."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._inside = dict(pairs)
        self._outside = {inside: outside for outside, inside in pairs.items()}

    def host(self, outside: str) -> str:
        """Return what a registry is called in the cluster."""
        return self._inside.get(outside, outside)

    def outside(self, inside: str) -> str:
        """Return what a registry of the cluster is called here."""
        return self._outside.get(inside, inside)

    def ref(self, outside: ImageRef) -> ImageRef:
        """Return the reference by its name in the cluster."""
        inside = self.host(outside.registry_host)
        if inside == outside.registry_host:
            return outside
        return replace(outside, registry=inside, path=outside.registry_path)

    def location(self, outside: str) -> str:
        """Return ``host/repository`` by its name in the cluster."""
        host, slash, path = outside.partition("/")
        return f"{self.host(host)}{slash}{path}"

    def login(self, login: Login) -> Login:
        """Return the login for the registry by its name in the cluster."""
        return replace(login, host=self.host(login.host))

    def unreachable(self, refs: list[ImageRef]) -> list[str]:
        """Return the registries that a pod cannot reach: this machine's loopback is the pod's own there."""
        hosts = {ref.registry_host for ref in refs}
        return sorted(host for host in hosts if is_local(self.host(host)))


def unreached(request: BuildRequest) -> list[Unsupported]:
    """Return what of a request a pod does not reach; of a folder that is not written yet the bases are not known."""
    found = []
    refs = [output.ref for output in request.outputs if isinstance(output, Push)]
    with contextlib.suppress(ContextError):
        refs += base_images(request)
    for host in Aliases(dict(request.registry_aliases)).unreachable(refs):
        why = f"it is this machine's loopback, which a pod does not reach: --registry-alias {host}=INSIDE"
        found.append(Unsupported(f"registry {host}", why))
    if request.network == "host":
        found.append(Unsupported("a package index on this machine's loopback", "a pod does not reach it"))
    return found
