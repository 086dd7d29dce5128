"""Runs images in a Kubernetes cluster: a run is a Job, which goes on without this process and is found by labels."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import secrets
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast

from buildr_jupyter.cluster.answers import LogNotReady
from buildr_jupyter.cluster.client import ClusterClient, Kind
from buildr_jupyter.cluster.connection import connect
from buildr_jupyter.cluster.jobs import await_gone, owner_name
from buildr_jupyter.cluster.logs import read_tail
from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import (
    Cancelled,
    ClusterError,
    ClusterForbidden,
    ClusterNotFound,
    ClusterUnavailable,
    OptionError,
    ReturnError,
    RunError,
    RunLost,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import MAX_LINE_BYTES, Event, RunOutput
from buildr_jupyter.model.capabilities import RunnerCapabilities
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import ClusterPlacement, Collection, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.registry import keychain
from buildr_jupyter.runner._outputs import extract_outputs
from buildr_jupyter.runner.collected import Collected, read_frame
from buildr_jupyter.runner.following import INDEX_LABEL, Followed, iter_grid, selector_of, stream_job, stream_ready
from buildr_jupyter.runner.held import may_fetch, stream_held
from buildr_jupyter.runner.job_manifest import (
    COLLECTOR,
    COLLECTS,
    GRID,
    GROUP,
    MANAGED,
    OUTPUTS,
    OWNER,
    PROGRAM,
    SHARDS,
    at_rest,
    brings_files,
    collects_beside,
    common,
    make_collect_secret,
    make_cron_job,
    make_environment_secret,
    make_grid_job,
    make_input_secrets,
    make_job,
    make_key_maps,
    make_pull_secret,
    make_service,
    owner_of,
    quick_command,
    repository_of,
    safe_label,
    slug,
)
from buildr_jupyter.runner.nodes import NodeFacts, read_nodes
from buildr_jupyter.runner.pod_phase import read_phase
from buildr_jupyter.runner.pod_template import merge_template, read_template
from buildr_jupyter.runner.protocol import PointEnd

list_ = list  # a method is called list
__all__ = ["COLLECTED_S", "KubernetesRunner"]

COLLECTED_S = 3600
"""How long a Job is kept once its outputs were collected."""
_TAIL_LINES = 20
_NODES = 200
"""So many nodes are looked at, and no larger cluster."""
_LOOK_S = 0.1
_FRAME_S = 30.0
"""So long the collector's log may lack its end although the collector has ended."""
_NODE_S = 10.0
"""So much later than the program's lock is free, a busy node may say that the program has ended."""
_STANDING: tuple[Kind, ...] = ("Deployment", "StatefulSet", "CronJob")
_SERVES = frozenset(("Deployment", "StatefulSet"))
_SPEC = re.compile(r"kubernetes(?:=(?P<context>.*?)(?:/(?P<namespace>[a-z0-9-]+))?)?")


