"""Job of a buildkitd in a cluster, and the settings that it has of registries. Pure: the same wishes, the same Job.

Rootless by default: the daemon and the steps are user 1000 of the pod, and root only in a user namespace of their own,
so that who leaves a step is nobody on the node. It needs seccomp and AppArmor ``Unconfined`` for that, which Pod
Security admits at ``privileged`` alone. A privileged pod, for nodes without user namespaces, is root on its node.

It listens at the pod's own loopback, where the API server forwards to; no other pod reaches it, but a step of a build,
which shares the pod's network, does.

Source: moby/buildkit ``examples/kubernetes/job.rootless.yaml``, ``docs/rootless.md``, ``docs/buildkitd.toml.md``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from buildr_jupyter.builder.in_cluster.aliases import Aliases
from buildr_jupyter.cluster.labels import KEPT_S
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.registry.addresses import is_local

__all__ = ["CONTAINER", "IMAGE", "PORT", "PRIVILEGED_IMAGE", "ROLE", "DaemonWish", "make_job", "make_settings"]

IMAGE = "moby/buildkit:buildx-stable-1-rootless"
"""What buildx takes for its own rootless pods."""
PRIVILEGED_IMAGE = "moby/buildkit:buildx-stable-1"
CONTAINER = "program"
"""Called as that of a run, so that ``buildr runs logs`` shows it."""
PORT = 1234
ROLE = "io.buildr.daemon"
"""Label of the Jobs that are a buildkitd."""
_SETTINGS = "/buildr"
_NOTE = "io.buildr.file-"
_ADDRESS = f"tcp://127.0.0.1:{PORT}"
_GRACE_S = 5


@dataclass(frozen=True, slots=True)
class DaemonWish:
    """What a buildkitd is to be; two builds that wish the same share one."""

    image: str
    privileged: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """``buildkitd.toml`` and the authorities that it names, as text."""

    def name(self, owner: str) -> str:
        """Return the name of the Job, which is the same for the same wish of the same user."""
        told = json.dumps([owner, self.image, self.privileged, dict(sorted(self.files.items()))])
        return f"buildkitd-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def make_settings(hosts: Iterable[str], aliases: Aliases, authorities: Mapping[str, str]) -> dict[str, str]:
    """Return the daemon's files: what it must know of these registries, which are named as they are called here.

    ``authorities`` has the certificates of those that have an authority of their own. Nothing is said of a registry
    that is usual; so builds that need nothing unusual share a daemon.
    """
    files: dict[str, str] = {}
    tables: dict[str, list[str]] = {}
    for number, host in enumerate(sorted(set(hosts))):
        there = aliases.host(host)
        if there != host:
            tables.setdefault(host, []).append(f"mirrors = [{json.dumps(there)}]")
        if host in authorities:
            files[f"authority-{number}.crt"] = authorities[host]
            tables.setdefault(there, []).append(f'ca = ["{_SETTINGS}/authority-{number}.crt"]')
        elif is_local(host):
            tables.setdefault(there, []).append("http = true")
    lines = [f"[registry.{json.dumps(host)}]\n" + "\n".join(said) + "\n" for host, said in tables.items()]
    return {"buildkitd.toml": "\n".join(lines), **files}


def make_job(about: JsonObject, wish: DaemonWish) -> JsonObject:
    """Return the Job. Its files come from its own annotations, so that nothing else has to be made and removed."""
    about = {
        **about,
        "labels": {**about["labels"], ROLE: "buildkitd"},
        "annotations": {**about["annotations"], **{f"{_NOTE}{name}": text for name, text in wish.files.items()}},
    }
    args = ["--addr", _ADDRESS, "--config", f"{_SETTINGS}/buildkitd.toml"]
    data = "/var/lib/buildkit" if wish.privileged else "/home/user/.local/share/buildkit"
    security: JsonObject = {"privileged": True}
    if not wish.privileged:
        args.append("--oci-worker-no-process-sandbox")
        unconfined = {"type": "Unconfined"}
        security = {
            "runAsUser": 1000, "runAsGroup": 1000, "seccompProfile": unconfined, "appArmorProfile": unconfined,
        }  # fmt: skip
    container = {
        "name": CONTAINER,
        "image": wish.image,
        "args": args,
        "securityContext": security,
        "readinessProbe": {
            "exec": {"command": ["buildctl", "--addr", _ADDRESS, "debug", "workers"]},
            "periodSeconds": 1,
            "timeoutSeconds": 10,
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": _SETTINGS, "readOnly": True},
            {"name": "data", "mountPath": data},
        ],
    }
    items = [{"path": name, "fieldRef": {"fieldPath": f"metadata.annotations['{_NOTE}{name}']"}} for name in wish.files]
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_S,
        "containers": [container],
        "volumes": [{"name": "settings", "downwardAPI": {"items": items}}, {"name": "data", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": about,
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {"metadata": {"labels": about["labels"], "annotations": about["annotations"]}, "spec": pod},
        },
    }
