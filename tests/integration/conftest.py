"""What integration tests share: a store that fills as they go, a builder on it, a client of the private engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.oci.store import Store


@pytest.fixture(scope="session")
def warm_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a store; what one test made is there for the next."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def oci(warm_store: Path) -> Iterator[OciBuilder]:
    """The builder without an engine, on the shared store."""
    with contextlib.closing(OciBuilder(store=Store(warm_store))) as made:
        yield made


@pytest.fixture
def client(docker_host: str) -> Iterator[APIClient]:
    """A client of the private engine."""
    with contextlib.closing(engine.connect()) as connected:
        yield connected