class KubernetesRunner:
    """Runs images in a cluster.

    ``spec`` is ``kubernetes``, ``kubernetes=CONTEXT`` or ``kubernetes=CONTEXT/NAMESPACE``; without a context it is the
    kubeconfig's current one, or this pod's own account. ``client`` is made when the cluster is first needed.
    """

    def __init__(
        self,
        spec: str = "kubernetes",
        *,
        client: ClusterClient | None = None,
        clock: Callable[[], float] = time.time,
        owner: str | None = None,
        user: str | None = None,
    ) -> None:
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise OptionError(
                f"--on {spec}: this names no cluster",
                hint=nearest_hint(spec.partition("=")[0], ["kubernetes"], "name it as kubernetes=CONTEXT/NAMESPACE"),
            )
        self._context, self._namespace = found["context"] or None, found["namespace"]
        self._known, self._clock, self._owner, self._user = client, clock, owner, user
        self._ended: dict[tuple[str, int], str] = {}  # the pods of the points that were seen to end

    def capabilities(self) -> RunnerCapabilities:
        """Return that images come from a registry here."""
        return RunnerCapabilities(in_engine=False)

    # -- the protocol

    def stream_run(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunResult]:
        """Run the image as a Job, yield what it writes as it comes, remove the Job, and return how it ended.

        An exit status other than 0 is no error. The Job and its pod are gone when this returns, also where it was
        cancelled or interrupted; where the process is killed, or the cluster is away for long, the Job goes on and
        ``list`` finds it.
        Raises RunError, ClusterError, Cancelled.
        """
        started = self._clock()
        brings = spec.output_dir is not None and brings_files(spec) and collects_beside(spec)
        held = brings and not spec.collect.registry and may_fetch(self._client())
        group = yield from self._start(spec, cancel, held=held)
        (job,) = group.runs
        fetched: list_[tuple[Path, ...]] = []
        step = StepUpdate(f"run {spec.name}", self._title(job), started_at=started)
        away = False
        try:
            tail = ""
            at_end = functools.partial(self._fetch_held, spec, job, fetched, cancel) if held else None
            stream = stream_job(self._client(), job, cancel, log=True, at_end=at_end)
            with contextlib.closing(stream):
                while True:
                    try:
                        event = next(stream)
                    except StopIteration as end:
                        followed: Followed = end.value
                        break
                    if isinstance(event, RunOutput):
                        tail = (tail + event.text)[-MAX_LINE_BYTES:]
                    yield event
            code = yield from self._end_of(job, followed)
            outputs: tuple[Path, ...] = fetched[0] if fetched else ()
            if spec.output_dir is not None and not fetched and (code == 0 or brings):
                try:
                    outputs = yield from self.collect(job, spec.output_dir, cancel)
                except (ReturnError, RunLost) as error:
                    if code == 0:
                        raise
                    yield BuildWarning(str(error), error.hint)  # how the program failed is what has to be told
        except ClusterUnavailable as error:
            away = True  # it may come back, and the run may have gone on in it
            raise ClusterUnavailable(
                f"{error}; {job} was left there",
                hint=f"fetch them once it answers: buildr runs values {job} --on kubernetes",
            ) from error
        finally:
            if not away:
                self.remove(group)
        ended = self._clock()
        yield replace(step, status="failed" if code else "done", finished_at=ended)
        lines = tuple(tail.splitlines()[-_TAIL_LINES:])
        return RunResult(code, tail, ended - started, outputs=outputs, log_tail=lines)

    def start(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        """Make the Job and what belongs to it; see the protocol. Raises RunError, ClusterError, OptionError."""
        return (yield from self._start(spec, cancel, held=False))

    def _start(self, spec: RunSpec, cancel: CancelToken, *, held: bool) -> Generator[Event, None, RunGroup]:
        cancel.check("the run")
        _check(spec)
        client = self._client()
        for older in self._groups(f"{GROUP}={safe_label(spec.name)}"):
            if older.name == spec.name:
                self.remove(older)
        name = f"{slug(spec.name, 46)}-{secrets.token_hex(4)}"
        pulls = spec.placement.pull_secret == "login"  # noqa: S105 - no password
        registry = _base_of(spec) if spec.collect.registry else None
        suspended = bool(spec.environment) or pulls or registry is not None
        job = make_job(spec, name, owner=self._owner_name(), suspended=suspended, registry=registry, held=held)
        if spec.placement.pod_template is not None:
            template = read_template(spec.placement.pod_template)
            job, conflicts = merge_template(job, template)
            yield from (BuildWarning(text) for text in conflicts)
        try:
            made = client.apply(job)
            if spec.environment:
                client.apply(make_environment_secret(spec, name, made))
            if pulls:
                client.apply(_pull_secret(spec, name, made))
            if registry is not None:
                client.apply(make_collect_secret(name, made, _login_of(repository_of(spec))))
            if suspended and not spec.placement.queue:  # a queue resumes what it admits by itself
                client.patch("Job", name, {"spec": {"suspend": False}})
        except BaseException:
            with contextlib.suppress(ClusterError):
                client.delete("Job", name)
            raise
        yield StepUpdate(f"run {spec.name}", self._title(name), started_at=self._clock())
        return RunGroup(spec.name, (name,), _group_labels(spec))

    def deploy(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        """Apply the service or the schedule; see the protocol. A service is waited for until all replicas are ready.

        Where that fails or is cancelled, what was not there before is removed. Raises RunError, ClusterError,
        Cancelled.
        """
        _check(spec)
        standing = spec.standing
        if standing is None:
            raise OptionError(f"{spec.name}: neither replicas nor a schedule is asked for", hint="add --replicas N")
        client, name, owner = self._client(), slug(spec.name, 46), self._owner_name()
        if standing.schedule:
            objects: tuple[JsonObject, ...] = (make_cron_job(spec, name, owner=owner),)
        else:
            objects = make_service(spec, name, owner=owner, deployed=secrets.token_hex(4))
        known = [_refuse_others(client, one["kind"], one["metadata"]["name"], owner_of(owner)) for one in objects]
        group = RunGroup(spec.name, (f"{objects[0]['kind']}/{name}",), dict(spec.labels), "running", spec.image)
        first = objects[0]
        if spec.placement.pod_template is not None:
            first, conflicts = merge_template(first, read_template(spec.placement.pod_template))
            yield from (BuildWarning(text) for text in conflicts)
        step = StepUpdate(f"run {spec.name}", self._title(name), started_at=self._clock())
        yield step
        try:
            kind = first["kind"]
            owned = client.get(kind, name) if known[0] else client.apply(at_rest(first))
            if spec.environment:
                client.apply(make_environment_secret(spec, name, owned))
            if spec.placement.pull_secret == "login":  # noqa: S105 - no password
                client.apply(_pull_secret(spec, name, owned))
            for one in (first, *objects[1:]):
                client.apply(one)
            if kind in _SERVES:
                yield from stream_ready(client, kind, name, cancel)
                _remove_other(client, kind, name, owner_of(owner))
        except BaseException:
            if not any(known):
                with contextlib.suppress(ClusterError):
                    self.remove(group)
            raise
        yield replace(step, title=_address(spec, name, client), status="done", finished_at=self._clock())
        return group

    # -- grids

    def start_grid(
        self, specs: Sequence[RunSpec], keys: Sequence[str], jobs: int, cancel: CancelToken
    ) -> Generator[Event, None, RunGroup]:
        """Make one Indexed Job of all runs; see the protocol. Raises OptionError, ClusterError, Cancelled."""
        cancel.check("the sweep")
        for spec in specs:
            _check(spec)
        first, client = specs[0], self._client()
        name = f"{slug(first.name, 40)}-{secrets.token_hex(4)}"
        registry = _base_of(first) if first.collect.registry else None
        job = make_grid_job(specs, name, owner=self._owner_name(), jobs=jobs, registry=registry)
        if first.placement.pod_template is not None:
            job, conflicts = merge_template(job, read_template(first.placement.pod_template))
            yield from (BuildWarning(text) for text in conflicts)
        try:
            made = client.apply(job)
            shared = common(first)
            parts = [*make_key_maps(keys, name, made), *make_input_secrets(specs, name, made)]
            if shared.environment:
                parts.append(make_environment_secret(shared, name, made))
            if registry is not None:
                parts.append(make_collect_secret(name, made, _login_of(repository_of(first))))
            if first.placement.pull_secret == "login":  # noqa: S105 - no password
                parts.append(_pull_secret(first, name, made))
            for part in parts:
                client.apply(part)
            if not first.placement.queue:
                client.patch("Job", name, {"spec": {"suspend": False}})
        except BaseException:
            with contextlib.suppress(ClusterError):
                client.delete("Job", name)
            raise
        return RunGroup(first.name, (name,), _group_labels(first))

    def list_grids(self) -> list_[tuple[RunGroup, tuple[str, ...]]]:
        """Return this user's grids with the keys of their points; see the protocol."""
        found = []
        for group in self._groups(f"app.kubernetes.io/component={GRID}"):
            (name,) = group.runs
            keys: list_[str] = []
            with contextlib.suppress(ClusterNotFound):
                while True:
                    keys += (
                        self._client().get("ConfigMap", f"{name}-keys-{len(keys) // 10_000}")["data"]["keys"].split()
                    )
                    if len(keys) % 10_000:
                        break
            found.append((group, tuple(keys)))
        return found

    def follow_grid(self, group: RunGroup, points: int, cancel: CancelToken) -> Generator[Event | PointEnd, None, None]:
        """Yield how far each point is; see the protocol. Raises Cancelled, RunLost, ClusterError."""
        client, (job,) = self._client(), group.runs
        for told in iter_grid(client, job, points, cancel):
            if isinstance(told, BuildWarning):
                yield told
                continue
            index, pod, phase = told
            if not phase.is_over:
                if phase.phase in ("running", "collecting"):
                    yield PointEnd(index, "running" if phase.phase == "running" else "collecting")
                continue
            code = phase.exit_code
            self._ended[job, index] = pod
            tail = read_tail(client, pod, PROGRAM, _TAIL_LINES, cancel) if pod and code != 0 else ()
            if code is None:
                yield PointEnd(index, "failed", RunResult(-1, log_tail=tail), phase.reason)
                continue
            if phase.out_of_memory:
                yield BuildWarning(f"point {index} of {job} was killed: {phase.reason}", phase.hint)
            reason = phase.reason or (f"the program ended with status {code}" if code else "")
            yield PointEnd(
                index, "failed" if code else "done", RunResult(code, duration_s=phase.seconds, log_tail=tail), reason
            )

    def collect_point(
        self, group: RunGroup, index: int, into: Path, cancel: CancelToken
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Write the output files of a point; see the protocol. Raises ReturnError, RunLost, ClusterError."""
        (job,) = group.runs
        client, name, run = self._client(), self._ended.get((job, index)), f"{job} {index}"
        if name:  # else each point would cost a look at all pods of the namespace
            try:
                pods: tuple[JsonObject, ...] = (client.get("Pod", name),)
            except ClusterNotFound:
                pods = ()
        else:
            pods = client.list("Pod", f"{selector_of(job)},{INDEX_LABEL}={index}").items
        return (yield from self._collect(pods, run, into, cancel))

    def follow(self, group: RunGroup, cancel: CancelToken) -> Generator[Event, None, list[RunResult]]:
        """Wait for the ends of the group's Jobs; see the protocol. Raises RunLost, RunError, ClusterError."""
        results = []
        for job in group.runs:
            followed = yield from stream_job(self._client(), job, cancel, log=False)
            code = yield from self._end_of(job, followed)
            tail = read_tail(self._client(), followed.pod, PROGRAM, _TAIL_LINES, cancel)
            results.append(RunResult(code, duration_s=followed.phase.seconds, log_tail=tail))
        return results

    def collect(
        self, run: str, into: Path, cancel: CancelToken, wanted: Collection | None = None
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Write what the Job's collector sent below ``into``; see the protocol. Raises ReturnError, ClusterError.

        It was told when it was started which files those are. The Job's time to live begins then.
        """
        pods = self._client().list("Pod", selector_of(run)).items
        written = yield from self._collect(pods, run, into, cancel)
        with contextlib.suppress(ClusterError):  # it may be gone, and its 7 days are no loss
            self._client().patch("Job", run, {"spec": {"ttlSecondsAfterFinished": COLLECTED_S}})
        return written

    def _collect(
        self, pods: Sequence[JsonObject], run: str, into: Path, cancel: CancelToken
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Write what the collector of the last of the pods sent."""
        if not pods:
            raise RunLost(f"{run} has no pod any more, and its output files went with it", hint="run it again")
        pod = str(pods[-1]["metadata"]["name"])
        if all(one["name"] != COLLECTOR for one in pods[-1]["spec"]["containers"]):
            return ()  # nothing was to come back
        _refuse_uncollected(pods[-1], run)
        frame, written = self._frame_of(pod, run, cancel)
        if why := _why_incomplete(pods[-1], frame, written):
            phase = read_phase(pods[-1])
            error = ReturnError(f"the output files of {run} may be incomplete: {why}", hint="run it again")
            if phase.exit_code == 0:
                raise error
            yield BuildWarning(str(error), error.hint)
        if frame.left_out:
            yield BuildWarning(
                f"{frame.left_out_count} output files with {frame.left_out_bytes:,} bytes stay in the cluster and "
                f"go with the run: more than 4 MiB do not come through a log ({', '.join(frame.left_out[:3])})",
                "let the registry bring it: --collect registry; or keep it in a volume: --mount pvc:NAME:DST; with the "
                "right to create and get pods/exec a run that is not detached brings it, too",
            )
        if frame.not_pushed:
            yield BuildWarning(
                f"the output files of {run} were not pushed, and come through its log: {frame.not_pushed}",
                "let the pods reach the registry, under the name that --registry-alias OUTSIDE=INSIDE gives",
            )
        yield from _others(frame)
        if frame.artifact is not None:
            from buildr_jupyter.runner.artifact import stream_artifact  # imports requests

            location = str((pods[-1]["metadata"].get("annotations") or {}).get(OUTPUTS) or "")
            return (yield from stream_artifact(location, frame.artifact, frame.folders, into, cancel))
        names = frame.names
        return (yield from extract_outputs([frame.tar], into, name=lambda path: names.get(str(path))))

    def _frame_of(self, pod: str, run: str, cancel: CancelToken) -> tuple[Collected, str]:
        """Return what the collector of a pod sent, once it is whole, and when it began to.

        Raises ReturnError, ClusterError, Cancelled.
        """
        deadline = time.monotonic() + _FRAME_S
        while True:
            with contextlib.suppress(LogNotReady, ConnectionError):
                text = b"".join(self._client().read_log(pod, COLLECTOR, cancel))
                lines = [line.partition(b" ") for line in text.split(b"\n")]
                frame = read_frame(words for _, _, words in lines)
                if frame is not None:
                    return frame, lines[0][0].decode("ascii", "replace")
            if cancel.wait(_LOOK_S):
                raise Cancelled("the run was cancelled")
            if time.monotonic() > deadline:
                raise ReturnError(
                    f"the output files of {run} came only in part: the log of its collector has no end",
                    hint="let the nodes keep at least 10 MiB of a log: containerLogMaxSize of the kubelet",
                )

    def _fetch_held(
        self, spec: RunSpec, run: str, into: list_[tuple[Path, ...]], cancel: CancelToken, pod: JsonObject
    ) -> Generator[Event, None, None]:
        """Fetch what the pod keeps, where its log has not all of it; what that brings is told where this fails."""
        assert spec.output_dir is not None
        name = str(pod["metadata"]["name"])
        try:
            frame, written = self._frame_of(name, run, cancel)
            if frame.held and not _why_incomplete(pod, frame, written):
                files = yield from stream_held(
                    self._client(), name, quick_command(spec), frame.folders, spec.output_dir, cancel
                )
                into.append(files)
                yield from _others(frame)
        except ReturnError:
            return  # it is raised where the log is read
        except (ConnectionError, ClusterError) as error:
            yield BuildWarning(f"the output files of {run} cannot be fetched from its pod: {error}")

    def stop(self, group: RunGroup) -> None:
        """Delete the group's Jobs, and wait until their pods have ended."""
        self.remove(group)

    def list(self) -> list[RunGroup]:
        """Return this user's groups in the namespace, running or ended, whichever machine started them."""
        found = [*self._groups("")]
        for kind in _STANDING:
            with contextlib.suppress(ClusterForbidden):  # who may not list them has made none
                found += [_standing_group(one, kind) for one in self._client().list(kind, self._selector("")).items]
        return found

    def remove(self, group: RunGroup) -> None:
        """Delete the group's Jobs with all that they own, and wait until their pods are gone.

        Output files that the pods pushed to a registry are deleted there, too, where it allows that.
        """
        client = self._client()
        location, tags = group.labels.get(OUTPUTS, ""), list_[str]()
        if location:
            from buildr_jupyter.runner.artifact import forget_artifacts, tag_of  # imports requests

            tags = [tag_of(pod) for run in group.runs for pod in client.list("Pod", selector_of(run)).items]
        for run in group.runs:
            kind, name = _kind_of(run)
            client.delete(kind, name)
            if kind in _SERVES:
                client.delete("Service", name)
            if kind == "StatefulSet":
                client.delete("Service", f"{name}{SHARDS}")
        await_gone(client, map(_kind_of, group.runs), RunError)
        if tags:
            forget_artifacts(location, tags)

    def read_log(self, run: str, cancel: CancelToken) -> Generator[Event, None, None]:
        """Yield what the program of a Job has written and writes, to its end."""
        kind, name = _kind_of(run)
        if kind != "Job":
            raise OptionError(
                f"{run} is no single run",
                hint=f"read its log: kubectl logs --selector app.kubernetes.io/instance={name}",
            )
        yield from stream_job(self._client(), run, cancel, log=True)

    def nodes(self, placement: ClusterPlacement) -> NodeFacts | None:
        """Return what the nodes of a run say of themselves; see the protocol. Raises ClusterError."""
        found = self._client().nodes(_NODES)
        return None if found is None else read_nodes(found, placement)

    def connected(self) -> ClusterClient:
        """Return the client of its cluster; it has sent nothing yet. Raises as ``cluster.connection.connect``."""
        return self._client()

    # -- its parts

    def _client(self) -> ClusterClient:
        if self._known is None:
            self._known = connect(self._context, self._namespace)
        return self._known

    def _owner_name(self) -> str:
        """Return who the cluster says that this is, which is the same on each machine; of a hub, the hub's user."""
        if self._owner is None:
            self._owner = owner_name(self._client(), self._user)
        return self._owner

    def _title(self, job: str) -> str:
        client = self._client()
        return f"run {job} in {client.namespace} of {client.context}"

    def _selector(self, more: str) -> str:
        return f"{MANAGED}=buildr,{OWNER}={owner_of(self._owner_name())}" + (f",{more}" if more else "")

    def _groups(self, more: str) -> tuple[RunGroup, ...]:
        return tuple(_group(job) for job in self._client().list("Job", self._selector(more)).items)

    def _end_of(self, job: str, followed: Followed) -> Generator[Event, None, int]:
        """Return the program's exit status; say why it was killed. Raises RunError where it has none."""
        phase = followed.phase
        if phase.exit_code is None:
            raise RunError(f"{job} failed: {phase.reason}", hint=phase.hint)
        if phase.out_of_memory:
            yield BuildWarning(f"{job} was killed: {phase.reason}", phase.hint)
        elif phase.reason and phase.exit_code:
            yield BuildWarning(f"{job}: {phase.reason}", phase.hint)
        return phase.exit_code


def _refuse_uncollected(pod: JsonObject, run: str) -> None:
    """Raise ReturnError where the program failed and its collector, which runs after it, never began."""
    before = [one["name"] for one in pod["spec"].get("initContainers") or ()]
    if PROGRAM in before and (pod.get("status") or {}).get("phase") == "Failed":
        known = [one for one in (pod.get("status") or {}).get("containerStatuses") or () if one["name"] == COLLECTOR]
        if not any("terminated" in (one.get("state") or {}) and one.get("containerID") for one in known):
            raise ReturnError(f"{run} failed, and of an image that is not buildr's own no files come back then")


def _others(frame: Collected) -> Iterator[BuildWarning]:
    for other in frame.others:
        yield BuildWarning(f"output {other!r} is no regular file and stays in the container")


def _why_incomplete(pod: JsonObject, frame: Collected, written: str) -> str:
    """Return why the program may have gone on after its files were looked for, empty where it had ended.

    ``written`` is when the frame began, by the clock of the node, as the program's end is.
    """
    if not frame.seen:
        return "the collector was ended, or waited long, before it saw the program end"
    statuses = [one for one in (pod.get("status") or {}).get("containerStatuses") or () if one.get("name") == PROGRAM]
    ended = (statuses[0].get("state") or {}).get("terminated") or {} if statuses else {}
    try:
        late_s = (datetime.fromisoformat(str(ended["finishedAt"])) - datetime.fromisoformat(written)).total_seconds()
    except (KeyError, ValueError):
        return ""
    return "the program closed the lock by which its end is seen" if late_s > _NODE_S else ""


def _check(spec: RunSpec) -> None:
    """Raise OptionError for what a cluster cannot have."""
    if spec.mounts:
        raise OptionError(
            f"{spec.mounts[0].source} is a file or folder of this machine, and the cluster does not see it",
            hint="let the image carry it, --include PATH, or show it a volume, --mount pvc:NAME:DST",
        )
    reference = ImageRef.parse(spec.image)
    if reference.registry is None or reference.digest is None:
        raise OptionError(
            f"image {spec.image} is not in a registry by its digest, and a cluster takes it from there",
            hint="push it: --publish --repository HOST/PATH",
        )


def _base_of(spec: RunSpec) -> str:
    """Return the base URL of the registry that output files are pushed to, under its name here."""
    from buildr_jupyter.registry.client import connect as connect_registry  # imports requests

    with contextlib.closing(connect_registry(repository_of(spec).partition("/")[0])) as registry:
        return registry.base


def _login_of(location: str) -> dict[str, str]:
    login = keychain.find(location)
    if login is None:
        return {}
    return {"user": login.user, "password": login.password, "identity_token": login.identity_token}


def _pull_secret(spec: RunSpec, name: str, job: JsonObject) -> JsonObject:
    reference = ImageRef.parse(spec.image)
    login = keychain.find(reference.location)
    if login is None or not login.password:
        raise OptionError(
            f"--pull-secret login: there is no login for {reference.registry_host} here",
            hint=f"log in: buildr login {reference.registry_host}",
        )
    return make_pull_secret(name, job, reference.registry_host, login.user, login.password)


def _group_labels(spec: RunSpec) -> dict[str, str]:
    return {**dict(spec.labels), **({OUTPUTS: repository_of(spec)} if spec.collect.registry else {})}


def _group(job: JsonObject) -> RunGroup:
    about, status = job["metadata"], job.get("status") or {}
    notes = about.get("annotations") or {}
    ended = [one.get("type") for one in status.get("conditions") or () if one.get("status") == "True"]
    state = "done" if "Complete" in ended else "failed" if "Failed" in ended else "running"
    labels: dict[str, str] = {key: str(notes.get(key, value)) for key, value in (about.get("labels") or {}).items()}
    labels |= {OUTPUTS: str(notes[OUTPUTS])} if OUTPUTS in notes else {}
    return RunGroup(
        str(notes.get(GROUP) or about["name"]), (str(about["name"]),), labels, state,
        str(notes.get("io.buildr.image") or ""), str(about.get("creationTimestamp") or ""),
        _collection(notes.get(COLLECTS)),
    )  # fmt: skip


def _collection(note: object) -> Collection:
    """Return what a Job's annotation says that its collector brings; the program's own files where it has none."""
    try:
        return Collection.from_json(json.loads(str(note)))
    except (ValueError, TypeError, KeyError):
        return Collection()


def _standing_group(found: JsonObject, kind: Kind) -> RunGroup:
    group = _group(found)
    return replace(group, runs=(f"{kind}/{group.runs[0]}",), state="running")


def _kind_of(run: str) -> tuple[Kind, str]:
    """Return kind and name of what a group calls a run: a Job by its name alone, all else as ``KIND/NAME``."""
    kind, slash, name = run.partition("/")
    return (cast("Kind", kind), name) if slash else ("Job", run)


def _refuse_others(client: ClusterClient, kind: Kind, name: str, owner: str) -> bool:
    """Return whether there is one of this user's under the name; raise RunError where it is somebody else's."""
    try:
        labels = client.get(kind, name)["metadata"].get("labels") or {}
    except ClusterNotFound:
        return False
    if labels.get(MANAGED) != "buildr" or labels.get(OWNER) != owner:
        raise RunError(
            f"{kind} {name!r} in {client.namespace} of {client.context} is somebody else's",
            hint="give the image another name, or take another namespace: --on kubernetes=CONTEXT/NAMESPACE",
        )
    return True


def _remove_other(client: ClusterClient, kind: Kind, name: str, owner: str) -> None:
    """Remove what served under the name so far, where it was of another kind: replicas that are shards now."""
    for other in _STANDING:
        if other == kind or other not in _SERVES:
            continue
        with contextlib.suppress(ClusterForbidden, RunError):  # who may not see them has made none
            if _refuse_others(client, other, name, owner):
                client.delete(other, name)
                if other == "StatefulSet":
                    client.delete("Service", f"{name}{SHARDS}")


def _address(spec: RunSpec, name: str, client: ClusterClient) -> str:
    assert spec.standing is not None
    if spec.standing.schedule:
        zone = f" {spec.standing.timezone}" if spec.standing.timezone else ""
        return f"{name} runs at {spec.standing.schedule}{zone} in {client.namespace} of {client.context}"
    ports = ", ".join(f"{name}.{client.namespace}.svc:{port.host or port.container}" for port in spec.ports)
    if shards := spec.standing.shards:
        own = ", ".join(f"{name}-N.{name}{SHARDS}.{client.namespace}.svc:{port.container}" for port in spec.ports)
        return f"{shards} shards are ready at {own}, and any of them at {ports}"
    return f"{spec.standing.replicas} replicas are ready at {ports}"
