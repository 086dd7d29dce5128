"""The install step with a base's settings: the packages are where the program looks, or it says why not."""

from __future__ import annotations

import base64
import hashlib
import http.server
import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from uv import find_uv_bin

from buildr_jupyter.builder.engine_errors import build_error
from buildr_jupyter.in_image import install
from buildr_jupyter.oci import bytecode
from tests.engines import certificates
from tests.fakes import index

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


# -- uv, where a builder lends a folder

LENT = """
import json, sys
sys.path.insert(0, {place!r})
import install
install.CACHE = {cache!r}
install.INSTALLERS = set(install.packages([sys.executable, "-c", install.FOUND], install.plain(dict(install.os.environ))))
sys.exit(install.main({venv!r}, "b:1"))
"""
"""The step as in a builder that lends a folder, on a base that has nothing but what installs."""
REAL_UV = f'#!/bin/sh\nexec {find_uv_bin()} "$@"\n'.encode()


@contextmanager
def lent(
    step: Path, wheels: dict[str, bytes]
) -> Iterator[Callable[[], tuple[subprocess.CompletedProcess[str], list[str]]]]:
    """Give what runs the step with a lent folder and an index behind a login, and tells what was asked so far."""
    made = certificates.make(step / "certs")
    (step / "lent").mkdir()
    code = LENT.format(place=str(SCRIPT.parent), cache=str(step / "lent"), venv=str(step / "venv"))
    with index.serving(wheels, "reader", "pa55word", made.certificate, made.key) as (port, asked):
        address = f"https://reader:pa55word@127.0.0.1:{port}/simple"
        settings = {"environment": {"PIP_INDEX_URL": address}, "certificates": made.ca.read_text()}
        packed = "buildr:" + base64.b64encode(zlib.compress(json.dumps(settings).encode())).decode()
        environment = {"PATH": os.environ["PATH"], "HOME": str(step / "home"), "FTP_PROXY": packed}

        def run_it() -> tuple[subprocess.CompletedProcess[str], list[str]]:
            asked.clear()
            done = subprocess.run(
                [PYTHON, "-c", code], cwd=step, env=environment, capture_output=True, text=True, check=False
            )
            return done, list(asked)

        yield run_it


@pytest.fixture
def shelf(tmp_path: Path) -> dict[str, bytes]:
    """What an index has: two packages, one with a test and a file that does not compile."""
    (tmp_path / "requirements.txt").write_text("one==1.5\ntwo==1.5\n")
    (tmp_path / "home").mkdir()
    name, content = index.wheel("one", "1.5", "VALUE = 1\n")
    again = io.BytesIO(content)
    with zipfile.ZipFile(again, "a") as archive:
        archive.writestr("more/tests/test_it.py", "assert True\n")
        archive.writestr("more/trap.py", "def (:\n")
        archive.writestr("more/good.py", "X = 1\n")
    return dict([(name, again.getvalue()), index.wheel("two", "1.5", "VALUE = 2\n")])


def compiled(step: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in (step / "venv/lib").rglob("*.pyc")}


