"""What a pod's status says of a builder."""

from __future__ import annotations

from typing import Any

import pytest

from buildr_jupyter.builder.in_cluster.pod_state import PodState, read_state, why_refused


def state(container: dict[str, Any] | None = None, **status: Any) -> PodState:
    if container is not None:
        status["containerStatuses"] = [{"name": "program", **container}]
    return read_state({"status": status}, "program", "IMAGE_FROM")


def test_it_runs_and_is_ready() -> None:
    assert state().phase == "waiting"
    assert state({"state": {"running": {}}, "ready": True}) == PodState("running", ready=True)
    assert state({"state": {"running": {}}}) == PodState("running")


def test_how_it_ended() -> None:
    good = state({"state": {"terminated": {"exitCode": 0, "reason": "Completed", "message": "sha256:1"}}})
    assert good == PodState("ended", exit_code=0, message="sha256:1")
    killed = state({"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}})
    assert (killed.exit_code, killed.out_of_memory) == (137, True)
    never = state({"state": {"terminated": {"exitCode": 128, "reason": "StartError", "message": "no such file"}}})
    assert (never.exit_code, never.reason) == (None, "StartError: no such file")
    assert never.hint == "name another image of it: IMAGE_FROM=IMAGE"
    evicted = state(phase="Failed", reason="Evicted", message="The node was low on memory.")
    assert (evicted.phase, evicted.reason) == ("ended", "Evicted: The node was low on memory.")
    killed_for_it = {"state": {"terminated": {"exitCode": 137, "reason": "Error"}}}
    assert state(killed_for_it, phase="Failed", reason="Evicted", message="The node was low on memory.") == evicted
    assert state(killed_for_it, phase="Failed").exit_code == 137


def test_why_it_does_not_begin() -> None:
    first = state({"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}})
    assert (first.stuck, first.reason) == (False, "ErrImagePull: not found")
    stuck = state({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}})
    assert (stuck.stuck, stuck.hint) == (True, "name an image that the nodes can pull: IMAGE_FROM=IMAGE")
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    assert state(conditions=[condition]).reason == "no node takes it: 0/1 nodes"


@pytest.mark.parametrize(
    ("message", "final"),
    [
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": …', True),
        ('admission webhook "w" denied the request: no', True),
        ("exceeded quota: small, requested: pods=1", False),
        ("exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3", False),
        ("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0", True),
        (
            "exceeded quota: q, requested: cpu=1500m,memory=1Gi, used: cpu=0,memory=0, limited: cpu=2,memory=2000Mi",
            False,
        ),
        ("exceeded quota: q, requested: cpu=1500m,memory=1Gi, used: cpu=0,memory=0, limited: cpu=1,memory=2Gi", True),
        ("exceeded quota: q, requested: memory=1Gi, used: memory=0, limited: memory=1000M", True),
    ],
)
def test_why_a_job_has_no_pod(message: str, final: bool) -> None:
    other = {"reason": "SuccessfulCreate", "message": "Created pod"}
    assert why_refused(({"reason": "FailedCreate", "message": message}, other)) == (message, final)
    assert why_refused((other,)) is None
