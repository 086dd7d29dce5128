"""What is in layers that were made here: their packages, and the Python they were made for."""

from __future__ import annotations

import re
from pathlib import Path

from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.plan import VENV
from buildr_jupyter.oci.base_image import Python, opened_layer
from buildr_jupyter.oci.layer import Layer
from buildr_jupyter.oci.python_layers import contents_key
from buildr_jupyter.oci.store import Store

__all__ = ["packages_in", "python_of"]

_INFO = re.compile(rf"{VENV.lstrip('/')}/lib/python[^/]+/site-packages/([^/]+)\.dist-info/")


def packages_in(store: Store, layer: Layer) -> list[tuple[str, str]]:
    """Return name and version of the distributions in one of our layers, sorted; read once for each layer.

    Raises DamagedBlob where the layer is not in the store.
    """
    key = contents_key(layer)
    known = store.record(key)
    if not isinstance(known, list):
        names = set()
        with opened_layer(store.sound(layer.digest), layer) as tar:
            for member in tar:
                if match := _INFO.match(member.name):
                    name, _, version = match[1].partition("-")
                    names.add((name, version))
        known = sorted(names)
        store.note(key, [list(one) for one in known])
    return [(str(name), str(version)) for name, version in known]


def python_of(layers: list[Layer], store: Store) -> Python:
    """Return the interpreter that our layers stand on, as the environment's ``pyvenv.cfg`` says; raises BuildError."""
    for layer in sorted(layers, key=lambda one: one.size_bytes):
        path: Path = store.sound(layer.digest)
        with opened_layer(path, layer) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name == f"{VENV.lstrip('/')}/pyvenv.cfg" else None
                if stream is not None:
                    lines = stream.read().decode().splitlines()
                    values = dict(line.partition(" = ")[::2] for line in lines)
                    return Python(values["home"], values["version"])
    raise BuildError("Image build failed: the image has no Python environment that buildr made", hint="build it again")
