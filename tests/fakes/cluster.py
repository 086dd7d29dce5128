"""Cluster in memory, with the seam of a real one: strict about what it is given, and as unreliable as it is told to be.

A Job's pod runs here as processes, with the commands and variables that its containers have; a path in the pod's own
volume or in the image is one of this machine instead. What is asked for goes through ``Faults`` first.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from buildr_jupyter.cluster.answers import LogNotReady, Request, WatchExpired, error_of
from buildr_jupyter.cluster.client import KINDS, Change, Kind, Listed
from buildr_jupyter.errors import ClusterNotFound, ClusterRefused
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject

__all__ = ["FakeCluster", "FakeImage", "Faults"]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_JOB = {
    "backoffLimit", "ttlSecondsAfterFinished", "template", "suspend", "completions", "parallelism", "completionMode",
    "activeDeadlineSeconds", "backoffLimitPerIndex",
}  # fmt: skip
_POD = {
    "restartPolicy", "automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds",
    "securityContext", "volumes", "initContainers", "containers", "nodeSelector", "tolerations", "serviceAccountName",
    "imagePullSecrets", "priorityClassName",
}  # fmt: skip
_CONTAINER = {
    "name", "image", "command", "args", "env", "securityContext", "volumeMounts", "resources", "ports", "workingDir",
    "stdin", "stdinOnce", "readinessProbe",
}  # fmt: skip


@dataclass(frozen=True)
class FakeImage:
    """What a node has of an image."""

    entrypoint: tuple[str, ...] = (sys.executable, "-u", "-c")
    folder: Path | None = None
    """Where its ``workdir`` is on this machine."""
    workdir: str = "/app"
    ready: bool = True
    """Whether its containers are ready as soon as they run: what a readiness probe would say, which nobody asks here."""


@dataclass
class Faults:
    """What goes wrong, each thing once or as often as it says."""

    answers: list[tuple[str, int]] = field(default_factory=list)
    """(verb, status): the next request with that verb is refused so."""
    cut_logs: list[int] = field(default_factory=list)
    """The next readings of a program's log break after so many bytes."""
    empty_logs: int = 0
    """So many readings of a program's log end at once, empty."""
    broken_frames: int = 0
    """So many readings of a collector's log have another digest than the collector wrote."""
    cut_watches: int = 0
    """So many watches break in mid-object after their first change."""
    expired_watches: int = 0
    """So many watches are of a version that is gone."""
    denied: set[tuple[str, str]] = field(default_factory=set)
    """(verb, resource) that this user may not do."""
    injected: tuple[JsonObject, ...] = ()
    """Init containers that a webhook of the cluster adds to each Job."""
    refused: str = ""
    """Why admission takes no pod of a Job, which an event tells."""
    cut_input: int | None = None
    """After so many bytes the connection breaks that a container's input comes by."""
    cut_executions: int = 0
    """So many commands in a container lose their connection just before the end of what they write."""
    skew: timedelta = timedelta()
    """How far the node's clock is from this machine's."""


@dataclass
class _Container:
    log: list[bytes] = field(default_factory=list)
    ended: bool = False
    began: bool = False


