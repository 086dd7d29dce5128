"""Pod in which kaniko's executor runs in a cluster: a Job of its own, with a Secret that goes with it.

The context is the container's standard input, so that it lies nowhere in the cluster; the digest comes back as the
container's termination message. The executor and the steps of a build are root in the pod: kaniko unpacks images over
its own root folder and runs the steps there. The capabilities are those that ``baseline`` of Pod Security admits.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import threading
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from buildr_jupyter.builder.in_cluster.awaited import stream_started
from buildr_jupyter.builder.in_cluster.place import BUILDER, COMPONENT, Place, Right
from buildr_jupyter.builder.in_cluster.pod_state import PodState, read_state
from buildr_jupyter.builder.kaniko.executor import HOME, Executor
from buildr_jupyter.cluster.jobs import created_at, make_owned_secret
from buildr_jupyter.cluster.labels import KEPT_S, MANAGED, OWNER, owner_of, slug
from buildr_jupyter.cluster.logs import iter_lines
from buildr_jupyter.errors import (
    BuildError,
    Cancelled,
    ClusterError,
    ClusterNotFound,
    EngineError,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.run import Output

__all__ = ["ADMITS", "CONTAINER", "CONTEXT", "DIGEST", "NEEDED", "NEEDS", "Pod", "forgotten_builds", "make_job"]

CONTAINER = "program"
"""Called as that of a run, so that ``buildr runs logs`` shows it."""
CONTEXT = "/kaniko/buildcontext"
"""Where the executor unpacks what it reads from standard input."""
DIGEST = "/dev/termination-log"
"""The container's termination message, which its status has."""
NEEDED: tuple[Right, ...] = (
    ("Job", "", ("create", "get", "patch", "delete")),
    ("Secret", "", ("create", "patch")),
    ("Pod", "", ("get", "list")),
    ("Pod", "log", ("get",)),
    ("Pod", "attach", ("create", "get")),
)
"""What this user must be allowed."""
IMAGE_FROM = "BUILDR_KANIKO_IMAGE"
"""The variable that names the executor's image."""
ADMITS = ("privileged", "baseline")
"""The levels of Pod Security that take its pod."""
NEEDS = (
    "kaniko is root in its pod: let the namespace's label pod-security.kubernetes.io/enforce be baseline, "
    "or name another namespace"
)
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETUID",
                 "SYS_CHROOT")  # fmt: skip
_LONGEST_S = 24 * 3600
"""A pod that waits for a context of a process that was killed ends then."""
_BEGINS_S = 600.0
"""A Job that is suspended for longer was made by a process that was killed before it could let it begin."""
_GRACE_S = 5
_ENDS_S = 30
_OWN_WORDS = re.compile(
    rb"kaniko should only|error (?:building image|pushing image|checking push permissions|resolving|changing to root)"
)
"""How the executor's last words begin; the log does not tell its two streams apart."""


