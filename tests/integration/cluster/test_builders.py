"""The builders whose pods are in the cluster: kaniko's executor, and a buildkitd."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from kubernetes import client

from buildr_jupyter import cli
from buildr_jupyter.builder.protocol import Builder
from buildr_jupyter.builder.selection import select
from buildr_jupyter.context import folder as context
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled, ClusterForbidden, RegistryUnauthorized
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan, image_labels
from buildr_jupyter.model.request import BuildRequest, Push, RunSpec
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.client import Registry as RegistryClient
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.engines.gotools import tool
from tests.engines.kubernetes import Cluster, images
from tests.engines.kubernetes.builder_images import push
from tests.engines.registry import Registry
from tests.fakes.processes import arguments_with
from tests.integration.cluster.bare import Bare
from tests.integration.cluster.builders import inside, left_in, prune
from tests.integration.cluster.conftest import namespace
from tests.runner_contract import collected, text_of


@pytest.fixture(scope="session")
def base(kubernetes_cluster: Cluster, registry_http: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base with a shell in the open registry."""
    ref = f"{registry_http.host}/tests/builders-base:1"
    push(images.make_busybox("builders-base"), ref, tmp_path_factory.mktemp("base"), registry_http)
    return ref


class Bench:
    """A builder in a namespace of its own, and what it is asked for."""

    def __init__(self, name: str, bare: Bare, base: str, registry: Registry, folder: Path) -> None:
        self.name, self.bare, self.base, self.registry, self.folder = name, bare, base, registry, folder
        self.aliases: tuple[tuple[str, str], ...] = ((registry.host, inside(registry)),)

    def builder(self) -> Builder:
        return select(f"{self.name}=kubernetes=tests/{self.bare.namespace}")

    def steps(self, *lines: str, registry: Registry | None = None, base: str | None = None) -> BuildRequest:
        """Return a request that pushes what these lines make on top of the base."""
        base = base or self.base
        plan = ImagePlan(base=base, python="", dockerfile=CustomDockerfile("\n".join((f"FROM {base}", *lines)) + "\n"))
        made = context.write_folder(plan, self.folder / secrets.token_hex(4))
        (made / "hello.txt").write_text("hello from the context\n")
        ref = ImageRef.parse(f"{(registry or self.registry).host}/tests/{self.name}:{secrets.token_hex(4)}")
        return BuildRequest(
            made, (ref,), plan=plan, outputs=(Push(ref),), labels=dict(image_labels(plan)),
            registry_aliases=self.aliases,
        )  # fmt: skip

    def prune(self) -> str:
        return prune(self.bare)

    def left(self) -> list[str]:
        return left_in(self.bare)


