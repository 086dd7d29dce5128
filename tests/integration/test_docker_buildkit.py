"""BuildKit inside a real engine: sessions, secrets, agents, mounts, limits and bad ends."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient
from uv import find_uv_bin

from buildr_jupyter import builder
from buildr_jupyter.builder.docker import buildkit
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.context import base_images
from buildr_jupyter.context import folder as context
from buildr_jupyter.dependencies.index_config import IndexSettings
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import BuildError, BuildRefused, ContextError, EngineVersion, OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, FileEntry, ImagePlan, Requirement
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import BuildRequest, Secret
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry import keychain
from tests.engines import Engines, certificates
from tests.engines.registry import Registry
from tests.fakes import index


@pytest.fixture
def subject(docker_host: str) -> DockerBuilder:
    return DockerBuilder("buildkit")


@pytest.fixture
def client(docker_host: str) -> Iterator[APIClient]:
    with contextlib.closing(engine.connect()) as connected:
        yield connected


@pytest.fixture
def request_for(tmp_path: Path, base_image: str, client: APIClient) -> Iterator[Callable[..., BuildRequest]]:
    """Make a request of Dockerfile lines after the FROM; the images are removed afterwards."""
    name = f"bk-{secrets.token_hex(4)}"

    def make(*lines: str, base: str = base_image, **options: Any) -> BuildRequest:
        folder = tmp_path / secrets.token_hex(4)
        folder.mkdir()
        (folder / "Dockerfile").write_text("\n".join((f"FROM {base}", *lines)) + "\n")
        return BuildRequest(folder, (ImageRef.parse(f"{name}:1"),), **options)

    yield make
    for image in client.images():
        if f"{name}:1" in (image.get("RepoTags") or ()):
            client.remove_image(f"{name}:1", force=True)


def build(subject: builder.Builder, request: BuildRequest) -> tuple[list[Event], BuildResult]:
    events: list[Event] = []
    stream = subject.stream_build(request, CancelToken())
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value


def lines_of(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, LogLine)]


Make = Callable[..., BuildRequest]


class TestSession:
    def test_base_behind_a_login_is_pulled_by_buildkit(
        self, subject: DockerBuilder, request_for: Make, client: APIClient, engines: Engines
    ) -> None:
        registry = engines.registry_login()
        assert registry.user
        assert registry.password
        base = f"{registry.host}/private:{secrets.token_hex(4)}"
        made = request_for(base="scratch", build_args={})
        (made.context / "x").write_text("1")
        (made.context / "Dockerfile").write_text("FROM scratch\nCOPY x /\n")
        build(subject, made)
        client.tag(str(made.refs[0]), base.rpartition(":")[0], tag=base.rpartition(":")[2])
        keychain.login(registry.host, registry.user, registry.password)
        try:
            subject.publish(base)
            client.remove_image(base, force=True)
            client.prune_builds()
            events, _ = build(subject, request_for("LABEL a=1", base=base))
            titles = [event.title for event in events if isinstance(event, StepUpdate)]
            assert f"FROM {base}" in [title.partition("@")[0] for title in titles]
        finally:
            keychain.logout(registry.host)
        with pytest.raises(BuildError) as caught:
            build(subject, request_for("LABEL a=2", base=base, no_cache=True))
        assert f"buildr login {registry.host}" in str(caught.value.hint)

    def test_without_a_session_the_base_is_pulled_first(
        self, subject: DockerBuilder, request_for: Make, monkeypatch: pytest.MonkeyPatch, engines: Engines
    ) -> None:
        monkeypatch.setattr(buildkit, "can_serve", lambda: False)
        monkeypatch.setattr("buildr_jupyter.builder.docker.unsupported.can_serve", lambda: False)
        events, result = build(subject, request_for("RUN echo plain"))
        assert result.image_id
        assert "plain" in lines_of(events)
        asked = request_for("RUN true", secrets=(Secret("tok", variable="TOK"),))
        (refusal,) = subject.unsupported(asked)
        assert refusal.why == "they need pip install 'buildr-jupyter[buildkit]'"
        monkeypatch.setenv("TOK", "x")
        with pytest.raises(BuildRefused, match="need a session"):
            build(subject, asked)

    def test_secrets(
        self,
        subject: DockerBuilder,
        request_for: Make,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        client: APIClient,
    ) -> None:
        held = "s3cret ü " + secrets.token_hex(8)
        (tmp_path / "held").write_text(held)
        monkeypatch.setenv("TOK", held)
        lines = [f"RUN --mount=type=secret,id={one} sha256sum < /run/secrets/{one}" for one in ("file", "tok")]
        request = request_for(*lines, secrets=(Secret("file", tmp_path / "held"), Secret("tok", variable="TOK")))
        assert subject.unsupported(request) == []
        events, result = build(subject, request)
        import hashlib

        assert lines_of(events) == [f"{hashlib.sha256(held.encode()).hexdigest()}  -"] * 2
        assert held not in str(client.history(str(result.image_id)))
        assert DockerBuilder("classic").unsupported(request)[0].builders == ("buildkit",)

    def test_secret_that_is_missing(self, subject: DockerBuilder, request_for: Make, tmp_path: Path) -> None:
        line = "RUN --mount=type=secret,id=tok,required=true cat /run/secrets/tok"
        with pytest.raises(OptionError, match="--secret id=tok: .*cannot be read"):
            build(subject, request_for(line, secrets=(Secret("tok", tmp_path / "none"),)))
        with pytest.raises(OptionError, match="there is no environment variable NONE"):
            build(subject, request_for(line, secrets=(Secret("tok", variable="NONE"),)))
        with pytest.raises(BuildError) as caught:
            build(subject, request_for(line, no_cache=True))
        assert caught.value.hint == "give the secret: --secret id=NAME,src=FILE"
        assert caught.value.step == line

    def test_ssh_agent(self, subject: DockerBuilder, request_for: Make, tmp_path: Path) -> None:
        """What is written to the agent's socket in the build arrives at the agent, and its answer comes back."""
        path = str(tmp_path / "agent")
        got = []
        with socket.socket(socket.AF_UNIX) as agent:
            agent.bind(path)
            agent.listen()

            def answer() -> None:
                connection, _ = agent.accept()
                with connection:
                    got.append(connection.recv(100))
                    connection.sendall(b"from the agent")

            threading.Thread(target=answer, daemon=True).start()
            code = "import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK']); s.sendall(b'hello'); print(s.recv(99))"
            events, _ = build(
                subject, request_for(f'RUN --mount=type=ssh python3 -c "{code}"', ssh=(("default", path),))
            )
        assert got == [b"hello"]
        assert lines_of(events) == ["b'from the agent'"]
        with pytest.raises(OptionError, match="there is no agent at"):
            build(subject, request_for("RUN --mount=type=ssh true", ssh=(("default", path + "no"),)))

    def test_nothing_is_left(
        self, subject: DockerBuilder, request_for: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import tempfile

        made = [request_for("RUN true"), request_for("RUN false")]
        with tempfile.TemporaryDirectory() as scratch:
            monkeypatch.setattr(tempfile, "tempdir", scratch)
            build(subject, made[0])
            with pytest.raises(BuildError):
                build(subject, made[1])
            assert list(Path(scratch).iterdir()) == []
        assert [thread.name for thread in threading.enumerate() if thread.name == "buildr-session"] == []


class TestContext:
    def test_what_is_sent(self, subject: DockerBuilder, request_for: Make, base_image: str) -> None:
        """.dockerignore, links, odd names and modes, and of a folder known before only what changed."""
        request = request_for("COPY . /all", "RUN cd /all && find . -printf '%p %y %m\\n' | sort")
        context_folder = request.context
        for name in ("kept ü.txt", "secret.env", "x" * 120, "sub.txt"):
            (context_folder / name).write_text("1")
        (context_folder / "sub" / "deep").mkdir(parents=True)
        (context_folder / "sub" / "deep" / "back.txt").write_text("")
        (context_folder / "sub" / "gone.txt").write_text("")
        (context_folder / "link").symlink_to("kept ü.txt")
        (context_folder / "loop").symlink_to("loop")
        (context_folder / "run").write_text("")
        (context_folder / "run").chmod(0o4755)
        import os

        os.mkfifo(context_folder / "fifo")
        (context_folder / ".dockerignore").write_text("*.env\nDockerfile\nsub\n!sub/deep/back.txt\n")
        found = lines_of(build(subject, request)[0])
        assert found == sorted(
            [". d 755", "./.dockerignore f 644", "./kept ü.txt f 644", "./link l 777", "./loop l 777", "./run f 4755",
             "./sub d 755", "./sub.txt f 644", "./sub/deep d 755", "./sub/deep/back.txt f 644", f"./{'x' * 120} f 644"]
        )  # fmt: skip
        (context_folder / "sub.txt").unlink()
        (context_folder / "new.txt").write_text("n")
        events, _ = build(subject, request)
        assert {*found} ^ {*lines_of(events)} == {"./sub.txt f 644", "./new.txt f 644"}
        sent = [event for event in events if isinstance(event, TransferUpdate) and event.verb == "upload"]
        assert 0 < sent[-1].current_bytes < 2000

    def test_files_that_a_plan_names(self, subject: DockerBuilder, tmp_path: Path, base_image: str) -> None:
        """Content of the same size that changed is sent again; one that is not what the plan says stops the build."""
        for text in ("print(1)", "print(2)"):
            main = FileEntry.from_bytes("app/main.py", text.encode())
            plan = ImagePlan(base=base_image, python="3.11", files=(main,))
            folder = context.write_folder(plan, tmp_path / "plan")
            (folder / "app" / "stray.txt").write_text("not in the plan")
            request = BuildRequest(folder, (ImageRef.parse(f"bk-plan:{text[-2]}"),), plan=plan, no_cache=True)
            image = build(subject, request)[1].image_id
            with contextlib.closing(engine.connect()) as client:
                made = client.create_container(image, entrypoint=["sh", "-c", "cat main.py; ls; stat -c %Y main.py"])[
                    "Id"
                ]
                client.start(made)
                client.wait(made)
                assert client.logs(made).decode() == f"{text}main.py\noutput\n0\n"
                client.remove_container(made, force=True)
                client.remove_image(image, force=True)
        plan = replace(plan, files=(FileEntry.from_bytes("app/main.py", secrets.token_bytes(8)),))
        folder = context.write_folder(plan, tmp_path / "plan")
        (folder / "app" / "main.py").write_text("print(3)")
        with pytest.raises(ContextError, match=r"app/main.py changed while the context was sent"):
            build(subject, replace(request, plan=plan))

    def test_a_link_in_the_way_and_patterns(self, subject: DockerBuilder, request_for: Make) -> None:
        request = request_for("COPY to/*.txt to/a.md /got/", "RUN cat /got/*")
        (request.context / "real").mkdir()
        for name in ("1.txt", "2.txt", "a.md"):
            (request.context / "real" / name).write_text(f"{name}\n")
        (request.context / "to").symlink_to("real")
        assert lines_of(build(subject, request)[0]) == ["1.txt", "2.txt", "a.md"]


class TestOurOwnDockerfile:
    @pytest.mark.parametrize("by", ["uv", "pip"])
    def test_settings_as_a_secret_and_downloads_kept(
        self, subject: DockerBuilder, tmp_path: Path, client: APIClient, base_image: str, by: str
    ) -> None:
        """Another requirement asks the index for its own file alone; the index' login is nowhere."""
        version, asked_for = {"uv": "1.5", "pip": "1.6"}[by], []
        made = certificates.make(tmp_path / "certs")
        wheels = dict(index.wheel(name, version, f"VALUE = {secrets.token_hex(4)!r}\n") for name in ("one", "two"))
        wheels |= dict([index.uv_wheel(Path(find_uv_bin()).read_bytes())]) if by == "uv" else {}
        with index.serving(wheels, "reader", "pa55word", made.certificate, made.key) as (port, asked):
            settings = IndexSettings(
                {"PIP_INDEX_URL": f"https://reader:pa55word@127.0.0.1:{port}/simple"}, made.ca.read_text()
            )
            for nonce, names in (("1", ["one"]), ("2", ["one", "two"])):
                plan = ImagePlan(
                    base=base_image, python="3.11", requirements=tuple(Requirement(f"{n}=={version}") for n in names),
                    files=(FileEntry.from_bytes("app/main.py", b"import one"),),
                )  # fmt: skip
                request = BuildRequest(
                    context.write_folder(plan, tmp_path / nonce), (ImageRef.parse(f"bk-pip:{nonce}"),), plan=plan,
                    build_args=settings.build_args(), network="host",
                )  # fmt: skip
                asked.clear()
                events, result = build(subject, request)
                paths = [path.removeprefix("/files/") for path in asked if path.endswith(".whl")]
                asked_for.append({path.partition("-")[0] for path in paths})
                told = str(client.history(str(result.image_id))) + str(client.inspect_image(str(result.image_id)))
                told += "".join(lines_of(events))
                assert "pa55word" not in told
                assert "buildr:eJ" not in told
                assert ("buildr: uv cannot be had" in told) is (by == "pip")
                assert ("Prepared 1 package" in told) is (by == "uv")
                client.remove_image(f"bk-pip:{nonce}", force=True)
        assert asked_for == [{"one", *(["uv"] if by == "uv" else [])}, {"two"}]


class TestOutput:
    def test_stages_at_once(self, subject: DockerBuilder, request_for: Make, base_image: str) -> None:
        request = request_for("RUN echo one; sleep 1; echo 1 > /one")
        with (request.context / "Dockerfile").open("a") as more:
            more.write(f"FROM {base_image} AS other\nRUN echo two; sleep 1; echo 2 > /two\n")
            more.write("FROM other AS last\nCOPY --from=0 /one /\nRUN cat /one /two\n")
        events, result = build(subject, replace(request, no_cache=True))
        steps = {step.title: step for step in result.steps}
        first, second = steps["RUN echo one; sleep 1; echo 1 > /one"], steps["RUN echo two; sleep 1; echo 2 > /two"]
        assert first.started_at
        assert second.started_at
        assert abs(first.started_at - second.started_at) < 0.9
        lines = {event.text: event.step for event in events if isinstance(event, LogLine)}
        assert (lines["one"], lines["two"]) == (first.step, second.step)
        assert all(step.status in ("done", "cached") for step in result.steps)

    def test_much_of_it_is_clipped_and_that_is_said(self, subject: DockerBuilder, request_for: Make) -> None:
        """100 MB, then a line of 10 MB, then bytes that are no UTF-8: memory stays level, the build succeeds."""
        code = "import sys; w = sys.stdout.buffer.write; [w(b'%d\\n' % n * 100) for n in range(150000)]; w(b'x' * 10_000_000); w(b'\\xff\\xfe\\n')"
        events, result = build(subject, request_for(f'RUN python3 -c "{code}"'))
        assert result.image_id
        (warning,) = [event for event in events if isinstance(event, BuildWarning)]
        assert warning.text.startswith("the engine left out a part of a step's output, which goes above 200KiB/s")
        assert all(len(line.encode()) <= 64 * 1024 for line in lines_of(events))

    def test_killed_for_memory(self, subject: DockerBuilder, request_for: Make) -> None:
        line = "RUN echo last words; sh -c 'kill -9 $$'"
        with pytest.raises(BuildError, match=r"^Image build failed: ") as caught:
            build(subject, request_for(line))
        error = caught.value
        # The engine passes the two streams on in no fixed order.
        assert (error.step, error.exit_code, sorted(error.log_tail)) == (line, 137, ["Killed", "last words"])
        assert error.hint == "check whether it ran out of memory: the command was killed"

    def test_failing_among_stages_names_its_own_lines(
        self, subject: DockerBuilder, request_for: Make, base_image: str
    ) -> None:
        request = request_for("RUN for i in 1 2 3 4 5 6; do echo busy; sleep 0.2; done; echo 1 > /one")
        with (request.context / "Dockerfile").open("a") as more:
            more.write(f"FROM {base_image}\nRUN sleep 0.5; echo why; exit 9\nCOPY --from=0 /one /\n")
        state = BuildState()
        with pytest.raises(BuildError) as caught:
            state.apply_all(subject.stream_build(replace(request, no_cache=True), CancelToken()))
        assert caught.value.step == "RUN sleep 0.5; echo why; exit 9"
        assert (caught.value.exit_code, caught.value.log_tail) == (9, ("why",))

    @pytest.mark.parametrize(
        ("lines", "says", "hints"),
        [(("FOO bar",), "unknown instruction", ""), (("COPY nothing /",), "nothing", ".dockerignore")],
    )
    def test_bad_dockerfile(
        self, subject: DockerBuilder, request_for: Make, lines: tuple[str, ...], says: str, hints: str
    ) -> None:
        with pytest.raises(BuildError, match=f"^Image build failed: .*{says}") as caught:
            build(subject, request_for(*lines))
        assert hints in (caught.value.hint or "")

    def test_base_that_does_not_exist(self, subject: DockerBuilder, request_for: Make, registry_http: Registry) -> None:
        base = f"{registry_http.host}/nothing:1"
        with pytest.raises(BuildError) as caught:
            build(subject, request_for(base=base))
        assert f"check the name of base image {base}" in str(caught.value.hint)


def test_arguments_and_labels(subject: DockerBuilder, request_for: Make, client: APIClient) -> None:
    value = "a b \"c\" $d 'e'"
    request = request_for("ARG WHAT", 'LABEL what="$WHAT"', build_args={"WHAT": value}, labels={"mine": value})
    _, result = build(subject, request)
    labels = client.inspect_image(str(result.image_id))["Config"]["Labels"]
    assert labels == {"what": value, "mine": value}


def test_which_builder_is_used(docker_host: str, request_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    request = request_for("RUN true")

    def numbered(spec: str) -> bool:
        _, result = build(builder.select(spec), request)
        return result.steps[0].step == "1"

    assert [numbered(spec) for spec in ("docker", "docker=classic", "docker=buildkit")] == [False, True, False]
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    assert [numbered(spec) for spec in ("docker", "docker=buildkit")] == [True, False]
    with pytest.raises(OptionError, match="docker=steam"):
        builder.select("docker=steam")
    monkeypatch.setattr("buildr_jupyter.builder.docker_builder.offers_buildkit", lambda *_: False)
    with pytest.raises(EngineVersion, match="offers no BuildKit"):
        build(builder.select("docker=buildkit"), request)


def test_custom_dockerfile_of_a_plan(subject: DockerBuilder, tmp_path: Path, base_image: str) -> None:
    text = f"ARG BASE={base_image}\nFROM ${{BASE}} AS one\nRUN --mount=type=cache,target=/c echo in one\nFROM one\nRUN echo in two\n"
    plan = ImagePlan(base="", python="", dockerfile=CustomDockerfile(text, target="one"))
    folder = context.write_folder(plan, tmp_path / "folder")
    request = BuildRequest(folder, (ImageRef.parse("bk-custom:1"),), plan=plan, no_cache=True)
    events, _ = build(subject, request)
    assert lines_of(events) == ["in one"]
    assert list(base_images.base_names(request)) == [base_image]


def test_an_engine_that_is_stopped_in_the_middle(
    docker_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One clear error with the step that ran and its lines; the engine that comes back builds."""
    from tests.engines import dockerd, short_folder
    from tests.engines._process import Process, stop

    folder, bridge = tmp_path / "context", f"bs{secrets.token_hex(4)}"
    folder.mkdir()
    shutil.copyfile(shutil.which("busybox") or "busybox", folder / "sh")
    lines = ["FROM scratch", "COPY sh /bin/sh", 'RUN ["/bin/sh", "-c", "echo last words; sleep 30"]']
    (folder / "Dockerfile").write_text("\n".join(lines))
    (folder / "sh").chmod(0o755)
    subject = DockerBuilder("buildkit")
    processes: list[Process] = []
    with short_folder() as place:
        try:
            for attempt in ("stopped", "back again"):
                up = dockerd.bring_up(place / "engine", bridge=bridge)
                processes = [*up.processes]
                monkeypatch.setenv("DOCKER_HOST", up.host)
                if attempt == "stopped":
                    stopping = threading.Timer(2.5, stop, up.processes[:1])
                    stopping.start()
                    with pytest.raises(BuildError, match="^Image build failed: ") as caught:
                        subject.build("stopped", str(folder))
                    stopping.join()
                    assert caught.value.step is not None
                    assert caught.value.step.startswith("RUN")
                    assert caught.value.log_tail == ("last words",)
                else:
                    (folder / "Dockerfile").write_text("\n".join(lines[:2]))
                    assert DockerBuilder("buildkit").build("back", str(folder)).image_id
                for process in processes:
                    stop(process)
                dockerd.remove_bridge(bridge)
        finally:
            for process in processes:
                stop(process)
            dockerd.remove_bridge(bridge)
