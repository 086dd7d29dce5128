"""A user's buildkitd on the fake cluster: started once, marked while it is used, removed when it is not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.buildkit.daemon import NEEDED, explain_end, idle_daemons, reached, stream_daemon
from buildr_jupyter.builder.buildkit.daemon_job import IMAGE, PORT, DaemonWish
from buildr_jupyter.builder.buildkit_builder import BuildkitBuilder
from buildr_jupyter.builder.in_cluster.place import Place
from buildr_jupyter.cluster.client import Kind
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled, ClusterForbidden, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.request import BuildRequest, Push
from tests.fakes.cluster import FakeCluster, FakeImage, until
from tests.runner_contract import collected

WISH = DaemonWish(IMAGE, files={"buildkitd.toml": ""})
SLEEPS = "import time; time.sleep(1000)"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    made = FakeCluster(tmp_path / "pods")
    made.images[IMAGE] = FakeImage((sys.executable, "-c", SLEEPS))
    yield made
    for kind, name in [*made.objects]:
        if kind == "Job":
            made.delete("Job", name)
    until(lambda: not made.pods())


def place(cluster: FakeCluster) -> Place:
    return Place("kubernetes", client=cluster)


def daemon(cluster: FakeCluster, cancel: CancelToken | None = None) -> tuple[str, str]:
    names: tuple[str, str] = collected(stream_daemon(place(cluster), WISH, cancel or CancelToken()))[1]
    return names


def test_the_second_build_finds_the_daemon_of_the_first(cluster: FakeCluster) -> None:
    first = daemon(cluster)
    assert daemon(cluster) == first
    assert [kind for kind, _ in cluster.objects if kind == "Job"] == ["Job"]


def test_one_that_ended_is_started_again(cluster: FakeCluster) -> None:
    job, _ = daemon(cluster)
    failed = {"conditions": [{"type": "Failed", "status": "True"}]}
    before = cluster.patch("Job", job, {"status": failed})["metadata"]["uid"]
    assert daemon(cluster)[0] == job
    assert cluster.get("Job", job)["metadata"]["uid"] != before


def test_an_address_is_reached_and_the_daemon_marked_meanwhile(cluster: FakeCluster) -> None:
    job, pod = daemon(cluster)
    now = time.time() + 1000
    with reached(place(cluster), job, pod, clock=lambda: now) as address:
        assert address.startswith("unix:///")
        assert idle_daemons(place(cluster), now + 60) == []
        assert idle_daemons(place(cluster), now + 2 * 86400) != []  # its process was killed
    assert idle_daemons(place(cluster), now + 60) == [job]
    assert idle_daemons(place(cluster), now + 60, older_than_s=3600) == []


def test_one_that_was_never_used_is_left_over_in_time(cluster: FakeCluster) -> None:
    job, _ = daemon(cluster)
    made = datetime.fromisoformat(cluster.get("Job", job)["metadata"]["creationTimestamp"]).timestamp()
    assert idle_daemons(place(cluster), made + 60) == []
    assert idle_daemons(place(cluster), made + 3600) == [job]


def test_one_that_does_not_start_is_removed(cluster: FakeCluster) -> None:
    fails = "print('no user namespaces'); raise SystemExit(1)"
    cluster.images[IMAGE] = FakeImage((sys.executable, "-c", fails), ready=False)
    with pytest.raises(BuildError, match="no user namespaces") as caught:
        daemon(cluster)
    assert IMAGE in str(caught.value.hint)
    del cluster.images[IMAGE]
    with pytest.raises(BuildError, match="cannot start: ImagePullBackOff") as caught:
        daemon(cluster)
    assert caught.value.hint == "name an image that the nodes can pull: BUILDR_BUILDKIT_IMAGE=IMAGE"
    assert cluster.objects == {}


def test_cancelled_before_it_is_ready_it_is_removed(cluster: FakeCluster) -> None:
    cluster.memory_bytes = -1  # no node takes it
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        daemon(cluster, cancel)
    assert cluster.objects == {}


def test_admission_and_rights(cluster: FakeCluster) -> None:
    cluster.faults.refused = 'violates PodSecurity "baseline:latest": seccompProfile'
    with pytest.raises(BuildRefused, match="baseline:latest") as caught:
        daemon(cluster)
    assert "enforce be privileged" in str(caught.value.hint)
    cluster.faults.refused = ""
    cluster.faults.denied = {("patch", "jobs")}
    with pytest.raises(ClusterForbidden, match="patch jobs in namespace 'default'"):
        daemon(cluster)
    assert ("Pod", "portforward", ("create", "get")) in NEEDED


# -- the builder


def test_what_is_there_is_told(cluster: FakeCluster, tmp_path: Path) -> None:
    (tmp_path / "buildctl").touch(mode=0o755)
    made = BuildkitBuilder("kubernetes", place=place(cluster), environ={"PATH": str(tmp_path)})
    assert made.probe() == f"{IMAGE}, in a pod of namespace 'default' of fake"
    privileged = {"PATH": str(tmp_path), "BUILDR_BUILDKIT_PRIVILEGED": "1"}
    assert "rootless" not in BuildkitBuilder("kubernetes", place=place(cluster), environ=privileged).probe()
    with pytest.raises(EngineUnavailable, match="there is no buildctl"):
        BuildkitBuilder("kubernetes", place=place(cluster), environ={"PATH": "/nowhere"}).probe()
    cluster.faults.denied = {("create", "pods/portforward")}
    with pytest.raises(ClusterForbidden, match="create pods/portforward"):
        made.probe()


def test_loopback_is_refused_before_anything_starts(cluster: FakeCluster, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    made = BuildkitBuilder("kubernetes", place=place(cluster))
    ref = ImageRef.parse("localhost:5000/app:1")
    request = BuildRequest(tmp_path, (ref,), outputs=(Push(ref),))
    (lack,) = made.unsupported(request)
    assert "--registry-alias localhost:5000=INSIDE" in lack.why
    aliased = BuildRequest(tmp_path, (ref,), outputs=(Push(ref),), registry_aliases=(("localhost:5000", "r.svc"),))
    assert made.unsupported(aliased) == []
    (index,) = made.unsupported(BuildRequest(tmp_path, (), outputs=(), network="host"))
    assert "index" in index.what
    assert BuildkitBuilder("tcp://host:1").unsupported(request) == []


def test_buildctl_speaks_to_the_forwarded_socket_by_the_clusters_names(cluster: FakeCluster, tmp_path: Path) -> None:
    """A command that says what it was given stands for buildctl, which the tests on a cluster run."""
    said = tmp_path / "said"
    command = tmp_path / "buildctl"
    command.write_text(
        f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {said}\necho 'error: failed to push r.svc/app:1: 401' >&2\nexit 1\n"
    )
    command.chmod(0o755)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    ref = ImageRef.parse("localhost:5000/app:1")
    request = BuildRequest(context, (ref,), outputs=(Push(ref),), registry_aliases=(("localhost:5000", "r.svc"),))
    made = BuildkitBuilder("kubernetes", place=place(cluster), command=str(command), find_login=lambda _: None)
    with pytest.raises(Exception, match="401") as caught:
        collected(made.stream_build(request, CancelToken()))
    words: Any = said.read_text().split()
    assert words[words.index("--addr") + 1].startswith("unix:///")
    assert "type=image,name=r.svc/app:1,push=true" in said.read_text().replace('"', "")
    assert "buildr login localhost:5000" in str(getattr(caught.value, "hint", ""))
    assert PORT == 1234


def test_how_a_daemon_ended_is_told_and_one_that_goes_on_is_not(cluster: FakeCluster) -> None:
    _, name = daemon(cluster)
    cancelled = CancelToken()
    cancelled.set()
    explain_end(place(cluster), name, cancelled)
    cluster.faults.answers = [("get", 503)]
    explain_end(place(cluster), name, CancelToken())
    with cluster._moved:
        killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
        cluster._container_status(name, "containerStatuses", "program", killed)
    with pytest.raises(
        BuildError, match="ended while it built, in namespace 'default' of fake: it was killed"
    ) as caught:
        explain_end(place(cluster), name, CancelToken())
    assert "more memory" in str(caught.value.hint)
    cluster.evict(name)
    with pytest.raises(BuildError, match="Evicted: The node was low on resource: memory"):
        explain_end(place(cluster), name, CancelToken())
    cluster.delete("Pod", name)
    with pytest.raises(BuildError, match="its pod was deleted"):
        explain_end(place(cluster), name, CancelToken())


def test_a_build_whose_daemon_is_taken_away_says_so(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command whose connection breaks off stands for buildctl; the pod goes when the daemon is marked as used."""
    command = tmp_path / "buildctl"
    lost = "error: failed to get status: rpc error: code = Unavailable desc = error reading from server: EOF"
    command.write_text(f"#!/bin/sh\necho '{lost}' >&2\nexit 1\n")
    command.chmod(0o755)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    mark = cluster.patch

    def evict_and_mark(kind: Kind, name: str, change: JsonObject) -> JsonObject:
        for pod in cluster.pods():
            cluster.evict(pod)
        return mark(kind, name, change)

    monkeypatch.setattr(cluster, "patch", evict_and_mark)
    made = BuildkitBuilder("kubernetes", place=place(cluster), command=str(command), find_login=lambda _: None)
    with pytest.raises(BuildError, match="buildkitd ended while it built, .* Evicted: The node was low") as caught:
        collected(made.stream_build(BuildRequest(context, ()), CancelToken()))
    assert caught.value.hint == "build it again"
