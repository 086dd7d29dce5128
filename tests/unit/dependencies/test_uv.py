"""uv asked for wheels: settings that leave no trace, and what it says when there is none."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
import threading
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.dependencies import uv as wheels
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.plan import FileEntry


def packed(**environment: str) -> dict[str, str]:
    content = json.dumps({"environment": environment, "certificates": ""}).encode()
    return {"FTP_PROXY": "buildr:" + base64.b64encode(zlib.compress(content)).decode()}


def wheel(name: str = "demo", tag: str = "py3-none-any") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{name}/__init__.py", "x = 1\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(
            f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
        )
    return out.getvalue()


def install(folder: Path, *pins: str, cancel: CancelToken | None = None, **options: Any) -> Path:
    folder.mkdir(exist_ok=True)
    return wheels.install(
        pins, options.pop("files", ()), folder, python="3.11", platform=options.pop("platform", "linux/arm64"),
        build_args=options.pop("build_args", {}), cancel=cancel or CancelToken(), **options,
    )  # fmt: skip


def test_a_wheel_of_the_plan_is_installed_without_any_index(tmp_path: Path) -> None:
    files = (FileEntry.from_bytes("wheels/demo-1.0-py3-none-any.whl", wheel()),)
    site = install(
        tmp_path / "w", "./wheels/demo-1.0-py3-none-any.whl", files=files, build_args=packed(PIP_NO_INDEX="1")
    )
    assert (site / "demo" / "__init__.py").read_text() == "x = 1\n"


def test_uv_gets_neither_this_environment_nor_the_settings_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canary is a uv.toml above the folder and an index in the environment; a look at uv itself shows it works."""
    links = tmp_path / "links"
    links.mkdir()
    (links / "demo-1.0-py3-none-any.whl").write_bytes(wheel())
    (tmp_path / "uv.toml").write_text(f'find-links = ["{links}"]\nno-index = true\n')
    monkeypatch.setenv("MY_SECRET", "s3cret")
    control = subprocess.run(
        [wheels._uv(), "pip", "install", "--target", str(tmp_path / "t"), "demo"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert control.returncode == 0, control.stderr
    with pytest.raises(BuildError):
        install(tmp_path / "w", "demo==1.0", build_args=packed(PIP_NO_INDEX="1"))
    environment, _ = wheels._settings({}, tmp_path)
    assert "MY_SECRET" not in environment
    assert set(environment) <= {*wheels._PASSED, *(name for name in environment if name.startswith("LC_"))}


def test_only_a_source_is_refused_with_those_that_can(tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    with tarfile.open(links / "demo-1.0.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("demo-1.0/PKG-INFO")
        content = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    arguments = packed(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(links))
    with pytest.raises(BuildRefused) as caught:
        install(tmp_path / "w", "demo==1.0", build_args=arguments)
    assert "docker, buildkit" in str(caught.value.hint)
    with pytest.raises(BuildError) as other:
        install(tmp_path / "v", "nothing==1.0", build_args=arguments)
    assert "nothing" in str(other.value)


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64/v8"])
@pytest.mark.parametrize("musl", [True, False])
def test_wheels_are_for_the_bases_processor_and_c_library(platform: str, musl: bool, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for machine in ("x86_64", "aarch64"):
        for library in ("manylinux_2_17", "musllinux_1_2"):
            tag = f"cp311-cp311-{library}_{machine}"
            (links / f"demo-1.0-{tag}.whl").write_bytes(wheel(tag=tag))
    arguments = packed(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(links))
    site = install(tmp_path / "w", "demo==1.0", build_args=arguments, platform=platform, musl=musl)
    machine = {"linux/amd64": "x86_64", "linux/arm64/v8": "aarch64"}[platform]
    library = "musllinux_1_2" if musl else "manylinux_2_17"
    said = (site / "demo-1.0.dist-info" / "WHEEL").read_text()
    assert said.splitlines()[-1] == f"Tag: cp311-cp311-{library}_{machine}"
    (links / f"demo-1.0-cp311-cp311-{library}_{machine}.whl").unlink()
    with pytest.raises(BuildRefused, match="a package has no wheel for this platform"):
        install(tmp_path / "v", "demo==1.0", build_args=arguments, platform=platform, musl=musl)


def test_an_unknown_platform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildRefused, match="linux/s390x"):
        install(tmp_path / "w", "demo", platform="linux/s390x")


def test_no_login_is_repeated_and_a_cancel_ends_it(tmp_path: Path) -> None:
    import socket

    cancel = CancelToken()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        threading.Timer(1.0, cancel.set).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            install(
                tmp_path / "w", "demo==1.0", cancel=cancel,
                build_args=packed(PIP_INDEX_URL=f"http://me:hush@{host}/simple"),
            )  # fmt: skip
        assert time.monotonic() - started < 10
    with pytest.raises(BuildError) as caught:
        install(tmp_path / "v", "demo==1.0", build_args=packed(PIP_INDEX_URL="http://me:hush@127.0.0.1:9/simple"))
    assert "hush" not in str(caught.value) + repr(caught.value.log_tail)
