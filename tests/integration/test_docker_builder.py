"""What is the classic builder's and the engine's own; what every builder owes is in test_builder_contract.py."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from buildr_jupyter import builder
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import (
    BuildError,
    Cancelled,
    ContextError,
    PublishError,
    RegistryCertificate,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnreachable,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine, TransferUpdate
from buildr_jupyter.model.capabilities import BaseRequest, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import BuildRequest, Push
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.client import Registry as RegistryClient
from tests.engines.registry import Registry
from tests.fakes.processes import arguments_with
from tests.fakes.registry import FakeRegistry


@pytest.fixture
def subject(docker_host: str) -> builder.Builder:
    return builder.select("docker=classic")


@pytest.fixture
def client(docker_host: str) -> Iterator[APIClient]:
    with contextlib.closing(engine.connect()) as connected:
        yield connected


@pytest.fixture
def name(client: APIClient) -> Iterator[str]:
    """A name for one test; its images are removed afterwards."""
    chosen = f"test-{secrets.token_hex(4)}"
    yield chosen
    for image in client.images():
        for tag in image.get("RepoTags") or ():
            if chosen in tag:
                client.remove_image(tag, force=True)


@pytest.fixture
def folder(tmp_path: Path, base_image: str) -> Callable[..., Path]:
    """Make a context folder of Dockerfile lines after the FROM, and files."""

    def make(*lines: str, base: str = base_image, **files: str) -> Path:
        made = tmp_path / secrets.token_hex(4)
        made.mkdir()
        (made / "Dockerfile").write_text("\n".join((f"FROM {base}", *lines)) + "\n")
        for file, content in files.items():
            (made / file).write_text(content)
        return made

    return make


SMALL = {"base": "scratch", "x": "1"}
"""An image of one byte: what is pushed is not what is tested."""


def request_for(context: Path, *names: str, **options: Any) -> BuildRequest:
    return BuildRequest(context, tuple(ImageRef.parse(one).tagged() for one in names), **options)


def collect(stream: Generator[Event, None, Any]) -> tuple[list[Event], Any]:
    events: list[Event] = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value


def build(subject: builder.Builder, context: Path, *names: str, **options: Any) -> tuple[list[Event], BuildResult]:
    return collect(subject.stream_build(request_for(context, *names, **options), CancelToken()))


def login(registry: Registry) -> None:
    assert registry.user
    assert registry.password
    ca = registry.ca

    def verify(made: keychain.Login) -> None:
        with contextlib.closing(RegistryClient(registry.host, made, ca=ca)) as asked:
            asked.ping()

    keychain.login(registry.host, registry.user, registry.password, verify=verify)


def trust(registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let our own client believe the registry's authority, as docker's certs.d says it."""
    assert registry.ca
    target = tmp_path / "config" / "docker" / "certs.d" / registry.host / "ca.crt"
    target.parent.mkdir(parents=True)
    target.write_bytes(registry.ca.read_bytes())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


