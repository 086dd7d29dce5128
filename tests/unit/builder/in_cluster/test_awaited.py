"""Waiting for a builder's pod."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.in_cluster.awaited import stream_started
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.progress import BuildWarning
from tests.fakes.cluster import FakeCluster


class Ticks:
    """A clock on which each look is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def job(cluster: FakeCluster) -> None:
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "program"}]}}, "suspend": True}
    spec["template"]["metadata"] = {}  # type: ignore[index]
    about = {"name": "job", "labels": {"app.kubernetes.io/component": "builder"}}
    cluster.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": about, "spec": spec})


def pod(cluster: FakeCluster, **state: Any) -> None:
    labels = {"batch.kubernetes.io/job-name": "job"}
    status = {"containerStatuses": [{"name": "program", **state}]}
    found = {"kind": "Pod", "metadata": {"name": "job-0", "uid": "u", "labels": labels}, "status": status}
    with cluster._moved:
        cluster._put("ADDED", found)


def event(cluster: FakeCluster, message: str) -> None:
    with cluster._moved:
        about = {"name": "event", "uid": "e"}
        cluster._put("ADDED", {"kind": "Event", "metadata": about, "reason": "FailedCreate", "message": message})


def started(cluster: FakeCluster, cancel: CancelToken | None = None, **options: Any) -> tuple[list[Any], Any]:
    events: list[Any] = []
    stream = stream_started(
        cluster, "job", "program", cancel or CancelToken(), image_from="FROM", needs="let it", clock=Ticks(), **options
    )
    return events, drain(stream, events.append)


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    made = FakeCluster(tmp_path)
    job(made)
    return made


def test_it_runs(cluster: FakeCluster) -> None:
    pod(cluster, state={"running": {}}, ready=False)
    _, (name, state) = started(cluster)
    assert (name, state.phase) == ("job-0", "running")


def test_ready_is_waited_for_where_it_is_asked_for(cluster: FakeCluster) -> None:
    pod(cluster, state={"running": {}}, ready=False)
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        started(cluster, cancel, ready=True)
    pod(cluster, state={"running": {}}, ready=True)
    assert started(cluster, ready=True)[1][1].ready


def test_an_image_that_cannot_be_pulled(cluster: FakeCluster) -> None:
    pod(cluster, state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})
    with pytest.raises(BuildError, match="job cannot start: ImagePullBackOff: not found") as caught:
        started(cluster)
    assert caught.value.hint == "name an image that the nodes can pull: FROM=IMAGE"


def test_pod_security_and_other_admission(cluster: FakeCluster) -> None:
    event(cluster, 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true')
    with pytest.raises(BuildRefused, match="Pod Security of namespace 'default' of fake refuses") as caught:
        started(cluster)
    assert caught.value.hint == "let it; or build without an engine and without rights: --builder oci"
    event(cluster, "must specify limits.memory")
    with pytest.raises(BuildRefused, match="must specify") as caught:
        started(cluster)
    assert "LimitRange" in str(caught.value.hint)


def test_a_quota_is_waited_for_and_told_once(cluster: FakeCluster) -> None:
    event(cluster, "exceeded quota: small")
    cancel = CancelToken()
    told = []
    stream = stream_started(cluster, "job", "program", cancel, image_from="F", needs="n", clock=Ticks())
    for one in stream:
        told.append(one)
        pod(cluster, state={"running": {}})
    hint = "end what is not needed there: buildr runs list --on kubernetes shows what is yours"
    assert told == [BuildWarning("job waits: exceeded quota: small", hint)]


def test_a_quota_that_no_pod_fits_in_is_not_waited_for(cluster: FakeCluster) -> None:
    event(cluster, "exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0")
    with pytest.raises(BuildRefused, match="limited: pods=0") as caught:
        started(cluster)
    assert str(caught.value.hint).startswith("name another namespace")


def test_a_job_that_is_gone_or_over(cluster: FakeCluster) -> None:
    cluster.patch("Job", "job", {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": "Late"}]}})
    with pytest.raises(BuildError, match="job has no pod: Late"):
        started(cluster)
    cluster.delete("Job", "job")
    with pytest.raises(BuildError, match="job was deleted"):
        started(cluster)
