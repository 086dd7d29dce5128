"""A buildkitd of our own: what is the buildkit builder's alone."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter import builder
from buildr_jupyter.builder.buildkit_builder import BuildkitBuilder
from buildr_jupyter.errors import (
    BuildError,
    ContextError,
    EngineUnavailable,
    OptionError,
    PublishError,
    RegistryUnreachable,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine, TransferUpdate
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import Archive, BuildRequest, EngineLoad, Layout, Push, Secret
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry.client import Registry as RegistryClient
from tests.engines import Engines
from tests.engines.buildkitd import Buildkitd
from tests.engines.fixtures import _or_skip
from tests.engines.registry import Registry


@pytest.fixture(scope="session")
def daemon(engines: Engines) -> Buildkitd:
    return _or_skip("buildkit", engines.buildkitd)


@pytest.fixture
def subject(daemon: Buildkitd, monkeypatch: pytest.MonkeyPatch) -> BuildkitBuilder:
    monkeypatch.setenv("BUILDKIT_HOST", daemon.address)
    return BuildkitBuilder(command=str(daemon.buildctl))


@pytest.fixture
def request_for(tmp_path: Path, daemon: Buildkitd) -> Callable[..., BuildRequest]:
    """Make a request of Dockerfile lines on top of this machine's static busybox."""

    def make(*lines: str, **options: Any) -> BuildRequest:
        folder = tmp_path / secrets.token_hex(4)
        folder.mkdir()
        shutil.copyfile(shutil.which("busybox") or "busybox", folder / "sh")
        head = ["FROM scratch", "COPY --chmod=755 sh /bin/sh", "ENV PATH=/bin"]
        (folder / "Dockerfile").write_text("\n".join((*head, *lines)) + "\n")
        options.setdefault("outputs", ())
        return BuildRequest(folder, (ImageRef.parse("bkd:1"),), **options)

    return make


Make = Callable[..., BuildRequest]


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


