"""KanikoBuilder with an executor in a container of an engine that answers as Docker's does; its pod is tested apart."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.kaniko.executor import CONTEXT, HOME, MADE
from buildr_jupyter.builder.kaniko_builder import IMAGE, KanikoBuilder
from buildr_jupyter.errors import (
    BuildError,
    ContextError,
    EngineUnavailable,
    RegistryUnauthorized,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.model.capabilities import BaseRequest, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CONTENT_LABEL, CustomDockerfile, ImagePlan
from buildr_jupyter.model.request import INTERPRETER_BASE, Archive, BuildRequest, EngineLoad, Layout, Push, Secret
from buildr_jupyter.oci.image import CONFIG, MANIFEST, digest_of
from buildr_jupyter.registry.keychain import Login
from tests.fakes import bases
from tests.fakes.containers import Container, Containers
from tests.fakes.engine import FakeEngine, lines_of
from tests.fakes.registry import FakeRegistry
from tests.runner_contract import collected

EXECUTOR = "kaniko:1"
DIGEST = "sha256:" + "d" * 64
SAID = [
    ("stderr", b'{"level":"info","msg":"Retrieving image manifest base:1"}\n'),
    ("stderr", b'{"level":"info","msg":"RUN echo hello"}\n'),
    ("stdout", b"hello\n"),
]
PLAN = ImagePlan(
    base="scratch", python="", dockerfile=CustomDockerfile("FROM scratch\n", (("A", "plan"), ("B", "plan")))
)
Start = Callable[..., tuple[Containers, FakeEngine, KanikoBuilder]]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an engine whose containers are the executor; give these, the engine, and a builder."""
    engines = []

    def made(
        *, login: Login | None = None, leaves: dict[str, bytes] | None = None, push: bytes = b"", **told: Any
    ) -> tuple[Containers, FakeEngine, KanikoBuilder]:
        after = {f"{MADE}/{name}": content for name, content in (leaves or {"digest": DIGEST.encode()}).items()}
        containers = Containers(**{"output": SAID, "after": after, **told})
        images = {EXECUTOR: {"Id": "sha256:executor", "RepoDigests": []}}
        engine = FakeEngine(containers=containers, images=images, push=push)
        engine.__enter__()
        engines.append(engine)
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        return containers, engine, KanikoBuilder(EXECUTOR, find_login=lambda _: login)

    yield made
    for engine in engines:
        engine.__exit__()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as made:
        yield made


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nRUN echo hello\n")
    return tmp_path / "context"


REF = ImageRef.parse("127.0.0.1:1/team/app:1")


def request(context: Path, **more: Any) -> BuildRequest:
    return BuildRequest(context, (REF,), **{"outputs": (Push(REF),), **more})


def build(subject: KanikoBuilder, wanted: BuildRequest) -> tuple[list[Any], Any]:
    return collected(subject.stream_build(wanted, CancelToken()))


def sent(container: Container, folder: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(container.sent[folder])) as tar:
        return {one.name: stream.read() for one in tar if (stream := tar.extractfile(one))}


# -- what is here


def test_what_is_here(start: Start, tmp_path: Path) -> None:
    _, _, subject = start()
    assert subject.probe().startswith(f"{EXECUTOR}, ")
    executable = tmp_path / "executor"
    with pytest.raises(EngineUnavailable, match=f"there is no {executable}") as caught:
        KanikoBuilder(str(executable)).probe()
    assert caught.value.hint == "give it: --builder kaniko=FILE, or an image"
    executable.touch()
    assert KanikoBuilder.of(str(executable)).probe() == str(executable)
    assert KanikoBuilder().executor == IMAGE


def test_where_images_go_by_themselves() -> None:
    assert KanikoBuilder().capabilities().in_engine
    assert not KanikoBuilder("/opt/executor").capabilities().in_engine
    assert not KanikoBuilder().capabilities().pushes_while_building


@pytest.mark.parametrize(
    ("more", "refused"),
    [
        ({}, []),
        ({"platforms": ("linux/amd64", "linux/arm64")}, ["several platforms"]),
        ({"secrets": (Secret("s", variable="S"),)}, ["build secrets"]),
        ({"ssh": (("default", None),)}, ["ssh agents"]),
        ({"cache_from": ("x:1",)}, ["--cache-from and --cache-to"]),
        ({"dockerfile": "Heredoc"}, ["here-documents"]),
        ({"plan": ImagePlan(base=INTERPRETER_BASE, python="3.11")}, ["--base kernel"]),
        ({"outputs": ()}, ["a build that goes nowhere"]),
    ],
)
def test_what_it_cannot_do(context: Path, more: dict[str, Any], refused: list[str]) -> None:
    (context / "Heredoc").write_text("FROM scratch\nRUN <<EOF\necho hello\nEOF\n")
    assert [one.what for one in KanikoBuilder().unsupported(request(context, **more))] == refused


