"""Fixtures that the unit tests of several packages share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.context import folder as context
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.oci.store import Store
from tests.fakes import bases
from tests.fakes.engine import FakeEngine


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeEngine], DockerBuilder]:
    """Make the Docker builder whose engine is the given one; no logins are found."""

    def make(fake: FakeEngine) -> DockerBuilder:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        return DockerBuilder(find_login=lambda _: None)

    return make


@pytest.fixture
def make_base(tmp_path: Path) -> Callable[..., Path]:
    """Write a ``docker save`` file with one layer that has one file; of this Python and platform unless told."""

    def make(name: str, **options: Any) -> Path:
        return bases.save(tmp_path / f"{name}.tar", **options)

    return make


@pytest.fixture
def small_base(make_base: Callable[..., Path]) -> Path:
    """A base of this interpreter's version."""
    return make_base("small")


@pytest.fixture
def trial_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of its own, on a machine without an engine."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "store"))
    return Store()


@pytest.fixture
def trial(trial_store: Store, tmp_path: Path, make_base: Callable[..., Path]) -> Iterator[OciBuilder]:
    """A builder whose store has ``trial:1`` on the base ``old``."""
    plan = ImagePlan(
        base=str(make_base("old", environment=("OLD=1", "BOTH=old"))),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        files=(FileEntry.from_bytes("app/main.py", b"print(1)\n"),), environment=(("MINE", "x"),),
        ports=("80/tcp",), labels=(("who", "me"),),
    )  # fmt: skip
    folder = context.write_folder(plan, tmp_path / "context")
    with contextlib.closing(OciBuilder(store=trial_store)) as builder:
        request = BuildRequest(folder, (ImageRef.parse("trial:1"),), plan=plan, outputs=())
        drain(builder.stream_build(request, CancelToken()), lambda _: None)
        yield builder
