"""DockerRunner over an engine that answers as Docker's does: what it asks for, and what becomes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError
from requests import Response

from buildr_jupyter.errors import Cancelled, EngineUnavailable, OptionError, RunError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import RunOutput
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import ClaimMount, Collection, Mount, PortBinding, RunSpec
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.process.locks import OWNER_LABEL
from buildr_jupyter.runner import docker_runner
from buildr_jupyter.runner.docker_runner import COLLECT_LABEL, GROUP_LABEL, DockerRunner
from tests.fakes.containers import Containers, Reply
from tests.fakes.engine import FakeEngine
from tests.runner_contract import collected, text_of

APP = {"WorkingDir": "/app", "Env": ["BUILDR_OUTPUT_DIR=/app/output"]}
FILES = {"/app/main.py": b"print(1)", "/app/data.csv": b"1"}
Start = Callable[..., tuple[Containers, DockerRunner]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an engine whose containers do as they are told; give these, and a runner with that engine."""
    engines = []

    def made(**told: Any) -> tuple[Containers, DockerRunner]:
        containers = Containers(**{"image": APP, "before": FILES, **told})
        engine = FakeEngine(containers=containers)
        engine.__enter__()
        engines.append(engine)
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        return containers, DockerRunner(owner="me")

    yield made
    for engine in engines:
        engine.__exit__()


def spec(**more: Any) -> RunSpec:
    return RunSpec("app:1", "trial", **more)


def run(subject: DockerRunner, **more: Any) -> tuple[list[Any], Any]:
    return collected(subject.stream_run(spec(**more), CancelToken()))


# -- a run that is followed to its end


def test_output_status_and_end(start: Start) -> None:
    containers, subject = start(output=[("stdout", b"one\n"), ("stderr", b"oops\n"), ("stdout", b"two\n")], exit_code=3)
    events, result = run(subject)
    assert [(event.stream, event.text) for event in events if isinstance(event, RunOutput)] == [
        ("stdout", "one\n"), ("stderr", "oops\n"), ("stdout", "two\n"),
    ]  # fmt: skip
    assert (result.exit_code, result.stdout_tail) == (3, "one\ntwo\n")
    steps = [(event.step, event.title, event.status) for event in events if isinstance(event, StepUpdate)]
    assert steps == [("run trial", "run trial", "running"), ("run trial", "run trial", "failed")]
    assert containers.all == {}
    assert [what for what, _ in containers.asked].count("POST start") == 1


def test_a_character_that_is_cut_comes_whole(start: Start) -> None:
    text = "größer".encode()
    _, subject = start(output=[("stdout", text[:3]), ("stderr", b"x"), ("stdout", text[3:]), ("stdout", b"\xc3")])
    events, result = run(subject)
    assert result.stdout_tail == "größer\ufffd"
    assert "größer" in text_of([event for event in events if getattr(event, "stream", "") == "stdout"])


def test_what_the_engine_is_asked_for(start: Start, tmp_path: Path) -> None:
    containers, subject = start()
    run(
        subject, args=("--n", "1"), environment=(("A", "b=c"),), settings=(("BUILDR_X", "1"),), labels=(("l", "v"),),
        memory_bytes=1 << 26, cpus=1.5, gpus="2", ports=(PortBinding(80), PortBinding(53, 5353, "0.0.0.0", "udp")),
        mounts=(Mount(tmp_path, "/data", read_only=True),),
    )  # fmt: skip
    given = containers.made[0].given
    assert (containers.made[0].name, given["Image"], given["Cmd"]) == ("trial", "app:1", ["--n", "1"])
    assert given["Env"] == ["A=b=c", "BUILDR_X=1"]
    assert (given["Labels"]["l"], given["Labels"][OWNER_LABEL]) == ("v", "me")
    host = given["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (1 << 26, 1 << 26, 1_500_000_000)
    assert [(one["Count"], one["Capabilities"]) for one in host["DeviceRequests"]] == [(2, [["gpu"]])]
    assert host["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}], "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "5353"}],
    }  # fmt: skip
    assert [(one["Target"], one["Source"], one["Type"], one["ReadOnly"]) for one in host["Mounts"]] == [
        ("/data", str(tmp_path), "bind", True)
    ]
    assert set(given["ExposedPorts"]) == {"80/tcp", "53/udp"}