class Pod:
    """A Job of one pod; see ``Executor``. What it makes goes to registries, and only its digest comes back."""

    def __init__(
        self, place: Place, image: str, *, group: str, files: Mapping[str, bytes], context: Iterable[bytes]
    ) -> None:
        self._place, self._image, self._group = place, image, group
        self._files, self._context = files, context
        self._job: str | None = None
        self._failure: BaseException | None = None
        self._broken: ConnectionError | None = None
        self._digest = ""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Executor]:
        """Give the executor; at the end the Job, its pod and its Secret are gone."""
        try:
            yield self
        except BaseException:
            with contextlib.suppress(ClusterError, EngineError):  # why it failed is what is told
                self._remove()
            raise
        self._remove()

    def _remove(self) -> None:
        if self._job is not None:
            self._place.remove(self._job)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], cancel: CancelToken
    ) -> Generator[Output | BuildWarning, None, int]:
        """Run the executor in the pod.

        Raises BuildRefused where the namespace does not admit it, BuildError where the pod does not begin or is
        taken away, ClusterError, ContextError for the context, Cancelled.
        """
        client = self._place.client
        name = f"build-{slug(self._group, 40)}-{secrets.token_hex(4)}"
        data = {path.rpartition("/")[2]: content for path, content in self._files.items()}
        data |= {f"argument-{number}": value.encode() for number, value in enumerate(environment.values())}
        about: JsonObject = self._place.about(name, self._group, self._image)
        with self._place.asked(NEEDED):
            self._job = name
            made = client.apply(make_job(about, self._image, arguments, list(environment), list(self._files)))
            encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
            client.apply(make_owned_secret(name, made, "Opaque", encoded, about["labels"]))
        client.patch("Job", name, {"spec": {"suspend": False}})
        pod, state = yield from stream_started(client, name, CONTAINER, cancel, image_from=IMAGE_FROM, needs=NEEDS)
        sender = threading.Thread(target=self._send, args=(pod, cancel), name=f"buildr-{name}", daemon=True)
        sender.start()
        last = state

        def has_ended() -> bool:
            nonlocal last
            last = self._look(pod)
            return last.phase == "ended"

        try:
            missing: list[str] = []
            for line in iter_lines(client, pod, CONTAINER, has_ended, cancel, say=missing.append):
                yield Output("stderr" if _OWN_WORDS.match(line) else "stdout", line)
            yield from map(BuildWarning, missing)
        finally:
            if cancel.is_set():
                sender.join()
        if cancel.is_set():
            raise Cancelled("the build was cancelled")
        status = self._end_of(last, sender)
        if status:
            sender.join(_ENDS_S)
            if self._broken is not None:
                text = f"the connection broke off while the context was sent to kaniko's pod: {self._broken}"
                yield BuildWarning(text, "build it again where the executor misses a part of its input")
        return status

    def fetch(self, into: Path) -> bool:
        """Write the digest that the executor told, the only thing that comes back."""
        if not self._digest:
            return False
        into.mkdir()
        (into / "digest").write_text(self._digest)
        return True

    def _send(self, pod: str, cancel: CancelToken) -> None:
        """Send the context. Where it cannot be sent, the Job is deleted, so that nobody waits for it."""
        try:
            self._place.client.send(pod, CONTAINER, _compressed(self._context), cancel)
        except ConnectionError as error:
            if self._ends_soon(pod, cancel):
                self._broken = error  # or it did not want all of its input: what it says itself is the cause
                return
            self._give_up(BuildError(
                f"Image build failed: the context did not arrive in kaniko's pod: {error}", hint="build it again"
            ))  # fmt: skip
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        self._failure = error
        with contextlib.suppress(ClusterError):
            self._place.client.delete("Job", str(self._job))

    def _ends_soon(self, pod: str, cancel: CancelToken) -> bool:
        """Tell whether the executor ends, as it does where its input ended."""
        for _ in range(_ENDS_S):
            with contextlib.suppress(ClusterError):
                if self._look(pod).phase == "ended":
                    return True
            if cancel.wait(1.0):
                return True
        return False

    def _look(self, pod: str) -> PodState:
        try:
            return read_state(self._place.client.get("Pod", pod), CONTAINER, IMAGE_FROM)
        except ClusterNotFound:
            return PodState("ended", f"pod {pod} was deleted", "build it again")

    def _end_of(self, state: PodState, sender: threading.Thread) -> int:
        if state.phase != "ended":  # the log was gone before the pod was seen to have ended
            state = PodState("ended", "its pod was deleted", "build it again")
        if state.exit_code is None:
            sender.join()
        if self._failure is not None:
            raise self._failure
        if state.out_of_memory:
            raise BuildError(
                "Image build failed: kaniko's pod was killed: out of memory",
                hint="let a LimitRange of the namespace give its pods more memory",
            )
        if state.exit_code is None:
            raise BuildError(f"Image build failed: {state.reason}", hint=state.hint)
        self._digest = state.message.strip()
        return state.exit_code


def forgotten_builds(place: Place, now: float, *, older_than_s: float = 0.0) -> list[str]:
    """Return the Jobs of this user's builds that nobody lets begin any more; ``now`` is a time.

    No limit of the cluster's ends a Job that never began.
    """
    selector = f"{MANAGED}=buildr,{OWNER}={owner_of(place.owner)},{COMPONENT}={BUILDER}"
    return [
        str(job["metadata"]["name"])
        for job in place.client.list("Job", selector).items
        if job["spec"].get("suspend") and now - created_at(job) >= max(_BEGINS_S, older_than_s)
    ]


def make_job(
    about: JsonObject, image: str, arguments: Sequence[str], variables: Sequence[str], files: Sequence[str]
) -> JsonObject:
    """Return the suspended Job; values of variables and the files are in the Secret of the same name.

    ``files`` are paths below ``HOME``. It waits until that Secret is there.
    """
    name = str(about["name"])
    environment: list[JsonObject] = [
        {"name": "HOME", "value": "/root"},
        {"name": "USER", "value": "root"},
        {"name": "DOCKER_CONFIG", "value": HOME},
        {"name": "PATH", "value": "/usr/local/bin:/kaniko"},
    ]
    environment += [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": f"argument-{number}"}}}
        for number, variable in enumerate(variables)
    ]
    items = [{"key": path.rpartition("/")[2], "path": path.rpartition("/")[2]} for path in files]
    container = {
        "name": CONTAINER,
        "image": image,
        "args": [word.replace("$(", "$$(") for word in arguments],  # a cluster expands $(NAME)
        "stdin": True,
        "stdinOnce": True,
        "env": environment,
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": list(_CAPABILITIES)},
        },
        "volumeMounts": [{"name": "given", "mountPath": HOME, "readOnly": True}] if items else [],
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_S,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "given", "secret": {"secretName": name, "items": items}}] if items else [],
    }
    told = {"labels": about["labels"], "annotations": about["annotations"]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": about,
        "spec": {
            "suspend": True,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT_S,
            "activeDeadlineSeconds": _LONGEST_S,
            "template": {"metadata": told, "spec": pod},
        },
    }


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces as gzip has them, which the executor expects."""
    packer = zlib.compressobj(1, wbits=31)
    for piece in pieces:
        if made := packer.compress(piece):
            yield made
    yield packer.flush()
