"""What is particular to kaniko: the throw-away root, and outputs without a store of images."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter import builder
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled, EngineError, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.request import Archive, EngineLoad, Layout, Push
from buildr_jupyter.process.tempfiles import TEMPORARY
from tests.engines import gotools, short_folder
from tests.engines.fixtures import _or_skip
from tests.faults.valve import Valve
from tests.integration.builders import KanikoHarness, World
from tests.integration.test_builder_contract import build, collect, wait_until, world

__all__ = ["world"]


@pytest.fixture
def harness(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KanikoHarness:
    made = KanikoHarness(world, tmp_path)
    for name, value in made.prepare().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def local() -> builder.Builder:
    return builder.select(f"kaniko={_or_skip('kaniko', lambda: gotools.tool('kaniko'))}")


def left_over() -> list[str]:
    """Return mounts and folders of roots."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if TEMPORARY in line]
    return [
        *mounts,
        *(path.parent.parent.name for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*/root/kaniko")),
    ]


def test_an_executable_builds_in_a_root_of_its_own(
    harness: KanikoHarness, local: builder.Builder, world: World
) -> None:
    passwd = Path("/etc/passwd").read_bytes()
    _, result = build(local, harness.program("import os; print('rooted', os.path.exists('/dev/null'))"))
    assert world.run(result.image) == "rooted True\n"
    assert (result.pushed, result.builder) == ((result.image,), "kaniko")
    assert (left_over(), Path("/etc/passwd").read_bytes()) == ([], passwd)


def test_a_failing_step_and_a_cancel_in_the_root(harness: KanikoHarness, local: builder.Builder) -> None:
    failing = harness.failing()
    with pytest.raises(BuildError) as caught:
        build(local, failing.request)
    assert (caught.value.step, caught.value.exit_code) == (failing.step, 7)
    halting, cancel = harness.halting(), CancelToken()

    def cancel_when_at_work() -> None:
        wait_until(halting.works, 60)
        cancel.set()

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(cancel_when_at_work)
        with pytest.raises(Cancelled):
            list(local.stream_build(halting.request, cancel))
        waiting.result()
    assert not halting.works()
    assert left_over() == []


def test_archive_layout_and_engine_from_one_run(harness: KanikoHarness, world: World, tmp_path: Path) -> None:
    request = harness.program("print('everywhere')")
    archive, layout = tmp_path / "out" / "image.tar", tmp_path / "out" / "layout"
    outputs = (EngineLoad(), Archive(archive), Layout(layout))
    _, result = build(harness.builder(), replace(request, outputs=outputs))
    assert (result.image_id, result.pushed) == (world.client.inspect_image(result.image)["Id"], ())
    with tarfile.open(archive) as tar:
        found = tar.extractfile("manifest.json")
        assert found
        assert json.loads(found.read())[0]["RepoTags"] == [result.image]
    said = subprocess.run(["skopeo", "inspect", f"oci:{layout}"], capture_output=True, check=True)
    assert json.loads(said.stdout)["Digest"] == result.digest
    world.client.remove_image(result.image, force=True)
    with contextlib.closing(archive.open("rb")) as content:
        world.client.load_image(content.read())
    container = world.client.create_container(result.image)["Id"]
    world.client.start(container)
    world.client.wait(container)
    assert world.client.logs(container) == b"everywhere\n"
    world.client.remove_container(container, force=True)
    world.client.remove_image(result.image, force=True)


def test_what_it_cannot_do_is_said_first(harness: KanikoHarness, tmp_path: Path) -> None:
    made = builder.select("kaniko")
    request = harness.program("1")
    assert [refusal.what for refusal in made.unsupported(replace(request, platforms=("linux/amd64", "linux/arm64")))]
    assert [refusal.what for refusal in made.unsupported(replace(request, outputs=()))]
    assert not made.unsupported(request)
    with pytest.raises(EngineUnavailable, match="no executor of kaniko at '/nowhere/executor'"):
        build(builder.select("kaniko=/nowhere/executor"), request)


def test_without_root_an_executable_is_refused(
    harness: KanikoHarness, local: builder.Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BuildRefused, match="needs root on Linux"):
        build(local, harness.program("1"))


def test_nothing_is_left_in_the_engine(harness: KanikoHarness, world: World) -> None:
    ref = harness.world.ref("x")
    with pytest.raises(BuildError):
        build(harness.builder(), replace(harness.steps("RUN exit 3"), outputs=(Push(ref),)))
    assert world.client.containers(all=True, filters={"label": "io.buildr.owner"}) == []


def test_a_base_that_no_registry_has(harness: KanikoHarness, world: World) -> None:
    subject = harness.builder()
    with pytest.raises(BuildError, match="not found") as caught:
        collect(subject.resolve_base(BaseRequest(f"{world.open.host}/nothing:1", None, False), CancelToken()))
    assert caught.value.hint


def test_a_connection_that_breaks_off_ends_the_build(
    harness: KanikoHarness, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with short_folder() as folder, contextlib.closing(_valve(world, folder)) as valve:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{valve.path}")
        stream = harness.builder().stream_build(harness.steps("RUN echo begun; sleep 600"), CancelToken())
        with pytest.raises(EngineError, match="the engine broke the connection off"):
            for event in stream:
                if isinstance(event, LogLine) and event.text == "begun":
                    valve.reset()
    assert world.client.containers(all=True, filters={"label": "io.buildr.owner"}) == []


def _valve(world: World, folder: Path) -> Valve:
    return Valve(world.engines.docker().host.removeprefix("unix://"), folder / "d.sock")
