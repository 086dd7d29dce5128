"""buildctl's command line, and what the end of its output means."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.buildkit.buildctl import DaemonLost, build_command, failure_of
from buildr_jupyter.builder.buildkit.progress import BuildkitStream
from buildr_jupyter.builder.buildkit.proto import StatusResponse, Vertex, VertexLog
from buildr_jupyter.errors import BuildError, EngineUnavailable, PublishError, RegistryDenied, RegistryUnauthorized
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import Archive, BuildRequest, EngineLoad, Layout, Push, Secret

REF = ImageRef.parse("reg.example/me/x:1")


def made(request: BuildRequest, **options: Any) -> list[str]:
    given = {"command": ["buildctl"], "dockerfile": False, "agents": {}, "index_secret": None, "epoch": "0", **options}
    return build_command(request, Path("/scratch"), **given)


def values(command: list[str], flag: str) -> list[str]:
    return [command[place + 1] for place, word in enumerate(command) if word == flag]


def test_the_least() -> None:
    assert made(BuildRequest(Path("/ctx"), (REF,), outputs=())) == [
        "buildctl", "build", "--progress=rawjson", "--frontend", "dockerfile.v0", "--local", "context=/ctx",
        "--local", "dockerfile=/ctx", "--metadata-file", "/scratch/metadata.json", "--opt", "filename=Dockerfile",
        "--opt", "build-arg:SOURCE_DATE_EPOCH=0", "--output", "type=image,name=reg.example/me/x:1,push=false",
    ]  # fmt: skip


def test_all_of_it(tmp_path: Path) -> None:
    other = ImageRef.parse("reg.example/me/x:2")
    request = BuildRequest(
        Path("/ctx"), (REF, other), dockerfile="sub/D", no_cache=True, pull=True, target="t", network="host",
        platforms=("linux/amd64", "linux/arm64"), build_args={"A": "", "SOURCE_DATE_EPOCH": "7"}, labels={"l": "a,b"},
        secrets=(Secret("f", Path("/a,b")), Secret("e", variable="E"), Secret("plain")),
        cache_from=("reg/c:1", "type=local,src=/c"), cache_to=("type=inline",),
        outputs=(Push(REF), Push(other), Archive(tmp_path / "new" / "a.tar"), Layout(tmp_path / "l")),
    )  # fmt: skip
    command = made(request, dockerfile=True, agents={"default": "/agent"}, index_secret="i", epoch="3")
    assert values(command, "--local") == ["context=/ctx", "dockerfile=/scratch"]
    assert values(command, "--opt") == [
        "filename=sub/D", "target=t", "platform=linux/amd64,linux/arm64", "image-resolve-mode=pull",
        "force-network-mode=host", "build-arg:SOURCE_DATE_EPOCH=7", "build-arg:A=", "label:l=a,b",
    ]  # fmt: skip
    assert values(command, "--secret") == [
        'id=f,"src=/a,b"',
        "id=e,env=E",
        "id=plain,env=plain",
        "id=i,env=BUILDR_INDEX",
    ]
    assert values(command, "--ssh") == ["default=/agent"]
    assert values(command, "--import-cache") == ["type=registry,ref=reg/c:1", "type=local,src=/c"]
    assert values(command, "--export-cache") == ["type=inline"]
    assert values(command, "--allow") == ["network.host"]
    assert "--no-cache" in command
    names = "reg.example/me/x:1,reg.example/me/x:2"
    assert values(command, "--output") == [
        f'type=image,"name={names}",push=true', f'type=oci,"name={names}",dest={tmp_path}/new/a.tar',
        f'type=oci,tar=false,"name={names}",dest={tmp_path}/l',
    ]  # fmt: skip
    assert (tmp_path / "new").is_dir()
    one = made(BuildRequest(Path("/ctx"), (REF,), outputs=(EngineLoad(), Archive(tmp_path / "a.tar"))))
    assert [output.partition(",")[0] for output in values(one, "--output")] == [
        "type=image",
        "type=docker",
        "type=docker",
    ]


def failing(*said: str, status: int = 1, state: BuildkitStream | None = None, push: tuple[str, ...] = ()) -> Any:
    return failure_of(
        said, status, state or BuildkitStream({}, count()), address="unix:///b", bases=["reg/base:1"], push_hosts=push
    )


def failed(name: str, error: str = "exit code: 7") -> BuildkitStream:
    state = BuildkitStream({}, count())
    state.feed(StatusResponse([Vertex("a", "[1/2] FROM x", started=1.0, completed=2.0)]))
    state.feed(StatusResponse(logs=[VertexLog("b", None, 1, b"last words\n")]))
    state.feed(StatusResponse([Vertex("b", name, started=1.0, completed=2.0, error=error)]))
    return state


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (('error: failed to list workers: Unavailable: connection error: desc = "transport: Error while dialing: '
         'dial unix /b: connect: no such file or directory"'), "BUILDKIT_HOST"),
        (('error: failed to list workers: Unavailable: connection error: desc = "transport: authentication handshake '
         'failed: tls: failed to verify certificate: x509: certificate signed by unknown authority"'), "BUILDKIT_CERT_PATH"),
        ('error: failed to list workers: Unavailable: connection error: desc = "error reading server preface: EOF"',
         "BUILDKIT_CERT_PATH"),
    ],
)  # fmt: skip
def test_no_daemon(said: str, hint: str) -> None:
    error = failing('time="…" level=warning', said)
    assert isinstance(error, EngineUnavailable)
    assert str(error).startswith("no buildkitd at unix:///b: ")
    assert hint in str(error.hint)


def test_a_failing_step() -> None:
    said = ("Dockerfile:3", "--------------------", "   2 |     RUN a", "   3 | >>> RUN b", "--------------------",
            'error: failed to solve: process "/bin/sh -c b" did not complete successfully: exit code: 7')  # fmt: skip
    error = failing(*said, state=failed("[2/2] RUN b"))
    assert isinstance(error, BuildError)
    assert str(error) == (
        'Image build failed: failed to solve: process "/bin/sh -c b" did not complete successfully: exit code: 7'
    )
    assert (error.step, error.exit_code, error.log_tail) == ("RUN b", 7, ("last words",))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "error: failed to solve: failed to push h/x:1: authorization failed: no basic auth credentials",
            RegistryUnauthorized,
        ),
        (
            "error: failed to solve: failed to push h/x:1: server message: insufficient_scope: authorization failed",
            RegistryDenied,
        ),
        ("error: failed to solve: failed to push h/x:1: unexpected status from PUT: 418", PublishError),
    ],
)
def test_a_push_that_fails(said: str, kind: type[PublishError]) -> None:
    error = failing(said, push=("h",), state=failed("pushing h/x:1 with docker"))
    assert isinstance(error, kind)
    assert str(error).startswith("Image push failed: ")


def test_a_base_that_is_not_there() -> None:
    state = failed("[internal] load metadata for reg/base:1", "not found")
    error = failing("error: failed to solve: reg/base:1: failed to resolve source metadata: not found", state=state)
    assert isinstance(error, BuildError)
    assert "check the name of base image reg/base:1" in str(error.hint)


def test_other_ends() -> None:
    assert "was killed by signal 9" in str(failing(status=-9))
    assert "ended with 3" in str(failing(status=3))
    running = BuildkitStream({}, count())
    running.feed(StatusResponse([Vertex("a", "[1/2] RUN x", started=1.0)]))
    error = failing(
        "error: failed to receive status: rpc error: code = Unavailable: error reading from server: EOF", state=running
    )
    assert "the connection to buildkitd at unix:///b broke off" in str(error)
    assert isinstance(error, DaemonLost)
    assert str(error.hint).startswith("build it again")
    assert error.step == "RUN x"
