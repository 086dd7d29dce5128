from __future__ import annotations

import base64
import gzip
import io
import random
import zipfile

import pytest

from buildr_jupyter import guard
from buildr_jupyter.errors import LeakError
from buildr_jupyter.model import CustomDockerfile, FileEntry, ImagePlan, Requirement
from tests.fakes.credentials import KINDS, fakes


def plan(text: str, **changes: object) -> ImagePlan:
    return ImagePlan(base="b", python="3.11", files=(FileEntry.from_bytes("app/main.py", text.encode()),), **changes)


def entry(path: str, content: bytes) -> ImagePlan:
    return ImagePlan(base="b", python="3.11", files=(FileEntry.from_bytes(path, content),))


def found(plan: ImagePlan) -> list[str]:
    return [str(finding) for finding in guard.iter_findings(plan, {})]


FAKES = {fake.kind: fake for fake in fakes(each=1)}
TOKEN = FAKES["github-pat"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_credential_stops_the_build_and_its_value_is_never_said(kind: str) -> None:
    value = FAKES[kind].value
    with pytest.raises(LeakError) as raised:
        guard.check(plan(f"x = 1\nkey = {value!r}\n"), {})
    assert f"app/main.py, line 2: {kind}" in str(raised.value)
    assert value not in "\n".join(raised.value.render())
    assert all(way in (raised.value.hint or "") for way in ("--secret", "--param", "--run-env", "--allow-secret"))
    others = [finding.kind for finding in guard.iter_findings(plan(f"key = {value!r}\n"), {})]
    guard.check(plan(f"key = {value!r}\n"), {}, allow=others)
    guard.check(plan(f"key = {value!r}\n"), {}, allow=["app/main.py"])
    guard.check(plan(f"key = {value!r}\n"), {}, allow=["main.py"])


def test_settings_labels_arguments_and_addresses_are_searched() -> None:
    secret = TOKEN.value
    login = FAKES["login-in-url"].value.replace("postgres://", "https://")
    cases = {
        "--env T": plan("", environment=(("T", secret),)),
        "label l": plan("", labels=(("l", secret),)),
        "the entrypoint": plan("", entrypoint=("python", "main.py", secret)),
        "requirement tool": plan("", requirements=(Requirement(f"tool @ {login}"),)),
        "build argument A": plan("", dockerfile=CustomDockerfile("FROM x", (("A", secret),))),
        "Dockerfile, line 2": plan("", dockerfile=CustomDockerfile(f"FROM x\nENV T={secret}\n")),
    }
    for where, leaking in cases.items():
        with pytest.raises(LeakError, match=where) as raised:
            guard.check(leaking, {})
        assert secret not in str(raised.value)
        assert login not in str(raised.value)


def test_wheels_zips_and_gzip_are_opened() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mine/__init__.py", "x = 1\n")
        archive.writestr("mine/client.py", "\n\n" + TOKEN.line)
        archive.writestr("mine/.env", "A=1")
    assert found(entry("wheels/mine-1-py3-none-any.whl", packed.getvalue())) == [
        "wheels/mine-1-py3-none-any.whl!mine/client.py, line 3: github-pat",
        "wheels/mine-1-py3-none-any.whl!mine/.env: file of logins",
    ]
    assert found(entry("app/data.json.gz", gzip.compress(TOKEN.line.encode()))) == [
        "app/data.json.gz, line 1: github-pat"
    ]
    broken = packed.getvalue()[:-30] + TOKEN.line.encode()
    assert found(entry("app/broken.zip", broken))


def test_a_file_of_any_size_is_searched_to_its_end_and_across_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_PIECE", 1 << 16)
    filler = random.Random(1).randbytes(1 << 15).hex().encode()  # 64 KiB, one piece
    lines = b"\n".join(filler[i : i + 60] for i in range(0, len(filler), 60))
    for before in (lines[:-20] + b"\n", lines * 3 + b"\n"):
        leaking = entry("app/data.csv", before + TOKEN.line.encode() + lines)
        assert found(leaking) == [f"app/data.csv, line {before.count(10) + 1}: github-pat"]


def test_a_bomb_costs_what_the_limit_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_UNPACKED_LIMIT", 1 << 20)
    monkeypatch.setattr(guard, "_PIECE", 1 << 18)
    read = []
    search = guard.leaks.search_deeply
    monkeypatch.setattr(guard.leaks, "search_deeply", lambda content, values: read.append(len(content)) or search(b""))
    assert not found(entry("app/bomb.gz", gzip.compress(bytes(64 << 20))))
    assert sum(read) < 2 << 20


def test_a_file_of_logins_stops_the_build_even_where_the_program_names_it() -> None:
    for path in ("app/.env", "app/.env.local", "app/conf/.netrc", "app/.aws/config", "app/id_rsa", "app/.pypirc"):
        leaking = entry(path, b"nothing here\n")
        assert found(leaking) == [f"{path}: file of logins"]
        guard.check(leaking, {}, allow=[path.removeprefix("app/")])


def test_an_encoded_value_of_a_variable_is_found() -> None:
    environ = {"DB_PASSWORD": "correct horse battery"}
    packed = base64.b64encode(b"user:correct horse battery").decode()
    with pytest.raises(LeakError, match=r"value of \$DB_PASSWORD"):
        guard.check(plan(f"auth = '{packed}'"), environ)
    guard.check(plan(f"auth = '{packed}'"), environ, allow=["DB_PASSWORD"])


def test_values_of_secret_looking_variables_are_found_everywhere() -> None:
    environ = {"DB_PASSWORD": "correct horse", "HOME": "/home/me", "API_TOKEN": "short"}
    for leaking in (
        plan("p = 'correct horse'"),
        plan("", environment=(("P", "correct horse"),)),
        plan("", labels=(("l", "correct horse"),)),
    ):
        with pytest.raises(LeakError, match=r"value of \$DB_PASSWORD") as raised:
            guard.check(leaking, environ)
        assert "correct horse" not in str(raised.value)
    guard.check(plan("h = '/home/me'; s = 'short'"), environ)


def test_ordinary_code_passes() -> None:
    guard.check(
        plan(
            "import os\nurl = 'https://example.com/x'\nkey = os.environ['API_KEY']\n'http://{user}:{password}@host'\n"
        ),
        {},
    )


@pytest.mark.parametrize(
    ("path", "never"),
    [(".env", True), ("a/.git/config", True), (".ssh/id_rsa", True), ("x/.ipynb_checkpoints/a", True), ("key.pem", True),
     ("data/in.csv", False), ("environment.py", False), ("a/.gitignore", False)],
)  # fmt: skip
def test_what_never_goes_in_by_itself(path: str, never: bool) -> None:
    assert guard.never_included(path) is never