def test_nothing_is_limited_that_nobody_limits(start: Start) -> None:
    containers, subject = start()
    run(subject)
    host = containers.made[0].given["HostConfig"]
    assert not {"Memory", "MemorySwap", "NanoCpus", "DeviceRequests"} & {name for name in host if host[name]}
    run(subject, gpus="all")
    assert containers.made[1].given["HostConfig"]["DeviceRequests"][0]["Count"] == -1


@pytest.mark.parametrize(
    ("port", "opened", "shown"),
    [
        (PortBinding(80), [{"HostIp": "127.0.0.1", "HostPort": "49153"}], "http://127.0.0.1:49153"),
        (
            PortBinding(80, None, "0.0.0.0"),
            [{"HostIp": "0.0.0.0", "HostPort": "7"}],
            "http://localhost:7 and all addresses",
        ),
        (PortBinding(80, None, "::1"), [{"HostIp": "::1", "HostPort": "7"}], "http://[::1]:7"),
    ],
)
def test_a_free_port_is_told_as_soon_as_it_is_open(start: Start, port: PortBinding, opened: Any, shown: str) -> None:
    _, subject = start(ports={"80/tcp": [{"HostIp": "10.0.0.1", "HostPort": "1"}, *opened]})
    events, result = run(subject, ports=(port,))
    assert events[0].title == f"run trial ({shown} -> 80/tcp)"
    assert [one.host for one in result.ports] == [int(opened[0]["HostPort"])]


def test_the_container_goes_when_the_run_is_cancelled_or_closed(start: Start) -> None:
    for end in ("cancel", "close"):
        containers, subject = start(output=[("stdout", b"on\n")], runs_on=True)
        cancel = CancelToken()
        stream = subject.stream_run(spec(), cancel)
        while not isinstance(next(stream), RunOutput):
            pass
        if end == "cancel":
            cancel.set()
            with pytest.raises(Cancelled, match="the run"):
                list(stream)
        else:
            stream.close()
        assert containers.all == {}
        asked = [what for what, _ in containers.asked]
        assert asked.index("POST stop") < asked.index("DELETE"), "it is told to stop before it is removed"


def test_cancelled_before_it_begins_nothing_is_made(start: Start) -> None:
    containers, subject = start()
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        collected(subject.stream_run(spec(), cancel))
    assert containers.made == []


def test_a_container_without_memory_is_said(start: Start) -> None:
    _, subject = start(out_of_memory=True, exit_code=137)
    events, _ = run(subject)
    (warning,) = [event for event in events if isinstance(event, BuildWarning)]
    assert (warning.text, warning.hint) == (
        "container trial ran out of memory and was killed", "give it more with --memory",
    )  # fmt: skip
    _, subject = start(exit_code=137)
    events, _ = run(subject, memory_bytes=64 << 20)
    (warning,) = [event for event in events if isinstance(event, BuildWarning)]
    assert "its limit is 64 MiB of memory, and it may have needed more" in warning.text
    events, _ = run(subject)
    assert not [event for event in events if isinstance(event, BuildWarning)], "killed, and it had no limit"


# -- what an engine refuses