class TestBuild:
    def test_result_is_the_engines_image(
        self, subject: builder.Builder, client: APIClient, folder: Callable[..., Path], name: str
    ) -> None:
        context = folder("COPY a.txt /a.txt", 'CMD ["cat", "/a.txt"]', **{"a.txt": "hällo"})
        events, result = build(subject, context, f"{name}:1", f"{name}:2")
        image = client.inspect_image(f"{name}:1")
        assert result.image_id == image["Id"] == client.inspect_image(f"{name}:2")["Id"]
        assert result.unpacked_bytes == image["Size"]
        assert (result.digest, result.size_bytes, result.pushed) == (None, None, ())
        assert result.tags == (f"{name}:1", f"{name}:2")
        assert result.image == f"{name}:1"
        assert [step.title for step in result.steps][1:] == ["COPY a.txt /a.txt", 'CMD ["cat", "/a.txt"]']
        assert all(step.status in ("done", "cached") for step in result.steps)
        assert all(step.duration_s is not None and step.duration_s <= result.duration_s for step in result.steps)
        assert [(step.index, step.total) for step in result.steps] == [(1, 3), (2, 3), (3, 3)]
        assert any(isinstance(event, TransferUpdate) and event.verb == "upload" for event in events)

    def test_output_of_a_step_line_by_line(
        self, subject: builder.Builder, folder: Callable[..., Path], name: str
    ) -> None:
        nonce = secrets.token_hex(4)
        events, _ = build(subject, folder(f"RUN echo {nonce}; printf 'ä\\nb'; echo wrong >&2"), name)
        lines = [event for event in events if isinstance(event, LogLine)]
        assert [line.text for line in lines if line.stream == "stdout"] == [nonce, "ä", "b"]
        assert [line.text for line in lines if line.stream == "stderr"] == ["wrong"]
        assert {line.step for line in lines} == {"2"}
        assert [line.seq for line in lines] == list(range(len(lines)))

    def test_second_build_is_cached(self, subject: builder.Builder, folder: Callable[..., Path], name: str) -> None:
        context = folder(f"RUN echo {secrets.token_hex(4)}")
        _, first = build(subject, context, name)
        _, second = build(subject, context, name)
        assert second.image_id == first.image_id
        assert [step.status for step in second.steps] == ["done", "cached"]
        _, third = build(subject, context, name, no_cache=True)
        assert [step.status for step in third.steps] == ["done", "done"]

    def test_failed_build_leaves_the_old_image_and_no_container(
        self, subject: builder.Builder, client: APIClient, folder: Callable[..., Path], name: str
    ) -> None:
        _, old = build(subject, folder(f"RUN echo {secrets.token_hex(4)}"), name)
        with pytest.raises(BuildError):
            build(subject, folder("RUN exit 1"), name)
        assert client.inspect_image(name)["Id"] == old.image_id
        assert client.containers(all=True) == []

    def test_arguments_labels_target_platform_network(
        self, subject: builder.Builder, client: APIClient, folder: Callable[..., Path], name: str
    ) -> None:
        context = folder(
            "ARG WHAT",
            'LABEL what="$WHAT"',
            "RUN ! python -c \"import urllib.request as u; u.urlopen('http://1.1.1.1', timeout=2)\" 2>/dev/null",
        )
        dockerfile = context / "Dockerfile"
        dockerfile.write_text(
            dockerfile.read_text().replace("\n", " AS first\n", 1) + "FROM first AS second\nLABEL second=1\n"
        )
        value = "a b \"c\" $d 'e'"
        _, _ = build(
            subject, context, name, build_args={"WHAT": value}, labels={"mine": value}, target="first",
            platforms=("linux/amd64",), network="none",
        )  # fmt: skip
        assert client.inspect_image(name)["Config"]["Labels"] == {"what": value, "mine": value}

    def test_ignored_and_odd_files(self, subject: builder.Builder, folder: Callable[..., Path], name: str) -> None:
        import os
        import socket

        context = folder("COPY . /all", "RUN cd /all && find . | sort", **{"kept ü.txt": "1", "secret.env": "2"})
        (context / ".dockerignore").write_text("*.env\nDockerfile\nsub\n!sub/deep/back.txt\n")
        (context / "sub" / "deep").mkdir(parents=True)
        (context / "sub" / "deep" / "back.txt").write_text("")
        (context / "sub" / "gone.txt").write_text("")
        (context / "link").symlink_to("kept ü.txt")
        (context / "loop").symlink_to("loop")
        os.mkfifo(context / "fifo")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
            listening.bind(str(context / "sock"))
            events, _ = build(subject, context, name)
        found = [event.text for event in events if isinstance(event, LogLine)]
        assert found == sorted(
            [".", "./.dockerignore", "./kept ü.txt", "./link", "./loop", "./sub", "./sub/deep", "./sub/deep/back.txt"]
        )

    @pytest.mark.parametrize(
        ("lines", "says", "hints"),
        [
            (("FOO bar",), "unknown instruction", None),
            (("COPY nothing /",), "nothing", ".dockerignore"),
            (("RUN --mount=type=cache,target=/x true",), "BuildKit", "buildkit"),
        ],
    )
    def test_bad_dockerfile(
        self,
        subject: builder.Builder,
        folder: Callable[..., Path],
        name: str,
        lines: tuple[str, ...],
        says: str,
        hints: str | None,
    ) -> None:
        with pytest.raises(BuildError, match=f"^Image build failed: .*{says}") as caught:
            build(subject, folder(*lines), name)
        assert (hints or "") in (caught.value.hint or "")

    def test_unreadable_folder(self, subject: builder.Builder, tmp_path: Path, name: str) -> None:
        with pytest.raises(ContextError, match="is not a folder"):
            build(subject, tmp_path / "nothing", name)
        with pytest.raises(BuildError, match=r"there is no Dockerfile"):
            build(subject, tmp_path, name)

    def test_base_that_does_not_exist(
        self, subject: builder.Builder, folder: Callable[..., Path], name: str, registry_http: Registry
    ) -> None:
        base = f"{registry_http.host}/nothing:1"
        with pytest.raises(BuildError, match=r"^Image build failed") as caught:
            build(subject, folder(base=base), name)
        assert f"check the name of base image {base}" in str(caught.value.hint)
        with pytest.raises(BuildError) as caught:
            collect(subject.resolve_base(BaseRequest(base, None, False), CancelToken()))
        assert f"check the name of base image {base}" in str(caught.value.hint)


