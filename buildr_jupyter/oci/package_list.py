"""What is in layers that were made here: their packages, and the Python they were made for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.plan import VENV
from buildr_jupyter.oci.base_image import Python, opened_layer
from buildr_jupyter.oci.layer import Layer
from buildr_jupyter.oci.python_layers import contents_key
from buildr_jupyter.oci.store import Store

__all__ = ["packages_in", "python_of", "split_name", "with_layer"]

_ENVIRONMENT = VENV.lstrip("/")
_INFO = re.compile(rf"{_ENVIRONMENT}/lib/python[^/]+/site-packages/[^/]+\.dist-info(?=/|$)")
_GONE, _OPAQUE = ".wh.", ".wh..wh..opq"


def with_layer(installed: set[str], names: Iterable[str]) -> set[str]:
    """Return the ``dist-info`` folders that are there above a layer with files of these names.

    ``installed`` are those below it. Source: OCI image specification 1.1, "Whiteouts", "Opaque Whiteout".
    """
    added, gone = set(), []
    for name in names:
        name = name.removeprefix("./").strip("/")
        folder, _, last = name.rpartition("/")
        if last.startswith(_GONE):
            lost = folder if last == _OPAQUE else f"{folder}/{last.removeprefix(_GONE)}".lstrip("/")
            if f"{_ENVIRONMENT}/".startswith(f"{lost}/") or lost.startswith(f"{_ENVIRONMENT}/lib"):
                gone.append(lost)
        elif match := _INFO.match(name):
            added.add(match[0])
    return {one for one in installed if not any(f"{one}/".startswith(f"{lost}/") for lost in gone)} | added


def split_name(folder: str) -> tuple[str, str]:
    """Return name and version that a ``dist-info`` folder has in its name."""
    name, _, version = folder.rpartition("/")[2].removesuffix(".dist-info").partition("-")
    return name, version


def packages_in(store: Store, layer: Layer) -> list[tuple[str, str]]:
    """Return name and version of the distributions in one of our layers, sorted; read once for each layer.

    Raises DamagedBlob where the layer is not in the store.
    """
    key = contents_key(layer)
    known = store.record(key)
    if not isinstance(known, list):
        with opened_layer(store.sound(layer.digest), layer) as tar:
            known = sorted(map(split_name, with_layer(set(), (member.name for member in tar))))
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