class TestWhere:
    def test_selected_without_a_daemon(self) -> None:
        made = builder.select("buildkit=tcp://nowhere:1")
        assert isinstance(made, BuildkitBuilder)
        assert isinstance(made, builder.Builder)
        assert made.address == "tcp://nowhere:1"

    def test_over_tcp_with_certificates(
        self, daemon: Buildkitd, request_for: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("BUILDKIT_HOST", raising=False)
        monkeypatch.setenv("BUILDKIT_CERT_PATH", str(daemon.certificates))
        nonce = secrets.token_hex(4)
        remote = BuildkitBuilder(daemon.tls_address, command=str(daemon.buildctl))
        assert nonce in lines_of(build(remote, request_for(f"RUN echo {nonce}"))[0])

    @pytest.mark.parametrize("wrong", ["none", "another authority"])
    def test_wrong_certificates(
        self,
        daemon: Buildkitd,
        engines: Engines,
        request_for: Make,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        wrong: str,
    ) -> None:
        if wrong == "another authority":
            made = engines.certificate()
            for name, source in (("ca", made.ca), ("cert", made.certificate), ("key", made.key)):
                shutil.copyfile(source, tmp_path / f"{name}.pem")
            monkeypatch.setenv("BUILDKIT_CERT_PATH", str(tmp_path))
        remote = BuildkitBuilder(daemon.tls_address, command=str(daemon.buildctl))
        with pytest.raises(EngineUnavailable, match=f"no buildkitd at {daemon.tls_address}: ") as caught:
            build(remote, request_for())
        assert "BUILDKIT_CERT_PATH" in str(caught.value.hint)

    def test_nobody_there(self, daemon: Buildkitd, request_for: Make, tmp_path: Path) -> None:
        address = f"unix://{tmp_path}/none.sock"
        with pytest.raises(EngineUnavailable, match=f"no buildkitd at {address}: ") as caught:
            build(BuildkitBuilder(address, command=str(daemon.buildctl)), request_for())
        assert "BUILDKIT_HOST" in str(caught.value.hint)
        with pytest.raises(EngineUnavailable, match="there is no command") as caught:
            build(BuildkitBuilder(address, command=str(tmp_path / "none")), request_for())
        assert "go install" in str(caught.value.hint)


class TestBuild:
    def test_secrets_agents_arguments(self, subject: BuildkitBuilder, request_for: Make, tmp_path: Path) -> None:
        held = secrets.token_hex(8)
        (tmp_path / "held, with a comma").write_text(held)
        value = "a b, \"c\" $d 'e' ü"
        events, result = build(
            subject,
            request_for(
                "ARG WHAT", "RUN --mount=type=secret,id=tok,required=true sha256sum /run/secrets/tok; echo $WHAT",
                secrets=(Secret("tok", tmp_path / "held, with a comma"),), build_args={"WHAT": value},
                labels={"mine": value},
            ),
        )  # fmt: skip
        import hashlib

        assert hashlib.sha256(held.encode()).hexdigest() in lines_of(events)[0]
        assert lines_of(events)[1] == value
        assert result.image_id
        assert (result.digest, result.pushed) == (None, ())

    def test_secret_that_is_missing(self, subject: BuildkitBuilder, request_for: Make, tmp_path: Path) -> None:
        line = "RUN --mount=type=secret,id=tok,required=true cat /run/secrets/tok"
        with pytest.raises(OptionError, match="--secret id=tok: .*cannot be read"):
            build(subject, request_for(line, secrets=(Secret("tok", tmp_path / "none"),)))
        with pytest.raises(BuildError) as caught:
            build(subject, request_for(line))
        assert caught.value.hint == "give the secret: --secret id=NAME,src=FILE"

    def test_cache_in_a_registry(self, subject: BuildkitBuilder, request_for: Make, registry_http: Registry) -> None:
        nonce = secrets.token_hex(4)
        cache = f"{registry_http.host}/cache:{nonce}"
        request = request_for(f"RUN echo {nonce}")
        build(subject, replace(request, cache_to=(f"type=registry,ref={cache},mode=max",)))
        with contextlib.closing(RegistryClient(registry_http.host)) as asked:
            assert asked.digest("cache", nonce)
        subprocess.run(
            [subject.command, "--addr", os.environ["BUILDKIT_HOST"], "prune", "--all"], capture_output=True, check=True
        )
        _, result = build(subject, replace(request, cache_from=(cache,)))
        assert {step.title: step.status for step in result.steps}[f"RUN echo {nonce}"] == "cached"
        assert result.cached

    def test_cache_in_a_folder(self, subject: BuildkitBuilder, request_for: Make, tmp_path: Path) -> None:
        build(subject, request_for("RUN echo kept", cache_to=(f"type=local,dest={tmp_path}/cache",)))
        assert (tmp_path / "cache" / "index.json").is_file()

    def test_failures(self, subject: BuildkitBuilder, request_for: Make) -> None:
        with pytest.raises(BuildError, match="unknown instruction"):
            build(subject, request_for("FOO bar"))
        with pytest.raises(BuildError) as caught:
            build(subject, request_for("COPY nothing /"))
        assert ".dockerignore" in str(caught.value.hint)
        with pytest.raises(BuildError) as caught:
            build(subject, request_for("RUN echo last; sh -c 'kill -9 $$'; exit $?"))
        assert caught.value.exit_code == 137
        assert "last" in caught.value.log_tail  # two streams: "Killed" may come before it
        with pytest.raises(ContextError):
            build(subject, replace(request_for(), context=Path("/none")))
        with pytest.raises(BuildError, match="there is no Other"):
            build(subject, request_for(dockerfile="Other"))
        with pytest.raises(RegistryUnreachable):
            build(subject, request_for(outputs=(Push(ImageRef.parse("127.0.0.1:9/x:1")),)))
        with pytest.raises(PublishError, match="does not exist locally"):
            subject.publish("never/built:1")

    def test_much_output(self, subject: BuildkitBuilder, request_for: Make) -> None:
        """A line of 10 MB and much more than a log may hold: one warning, and it goes on."""
        events, result = build(
            subject, request_for("RUN dd if=/dev/zero bs=1M count=10 | tr '\\0' x; i=0; while [ $i -lt 300 ]; do dd if=/dev/zero bs=100k count=1 2>/dev/null | tr '\\0' '\\n'; i=$((i+1)); done")
        )  # fmt: skip
        assert result.image_id
        assert len([event for event in events if isinstance(event, BuildWarning)]) == 1
        assert all(len(line.encode()) <= 64 * 1024 for line in lines_of(events))


class TestOutputs:
    def test_archive_layout_engine(
        self, subject: BuildkitBuilder, request_for: Make, tmp_path: Path, docker_host: str
    ) -> None:
        from buildr_jupyter.engine import connection as engine

        nonce = secrets.token_hex(4)
        request = replace(
            request_for(f'CMD ["echo", "{nonce}"]', outputs=(Archive(tmp_path / "a.tar"), Layout(tmp_path / "l"), EngineLoad())),
            refs=(ImageRef.parse(f"bkd-{nonce}:1"),),
        )  # fmt: skip
        _, result = build(subject, request)
        assert result.archive == tmp_path / "a.tar"
        for source in (f"docker-archive:{tmp_path}/a.tar", f"oci-archive:{tmp_path}/a.tar", f"oci:{tmp_path}/l"):
            shown = subprocess.run(
                ["skopeo", "inspect", "--config", source], capture_output=True, text=True, check=True
            )
            assert json.loads(shown.stdout)["config"]["Cmd"] == ["echo", nonce]
            assert json.loads(shown.stdout)["created"] == "1970-01-01T00:00:00Z"
        with contextlib.closing(engine.connect()) as client:
            try:
                assert client.inspect_image(f"bkd-{nonce}:1")["Id"] == result.image_id
            finally:
                client.remove_image(f"bkd-{nonce}:1", force=True)

    def test_two_platforms(self, subject: BuildkitBuilder, tmp_path: Path, registry_http: Registry) -> None:
        (tmp_path / "Dockerfile").write_text("FROM scratch\nARG TARGETARCH\nCOPY x-$TARGETARCH /x\n")
        for name in ("amd64", "arm64"):
            (tmp_path / f"x-{name}").write_text(name)
        ref = ImageRef.parse(f"{registry_http.host}/two:{secrets.token_hex(4)}")
        request = BuildRequest(tmp_path, (ref,), outputs=(Push(ref),), platforms=("linux/amd64", "linux/arm64"))
        _, result = build(subject, request)
        with contextlib.closing(RegistryClient(registry_http.host)) as asked:
            found = asked.manifest(ref.registry_path, str(ref.tag))
        assert found.digest == result.digest
        assert [one["platform"]["architecture"] for one in found.document["manifests"]] == ["amd64", "arm64"]
        assert {step.platform for step in result.steps if step.index} == {"linux/amd64", "linux/arm64"}
        (refusal,) = subject.unsupported(replace(request, outputs=(EngineLoad(),)))
        assert refusal.builders == ("oci",)

    def test_several_names_are_pushed_at_once(
        self, subject: BuildkitBuilder, request_for: Make, registry_http: Registry
    ) -> None:
        refs = tuple(ImageRef.parse(f"{registry_http.host}/names:{tag}") for tag in ("one", "two"))
        events, result = build(subject, replace(request_for(), refs=refs, outputs=tuple(Push(ref) for ref in refs)))
        with contextlib.closing(RegistryClient(registry_http.host)) as asked:
            assert {asked.digest("names", tag) for tag in ("one", "two")} == {result.digest}
        assert result.pushed == tuple(map(str, refs))
        assert any(isinstance(event, StepUpdate) and event.title.startswith("exporting") for event in events)
        assert {event.verb for event in events if isinstance(event, TransferUpdate)} >= {"upload"}


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str], str]:
    """Make a command in buildctl's place: one that is too old, prints rubbish, or is killed."""

    def make(script: str) -> str:
        path = tmp_path / "buildctl"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def test_no_credential_is_among_the_options_of_buildctl(
    stand_in: Callable[[str], str], daemon: Buildkitd, request_for: Make, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    command = stand_in(f'printf \'%s\\n\' "$@" >> {seen}; exec {daemon.buildctl} "$@"')
    proxy, token, plain = "http://me:staple-battery-9@127.0.0.1:9", f"tok-{secrets.token_hex(9)}", "plain-value"
    request = request_for(
        "ARG API_TOKEN PLAIN", "RUN echo proxy=$HTTP_PROXY,$http_proxy token=$API_TOKEN plain=$PLAIN | tr a-z A-Z",
        "RUN <<END\n# not an instruction:\nRUN=1\necho again $HTTP_PROXY | tr a-z A-Z\nEND",
        build_args={"HTTP_PROXY": proxy, "API_TOKEN": token, "PLAIN": plain},
    )  # fmt: skip
    events, result = build(BuildkitBuilder(daemon.address, command=command, environ={**os.environ}), request)
    shown = "\n".join(lines_of(events))
    assert f"PROXY={proxy},{proxy} TOKEN={token} PLAIN={plain}".upper() in shown  # the steps have them
    assert f"AGAIN {proxy}".upper() in shown
    options = seen.read_text()
    assert f"build-arg:PLAIN={plain}" in options  # the canary: options are seen
    assert "staple-battery-9" not in options
    assert token not in options
    assert result.image_id


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'flag provided but not defined: -metadata-file' >&2; exit 1", "flag provided but not defined"),
        ("kill -9 $$", "buildctl was killed by signal 9"),
        ("head -c 3000000 /dev/urandom >&2; exit 3", "Image build failed: "),
        ("exit 0", "told no image id"),
        ("echo '{\"vertexes\": 7}' >&2; exit 1", "buildctl ended with 1"),
    ],
)
def test_a_command_that_is_not_what_it_should_be(
    stand_in: Callable[[str], str], request_for: Make, script: str, says: str
) -> None:
    with pytest.raises(BuildError, match=says):
        build(BuildkitBuilder("unix:///x", command=stand_in(script)), request_for())


