"""An image of the store on another base: which base is taken for which image, and which is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.oci.rebase import rebased
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.errors import BuildError, BuildRefused
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import Published, default_platform, make_index
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.store import Store
from tests.runner_contract import collected

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
TRIAL = ImageRef.parse("trial:1")


class Noted:
    """The builder's bases, and how each was asked for."""

    def __init__(self, bases: Any) -> None:
        self._bases = bases
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.locate = bases.locate

    def find(self, name: str, platform: str, **how: Any) -> Generator[Event, None, Base]:
        self.asked.append((name, platform, how))
        found: Base = yield from self._bases.find(name, platform, **how)
        return found


def on(trial: OciBuilder, base: Path | str, ref: ImageRef = TRIAL) -> tuple[Published, list[Base], Noted]:
    bases, cancel = Noted(trial.bases), CancelToken()
    _, (made, found) = collected(rebased(ref, str(base), trial.store, bases, cancel))  # type: ignore[arg-type]
    return made, found, bases


def test_the_base_is_asked_for_anew_and_given_with_the_image(
    trial: OciBuilder, trial_store: Store, make_base: Callable[..., Path]
) -> None:
    new = make_base("new")
    made, (base,), bases = on(trial, new)
    (image,) = made.images
    assert made.index is None
    assert [layer.diff_id for layer in image.layers[: len(base.layers)]] == [layer.diff_id for layer in base.layers]
    assert json.loads(image.manifest)["annotations"]["org.opencontainers.image.base.digest"] == base.digest
    ((name, platform, how),) = bases.asked
    assert (name, platform, how["python"], how["pull"]) == (str(new), default_platform(), VERSION, True)


def test_nothing_is_tagged_yet(trial: OciBuilder, trial_store: Store, make_base: Callable[..., Path]) -> None:
    before = trial_store.image("trial:1")
    on(trial, make_base("new"))
    assert trial_store.image("trial:1") == before


def test_an_image_for_several_platforms_stays_one(
    trial: OciBuilder, trial_store: Store, make_base: Callable[..., Path]
) -> None:
    known = trial_store.image("trial:1")
    assert known is not None
    made, old = image_of(known, trial_store)
    both = (*made.images, *made.images)
    trial._keep(Published(both, make_index(list(both), {})), [*old, *old], (ImageRef.parse("several:1"),))
    after, found, bases = on(trial, make_base("new"), ImageRef.parse("several:1"))
    assert (len(after.images), len(found), len(bases.asked)) == (2, 2, 2)
    assert after.index is not None
    said = json.loads(after.index)
    assert [one["digest"] for one in said["manifests"]] == [one.digest for one in after.images]
    assert said["annotations"] == {
        "org.opencontainers.image.base.name": "new.tar",
        "org.opencontainers.image.base.digest": found[0].digest,
    }


def test_an_image_that_is_not_there(trial: OciBuilder, make_base: Callable[..., Path]) -> None:
    with pytest.raises(BuildError, match="nobody:1 is not in the store") as caught:
        on(trial, make_base("new"), ImageRef.parse("nobody:1"))
    assert caught.value.hint == "choose one that is: buildr images marks them with (store)"


@pytest.mark.parametrize(
    ("how", "why", "hint"),
    [
        ({"history": "RUN apk add x"}, "another C library", "name a base of the same kind, or build the image again with --base"),
        ({"python": "3.8.1"}, r"has Python 3\.8, the packages are for",
         f"name a base with Python {VERSION}, or build the image again for another"),
        ({"python": None, "layers": ({"etc/os": b""},)}, "has no Python",
         f"name a base with Python {VERSION}, or build the image again for another"),
        ({"python": None, "layers": ({f"usr/bin/python{VERSION}": b"#!"},)}, "has its Python in /usr/bin, the image's is in",
         "name a base of the same kind, or build the image again with --base"),
    ],
)  # fmt: skip
def test_a_base_that_does_not_fit(
    trial: OciBuilder, make_base: Callable[..., Path], how: dict[str, Any], why: str, hint: str
) -> None:
    with pytest.raises(BuildRefused, match=why) as caught:
        on(trial, make_base("other", **how))
    assert caught.value.hint == hint


def test_a_base_for_another_platform_or_none_at_all(
    trial: OciBuilder, make_base: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match="is for linux/s390x, not for"):
        on(trial, make_base("far", architecture="s390x"))
    with pytest.raises(BuildError):
        on(trial, tmp_path / "gone.tar")