def resolved(subject: KanikoBuilder, name: str) -> ResolvedBase:
    found: ResolvedBase = collected(subject.resolve_base(BaseRequest(name), CancelToken()))[1]
    return found


def test_a_base_is_what_its_registry_says(registry: FakeRegistry) -> None:
    subject = KanikoBuilder(find_login=lambda _: None)
    bases.put(registry)
    digest = next(one for _, one in registry.manifests if one.startswith("sha256:"))
    name = f"{registry.host}/base/x:1"
    assert resolved(subject, name) == ResolvedBase(name, digest)
    asked = len(registry.requests)
    assert resolved(subject, "scratch") == ResolvedBase("scratch")
    assert resolved(subject, f"x@{DIGEST}") == ResolvedBase(f"x@{DIGEST}", DIGEST)
    assert len(registry.requests) == asked
    with pytest.raises(BuildError, match="kaniko takes bases from registries only"):
        resolved(subject, f"{registry.host}/base/x:2")
    with pytest.raises(BuildError, match="127.0.0.1:1"):
        resolved(subject, "127.0.0.1:1/base:1")


# -- builds


def pushed(registry: FakeRegistry, content: str | None = None) -> ImageRef:
    """Have the registry hold what the executor pushed; return its name."""
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []},
                         "config": {"Labels": {CONTENT_LABEL: content} if content else {}}}).encode()  # fmt: skip
    registry.blobs[digest_of(config)] = config
    described = {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)}
    registry.put("team/app", "1", {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []})
    return ImageRef.parse(f"{registry.host}/team/app:1")


def test_a_build_that_pushes(start: Start, context: Path, registry: FakeRegistry) -> None:
    login = Login(registry.host, "me", "word")
    containers, _, subject = start(login=login)
    ref = pushed(registry)
    events, result = build(subject, request(context, outputs=(Push(ref),), plan=PLAN, build_args={"B": "own"},
                                            labels={"l": "v"}, target="last", platforms=("linux/arm64",)))  # fmt: skip
    manifest = next(one for (_, key), (_, one) in registry.manifests.items() if key == "1")
    assert (result.digest, result.pushed, result.builder) == (digest_of(manifest), (str(ref),), "kaniko")
    assert result.image_id == json.loads(manifest)["config"]["digest"]
    assert (result.tags, result.content_digest, result.cached) == ((str(REF),), PLAN.content_digest, False)
    assert [step.title for step in result.steps if step.title.startswith("RUN")] == ["RUN echo hello"]
    assert "hello" in [event.text for event in events if isinstance(event, LogLine)]
    (made,) = containers.made
    arguments = made.given["Cmd"]
    assert {"--force", "--log-format=json", f"--context=dir://{CONTEXT}", f"--dockerfile={CONTEXT}/Dockerfile",
            f"--digest-file={MADE}/digest", "--build-arg=A", "--build-arg=B", "--label=l=v", "--target=last",
            "--custom-platform=linux/arm64", f"--destination={ref}", f"--insecure-registry={registry.host}"} <= set(
        arguments
    )  # fmt: skip
    assert not [one for one in arguments if one.startswith(("--no-push", "--tar-path", "--registry-map"))]
    assert {"A=plan", "B=own"} <= set(made.given["Env"]), "values can be read by every user of the machine"
    assert made.given["HostConfig"]["NetworkMode"] == "host", "a registry of this machine"
    assert list(json.loads(sent(made, "/")[f"{HOME[1:]}/config.json"])["auths"]) == [registry.host]
    assert sent(made, CONTEXT)["Dockerfile"] == (context / "Dockerfile").read_bytes()
    assert containers.all == {}


def test_a_build_without_logins_and_with_a_network(start: Start, context: Path, registry: FakeRegistry) -> None:
    containers, _, subject = start()
    build(subject, request(context, outputs=(Push(pushed(registry)),), network="none"))
    (made,) = containers.made
    assert (made.given["HostConfig"]["NetworkMode"], "/" in made.sent) == ("none", False)


