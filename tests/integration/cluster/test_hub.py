"""A notebook in a hub: a pod without rights, from the magic to the value of a Job."""

from __future__ import annotations

import secrets
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.engines.kubernetes import NODE_IP, Cluster
from tests.engines.registry import Registry
from tests.integration.cluster.bare import Bare
from tests.integration.cluster.conftest import give_account, namespace

ROOT = Path(__file__).parents[3]
HOWTO = ROOT / "docs" / "howto" / "kubernetes.md"

NOTEBOOK = """
import json, os
os.chdir(os.environ["HOME"])
from IPython.core.interactiveshell import InteractiveShell
import buildr_jupyter
shell = InteractiveShell.instance()
buildr_jupyter.load_ipython_extension(shell)

def run(source):
    result = shell.run_cell(source, store_history=True)
    result.raise_error()
    return result.result

line = "%%containerize {} --publish --on kubernetes --return total --memory 256m\\n"
run("rows = [3, 4]")
run(line.format("first") + "print('in the Job')\\ntotal = sum(rows)")
print("VALUE", shell.user_ns["total"], flush=True)
slow = "import time\\nfor n in range(24):\\n    print('line', n, flush=True)\\n    time.sleep(0.25)\\n"
run(line.format("second") + slow + "total = total * 10")
print("VALUE", shell.user_ns["total"], flush=True)
"""


@pytest.fixture
def hub(administrator: client.ApiClient) -> Iterator[Bare]:
    """A namespace that admits only pods without rights."""
    with namespace(administrator, **{"pod-security.kubernetes.io/enforce": "restricted"}) as made:
        yield made


def documented_rules() -> list[dict[str, Any]]:
    """Return the rules of the Role that the documentation says to give."""
    text = HOWTO.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    rules: list[dict[str, Any]] = yaml.safe_load(text)["rules"]
    return rules


@pytest.fixture
def volumes(hub: Bare) -> Iterator[dict[str, Path]]:
    """What pip would have installed into the hub's image: folders of this machine, as claims of the namespace."""
    # The package alone: the folder of a checkout may be readable for its owner only.
    folders = {"source": ROOT / "buildr_jupyter", "site": Path(sysconfig.get_paths()["purelib"])}
    made = []
    for claim, folder in folders.items():
        name = f"{hub.namespace}-{claim}"
        common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
        volume = {
            "capacity": {"storage": "1Gi"},
            "hostPath": {"path": str(folder), "type": "Directory"},
            "claimRef": {"namespace": hub.namespace, "name": claim},
            "persistentVolumeReclaimPolicy": "Retain",
        }
        hub.core.create_persistent_volume({"metadata": {"name": name}, "spec": {**common, **volume}})
        made.append(name)
        wanted = {"volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}
        hub.core.create_namespaced_persistent_volume_claim(
            hub.namespace, {"metadata": {"name": claim}, "spec": {**common, **wanted}}
        )
    yield {"source": Path("/given/source/buildr_jupyter"), "site": Path("/given/site")}
    for name in made:
        hub.core.delete_persistent_volume(name)


def notebook_pod(image: str, volumes: dict[str, Path], environment: dict[str, str]) -> dict[str, Any]:
    """Return the pod of a notebook server: no root, no rights, a read-only root folder, a home of its own."""
    claims = [{"name": name, "persistentVolumeClaim": {"claimName": name, "readOnly": True}} for name in volumes]
    folders = [{"name": name, "emptyDir": {}} for name in ("home", "tmp")]
    mounts = [{"name": name, "mountPath": str(path), "readOnly": True} for name, path in volumes.items()]
    mounts += [{"name": "home", "mountPath": "/home/jovyan"}, {"name": "tmp", "mountPath": "/tmp"}]
    container = {
        "name": "notebook",
        "image": image,
        "command": ["/opt/venv/bin/python", "-c", NOTEBOOK],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    return {
        "metadata": {"name": "notebook"},
        "spec": {
            "serviceAccountName": "notebook",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1234,
                "fsGroup": 100,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [*claims, *folders],
        },
    }


def test_from_the_magic_to_the_value_and_again_while_the_api_server_is_killed(
    hub: Bare,
    volumes: dict[str, Path],
    kubernetes_cluster: Cluster,
    program_image: str,
    registry_http: Registry,
) -> None:
    """The notebook's pod has the documented Role and nothing else; the image is made in it, on a base of the registry.

    The second cell runs while the API server ends and comes again.
    """
    give_account(hub, "notebook", documented_rules())
    registry = f"{NODE_IP}:{registry_http.host.rpartition(':')[2]}"
    environment = {
        "HOME": "/home/jovyan",
        "PYTHONPATH": f"{volumes['source'].parent}:{volumes['site']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "BUILDR_BASE": f"{registry}/tests/program:1",
        "BUILDR_REPOSITORY": f"{registry}/hub-{secrets.token_hex(4)}",
        "BUILDR_PLAIN_HTTP": registry,
        "JUPYTERHUB_USER": "ada",
    }
    hub.core.create_namespaced_pod(hub.namespace, notebook_pod(program_image, volumes, environment))
    text = until_said(hub, "VALUE 7")
    assert "in the Job" in text
    kubernetes_cluster.kill("kube-apiserver")
    text = until_said(hub, "VALUE 70")
    assert [line for line in text.splitlines() if line.startswith("line ")] == [f"line {n}" for n in range(24)]
    assert hub.until(lambda: phase(hub) in ("Succeeded", "Failed"))
    assert phase(hub) == "Succeeded"
    assert hub.list(hub.batch.list_namespaced_job) == []


def phase(hub: Bare) -> str:
    """Return how far the notebook's pod is, empty while the API server is away."""
    try:
        return str(hub.plain(hub.core.read_namespaced_pod("notebook", hub.namespace))["status"].get("phase", ""))
    except (ApiException, urllib3.exceptions.HTTPError):
        return ""


def until_said(hub: Bare, line: str) -> str:
    """Return the notebook's output once it has this line; fails where the pod ends without."""

    def look() -> str | None:
        over = phase(hub) in ("Succeeded", "Failed")
        try:
            text = str(hub.core.read_namespaced_pod_log("notebook", hub.namespace))
        except (ApiException, urllib3.exceptions.HTTPError):
            return None
        if line in text.splitlines():
            return text
        assert not over, text
        return None

    return hub.until(look)