@pytest.mark.parametrize(
    ("ending", "status", "message", "why", "hint"),
    [
        ("/create", 404, "No such image: app:1", "the engine has no image app:1", "build it, or pull it"),
        ("/start", 500, "Bind for 127.0.0.1:80 failed: port is already allocated", "port 80 on 127.0.0.1 is in use",
         "ask for another one: --port HOST:PORT, or --port PORT for any free one"),
        ("/start", 500, "listen tcp4 0.0.0.0:80: bind: address already in use", "port 80 on 0.0.0.0 is in use",
         "ask for another one: --port HOST:PORT, or --port PORT for any free one"),
        ("/create", 400, "bind source path does not exist: /gone", "bind source path does not exist",
         "take a folder of the engine's machine: --mount SRC:DST; it has no such SRC"),
        ("/start", 500, "could not select device driver", "the engine has no GPUs to give", "leave --gpus out"),
        ("/start", 500, "exec: no such program", "container 'trial': exec: no such program", None),
    ],
)  # fmt: skip
def test_what_an_engine_refuses_is_named(
    start: Start, ending: str, status: int, message: str, why: str, hint: str | None
) -> None:
    containers, subject = start(refuses={ending: Reply(status, {"message": message})})
    with pytest.raises(RunError, match=why) as caught:
        run(subject)
    assert caught.value.hint == hint
    assert containers.all == {}
    with pytest.raises(RunError, match=why):
        collected(subject.start(spec(), CancelToken()))
    assert containers.all == {}, "one that does not start does not stay"


def test_without_an_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailable):
        run(DockerRunner())


def test_what_an_engine_does_not_keep(start: Start) -> None:
    _, subject = start()
    with pytest.raises(OptionError, match="no service and no schedule") as caught:
        collected(subject.deploy(spec(), CancelToken()))
    assert caught.value.hint == "say --on kubernetes"
    with pytest.raises(OptionError, match="--mount pvc:data") as caught:
        run(subject, claims=(ClaimMount("data", "/data"),))
    assert caught.value.hint == "mount a folder of this machine: --mount SRC:DST"
    assert subject.capabilities().in_engine


@pytest.mark.parametrize(("owner", "whose"), [("other", "of other"), (None, "that buildr did not make")])
def test_a_name_that_another_has(start: Start, owner: str | None, whose: str) -> None:
    containers, subject = start()
    containers.add("trial", {OWNER_LABEL: owner} if owner else {})
    with pytest.raises(RunError, match=whose) as caught:
        run(subject)
    assert caught.value.hint == "run under another name, or docker rm -f trial"
    assert len(containers.all) == 1


def test_an_older_container_of_this_user_gives_its_name_away(start: Start) -> None:
    containers, subject = start()
    old = containers.add("trial", {OWNER_LABEL: "me"}, "running")
    run(subject)
    assert old.id not in containers.all
    assert ("POST stop", old.id) in containers.asked


# -- runs that outlive this process


def test_a_run_is_started_followed_collected_and_removed(start: Start, tmp_path: Path) -> None:
    containers, subject = start(
        output=[("stdout", b"one\ntwo\n")], exit_code=2, after={"/app/output/a.txt": b"1", "/app/other.log": b"2"}
    )
    wanted = Collection(patterns=("*.txt",))
    events, group = collected(subject.start(spec(collect=wanted, labels=(("k", "v"),)), CancelToken()))
    assert (group.name, len(group.runs), group.labels) == ("trial", 1, {"k": "v"})
    assert [event.title for event in events if isinstance(event, StepUpdate)] == ["run trial"]
    labels = containers.made[0].given["Labels"]
    assert (labels[OWNER_LABEL], labels[GROUP_LABEL]) == ("me", "trial")
    assert Collection.from_json(json.loads(labels[COLLECT_LABEL])) == wanted
    another = DockerRunner(owner="me")
    assert another.list() == [group]
    assert DockerRunner(owner="you").list() == []
    _, (result,) = collected(another.follow(group, CancelToken()))
    assert (result.exit_code, result.log_tail, result.duration_s) == (2, ("one", "two"), 1.5)
    _, files = collected(another.collect(group.runs[0], tmp_path, CancelToken()))
    assert [path.relative_to(tmp_path).as_posix() for path in files] == ["a.txt"]
    another.remove(group)
    assert containers.all == {}
    another.remove(group)  # one that is gone is no error
    another.stop(group)


