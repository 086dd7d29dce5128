"""Pods of a cluster: what their status says of a container that does not begin.

Source: Kubernetes ``pkg/kubelet/images/types.go`` and ``pkg/kubelet/kuberuntime``, the reasons of waiting containers.
"""

from __future__ import annotations

from buildr_jupyter.model.json_object import JsonObject

__all__ = ["PULL_REASONS", "SHOWN", "STUCK_REASONS", "unschedulable", "why_waiting"]

SHOWN = 500
"""So many characters of a cluster's own words are shown."""
PULL_REASONS = frozenset(("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"))
"""Reasons of a container whose image cannot be had."""
STUCK_REASONS = frozenset((
    "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError",
    "RunContainerError", "CrashLoopBackOff",
))  # fmt: skip
"""Reasons of a container that does not begin by itself any more."""


def why_waiting(state: JsonObject) -> tuple[str, str] | None:
    """Return reason and message of a container's state that cannot begin; None where it only has not begun."""
    waiting = state.get("waiting") or {}
    why = str(waiting.get("reason") or "")
    if why not in STUCK_REASONS | PULL_REASONS:
        return None
    return why, str(waiting.get("message") or "")


def unschedulable(status: JsonObject) -> str | None:
    """Return why no node takes a pod, None where that is not said."""
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message") or "")
    return None
