"""Following a Job: what its pod becomes and what its program writes, told by two threads to the one that asks."""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from buildr_jupyter.cluster.client import ClusterClient, Kind
from buildr_jupyter.cluster.logs import iter_lines, read_tail
from buildr_jupyter.cluster.watching import iter_changes
from buildr_jupyter.errors import BuildrError, Cancelled, ClusterError, ClusterNotFound, RunError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.runner.job_manifest import PROGRAM
from buildr_jupyter.runner.pod_phase import PodPhase, read_phase, why_deleted, why_no_pod

__all__ = ["INDEX_LABEL", "AtEnd", "Followed", "iter_grid", "selector_of", "stream_job", "stream_ready"]

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
_LOOK_S = 1.0
_NO_POD_S = 10.0
"""After so long without a pod it is asked why there is none."""
_LOG_END_S = 30.0
"""So long nothing more may come of the log of a pod that is over, until it is taken for broken."""
_QUEUED = 1000


@dataclass(frozen=True, slots=True)
class Followed:
    """How a Job's pod ended."""

    pod: str
    phase: PodPhase


@dataclass(frozen=True, slots=True)
class _Pod:
    type: str
    object: JsonObject


@dataclass(frozen=True, slots=True)
class _Lines:
    text: str
    """Empty where the log is over."""


def selector_of(job: str) -> str:
    """Return what selects the pods of a Job."""
    return f"batch.kubernetes.io/job-name={job}"


AtEnd = Callable[[JsonObject], Generator[Event, None, None]]


def stream_job(
    client: ClusterClient,
    job: str,
    cancel: CancelToken,
    *,
    log: bool,
    at_end: AtEnd | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Event, None, Followed]:
    """Yield what the program writes (with ``log``) and warnings of what holds it up; return how the pod ended.

    ``at_end`` is given the pod once, when the program has ended and the collector runs; its events are yielded.
    Raises Cancelled, RunError where it cannot begin, RunLost where Job or pod is gone, ClusterError.
    """
    return (yield from _Following(client, job, cancel, clock).stream(log=log, at_end=at_end))


