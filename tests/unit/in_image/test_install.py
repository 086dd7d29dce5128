"""The install step with a base's settings: the packages are where the program looks, or it says why not."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from buildr_jupyter.builder.engine_errors import build_error
from buildr_jupyter.in_image import install

PYTHON = getattr(sys, "_base_executable", sys.executable)
SCRIPT = Path(install.__file__)


def wheel(folder: Path, name: str, version: str, requires: str = "") -> Path:
    """Write a wheel of one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(text)}\n")
    files[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """A folder as the install step has it: a package, and another that it needs."""
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "buildr_outer", "1.0", "buildr_inner")
    wheel(tmp_path / "wheels", "buildr_inner", "2.0")
    (tmp_path / "requirements.txt").write_text("buildr_outer==1.0\n")
    (tmp_path / "home").mkdir()
    return tmp_path


def run(step: Path, python: str = PYTHON, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {"environment": {"PIP_NO_INDEX": "1"}}
    packed = "buildr:" + base64.b64encode(zlib.compress(json.dumps(settings).encode())).decode()
    environment = {"PATH": os.environ["PATH"], "HOME": str(step / "home"), "FTP_PROXY": packed, **variables}
    return subprocess.run(
        [python, str(SCRIPT), str(step / "venv"), "b:1"],
        cwd=step,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def program(step: Path, **variables: str) -> str:
    """Run a program as the image does: the base's variables, and another home."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **variables}
    code = "import buildr_outer, buildr_inner; print(buildr_outer.VERSION, buildr_inner.VERSION)"
    done = subprocess.run(
        [str(step / "venv/bin/python"), "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


# Each of a row would be seen by itself, so that one installation does for all of them.
SETTINGS: list[dict[str, str]] = [
    {"PIP_USER": "1", "PIP_NO_DEPS": "1", "PIP_CONSTRAINT": "{step}/none.txt", "PIP_PYTHON": "/nonexistent"},
    {"PIP_TARGET": "{step}/elsewhere", "PIP_DRY_RUN": "1", "pip_user": "1"},
    {"PIP_PREFIX": "{step}/elsewhere", "PIP_ROOT": "{step}/elsewhere"},
    {"PYTHONUSERBASE": "{step}/user", "PIP_USER": "1", "PIP_PLATFORM": "win32", "PIP_REPORT": "{step}/report.json"},
    {"PYTHONHOME": sys.base_prefix, "PYTHONNOUSERSITE": "1", "PYTHONOPTIMIZE": "2", "VIRTUAL_ENV": "/nonexistent"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ",".join(settings))
def test_a_base_with_settings_of_its_own(step: Path, settings: dict[str, str]) -> None:
    variables = {name: value.replace("{step}", str(step)) for name, value in settings.items()}
    done = run(step, **variables)
    assert done.returncode == 0, done.stderr
    assert program(step, **variables) == "1.0 2.0"
    assert not (step / "elsewhere").exists()


FILES = [
    ("[global]\nuser = true\n[install]\nno-deps = true\n", "home/.config/pip/pip.conf"),
    ("[install]\ntarget = {step}/elsewhere\n[global]\nroot = {step}/elsewhere\n", "home/.pip/pip.conf"),
    ("[global]\nprefix = {step}/elsewhere\n[install]\ndry-run = true\n", "PIP_CONFIG_FILE"),
]


@pytest.mark.parametrize(("text", "place"), FILES, ids=[place for _, place in FILES])
def test_a_base_with_a_file_of_pip(step: Path, text: str, place: str) -> None:
    path = step / ("own.conf" if place == "PIP_CONFIG_FILE" else place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace("{step}", str(step)))
    variables = {"PIP_CONFIG_FILE": str(path)} if place == "PIP_CONFIG_FILE" else {}
    done = run(step, **variables)
    assert done.returncode == 0, done.stderr
    assert program(step, **variables) == "1.0 2.0"


def test_where_packages_come_from_counts(step: Path) -> None:
    (step / "wheels").rename(step / "shelf")
    (step / "home/.config/pip").mkdir(parents=True)
    (step / "home/.config/pip/pip.conf").write_text(
        f"[global]\nfind-links =\n  /nonexistent\n  {step}/shelf\nuser = true\n"
    )
    done = run(step)
    assert done.returncode == 0, done.stderr
    assert program(step) == "1.0 2.0"


def test_packages_that_only_roots_home_has(step: Path) -> None:
    """They are not in the image's environment: pip must not count them."""
    site = subprocess.run(
        [PYTHON, "-m", "site", "--user-site"],
        env={"HOME": str(step / "home")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    Path(site).mkdir(parents=True)
    with zipfile.ZipFile(wheel(step, "buildr_inner", "2.0")) as archive:
        archive.extractall(site)
    assert run(step).returncode == 0
    assert program(step) == "1.0 2.0"


def test_a_base_that_has_another_version_in_front(step: Path) -> None:
    (step / "old").mkdir()
    with zipfile.ZipFile(wheel(step, "buildr_inner", "1.5")) as archive:
        archive.extractall(step / "old")
    done = run(step, PYTHONPATH=str(step / "old"))
    assert done.returncode == 1
    assert "does not let its Python find buildr-inner (PYTHONPATH)" in done.stderr
    assert program(step, PYTHONPATH=str(step / "old")) == "1.0 1.5", "the control: it is so"


def test_no_pip_and_no_wheel_of_it(
    step: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(step)
    real = install.succeeds
    monkeypatch.setattr(install, "succeeds", lambda command, env: "venv" in command and real(command, env))
    assert install.main(str(step / "venv"), "b-nopip:1") == 1
    version = "{}.{}".format(*sys.version_info[:2])
    said = capsys.readouterr().err
    assert said == f"buildr: base b-nopip:1 has no pip: take one with pip, or --base python:{version}-slim\n"


@pytest.mark.skipif(importlib.util.find_spec("ensurepip") is None, reason="this Python was shipped without pip")
def test_no_pip_but_the_wheel_of_it(step: Path) -> None:
    """A Python that was shipped with pip's wheel needs no pip installed."""
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(step / "bare")], check=True)
    environment = install.plain({"PATH": os.environ["PATH"]})
    found = install.find_pip(str(step / "bare/bin/python"), environment)
    assert found[1].endswith(".whl/pip")
    assert install.succeeds([*found, "list"], environment)
    path = install.write_certificates("MINE", str(step), found, environment)
    text = Path(path).read_text()
    assert "BEGIN CERTIFICATE" in text
    assert text.endswith("MINE")


def test_what_it_says_is_the_builds_error() -> None:
    tail = (
        "#7 0.31 Looking in links",
        "#7 0.4 buildr: base reg:5000/b:1 has no pip: take one with pip, or --base python:3.11-slim",
    )
    error = build_error("process did not complete: exit code: 1", step="RUN", exit_code=1, tail=tail)
    assert str(error) == "Image build failed: base reg:5000/b:1 has no pip"
    assert error.hint == "take one with pip, or --base python:3.11-slim"
