"""Daemon: a user's buildkitd in a cluster, started where there is none and kept for the next build.

Who builds with it leaves a mark in the Job's annotations until the build is over, so that ``buildr runs prune`` takes
away only what nobody uses.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Generator, Iterator

from buildr_jupyter.builder.buildkit.daemon_job import CONTAINER, PORT, ROLE, DaemonWish, make_job
from buildr_jupyter.builder.in_cluster.awaited import stream_started
from buildr_jupyter.builder.in_cluster.forwarder import forwarded
from buildr_jupyter.builder.in_cluster.place import BUILDER, COMPONENT, Place, Right
from buildr_jupyter.builder.in_cluster.pod_state import PodState, read_state
from buildr_jupyter.cluster.jobs import created_at
from buildr_jupyter.cluster.labels import MANAGED, OWNER, owner_of
from buildr_jupyter.cluster.logs import read_tail
from buildr_jupyter.errors import BuildError, ClusterError, ClusterNotFound, EngineError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning

__all__ = ["ADMITS", "IMAGE_FROM", "NEEDED", "NEEDS", "explain_end", "idle_daemons", "reached", "stream_daemon"]

NEEDED: tuple[Right, ...] = (
    ("Job", "", ("create", "get", "list", "patch", "delete")),
    ("Pod", "", ("get", "list")),
    ("Pod", "portforward", ("create", "get")),
)
"""What this user must be allowed."""
IMAGE_FROM = "BUILDR_BUILDKIT_IMAGE"
"""The variable that names the daemon's image."""
ADMITS = ("privileged",)
"""The levels of Pod Security that take its pod."""
NEEDS = (
    "buildkitd needs seccomp Unconfined, or a privileged pod: let the namespace's label "
    "pod-security.kubernetes.io/enforce be privileged, or name another namespace"
)
_MARK, _USED = "io.buildr.build-", "io.buildr.used"
_STARTS_S = 600.0
"""So long a daemon may take to become ready."""
_LOOKS, _LOOK_S = 6, 0.5
_FORGOTTEN_S = 86400.0
"""A mark that is older was left by a process that was killed."""


def stream_daemon(
    place: Place, wish: DaemonWish, cancel: CancelToken
) -> Generator[BuildWarning, None, tuple[str, str]]:
    """Find the daemon, or start it and wait until it is ready; return the names of its Job and its pod.

    One that does not become ready is removed by who started it. Raises BuildRefused where the namespace does not
    admit it, BuildError where it does not start, ClusterError, Cancelled.
    """
    client, name = place.client, wish.name(place.owner)
    with place.asked(NEEDED):
        known = _job(place, name)
        if known is not None and _is_over(known):
            place.remove(name)
            known = None
        if known is None:
            client.apply(make_job(place.about(name, "buildkitd", wish.image), wish))
    try:
        pod, state = yield from stream_started(
            client, name, CONTAINER, cancel, image_from=IMAGE_FROM, needs=NEEDS, ready=True
        )
        if state.phase == "ended":
            lines = " | ".join(_tail(place, pod, cancel))
            why = state.reason or f"it ended with status {state.exit_code}: {lines}"
            raise BuildError(
                f"Image build failed: buildkitd does not run in {place.title}: {why}",
                hint=state.hint or f"read its log: buildr runs logs {name} --on kubernetes; its image is {wish.image}",
            )
    except BaseException:
        if known is None:
            with contextlib.suppress(ClusterError, EngineError):  # why it failed is what is told
                place.remove(name)
        raise
    return name, pod


@contextlib.contextmanager
def reached(place: Place, job: str, pod: str, *, clock: Callable[[], float] = time.time) -> Iterator[str]:
    """Give the address of the daemon from here, and mark it as used meanwhile."""
    mark = f"{_MARK}{secrets.token_hex(6)}"
    try:
        _note(place, job, {mark: f"{int(clock())}"})
        with forwarded(place.client, pod, PORT) as path:
            yield f"unix://{path}"
    finally:
        with contextlib.suppress(ClusterError):  # the daemon may be gone, and a mark is forgotten in time
            _note(place, job, {mark: None, _USED: f"{int(clock())}"})


def explain_end(place: Place, pod: str, cancel: CancelToken) -> None:
    """Raise BuildError that says how the daemon's pod ended; return where it goes on.

    A node tells of an end a moment after it, so that the pod is looked at for as long as that may take.
    """
    for _ in range(_LOOKS):
        try:
            state = read_state(place.client.get("Pod", pod), CONTAINER, IMAGE_FROM)
        except ClusterNotFound:
            state = PodState("ended", "its pod was deleted", "build it again")
        except ClusterError:
            return  # the cluster is away: that the connection broke off is all that is known
        if state.phase == "ended":
            why, hint = state.reason or f"it ended with status {state.exit_code}", state.hint or "build it again"
            if state.out_of_memory:
                why, hint = (
                    "it was killed: out of memory",
                    "let a LimitRange of the namespace give its pods more memory",
                )
            raise BuildError(f"Image build failed: buildkitd ended while it built, in {place.title}: {why}", hint=hint)
        if cancel.wait(_LOOK_S):
            return


def idle_daemons(place: Place, now: float, *, older_than_s: float = 0.0) -> list[str]:
    """Return the Jobs of this user's daemons with which nobody builds, last used so long ago; ``now`` is a time."""
    selector = f"{MANAGED}=buildr,{OWNER}={owner_of(place.owner)},{COMPONENT}={BUILDER},{ROLE}"
    found = []
    for job in place.client.list("Job", selector).items:
        notes = job["metadata"].get("annotations") or {}
        marks = [_time(text) for name, text in notes.items() if name.startswith(_MARK)]
        if any(now - made < _FORGOTTEN_S for made in marks):
            continue
        # One that was never used may be about to become ready for its first build.
        idle_s = now - _time(notes[_USED]) if _USED in notes else now - created_at(job) - _STARTS_S
        if idle_s >= older_than_s:
            found.append(str(job["metadata"]["name"]))
    return found


def _note(place: Place, job: str, notes: dict[str, str | None]) -> None:
    place.client.patch("Job", job, {"metadata": {"annotations": notes}})


def _job(place: Place, name: str) -> JsonObject | None:
    with contextlib.suppress(ClusterNotFound):
        return place.client.get("Job", name)
    return None


def _is_over(job: JsonObject) -> bool:
    ended = {
        one.get("type") for one in (job.get("status") or {}).get("conditions") or () if one.get("status") == "True"
    }
    return bool(ended & {"Complete", "Failed", "FailureTarget"}) or "deletionTimestamp" in job["metadata"]


def _tail(place: Place, pod: str, cancel: CancelToken) -> tuple[str, ...]:
    with contextlib.suppress(ClusterError):
        return read_tail(place.client, pod, CONTAINER, 5, cancel)
    return ()


def _time(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
