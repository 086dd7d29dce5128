"""What the tests on the real cluster share. One test process runs all of this folder, so that one cluster is started."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.model.request import Push
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry import keychain
from tests.engines import Engines
from tests.engines.fixtures import _or_skip
from tests.engines.gotools import tool
from tests.engines.kubernetes import Cluster, builder_images
from tests.engines.kubernetes.builder_images import push
from tests.engines.registry import Registry
from tests.integration.cluster.bare import Bare
from tests.integration.oci_images import build, request_for


@pytest.fixture(scope="session")
def administrator(kubernetes_cluster: Cluster) -> Iterator[client.ApiClient]:
    """The official client with the administrator's rights."""
    settings = client.Configuration()
    config.load_kube_config(str(kubernetes_cluster.kubeconfig), client_configuration=settings, persist_config=False)
    settings.retries = False
    with client.ApiClient(settings) as made:
        yield made


@pytest.fixture
def bare(administrator: client.ApiClient) -> Iterator[Bare]:
    """The official client in a new namespace, which is gone afterwards."""
    with namespace(administrator) as made:
        yield made


@contextlib.contextmanager
def namespace(administrator: client.ApiClient, **labels: str) -> Iterator[Bare]:
    """Make a namespace; at the end its removal is asked for and not awaited."""
    made = Bare(administrator, f"t-{secrets.token_hex(5)}")
    made.core.create_namespace({"metadata": {"name": made.namespace, "labels": labels}})
    try:
        made.until(made.has_default_account)
        yield made
    finally:
        made.core.delete_namespace(made.namespace)


@pytest.fixture(scope="session")
def program_image(
    kubernetes_cluster: Cluster, registry_http: Registry, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """An image of this interpreter that runs the Python text it is given, in the registry, named by its digest."""
    folder = tmp_path_factory.mktemp("cluster-image")
    main = FileEntry.from_bytes("app/main.py", b"import sys\nexec(compile(sys.argv[1], 'code', 'exec'))\n")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    plan = ImagePlan(base="kernel", python=python, files=(main,))
    repository = f"{registry_http.host}/tests/program"
    ref = f"{repository}:1"
    with contextlib.closing(OciBuilder(store=Store(folder / "store"))) as made:
        _, result = build(made, request_for(plan, folder, Push(ImageRef.parse(ref)), name=ref))
    return f"{repository}@{result.digest}"


@pytest.fixture(scope="session")
def kaniko_image(kubernetes_cluster: Cluster, registry_http: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of kaniko's executor that the nodes can pull."""
    ref = f"{registry_http.host}/tests/kaniko:1"
    push(_or_skip("kaniko", builder_images.kaniko), ref, tmp_path_factory.mktemp("kaniko"), registry_http)
    return ref


@pytest.fixture(scope="session")
def buildkit_image(
    kubernetes_cluster: Cluster, registry_http: Registry, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """An image of a rootless buildkitd that the nodes can pull, with what moby/buildkit:rootless has of it."""
    ref = f"{registry_http.host}/tests/buildkit:rootless"
    push(_or_skip("buildkitd", builder_images.buildkit), ref, tmp_path_factory.mktemp("buildkit"), registry_http)
    return ref


@pytest.fixture(scope="session")
def registry_login(engines: Engines) -> Registry:
    """A registry over plain http that asks for a login."""
    return _or_skip("registry", engines.registry_login)


@pytest.fixture
def private_image(program_image: str, registry_tls: Registry, tmp_path: Path) -> Iterator[str]:
    """The same image in the registry that asks for a login, which this user has."""
    environment = {"PATH": "", "HOME": str(tmp_path), "SSL_CERT_FILE": str(registry_tls.ca)}
    login = [tool("crane"), "auth", "login", registry_tls.host, "-u", registry_tls.user, "--password-stdin"]
    subprocess.run(login, input=str(registry_tls.password).encode(), env=environment, check=True, capture_output=True)
    target = f"{registry_tls.host}/tests/private-program"
    copy = [tool("crane"), "copy", program_image, f"{target}:1"]
    subprocess.run(copy, env=environment, check=True, capture_output=True)
    keychain.login(registry_tls.host, str(registry_tls.user), str(registry_tls.password))
    yield f"{target}@{program_image.partition('@')[2]}"
    keychain.logout(registry_tls.host)


def give_account(bare: Bare, name: str, rules: list[dict[str, Any]]) -> None:
    """Make a service account of the namespace that may do what the rules of its Role say."""
    bare.core.create_namespaced_service_account(bare.namespace, {"metadata": {"name": name}})
    bare.rbac.create_namespaced_role(bare.namespace, {"metadata": {"name": name}, "rules": rules})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": bare.namespace}],
    }
    bare.rbac.create_namespaced_role_binding(bare.namespace, binding)


@pytest.fixture
def account(bare: Bare, kubernetes_cluster: Cluster, tmp_path: Path) -> Callable[..., Path]:
    """Give a kubeconfig with the token of a new service account of the namespace, and nothing else."""

    def make(name: str, rules: list[dict[str, Any]]) -> Path:
        give_account(bare, name, rules)
        wanted = {"spec": {"expirationSeconds": 3600, "audiences": ["https://kubernetes.default.svc"]}}
        token = bare.plain(bare.core.create_namespaced_service_account_token(name, bare.namespace, wanted))
        config = json.loads(kubernetes_cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token["status"]["token"]}
        config["contexts"][0]["context"]["namespace"] = bare.namespace
        path = tmp_path / f"{name}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    return make