@pytest.fixture(params=["kaniko", "buildkit"])
def bench(
    request: pytest.FixtureRequest,
    bare: Bare,
    kubernetes_cluster: Cluster,
    base: str,
    registry_http: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    """Each builder in a namespace that has nothing of it afterwards; a buildkitd that stays is pruned."""
    name = request.param
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
    monkeypatch.setenv(f"BUILDR_{name.upper()}_IMAGE", request.getfixturevalue(f"{name}_image"))
    if name == "buildkit":
        monkeypatch.setenv("PATH", f"{tool('buildctl').parent}:{os.environ['PATH']}")
    made = Bench(name, bare, base, registry_http, tmp_path)
    yield made
    made.prune()
    assert made.left() == []


def build(subject: Builder, request: BuildRequest) -> tuple[list[Event], BuildResult]:
    return collected(subject.stream_build(request, CancelToken()))


def text(events: list[Event]) -> str:
    return "".join(f"{event.text}\n" for event in events if isinstance(event, LogLine))


def run_it(bench: Bench, ref: str) -> str:
    """Run an image in the cluster by its digest; return what it wrote."""
    runner = KubernetesRunner(f"kubernetes=tests/{bench.bare.namespace}")
    spec = RunSpec(ref, f"run-{secrets.token_hex(4)}", args=())
    events, result = collected(runner.stream_run(spec, CancelToken()))
    assert result.exit_code == 0, text_of(events)
    return text_of(events)


def test_build_push_and_run(bench: Bench) -> None:
    request = bench.steps("COPY hello.txt /hello.txt", "RUN echo made; echo made > /made.txt", "USER 1000",
                          'ENTRYPOINT ["cat", "/hello.txt", "/made.txt"]')  # fmt: skip
    events, result = build(bench.builder(), request)
    (ref,) = request.refs
    assert result.pushed == (str(ref),)
    assert result.digest
    assert result.image_id
    assert "made" in text(events).split()
    assert any(step.title.endswith("COPY hello.txt /hello.txt") for step in result.steps)
    assert run_it(bench, f"{ref.name}@{result.digest}") == "hello from the context\nmade\n"
    if bench.name == "buildkit":  # the daemon is there for the next build, and its steps with it
        (kept,) = bench.bare.list(bench.bare.batch.list_namespaced_job)
        again = bench.steps("COPY hello.txt /hello.txt", "RUN echo made; echo made > /made.txt")
        events, result = build(bench.builder(), again)
        assert result.cached
        assert [kept["metadata"]["name"]] == [
            one["metadata"]["name"] for one in bench.bare.list(bench.bare.batch.list_namespaced_job)
        ]
        assert bench.prune() == "removed 0 runs from the cluster, and 1 buildkitd\n"


def test_the_lines_options_reach_the_builder(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a notebook to the registry: who builds, where it is pushed, and what the cluster calls that."""
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))
    dockerfile = f'FROM {bench.base}\nRUN echo from a pod > /made\nUSER 1000\nCMD ["cat", "/made"]\n'
    (tmp_path / "Dockerfile").write_text(dockerfile)
    cell = nbformat.v4.new_code_cell("%%containerize tea\nprint(6 * 7)")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "n.ipynb")
    line = [
        "build", str(tmp_path / "n.ipynb"), "--builder", f"{bench.name}=kubernetes=tests/{bench.bare.namespace}",
        "--publish", "--repository", f"{bench.registry.host}/{bench.name}", "--dockerfile", str(tmp_path / "Dockerfile"),
        "--registry-alias", f"{bench.registry.host}={inside(bench.registry)}", "--base", bench.base,
    ]  # fmt: skip
    status = cli.main(line)
    said = capsys.readouterr()
    assert status == 0, said.err
    with contextlib.closing(RegistryClient(bench.registry.host)) as registry:
        digest = registry.digest(f"{bench.name}/tea", "latest")
    assert run_it(bench, f"{bench.registry.host}/{bench.name}/tea@{digest}") == "from a pod\n"


def test_a_failing_step_is_the_headline(bench: Bench) -> None:
    line = "RUN echo before; echo 'ModuleNotFoundError: no tea' >&2; exit 7"
    request = bench.steps(line, "RUN echo never")
    with pytest.raises(BuildError) as caught:
        build(bench.builder(), request)
    error = caught.value
    assert str(error) == "Image build failed: ModuleNotFoundError: no tea"
    assert error.exit_code == 7
    assert str(error.step).endswith(line)
    assert "before" in error.log_tail


def test_a_base_that_does_not_exist_is_named(bench: Bench) -> None:
    request = bench.steps("RUN true", base=f"{bench.registry.host}/tests/no-such:1")
    with pytest.raises(BuildError, match="no-such"):
        build(bench.builder(), request)


def test_a_cancelled_build_ends_in_the_cluster(bench: Bench) -> None:
    seconds = f"{1000 + secrets.randbelow(8000)}.{secrets.randbelow(10**6):06d}"
    request = bench.steps(f"RUN echo begun; exec sleep {seconds}")
    cancel = CancelToken()
    stream = bench.builder().stream_build(request, cancel)
    with pytest.raises(Cancelled):
        for event in stream:
            if isinstance(event, LogLine) and event.text == "begun":
                threading.Thread(target=cancel.set).start()
    if bench.name == "kaniko":  # a buildkitd stays for the next build, and so may end the step a moment later
        assert bench.left() == []
    bench.bare.until(lambda: not arguments_with(seconds))


@contextlib.contextmanager
def logged_in(registry: Registry, user: str | None, password: str) -> Iterator[None]:
    keychain.login(registry.host, str(user), password)
    try:
        yield
    finally:
        keychain.logout(registry.host)


def test_a_login_goes_by_a_secret_of_the_build(bench: Bench, registry_login: Registry) -> None:
    bench.aliases += ((registry_login.host, inside(registry_login)),)
    request = replace(bench.steps("RUN echo here", registry=registry_login), build_args={"TOKEN": "tea-and-cake"})
    stream = bench.builder().stream_build(request, CancelToken())
    seen = ""
    with logged_in(registry_login, registry_login.user, str(registry_login.password)):
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                result = end.value
                break
            if isinstance(event, LogLine) and event.text == "here":
                made = [*bench.bare.list(bench.bare.batch.list_namespaced_job), *bench.bare.pods()]
                seen = json.dumps(made, default=str)
                kept = bench.bare.list(bench.bare.core.list_namespaced_secret)
                owners = [one["metadata"]["ownerReferences"][0]["kind"] for one in kept]
                assert owners == (["Job"] if bench.name == "kaniko" else [])  # buildctl gives them when it is asked
    assert result.digest
    assert inside(registry_login) in seen
    assert "tea-and-cake" not in seen
    assert str(registry_login.password) not in seen


def test_wrong_credentials_are_told_as_such(bench: Bench, registry_login: Registry) -> None:
    bench.aliases += ((registry_login.host, inside(registry_login)),)
    request = bench.steps("RUN echo here", registry=registry_login)
    with logged_in(registry_login, registry_login.user, "wrong"), pytest.raises(RegistryUnauthorized) as caught:
        build(bench.builder(), request)
    assert caught.value.hint == (
        f"log in, since the login that was sent is refused: buildr login {registry_login.host}"
    )


def test_pod_security_that_refuses_the_pod_is_told(
    bench: Bench, administrator: client.ApiClient, kubernetes_cluster: Cluster
) -> None:
    with namespace(administrator, **{"pod-security.kubernetes.io/enforce": "restricted"}) as strict:
        other = Bench(bench.name, strict, bench.base, bench.registry, bench.folder)
        with pytest.raises(BuildRefused, match='violates PodSecurity "restricted:latest"') as caught:
            build(other.builder(), other.steps("RUN true"))
        assert strict.namespace in str(caught.value)
        assert other.left() == []
    assert "pod-security.kubernetes.io/enforce" in str(caught.value.hint)


def test_a_right_that_is_missing_is_named(
    bench: Bench, account: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    way = "attach" if bench.name == "kaniko" else "portforward"
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "patch", "delete"]}]
    monkeypatch.setenv("KUBECONFIG", str(account("little", rules)))
    with pytest.raises(ClusterForbidden, match=f"create, get pods/{way}") as caught:
        select(f"{bench.name}=kubernetes").probe()  # type: ignore[attr-defined]
    assert f"in namespace {bench.bare.namespace!r}" in str(caught.value)
    with pytest.raises(ClusterForbidden, match="patch secrets" if bench.name == "kaniko" else "list pods"):
        build(select(f"{bench.name}=kubernetes"), bench.steps("RUN true"))
    bench.bare.until(lambda: not bench.left())  # who may not list pods does not see when they are gone