def test_the_same_content_is_not_built_again(start: Start, context: Path, registry: FakeRegistry) -> None:
    containers, _, subject = start()
    ref = pushed(registry, PLAN.content_digest)
    _, result = build(subject, request(context, plan=PLAN, outputs=(Push(ref),)))
    assert (result.cached, result.pushed, containers.made) == (True, (str(ref),), [])
    for more in ({"no_cache": True}, {"pull": True}):
        assert not build(subject, request(context, plan=PLAN, outputs=(Push(ref),), **more))[1].cached
    pushed(registry, "sha256:" + "0" * 64)
    assert not build(subject, request(context, plan=PLAN, outputs=(Push(ref),)))[1].cached
    assert len(containers.made) == 3


def test_an_archive_and_the_image_id_in_it(start: Start, context: Path, tmp_path: Path) -> None:
    saved = bases.save(tmp_path / "saved.tar").read_bytes()
    containers, _, subject = start(leaves={"digest": DIGEST.encode(), "image.tar": saved})
    target = tmp_path / "new" / "image.tar"
    _, result = build(subject, request(context, outputs=(Archive(target),)))
    assert (result.archive, target.read_bytes(), result.digest) == (target, saved, DIGEST)
    assert result.image_id == "sha256:c", "the name of the config in the archive"
    arguments = containers.made[0].given["Cmd"]
    assert {"--no-push", f"--tar-path={MADE}/image.tar", f"--destination={REF}"} <= set(arguments)
    assert list(target.parent.iterdir()) == [target]


def test_a_layout(start: Start, context: Path, tmp_path: Path) -> None:
    containers, _, subject = start(leaves={"digest": DIGEST.encode(), "layout/oci-layout": b"{}"})
    _, result = build(subject, request(context, outputs=(Layout(tmp_path / "l"),)))
    assert (tmp_path / "l" / "oci-layout").read_bytes() == b"{}"
    assert result.archive == tmp_path / "l"
    assert f"--oci-layout-path={MADE}/layout" in containers.made[0].given["Cmd"]
    with pytest.raises(BuildError, match="is not empty") as caught:
        build(subject, request(context, outputs=(Layout(tmp_path / "l"),)))
    assert caught.value.hint == "name an empty folder, or a new one"


@pytest.mark.parametrize(
    ("leaves", "why"),
    [({"other": b""}, "ended well without a digest"), ({"digest": DIGEST.encode()}, "ended well without an archive")],
)
def test_an_end_without_what_was_asked_for_is_no_success(
    start: Start, context: Path, tmp_path: Path, leaves: dict[str, bytes], why: str
) -> None:
    _, _, subject = start(leaves=leaves)
    with pytest.raises(BuildError, match=why):
        build(subject, request(context, outputs=(EngineLoad(), Archive(tmp_path / "a.tar"))))
    assert not (tmp_path / "a.tar").exists()


def test_a_failing_step(start: Start, context: Path) -> None:
    output = [
        *SAID,
        ("stderr", b"error building image: error building stage: waiting for process to exit: exit status 7\n"),
    ]
    containers, _, subject = start(output=output, exit_code=1)
    with pytest.raises(BuildError, match="exit status 7") as caught:
        build(subject, request(context))
    assert (caught.value.step, caught.value.exit_code, caught.value.log_tail) == ("RUN echo hello", 7, ("hello",))
    assert containers.all == {}


@pytest.mark.parametrize("word", [None, "word"])
def test_a_registry_that_refuses(start: Start, context: Path, word: str | None) -> None:
    output = [
        *SAID,
        ("stderr", f'{{"level":"info","msg":"Pushing image to {REF}"}}\n'.encode()),
        ("stderr", b"error pushing image: unauthorized: authentication required\n"),
    ]
    _, _, subject = start(output=output, exit_code=1, login=Login(REF.registry_host, "me", word) if word else None)
    with pytest.raises(RegistryUnauthorized) as caught:
        build(subject, request(context))
    assert "127.0.0.1:1" in str(caught.value.hint)
    assert ("the login that was sent is refused" in str(caught.value.hint)) is (word is not None)


def test_a_context_that_is_no_folder(start: Start, tmp_path: Path) -> None:
    containers, _, subject = start()
    with pytest.raises(ContextError, match="is not a folder"):
        build(subject, request(tmp_path / "gone"))
    assert containers.made == []


# -- pushes


def test_a_push_out_of_the_engine(start: Start) -> None:
    said = lines_of([{"status": "pushing"}, {"aux": {"Tag": "1", "Digest": DIGEST, "Size": 740}}])
    _, engine, subject = start(push=said)
    engine.images[str(REF)] = {"Id": "sha256:" + "a" * 64, "RepoTags": [str(REF)]}
    _, result = collected(subject.stream_push(REF, CancelToken()))
    assert (result.builder, result.digest, result.pushed) == ("kaniko", DIGEST, (str(REF),))
    assert engine.asked("/push") == [{"tag": ["1"]}]
