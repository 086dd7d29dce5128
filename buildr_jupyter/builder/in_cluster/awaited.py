"""Awaiting a builder's pod: until its container runs, with a word on what holds it up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator

from buildr_jupyter.builder.in_cluster.place import admission_hint
from buildr_jupyter.builder.in_cluster.pod_state import PodState, read_state, why_refused
from buildr_jupyter.cluster.client import ClusterClient
from buildr_jupyter.cluster.labels import job_selector
from buildr_jupyter.cluster.logs import read_tail
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled, ClusterError, ClusterNotFound
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning

__all__ = ["stream_started"]

_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_NO_POD_S = 2.0
"""After so long without a pod it is asked why there is none."""
_HINTS = (
    ("must specify", "let a LimitRange of the namespace give pods the requests and limits that its quota wants"),
    (
        "exceeded quota",
        "name another namespace, --builder NAME=kubernetes/NAMESPACE: one pod is too much for this quota",
    ),
)
"""What a cluster says of a pod that it never takes, and what a person can do."""


def stream_started(
    client: ClusterClient,
    job: str,
    container: str,
    cancel: CancelToken,
    *,
    image_from: str,
    needs: str,
    ready: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[BuildWarning, None, tuple[str, PodState]]:
    """Wait until the container of a Job's pod runs (or is ready, or has ended); return the pod's name and its state.

    ``needs`` says in words what Pod Security must allow. Raises BuildRefused where admission refuses the pod,
    BuildError where it cannot begin or the Job is gone, Cancelled, ClusterError.
    """
    began, pause, told = clock(), _PAUSE_S, ""
    while True:
        pods = [one for one in client.list("Pod", job_selector(job)).items if not _is_going(one)]
        if pods:
            name = str(pods[-1]["metadata"]["name"])
            state = read_state(pods[-1], container, image_from)
            if state.stuck:
                lines = " | ".join(read_tail(client, name, container, 5, cancel))
                raise BuildError(
                    f"Image build failed: {job} cannot start: {state.reason} {lines}".rstrip(), hint=state.hint
                )
            if state.phase == "ended" or (state.phase == "running" and (state.ready or not ready)):
                return name, state
            reason, hint = state.reason, state.hint
        else:
            reason, hint = "", None
            if clock() - began > _NO_POD_S:
                reason, hint = _why_no_pod(client, job, needs)
        if reason and reason != told:
            told = reason
            yield BuildWarning(f"{job} waits: {reason}", hint)
        if cancel.wait(pause):
            raise Cancelled("the build was cancelled")
        pause = min(1.5 * pause, _LONGEST_PAUSE_S)


def _why_no_pod(client: ClusterClient, job: str, needs: str) -> tuple[str, str | None]:
    """Return why a Job has no pod yet, and what a person can do; raise where it never gets one."""
    try:
        found = client.get("Job", job)
    except ClusterNotFound:
        raise BuildError(f"Image build failed: {job} was deleted before its pod began", hint="build it again") from None
    for condition in (found.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            why = f"{condition.get('reason')}: {condition.get('message')}"[:500]
            raise BuildError(f"Image build failed: {job} has no pod: {why}", hint="build it again")
    refused = None
    with contextlib.suppress(ClusterError):  # the right to read events may be missing
        refused = why_refused(client.list("Event", fields=f"involvedObject.name={job}").items)
    if refused is None:
        return "the cluster has made no pod for it yet", None
    message, final = refused
    where = f"namespace {client.namespace!r} of {client.context}"
    if "violates PodSecurity" in message:
        raise BuildRefused(
            f"Image build failed: Pod Security of {where} refuses the builder's pod: {message}",
            hint=admission_hint(needs),
        )
    if final:
        hint = next((hint for words, hint in _HINTS if words in message), "ask who runs the cluster")
        raise BuildRefused(f"Image build failed: {where} refuses the builder's pod: {message}", hint=hint)
    if "exceeded quota" in message:
        return message, "end what is not needed there: buildr runs list --on kubernetes shows what is yours"
    return message, None


def _is_going(pod: JsonObject) -> bool:
    return (pod.get("metadata") or {}).get("deletionTimestamp") is not None