def test_a_run_that_is_gone_or_never_began_is_lost(start: Start) -> None:
    containers, subject = start()
    with pytest.raises(RunLost, match="is gone, and nothing tells how it ended"):
        collected(subject.follow(RunGroup("trial", ("f" * 64,)), CancelToken()))
    made = containers.add("trial", {}, "created")
    with pytest.raises(RunLost, match="was made, and never started"):
        collected(subject.follow(RunGroup("trial", (made.id,)), CancelToken()))


@pytest.mark.parametrize("ends", [True, False])
def test_a_process_that_is_gone_may_have_ended_just_now(
    start: Start, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """podman learns a moment later that a process ended; of one that was killed with what watches it, never."""
    _, subject = start(output=[("stdout", b"one\n")], exit_code=3)
    _, group = collected(subject.start(spec(), CancelToken()))
    began = {"Running": True, "Pid": 77, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    ended = {**began, "Running": False, "ExitCode": 3, "FinishedAt": "2026-01-01T00:00:01Z"}
    states = iter([began] * 4 + [ended])

    def no_process(*_: object) -> None:
        raise APIError("500 Server Error", Response(), "open /proc/77/root: no such file or directory")

    monkeypatch.setattr(docker_runner, "state_within", lambda *_: next(states))
    monkeypatch.setattr(docker_runner, "_GONE_S", 10.0 if ends else 0.0)
    monkeypatch.setattr(subject.docker_client, "get_archive", no_process)
    if ends:
        _, (result,) = collected(subject.follow(group, CancelToken()))
        assert result.exit_code == 3
    else:
        with pytest.raises(RunLost, match="the process of container"):
            collected(subject.follow(group, CancelToken()))


def test_a_follower_that_is_cancelled_leaves_the_run_as_it_is(start: Start) -> None:
    containers, subject = start(runs_on=True)
    _, group = collected(subject.start(spec(), CancelToken()))
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        collected(subject.follow(group, cancel))
    assert containers.all[group.runs[0]].state == "running"
    subject.stop(group)
    assert containers.all[group.runs[0]].state == "exited"


# -- files


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_the_run_made_or_changed_comes_back(start: Start, tmp_path: Path) -> None:
    after = {
        "/app/output/a.txt": b"1",
        "/app/made.csv": b"2",
        "/app/data.csv": b"changed",
        "/app/x/__pycache__/m.pyc": b"3",
    }
    containers, subject = start(after=after)
    _, result = run(subject, output_dir=tmp_path)
    found = files_of(tmp_path)
    assert found["a.txt"] == b"1"
    assert sorted(found.values()) == [b"1", b"2", b"changed"]
    assert result.outputs == tuple(sorted(tmp_path / name for name in found))
    assert "GET changes" not in [what for what, _ in containers.asked], "the folder is compared, the layer is not"


def test_without_a_folder_nothing_is_copied(start: Start, tmp_path: Path) -> None:
    _, subject = start(after={"/app/output/a.txt": b"1"})
    _, result = run(subject)
    assert result.outputs == ()


def test_what_is_elsewhere_comes_by_what_the_engine_says_of_the_layer(start: Start, tmp_path: Path) -> None:
    containers, subject = start(after={"/tmp/far.txt": b"1", "/app/near.txt": b"2", "/etc/no": b"3"})
    run(subject, output_dir=tmp_path, collect=Collection(patterns=("/tmp/*",)))
    assert list(files_of(tmp_path).values()) == [b"1"]
    assert "GET changes" in [what for what, _ in containers.asked]


def test_nothing_of_the_program_comes_back_but_what_our_own_code_wrote(start: Start, tmp_path: Path) -> None:
    after = {"/app/output/a.txt": b"1", "/app/output/.buildr/returns/manifest.json": b"{}"}
    _, subject = start(after=after)
    run(subject, output_dir=tmp_path, collect=Collection(nothing=True))
    assert files_of(tmp_path) == {".buildr/returns/manifest.json": b"{}"}


def test_a_file_over_the_limit_stays_and_is_named(start: Start, tmp_path: Path) -> None:
    _, subject = start(after={"/app/output/big": b"x" * 100, "/app/output/small": b"y"})
    events, _ = run(subject, output_dir=tmp_path, collect=Collection(limit_bytes=50))
    assert files_of(tmp_path) == {"small": b"y"}
    (warning,) = [event for event in events if isinstance(event, BuildWarning)]
    assert warning.text.endswith("GB and is left in the container, which is removed")
    assert "take it all the same with --collect big" in str(warning.hint)
    events, _ = run(subject, output_dir=tmp_path, collect=Collection(patterns=("big",), limit_bytes=50))
    assert "big" in files_of(tmp_path)


def test_an_engine_that_tells_no_changes_gives_the_output_folder(start: Start, tmp_path: Path) -> None:
    _, subject = start(after={"/app/output/a.txt": b"1", "/tmp/b": b"2"},
                       refuses={"/changes": Reply(500, {"message": "layers are broken"})})  # fmt: skip
    events, _ = run(subject, output_dir=tmp_path, collect=Collection(patterns=("/tmp/*", "*.txt")))
    assert files_of(tmp_path) == {"a.txt": b"1"}
    (warning,) = [event for event in events if isinstance(event, BuildWarning)]
    assert "does not tell which files the run made (layers are broken)" in warning.text


def test_the_output_folder_of_the_spec_counts(start: Start, tmp_path: Path) -> None:
    _, subject = start(after={"/app/there/a.txt": b"1"})
    run(subject, output_dir=tmp_path, environment=(("BUILDR_OUTPUT_DIR", "there"),))
    assert files_of(tmp_path) == {"a.txt": b"1"}


# -- the seed's methods


def test_a_container_is_left_running_and_its_log_read(start: Start) -> None:
    containers, subject = start(output=[("stdout", b"one\n"), ("stderr", b"two\n")], runs_on=True)

    class Options:
        ports = ("8080",)

    made = subject.run("app:1", "trial", Options())
    assert containers.all[made].state == "running"
    assert containers.made[0].given["HostConfig"]["PortBindings"]["8080/tcp"] == [
        {"HostIp": "127.0.0.1", "HostPort": "8080"}
    ]
    assert GROUP_LABEL not in containers.made[0].given["Labels"]
    assert "".join(subject.logs("trial")) == "one\ntwo\n"
    subject.cancel("trial")
    assert containers.all == {}
    subject.cancel("trial")


def test_a_client_that_is_given_is_used(start: Start) -> None:
    containers, subject = start()
    run(subject)
    other = DockerRunner()
    other.docker_client = subject.docker_client
    run(other)
    assert len(containers.made) == 2
    assert other.docker_client is subject.docker_client


@pytest.mark.parametrize("ending", ["/start", "/json"])
def test_a_cancel_in_the_middle_of_a_question_is_a_cancel(start: Start, ending: str) -> None:
    """It breaks off what the engine is being asked, which is no engine that is away; the container goes."""
    containers, subject = start(runs_on=True)
    token, answer = CancelToken(), containers.answer

    def cancelling(method: str, path: str, *rest: Any) -> Reply:
        if path.endswith(ending) and containers.made:
            token.set()
        return answer(method, path, *rest)

    containers.answer = cancelling  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        list(subject.stream_run(spec(), token))
    assert not containers.all


@pytest.mark.timeout(60)
def test_a_cancel_between_an_answer_and_its_stream_ends_the_stream(start: Start) -> None:
    """The answer has left the connection then, and is not known yet as what is to be broken off."""
    containers, subject = start(runs_on=True)
    token = CancelToken()
    client = subject._client()
    client.hooks["response"].insert(0, lambda answer, **_: token.set() if "/attach" in answer.url else None)
    with pytest.raises(Cancelled):
        list(subject.stream_run(spec(), token))
    assert not containers.all
