"""The runner of clusters on the real one: what it promises of a run, and why a run does not begin or end."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import Cancelled, ClusterForbidden, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.in_image import displays
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import ClaimMount, ClusterPlacement, Collection, ImageProgram, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.runner.frames import asking, stream_unframed
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.engines.kubernetes import NODE_IP, Cluster
from tests.engines.registry import Registry
from tests.integration.cluster.bare import Bare
from tests.runner_contract import RunnerContract, Subject, collected, text_of


@pytest.fixture
def runner(bare: Bare, kubernetes_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesRunner]:
    """A runner in a namespace of its own, which has nothing of a run afterwards."""
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
    yield KubernetesRunner(f"kubernetes=tests/{bare.namespace}")
    assert left_in(bare) == []


@pytest.fixture
def subject(runner: KubernetesRunner, program_image: str, bare: Bare) -> Subject:
    """What the contract is asked of."""
    return Subject(lambda: KubernetesRunner(f"kubernetes=tests/{bare.namespace}"), program_image)


class TestContract(RunnerContract):
    """A real cluster keeps it."""

    # containerd before 2.2 closes a program's pipe two seconds after its end; a busy node has not read all of it then.
    before_its_end = "import time; time.sleep(5)"


def left_in(bare: Bare) -> list[str]:
    """Return the names of what a run made in the namespace."""
    made = [*bare.list(bare.batch.list_namespaced_job), *bare.pods(), *bare.list(bare.core.list_namespaced_secret)]
    return [one["metadata"]["name"] for one in made]


def run(runner: KubernetesRunner, image: str, code: str, **options: Any) -> tuple[list[Event], RunResult]:
    """Run a program to its end; return the events and how it ended."""
    return collected(runner.stream_run(spec_of(image, code, **options), CancelToken()))


def spec_of(image: str, code: str, **options: Any) -> RunSpec:
    name = options.pop("name", f"run-{secrets.token_hex(4)}")
    return RunSpec(image, name, args=(code,), **options)


def warned(events: list[Event]) -> list[str]:
    """Return the warnings with their hints."""
    return [f"{event.text} | {event.hint}" for event in events if isinstance(event, BuildWarning)]


def test_both_streams_are_there(runner: KubernetesRunner, program_image: str) -> None:
    events, result = run(runner, program_image, "import sys\nprint('right')\nprint('wrong', file=sys.stderr)")
    assert sorted(text_of(events).splitlines()) == ["right", "wrong"]  # a cluster keeps no order between them
    assert sorted(result.stdout_tail.splitlines()) == ["right", "wrong"]


def test_long_lines_bad_bytes_and_no_end(runner: KubernetesRunner, program_image: str) -> None:
    code = "import sys\nprint('y' * 50_000 + '\\n', flush=True)\nsys.stdout.buffer.write(b'\\xff no end')"
    events, _ = run(runner, program_image, code)
    assert text_of(events).rstrip("\n") == "y" * 50_000 + "\n\n\ufffd no end"


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
    assert text_of(events) == f"{value!r}\n"
    assert seen
    assert value.split()[0] not in "".join(seen)


def test_a_run_is_found_again_by_another_process(
    runner: KubernetesRunner, program_image: str, bare: Bare, tmp_path: Path
) -> None:
    code = "import os, pathlib\npathlib.Path(os.environ['BUILDR_OUTPUT_DIR'], 'x').write_text('1')\nprint('said')"
    name = f"Détaché_{secrets.token_hex(2)}-{'x' * 80}"
    spec = spec_of(program_image, code, name=name, labels=(("io.buildr.run", "k" * 64),))
    _, started = collected(runner.start(spec, CancelToken()))
    other = KubernetesRunner(f"kubernetes=tests/{bare.namespace}")
    (found,) = other.list()
    assert found == started
    assert (found.name, found.labels["io.buildr.run"]) == (name, "k" * 64)
    _, (result,) = collected(other.follow(found, CancelToken()))
    assert (result.exit_code, result.log_tail) == (0, ("said",))
    events, written = collected(other.collect(found.runs[0], tmp_path / "out", CancelToken()))
    assert [path.name for path in written] == ["x"]
    events, _ = collected(other.read_log(found.runs[0], CancelToken()))
    assert text_of(events) == "said\n"
    bare.until(lambda: other.list()[0].state == "done" or None)  # the Job is counted as done a moment after its pod
    other.remove(found)
    assert other.list() == []
    other.remove(found)


def test_what_is_larger_than_a_log_comes_through_the_registry(
    runner: KubernetesRunner, program_image: str, registry_http: Registry, bare: Bare, tmp_path: Path
) -> None:
    port = registry_http.host.rpartition(":")[2]
    path = program_image.partition("/")[2]
    code = "import os; open('output/large', 'wb').write(os.urandom(9 << 20)); print(1); raise SystemExit(3)"
    events, result = run(
        runner, f"{NODE_IP}:{port}/{path}", code, output_dir=tmp_path, collect=Collection(registry=True),
        program=ImageProgram(("python", "main.py"), "/app", "/app/output"),
        outputs_to=f"{registry_http.host}/{path.partition('@')[0]}",
    )  # fmt: skip
    assert warned(events) == []
    assert (text_of(events), result.exit_code) == ("1\n", 3)
    assert [one.stat().st_size for one in result.outputs] == [9 << 20]


def test_what_is_larger_than_a_log_is_fetched_by_a_command_in_the_pod(
    runner: KubernetesRunner, program_image: str, tmp_path: Path
) -> None:
    code = "import hashlib, os; data = os.urandom(9 << 20); open('output/large', 'wb').write(data)\n"
    code += "open('output/small', 'w').write('1'); print(hashlib.sha256(data).hexdigest()); raise SystemExit(3)"
    program = ImageProgram(("python", "main.py"), "/app", "/app/output")
    events, result = run(runner, program_image, code, output_dir=tmp_path, program=program)
    assert warned(events) == []
    assert [path.name for path in result.outputs] == ["large", "small"]
    assert hashlib.sha256(result.outputs[0].read_bytes()).hexdigest() == text_of(events).strip()
    assert result.exit_code == 3


def test_a_volume_is_seen(runner: KubernetesRunner, program_image: str, bare: Bare, tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "in").write_text("from the volume")
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim = {"kind": "PersistentVolumeClaim", "namespace": bare.namespace, "name": "data"}
    size = {"storage": "1Mi"}
    about = {"metadata": {"name": bare.namespace}}
    volume = {**common, "capacity": size, "hostPath": {"path": str(folder)}, "claimRef": claim}
    bare.core.create_persistent_volume({**about, "spec": volume})
    try:
        wanted = {**common, "resources": {"requests": size}, "volumeName": bare.namespace}
        bare.core.create_namespaced_persistent_volume_claim(
            bare.namespace, {"metadata": {"name": "data"}, "spec": wanted}
        )
        code = "print(open('/data/in').read()); open('/data/out', 'w').write('made')"
        events, result = run(runner, program_image, code, claims=(ClaimMount("data", "/data"),))
        assert (text_of(events), result.exit_code) == ("from the volume\n", 0)
        assert (folder / "out").read_text() == "made"
    finally:
        bare.core.delete_persistent_volume(bare.namespace)


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
    assert (text_of(events), result.exit_code) == ("pulled\n", 0)


def test_a_pull_secret_that_is_there_is_taken_by_its_name(
    runner: KubernetesRunner, private_image: str, registry_tls: Registry, bare: Bare
) -> None:
    login = {"username": registry_tls.user, "password": registry_tls.password}
    data = {".dockerconfigjson": json.dumps({"auths": {registry_tls.host: login}})}
    body = {"metadata": {"name": "there"}, "type": "kubernetes.io/dockerconfigjson", "stringData": data}
    bare.core.create_namespaced_secret(bare.namespace, body)
    events, result = run(runner, private_image, "print('pulled')", placement=ClusterPlacement(pull_secret="there"))
    assert (text_of(events), result.exit_code) == ("pulled\n", 0)
    bare.core.delete_namespaced_secret("there", bare.namespace)


def test_a_missing_right_is_named(
    bare: Bare, program_image: str, account: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(account("nothing", [])))
    with pytest.raises(ClusterForbidden, match=bare.namespace) as raised:
        run(KubernetesRunner(), program_image, "print()")
    assert "jobs" in str(raised.value)


@pytest.mark.parametrize("parts", [("kube-apiserver",), ("kubelet", "containerd")])
def test_the_run_goes_on_after_parts_of_the_cluster_were_killed(
    runner: KubernetesRunner, program_image: str, kubernetes_cluster: Cluster, parts: tuple[str, ...]
) -> None:
    code = "import time\nfor n in range(30):\n    print(n, flush=True)\n    time.sleep(0.2)\nraise SystemExit(5)"
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
            for part in parts:
                kubernetes_cluster.kill(part)
    told, whole = text_of(events).split(), [str(n) for n in range(30)]
    if "containerd" in parts:  # what it has read and not written yet goes with it
        assert (told[0], told) == ("0", sorted({*told} & {*whole}, key=int))
    else:
        assert told == whole
    assert result.exit_code == 5


@pytest.mark.parametrize(("end", "status"), [("raise SystemExit(7)", 7), ("x = bytearray(500 << 20)", 137)])
def test_what_a_program_that_fails_has_written_comes_back(
    runner: KubernetesRunner, program_image: str, tmp_path: Path, end: str, status: int
) -> None:
    code = f"import pathlib\npathlib.Path('output/log.txt').write_text('so far')\nprint('begins', flush=True)\n{end}"
    program = ImageProgram(("python", "main.py"), "/app", "/app/output")
    events, result = run(
        runner, program_image, code, program=program, memory_bytes=64 << 20, output_dir=tmp_path / "out"
    )
    assert (result.exit_code, text_of(events)) == (status, "begins\n")
    assert [path.name for path in result.outputs] == ["log.txt"]
    assert (tmp_path / "out" / "log.txt").read_text() == "so far"


def test_what_comes_back_is_what_the_line_names_and_objects_are_framed(
    runner: KubernetesRunner, program_image: str, tmp_path: Path
) -> None:
    code = (
        "import os, runpy, sys\nfor n in ('a.csv', 'b.txt', '/tmp/c.csv'): open(n, 'w').write(n)\n"
        f"exec({Path(displays.__file__).read_text()!r})\ninstall(os.dup(1))\n"
        "class Wide:\n    def __repr__(self): return 'wide'\n    def _repr_html_(self): return 'x' * 200_000\n"
        "for n in range(20): print('noise', file=sys.stderr, flush=True)\n"
        "sys.displayhook(Wide())\n"
        "for n in range(20): print('noise', file=sys.stderr, flush=True)\n"
    )
    program = ImageProgram(("python", "main.py"), "/app", "/app/output")
    spec = spec_of(program_image, code, program=program, output_dir=tmp_path)
    spec = asking(replace(spec, collect=Collection(("*.csv", "/tmp/*"))))
    events, result = collected(stream_unframed(runner.stream_run(spec, CancelToken())))
    assert [str(path.relative_to(tmp_path)) for path in result.outputs] == ["a.csv", "tmp/c.csv"]
    (shown,) = [event for event in events if isinstance(event, RunOutput) and event.shown]
    assert json.loads(shown.shown) == {"text/html": "x" * 200_000}
    assert text_of(events).count("noise\n") == 40
    assert "x" * 100 not in text_of(events)
