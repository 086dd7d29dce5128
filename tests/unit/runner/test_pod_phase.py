"""Phases and reasons, read from the status of pods as a real cluster wrote them."""

from __future__ import annotations

from typing import Any

import pytest

from buildr_jupyter.runner.pod_phase import read_phase, why_deleted, why_no_pod


def pod(status: dict[str, Any] | None = None, **program: Any) -> dict[str, Any]:
    known = {"initContainerStatuses": [{"name": "program", "state": program}]} if program else {}
    limits = {"name": "program", "resources": {"limits": {"memory": "512Mi"}}}
    return {
        "spec": {"nodeName": "n", "initContainers": [limits]},
        "status": {"phase": "Pending", **known, **(status or {})},
    }


def unscheduled(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod({"conditions": [condition]})


def ended(code: int, reason: str) -> dict[str, Any]:
    times = {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:05Z"}
    return {"terminated": {"exitCode": code, "reason": reason, **times}}


@pytest.mark.parametrize(
    ("found", "phase", "reason", "hint"),
    [
        (pod(), "starting", "", None),
        (pod(running={}), "running", "", None),
        (pod(**ended(0, "Completed")), "collecting", "", None),
        (pod({"phase": "Succeeded"}, **ended(0, "Completed")), "done", "", None),
        (pod({"phase": "Failed"}, **ended(3, "Error")), "failed", "", None),
        (pod({"phase": "Failed"}, **ended(137, "OOMKilled")), "failed", "at its limit of 512Mi", "--memory"),
        (pod({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}), "failed", "Evicted: low on", "--memory"),
        (pod({"phase": "Failed", "reason": "Evicted"}, **ended(137, "Error")), "failed", "Evicted", "--memory"),
        (pod({"phase": "Failed", "reason": "DeadlineExceeded"}), "failed", "DeadlineExceeded", "activeDeadlineSeconds"),
        (pod(waiting={"reason": "ErrImagePull", "message": "401 Unauthorized"}), "starting", "401", "--pull-secret"),
        (pod(waiting={"reason": "ImagePullBackOff", "message": "no such host"}), "starting", "host", "--registry-alias"),
        (pod(waiting={"reason": "CreateContainerConfigError", "message": "image will run as root: runAsNonRoot"}),
         "starting", "run as root", "USER"),
        (unscheduled("0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory."), "waiting", "cpu and memory",
         "--cpus and --memory"),
        (unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: }."), "waiting", "taint", "--toleration"),
        (unscheduled("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."), "waiting",
         "selector", "--node-selector"),
        (unscheduled('0/1 nodes are available: persistentvolumeclaim "data" not found.'), "waiting", '"data" not found',
         "PersistentVolumeClaim"),
    ],
)  # fmt: skip
def test_phases(found: dict[str, Any], phase: str, reason: str, hint: str | None) -> None:
    said = read_phase(found)
    assert said.phase == phase
    assert reason in said.reason
    assert (said.hint is None) == (hint is None)
    assert hint is None or hint in str(said.hint)


def test_what_a_program_came_to() -> None:
    said = read_phase(pod({"phase": "Failed"}, **ended(137, "OOMKilled")))
    assert (said.exit_code, said.seconds, said.out_of_memory) == (137, 5.0, True)
    assert read_phase(pod({"phase": "Failed", "reason": "Evicted"}, **ended(137, "Error"))).exit_code is None


def test_only_what_does_not_pass_by_itself_is_stuck() -> None:
    assert not read_phase(pod(waiting={"reason": "ErrImagePull"})).stuck
    assert read_phase(pod(waiting={"reason": "ImagePullBackOff"})).stuck


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("exceeded quota: small", "at its quota"),
        ("failed quota: x: must specify limits.cpu", "wants limits"),
        ('violates PodSecurity "restricted"', "Pod Security"),
        ('serviceaccount "x" not found', "no such service account"),
        ("something else", "makes no pod"),
    ],
)
def test_why_there_is_no_pod(message: str, said: str) -> None:
    why = why_no_pod(({"reason": "FailedCreate", "message": message}, {"reason": "Other"}))
    assert why is not None
    assert said in why[0]
    assert why_no_pod(({"reason": "Other"},)) is None


def test_why_a_pod_was_deleted() -> None:
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "more urgent",
    }
    assert why_deleted(pod({"conditions": [condition]})) == "PreemptionByScheduler: more urgent"
    assert why_deleted(pod()) == ""


def test_a_collector_beside_the_program_is_waited_for() -> None:
    beside = {"initContainerStatuses": [{"name": "collector", "state": {"running": {}}}]}
    found = {
        "status": {"phase": "Running", **beside, "containerStatuses": [{"name": "program", "state": ended(7, "Error")}]}
    }
    assert (read_phase(found).phase, read_phase(found).exit_code) == ("collecting", 7)
    found["status"]["phase"] = "Failed"
    assert (read_phase(found).phase, read_phase(found).exit_code) == ("failed", 7)


def test_an_image_that_cannot_be_had_is_said_of_the_collector_first() -> None:
    states = [{"name": "collector", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]
    program = [{"name": "program", "state": {"waiting": {"reason": "PodInitializing"}}}]
    said = read_phase({"status": {"phase": "Pending", "initContainerStatuses": states, "containerStatuses": program}})
    assert (said.stuck, "not found" in said.reason) == (True, True)


def test_a_program_that_could_not_be_started_is_over_though_its_collector_waits_for_it() -> None:
    ended = {"exitCode": 128, "reason": "StartError", "message": "exec: no such file"}
    states = [
        {"name": "program", "state": {"terminated": ended}},
        {"name": "collector", "state": {"running": {}}},
    ]
    said = read_phase({"status": {"phase": "Running", "containerStatuses": states}})
    assert (said.phase, said.exit_code, said.reason) == ("failed", 128, "exec: no such file")