def test_a_daemon_that_dies_in_the_middle(
    engines: Engines, daemon: Buildkitd, request_for: Make, tmp_path: Path
) -> None:
    from tests.engines import buildkitd
    from tests.engines._process import stop

    other = buildkitd.bring_up(tmp_path / "other", (), engines.certificate("peers"))
    try:
        dying = BuildkitBuilder(other.address, command=str(other.buildctl))
        threading.Timer(3, stop, other.processes, {"grace_s": 0.1}).start()
        with pytest.raises(BuildError, match="broke off|Image build failed") as caught:
            build(dying, request_for("RUN echo working; sleep 60"))
        assert caught.value.step == "RUN echo working; sleep 60"
    finally:
        for process in other.processes:
            stop(process)
        from tests.engines.dockerd import unmount_below

        unmount_below(tmp_path / "other")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    import tempfile

    yield
    assert list(Path(tempfile.gettempdir()).glob("buildr-buildkit-*")) == []


def test_from_the_command_line_to_the_registry(
    daemon: Buildkitd, registry_http: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One build pushes all names; without --publish there is an archive."""
    import io

    import nbformat

    from buildr_jupyter import cli

    monkeypatch.setenv("PATH", f"{daemon.buildctl.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = f"%%containerize bkd-cli\nFROM scratch\nLABEL nonce={secrets.token_hex(4)}"
    path = tmp_path / "nb.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text)]), path)

    def run(*more: str, status: int = 0) -> dict[str, Any]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            words = [
                "build",
                str(path),
                "--dockerfile",
                "-",
                "--builder",
                f"buildkit={daemon.address}",
                "--json",
                *more,
            ]
            assert cli.main(words) == status
        found: dict[str, Any] = json.loads(out.getvalue())
        return found

    record = run("--publish", "--repository", f"{registry_http.host}/cli")
    assert record["status"] == "ok", record
    assert [ref.rpartition(":")[2][:2] for ref in record["pushed"]] == ["la", "c-"]
    with contextlib.closing(RegistryClient(registry_http.host)) as asked:
        assert asked.digest("cli/bkd-cli", "latest") == record["digest"]
        assert asked.manifest("cli/bkd-cli", "latest").config_digest == record["image_id"]
    assert Path(run()["archive"]).is_file()
    failed = run("--builder", f"buildkit=unix://{tmp_path}/none.sock", status=1)
    assert failed["error"]["type"] == "EngineUnavailable"