class TestCancel:
    @pytest.mark.parametrize("how", ["token", "close", "interrupt"])
    def test_in_the_middle_of_a_step(
        self, subject: builder.Builder, client: APIClient, folder: Callable[..., Path], name: str, how: str
    ) -> None:
        _, old = build(subject, folder(f"RUN echo {secrets.token_hex(4)}"), name)
        seconds = f"{1000 + secrets.randbelow(8000)}.{secrets.randbelow(10**6):06d}"
        cancel = CancelToken()
        stream = subject.stream_build(request_for(folder(f"RUN echo go; exec sleep {seconds}"), name), cancel)
        for event in stream:
            if isinstance(event, LogLine) and event.text == "go":
                break
        wait_until(lambda: arguments_with(seconds))
        if how == "token":
            threading.Timer(0.3, cancel.set).start()
            with pytest.raises(Cancelled):
                list(stream)
        elif how == "interrupt":
            threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                list(stream)
        else:
            stream.close()
        wait_until(lambda: not arguments_with(seconds))
        wait_until(lambda: client.containers(all=True) == [])
        assert client.inspect_image(name)["Id"] == old.image_id

    def test_before_it_starts(self, subject: builder.Builder, folder: Callable[..., Path], name: str) -> None:
        cancel = CancelToken()
        cancel.set()
        with pytest.raises(Cancelled):
            list(subject.stream_build(request_for(folder(), name), cancel))


