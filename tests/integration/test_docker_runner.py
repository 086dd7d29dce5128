"""DockerRunner on the real engine."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from buildr_jupyter import builder
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.engine.orphans import sweep_containers
from buildr_jupyter.errors import Cancelled, RunError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import Collection, Mount, PortBinding, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.process.locks import OWNER_LABEL
from buildr_jupyter.runner.docker_runner import DockerRunner
from tests.fakes.processes import arguments_with
from tests.runner_contract import RunnerContract, Subject


@pytest.fixture
def client(docker_host: str) -> Iterator[APIClient]:
    with contextlib.closing(engine.connect()) as connected:
        yield connected


@pytest.fixture(scope="session")
def image(docker_engine: Any, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image whose entrypoint runs the Python text that it is given."""
    folder = tmp_path_factory.mktemp("runner")
    (folder / "Dockerfile").write_text(
        f"FROM {base_image}\nWORKDIR /app\nRUN mkdir -m 775 output && printf known > known.txt\n"
        'ENV BUILDR_OUTPUT_DIR=/app/output\nENTRYPOINT ["python", "-u", "-c"]\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", docker_engine.host)
        builder.select("docker").build("runner-test:1", str(folder))
    return "runner-test:1"


@pytest.fixture
def runner(docker_host: str, client: APIClient) -> Iterator[DockerRunner]:
    yield DockerRunner()
    left = client.containers(all=True)
    for container in left:  # or each test after this one fails, too
        client.remove_container(container["Id"], force=True)
    assert left == []


@pytest.fixture
def subject(runner: DockerRunner, image: str) -> Subject:
    """What the contract of all runners is asked of."""
    return Subject(DockerRunner, image)


class TestContract(RunnerContract):
    """The Docker Engine keeps it."""


def collect(stream: Generator[Event, None, RunResult]) -> tuple[list[Event], RunResult]:
    events: list[Event] = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value


def run(runner: DockerRunner, image: str, code: str, **options: Any) -> tuple[list[Event], RunResult]:
    name = options.pop("name", f"run-{secrets.token_hex(4)}")
    return collect(runner.stream_run(RunSpec(image, name, args=(code,), **options), CancelToken()))


def test_output_and_exit_code(runner: DockerRunner, image: str) -> None:
    code = "import sys; print('häl'); print('wrong', file=sys.stderr); sys.stdout.buffer.write(b'\\xff'); sys.exit(3)"
    events, result = run(runner, image, code)
    said = {
        stream: "".join(e.text for e in events if isinstance(e, RunOutput) and e.stream == stream)
        for stream in ("stdout", "stderr")
    }
    assert said == {"stdout": "häl\n�", "stderr": "wrong\n"}
    assert result.exit_code == 3
    assert result.stdout_tail == "häl\n�"
    assert result.duration_s > 0
    assert [e.status for e in events if isinstance(e, StepUpdate)] == ["running", "failed"]


def test_nothing_is_lost_and_the_tail_is_bounded(runner: DockerRunner, image: str) -> None:
    events, result = run(runner, image, "for i in range(60000): print('ü', i)")
    text = "".join(e.text for e in events if isinstance(e, RunOutput))
    assert text == "".join(f"ü {i}\n" for i in range(60000))
    assert result.stdout_tail == text[-65536:]


def test_output_comes_while_it_runs(runner: DockerRunner, image: str) -> None:
    stream = runner.stream_run(
        RunSpec(image, "live", args=("import time; print(1); time.sleep(1.5); print(2)",)), CancelToken()
    )
    came = [time.monotonic() for event in stream if isinstance(event, RunOutput)]
    assert came[-1] - came[0] > 1.2


def test_environment_memory_cpus_labels(runner: DockerRunner, image: str, client: APIClient) -> None:
    stream = runner.stream_run(
        RunSpec(
            image, "limits", args=("import os, time; print(os.environ['A'], flush=True); time.sleep(0.5)",),
            environment=(("A", "b 'c' \"d\" $e\nf"),), memory_bytes=64 << 20, cpus=0.5, labels=(("mine", "1"),),
        ),
        CancelToken(),
    )  # fmt: skip
    assert isinstance(next(stream), StepUpdate)
    found = client.inspect_container("limits")
    assert (found["HostConfig"]["Memory"], found["HostConfig"]["NanoCpus"]) == (64 << 20, 500_000_000)
    assert found["Config"]["Labels"]["mine"] == "1"
    assert found["Config"]["Labels"][OWNER_LABEL]
    assert collect(stream)[1].stdout_tail == "b 'c' \"d\" $e\nf\n"


def test_out_of_memory_is_said(runner: DockerRunner, image: str) -> None:
    events, result = run(runner, image, "x = bytearray(300 << 20)", memory_bytes=32 << 20)
    assert result.exit_code == 137
    assert [event.hint for event in events if isinstance(event, BuildWarning)] == ["give it more with --memory"]


def test_ports(runner: DockerRunner, image: str) -> None:
    code = (
        "from http.server import *\n"
        "class H(BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'here')\n"
        "server = HTTPServer(('', 80), H); print('up'); server.serve_forever()"
    )
    cancel = CancelToken()
    stream = runner.stream_run(
        RunSpec(image, "ports", args=(code,), ports=(PortBinding(80), PortBinding(81, 0))), cancel
    )
    title = ""
    with contextlib.closing(stream):
        for event in stream:
            if isinstance(event, StepUpdate):
                title = event.title
            if isinstance(event, RunOutput) and "up" in event.text:
                break
        address = title.partition("(")[2].partition(" ")[0]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.read() == b"here"


def test_ports_in_the_result(runner: DockerRunner, image: str) -> None:
    _, result = run(
        runner, image, "import time; time.sleep(1)", ports=(PortBinding(80), PortBinding(53, protocol="udp"))
    )
    assert [(p.container, p.protocol, p.address) for p in result.ports] == [
        (80, "tcp", "127.0.0.1"),
        (53, "udp", "127.0.0.1"),
    ]
    assert all(p.host and p.host > 1023 for p in result.ports)


def test_port_already_bound(runner: DockerRunner, image: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RunError, match=rf"port {port} on 127\.0\.0\.1 is in use") as caught:
            run(runner, image, "pass", ports=(PortBinding(80, port),))
    assert "--port" in str(caught.value.hint)


def test_mounts(runner: DockerRunner, image: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("inside")
    code = "print(open('/data/a.txt').read()); open('/data/b.txt', 'w')"
    _, result = run(runner, image, code, mounts=(Mount(tmp_path / "in", "/data", read_only=True),))
    assert (result.stdout_tail, result.exit_code) == ("inside\n", 1)
    _, result = run(runner, image, code, mounts=(Mount(tmp_path / "in", "/data"),))
    assert (tmp_path / "in" / "b.txt").exists()
    with pytest.raises(RunError, match="does not exist") as caught:
        run(runner, image, code, mounts=(Mount(tmp_path / "nothing", "/data"),))
    assert "--mount" in str(caught.value.hint)


def test_output_files_come_back(runner: DockerRunner, image: str, tmp_path: Path) -> None:
    code = (
        "import os; os.chdir('output'); os.makedirs('sub/deep'); open('sub/deep/ä.txt', 'w').write('1')\n"
        "open('big', 'wb').write(bytes(3 << 20)); os.symlink('/etc/passwd', 'link')\n"
        "os.mkfifo('fifo'); os.link('big', 'same')"
    )
    (tmp_path / "big").write_text("old")
    events, result = run(runner, image, code, output_dir=tmp_path)
    assert (tmp_path / "sub" / "deep" / "ä.txt").read_text() == "1"
    regular = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"big", "sub/deep/ä.txt"} <= regular
    assert (tmp_path / "big").stat().st_size + (tmp_path / "same").stat().st_size == 6 << 20
    assert set(result.outputs) == {tmp_path / name for name in regular}
    assert not (tmp_path / "link").exists()
    assert sorted(event.text.split("'")[1] for event in events if isinstance(event, BuildWarning)) == ["fifo", "link"]


@pytest.mark.parametrize("told", ["by its folder", "by the engine"])
def test_all_that_the_program_makes_comes_back(
    runner: DockerRunner, image: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New and changed files of its own folder, no others; a large one only where it is named."""
    if told == "by the engine":  # as where that folder holds much
        monkeypatch.setattr("buildr_jupyter.runner.docker_runner.spooled", lambda *_: None)
    code = (
        "import os; open('report.txt', 'w').write('1'); os.makedirs('plots/deep'); open('plots/deep/a', 'w').write('2')\n"
        "open('output/report.txt', 'w').write('3'); open('/tmp/scratch', 'w').write('4'); os.mkdir('empty')\n"
        "open('known.txt', 'a').write(' more'); os.mkdir('__pycache__'); open('__pycache__/x.pyc', 'w').write('5')\n"
        "open('large', 'w').write('x' * 2000)"
    )
    events, result = run(runner, image, code, output_dir=tmp_path / "all", collect=Collection(limit_bytes=1000))
    found = {path.relative_to(tmp_path / "all").as_posix(): path.read_text() for path in result.outputs}
    assert found == {"report.txt": "1", "plots/deep/a": "2", "output/report.txt": "3", "known.txt": "known more"}
    (told,) = [event for event in events if isinstance(event, BuildWarning)]
    assert "large has 0.0 GB and is left" in told.text
    assert "--collect large" in str(told.hint)
    wanted = Collection(("large", "/tmp/*"), limit_bytes=1000)
    events, result = run(runner, image, code, output_dir=tmp_path / "some", collect=wanted)
    assert result.outputs == (tmp_path / "some" / "large", tmp_path / "some" / "tmp" / "scratch")
    assert not [event for event in events if isinstance(event, BuildWarning)]
    _, result = run(runner, image, code, output_dir=tmp_path / "none", collect=Collection(nothing=True))
    assert result.outputs == ()


def test_files_of_an_output_folder_that_is_mounted_come_back(runner: DockerRunner, image: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o777)
    mounts = (Mount(tmp_path / "there", "/app/output"),)
    code = "open('output/a.txt', 'w').write('1'); open('b.txt', 'w').write('2')"
    _, result = run(runner, image, code, output_dir=tmp_path / "back", mounts=mounts)
    assert result.outputs == (tmp_path / "back" / "a.txt", tmp_path / "back" / "b.txt")


def test_output_files_that_cannot_be_written_are_told(runner: DockerRunner, image: str, tmp_path: Path) -> None:
    """More than fits into a socket is on its way then; that is what is told, and the container goes."""
    (tmp_path / "sub").write_text("a file")
    code = "import os; os.mkdir('output/sub'); open('output/sub/big', 'wb').write(bytes(30 << 20))"
    with pytest.raises(RunError, match=r"output files cannot be copied to .*: (Not a directory|File exists)"):
        run(runner, image, code, output_dir=tmp_path)


@pytest.mark.parametrize("how", ["token", "close", "interrupt"])
def test_cancel(runner: DockerRunner, image: str, client: APIClient, how: str) -> None:
    seconds = f"{1000 + secrets.randbelow(8000)}.{secrets.randbelow(10**6):06d}"
    cancel = CancelToken()
    code = f"import os; print('go'); os.execvp('sleep', ['sleep', '{seconds}'])"
    stream = runner.stream_run(RunSpec(image, "cancelled", args=(code,)), cancel)
    for event in stream:
        if isinstance(event, RunOutput):
            break
    wait_until(lambda: arguments_with(seconds))
    started = time.monotonic()
    if how == "token":
        threading.Timer(0.2, cancel.set).start()
        with pytest.raises(Cancelled):
            list(stream)
    elif how == "interrupt":
        threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            list(stream)
    else:
        stream.close()
    assert time.monotonic() - started < 60  # the program would sleep for more than 1,000
    assert not arguments_with(seconds)
    assert client.containers(all=True) == []


def test_second_run_under_the_same_name(runner: DockerRunner, image: str, client: APIClient) -> None:
    assert runner.run(image, "again") in [container["Id"] for container in client.containers(all=True)]
    _, result = run(runner, image, "print(2)", name="again")
    assert result.stdout_tail == "2\n"


def test_name_that_another_has(runner: DockerRunner, image: str, client: APIClient) -> None:
    client.create_container(image, name="others")
    try:
        with pytest.raises(RunError, match="'others': there is one that buildr did not make") as caught:
            run(runner, image, "pass", name="others")
        assert "docker rm -f others" in str(caught.value.hint)
        assert client.inspect_container("others")["State"]["Status"] == "created"
    finally:
        client.remove_container("others")


def test_image_that_is_not_there(runner: DockerRunner) -> None:
    with pytest.raises(RunError, match="no image nothing:1"):
        run(runner, "nothing:1", "pass")


def test_entrypoint_that_is_not_there(runner: DockerRunner, docker_host: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY Dockerfile /\nENTRYPOINT ["/nothing"]\n')
    builder.select("docker").build("broken-test:1", str(tmp_path))
    with pytest.raises(RunError, match="nothing"):
        run(runner, "broken-test:1", "pass")


def test_logs_and_cancel_by_name(runner: DockerRunner, image: str, client: APIClient) -> None:
    runner.run(image, "seed")
    assert "Argument expected for the -c option" in "".join(runner.logs("seed"))
    runner.cancel("seed")
    runner.cancel("seed")


def wait_until(holds: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def drained(stream: Generator[Event, None, Any]) -> Any:
    while True:
        try:
            next(stream)
        except StopIteration as end:
            return end.value


def test_a_run_that_outlives_its_process(runner: DockerRunner, image: str, client: APIClient, tmp_path: Path) -> None:
    code = "import sys; open('output/a.txt', 'w').write('x'); print('last words'); sys.exit(int(sys.argv[-1]))"
    spec = RunSpec(image, "outlives", args=(code, "3"), labels=(("io.buildr.run", "k1"),))
    group = drained(runner.start(spec, CancelToken()))
    assert (group.name, group.labels["io.buildr.run"]) == ("outlives", "k1")

    other = DockerRunner()  # as another process would have one
    sweep_containers(client)  # no orphan: it is meant to be there
    (found,) = other.list()
    assert found == group
    (ended,) = drained(other.follow(found, CancelToken()))
    assert (ended.exit_code, ended.log_tail) == (3, ("last words",))
    assert 0 <= ended.duration_s < 60  # by the engine, a short program may end before it began
    (ended,) = drained(other.follow(found, CancelToken()))  # from the beginning, once more
    assert ended.exit_code == 3
    assert drained(other.collect(found.runs[0], tmp_path / "out", CancelToken())) == (tmp_path / "out" / "a.txt",)

    again = drained(other.start(spec, CancelToken()))  # the older one of that name is removed
    assert again.runs != group.runs
    with pytest.raises(RunLost):
        drained(runner.follow(group, CancelToken()))
    runner.stop(again)
    for _ in range(2):
        runner.remove(again)
    assert runner.list() == []


def test_a_follower_that_is_cancelled_leaves_the_run_as_it_is(
    runner: DockerRunner, image: str, client: APIClient
) -> None:
    spec = RunSpec(image, "goes-on", args=("import time; time.sleep(60)",))
    group = drained(runner.start(spec, CancelToken()))
    cancel = CancelToken()
    threading.Timer(1.0, cancel.set).start()
    with pytest.raises(Cancelled):
        drained(runner.follow(group, cancel))
    assert client.inspect_container("goes-on")["State"]["Running"]
    runner.stop(group)
    assert not client.inspect_container("goes-on")["State"]["Running"]
    runner.remove(group)


def test_what_was_made_and_never_started_is_lost_and_has_no_status(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:  # between the two calls
        killed.setattr(DockerRunner, "_begin", lambda *_: None)
        collect(DockerRunner().start(subject.spec("print(1)"), CancelToken()))  # type: ignore[arg-type]
    later = subject.make()
    (group,) = later.list()
    with pytest.raises(RunLost, match="was made, and never started"):
        collect(later.follow(group, CancelToken()))  # type: ignore[arg-type]
    later.remove(group)
