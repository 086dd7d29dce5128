"""State of a builder's pod: whether it runs, how it ended, and why it does not begin, with what a person can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from buildr_jupyter.cluster.pods import PULL_REASONS, SHOWN, STUCK_REASONS, unschedulable, why_waiting
from buildr_jupyter.model.json_object import JsonObject

__all__ = ["PodState", "read_state", "why_refused"]

_QUOTA = re.compile(r"exceeded quota: .*?requested: (.*), used: .*, limited: (.*)")
_PAIR = re.compile(r"([\w./-]+)=([^,\s]+)")
_SCALES = {
    "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(_SCALES)})")


@dataclass(frozen=True, slots=True)
class PodState:
    """What a pod's status says of one of its containers."""

    phase: Literal["waiting", "running", "ended"]
    reason: str = ""
    """Why it waits, or why it ended without a status of its own."""
    hint: str | None = None
    stuck: bool = False
    """It does not begin by itself any more."""
    ready: bool = False
    exit_code: int | None = None
    message: str = ""
    """What it left for those who ask how it ended (its termination message)."""
    out_of_memory: bool = False


def read_state(pod: JsonObject, container: str, image_from: str) -> PodState:
    """Return the state of a container; ``image_from`` is the variable that names its image, for the hint."""
    status = pod.get("status") or {}
    known: JsonObject = next((one for one in status.get("containerStatuses") or () if one.get("name") == container), {})
    state = known.get("state") or {}
    text = f"{status.get('reason') or ''}: {status.get('message') or ''}".strip(": ")
    if status.get("phase") == "Failed" and status.get("reason"):  # evicted, too late …: its container was killed for it
        return PodState("ended", text[:SHOWN], "build it again")
    if ended := state.get("terminated"):
        killed = ended.get("reason") == "OOMKilled"
        why = "" if ended.get("reason") in ("Completed", "Error", "OOMKilled") else str(ended.get("reason") or "")
        words = str(ended.get("message") or "")
        if why in ("StartError", "ContainerCannotRun"):
            return PodState("ended", f"{why}: {words}"[:SHOWN], f"name another image of it: {image_from}=IMAGE")
        return PodState("ended", exit_code=int(ended.get("exitCode", -1)), message=words, out_of_memory=killed)
    if status.get("phase") in ("Failed", "Succeeded"):
        return PodState("ended", text[:SHOWN] or "its pod ended without a status", "build it again")
    if "running" in state:
        return PodState("running", ready=bool(known.get("ready")))
    if (found := why_waiting(state)) is not None:
        why, message = found
        waits = f"{why}: {message}"[:SHOWN].rstrip(": ")
        hint = f"name an image that the nodes can pull: {image_from}=IMAGE" if why in PULL_REASONS else None
        return PodState("waiting", waits, hint, stuck=why in STUCK_REASONS)
    if (told := unschedulable(status)) is not None:
        return PodState("waiting", f"no node takes it: {told}"[:SHOWN])
    return PodState("waiting")


def why_refused(events: tuple[JsonObject, ...]) -> tuple[str, bool] | None:
    """Return why a Job gets no pod, and whether it stays so; None where no event about the Job says."""
    for event in reversed(events):
        if event.get("reason") != "FailedCreate":
            continue
        message = str(event.get("message") or "")[:SHOWN]
        final = re.search(r"violates PodSecurity|denied the request|must specify|serviceaccount", message) is not None
        return message, final or _never_fits(message)
    return None


def _never_fits(message: str) -> bool:
    """Tell whether a quota is below what a pod asks for, so that it does not matter what else runs there."""
    found = _QUOTA.search(message)
    if found is None:
        return False
    requested, limited = (dict(_PAIR.findall(part)) for part in found.groups())
    for name in requested.keys() & limited.keys():
        wants, most = _amount(requested[name]), _amount(limited[name])
        if wants is not None and most is not None and wants > most:
            return True
    return False


def _amount(text: str) -> float | None:
    """Return what a quantity of Kubernetes is (``500m``, ``2Gi``), None for one that is written otherwise."""
    found = _QUANTITY.fullmatch(text)
    return float(found[1]) * _SCALES[found[2]] if found else None