def iter_grid(
    client: ClusterClient, job: str, points: int, cancel: CancelToken, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[BuildWarning | tuple[int, str, PodPhase]]:
    """Yield (index, pod, phase) of the pods of an Indexed Job as they change, until all indexes have ended.

    There is one watch, however many pods there are. Raises Cancelled, RunLost where the Job is gone, ClusterError.
    """
    return _Following(client, job, cancel, clock).indexes(points)


def stream_ready(client: ClusterClient, kind: Kind, name: str, cancel: CancelToken) -> Generator[Event, None, None]:
    """Wait until all replicas of a Deployment or StatefulSet are ready; warn of what holds them up.

    Raises Cancelled, RunError where a pod cannot begin, ClusterError.
    """
    told = ""
    while True:
        found = client.get(kind, name)
        status, wanted = found.get("status") or {}, found["spec"]["replicas"]
        current = int(status.get("observedGeneration", 0)) >= int(found["metadata"].get("generation", 1))
        if current and {status.get(one) for one in ("replicas", "updatedReplicas", "readyReplicas")} == {wanted}:
            return
        for pod in client.list("Pod", f"app.kubernetes.io/instance={name}").items:
            phase = read_phase(pod)
            if phase.stuck and (pod.get("metadata") or {}).get("deletionTimestamp") is None:
                lines = " | ".join(read_tail(client, pod["metadata"]["name"], PROGRAM, 5, cancel))
                raise RunError(f"{name} does not become ready: {phase.reason} {lines}".rstrip(), hint=phase.hint)
            if phase.reason and phase.reason != told:
                told = phase.reason
                yield BuildWarning(f"{name} waits: {phase.reason}", phase.hint)
        if cancel.wait(_LOOK_S):
            raise Cancelled("the run was cancelled")


class _Following:
    """The two threads, and what they tell."""

    def __init__(self, client: ClusterClient, job: str, cancel: CancelToken, clock: Callable[[], float]) -> None:
        self._client, self._job, self._cancel, self._clock = client, job, cancel, clock
        self._told: queue.Queue[_Pod | _Lines | BuildWarning | BaseException] = queue.Queue(maxsize=_QUEUED)
        self._stop = CancelToken()
        self._ended = threading.Event()  # the program was seen to have ended
        self._over = threading.Event()  # the collector, too

    def stream(self, *, log: bool, at_end: AtEnd | None) -> Generator[Event, None, Followed]:
        undo = self._cancel.on_cancel(self._stop.set)
        self._begin(self._watch)
        try:
            return (yield from self._until_over(log=log, at_end=at_end))
        finally:
            undo()
            with contextlib.suppress(ExceptionGroup):
                self._stop.set()

    def indexes(self, points: int) -> Iterator[BuildWarning | tuple[int, str, PodPhase]]:
        """See ``iter_grid``."""
        undo = self._cancel.on_cancel(self._stop.set)
        self._begin(self._watch)
        over: set[int] = set()
        told_reason, began = "", self._clock()
        try:
            while len(over) < points:
                self._cancel.check("the sweep")
                try:
                    told = self._told.get(timeout=_LOOK_S)
                except queue.Empty:
                    if self._clock() - began > _NO_POD_S:
                        yield from self._quiet(points, over)
                        began = self._clock()
                    continue
                if isinstance(told, BaseException):
                    raise told
                assert isinstance(told, _Pod)
                began = self._clock()
                about = told.object["metadata"]
                index = int((about.get("labels") or {}).get(INDEX_LABEL, -1))
                if index < 0 or index in over:
                    continue
                phase = read_phase(told.object)
                if told.type == "DELETED" and not phase.is_over:
                    phase = PodPhase("failed", f"its pod was deleted: {why_deleted(told.object) or 'nobody says why'}")
                elif phase.stuck:
                    phase = PodPhase("failed", phase.reason, phase.hint)
                if phase.is_over:
                    over.add(index)
                elif phase.reason and phase.reason != told_reason:
                    told_reason = phase.reason
                    yield BuildWarning(f"{self._job} waits: {phase.reason}", phase.hint)
                yield index, str(about["name"]), phase
        finally:
            undo()
            self._stop.set()

    def _quiet(self, points: int, over: set[int]) -> Iterator[BuildWarning | tuple[int, str, PodPhase]]:
        """Look at a Job of which nothing was heard for a while: it may be over, or have no pods."""
        try:
            job = self._client.get("Job", self._job)
        except ClusterNotFound:
            raise RunLost(f"{self._job} is gone, and nothing tells how its runs ended", hint="run it again") from None
        for condition in (job.get("status") or {}).get("conditions") or ():
            if condition.get("type") == "Failed" and condition.get("status") == "True":
                reason = f"{condition.get('reason')}: {condition.get('message')}"[:500]
                for index in sorted(set(range(points)) - over):
                    over.add(index)
                    yield index, "", PodPhase("failed", reason)
                return
        if not over and not self._client.list("Pod", selector_of(self._job)).items:
            for event in self._without_pod(say=True):
                if isinstance(event, BuildWarning):
                    yield event

    def _until_over(self, *, log: bool, at_end: AtEnd | None) -> Generator[Event, None, Followed]:
        pod, phase, read, told_reason = "", PodPhase("waiting"), not log, ""
        reading, over, look_at = False, False, _LOOK_S
        began = over_since = self._clock()
        while not (over and (read or not reading)):
            self._cancel.check("the run")
            try:
                told = self._told.get(timeout=_LOOK_S)
            except queue.Empty:
                if over and self._clock() - over_since > _LOG_END_S:
                    yield BuildWarning(f"the log of {self._job} has no end: some of its output may be missing")
                    break
                if not pod and self._clock() - began >= look_at:
                    yield from self._without_pod(say=look_at == _NO_POD_S)
                    look_at = _NO_POD_S if look_at < _NO_POD_S else look_at + _NO_POD_S
                continue
            if isinstance(told, BaseException):
                raise told
            if isinstance(told, BuildWarning):
                yield told
                continue
            if isinstance(told, _Lines):
                read, over_since = read or not told.text, self._clock()
                if told.text:
                    yield RunOutput("stdout", told.text)
                continue
            name = str(told.object["metadata"]["name"])
            if told.type == "DELETED":
                if name == pod and not over:
                    why = why_deleted(told.object) or "nothing tells how it ended"
                    raise RunLost(
                        f"pod {name} of {self._job} was deleted: {why}",
                        hint="run it again; a drained or lost node deletes pods, and so does kubectl delete",
                    )
                continue
            pod, phase = name, read_phase(told.object)
            if phase.stuck and phase.exit_code is None:
                raise RunError(f"{self._job} cannot start: {phase.reason}", hint=phase.hint)
            if phase.stuck and not over:
                yield BuildWarning("the run's output files cannot be collected: the image has no Python to do it with")
            elif phase.reason and phase.reason != told_reason and not phase.is_over:
                told_reason = phase.reason
                yield BuildWarning(f"{self._job} waits: {phase.reason}", phase.hint)
            if phase.exit_code is not None or phase.is_over:
                self._ended.set()
            if not over and (phase.is_over or phase.stuck):
                over, over_since = True, self._clock()
                self._over.set()
            if log and phase.has_started and not reading:
                reading = True
                self._begin(functools.partial(self._read, pod))
            if at_end is not None and phase.phase == "collecting":
                yield from at_end(told.object)
                at_end = None
        return Followed(pod, phase)

    def _without_pod(self, *, say: bool) -> Generator[Event, None, None]:
        """Raise RunLost where the Job is gone; say once why it has no pod."""
        try:
            job = self._client.get("Job", self._job)
        except ClusterNotFound:
            raise RunLost(f"{self._job} is gone, and nothing tells how it ended", hint="run it again") from None
        for condition in (job.get("status") or {}).get("conditions") or ():
            if condition.get("type") == "Failed" and condition.get("status") == "True":
                raise RunError(f"{self._job} failed: {condition.get('reason')}: {condition.get('message')}"[:500])
        if not say:
            return
        if (job.get("spec") or {}).get("suspend"):
            yield BuildWarning(f"{self._job} is suspended", "wait: its queue lets it begin when there is room")
            return
        why = None
        with contextlib.suppress(ClusterError):  # the right to read events is no part of what a run needs
            events = self._client.list("Event", fields=f"involvedObject.name={self._job}").items
            why = why_no_pod(events)
        reason, hint = why or ("the cluster has made no pod for it yet", "see why: kubectl describe job")
        yield BuildWarning(f"{self._job} waits: {reason}", hint)

    # -- the threads

    def _begin(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BuildrError as error:
                self._tell(error)
            except Exception as error:  # noqa: BLE001 - raised by the thread that waits
                self._tell(error)

        threading.Thread(target=run, name=f"buildr-{self._job}", daemon=True).start()

    def _watch(self) -> None:
        for change in iter_changes(self._client, "Pod", selector_of(self._job), self._stop):
            self._tell(_Pod(change.type, change.object))

    def _read(self, pod: str) -> None:
        def say(text: str) -> None:
            self._tell(BuildWarning(text))

        ended, over = self._ended.is_set, self._over.is_set
        for line in iter_lines(self._client, pod, PROGRAM, ended, self._stop, say=say, is_over=over):
            self._tell(_Lines(line.decode("utf-8", "replace")))
        self._tell(_Lines(""))

    def _tell(self, told: _Pod | _Lines | BuildWarning | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._told.put(told, timeout=_LOOK_S)
            except queue.Full:
                continue
            return
