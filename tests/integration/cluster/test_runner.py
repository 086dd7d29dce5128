"""The runner of clusters on the real one: what it promises of a run, and why a run does not begin or end."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import Cancelled, ClusterForbidden, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import ClusterPlacement, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.engines.kubernetes import Cluster
from tests.integration.cluster.bare import Bare

FOREVER = "import time\nprint('up', flush=True)\nwhile True: time.sleep(1)"


@pytest.fixture
def runner(bare: Bare, kubernetes_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesRunner]:
    """A runner in a namespace of its own, which has nothing of a run afterwards."""
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
    yield KubernetesRunner(f"kubernetes=tests/{bare.namespace}")
    assert left_in(bare) == []


def left_in(bare: Bare) -> list[str]:
    """Return the names of what a run made in the namespace."""
    made = [*bare.list(bare.batch.list_namespaced_job), *bare.pods(), *bare.list(bare.core.list_namespaced_secret)]
    return [one["metadata"]["name"] for one in made]


def run(runner: KubernetesRunner, image: str, code: str, **options: Any) -> tuple[list[Event], RunResult]:
    """Run a program to its end; return the events and how it ended."""
    return whole(runner.stream_run(spec_of(image, code, **options), CancelToken()))


def spec_of(image: str, code: str, **options: Any) -> RunSpec:
    name = options.pop("name", f"run-{secrets.token_hex(4)}")
    return RunSpec(image, name, args=(code,), **options)


def whole(stream: Generator[Event, None, Any]) -> tuple[list[Event], Any]:
    """Return a stream's events and what it returned."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value


def said(events: list[Event]) -> str:
    """Return what the program wrote."""
    return "".join(event.text for event in events if isinstance(event, RunOutput))


def warned(events: list[Event]) -> list[str]:
    """Return the warnings with their hints."""
    return [f"{event.text} | {event.hint}" for event in events if isinstance(event, BuildWarning)]


def test_output_and_exit_status(runner: KubernetesRunner, program_image: str) -> None:
    events, result = run(
        runner,
        program_image,
        "import sys\nprint('häl')\nprint(flush=True)\nprint('wrong', file=sys.stderr, flush=True)\n"
        "sys.stdout.buffer.write(b'\\xff no end of line')\nsys.exit(3)",
    )
    assert sorted(said(events).split("\n")) == sorted(["häl", "", "wrong", "\ufffd no end of line", ""])
    assert result.exit_code == 3
    assert "wrong" in result.log_tail


def test_a_long_log_comes_whole_and_in_order(runner: KubernetesRunner, program_image: str) -> None:
    events, result = run(runner, program_image, "for n in range(30_000): print(n, 'x' * 40)\nprint('y' * 50_000)")
    lines = said(events).splitlines()
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(30_000))
    assert lines[-1] == "y" * 50_000
    assert result.exit_code == 0


def test_files_come_back(runner: KubernetesRunner, program_image: str, tmp_path: Path) -> None:
    code = (
        "import os, pathlib\nout = pathlib.Path(os.environ['BUILDR_OUTPUT_DIR'])\n(out / 'deep').mkdir()\n"
        "(out / 'deep' / 'a.bin').write_bytes(bytes(range(256)) * 4000)\n(out / 'b').write_text('b')\nprint('done')"
    )
    events, result = run(runner, program_image, code, output_dir=tmp_path / "out")
    assert said(events) == "done\n"
    assert warned(events) == []
    assert [path.relative_to(tmp_path / "out").as_posix() for path in result.outputs] == ["b", "deep/a.bin"]
    assert (tmp_path / "out" / "deep" / "a.bin").read_bytes() == bytes(range(256)) * 4000


def test_what_does_not_come_through_the_log_is_named(
    runner: KubernetesRunner, program_image: str, tmp_path: Path
) -> None:
    code = (
        "import os, pathlib\nout = pathlib.Path(os.environ['BUILDR_OUTPUT_DIR'])\n"
        "(out / 'large').write_bytes(os.urandom(5 << 20))"
    )
    events, result = run(runner, program_image, code, output_dir=tmp_path / "out")
    assert result.outputs == ()
    assert "large" in " ".join(warned(events))
    assert "4 MiB" in " ".join(warned(events))


def test_the_environment_is_in_a_secret_alone(runner: KubernetesRunner, program_image: str, bare: Bare) -> None:
    value = f"s3cret-{secrets.token_hex(8)} $(HOME)\nsecond"
    seen: list[str] = []
    stream = runner.stream_run(
        spec_of(program_image, "import os\nprint(repr(os.environ['TOKEN']))", environment=(("TOKEN", value),)),
        CancelToken(),
    )
    events: list[Event] = []
    for event in stream:
        events.append(event)
        if isinstance(event, RunOutput):
            objects = [*bare.list(bare.batch.list_namespaced_job), *bare.pods()]
            assert len(objects) == 2
            seen.append(json.dumps(objects))
            (secret,) = bare.list(bare.core.list_namespaced_secret)
            assert secret["metadata"]["ownerReferences"][0]["kind"] == "Job"
    assert said(events) == f"{value!r}\n"
    assert seen
    assert value.split()[0] not in "".join(seen)


