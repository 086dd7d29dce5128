"""The builders' contract on those whose pods are in a cluster: a sample in each run, all of it by ``make contract``.

The tests are those of ``test_builder_contract.py``; what differs is said here. No row is left out.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from docker import APIClient
from kubernetes import client

from buildr_jupyter.builder.protocol import Builder
from buildr_jupyter.errors import PublishError, RegistryUnauthorized
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import Push
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.client import Registry as RegistryClient
from tests.engines import Engines
from tests.engines.base import NAME as BASE
from tests.engines.fixtures import _or_skip
from tests.engines.kubernetes import Cluster
from tests.engines.registry import Registry
from tests.integration import test_builder_contract as contract
from tests.integration.builders import REPOSITORY, World
from tests.integration.cluster.bare import Bare
from tests.integration.cluster.builders import HARNESSES, InCluster, left_in, prune
from tests.integration.cluster.conftest import namespace
from tests.integration.test_builder_contract import build, collect, logged_in

OWN = {
    "test_publish_with_a_login": "the seed's build and publish name no aliases of registries, without which a pod does"
    " not reach the registry of the tests; and kaniko's pod keeps no image that could be pushed afterwards",
}
"""Cells that have another test here, and why."""
WHOLE = set(product(contract.CELLS, HARNESSES))
SAMPLE = {
    ("test_build", "kaniko"),
    ("test_cached_where_nothing_changed", "buildkit"),
    ("test_two_at_once", "buildkit"),
    ("test_here_documents", "kaniko"),
    ("test_unicode_and_quoting", "buildkit"),
}
"""What runs each time: a row of each kind that ``test_builders.py`` beside has not."""
CHOSEN = WHOLE if os.environ.get("BUILDR_CONTRACT") == "all" else SAMPLE


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a cell on the builders that are chosen for it."""
    if "harness" in metafunc.fixturenames:
        name = metafunc.definition.originalname
        metafunc.parametrize("harness", [row for row in HARNESSES if (name, row) in CHOSEN], indirect=True)


@pytest.fixture(scope="session")
def world(
    engines: Engines, kubernetes_cluster: Cluster, registry_http: Registry, registry_login: Registry
) -> Iterator[World]:
    """The engine that runs images, and the registries that pods reach, with the base in them."""
    docker = _or_skip("docker", engines.docker)
    with contextlib.closing(APIClient(docker.host, version="auto", timeout=120)) as engine:
        made = World(engines, engine, registry_http, registry_login)
        made.offer(BASE)
        yield made


@pytest.fixture(scope="module")
def rooms(administrator: client.ApiClient, kubernetes_cluster: Cluster) -> Iterator[dict[str, Bare]]:
    """A namespace for each row, in which a buildkitd stays from test to test, as it does for a user."""
    with contextlib.ExitStack() as ends:
        made = {row: ends.enter_context(namespace(administrator)) for row in HARNESSES}
        yield made
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
            for bare in made.values():
                prune(bare)
                assert left_in(bare) == []


@pytest.fixture
def harness(
    request: pytest.FixtureRequest,
    world: World,
    rooms: dict[str, Bare],
    kubernetes_cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[InCluster]:
    """One row; nothing is left in its namespace afterwards but a buildkitd."""
    made = HARNESSES[request.param](world, tmp_path)
    made.bare, made.kubeconfig = rooms[request.param], kubernetes_cluster.kubeconfig
    made.image = request.getfixturevalue(f"{made.title}_image")
    for name, value in _or_skip(request.param, made.prepare).items():
        monkeypatch.setenv(name, value)
    with made.ends:
        yield made
    assert [one for one in left_in(made.bare) if not one.startswith("buildkitd-")] == []
    for image in world.client.images():
        for tag in image.get("RepoTags") or ():
            if re.search(rf"/{REPOSITORY}:(?!base$)", tag):
                world.client.remove_image(tag, force=True)


@pytest.fixture
def subject(harness: InCluster) -> Builder:
    return harness.builder()


@pytest.fixture
def trusted(world: World) -> Registry:
    """The registry with a login; it is plain http, for no certificate is of both names that it has."""
    return world.private


def _publish_with_a_login(harness: InCluster, subject: Builder, trusted: Registry) -> None:
    """A push without a login names it; a buildkitd pushes what it has built, and kaniko's pod while it builds."""
    ref = ImageRef.parse(f"{trusted.host}/{REPOSITORY}:{harness.folder.name[-20:]}")
    request = replace(harness.program("print('published')"), refs=(ref,), outputs=())

    def push() -> BuildResult:
        if harness.title == "kaniko":
            return build(subject, replace(request, outputs=(Push(ref),)))[1]
        result: BuildResult = collect(subject.stream_push(ref, CancelToken()))[1]
        return result

    if harness.title == "kaniko":
        assert subject.unsupported(request)
        with pytest.raises(PublishError, match="keeps no images"):
            collect(subject.stream_push(ref, CancelToken()))
    else:
        build(subject, request)
    with pytest.raises(RegistryUnauthorized, match=r"^Image push failed: ") as caught:
        push()
    assert f"buildr login {trusted.host}" in str(caught.value.hint)
    with logged_in(trusted):
        result = push()
        login = keychain.find(trusted.host)
    with contextlib.closing(RegistryClient(trusted.host, login)) as asked:
        manifest = asked.manifest(REPOSITORY, str(ref.tag))
    assert (manifest.digest, manifest.config_digest) == (result.digest, result.image_id)
    assert (result.size_bytes, result.pushed) == (manifest.size_bytes, (str(ref),))


for _cell in contract.CELLS:  # only what is chosen stands here, so that no test is collected without a row
    if _cell in {cell for cell, _ in CHOSEN}:
        globals()[_cell] = globals().get(_cell.replace("test", "", 1)) or getattr(contract, _cell)


def test_every_cell_is_there() -> None:
    """Each cell of the contract has its test here, that of the other module or one of its own with a reason."""
    assert SAMPLE <= WHOLE
    assert {row for _, row in SAMPLE} == set(HARNESSES)
    assert set(OWN) < set(contract.CELLS)
    assert all(getattr(contract, cell) for cell in contract.CELLS)
    assert {name for name in globals() if name in contract.CELLS} == {cell for cell, _ in CHOSEN}
