"""Phase of a run's pod: how far it is, how it ended, and why it does not go on, each with what a person can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from buildr_jupyter.cluster.pods import PULL_REASONS, SHOWN, STUCK_REASONS, unschedulable, why_waiting
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.runner.job_manifest import COLLECTOR, PROGRAM

__all__ = ["PodPhase", "read_phase", "why_deleted", "why_no_pod"]


@dataclass(frozen=True, slots=True)
class PodPhase:
    """What a pod's status says of a run."""

    phase: Literal["waiting", "starting", "running", "collecting", "done", "failed"]
    reason: str = ""
    """Why it waits, or why it failed without a status of the program's own."""
    hint: str | None = None
    exit_code: int | None = None
    """The program's, once it has ended."""
    seconds: float = 0.0
    """How long the program ran, by the node's own clock."""
    out_of_memory: bool = False
    stuck: bool = False
    """It does not begin by itself any more: its image or its container cannot be had."""

    @property
    def has_started(self) -> bool:
        """Whether the program has, or may have, a log."""
        return self.phase in ("running", "collecting", "done") or self.exit_code is not None

    @property
    def is_over(self) -> bool:
        """Whether nothing of the pod changes any more."""
        return self.phase in ("done", "failed")


def read_phase(pod: JsonObject) -> PodPhase:
    """Return the phase that a Pod is in."""
    status = pod.get("status") or {}
    known = {
        str(one.get("name")): one
        for kind in ("initContainerStatuses", "containerStatuses")
        for one in status.get(kind) or ()
    }
    program = (known.get(PROGRAM) or {}).get("state") or {}
    collector = (known.get(COLLECTOR) or {}).get("state") or {}
    over = status.get("phase") in ("Succeeded", "Failed")
    if ended := program.get("terminated"):
        return _after(ended, collector, pod, over=over)
    if over:
        reason, hint = _taken_away(status)
        return PodPhase("failed", reason, hint)
    if "running" in program:
        return PodPhase("running")
    for state in (program, collector):  # the collector may be the first to begin
        if (found := why_waiting(state)) is not None:
            reason, hint = _cannot_start(*found)
            return PodPhase("starting", reason, hint, stuck=found[0] in STUCK_REASONS)
    if (message := unschedulable(status)) is not None:
        reason, hint = _unschedulable(message)
        return PodPhase("waiting", reason, hint)
    return PodPhase("starting" if (pod.get("spec") or {}).get("nodeName") else "waiting")


def _after(ended: JsonObject, collector: JsonObject, pod: JsonObject, *, over: bool) -> PodPhase:
    code, seconds = int(ended.get("exitCode", -1)), _seconds(ended)
    killed, never = ended.get("reason") == "OOMKilled", ended.get("reason") in ("StartError", "ContainerCannotRun")
    if not over and not never and (code == 0 or "running" in collector):
        stuck = str((collector.get("waiting") or {}).get("reason") or "") in STUCK_REASONS
        return PodPhase("collecting", exit_code=code, seconds=seconds, stuck=stuck)
    reason, hint = "", None
    if killed:
        limit = _memory_limit(pod)
        reason = "out of memory" + (f" at its limit of {limit}" if limit else ", and it had no limit of its own")
        hint = "give it more with --memory"
    elif never:
        reason = str(ended.get("message") or "its command cannot be started")[:SHOWN]
        hint = "see what the image's entrypoint is: buildr inspect IMAGE"
    elif code and (pod.get("status") or {}).get("reason"):
        reason, hint = _taken_away(pod["status"])
        return PodPhase("failed", reason, hint, seconds=seconds)
    return PodPhase("done" if code == 0 else "failed", reason, hint, code, seconds, out_of_memory=killed)


def _seconds(ended: JsonObject) -> float:
    try:
        began, over = (datetime.fromisoformat(str(ended[name])) for name in ("startedAt", "finishedAt"))
    except (KeyError, ValueError):
        return 0.0
    return max(0.0, (over - began).total_seconds())