def test_uv_of_the_index_installs_where_a_folder_is_lent(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    """It is fetched once, the login goes to its host alone and stays nowhere; the bytecode is there, as oci makes it."""
    wheels = {**shelf, **dict([index.uv_wheel(REAL_UV)])}
    with lent(tmp_path, wheels) as run_it:
        for number in range(2):
            done, asked = run_it()
            assert done.returncode == 0, done.stdout + done.stderr
            assert "Installed 2 packages" in done.stderr
            assert "buildr:" not in done.stdout
            fetched = sorted({path.rpartition("/")[2].partition("-")[0] for path in asked if path.endswith(".whl")})
            assert fetched == (["one", "two", "uv"] if number == 0 else []), "the second time all is in the lent folder"
    assert compiled(tmp_path) == {"one", "two", "good"}
    kept = [path for path in tmp_path.glob("lent/**/*") if path.is_file()]
    assert kept
    told = done.stdout.encode() + done.stderr.encode() + b"".join(path.read_bytes() for path in kept)
    assert b"pa55word" not in told
    assert base64.b64encode(b"reader:pa55word") not in told
    pyc = next((tmp_path / "venv/lib").rglob("one.*.pyc")).read_bytes()
    assert pyc[4:8] == (1).to_bytes(4, "little"), "unchecked hash (PEP 552)"


def test_pip_installs_where_uv_fails(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    with lent(tmp_path, {**shelf, **dict([index.uv_wheel(b'#!/bin/sh\n[ "$1" = --version ]\n')])}) as run_it:
        done, _ = run_it()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "buildr: uv could not do it (status 1): pip tries" in done.stdout.splitlines()
    assert "Successfully installed one-1.5 two-1.5" in done.stdout
    assert compiled(tmp_path) == {"one", "two", "good"}
    assert "pa55word" not in done.stdout + done.stderr


def test_pip_installs_where_the_indexs_uv_is_for_another_machine(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    other = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x15\x00" + bytes(44)  # of a PowerPC
    with lent(tmp_path, {**shelf, **dict([index.uv_wheel(other)])}) as run_it:
        done, _ = run_it()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "buildr: uv cannot be had for this base from its index: pip installs" in done.stdout.splitlines()
    assert "Successfully installed one-1.5 two-1.5" in done.stdout


PYPIS = {
    "manylinux_2_17_x86_64.manylinux2014_x86_64", "musllinux_1_1_x86_64", "manylinux_2_28_aarch64",
    "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64", "manylinux_2_17_i686.manylinux2014_i686",
    "musllinux_1_1_armv7l", "macosx_11_0_arm64", "win_amd64",
}  # fmt: skip
"""The platforms of uv's wheels as its releases name them."""


@pytest.mark.parametrize(
    ("machine", "libc", "musl", "fitting"),
    [
        ("linux-x86_64", ("glibc", "2.36"), False, {"manylinux_2_17_x86_64.manylinux2014_x86_64"}),
        ("linux-x86_64", ("", ""), True, {"musllinux_1_1_x86_64"}),
        ("linux-x86_64", ("glibc", "2.5"), False, set()),
        ("linux-aarch64", ("glibc", "2.28"), False, {
            "manylinux_2_28_aarch64", "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        }),
        ("linux-aarch64", ("glibc", "2.17"), False, {
            "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
        }),
        ("linux-aarch64", ("", ""), True, {"manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64"}),
        ("linux-armv7l", ("", ""), True, {"musllinux_1_1_armv7l"}),
        ("linux-s390x", ("glibc", "2.36"), False, set()),
    ],
)  # fmt: skip
def test_uvs_wheel_is_the_one_of_the_bases_processor_and_c_library(
    machine: str, libc: tuple[str, str], musl: bool, fitting: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install.sysconfig, "get_platform", lambda: machine)
    monkeypatch.setattr(install.platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(install.glob, "glob", lambda _pattern: ["/lib/ld-musl-x.so.1"] if musl else [])
    assert {tags for tags in PYPIS if install.runs_here(tags)} == fitting


def test_what_is_nowhere_fails_in_pips_words(tmp_path: Path, shelf: dict[str, bytes]) -> None:
    (tmp_path / "requirements.txt").write_text("one==9\n")
    with lent(tmp_path, {**shelf, **dict([index.uv_wheel(REAL_UV)])}) as run_it:
        done, _ = run_it()
    assert done.returncode == 1
    assert "ERROR: No matching distribution found for one==9" in done.stderr
    assert "pa55word" not in done.stdout + done.stderr


PIPS = [
    ({}, {}, []),
    ({"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "https://a/x https://b/y"}, {"UV_FIND_LINKS": "https://a/x,https://b/y"}, ["--no-index"]),
    ({"PIP_INDEX_URL": "http://127.0.0.1:1/s", "PIP_RETRIES": "1"}, {"UV_DEFAULT_INDEX": "http://127.0.0.1:1/s", "UV_HTTP_RETRIES": "1"}, []),
    ({"PIP_EXTRA_INDEX_URL": "http://h:8/s", "PIP_TRUSTED_HOST": "h"}, {"UV_INDEX": "http://h:8/s", "UV_INSECURE_HOST": "h"}, []),
    ({"PIP_INDEX_URL": "http://h:8/s", "PIP_TRUSTED_HOST": "h:8"}, {"UV_DEFAULT_INDEX": "http://h:8/s"}, []),
    ({"REQUESTS_CA_BUNDLE": "/r"}, {"SSL_CERT_FILE": "/r"}, []),
    ({"REQUESTS_CA_BUNDLE": "/r", "PIP_CERT": "/c"}, {"SSL_CERT_FILE": "/c"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("pips", "uvs", "arguments"), PIPS, ids=str)
def test_what_is_said_to_pip_is_said_to_uv(pips: dict[str, str], uvs: dict[str, str], arguments: list[str]) -> None:
    found, added = install.uv_settings({"PATH": "/bin", "PIP_CACHE_DIR": "/c", **pips})
    assert (uvs.items() <= found.items(), added) == (True, arguments)
    assert not [name for name in found if name.startswith("PIP_")]
    assert found["PATH"] == "/bin"


@pytest.mark.parametrize(
    "pips",
    [
        {"PIP_INDEX_URL": "http://h/s"}, {"PIP_INDEX_URL": "http://[h/s"}, {"PIP_INDEX_URL": "http://h:x/s"}, {"PIP_INDEX_URL": "http://h:8/s", "PIP_TRUSTED_HOST": "h:9 i"},
        {"PIP_PREFER_BINARY": "1"}, {"PIP_KEYRING_PROVIDER": "subprocess"}, {"PIP_PROXY": "http://p"},
    ],
    ids=str,
)  # fmt: skip
def test_what_uv_has_not_is_left_to_pip(pips: dict[str, str]) -> None:
    assert install.uv_settings(pips) is None


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        (json.dumps({"files": [
            {"filename": "uv-1.whl", "url": "../f/uv-1.whl", "hashes": {"sha256": "ab"}},
            {"filename": "uv-2.whl", "url": "x", "hashes": {}, "yanked": "broken"},
            {"filename": "uv-3.whl", "url": "/uv-3.whl", "hashes": {}, "yanked": False},
        ]}), "application/vnd.pypi.simple.v1+json"),
        ('<a href="../f/uv-1.whl#sha256=ab" data-x="y">uv</a><a data-yanked="" href="x">u</a>\n<a\nhref=\'/uv-3.whl#md5=1\'>', "text/html"),
    ],
    ids=["json", "html"],
)  # fmt: skip
def test_both_kinds_of_an_indexs_page(page: str, kind: str) -> None:
    assert install.page_files(page.encode(), kind) == [
        ("uv-1.whl", "../f/uv-1.whl", "ab"),
        ("uv-3.whl", "/uv-3.whl", None),
    ]


def test_the_login_follows_to_no_other_host(tmp_path: Path) -> None:
    """Neither to one that the index names for its files, nor by a redirect; both answer all the same."""
    heard: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append((self.path, self.headers.get("Authorization")))
            if self.path == "/away":
                self.send_response(302)
                self.send_header("Location", f"http://localhost:{server.server_port}/there")
            else:
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        port = server.server_port
        index_url = f"http://me:p%40ss@127.0.0.1:{port}/simple"
        for address in (f"{index_url}/uv/", f"http://localhost:{port}/file", f"http://127.0.0.1:{port}/away"):
            install.get(address, index_url, None)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    login = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert heard == [("/simple/uv/", login), ("/file", None), ("/away", login), ("/there", None)]


def test_bytecode_is_left_out_where_oci_leaves_it_out() -> None:
    assert bytecode._TESTS.pattern == install.TESTS
