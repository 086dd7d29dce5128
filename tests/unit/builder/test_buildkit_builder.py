"""BuildkitBuilder over a command that answers as buildctl does: what it is given, and what becomes of its output."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.buildkit.buildctl import BUILDCTL
from buildr_jupyter.builder.buildkit_builder import BuildkitBuilder
from buildr_jupyter.errors import (
    BuildError,
    Cancelled,
    ContextError,
    EngineUnavailable,
    OptionError,
    PublishError,
    RegistryDenied,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.model.capabilities import BaseRequest, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.request import INTERPRETER_BASE, Archive, BuildRequest, EngineLoad, Layout, Push, Secret
from buildr_jupyter.registry.keychain import Login
from tests.fakes import bases
from tests.fakes.command import Answer, FakeCommand
from tests.fakes.registry import FakeRegistry
from tests.runner_contract import collected

CAPTURE = (Path(__file__).parents[2] / "fakes" / "buildx-rawjson.jsonl").read_text()
IMAGE_ID, DIGEST = "sha256:" + "a" * 64, "sha256:" + "d" * 64
REF = ImageRef.parse("127.0.0.1:1/team/app:1")
TOLD = json.dumps({"containerimage.digest": DIGEST, "containerimage.config.digest": IMAGE_ID})
BUILT = Answer(err=CAPTURE, writes={"--metadata-file": TOLD})

Make = Callable[..., tuple[FakeCommand, BuildkitBuilder]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(
        address: str | None = "unix:///run/trial.sock",
        login: Login | None = None,
        environ: dict[str, str] | None = None,
        **answers: Answer,
    ) -> tuple[FakeCommand, BuildkitBuilder]:
        workers = Answer("ID\tPLATFORMS\nx\tlinux/amd64\n")
        fake = FakeCommand(tmp_path / "bin", "buildctl", **{"debug": workers, "build": BUILT, **answers})
        given = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **(environ or {})}
        return fake, BuildkitBuilder(address, command=fake.path, find_login=lambda _: login, environ=given)

    return made


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nARG TOKEN\nRUN echo hello\n")
    return tmp_path / "context"


def request(context: Path, **more: Any) -> BuildRequest:
    return BuildRequest(context, (REF,), **{"outputs": (), **more})


# -- what is here


@pytest.mark.parametrize(
    ("address", "environ", "title", "asked"),
    [
        ("unix:///a", {}, "unix:///a", ["--addr", "unix:///a"]),
        (None, {"BUILDKIT_HOST": "tcp://b:1"}, "tcp://b:1", ["--addr", "tcp://b:1"]),
        ("unix:///a", {"BUILDKIT_HOST": "tcp://b:1"}, "unix:///a", ["--addr", "unix:///a"]),
        (None, {}, "the default address", []),
        ("tcp://c:1", {"BUILDKIT_CERT_PATH": "/certs"}, "tcp://c:1", ["--addr", "tcp://c:1", "--tlsdir", "/certs"]),
    ],
)
def test_the_daemon_that_is_asked(
    make: Make, address: str | None, environ: dict[str, str], title: str, asked: list[str]
) -> None:
    fake, subject = make(address, environ=environ)
    assert subject.probe() == f"{title}, 1 worker"
    assert fake.calls[0].arguments == [*asked, "debug", "workers"]


def test_a_daemon_that_does_not_answer(make: Make) -> None:
    fake, subject = make(debug=Answer(err='error: failed to list workers: Unavailable: "no such file"\n', status=1))
    with pytest.raises(
        EngineUnavailable, match=r"no buildkitd answers at unix:///run/trial\.sock: no such file"
    ) as caught:
        subject.probe()
    assert caught.value.hint == "start one, or name it: --builder buildkit=ADDRESS"
    fake.answer(debug=Answer("ID\na\nb\n"))
    assert subject.probe().endswith(", 2 workers")


def test_without_the_command(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        BuildkitBuilder(command=str(tmp_path / "none")).probe()
    assert caught.value.hint == BUILDCTL


def test_what_it_does_by_itself() -> None:
    able = BuildkitBuilder.of("tcp://x:1").capabilities()
    assert (able.in_engine, able.pushes_while_building) == (False, True)
    assert BuildkitBuilder.of("tcp://x:1").address == "tcp://x:1"


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({}, []),
        (
            {"platforms": ("linux/amd64", "linux/arm64"), "outputs": (EngineLoad(),)},
            ["several platforms into an engine"],
        ),
        ({"platforms": ("linux/amd64", "linux/arm64"), "outputs": (Push(REF),)}, []),
        ({"plan": ImagePlan(base=INTERPRETER_BASE, python="3.11")}, ["--base kernel"]),
        ({"cache_to": ("type=s3,secret_access_key=abcdefghijklmnop1234",)}, ["a login for a cache"]),
        ({"cache_from": ("type=registry,ref=reg.example/c:1",)}, []),
    ],
)
def test_what_it_cannot_do(context: Path, more: dict[str, Any], refused: list[str]) -> None:
    assert [one.what for one in BuildkitBuilder().unsupported(request(context, **more))] == refused


# -- bases


def resolved(subject: BuildkitBuilder, name: str) -> ResolvedBase:
    found: ResolvedBase = collected(subject.resolve_base(BaseRequest(name), CancelToken()))[1]
    return found


def test_a_base_is_what_its_registry_says(make: Make) -> None:
    fake, subject = make()
    with FakeRegistry() as registry:
        bases.put(registry)
        name = f"{registry.host}/base/x:1"
        digest = next(one for _, one in registry.manifests if one.startswith("sha256:"))
        assert resolved(subject, name) == ResolvedBase(name, digest)
        with pytest.raises(BuildError, match="does not exist in its registry") as caught:
            resolved(subject, f"{registry.host}/base/x:2")
        assert caught.value.hint == "check its name and tag"
    assert resolved(subject, "scratch") == ResolvedBase("scratch")
    assert fake.calls == [], "the daemon is not asked"


def test_a_base_behind_a_login(make: Make) -> None:
    with FakeRegistry(auth="basic") as registry:
        bases.put(registry)
        name = f"{registry.host}/base/x:1"
        _, subject = make()
        with pytest.raises(BuildError, match=f"base image {name}") as caught:
            resolved(subject, name)
        assert caught.value.hint == f"log in to its registry: buildr login {registry.host}"
        _, subject = make(login=Login(registry.host, "u", "p"))
        assert resolved(subject, name).digest is not None


def test_a_base_that_only_the_daemon_reaches_may_be_there(make: Make) -> None:
    assert resolved(make()[1], "127.0.0.1:1/base:1") == ResolvedBase("127.0.0.1:1/base:1", None)


# -- builds


def test_a_build_says_what_it_does_and_what_came_of_it(make: Make, context: Path) -> None:
    fake, subject = make()
    events, result = collected(subject.stream_build(request(context), CancelToken()))
    assert (result.image, result.image_id, result.digest, result.builder) == (str(REF), IMAGE_ID, None, "buildkit")
    assert (result.tags, result.pushed, result.archive, result.context) == ((str(REF),), (), None, context)
    assert [event.text for event in events if isinstance(event, LogLine)] == ["hi", "l1", "l2", "l3"]
    assert "exporting to image" in [step.title for step in result.steps]
    assert not result.cached
    (call,) = fake.of("build")
    assert call.arguments[:4] == ["--addr", "unix:///run/trial.sock", "build", "--progress=rawjson"]
    assert call.values("--local") == [f"context={context}", f"dockerfile={context}"]
    assert "build-arg:SOURCE_DATE_EPOCH=0" in call.values("--opt")


def test_a_build_of_which_each_step_was_in_the_cache(make: Make, context: Path) -> None:
    done = {"started": "2026-11-23T04:25:51Z", "completed": "2026-11-23T04:25:51Z"}
    steps = [
        {"digest": "sha256:" + "1" * 64, "name": "[1/2] FROM base:1", **done},
        {"digest": "sha256:" + "2" * 64, "name": "[2/2] RUN echo hello", "cached": True, **done},
    ]
    said = Answer(err=json.dumps({"vertexes": steps}) + "\n", writes={"--metadata-file": TOLD})
    _, subject = make(build=said)
    assert collected(subject.stream_build(request(context), CancelToken()))[1].cached


def test_logins_are_in_a_file_for_this_build_alone(make: Make, context: Path) -> None:
    login = Login("127.0.0.1:1", "me", "word", namespace="team")
    fake, subject = make(login=login, environ={"SOURCE_DATE_EPOCH": "7"})
    _, result = collected(subject.stream_build(request(context, outputs=(Push(REF),)), CancelToken()))
    assert (result.pushed, result.digest) == ((str(REF),), DIGEST)
    (call,) = fake.of("build")
    ((path, said),) = [(path, text) for path, text in call.files.items() if path.endswith("docker/config.json")]
    assert json.loads(said)["auths"] == {"127.0.0.1:1": {"auth": base64.b64encode(b"me:word").decode()}}
    assert not Path(path).exists()
    assert call.values("--output") == [f"type=image,name={REF},push=true"]
    assert "build-arg:SOURCE_DATE_EPOCH=7" in call.values("--opt")


def test_a_secret_is_checked_before_anything_is_sent_and_never_an_argument(
    make: Make, context: Path, tmp_path: Path
) -> None:
    fake, subject = make(environ={"TOKEN": "very secret"})
    with pytest.raises(OptionError, match="GONE"):
        collected(subject.stream_build(request(context, secrets=(Secret("gone", variable="GONE"),)), CancelToken()))
    assert fake.of("build") == []
    collected(subject.stream_build(request(context, secrets=(Secret("token", variable="TOKEN"),)), CancelToken()))
    (call,) = fake.of("build")
    assert call.values("--secret") == ["id=token,env=TOKEN"]
    assert call.environment["TOKEN"] == "very secret"
    assert "very secret" not in " ".join(call.arguments)


def test_a_build_argument_with_a_credential_is_in_the_dockerfile_that_is_sent(make: Make, context: Path) -> None:
    (context / "Dockerfile.dockerignore").write_text("*.secret\n")
    fake, subject = make()
    secret = "ghp_" + "a1B2" * 9
    collected(subject.stream_build(request(context, build_args={"TOKEN": secret, "PLAIN": "x"}), CancelToken()))
    (call,) = fake.of("build")
    assert secret not in " ".join(call.arguments)
    assert "build-arg:PLAIN=x" in call.values("--opt")
    (folder,) = [one.partition("=")[2] for one in call.values("--local") if one.startswith("dockerfile=")]
    assert folder != str(context)
    assert secret in call.files[f"{folder}/Dockerfile"]
    assert call.files[f"{folder}/Dockerfile.dockerignore"] == "*.secret\n"
    assert secret not in (context / "Dockerfile").read_text()


def test_outputs_on_this_machine(make: Make, context: Path, tmp_path: Path) -> None:
    _, subject = make()
    _, result = collected(
        subject.stream_build(request(context, outputs=(Archive(tmp_path / "new" / "a.tar"),)), CancelToken())
    )
    assert result.archive == tmp_path / "new" / "a.tar"
    assert result.digest == DIGEST
    _, result = collected(subject.stream_build(request(context, outputs=(Layout(tmp_path / "l"),)), CancelToken()))
    assert result.archive == tmp_path / "l"


def test_a_failing_step(make: Make, context: Path) -> None:
    digest = "sha256:" + "2" * 64
    records = [
        {"vertexes": [{"digest": digest, "name": "[2/2] RUN false", "started": "2026-11-23T04:25:51Z"}]},
        {"logs": [{"vertex": digest, "stream": 1, "data": base64.b64encode(b"last words\n").decode(),
                   "timestamp": "2026-11-23T04:25:52Z"}]},
        {"vertexes": [{"digest": digest, "name": "[2/2] RUN false", "started": "2026-11-23T04:25:51Z",
                       "completed": "2026-11-23T04:25:52Z", "error": "exit code: 3"}]},
    ]  # fmt: skip
    said = "".join(json.dumps(one) + "\n" for one in records)
    said += 'error: failed to solve: process "/bin/sh -c false" did not complete successfully: exit code: 3\n'
    _, subject = make(build=Answer(err=said, status=1))
    with pytest.raises(BuildError, match="exit code: 3") as caught:
        collected(subject.stream_build(request(context), CancelToken()))
    assert (caught.value.step, caught.value.exit_code, caught.value.log_tail) == ("RUN false", 3, ("last words",))


def test_no_daemon_and_a_registry_that_refuses(make: Make, context: Path) -> None:
    _, subject = make(build=Answer(err="error: failed to dial: connection error: no such file\n", status=1))
    with pytest.raises(EngineUnavailable, match=r"no buildkitd at unix:///run/trial\.sock"):
        collected(subject.stream_build(request(context), CancelToken()))
    said = f"error: failed to solve: failed to push {REF}: push access denied: denied: no rights\n"
    _, subject = make(login=Login("127.0.0.1:1", "me", "word"), build=Answer(err=said, status=1))
    with pytest.raises(RegistryDenied):
        collected(subject.stream_build(request(context, outputs=(Push(REF),)), CancelToken()))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (None, "buildctl told no image id"),
        ("no json", "buildctl told no image id"),
        ("{}", "ended well and told no image id"),
        (json.dumps({"containerimage.digest": DIGEST}), "ended well and told no image id"),
    ],
)
def test_an_end_without_an_image_is_no_success(make: Make, context: Path, told: str | None, why: str) -> None:
    _, subject = make(build=Answer(err=CAPTURE, writes={} if told is None else {"--metadata-file": told}))
    with pytest.raises(BuildError, match=why):
        collected(subject.stream_build(request(context), CancelToken()))


def test_several_platforms_have_an_index_and_no_one_image_id(make: Make, context: Path) -> None:
    _, subject = make(build=Answer(writes={"--metadata-file": json.dumps({"containerimage.digest": DIGEST})}))
    wanted = request(context, platforms=("linux/amd64", "linux/arm64"), outputs=(Push(REF),))
    _, result = collected(subject.stream_build(wanted, CancelToken()))
    assert (result.image_id, result.digest, result.size_bytes) == (None, DIGEST, None)


def test_a_context_without_a_dockerfile(make: Make, context: Path, tmp_path: Path) -> None:
    fake, subject = make()
    with pytest.raises(ContextError, match="is not a folder"):
        collected(subject.stream_build(request(tmp_path / "gone"), CancelToken()))
    with pytest.raises(BuildError, match="there is no Other in") as caught:
        collected(subject.stream_build(request(context, dockerfile="Other"), CancelToken()))
    assert caught.value.hint == "write one, or name the folder that has it"
    assert fake.calls == []


def test_a_cancelled_build_ends_the_command(make: Make, context: Path) -> None:
    _, subject = make(build=Answer(err=CAPTURE, hangs=True))
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        for _ in subject.stream_build(request(context), cancel):
            cancel.set()


def test_a_record_longer_than_a_line_is_put_together(make: Make, context: Path) -> None:
    digest = "sha256:" + "2" * 64
    data = base64.b64encode(b"x" * 100_000 + b"\n").decode()
    records = [
        {"vertexes": [{"digest": digest, "name": "[2/2] RUN long", "started": "2026-11-23T04:25:51Z"}]},
        {"logs": [{"vertex": digest, "stream": 1, "data": data, "timestamp": "2026-11-23T04:25:52Z"}]},
    ]
    said = "".join(json.dumps(one) + "\n" for one in records)
    _, subject = make(build=Answer(err=said, writes={"--metadata-file": TOLD}))
    events, _ = collected(subject.stream_build(request(context), CancelToken()))
    assert sum(len(event.text) for event in events if isinstance(event, LogLine)) >= 60_000


# -- pushes


def test_a_push_sends_what_the_cache_has(make: Make, context: Path) -> None:
    fake, subject = make()
    collected(subject.stream_build(request(context, no_cache=True), CancelToken()))
    _, result = collected(subject.stream_push(REF, CancelToken()))
    assert (result.pushed, result.digest) == ((str(REF),), DIGEST)
    first, second = fake.of("build")
    assert "--no-cache" in first.arguments
    assert "--no-cache" not in second.arguments
    assert second.values("--output") == [f"type=image,name={REF},push=true"]


def test_what_was_not_built_here_cannot_be_pushed(make: Make) -> None:
    fake, subject = make()
    with pytest.raises(PublishError, match="does not exist locally") as caught:
        collected(subject.stream_push(REF, CancelToken()))
    assert caught.value.hint == "build it first, with this builder, or build with --publish: BuildKit keeps no images"
    assert fake.calls == []