def _memory_limit(pod: JsonObject) -> str:
    spec = pod.get("spec") or {}
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if container.get("name") == PROGRAM:
            limit = str(((container.get("resources") or {}).get("limits") or {}).get("memory") or "")
            return f"{int(limit) / (1 << 20):,.0f} MiB" if limit.isdigit() else limit
    return ""


def _cannot_start(why: str, message: str) -> tuple[str, str]:
    text = f"{why}: {message}"[:SHOWN].rstrip(": ")
    if why in PULL_REASONS:
        denied = re.search(r"401|403|unauthorized|denied|authorization failed|pull access", message, re.IGNORECASE)
        if denied:
            return text, "let the cluster pull it: --pull-secret login, or the name of a pull Secret that is there"
        return (
            text,
            "look whether the nodes reach that registry by that name; --registry-alias OUTSIDE=INSIDE gives another",
        )
    if why == "CrashLoopBackOff":
        return text, "see what it prints: --run without --on runs it here"
    if "non-root" in message or "runAsNonRoot" in message:
        return text, "give the image a numeric USER that is not 0"
    return text, "buildr doctor --on kubernetes says what is missing here"


def _unschedulable(message: str) -> tuple[str, str]:
    resources = sorted(set(re.findall(r"Insufficient ([\w./-]*\w)", message)))
    if resources:
        options = {"memory": "--memory", "cpu": "--cpus", "nvidia.com/gpu": "--gpus"}
        less = " and ".join(options.get(one, one) for one in resources)
        return (
            f"no node has enough {' and '.join(resources)}: {message}"[:SHOWN],
            f"ask for less with {less}, or wait for a node",
        )
    if "persistentvolumeclaim" in message:
        return f"its volume is not there: {message}"[:SHOWN], "name a PersistentVolumeClaim of the namespace"
    if "taint" in message:
        return f"no node takes it: {message}"[:SHOWN], "tolerate the taint with --toleration KEY[=VALUE][:EFFECT]"
    if "selector" in message or "affinity" in message:
        return f"no node fits: {message}"[:SHOWN], "name labels that a node has: --node-selector KEY=VALUE"
    return f"no node takes it: {message}"[:SHOWN], "wait for a node, or cancel the run"


def _taken_away(status: JsonObject) -> tuple[str, str]:
    why, message = str(status.get("reason") or ""), str(status.get("message") or "")
    text = f"{why}: {message}".strip(": ")[:SHOWN]
    hints = {
        "Evicted": "ask for what it needs, so that the node keeps it: --memory SIZE",
        "Preempting": "run it again: a pod of a higher priority took its place",
        "Preempted": "run it again: a pod of a higher priority took its place",
        "NodeLost": "run it again: its node is gone",
        "NodeShutdown": "run it again: its node was shut down",
        "Terminated": "run it again: its node was shut down",
        "DeadlineExceeded": "give it more time: activeDeadlineSeconds of --pod-template",
    }
    return text or "the pod failed before the program ended", hints.get(why, "run it again")


def why_deleted(pod: JsonObject) -> str:
    """Return why a pod that was deleted was, empty where its status does not tell."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return f"{condition.get('reason')}: {condition.get('message')}"[:SHOWN]
    return ""


def why_no_pod(events: tuple[JsonObject, ...]) -> tuple[str, str] | None:
    """Return why a Job has no pod, from the events about it; None where none of them says."""
    for event in reversed(events):
        if event.get("reason") != "FailedCreate":
            continue
        message = str(event.get("message") or "")[:SHOWN]
        if "exceeded quota" in message:
            return (
                f"the namespace is at its quota: {message}",
                "ask for less with --memory and --cpus, or end other runs",
            )
        if "must specify limits" in message or "must specify requests" in message or "failed quota" in message:
            return f"the namespace's quota wants limits: {message}", "give the run limits: --memory SIZE --cpus N"
        if "violates PodSecurity" in message:
            return f"Pod Security refuses the pod: {message}", "take out of --pod-template what it forbids"
        if "serviceaccount" in message and "not found" in message:
            return f"there is no such service account: {message}", "name one of the namespace: --service-account NAME"
        return f"the cluster makes no pod: {message}", "kubectl describe job shows all of it"
    return None
