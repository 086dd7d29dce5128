"""kaniko's executor in a pod, on the fake cluster: a program that reads and writes as the executor does stands for it."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.in_cluster.place import Place
from buildr_jupyter.builder.in_cluster.pod_state import PodState
from buildr_jupyter.builder.kaniko import pod
from buildr_jupyter.builder.kaniko.executor import HOME
from buildr_jupyter.builder.kaniko_builder import IMAGE, KanikoBuilder
from buildr_jupyter.cluster.answers import Request, error_of
from buildr_jupyter.context.folder import write_folder
from buildr_jupyter.errors import (
    BuildError,
    BuildRefused,
    Cancelled,
    ClusterForbidden,
    ClusterQuota,
    ContextError,
    PublishError,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Archive, BuildRequest, Push
from buildr_jupyter.process.run import Output
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.runner.job_manifest import PROGRAM
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.fakes.cluster import FakeCluster, FakeImage, until
from tests.runner_contract import collected

EXECUTOR = """
import gzip, io, os, sys, tarfile
sys.stdout.reconfigure(line_buffering=True)
tar = tarfile.open(fileobj=io.BytesIO(gzip.decompress(sys.stdin.buffer.read())))
print("files", sorted(tar.getnames()))
print("token", os.environ.get("TOKEN"), sys.argv[-1])
{ends}
digest = next(word for word in sys.argv if word.startswith("--digest-file=")).partition("=")[2]
open(digest, "w").write("sha256:" + "d" * 64)
"""
FAILS = """
print('{"level": "info", "msg": "RUN false"}')
print("error building image: error building stage: waiting for process to exit: exit status 7", flush=True)
sys.exit(7)
"""
SLEEPS = "import time; time.sleep(1000)"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    made = FakeCluster(tmp_path / "pods")
    yield made
    until(lambda: not made.objects)


def image(cluster: FakeCluster, ends: str = "") -> None:
    cluster.images[IMAGE] = FakeImage((sys.executable, "-u", "-c", EXECUTOR.replace("{ends}", ends)))


def place(cluster: FakeCluster) -> Place:
    return Place("kubernetes", client=cluster)


def request(folder: Path, *lines: str, **more: Any) -> BuildRequest:
    dockerfile = "\n".join(("FROM scratch", *lines)) + "\n"
    plan = ImagePlan(base="scratch", python="", dockerfile=CustomDockerfile(dockerfile))
    ref = ImageRef.parse("registry.example/team/app:1")
    more = {"outputs": (Push(ref),), **more}
    return BuildRequest(write_folder(plan, folder / "context"), (ref,), plan=plan, no_cache=True, **more)


def run(made: pod.Pod, arguments: list[str], cancel: CancelToken | None = None, **values: str) -> tuple[list[Any], Any]:
    return collected(made.run(arguments, values, cancel or CancelToken()))


def context() -> Iterable[bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("Dockerfile"))
    yield out.getvalue()


def room(cluster: FakeCluster, pieces: Iterable[bytes] | None = None, **files: bytes) -> pod.Pod:
    given = {f"{HOME}/{name}": content for name, content in files.items()}
    return pod.Pod(place(cluster), IMAGE, group="build x:1", files=given, context=pieces or context())


ARGUMENTS = [f"--digest-file={pod.DIGEST}", "--build-arg=TOKEN", "$(HOME)"]


def test_the_context_comes_in_and_the_digest_comes_back(cluster: FakeCluster, tmp_path: Path) -> None:
    image(cluster)
    with room(cluster).opened() as executor:
        pieces, status = run(executor, ARGUMENTS, TOKEN="tea and cake")  # type: ignore[arg-type]
        assert executor.fetch(tmp_path / "made")
        # Deleted when the executor is done with, and found with this user's runs before that.
        (group,) = KubernetesRunner(client=cluster).list()
    lines = [piece.data.decode() for piece in pieces if isinstance(piece, Output)]
    assert (status, lines) == (0, ["files ['Dockerfile']\n", "token tea and cake $(HOME)\n"])
    assert (tmp_path / "made" / "digest").read_text() == f"sha256:{'d' * 64}"
    assert group.name == "build x:1"


def test_no_value_is_in_the_pods_spec(cluster: FakeCluster) -> None:
    image(cluster)
    seen: list[str] = []
    apply = cluster.apply

    def spy(manifest: Any) -> Any:
        seen.append(f"{manifest['kind']} {json.dumps(manifest)}")
        return apply(manifest)

    cluster.apply = spy  # type: ignore[method-assign]
    with room(cluster, **{"config.json": b"password"}).opened() as executor:
        run(executor, ARGUMENTS, TOKEN="tea and cake")  # type: ignore[arg-type]
    job, secret = seen
    assert job.startswith("Job ")
    assert secret.startswith("Secret ")
    assert "tea and cake" not in job
    for owner in json.loads(secret.partition(" ")[2])["metadata"]["ownerReferences"]:
        assert owner["kind"] == "Job"


def test_what_baseline_admits_and_no_more() -> None:
    made = pod.make_job(
        {"name": "n", "labels": {}, "annotations": {}}, IMAGE, ["a"], ["TOKEN"], [f"{HOME}/config.json"]
    )
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["name"] == PROGRAM  # so that buildr runs logs reads it
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    baseline = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
                "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}  # fmt: skip
    assert set(container["securityContext"]["capabilities"]["add"]) <= baseline
    assert made["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_a_failing_step(cluster: FakeCluster, tmp_path: Path) -> None:
    image(cluster, FAILS)
    subject = KanikoBuilder("kubernetes", place=place(cluster), find_login=lambda _: None)
    with pytest.raises(BuildError, match="exit status 7") as caught:
        collected(subject.stream_build(request(tmp_path, "RUN false"), CancelToken()))
    assert (caught.value.step, caught.value.exit_code) == ("RUN false", 7)


def test_an_executor_that_runs_out_of_memory(cluster: FakeCluster) -> None:
    image(cluster)
    made = room(cluster)
    with made.opened() as executor:
        run(executor, ARGUMENTS)  # type: ignore[arg-type]
        with pytest.raises(BuildError, match="out of memory"):
            made._end_of(PodState("ended", exit_code=137, out_of_memory=True), _Joined())  # type: ignore[arg-type]


class _Joined:
    def join(self) -> None:
        pass


def test_cancel_deletes_the_pod_and_waits(cluster: FakeCluster) -> None:
    image(cluster, SLEEPS)
    cancel = CancelToken()
    with pytest.raises(Cancelled), room(cluster).opened() as executor:
        for piece in executor.run(ARGUMENTS, {}, cancel):
            if isinstance(piece, Output) and piece.data.startswith(b"token"):
                cancel.set()
    assert cluster.objects == {}


def test_cancel_before_the_pod_begins(cluster: FakeCluster) -> None:
    image(cluster)
    cluster.memory_bytes = -1  # no node takes it
    cancel = CancelToken()
    with pytest.raises(Cancelled), room(cluster).opened() as executor:
        for piece in executor.run(ARGUMENTS, {}, cancel):
            assert isinstance(piece, BuildWarning)
            assert "no node takes it" in piece.text
            cancel.set()
    assert cluster.objects == {}


def test_cancel_while_the_context_is_sent(cluster: FakeCluster) -> None:
    image(cluster)
    cancel = CancelToken()

    def pieces() -> Iterable[bytes]:
        yield from context()
        cancel.set()
        yield os.urandom(1 << 20)

    with pytest.raises(Cancelled), room(cluster, pieces()).opened() as executor:
        run(executor, ARGUMENTS, cancel)  # type: ignore[arg-type]
    assert cluster.objects == {}


def test_a_log_that_breaks_off_goes_on_and_the_build_with_it(cluster: FakeCluster) -> None:
    image(cluster, "print('one'); print('two'); print('three')")
    cluster.faults.cut_logs = [10, 45]
    with room(cluster).opened() as executor:
        pieces, status = run(executor, ARGUMENTS)  # type: ignore[arg-type]
    said = [piece.data for piece in pieces if isinstance(piece, Output)]
    assert status == 0
    assert said[-3:] == [b"one\n", b"two\n", b"three\n"]


def test_a_pod_that_is_evicted(cluster: FakeCluster) -> None:
    image(cluster, SLEEPS)
    with pytest.raises(BuildError, match="Evicted: The node was low on resource") as caught:
        with room(cluster).opened() as executor:
            for piece in executor.run(ARGUMENTS, {}, CancelToken()):
                if isinstance(piece, Output) and piece.data.startswith(b"token"):
                    (name,) = cluster.pods()
                    cluster.evict(name)
    assert caught.value.hint == "build it again"
    assert cluster.objects == {}


def test_a_context_that_is_cut_off_is_told_beside_what_the_executor_says(cluster: FakeCluster) -> None:
    image(cluster)
    cluster.faults.cut_input = 10
    with room(cluster).opened() as executor:
        pieces, status = run(executor, ARGUMENTS)  # type: ignore[arg-type]
    assert status
    (warning,) = [piece for piece in pieces if isinstance(piece, BuildWarning)]
    assert warning.text == ("the connection broke off while the context was sent to kaniko's pod: the connection broke")
    assert cluster.objects == {}


def test_a_quota_of_jobs_is_told_and_leaves_nothing(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        body = json.dumps({"message": "exceeded quota: small, requested: count/jobs.batch=1"}).encode()
        raise error_of(403, body, Request("patch", "Job", "default"), "fake")

    monkeypatch.setattr(cluster, "apply", refuse)
    with pytest.raises(ClusterQuota, match="quota small is used up") as caught, room(cluster).opened() as executor:
        run(executor, ARGUMENTS)  # type: ignore[arg-type]
    assert "--memory" not in str(caught.value.hint)
    assert cluster.objects == {}


def test_a_context_that_cannot_be_read_is_the_cause(cluster: FakeCluster) -> None:
    image(cluster)

    def broken() -> Iterable[bytes]:
        raise ContextError("file 'a' changed")
        yield b""

    with pytest.raises(ContextError, match="file 'a' changed"), room(cluster, broken()).opened() as executor:
        run(executor, ARGUMENTS)  # type: ignore[arg-type]


def test_a_missing_right_is_named(cluster: FakeCluster) -> None:
    image(cluster)
    cluster.faults.denied = {("create", "pods/attach")}
    with pytest.raises(ClusterForbidden, match="create pods/attach"), room(cluster).opened() as executor:
        run(executor, ARGUMENTS)  # type: ignore[arg-type]
    with pytest.raises(ClusterForbidden, match="create pods/attach in namespace 'default'"):
        KanikoBuilder("kubernetes", place=place(cluster)).probe()
    cluster.faults.denied = {("patch", "secrets")}
    with pytest.raises(ClusterForbidden, match="patch secrets"), room(cluster).opened() as executor:
        run(executor, ARGUMENTS)  # type: ignore[arg-type]


def test_admission_that_refuses_the_pod(cluster: FakeCluster) -> None:
    image(cluster)
    cluster.faults.refused = 'violates PodSecurity "restricted:latest"'
    with pytest.raises(BuildRefused, match="restricted:latest") as caught, room(cluster).opened() as executor:
        run(executor, ARGUMENTS)  # type: ignore[arg-type]
    assert "baseline" in str(caught.value.hint)
    with cluster._moved:
        cluster.objects = {key: one for key, one in cluster.objects.items() if key[0] != "Event"}
    assert cluster.objects == {}


def test_a_build_that_was_never_let_begin_is_forgotten_in_time(cluster: FakeCluster) -> None:
    """As a process leaves it that is killed between the Job and its Secret."""
    about = place(cluster).about("build-x-1", "build x:1", IMAGE)
    cluster.apply(pod.make_job(about, IMAGE, ARGUMENTS, [], []))
    now = time.time()
    assert pod.forgotten_builds(place(cluster), now + 60) == []
    assert pod.forgotten_builds(place(cluster), now + 3600) == ["build-x-1"]
    assert pod.forgotten_builds(place(cluster), now + 3600, older_than_s=7200) == []
    image(cluster, SLEEPS)
    cluster.patch("Job", "build-x-1", {"spec": {"suspend": False}})
    assert pod.forgotten_builds(place(cluster), now + 3600) == []
    cluster.delete("Job", "build-x-1")


def test_a_pod_that_is_deleted_is_no_success(cluster: FakeCluster) -> None:
    image(cluster, SLEEPS)
    with pytest.raises(BuildError, match="was deleted"), room(cluster).opened() as executor:
        for piece in executor.run(ARGUMENTS, {}, CancelToken()):
            if isinstance(piece, Output) and piece.data.startswith(b"token"):
                (name,) = cluster.pods()
                cluster.delete("Pod", name)


def test_what_a_pod_cannot_do_is_said(tmp_path: Path, cluster: FakeCluster) -> None:
    subject = KanikoBuilder("kubernetes", place=place(cluster))
    assert subject.unsupported(request(tmp_path)) == []
    (kept,) = subject.unsupported(request(tmp_path, outputs=(Archive(tmp_path / "a.tar"),)))
    assert "--publish" in kept.why
    local = ImageRef.parse("localhost:5000/app:1")
    (loopback,) = subject.unsupported(request(tmp_path, outputs=(Push(local),)))
    assert "--registry-alias localhost:5000=INSIDE" in loopback.why
    aliases = (("localhost:5000", "registry.svc:5000"),)
    assert subject.unsupported(request(tmp_path, outputs=(Push(local),), registry_aliases=aliases)) == []
    (index,) = subject.unsupported(request(tmp_path, network="host"))
    assert "index" in index.what
    able = subject.capabilities()
    assert (able.in_engine, able.pushes_while_building) == (False, True)
    with pytest.raises(PublishError, match="keeps no images"):
        collected(subject.stream_push(local, CancelToken()))


def test_registries_have_their_names_of_the_cluster(cluster: FakeCluster, tmp_path: Path) -> None:
    login = Login("localhost:5000", "me", "secret word")
    subject = KanikoBuilder("kubernetes", place=place(cluster), find_login=lambda _: login)
    local = ImageRef.parse("localhost:5000/app:1")
    aliases = (("localhost:5000", "registry.svc:5000"),)
    wanted = request(tmp_path, outputs=(Push(local),), registry_aliases=aliases)
    _, order = collected(subject._order(wanted))
    assert "--destination=registry.svc:5000/app:1" in order.arguments
    assert "--registry-map=localhost:5000=registry.svc:5000" in order.arguments
    assert "--insecure-registry=registry.svc:5000" in order.arguments
    assert list(json.loads(order.files[f"{HOME}/config.json"])["auths"]) == ["registry.svc:5000"]
    _, plain = collected(KanikoBuilder(find_login=lambda _: login)._order(wanted))
    assert "--destination=localhost:5000/app:1" in plain.arguments  # an engine of this machine


def test_warnings_of_a_pod_that_waits_are_events(cluster: FakeCluster) -> None:
    with pytest.raises(BuildError, match="cannot start") as caught, room(cluster).opened() as executor:
        for piece in executor.run(ARGUMENTS, {}, CancelToken()):
            assert isinstance(piece, BuildWarning)
    assert caught.value.hint == "name an image that the nodes can pull: BUILDR_KANIKO_IMAGE=IMAGE"


def test_lines_are_lines(cluster: FakeCluster, tmp_path: Path) -> None:
    image(cluster, "print('half ' * 3); sys.exit(3)")
    subject = KanikoBuilder("kubernetes", place=place(cluster), find_login=lambda _: None)
    events: list[Any] = []
    with pytest.raises(BuildError, match="ended with status 3"):
        drain(subject.stream_build(request(tmp_path), CancelToken()), events.append)
    assert "half half half " in [event.text for event in events if isinstance(event, LogLine)]
