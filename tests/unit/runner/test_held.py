"""Files that a pod keeps, fetched from the fake cluster, and what is told where that is not possible."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import ImageProgram, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.runner import job_manifest
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.fakes.cluster import FakeCluster, FakeImage, until
from tests.runner_contract import collected

IMAGE = f"registry.example/app@sha256:{'a' * 64}"
CODE = (
    "import os; os.mkdir('deep')\nfor n in ('output/a.bin', 'a.bin', 'deep/b.bin'):\n"
    "    open(n, 'wb').write(n.encode() * 300_000)\nopen('output/small', 'w').write('1'); print('made')\n"
    "os.symlink('/etc/passwd', 'output/link')\n"
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    made = FakeCluster(tmp_path / "pods")
    yield made
    until(lambda: not made.pods())


def run(cluster: FakeCluster, place: Path, end: str = "") -> tuple[list[Event], RunResult]:
    folder = place / "image"
    folder.mkdir()
    (folder / "main.py").write_text(CODE + end)
    cluster.images[IMAGE] = FakeImage((), folder)
    spec = RunSpec(
        IMAGE, "large", output_dir=place / "out", program=ImageProgram(("python", "main.py"), "/app", "/app/output")
    )
    return collected(KubernetesRunner(client=cluster).stream_run(spec, CancelToken()))


def warned(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, BuildWarning)]


@pytest.mark.parametrize(("end", "status", "breaks"), [("", 0, 0), ("raise SystemExit(3)", 3, 0), ("", 0, 2)])
def test_what_is_too_large_for_a_log_is_fetched_by_a_command(
    cluster: FakeCluster, tmp_path: Path, end: str, status: int, breaks: int
) -> None:
    cluster.faults.cut_executions = breaks
    events, ended = run(cluster, tmp_path, end)
    out = tmp_path / "out"
    found = {str(path.relative_to(out)): path.read_bytes() for path in ended.outputs}
    assert ended.exit_code == status
    assert {name: hashlib.sha256(data).hexdigest() for name, data in found.items()} == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in {
            "a.bin": b"a.bin" * 300_000, "output/a.bin": b"output/a.bin" * 300_000,
            "deep/b.bin": b"deep/b.bin" * 300_000, "small": b"1",
        }.items()
    }  # fmt: skip
    assert warned(events) == ["output '/app/output/link' is no regular file and stays in the container"]
    assert any("by a command in it" in event.title for event in events if isinstance(event, StepUpdate))
    assert cluster.requests.count("create pods/exec") == breaks + 2


def test_without_the_right_what_fits_comes_and_the_rest_is_told(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.faults.denied = {("get", "pods/exec")}
    events, ended = run(cluster, tmp_path)
    assert "small" in [path.name for path in ended.outputs]
    assert "create pods/exec" not in cluster.requests
    assert ["bytes stay in the cluster" in text for text in warned(events)] == [True, False]


def test_where_it_cannot_be_fetched_what_fits_comes_and_why_is_told(
    cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.faults.cut_executions = 9
    source = job_manifest.source_of("collector")
    quick = source.replace("120.0, 3.0, 60.0, 3600.0", "120.0, 3.0, 5.0, 3600.0")
    assert quick != source
    monkeypatch.setattr(job_manifest, "source_of", {"collector": quick, "launch": job_manifest.source_of("launch")}.get)
    events, ended = run(cluster, tmp_path)
    assert "small" in [path.name for path in ended.outputs]
    assert warned(events)[0].endswith("cannot be fetched from its pod: the command was cut off")