class FakeCluster:
    """Implements ClusterClient, and is the cluster behind it; several clients of it are the same object."""

    def __init__(self, place: Path, *, memory_bytes: int = 8 << 30) -> None:
        self.context, self.namespace = "fake", "default"
        self.place, self.memory_bytes = place, memory_bytes
        self.images: dict[str, FakeImage] = {}
        self.faults = Faults()
        self.requests: list[str] = []
        self.objects: dict[tuple[str, str], JsonObject] = {}
        self._changes: list[tuple[int, str, str, JsonObject]] = []
        self._logs: dict[tuple[str, str], _Container] = {}
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self.known_nodes: list[JsonObject] = []
        self.labels: dict[str, str] = {}
        """Of the namespace."""
        self.listening: dict[int, int] = {}
        """Port of a pod to the port of this machine that stands for it."""
        self._begun: set[str] = set()
        self._numbers = itertools.count(1)
        self._version = 0
        self._moved = threading.Condition()

    # -- the seam

    def whoami(self) -> str:
        self._ask("create", "selfsubjectreviews")
        return "tester"

    def allowed(self, verb: str, kind: Kind, subresource: str = "") -> bool:
        resource = KINDS[kind].plural + (f"/{subresource}" if subresource else "")
        return (verb, resource) not in self.faults.denied

    def apply(self, manifest: JsonObject) -> JsonObject:
        kind, about = manifest["kind"], manifest["metadata"]
        self._ask("patch", KINDS[kind].plural, kind, about["name"])
        _check(manifest)
        with self._moved:
            key = (kind, about["name"])
            if key not in self.objects:
                for owner in about.get("ownerReferences") or ():
                    assert self.objects[(owner["kind"], owner["name"])]["metadata"]["uid"] == owner["uid"]
                made = copy.deepcopy(manifest)
                if self.faults.injected and kind == "Job":
                    pod = made["spec"]["template"]["spec"]
                    pod["initContainers"] = [*copy.deepcopy(self.faults.injected), *(pod.get("initContainers") or ())]
                made["metadata"] |= {"uid": f"uid-{next(self._numbers)}", "creationTimestamp": self._now()}
            else:
                made = copy.deepcopy(self.objects[key])
                if kind == "Job" and made["spec"]["template"] != manifest["spec"]["template"]:
                    raise ClusterRefused("spec.template: field is immutable")
                made |= {part: copy.deepcopy(manifest[part]) for part in ("spec", "data") if part in manifest}
            self._put("MODIFIED" if key in self.objects else "ADDED", made)
            if kind in ("Deployment", "StatefulSet"):
                self._roll_out(made)
        self._reconcile(about["name"])
        return copy.deepcopy(self.objects[key])

    def patch(self, kind: Kind, name: str, change: JsonObject) -> JsonObject:
        self._ask("patch", KINDS[kind].plural, kind, name)
        with self._moved:
            made = _merged(self._found(kind, name), change)
            self._put("MODIFIED", made)
        self._reconcile(name)
        return copy.deepcopy(made)

    def get(self, kind: Kind, name: str) -> JsonObject:
        self._ask("get", KINDS[kind].plural, kind, name)
        with self._moved:
            return copy.deepcopy(self._found(kind, name))

    def list(self, kind: Kind, selector: str = "", fields: str = "") -> Listed:
        self._ask("list", KINDS[kind].plural, kind)
        with self._moved:
            items = [one for (one_kind, _), one in self.objects.items() if one_kind == kind and _selects(selector, one)]
            return Listed(tuple(copy.deepcopy(items)), str(self._version))

    def nodes(self, most: int) -> tuple[JsonObject, ...] | None:
        self._ask("list", "nodes")
        return tuple(self.known_nodes) if len(self.known_nodes) <= most else None

    def namespace_labels(self) -> Mapping[str, str]:
        self._ask("get", "namespaces")
        return dict(self.labels)

    def watch(self, kind: Kind, selector: str, version: str, cancel: CancelToken) -> Iterator[Change]:
        self._ask("watch", KINDS[kind].plural, kind)
        if self.faults.expired_watches:
            self.faults.expired_watches -= 1
            raise WatchExpired("too old resource version")
        undo = cancel.on_cancel(self._wake)
        seen = int(version)
        try:
            while not cancel.is_set():
                with self._moved:
                    news = [
                        one for one in self._changes if one[0] > seen and one[1] == kind and _selects(selector, one[3])
                    ]
                    if not news:
                        self._moved.wait(1)
                        continue
                for number, _, change, found in news:
                    seen = number
                    yield Change(change, copy.deepcopy(found))  # type: ignore[arg-type]
                    if self.faults.cut_watches:
                        self.faults.cut_watches -= 1
                        raise ConnectionError("the watch ended in mid-object")
        finally:
            undo()

    def delete(self, kind: Kind, name: str, *, propagation: str = "Foreground", grace_s: int | None = None) -> None:
        self._ask("delete", KINDS[kind].plural, kind, name)
        with self._moved:
            found = self.objects.get((kind, name))
            if found is None:
                return
            self._delete(found)

    def read_log(
        self, pod: str, container: str, cancel: CancelToken, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[bytes]:
        self._ask("get", "pods/log", "Pod", pod)
        undo = cancel.on_cancel(self._wake)
        try:
            with self._moved:
                self._found("Pod", pod)
                known = self._logs.get((pod, container))
            if known is None or not known.began:
                raise LogNotReady("container is waiting to start: ContainerCreating")
            if container == "program" and self.faults.empty_logs and follow:
                self.faults.empty_logs -= 1
                return
            cut = self.faults.cut_logs.pop(0) if container == "program" and self.faults.cut_logs and follow else None
            for data in self._lines(known, cancel, cut, follow=follow, tail=tail):
                if container == "collector" and self.faults.broken_frames and b"buildr-output end" in data:
                    self.faults.broken_frames -= 1
                    data = re.sub(rb"(buildr-output end \d+ )\S+", rb"\1" + b"0" * 64, data)
                yield data
        finally:
            undo()

    def send(self, pod: str, container: str, pieces: Iterable[bytes], cancel: CancelToken) -> None:
        self._ask("create", "pods/attach", "Pod", pod)
        with self._moved:
            self._found("Pod", pod)
            process = next(one for one in self._processes[pod] if one.stdin is not None)
        assert process.stdin is not None
        sent, cut = 0, self.faults.cut_input
        try:
            for piece in pieces:
                if cancel.is_set() or (cut is not None and sent + len(piece) > cut):
                    raise ConnectionError("the connection broke")
                process.stdin.write(piece)
                process.stdin.flush()
                sent += len(piece)
        except (BrokenPipeError, ValueError) as error:  # it ended, before or while it was written to
            raise ConnectionError("the container reads no more") from error
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def execute(
        self, pod: str, container: str, command: Sequence[str], cancel: CancelToken, *, say: Callable[[bytes], object]
    ) -> Iterator[bytes]:
        self._ask("create", "pods/exec", "Pod", pod)
        with self._moved:
            self._found("Pod", pod)
            if self._logs[(pod, container)].ended:
                raise ConnectionError("container not found")
        words = [word.replace("/buildr/", f"{self.place / pod}/") for word in command[1:]]
        done = subprocess.run([sys.executable, *words], capture_output=True)
        say(done.stderr)
        if self.faults.cut_executions:
            self.faults.cut_executions -= 1
            yield done.stdout[:-1]
            raise ConnectionError("the command was cut off")
        for place in range(0, len(done.stdout), 1 << 16):
            yield done.stdout[place : place + (1 << 16)]
        if done.returncode:
            raise ConnectionError(f"command terminated with exit code {done.returncode}")

    def forward(self, pod: str, port: int) -> socket.socket:
        self._ask("create", "pods/portforward", "Pod", pod)
        with self._moved:
            self._found("Pod", pod)
        if port not in self.listening:
            raise ConnectionError(f"nothing listens at port {port}")
        return socket.create_connection(("127.0.0.1", self.listening[port]))

    def close(self) -> None:
        pass

    # -- what tests do to it

    def evict(self, pod: str) -> None:
        """Take a pod away as a node under pressure does."""
        with self._moved:
            found = copy.deepcopy(self._found("Pod", pod))
            found["status"] |= {
                "phase": "Failed",
                "reason": "Evicted",
                "message": "The node was low on resource: memory.",
            }
            self._put("MODIFIED", found)
            self._kill(pod)

    def compact(self) -> None:
        """Forget what changed."""
        with self._moved:
            self._changes.clear()

    def pods(self) -> list[str]:
        """Return the names of the pods."""
        with self._moved:
            return [name for kind, name in self.objects if kind == "Pod"]

    # -- its store

    def _ask(self, verb: str, resource: str, kind: Any = None, name: str = "") -> None:
        self.requests.append(f"{verb} {resource}")
        request = Request(verb, kind, self.namespace, name, resource.partition("/")[2])
        if (verb, resource) in self.faults.denied:
            raise error_of(403, b'{"message": "is forbidden"}', request, self.context)
        for place, (wanted, status) in enumerate(self.faults.answers):
            if wanted == verb:
                del self.faults.answers[place]
                raise error_of(status, json.dumps({"message": f"status {status}"}).encode(), request, self.context)

    def _found(self, kind: str, name: str) -> JsonObject:
        if (kind, name) not in self.objects:
            raise ClusterNotFound(f"{kind} {name!r} does not exist")
        return self.objects[(kind, name)]

    def _put(self, change: str, found: JsonObject) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        key = (found["kind"], found["metadata"]["name"])
        if change == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = found
        self._changes.append((self._version, key[0], change, copy.deepcopy(found)))
        self._moved.notify_all()

    def _delete(self, found: JsonObject) -> None:
        uid = found["metadata"]["uid"]
        for one in [*self.objects.values()]:
            if any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences") or ()):
                self._delete(one)
        self._kill(found["metadata"]["name"])
        self._put("DELETED", found)

    def _kill(self, pod: str) -> None:
        for process in self._processes.get(pod, ()):
            process.kill()

    def _wake(self) -> None:
        with self._moved:
            self._moved.notify_all()

    def _now(self) -> str:
        return (datetime.now(UTC) + self.faults.skew).isoformat().replace("+00:00", "Z")

    def _lines(
        self, known: _Container, cancel: CancelToken, cut: int | None, *, follow: bool, tail: int | None
    ) -> Iterator[bytes]:
        place, sent = 0, 0
        while not cancel.is_set():
            with self._moved:
                news, ended = known.log[place:], known.ended
                if not news and not ended and follow:
                    self._moved.wait(1)
                    continue
            place += len(news)
            data = b"".join(news if tail is None else news[-tail:])
            if cut is not None and sent + len(data) > cut:
                yield data[: cut - sent]
                raise ConnectionError("the log broke off in mid-line")
            sent += len(data)
            if data:
                yield data
            if (ended and not news) or not follow:
                return

    # -- its controllers and its node

    def _reconcile(self, name: str) -> None:
        with self._moved:
            job = self.objects.get(("Job", name))
            if job is None or job["spec"].get("suspend") or job["metadata"]["uid"] in self._begun:
                return
            self._begun.add(job["metadata"]["uid"])
        threading.Thread(target=self._control, args=(name,), daemon=True).start()

    def _control(self, name: str) -> None:
        """Make the pods of a Job, so many at a time as it says, and end it with the last of them."""
        with self._moved:
            if ("Job", name) not in self.objects:
                return
            job = copy.deepcopy(self.objects[("Job", name)])
        spec = job["spec"]
        indexes = range(spec.get("completions", 1)) if spec.get("completionMode") == "Indexed" else [None]

        def one(index: int | None) -> int | None:
            pod = self._make_pod(job, index)
            return self._run(pod) if pod else None

        with ThreadPoolExecutor(spec.get("parallelism", 1)) as pool:
            codes = [*pool.map(one, indexes)]
        with self._moved:
            known = self.objects.get(("Job", name))  # another one may have its name by now
            if known is not None and known["metadata"]["uid"] == job["metadata"]["uid"] and None not in codes:
                found = copy.deepcopy(known)
                found["status"] = {"conditions": [{"type": "Failed" if any(codes) else "Complete", "status": "True"}]}
                self._put("MODIFIED", found)

    def _make_pod(self, job: JsonObject, index: int | None) -> str | None:
        name = job["metadata"]["name"]
        pod: JsonObject = {"kind": "Pod", **copy.deepcopy(job["spec"]["template"])}
        labels = {**pod["metadata"].get("labels", {}), "batch.kubernetes.io/job-name": name}
        if index is not None:
            labels["batch.kubernetes.io/job-completion-index"] = str(index)
        owner = {"kind": "Job", "name": name, "uid": job["metadata"]["uid"]}
        number = next(self._numbers)
        own = f"{name}-{index or 0}"
        made = {"name": f"{own}-{number}" if own in self._processes else own, "uid": f"uid-{number}"}
        pod["metadata"] |= {**made, "labels": labels, "ownerReferences": [owner]}
        pod["status"] = {"phase": "Pending"}
        with self._moved:
            known = self.objects.get(("Job", name))
            if known is None or known["metadata"]["uid"] != job["metadata"]["uid"]:
                return None
            if self.faults.refused:
                about = {"name": f"{name}-refused", "uid": f"uid-{next(self._numbers)}"}
                event = {"kind": "Event", "metadata": about, "reason": "FailedCreate", "message": self.faults.refused}
                self._put("ADDED", event)
                return None
            self._put("ADDED", pod)
        return made["name"]

    def _roll_out(self, found: JsonObject) -> None:
        """Have all replicas ready at once, or a pod that cannot pull its image."""
        name, template = found["metadata"]["name"], found["spec"]["template"]
        image = template["spec"]["containers"][0]["image"]
        wanted = found["spec"]["replicas"]
        made = copy.deepcopy(found)
        if image in self.images or not wanted:
            made["status"] = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), wanted)
            made["status"]["observedGeneration"] = 1
        else:
            state = {"waiting": {"reason": "ImagePullBackOff", "message": f"{image}: not found"}}
            owner = {"kind": found["kind"], "name": name, "uid": found["metadata"]["uid"]}
            about = {"name": f"{name}-x", "uid": f"uid-{next(self._numbers)}", "ownerReferences": [owner]}
            about["labels"] = template["metadata"]["labels"]
            status = {"phase": "Pending", "containerStatuses": [{"name": "program", "state": state}]}
            pod = {"kind": "Pod", "metadata": about, "spec": template["spec"], "status": status}
            self._put("ADDED", pod)
        self._put("MODIFIED", made)

    def _status(self, pod: str, **changes: Any) -> bool:
        with self._moved:
            if ("Pod", pod) not in self.objects:
                return False
            found = copy.deepcopy(self.objects[("Pod", pod)])
            found["status"] |= changes
            self._put("MODIFIED", found)
            return True

    def _run(self, pod: str) -> int | None:
        """Run the containers of a pod; return its exit status, None where it does not end."""
        with self._moved:
            if ("Pod", pod) not in self.objects:
                return None
            spec = copy.deepcopy(self.objects[("Pod", pod)]["spec"])
        containers = [("initContainerStatuses", one) for one in spec.get("initContainers") or ()]
        containers += [("containerStatuses", one) for one in spec["containers"]]
        for _, one in containers:
            wanted = int(((one.get("resources") or {}).get("requests") or {}).get("memory", "0").removesuffix("Mi"))
            if wanted > self.memory_bytes:
                message = "0/1 nodes are available: 1 Insufficient memory."
                condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
                self._status(pod, conditions=[condition])
                return None
        with self._moved:
            if ("Pod", pod) not in self.objects:
                return None
            self.objects[("Pod", pod)]["spec"]["nodeName"] = "node"
        for kind, one in containers:
            if one["image"] not in self.images:
                for why in ("ErrImagePull", "ImagePullBackOff"):
                    state = {"waiting": {"reason": why, "message": f'failed to pull "{one["image"]}": not found'}}
                    self._container_status(pod, kind, one["name"], state)
                return None
        for one in spec.get("initContainers") or ():
            code = self._container(pod, "initContainerStatuses", one)
            if code is None:
                return None
            if code:
                self._status(pod, phase="Failed")
                return code
        with ThreadPoolExecutor(len(spec["containers"])) as pool:
            codes = [*pool.map(lambda one: self._container(pod, "containerStatuses", one), spec["containers"])]
        if None in codes:
            return None
        self._status(pod, phase="Failed" if any(codes) else "Succeeded")
        return max(code or 0 for code in codes)

    def _container_status(self, pod: str, kind: str, name: str, state: JsonObject, **more: Any) -> None:
        with self._moved:
            known = self.objects[("Pod", pod)]["status"].get(kind, []) if ("Pod", pod) in self.objects else []
            others = [one for one in known if one["name"] != name]
            self._status(pod, **{kind: [*others, {"name": name, "state": state, **more}]})

    def _inputs(self, pod: str) -> Path | None:
        """Return a folder with what the pod's projected Secrets hold."""
        with self._moved:
            volumes = self.objects[("Pod", pod)]["spec"].get("volumes", []) if ("Pod", pod) in self.objects else []
            secrets = [
                source["secret"]["name"] for one in volumes for source in one.get("projected", {}).get("sources", [])
            ]
            secrets += [one["secret"]["secretName"] for one in volumes if "secret" in one]
            data = {k: v for name in secrets for k, v in self.objects[("Secret", name)]["data"].items()}
        if not data:
            return None
        folder = self.place / f"{pod}-inputs"
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in data.items():  # whole: the pod's other container may read it already
            made = self.place / f"{folder.name}-{threading.get_ident()}"
            made.write_bytes(base64.b64decode(value))
            made.replace(folder / key)
        return folder

    def _container(self, pod: str, kind: str, one: JsonObject) -> int | None:
        """Run a container; return its exit status, None where it cannot begin or its pod went."""
        image, name = self.images[one["image"]], one["name"]
        work = self.place / pod
        work.mkdir(parents=True, exist_ok=True)
        inputs = self._inputs(pod)

        def here(text: str) -> str:
            if text.startswith('{"places"'):
                plan = json.loads(text)
                plan["places"] = [[shown, here(place)] for shown, place in plan["places"]]
                for key in ("image", "held"):
                    plan[key] = plan.get(key) and here(plan[key])
                return json.dumps(plan)
            for inside, outside in (("/buildr", work), ("/buildr-inputs", inputs), (image.workdir, image.folder)):
                if outside is not None and (text == inside or text.startswith(f"{inside}/")):
                    return f"{outside}{text[len(inside) :]}"
            return text.replace("$$(", "$(").replace("/dev/termination-log", str(last_words))

        last_words = self.place / f"{pod}-{name}.last-words"
        environment = dict(os.environ)
        with self._moved:
            labels = self.objects[("Pod", pod)]["metadata"]["labels"] if ("Pod", pod) in self.objects else {}
        if (index := labels.get("batch.kubernetes.io/job-completion-index")) is not None:
            environment["JOB_COMPLETION_INDEX"] = index
        for entry in one.get("env") or ():
            if "fieldRef" in entry.get("valueFrom", {}):
                assert entry["valueFrom"]["fieldRef"] == {"fieldPath": "metadata.name"}
                environment[entry["name"]] = pod
            elif "valueFrom" in entry:
                source = entry["valueFrom"]["secretKeyRef"]
                with self._moved:
                    if ("Secret", source["name"]) not in self.objects:
                        message = f'secret "{source["name"]}" not found'
                        state = {"waiting": {"reason": "CreateContainerConfigError", "message": message}}
                        self._container_status(pod, kind, name, state)
                        return None
                    data = self.objects[("Secret", source["name"])]["data"][source["key"]]
                environment[entry["name"]] = base64.b64decode(data).decode()
            else:
                environment[entry["name"]] = here(entry["value"])
        words = [here(word) for word in (one.get("command") or image.entrypoint)] + [
            here(w) for w in one.get("args") or ()
        ]
        words[0] = sys.executable if words[0] in ("python", "python3") else words[0]
        log = self._logs.setdefault((pod, name), _Container(began=True))
        process = subprocess.Popen(
            words, env=environment, cwd=image.folder or work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE if one.get("stdin") else subprocess.DEVNULL,
        )  # fmt: skip
        with self._moved:
            self._processes.setdefault(pod, []).append(process)
            if ("Pod", pod) not in self.objects:
                process.kill()
        began = self._now()
        self._container_status(pod, kind, name, {"running": {"startedAt": began}}, ready=image.ready)
        assert process.stdout is not None
        for line in process.stdout:
            with self._moved:
                log.log.append(f"{self._now()} ".encode() + line)
                self._moved.notify_all()
        code = process.wait()
        process.stdout.close()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with self._moved:
            log.ended = True
            self._moved.notify_all()
        limited = "memory" in ((one.get("resources") or {}).get("limits") or {})
        code = code if code >= 0 else 128 - code
        ended: JsonObject = {"exitCode": code, "startedAt": began, "finishedAt": self._now()}
        if last_words.exists():
            ended["message"] = last_words.read_text()
        ended["reason"] = "Completed" if code == 0 else "OOMKilled" if code == 137 and limited else "Error"
        self._container_status(pod, kind, name, {"terminated": ended})
        return code


