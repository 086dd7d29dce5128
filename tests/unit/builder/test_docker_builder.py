"""DockerBuilder against an engine that replays streams."""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from buildr_jupyter import builder
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import (
    BuildError,
    Cancelled,
    ContextError,
    CredentialError,
    EngineUnavailable,
    EngineVersion,
    PublishError,
    RegistryCertificate,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnreachable,
    UnknownSpec,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.capabilities import BaseRequest, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Archive, BuildRequest, Layout
from buildr_jupyter.registry.keychain import Login
from tests.fakes.engine import IMAGE_ID, FakeEngine, lines_of

CAPTURES = json.loads((Path(__file__).parents[2] / "fakes" / "engine-build-events.json").read_text())
GOOD = lines_of(CAPTURES["classic_ok"])
DIGEST = "sha256:" + "d" * 64
PUSHED = lines_of(
    [
        {"status": "The push refers to repository [reg/x]"},
        {"status": "Pushing", "progressDetail": {"current": 1, "total": 2}, "progress": "[=>  ]", "id": "0123456789ab"},
        {"aux": {"Tag": "latest", "Digest": DIGEST, "Size": 740}},
    ]
)
LOGGER = "buildr_jupyter.builder.docker_builder"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM deps-bb:1\nCOPY a.txt /a\nRUN echo hello\n")
    (tmp_path / "a.txt").write_text("a")
    return tmp_path


Subject = Callable[[FakeEngine], DockerBuilder]


def test_selected_without_an_engine() -> None:
    made = builder.select("docker")
    assert isinstance(made, DockerBuilder)
    assert made.docker_client is None
    assert isinstance(made, builder.Builder)


@pytest.mark.parametrize("chunk_bytes", [None, 1, 7, 64])
def test_build(subject: Subject, folder: Path, chunk_bytes: int | None) -> None:
    with FakeEngine(build=GOOD, chunk_bytes=chunk_bytes) as fake:
        result = subject(fake).build("me/x", str(folder))
    assert (result.image, result.image_id, result.unpacked_bytes) == ("me/x:latest", IMAGE_ID, 4242)
    assert result.tags == ("me/x:latest",)
    (asked,) = fake.asked("/build")
    assert "t" not in asked
    assert (asked["rm"], asked["forcerm"]) == (["True"], ["True"])
    assert fake.asked("/tag") == [{"repo": ["me/x"], "tag": ["latest"], "force": ["0"]}]
    assert [member.name for member, _ in fake.context] == ["Dockerfile", "a.txt"]


def test_a_client_that_is_given_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with FakeEngine(build=GOOD) as fake:
        made = DockerBuilder(find_login=lambda _: None)
        made.docker_client = given = APIClient(fake.host, version="auto")
        made.build("x", str(folder))
        assert made.docker_client is given
        given.close()


def test_each_line_goes_through_process_stream(subject: Subject, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Mine(DockerBuilder):
        def _process_stream(self, line: bytes) -> list[Event]:
            seen.append(line)
            return [BuildWarning("mine"), *super()._process_stream(line)]

    with FakeEngine(build=GOOD, chunk_bytes=5) as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        request = BuildRequest(folder, (ImageRef.parse("x:1"),))
        state = BuildState().apply_all(Mine(find_login=lambda _: None).stream_build(request, CancelToken()))
    assert seen == [line.strip() for line in GOOD.split(b"\n") if line.strip()]
    assert state.warnings == [BuildWarning("mine")]
    assert state.steps["3"].status == "done"


def test_process_stream_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    made = DockerBuilder()
    made._process_stream(b'{"stream": "Step 1/4 : FROM python:3-alpine\\n"}')
    made._process_stream(b'{"status": "Preparing", "id": "abc123"}')
    made._process_stream(b'{"status": "Pushing", "progress": "[==> ]"}')
    made._process_stream(b'{"aux": {"Tag": "latest"}}')
    made._process_stream(b'{"other": 1}')
    made._process_stream("kein JSON ü".encode())
    made._process_stream(b"[1]")
    assert [(record.levelname, record.message) for record in caplog.records if record.name == LOGGER] == [
        ("DEBUG", "Build output: Step 1/4 : FROM python:3-alpine"),
        ("DEBUG", "Push output: Preparing None"),
        ("DEBUG", "Push output: Pushing [==> ]"),
        ("DEBUG", "Push finished: {'Tag': 'latest'}"),
        ("DEBUG", "{'other': 1}"),
        ("WARNING", "JSON decode error: kein JSON ü"),
        ("DEBUG", "[1]"),
    ]
    with pytest.raises(BuildError, match=r"^Image build failed: x$"):
        made._process_stream(b'{"error": "x"}')


@pytest.mark.parametrize("document", [{"error": "why"}, {"errorDetail": {"message": "why"}}])
def test_an_error_in_the_stream_ends_it(
    subject: Subject, folder: Path, caplog: pytest.LogCaptureFixture, document: dict[str, Any]
) -> None:
    data = lines_of(
        [{"stream": "Step 1/1 : RUN x"}, {"stream": "\n"}, {"stream": "said\n"}, document, {"stream": "later"}]
    )
    with FakeEngine(build=b"rubbish" + data, chunk_bytes=11) as fake, pytest.raises(BuildError) as caught:
        subject(fake).build("x", str(folder))
    assert str(caught.value) == "Image build failed: why"
    assert (caught.value.step, caught.value.log_tail) == ("RUN x", ("said",))
    assert [(r.levelname, r.message) for r in caplog.records if r.levelno >= logging.ERROR] == [
        ("ERROR", "Build failed: why")
    ]
    assert fake.asked("/tag") == []


@pytest.mark.parametrize("break_off", [True, False])
def test_a_stream_that_just_ends_is_no_success(subject: Subject, folder: Path, break_off: bool) -> None:
    data = lines_of([{"stream": "Step 1/1 : RUN x"}, {"stream": "\n"}])
    with (
        FakeEngine(build=data, break_off=break_off) as fake,
        pytest.raises(BuildError, match="^Image build failed: the engine"),
    ):
        subject(fake).build("x", str(folder))
    assert fake.asked("/tag") == []


def test_only_a_short_id_is_told(subject: Subject, folder: Path) -> None:
    data = lines_of([{"stream": "Successfully built 3f63f8223230\n"}])
    images = {"3f63f8223230": {"Id": IMAGE_ID, "Size": 1}}
    with FakeEngine(build=data, images=images) as fake:
        assert subject(fake).build("x", str(folder)).image_id == IMAGE_ID


def test_refused_by_the_engine(subject: Subject, folder: Path) -> None:
    refusal = FakeEngine(build=b"dockerfile parse error line 1: unknown instruction: FOO", status=400)
    says = r"^Image build failed: dockerfile parse error line 1"
    with refusal as fake, pytest.raises(BuildError, match=says):
        subject(fake).build("x", str(folder))


def test_no_folder_and_no_dockerfile(subject: Subject, tmp_path: Path) -> None:
    with FakeEngine() as fake:
        with pytest.raises(ContextError, match="is not a folder"):
            subject(fake).build("x", str(tmp_path / "nothing"))
        with pytest.raises(BuildError, match="there is no Dockerfile in"):
            subject(fake).build("x", str(tmp_path))
    assert fake.requests == []


def test_no_engine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(EngineUnavailable, match=r"no engine at unix:///nowhere.sock \(DOCKER_HOST\)"):
        DockerBuilder().build("x", str(folder))


def test_an_engine_that_is_too_old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeEngine(api_version="1.12") as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        with pytest.raises(EngineVersion):
            DockerBuilder().build("x", str(folder))


@pytest.mark.parametrize("how", ["token", "close"])
def test_cancel_closes_the_connection(subject: Subject, folder: Path, how: str) -> None:
    data = lines_of([{"stream": "Step 1/1 : RUN x"}, {"stream": "\n"}, {"stream": "go\n"}])
    cancel = CancelToken()
    with FakeEngine(build=data, hang=True) as fake:
        stream = subject(fake).stream_build(BuildRequest(folder, (ImageRef.parse("x:1"),)), cancel)
        for event in stream:
            if isinstance(event, LogLine):
                break
        if how == "token":
            timer = threading.Timer(0.1, cancel.set)
            timer.start()
            with pytest.raises(Cancelled):
                list(stream)
            timer.join()
        else:
            stream.close()
        assert fake.closed.wait(5)
    assert fake.asked("/tag") == []


def test_refusals() -> None:
    request = BuildRequest(
        Path(), (), platforms=("linux/amd64", "linux/arm64"), outputs=(Archive(Path("a")), Layout(Path("b")))
    )
    found = DockerBuilder().unsupported(request)
    assert [refusal.what for refusal in found] == ["several platforms", "an archive", "an image layout"]
    assert all("oci" in refusal.builders for refusal in found)
    assert DockerBuilder().unsupported(BuildRequest(Path(), ())) == []


class TestPublish:
    def test_pushes_latest_and_nothing_else(self, subject: Subject) -> None:
        with FakeEngine(push=PUSHED, chunk_bytes=9) as fake:
            result = subject(fake).publish("127.0.0.1:9/x")
        assert [(method, path, query) for method, path, query, _ in fake.requests if path.endswith("/push")] == [
            ("POST", "/images/127.0.0.1:9/x/push", {"tag": ["latest"]})
        ]
        assert (result.digest, result.pushed, result.size_bytes) == (DIGEST, ("127.0.0.1:9/x:latest",), None)

    def test_sends_the_login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with FakeEngine(push=PUSHED) as fake:
            monkeypatch.setenv("DOCKER_HOST", fake.host)
            DockerBuilder(find_login=lambda name: Login(name.partition("/")[0], "u", "p:ä")).publish("127.0.0.1:9/x:1")
        (headers,) = [headers for _, path, _, headers in fake.requests if path.endswith("/push")]
        assert json.loads(base64.urlsafe_b64decode(headers["X-Registry-Auth"])) == {
            "username": "u",
            "password": "p:ä",
            "serveraddress": "127.0.0.1:9",
        }

    @pytest.mark.parametrize(
        ("message", "kind"),
        [
            ("unauthorized: authentication required", RegistryUnauthorized),
            ("no basic auth credentials", RegistryUnauthorized),
            ("denied: requested access to the resource is denied", RegistryDenied),
            ("dial tcp: lookup reg.example on 1.1.1.1:53: no such host", RegistryUnreachable),
            ("dial tcp 127.0.0.1:9: connect: connection refused", RegistryUnreachable),
            ('Get "https://r/v2/": x509: certificate signed by unknown authority', RegistryCertificate),
            ("http: server gave HTTP response to HTTPS client", RegistryUnreachable),
            ("something else", PublishError),
        ],
    )
    def test_errors(
        self, subject: Subject, caplog: pytest.LogCaptureFixture, message: str, kind: type[PublishError]
    ) -> None:
        data = lines_of([{"errorDetail": {"message": message}, "error": message}])
        with FakeEngine(push=data) as fake, pytest.raises(PublishError) as caught:
            subject(fake).publish("reg.example/x")
        assert type(caught.value) is kind
        assert str(caught.value) == f"Image push failed: {message}"
        assert f"Push failed: {message}" in caplog.messages
        assert caught.value.hint or kind is PublishError

    def test_no_digest_is_no_success(self, subject: Subject) -> None:
        data = lines_of([{"status": "Pushed"}])
        with FakeEngine(push=data) as fake, pytest.raises(PublishError, match="ended without a digest"):
            subject(fake).publish("reg.example/x")


def test_logins_of_the_bases_and_no_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "Dockerfile").write_text(
        "FROM --platform=linux/amd64 reg.example/a:1 AS first\nFROM first\nFROM python:3\nFROM $X\nCOPY --from=reg2.example/b /x /x\n"
    )
    asked = []

    def find(name: str) -> Login | None:
        asked.append(name)
        host = name.partition("/")[0]
        if host == "docker.io":
            raise CredentialError("helper is broken")
        return Login(host, "u", "p")

    with FakeEngine(build=GOOD) as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        request = BuildRequest(folder, (ImageRef.parse("x:1"),))
        state = BuildState().apply_all(DockerBuilder(find_login=find).stream_build(request, CancelToken()))
    assert asked == ["docker.io/library/python", "reg.example/a", "reg2.example/b"]
    assert [warning.text for warning in state.warnings] == ["no login for docker.io: helper is broken"]
    (headers,) = [headers for _, path, _, headers in fake.requests if path == "/build"]
    assert sorted(json.loads(base64.urlsafe_b64decode(headers["X-Registry-Config"]))) == ["reg.example", "reg2.example"]


def test_base_is_pulled_only_where_it_is_missing(subject: Subject) -> None:
    pulled = lines_of([{"status": f"Digest: {DIGEST}"}, {"status": "Status: Downloaded newer image"}])
    known = {"Id": IMAGE_ID, "RepoDigests": [f"python@{DIGEST}"], "Os": "linux", "Architecture": "amd64"}
    with FakeEngine(pull=pulled, images={"python:3": known}) as fake:
        made = subject(fake)
        for platform, pull, times in (
            (None, False, 0),
            ("linux/amd64", False, 0),
            ("linux/arm64", False, 1),
            (None, True, 2),
        ):
            stream = made.resolve_base(BaseRequest("python:3", platform, pull), CancelToken())
            with pytest.raises(StopIteration) as end:
                while True:
                    next(stream)
            assert end.value.value == ResolvedBase("python:3", DIGEST)
            assert len(fake.asked("/images/create")) == times


def test_the_engine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeEngine() as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        client = engine.connect()
        info = engine.describe(client)
        client.close()
    assert (info.address, info.origin, info.version, info.api_version) == (fake.host, "DOCKER_HOST", "20.10.24", "1.41")
    assert (info.os, info.architecture, info.buildkit, info.podman) == ("linux", "amd64", True, False)
    assert info.free_bytes


def test_what_follows_an_equals_sign_goes_to_the_builder() -> None:
    with pytest.raises(UnknownSpec, match=r"^Unknown spec auto=x: builder auto takes nothing after '='") as caught:
        builder.select("auto=x")
    assert caught.value.hint == "choose it: --builder auto"
