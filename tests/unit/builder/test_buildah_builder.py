"""BuildahBuilder over a command that answers as buildah does: what it is given, and what becomes of its output."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.buildah_builder import INSTALL, BuildahBuilder
from buildr_jupyter.errors import (
    BuildError,
    Cancelled,
    ContextError,
    EngineError,
    EngineUnavailable,
    EngineVersion,
    PublishError,
    RegistryUnauthorized,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import LogLine, TransferUpdate
from buildr_jupyter.model.capabilities import BaseRequest, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CONTENT_LABEL, CustomDockerfile, ImagePlan
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import INTERPRETER_BASE, Archive, BuildRequest, Layout, Push, Secret
from buildr_jupyter.registry.keychain import Login
from tests.fakes.command import Answer, FakeCommand
from tests.runner_contract import collected

IMAGE_ID = "ab" * 32
DIGEST = "sha256:" + "d" * 64
REF = ImageRef.parse("127.0.0.1:1/team/app:1")
VERSION = Answer("buildah version 1.33.7 (image-spec 1.1.0, runtime-spec 1.1.0)\n")
BUILT = Answer(
    "STEP 1/2: FROM base:1\nSTEP 2/2: RUN echo hello\nhello\nCOMMIT team/app:1\n",
    "Getting image source signatures\nCopying blob 0123456789ab done\n",
    writes={"--iidfile": f"sha256:{IMAGE_ID}"},
)
KNOWN = Answer(json.dumps({"FromImageID": IMAGE_ID, "FromImageDigest": DIGEST,
                           "OCIv1": {"os": "linux", "architecture": "amd64"}}))  # fmt: skip
GONE = Answer(err="Error: inspecting image: base:1: image not known\n", status=125)

Make = Callable[..., tuple[FakeCommand, BuildahBuilder]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(login: Login | None = None, **answers: Answer) -> tuple[FakeCommand, BuildahBuilder]:
        told = {
            "__version": VERSION,
            "images": Answer("null"),
            "bud": BUILT,
            "inspect": KNOWN,
            "tag": Answer(),
            **answers,
        }
        fake = FakeCommand(tmp_path / "bin", "buildah", **told)
        return fake, BuildahBuilder(fake.path, find_login=lambda _: login)

    return made


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM base:1\nRUN echo hello\n")
    return tmp_path / "context"


def request(context: Path, **more: Any) -> BuildRequest:
    return BuildRequest(context, (REF,), **{"outputs": (), **more})


PLAN = ImagePlan(base="base:1", python="", dockerfile=CustomDockerfile("FROM base:1\n", (("A", "plan"), ("B", "plan"))))


# -- what is here


def test_what_is_here(make: Make) -> None:
    fake, subject = make()
    assert (subject.version, subject.probe()) == ((1, 33), f"{fake.path} 1.33")
    assert [call.arguments for call in fake.calls] == [["--version"]], "it is asked once"
    assert subject.capabilities().in_engine is False
    assert BuildahBuilder.of("/opt/bin/buildah").command == "/opt/bin/buildah"


@pytest.mark.parametrize(
    ("said", "why", "hint"),
    [
        ("buildah version 1.22.3\n", "buildah 1.22 is too old", "update it: 1.23 or newer works"),
        ("podman 4\n", "answers 'podman 4'", "give the path of buildah itself: --builder buildah=FILE"),
    ],
)
def test_one_that_will_not_do(make: Make, said: str, why: str, hint: str) -> None:
    _, subject = make(__version=Answer(said))
    with pytest.raises(EngineVersion, match=why) as caught:
        subject.probe()
    assert caught.value.hint == hint


def test_without_buildah(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        BuildahBuilder(str(tmp_path / "none")).probe()
    assert caught.value.hint == INSTALL


@pytest.mark.parametrize(
    ("version", "more", "refused"),
    [
        ("1.33.7", {}, []),
        ("1.33.7", {"platforms": ("linux/amd64", "linux/arm64")}, ["several platforms"]),
        ("1.33.7", {"platforms": ("linux/arm64",)}, []),
        ("1.33.7", {"cache_from": ("x:1",)}, ["--cache-from and --cache-to"]),
        ("1.33.7", {"cache_to": ("x:1",)}, ["--cache-from and --cache-to"]),
        ("1.33.7", {"plan": ImagePlan(base=INTERPRETER_BASE, python="3.11")}, ["--base kernel"]),
        ("1.33.7", {"dockerfile": "Heredoc"}, []),
        ("1.28.2", {"dockerfile": "Heredoc"}, ["here-documents"]),
    ],
)
def test_what_it_cannot_do(make: Make, context: Path, version: str, more: dict[str, Any], refused: list[str]) -> None:
    (context / "Heredoc").write_text("FROM base:1\nRUN <<EOF\necho hello\nEOF\n")
    _, subject = make(__version=Answer(f"buildah version {version}\n"))
    found = subject.unsupported(request(context, **more))
    assert [one.what for one in found] == refused
    assert all(one.builders for one in found)


# -- bases


def resolved(subject: BuildahBuilder, name: str, **more: Any) -> ResolvedBase:
    found: ResolvedBase = collected(subject.resolve_base(BaseRequest(name, **more), CancelToken()))[1]
    return found


def test_scratch_is_no_image(make: Make) -> None:
    fake, subject = make()
    assert resolved(subject, "scratch") == ResolvedBase("scratch")
    assert fake.calls == []


def test_a_base_that_is_there_is_not_pulled(make: Make) -> None:
    fake, subject = make()
    assert resolved(subject, "base") == ResolvedBase("base", DIGEST)
    assert resolved(subject, "base", platform="linux/amd64").digest == DIGEST
    assert [call.arguments for call in fake.calls] == [["inspect", "--type", "image", "base:latest"]] * 2
    fake.answer(inspect=Answer(json.dumps({"FromImageID": IMAGE_ID})))
    assert resolved(subject, "base").digest == IMAGE_ID, "one that no registry gave"


@pytest.mark.parametrize(
    ("more", "inspected", "options"),
    [
        ({}, GONE, []),
        ({"platform": "linux/arm64"}, KNOWN, ["--platform", "linux/arm64"]),
        ({"pull": True}, KNOWN, ["--policy", "always"]),
    ],
)
def test_a_base_is_pulled_where_it_is_not_the_one(
    make: Make, more: dict[str, Any], inspected: Answer, options: list[str]
) -> None:
    fake, subject = make(Login("docker.io", "me", "word"), inspect=inspected, pull=Answer(f"{IMAGE_ID}\n"))
    resolved(subject, "base:1", **more)
    (call,) = fake.of("pull")
    assert call.arguments[-1] == "docker.io/library/base:1"
    assert call.arguments[3:-1] == options
    (auth,) = call.values("--authfile")
    assert base64.b64encode(b"me:word").decode() in call.files[auth]


def test_a_base_that_is_nowhere(make: Make) -> None:
    said = (
        "Error: initializing source docker://base:1: reading manifest 1 in docker.io/library/base: manifest unknown\n"
    )
    _, subject = make(inspect=GONE, pull=Answer(err=said, status=125))
    with pytest.raises(BuildError, match="base:1"):
        resolved(subject, "base:1")


# -- builds


def test_a_build_says_what_it_does_and_what_came_of_it(make: Make, context: Path) -> None:
    fake, subject = make()
    events, result = collected(subject.stream_build(request(context, plan=PLAN), CancelToken()))
    assert (result.image, result.image_id, result.cached, result.builder, result.tags) == (
        str(REF), f"sha256:{IMAGE_ID}", False, "buildah", (str(REF),),
    )  # fmt: skip
    assert (result.content_digest, result.context) == (PLAN.content_digest, context)
    assert [(one.title, one.status) for one in result.steps] == [("FROM base:1", "done"), ("RUN echo hello", "done")]
    assert next(event.text for event in events if isinstance(event, LogLine)) == "hello"
    assert [event.item for event in events if isinstance(event, TransferUpdate)] == ["0123456789ab"]
    assert any(isinstance(event, StepUpdate) and event.status == "running" for event in events)
    (call,) = fake.of("bud")
    assert call.arguments[-1] == str(context)


def test_what_a_build_is_given(make: Make, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "very secret")
    fake, subject = make()
    wanted = request(
        context, plan=PLAN, build_args={"B": "own"}, labels={"a": "b"}, target="last", network="none", no_cache=True,
        platforms=("linux/arm64",), secrets=(Secret("token", variable="TOKEN"),),
    )  # fmt: skip
    collected(subject.stream_build(wanted, CancelToken()))
    (call,) = fake.of("bud")
    assert call.values("--file") == [str(context / "Dockerfile")]
    assert call.values("--tag") == [str(REF)]
    assert call.values("--build-arg") == ["A", "B"], "values can be read by every user of the machine"
    assert (call.environment["A"], call.environment["B"]) == ("plan", "own")
    assert call.values("--label") == ["a=b"]
    assert (call.values("--target"), call.values("--network"), call.values("--platform")) == (
        ["last"], ["none"], ["linux/arm64"],
    )  # fmt: skip
    assert {"--no-cache", "--layers", "--force-rm"} <= set(call.arguments)
    assert "--pull=always" not in call.arguments
    (secret,) = call.values("--secret")
    name, _, path = secret.partition(",src=")
    assert (name, call.files[path]) == ("id=token", "very secret")
    assert not Path(path).exists()
    assert "very secret" not in " ".join(call.arguments)
    assert call.environment["TMPDIR"] != ""


def test_newer_bases_and_a_chroot(make: Make, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    fake, subject = make()
    collected(subject.stream_build(request(context, pull=True), CancelToken()))
    assert {"--pull=always", "--cap-drop=CAP_SYS_CHROOT"} <= set(fake.of("bud")[0].arguments)


def test_a_base_of_a_local_registry_is_pulled_by_itself(make: Make, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM 127.0.0.1:1/base:1\n")
    fake, subject = make(inspect=GONE, pull=Answer())
    collected(subject.stream_build(request(context, pull=True), CancelToken()))
    (call,) = fake.of("pull")
    assert "--tls-verify=false" in call.arguments
    (build,) = fake.of("bud")
    assert "--tls-verify=false" not in build.arguments
    assert "--pull=always" not in build.arguments


def test_a_failing_step(make: Make, context: Path) -> None:
    said = 'Error: building at STEP "RUN false": while running runtime: exit status 3\n'
    _, subject = make(bud=Answer("STEP 1/2: FROM base:1\nSTEP 2/2: RUN false\nout\n", said, status=125))
    with pytest.raises(BuildError, match="exit status 3") as caught:
        collected(subject.stream_build(request(context), CancelToken()))
    assert (caught.value.step, caught.value.exit_code, caught.value.log_tail) == ("RUN false", 3, ("out",))


def test_an_end_without_a_word_or_an_image_is_no_success(make: Make, context: Path) -> None:
    fake, subject = make(bud=Answer(status=7))
    with pytest.raises(BuildError, match="buildah ended with status 7 and said nothing"):
        collected(subject.stream_build(request(context), CancelToken()))
    fake.answer(bud=Answer("STEP 1/1: FROM base:1\n"))
    with pytest.raises(BuildError, match="without an image id"):
        collected(subject.stream_build(request(context), CancelToken()))


def test_a_context_that_is_no_folder(make: Make, tmp_path: Path) -> None:
    fake, subject = make()
    with pytest.raises(ContextError, match="is not a folder"):
        collected(subject.stream_build(request(tmp_path / "gone"), CancelToken()))
    assert fake.calls == []


def test_a_cancelled_build_ends_the_command(make: Make, context: Path) -> None:
    _, subject = make(bud=Answer("STEP 1/2: FROM base:1\n", hangs=True))
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        for _ in subject.stream_build(request(context), cancel):
            cancel.set()


def test_the_same_content_is_not_built_again(make: Make, context: Path) -> None:
    listed = [{"id": "cd" * 32, "names": None}, {"id": IMAGE_ID, "names": ["other:1"]}]
    fake, subject = make(images=Answer(json.dumps(listed)))
    _, result = collected(subject.stream_build(request(context, plan=PLAN), CancelToken()))
    assert (result.cached, result.image_id) == (True, IMAGE_ID)
    assert fake.of("bud") == []
    assert fake.of("tag")[0].arguments == ["tag", IMAGE_ID, str(REF)]
    assert fake.of("images")[0].values("--filter") == [f"label={CONTENT_LABEL}={PLAN.content_digest}"]
    for more in ({"no_cache": True}, {"pull": True}, {"plan": None}):
        collected(subject.stream_build(request(context, **{"plan": PLAN, **more}), CancelToken()))
    assert (len(fake.of("bud")), len(fake.of("images"))) == (3, 1)


@pytest.mark.parametrize("listing", [Answer(err="a damaged image\n", status=1), Answer("")])
def test_a_listing_that_fails_is_no_reason_not_to_build(make: Make, context: Path, listing: Answer) -> None:
    fake, subject = make(images=listing)
    assert not collected(subject.stream_build(request(context, plan=PLAN), CancelToken()))[1].cached
    assert len(fake.of("bud")) == 1


# -- where the image goes


def pushes(digest: str = DIGEST) -> Answer:
    return Answer(err="Copying blob 0123456789ab done\n", writes={"--digestfile": f"{digest}\n"})


def test_a_push(make: Make) -> None:
    login = Login("127.0.0.1:1", "me", "word")
    fake, subject = make(login, push=pushes())
    events, result = collected(subject.stream_push(REF, CancelToken()))
    assert (result.digest, result.image_id, result.pushed) == (DIGEST, f"sha256:{IMAGE_ID}", (str(REF),))
    assert result.size_bytes is None, "the registry does not answer"
    assert next((event.item, event.verb) for event in events if isinstance(event, TransferUpdate)) == (
        "0123456789ab", "push",
    )  # fmt: skip
    (call,) = fake.of("push")
    assert call.arguments[-2:] == [str(REF), f"docker://{REF}"]
    assert "--tls-verify=false" in call.arguments
    assert base64.b64encode(b"me:word").decode() in call.files[call.values("--authfile")[0]]


@pytest.mark.parametrize(
    ("ref", "why", "hint"),
    [
        (f"x@{DIGEST}", "has no tag", "give a tag: a digest cannot be pushed"),
        ("x:1", "does not exist locally", "build the image first, with this builder"),
    ],
)
def test_what_cannot_be_pushed(make: Make, ref: str, why: str, hint: str) -> None:
    fake, subject = make(inspect=GONE)
    with pytest.raises(PublishError, match=why) as caught:
        collected(subject.stream_push(ImageRef.parse(ref), CancelToken()))
    assert caught.value.hint == hint
    assert fake.of("push") == []


def test_a_registry_that_refuses(make: Make) -> None:
    said = "Error: trying to reuse blob: unauthorized: authentication required\n"
    _, subject = make(push=Answer(err=said, status=125))
    with pytest.raises(RegistryUnauthorized):
        collected(subject.stream_push(REF, CancelToken()))


def test_an_inspection_that_fails_is_no_missing_image(make: Make) -> None:
    _, subject = make(inspect=Answer(err="Error: permission denied\n", status=125))
    with pytest.raises(EngineError, match="permission denied"):
        resolved(subject, "base:1")
    _, subject = make(inspect=Answer("no json"))
    with pytest.raises(EngineError, match="answers no JSON"):
        resolved(subject, "base:1")


def test_an_image_is_pushed_and_written_where_the_outputs_say(make: Make, context: Path, tmp_path: Path) -> None:
    fake, subject = make(push=pushes())
    other = ImageRef.parse("127.0.0.1:1/other:2")
    _, result = collected(subject.stream_build(request(context, outputs=(Push(other),)), CancelToken()))
    assert (result.pushed, result.digest) == ((str(other),), DIGEST)
    assert fake.of("tag")[-1].arguments[-1] == str(other)


def test_a_layout_that_is_there_is_added_to_and_another_folder_refused(
    make: Make, context: Path, tmp_path: Path
) -> None:
    layout = tmp_path / "layout"
    layout.mkdir()
    (layout / "other").touch()
    fake, subject = make(push=Answer())
    with pytest.raises(BuildError, match="is not empty and no OCI layout") as caught:
        collected(subject.stream_build(request(context, outputs=(Layout(layout),)), CancelToken()))
    assert caught.value.hint == "name an empty or a new one"
    (layout / "oci-layout").touch()
    _, result = collected(subject.stream_build(request(context, outputs=(Layout(layout),)), CancelToken()))
    assert result.archive == layout
    (call,) = fake.of("push")
    assert call.arguments[-2:] == [f"sha256:{IMAGE_ID}", f"oci:{layout}:1"]


def test_an_archive_is_written_beside_its_place(make: Make, context: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "image.tar"
    fake, subject = make(push=Answer(err="Error: no space left on device\n", status=125))
    with pytest.raises(PublishError, match="no space left"):
        collected(subject.stream_build(request(context, outputs=(Archive(target),)), CancelToken()))
    assert not target.exists()
    assert list(target.parent.iterdir()) == []
    made = fake.of("push")[0].arguments[-1]
    assert made.startswith("docker-archive:")
    assert made.endswith(f":{REF}")
    assert str(target) + ":" not in made