def _check(manifest: JsonObject) -> None:
    """Refuse what a real API server refuses."""
    about = manifest["metadata"]
    assert manifest["apiVersion"] == KINDS[manifest["kind"]].api, manifest["apiVersion"]
    assert _NAME.fullmatch(about["name"]), about["name"]
    for key, value in (about.get("labels") or {}).items():
        assert _LABEL.fullmatch(value), (key, value)
    if manifest["kind"] == "Secret":
        assert all(base64.b64decode(value, validate=True) is not None for value in manifest["data"].values())
        assert sum(map(len, manifest["data"].values())) < 1 << 20
        return
    if manifest["kind"] != "Job":
        return
    assert set(manifest["spec"]) <= _JOB, set(manifest["spec"]) - _JOB
    pod = manifest["spec"]["template"]["spec"]
    assert set(pod) <= _POD, set(pod) - _POD
    assert pod["restartPolicy"] in ("Never", "OnFailure")
    assert pod["containers"]
    volumes = {one["name"] for one in pod.get("volumes") or ()}
    for one in (*(pod.get("initContainers") or ()), *pod["containers"]):
        assert set(one) <= _CONTAINER, set(one) - _CONTAINER
        assert {mount["name"] for mount in one.get("volumeMounts") or ()} <= volumes
        if about.get("labels", {}).get("app.kubernetes.io/component") != "builder":
            assert one["securityContext"]["allowPrivilegeEscalation"] is False
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    for value in manifest["spec"]["template"]["metadata"].get("labels", {}).values():
        assert _LABEL.fullmatch(value), value


def _selects(selector: str, found: JsonObject) -> bool:
    labels = found["metadata"].get("labels") or {}
    pairs = [part.split("=", 1) for part in selector.split(",") if part]
    return all(labels.get(pair[0]) == pair[1] if len(pair) == 2 else pair[0] in labels for pair in pairs)


def _merged(found: JsonObject, change: JsonObject) -> JsonObject:
    made = copy.deepcopy(found)
    for key, value in change.items():
        made[key] = _merged(made.get(key) or {}, value) if isinstance(value, dict) else value
    return made


def until(look: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; fails after a deadline that a loaded machine keeps, too."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)
