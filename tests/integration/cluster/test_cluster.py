"""The tests' own cluster with the official client: what the tests of the product stand on."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.engines import take_down
from tests.engines._process import Process
from tests.engines.gotools import tool
from tests.engines.kubernetes import Cluster, binary, cgroups, images
from tests.engines.registry import Registry
from tests.integration.cluster.bare import DEADLINE_S, Bare, plain_job
from tests.integration.cluster.conftest import namespace


def test_a_job_ends_and_its_log_is_there(bare: Bare) -> None:
    bare.batch.create_namespaced_job(bare.namespace, plain_job("good", "echo one; echo two"))
    bare.batch.create_namespaced_job(bare.namespace, plain_job("bad", "echo why >&2; exit 3"))
    assert bare.ended("good")["type"] == "Complete"
    assert bare.log("good") == "one\ntwo\n"
    assert bare.ended("bad")["reason"] == "BackoffLimitExceeded"
    (status,) = bare.pod_of("bad")["status"]["containerStatuses"]
    assert status["state"]["terminated"]["exitCode"] == 3
    assert bare.log("bad") == "why\n"


def test_kubectl_is_there(kubernetes_cluster: Cluster) -> None:
    done = subprocess.run(
        [*kubernetes_cluster.kubectl, "version", "--output=json"], capture_output=True, text=True, check=True
    )
    versions = json.loads(done.stdout)
    assert {versions[side]["gitVersion"] for side in ("clientVersion", "serverVersion")} == {f"v{binary.VERSION}"}


def test_why_a_pod_does_not_start_or_end(bare: Bare) -> None:
    hungry = {"resources": {"limits": {"memory": "32Mi"}}}
    bare.batch.create_namespaced_job(
        bare.namespace, plain_job("hungry", "head -c 200000000 /dev/zero | tail", **hungry)
    )
    huge = {"resources": {"requests": {"cpu": "500"}}}
    bare.batch.create_namespaced_job(bare.namespace, plain_job("huge", "true", **huge))
    bare.batch.create_namespaced_job(bare.namespace, plain_job("absent", "true", image="127.0.0.1:1/no/such:1"))
    bare.ended("hungry")
    (status,) = bare.pod_of("hungry")["status"]["containerStatuses"]
    assert status["state"]["terminated"]["reason"] == "OOMKilled"
    bare.waiting("absent", "ErrImagePull", "ImagePullBackOff")

    def unschedulable() -> str | None:
        conditions = bare.pod_of("huge").get("status", {}).get("conditions", [])
        return next((one["message"] for one in conditions if one.get("reason") == "Unschedulable"), None)

    assert "Insufficient cpu" in bare.until(unschedulable)


def pushed(registry: Registry, name: str, folder: Path) -> str:
    """Push busybox into a registry with a layer of its own and return its reference."""
    (folder / "busybox.tar").write_bytes(images.make_busybox(name.partition("/")[2].partition(":")[0]))
    layout = folder / "layout"
    layout.mkdir()
    subprocess.run(["tar", "-xf", folder / "busybox.tar", "-C", layout], check=True)
    environment = {**os.environ, "DOCKER_CONFIG": str(folder)}
    if registry.ca:
        environment["SSL_CERT_FILE"] = str(registry.ca)
    if registry.user:
        token = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": token}}}))
    ref = f"{registry.host}/{name}"
    subprocess.run([tool("crane"), "push", layout, ref], env=environment, check=True)
    return ref


def test_the_node_pulls_from_the_registries_of_the_tests(
    bare: Bare, registry_http: Registry, registry_tls: Registry, tmp_path: Path
) -> None:
    (tmp_path / "http").mkdir()
    (tmp_path / "tls").mkdir()
    plain = pushed(registry_http, "tests/open:1", tmp_path / "http")
    private = pushed(registry_tls, "tests/private:1", tmp_path / "tls")
    bare.batch.create_namespaced_job(bare.namespace, plain_job("plain", "echo pulled", image=plain))
    bare.batch.create_namespaced_job(bare.namespace, plain_job("denied", "echo never", image=private))
    auth = {"username": registry_tls.user, "password": registry_tls.password}
    secret = {
        "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps({"auths": {registry_tls.host: auth}})},
    }
    bare.core.create_namespaced_secret(bare.namespace, secret)
    assert bare.ended("plain")["type"] == "Complete"
    assert bare.log("plain") == "pulled\n"
    assert "401" in bare.waiting("denied", "ErrImagePull")["message"]
    allowed = plain_job("allowed", "echo pulled", image=private, pod={"imagePullSecrets": [{"name": "pull"}]})
    bare.batch.create_namespaced_job(bare.namespace, allowed)
    assert bare.ended("allowed")["type"] == "Complete"


def test_a_restricted_namespace_refuses_a_pod_with_rights(administrator: client.ApiClient) -> None:
    with namespace(administrator, **{"pod-security.kubernetes.io/enforce": "restricted"}) as bare:
        pod = plain_job("x", "true")["spec"]["template"]["spec"]
        with pytest.raises(ApiException, match="violates PodSecurity") as refused:
            bare.core.create_namespaced_pod(bare.namespace, {"metadata": {"name": "x"}, "spec": pod})
        assert refused.value.status == 403


STARTS = """
import sys
from pathlib import Path
from tests.engines import Engines, kubernetes
kubernetes.binary.path = lambda: Path(sys.argv[2])
Engines(Path(sys.argv[1])).kubernetes()
"""


def test_a_killed_process_leaves_nothing_of_its_cluster(kubernetes_cluster: Cluster, tmp_path: Path) -> None:
    """Its node comes up to the point where it waits for the API server, which takes the longest."""
    waits = tmp_path / "waits"
    waits.write_text("#!/bin/sh\nexec sleep 1000\n")
    waits.chmod(0o755)
    folder = tmp_path / "engines"
    owner = subprocess.Popen([sys.executable, "-c", STARTS, folder, waits], env={**os.environ, "PYTHONPATH": "."})
    try:
        state = folder / "kubernetes"
        wait(lambda: (state / "kube-apiserver.pid").exists() and (state / "relayed").exists())
        first = Process.of(int((state / "first.pid").read_text()), "node")
        assert first.alive()
        (name,) = json.loads((folder / "engines.json").read_text())["cgroups"]
        assert all((hierarchy / name).is_dir() for hierarchy in cgroups.hierarchies())
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    try:
        wait(lambda: not state.exists())  # the last of it
        assert not first.alive()
        assert not any((hierarchy / name).exists() for hierarchy in cgroups.hierarchies())
        assert str(state) not in Path("/proc/self/mountinfo").read_text()
    finally:
        take_down(folder)  # its registries, which end with no owner
    with pytest.raises(ValueError, match="no cgroup of the tests"):
        cgroups.remove("")


def wait(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
