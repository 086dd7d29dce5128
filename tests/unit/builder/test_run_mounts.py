"""What a build sees only while it runs is read once, and an error names it without showing it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildr_jupyter.builder.run_mounts import INDEX_SECRET, index_settings, mounted, read_secrets, ssh_agents
from buildr_jupyter.context.dockerfile import render_dockerfile
from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.plan import ImagePlan, Requirement
from buildr_jupyter.model.request import BuildRequest, Secret

LIMIT = 500_000


def test_secrets_from_files_and_variables(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\x00\xffkey\n")
    wanted = [Secret("file", tmp_path / "key"), Secret("TOKEN"), Secret("other", variable="TOKEN")]
    assert read_secrets(wanted, {"TOKEN": "tökén"}) == {
        "file": b"\x00\xffkey\n",
        "TOKEN": "tökén".encode(),
        "other": "tökén".encode(),
    }


def test_a_variable_that_is_no_utf_8_has_the_bytes_of_the_environment() -> None:
    assert read_secrets([Secret("T")], {"T": os.fsdecode(b"caf\xe9")}) == {"T": b"caf\xe9"}


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        (Secret("t", Path("/nowhere/key")), "--secret id=t: '/nowhere/key' cannot be read: No such file or directory"),
        (Secret("t", variable="NONE"), "--secret id=t: there is no environment variable NONE"),
        (Secret("big"), f"--secret id=big: a secret holds at most {LIMIT} bytes"),
    ],
    ids=lambda value: getattr(value, "id", "says"),
)
def test_one_that_cannot_be_had_is_named_and_not_shown(secret: Secret, says: str) -> None:
    with pytest.raises(OptionError) as caught:
        read_secrets([secret], {"big": "s3cr3t" * LIMIT})
    assert str(caught.value) == says
    assert "s3cr3t" not in f"{caught.value!r}{caught.value.hint}"


def test_the_largest_secret_is_taken() -> None:
    assert len(read_secrets([Secret("big")], {"big": "x" * LIMIT})["big"]) == LIMIT


def test_agents(tmp_path: Path) -> None:
    sockets = [tmp_path / "one", tmp_path / "two"]
    for path in sockets:
        path.touch()
    wanted = [("default", None), ("other", str(sockets[1]))]
    assert ssh_agents(wanted, {"SSH_AUTH_SOCK": str(sockets[0])}) == {
        "default": str(sockets[0]),
        "other": str(sockets[1]),
    }
    with pytest.raises(OptionError, match="--ssh default: no ssh agent runs here"):
        ssh_agents([("default", None)], {})
    with pytest.raises(OptionError, match="--ssh x: there is no agent at '/nowhere'"):
        ssh_agents([("x", "/nowhere")], {})


@pytest.mark.parametrize("secrets", [False, True])
def test_only_the_install_step_gets_mounts(secrets: bool) -> None:
    plan = ImagePlan(base="python:3.12-slim", python="3.12", requirements=(Requirement("numpy==2.0"),))
    before = render_dockerfile(plan).splitlines()
    after = mounted(render_dockerfile(plan), secrets=secrets).splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    ((old, new),) = changed
    assert old.startswith('RUN ["python3", "install.py", ')
    options = [word for word in new.split() if word.startswith("--mount=")]
    assert len(options) == 1 + secrets
    assert (f"--mount=type=secret,id={INDEX_SECRET}" in options) is secrets
    assert " ".join(word for word in new.split() if not word.startswith("--mount=")) == old


def test_a_dockerfile_without_such_a_step_stays_as_it_is() -> None:
    assert mounted("FROM scratch\nRUN make\n", secrets=True) == "FROM scratch\nRUN make\n"


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [({}, b""), ({"FTP_PROXY": "ftp://proxy"}, b""), ({"FTP_PROXY": "buildr:eJx"}, b"buildr:eJx")],
)
def test_a_users_own_proxy_is_no_settings(arguments: dict[str, str], settings: bytes) -> None:
    assert index_settings(BuildRequest(Path(), (), build_args=arguments)) == settings
