"""Following a Job that has no pod: it is asked why."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from buildr_jupyter.errors import RunError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.runner.following import selector_of, stream_job
from buildr_jupyter.runner.job_manifest import make_job
from tests.fakes.cluster import FakeCluster


def test_a_job_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RunLost, match="gone is gone"):
        drain(stream_job(FakeCluster(tmp_path), "gone", CancelToken(), log=True))


def test_a_job_that_is_suspended_or_failed_without_a_pod(tmp_path: Path) -> None:
    cluster, times = FakeCluster(tmp_path), itertools.count(0.0, 10.0)
    cluster.apply(make_job(RunSpec("r.example/a@sha256:" + "b" * 64, "n"), "n-1", owner="me", suspended=True))
    stream = stream_job(cluster, "n-1", CancelToken(), log=True, clock=lambda: next(times))
    said = next(event for event in stream if isinstance(event, BuildWarning))
    assert said.text == "n-1 is suspended"
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "too long"}
    cluster.patch("Job", "n-1", {"status": {"conditions": [failed]}})
    with pytest.raises(RunError, match="DeadlineExceeded: too long"):
        drain(stream)


def test_the_pods_of_a_job_are_selected_by_its_name() -> None:
    assert selector_of("a") == "batch.kubernetes.io/job-name=a"
