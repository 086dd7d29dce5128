"""DockerBuilder over BuildKit, against an engine that replays streams: what is asked, and bad ends."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.builder.docker.buildkit import offers_buildkit, query_of, with_mounts
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.run_mounts import mounted, read_secrets, ssh_agents
from buildr_jupyter.context import folder as context
from buildr_jupyter.context.base_images import base_names
from buildr_jupyter.engine.json_stream import iter_lines
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled, EngineUnavailable, OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, FileEntry, ImagePlan, Requirement
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import BuildRequest, Secret
from buildr_jupyter.registry.keychain import Login
from tests.fakes.engine import FakeEngine, lines_of

CAPTURES = json.loads((Path(__file__).parents[3] / "fakes" / "engine-build-events.json").read_text())
GOOD, BAD = lines_of(CAPTURES["buildkit_ok"]), lines_of(CAPTURES["buildkit_fail"])
IMAGE_ID = "sha256:f5c570be8b5514f70a69d74c1812c412e02a683aef25354d692827fec8d7e96d"
IMAGES = {
    IMAGE_ID: {"Id": IMAGE_ID, "Size": 4242},
    "deps-bb:1": {"Id": "sha256:" + "1" * 64, "Os": "linux", "Architecture": "amd64"},
}
LOGGER = "buildr_jupyter.builder.docker_builder"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM deps-bb:1\nCOPY a.txt /a\nRUN echo hello\n")
    (tmp_path / "a.txt").write_text("a")
    return tmp_path


Subject = Callable[[FakeEngine], DockerBuilder]


@pytest.mark.parametrize("chunk_bytes", [None, 1, 7, 64])
def test_build(subject: Subject, folder: Path, chunk_bytes: int | None, caplog: pytest.LogCaptureFixture) -> None:
    with (
        FakeEngine(build=GOOD, chunk_bytes=chunk_bytes, images=IMAGES, buildkit=True) as fake,
        caplog.at_level(logging.DEBUG, LOGGER),
    ):
        result = subject(fake).build("me/x", str(folder))
    assert (result.image, result.image_id, result.unpacked_bytes) == ("me/x:latest", IMAGE_ID, 4242)
    (asked,) = fake.asked("/build")
    assert asked["version"] == ["2"]
    assert "session" not in asked
    assert asked["dockerfile"] == ["Dockerfile"]
    assert [member.name for member, _ in fake.context] == ["Dockerfile", "a.txt"]
    said = [text for text in caplog.messages if text.startswith("Build output: ")]
    assert "Build output: COPY a.txt /a" in said
    assert "Build output: hello" in said
    assert len([text for text in said if text == "Build output: COPY a.txt /a"]) == 1


def test_failing_step(subject: Subject, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with FakeEngine(build=BAD, images=IMAGES, buildkit=True) as fake, pytest.raises(BuildError) as caught:
        subject(fake).build("x", str(folder))
    error = caught.value
    assert str(error).startswith("Image build failed: executor failed running")
    assert (error.step, error.exit_code) == ("RUN echo out; echo err >&2; exit 3", 3)
    assert sorted(error.log_tail) == ["err", "out"]
    assert [text for text in caplog.messages if text.startswith("Build failed: executor failed running")]


def test_cut_at_every_byte_there_is_no_image_id_too_soon() -> None:
    """What the builder takes for a success, the image id, is read only once it was told whole."""
    told = GOOD.index(IMAGE_ID.encode()) + len(IMAGE_ID)
    for stop in range(0, len(GOOD), 3):
        builder, state = DockerBuilder(), BuildState()
        from buildr_jupyter.builder.docker.classic_stream import DockerStream

        builder._reading.state = stream = DockerStream()
        for line in iter_lines([GOOD[:stop]]):
            state.apply_all(builder._process_stream(line))
        assert stream.image_id is None or stop >= told


@pytest.mark.parametrize("stop", [300, 1000, len(GOOD) // 2, GOOD.index(IMAGE_ID.encode()) + 5])
@pytest.mark.parametrize("break_off", [True, False])
def test_a_stream_that_ends_too_soon_is_one_clear_error(
    subject: Subject, folder: Path, stop: int, break_off: bool
) -> None:
    with (
        FakeEngine(build=GOOD[:stop], break_off=break_off, images=IMAGES, buildkit=True) as fake,
        pytest.raises(BuildError, match=r"^Image build failed: the engine") as caught,
    ):
        subject(fake).build("x", str(folder))
    assert fake.asked("/tag") == []
    if stop > len(GOOD) // 2:
        assert caught.value.log_tail == ("hello",)


def test_an_engine_that_dies_before_it_says_anything(subject: Subject, folder: Path) -> None:
    with (
        FakeEngine(build=b"", break_off=True, images=IMAGES, buildkit=True) as fake,
        pytest.raises(EngineUnavailable, match="no engine at"),
    ):
        subject(fake).build("x", str(folder))


def test_a_record_that_does_not_decode_is_a_warning(subject: Subject, folder: Path) -> None:
    broken = lines_of([{"id": "moby.buildkit.trace", "aux": "####"}, {"id": "moby.buildkit.trace", "aux": {"x": 1}}])
    with FakeEngine(build=broken + GOOD, images=IMAGES, buildkit=True) as fake:
        made = subject(fake)
        stream = made.stream_build(BuildRequest(folder, (ImageRef.parse("x:1"),)), CancelToken())
        state = BuildState().apply_all(stream)
    assert len(state.warnings) == 2
    assert all(warning.text.startswith("a progress record of the engine cannot be read") for warning in state.warnings)


def test_cancel_closes_a_stream_that_hangs(subject: Subject, folder: Path) -> None:
    cancel = CancelToken()
    half = GOOD[: len(GOOD) // 2]
    with FakeEngine(build=half, hang=True, images=IMAGES, buildkit=True) as fake:
        stream = subject(fake).stream_build(BuildRequest(folder, (ImageRef.parse("x:1"),)), cancel)
        waiting = threading.Thread(target=lambda: (fake.hangs.wait(30), cancel.set()))
        waiting.start()
        with pytest.raises(Cancelled):
            list(stream)
        waiting.join()
        assert fake.closed.wait(5)


def test_without_a_session_bases_are_pulled_by_the_users_login(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = lines_of([{"status": "Status: Downloaded newer image"}])
    images = {IMAGE_ID: IMAGES[IMAGE_ID]}
    (folder / "Dockerfile").write_text("FROM reg.example/a:1\n")
    with FakeEngine(build=GOOD, pull=pulled, images=images, buildkit=True) as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        made = DockerBuilder(find_login=lambda host: Login(host, "u", "p"))
        BuildState().apply_all(made.stream_build(BuildRequest(folder, (ImageRef.parse("x:1"),)), CancelToken()))
        (asked,) = fake.asked("/images/create")
        assert asked["fromImage"] == ["reg.example/a"]
        request = BuildRequest(folder, (ImageRef.parse("x:1"),), secrets=(Secret("s", folder / "Dockerfile"),))
        with pytest.raises(BuildRefused, match="need a session"):
            list(made.stream_build(request, CancelToken()))


def test_who_offers_it() -> None:
    with FakeEngine(buildkit=True) as fake, FakeEngine(buildkit=True, api_version="1.40") as old, FakeEngine() as none:
        from docker import APIClient

        found = []
        for one in (fake, old, none):
            client = APIClient(one.host, version="auto")
            found += [offers_buildkit(client, {}), offers_buildkit(client, {"DOCKER_BUILDKIT": "0"})]
            client.close()
    assert found == [True, False, False, False, False, False]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FROM a\nFROM a AS b\nFROM b\nFROM scratch\nCOPY --from=c/d /x /y\nCOPY --from=0 /x /y\n", ["a", "c/d"]),
        ("# syntax=docker/dockerfile:1\nFROM --platform=linux/amd64 a:1 as x\n", ["docker/dockerfile:1", "a:1"]),
        ("# a\n#syntax = x/y\nFROM a\n", ["a"]),
        ("#syntax = x/y\nFROM a\n", ["x/y", "a"]),
        ("FROM a\n# syntax=no\n", ["a"]),
        ("# syntax=a\nFROM a\nCOPY --from=a /x /y\n", ["a"]),
        ("ARG V=3.11\nFROM python:${V}-slim\nFROM $NONE\nFROM ${X:-late}\n", ["python:3.11-slim", "late"]),
        ("ARG V\nFROM python:$V\nRUN --mount=type=bind,from=tool:2,target=/t x\n", ["python:given", "tool:2"]),
    ],
)
def test_the_images_that_a_dockerfile_pulls(tmp_path: Path, text: str, names: list[str]) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    build_args = {"V": "given"} if "given" in str(names) else {}
    assert list(base_names(BuildRequest(tmp_path, (), build_args=build_args))) == names


def test_query(tmp_path: Path) -> None:
    plan = ImagePlan(base="", python="", dockerfile=CustomDockerfile("FROM a", (("A", "1"), ("B", "1")), target="t"))
    request = BuildRequest(
        tmp_path, (), plan=plan, no_cache=True, pull=True, platforms=("linux/arm64",), build_args={"B": "2"},
        network="none", labels={"l": "1"}, cache_from=("reg/x:1", "type=registry,ref=reg/y:2"),
    )  # fmt: skip
    assert query_of(request, build_id="b", session="s") == {
        "version": "2", "buildid": "b", "dockerfile": "Dockerfile", "nocache": "1", "buildargs": '{"A": "1", "B": "2"}',
        "labels": '{"l": "1"}', "target": "t", "networkmode": "none", "platform": "linux/arm64",
        "cachefrom": '["reg/x:1", "reg/y:2"]', "session": "s", "remote": "client-session",
    }  # fmt: skip
    assert query_of(BuildRequest(tmp_path, ()), build_id="b", session=None) == {
        "version": "2", "buildid": "b", "dockerfile": "Dockerfile",
    }  # fmt: skip


def test_mounts_of_our_own_dockerfile(tmp_path: Path) -> None:
    plan = ImagePlan(
        base="python:3.11-slim", python="3.11", requirements=(Requirement("six==1.17.0"),),
        files=(FileEntry.from_bytes("app/main.py", b""),),
    )  # fmt: skip
    folder = context.write_folder(plan, tmp_path / "folder")
    request = BuildRequest(folder, (), plan=plan, build_args={"FTP_PROXY": "buildr:abc", "A": "1"})
    plain = (folder / "Dockerfile").read_text()
    changed, text = with_mounts(request, secrets=True)
    assert text
    assert changed.build_args == {"A": "1"}
    (line,) = [line for line in text.decode().splitlines() if line not in plain.splitlines()]
    assert line == (
        "RUN --mount=type=cache,id=buildr-pip,target=/var/cache/buildr/pip,sharing=locked"
        ' --mount=type=secret,id=buildr-index ["python3", "install.py", "/opt/venv", "python:3.11-slim"]'
    )
    unchanged, text = with_mounts(request, secrets=False)
    assert unchanged == request
    assert text
    assert b"type=secret" not in text
    assert with_mounts(BuildRequest(folder, ()), secrets=True)[1] is None
    import subprocess
    import sys

    (tmp_path / "Mounted").write_text(mounted(plain, secrets=True))
    linted = subprocess.run(
        [Path(sys.executable).parent / "hadolint", str(tmp_path / "Mounted")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_secrets_and_agents_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"\0\xff")
    found = read_secrets([Secret("a", tmp_path / "s"), Secret("b", variable="B"), Secret("C")], {"B": "ü", "C": "3"})
    assert found == {"a": b"\0\xff", "b": "ü".encode(), "C": b"3"}
    for secret, says in (
        (Secret("a", tmp_path / "none"), "--secret id=a: .* cannot be read: No such file"),
        (Secret("a", tmp_path), "cannot be read: Is a directory"),
        (Secret("a"), "there is no environment variable a"),
    ):
        with pytest.raises(OptionError, match=says):
            read_secrets([secret], {})
    (tmp_path / "s").write_bytes(b"x" * 500_001)
    with pytest.raises(OptionError, match="at most 500000 bytes"):
        read_secrets([Secret("a", tmp_path / "s")], {})
    assert ssh_agents([("default", None)], {"SSH_AUTH_SOCK": str(tmp_path)}) == {"default": str(tmp_path)}
    for given in (("default", None), ("default", "/no/agent")):
        with pytest.raises(OptionError, match="--ssh default: "):
            ssh_agents([given], {})


def test_steps_and_lines_are_events(subject: Subject, folder: Path) -> None:
    with FakeEngine(build=GOOD, images=IMAGES, buildkit=True) as fake:
        stream = subject(fake).stream_build(BuildRequest(folder, (ImageRef.parse("x:1"),)), CancelToken())
        events = list(stream)
    steps = {event.step: event for event in events if isinstance(event, StepUpdate)}
    (line,) = [event for event in events if isinstance(event, LogLine)]
    assert steps[str(line.step)].title == "RUN echo hello"