@pytest.mark.parametrize("when", ["before the pod", "while it runs"])
def test_a_cancel_leaves_nothing(runner: KubernetesRunner, program_image: str, when: str) -> None:
    cancel = CancelToken()
    stream = runner.stream_run(spec_of(program_image, FOREVER), cancel)
    with pytest.raises(Cancelled):
        for event in stream:
            if when == "before the pod" or isinstance(event, RunOutput):
                cancel.set()


def test_a_run_is_found_again_by_another_process(
    runner: KubernetesRunner, program_image: str, bare: Bare, tmp_path: Path
) -> None:
    code = "import os, pathlib\npathlib.Path(os.environ['BUILDR_OUTPUT_DIR'], 'x').write_text('1')\nprint('said')"
    name = f"Détaché_{secrets.token_hex(2)}-{'x' * 80}"
    spec = spec_of(program_image, code, name=name, labels=(("io.buildr.run", "k" * 64),))
    _, started = whole(runner.start(spec, CancelToken()))
    other = KubernetesRunner(f"kubernetes=tests/{bare.namespace}")
    (found,) = other.list()
    assert found == started
    assert (found.name, found.labels["io.buildr.run"]) == (name, "k" * 64)
    _, (result,) = whole(other.follow(found, CancelToken()))
    assert (result.exit_code, result.log_tail) == (0, "said\n")
    events, written = whole(other.collect(found.runs[0], tmp_path / "out", CancelToken()))
    assert [path.name for path in written] == ["x"]
    events, _ = whole(other.read_log(found.runs[0], CancelToken()))
    assert said(events) == "said\n"
    assert other.list()[0].state == "done"
    other.remove(found)
    assert other.list() == []
    other.remove(found)


def test_the_same_name_again_takes_the_older_one_away(runner: KubernetesRunner, program_image: str, bare: Bare) -> None:
    _, first = whole(runner.start(spec_of(program_image, FOREVER, name="same"), CancelToken()))
    _, second = whole(runner.start(spec_of(program_image, FOREVER, name="same"), CancelToken()))
    assert first.runs != second.runs
    assert [group.runs for group in runner.list()] == [second.runs]
    runner.stop(second)


def test_out_of_memory_names_the_limit(runner: KubernetesRunner, program_image: str) -> None:
    code = "print('begins', flush=True)\nx = bytearray(500 << 20)"
    events, result = run(runner, program_image, code, memory_bytes=64 << 20)
    assert result.exit_code == 137
    assert "64 MiB" in " ".join(warned(events))
    assert "--memory" in " ".join(warned(events))


def test_an_image_that_is_not_there(runner: KubernetesRunner, program_image: str) -> None:
    absent = f"{program_image.partition('@')[0]}@sha256:{'0' * 64}"
    with pytest.raises(RunError, match="cannot start: .*ImagePull") as raised:
        run(runner, absent, "")
    assert "0" * 64 in str(raised.value)


def test_what_no_node_has(runner: KubernetesRunner, program_image: str) -> None:
    cancel = CancelToken()
    events: list[Event] = []
    with pytest.raises(Cancelled):
        for event in runner.stream_run(spec_of(program_image, "", cpus=500), cancel):
            events.append(event)
            if isinstance(event, BuildWarning):
                cancel.set()
    (warning,) = warned(events)
    assert "no node has enough cpu" in warning
    assert "--cpus" in warning


def test_a_login_is_taken_along_to_pull(runner: KubernetesRunner, private_image: str) -> None:
    events, result = run(runner, private_image, "print('pulled')", placement=ClusterPlacement(pull_secret="login"))
    assert (said(events), result.exit_code) == ("pulled\n", 0)


def test_a_missing_right_is_named(
    bare: Bare, program_image: str, account: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account("nothing", [])))
    with pytest.raises(ClusterForbidden, match=bare.namespace) as raised:
        run(KubernetesRunner(), program_image, "print()")
    assert "jobs" in str(raised.value)


def test_the_log_goes_on_after_the_api_server_was_killed(
    runner: KubernetesRunner, program_image: str, kubernetes_cluster: Cluster
) -> None:
    code = "import time\nfor n in range(40):\n    print(n, flush=True)\n    time.sleep(0.25)\nraise SystemExit(5)"
    events: list[Event] = []
    stream = runner.stream_run(spec_of(program_image, code), CancelToken())
    killed = False
    while True:
        try:
            event = next(stream)
        except StopIteration as end:
            result = end.value
            break
        events.append(event)
        if not killed and isinstance(event, RunOutput):
            killed = True
            kubernetes_cluster.kill("kube-apiserver")
    assert said(events).split() == [str(n) for n in range(40)]
    assert result.exit_code == 5


def test_a_group_that_is_gone_is_no_error(runner: KubernetesRunner) -> None:
    runner.remove(RunGroup("x", ("never-was",)))
