"""An image of the store on another base: the base found and judged, each platform's image made."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

from buildr_jupyter.builder.oci.bases import Bases
from buildr_jupyter.errors import BuildError, BuildRefused
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.oci.base_image import Base, Python, check_platform, find_python, is_musl
from buildr_jupyter.oci.image import Image, Published, make_index
from buildr_jupyter.oci.layer import Layer
from buildr_jupyter.oci.package_list import python_of
from buildr_jupyter.oci.rebase import rebase
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.store import Store

__all__ = ["rebased"]


def rebased(
    ref: ImageRef, name: str, store: Store, bases: Bases, cancel: CancelToken
) -> Generator[Event, None, tuple[Published, list[Base]]]:
    """Return the image of a reference on the base ``name``, asked for anew, and that base for each platform.

    Raises BuildError for an image that the store has not, or a base that is nowhere or for another platform;
    BuildRefused for a base whose Python is of another version or in another folder.
    """
    known = store.image(str(ref))
    if known is None:
        raise BuildError(
            f"Image build failed: {ref} is not in the store",
            hint="choose one that is: buildr images marks them with (store)",
        )
    made, old_bases = image_of(known, store)
    images, found = [], []
    for image, old in zip(made.images, old_bases, strict=True):
        own = list(image.layers[len(old.layers) :])
        python = python_of(own, store)
        new = yield from bases.find(name, image.platform, python=python.version, pull=True, cancel=cancel)
        locate = partial(bases.locate, new, cancel=cancel)
        if is_musl(new) != is_musl(old):
            raise BuildRefused(
                f"Image build failed: base {new.name} has another C library (musl or glibc) than {old.name}",
                hint="name a base of the same kind, or build the image again with --base",
            )
        images.append(_on(image, old, new, python, store, locate))
        found.append(new)
    annotations = {
        "org.opencontainers.image.base.digest": found[0].digest,
        "org.opencontainers.image.base.name": found[0].name,
    }
    return Published(tuple(images), make_index(images, annotations) if made.index is not None else None), found


def _on(image: Image, old: Base, new: Base, python: Python, store: Store, locate: Callable[[Layer], Path]) -> Image:
    check_platform(new.config, image.platform, new.name)
    try:
        found = find_python(new, store, locate, python.version)
    except BuildRefused as error:
        raise BuildRefused(
            str(error), hint=f"name a base with Python {python.version}, or build the image again for another"
        ) from error
    if found.bin != python.bin:
        raise BuildRefused(
            f"Image build failed: base {new.name} has its Python in {found.bin}, the image's is in {python.bin}",
            hint="name a base of the same kind, or build the image again with --base",
        )
    return rebase(image, old, new)
