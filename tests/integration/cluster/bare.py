"""The official client in one namespace: what tests make and look at without the product."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from kubernetes import client

from tests.engines.kubernetes import BUSYBOX

__all__ = ["Bare", "plain_job"]

T = TypeVar("T")
DEADLINE_S = 120.0
"""For everything that is waited for: a loaded machine, not a slow cluster."""


def plain_job(name: str, script: str, *, pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    """Return a Job of one pod that runs a shell script once."""
    main = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script], **container}
    template = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main], **(pod or {})}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": template}},
    }


class Bare:
    """A client of one namespace. Objects are dicts with the API's own names."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.core = client.CoreV1Api(api)
        self.batch = client.BatchV1Api(api)
        self.rbac = client.RbacAuthorizationV1Api(api)

    def until(self, look: Callable[[], T | None]) -> T:
        """Return the first thing that is there; fails after the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while not (found := look()):
            assert time.monotonic() < deadline, f"not within {DEADLINE_S:.0f} s: {self.described()}"
            time.sleep(0.05)
        return found

    def described(self) -> str:
        """Return what a person needs of a test that waited in vain: pods and events."""
        events = [f"{one['reason']}: {one['message']}" for one in self.list(self.core.list_namespaced_event)]
        return json.dumps({"pods": [one["status"] for one in self.pods()], "events": events}, indent=1, default=str)

    def list(self, method: Callable[..., Any], **options: Any) -> list[dict[str, Any]]:
        """Return the objects that a list call gives."""
        items: list[dict[str, Any]] = self.plain(method(self.namespace, **options).items)
        return items

    def plain(self, made: Any) -> Any:
        """Return a model of the client as the API's JSON has it."""
        return self.api.sanitize_for_serialization(made)

    def pods(self, selector: str = "") -> list[dict[str, Any]]:
        """Return the pods of a selector."""
        return self.list(self.core.list_namespaced_pod, label_selector=selector)

    def pod_of(self, job: str) -> dict[str, Any]:
        """Return a Job's pod once there is one."""
        return self.until(lambda: self.pods(f"job-name={job}"))[0]

    def ended(self, job: str) -> dict[str, Any]:
        """Return the condition that ends a Job once it has it: of type Complete or Failed."""

        def look() -> dict[str, Any] | None:
            conditions = self.plain(self.batch.read_namespaced_job(job, self.namespace)).get("status", {})
            found = conditions.get("conditions", [])
            return next((c for c in found if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)

        return self.until(look)

    def log(self, job: str) -> str:
        """Return what the pod of a Job that ended has written."""
        name = self.pod_of(job)["metadata"]["name"]
        return str(self.core.read_namespaced_pod_log(name, self.namespace))

    def waiting(self, job: str, *reasons: str) -> dict[str, Any]:
        """Return the state of a container that waits for one of these reasons."""

        def look() -> dict[str, Any] | None:
            statuses = self.pod_of(job).get("status", {}).get("containerStatuses", [])
            states = [one["state"].get("waiting", {}) for one in statuses]
            return next((state for state in states if state.get("reason") in reasons), None)

        return self.until(look)

    def has_default_account(self) -> bool:
        """Tell whether pods can be made in the namespace."""
        return any(one["metadata"]["name"] == "default" for one in self.list(self.core.list_namespaced_service_account))