class TestPublish:
    def test_login_push_pull_run(
        self,
        subject: builder.Builder,
        client: APIClient,
        folder: Callable[..., Path],
        name: str,
        registry_tls: Registry,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        trust(registry_tls, monkeypatch, tmp_path)
        nonce = secrets.token_hex(8)
        img = f"{registry_tls.host}/me/{name}:1"
        subject.build(img, str(folder(f'CMD ["echo", "{nonce}"]')))
        with pytest.raises(RegistryUnauthorized, match=r"^Image push failed: ") as caught:
            subject.publish(img)
        host = registry_tls.host
        assert caught.value.hint == f"log in, since no login is known: buildr login {host}"
        login(registry_tls)
        try:
            result = subject.publish(img)
            found = keychain.find(registry_tls.host)
            with contextlib.closing(RegistryClient(registry_tls.host, found, ca=registry_tls.ca)) as asked:
                assert asked.digest(f"me/{name}", "1") == result.digest
                manifest = asked.manifest(f"me/{name}", "1")
            assert manifest.config_digest == result.image_id
            assert result.size_bytes == manifest.size_bytes
            assert result.size_bytes is not None
            assert result.unpacked_bytes is not None
            assert 0 < result.size_bytes < result.unpacked_bytes
            assert result.pushed == (img,)

            client.remove_image(img, force=True)
            digest = collect(subject.resolve_base(BaseRequest(img, None, False), CancelToken()))[1].digest
            assert digest == result.digest
        finally:
            assert keychain.logout(registry_tls.host)
        container = client.create_container(img)["Id"]
        try:
            client.start(container)
            assert client.wait(container)["StatusCode"] == 0
            assert client.logs(container) == f"{nonce}\n".encode()
        finally:
            client.remove_container(container, force=True)

    def test_of_three_tags_one(
        self, subject: builder.Builder, folder: Callable[..., Path], name: str, registry_http: Registry
    ) -> None:
        repository = f"{registry_http.host}/{name}"
        build(subject, folder("COPY x /", **SMALL), *(f"{repository}:{tag}" for tag in ("latest", "two", "three")))
        events, result = collect(subject.stream_push(ImageRef.parse(repository), CancelToken()))
        with contextlib.closing(RegistryClient(registry_http.host)) as asked:
            assert asked.digest(name, "latest") == result.digest
            assert [asked.digest(name, tag) for tag in ("two", "three")] == [None, None]
        moved = {event.item: event.status for event in events if isinstance(event, TransferUpdate)}
        assert set(moved.values()) <= {"done", "exists", "mounted"}
        assert moved
        _, again = collect(subject.stream_push(ImageRef.parse(repository), CancelToken()))
        assert again.digest == result.digest

    def test_push_as_an_output(
        self, subject: builder.Builder, folder: Callable[..., Path], name: str, registry_http: Registry
    ) -> None:
        ref = ImageRef.parse(f"{registry_http.host}/{name}:out")
        _, result = build(subject, folder("COPY x /", **SMALL), name, outputs=(Push(ref),))
        with contextlib.closing(RegistryClient(registry_http.host)) as asked:
            assert asked.digest(name, "out") == result.digest
        assert result.pushed == (str(ref),)
        assert result.size_bytes

    def test_wrong_password(
        self, subject: builder.Builder, folder: Callable[..., Path], name: str, registry_tls: Registry
    ) -> None:
        img = f"{registry_tls.host}/{name}:1"
        subject.build(img, str(folder("COPY x /", **SMALL)))
        keychain.login(registry_tls.host, "alice", "no")
        try:
            with pytest.raises(RegistryUnauthorized) as caught:
                subject.publish(img)
            assert "login that was sent is refused" in str(caught.value.hint)
        finally:
            keychain.logout(registry_tls.host)

    def test_denied(self, subject: builder.Builder, folder: Callable[..., Path], name: str) -> None:
        def refuse(handler: Any) -> bool:
            """Refuse the manifest alone: where a layer is refused, this engine asks five times, in 50 s."""
            if handler.command != "PUT" or "/manifests/" not in handler.path:
                return False
            error = {"code": "DENIED", "message": "requested access to the resource is denied"}
            handler.answer(403, json.dumps({"errors": [error]}).encode(), [("Content-Type", "application/json")])
            return True

        with FakeRegistry() as registry:
            registry.rule = refuse
            img = f"{registry.host}/{name}:1"
            subject.build(img, str(folder("COPY x /", **SMALL)))
            with pytest.raises(RegistryDenied, match=r"^Image push failed: "):
                subject.publish(img)

    def test_down(self, subject: builder.Builder, folder: Callable[..., Path], name: str) -> None:
        img = f"127.0.0.1:9/{name}:1"
        subject.build(img, str(folder("COPY x /", **SMALL)))
        with pytest.raises(RegistryUnreachable) as caught:
            subject.publish(img)
        assert "127.0.0.1:9" in str(caught.value.hint)

    def test_unknown_certificate(
        self, subject: builder.Builder, folder: Callable[..., Path], name: str, registry_untrusted: Registry
    ) -> None:
        img = f"{registry_untrusted.host}/{name}:1"
        subject.build(img, str(folder("COPY x /", **SMALL)))
        with pytest.raises(RegistryCertificate) as caught:
            subject.publish(img)
        assert f"certs.d/{registry_untrusted.host}" in str(caught.value.hint)

    def test_nothing_to_push(self, subject: builder.Builder, name: str, registry_http: Registry) -> None:
        with pytest.raises(PublishError, match="does not exist locally") as caught:
            subject.publish(f"{registry_http.host}/{name}:1")
        assert "build the image first" in str(caught.value.hint)


def test_base_that_the_engine_alone_has(subject: builder.Builder, client: APIClient, base_image: str) -> None:
    _, known = collect(subject.resolve_base(BaseRequest(base_image, None, False), CancelToken()))
    assert known.digest == client.inspect_image(base_image)["Id"]
    assert collect(subject.resolve_base(BaseRequest("scratch", None, False), CancelToken())) == (
        [],
        ResolvedBase("scratch"),
    )


def test_steps_are_said_as_they_begin(subject: builder.Builder, folder: Callable[..., Path], name: str) -> None:
    stream = subject.stream_build(request_for(folder("RUN sleep 1.5"), name, no_cache=True), CancelToken())
    seen = {}
    for event in stream:
        if isinstance(event, StepUpdate):
            seen[event.step, event.status] = time.monotonic()
    assert seen["2", "done"] - seen["2", "running"] > 1.4


def wait_until(holds: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_engine_is_described(client: APIClient) -> None:
    info = engine.describe(client)
    assert (info.name, info.os, info.buildkit, info.podman) == ("Docker Engine", "linux", True, False)
    assert info.free_bytes
