from __future__ import annotations

import base64
import bz2
import dataclasses
import gzip
import io
import lzma
import pickle
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import zstandard

from buildr_jupyter.errors import LeakError
from buildr_jupyter.model.plan import CustomDockerfile, FileEntry, ImagePlan, Requirement
from buildr_jupyter.secretscan import scan as guard
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


@pytest.mark.parametrize(
    "text",
    [
        "os.environ['AWS_SECRET_ACCESS_KEY']={}\n", 'x = 1\nconfig[ "api_token" ] = {}\n', "a['b']['db.password'] = {}\n",
    ],
)  # fmt: skip
def test_a_credential_under_a_key_is_one_as_under_a_name(text: str) -> None:
    value = random.Random(7).randbytes(24).hex()
    (finding,) = found(plan(text.format(repr(value))))
    assert finding == f"app/main.py, line {text.count(chr(10))}: generic-api-key"
    assert found(plan(text.replace("=", "==").format(repr(value)))) == []  # compared, not assigned
    assert found(plan(text.format("os.environ['OTHER_KEY']"))) == []


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


def tarred(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


PACKERS = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress,
    "tar": lambda content: tarred("in/a.txt", content), "zip": lambda content: zipped("in/a.txt", content),
    "pyz": lambda content: b"#!/usr/bin/env python3\n" + zipped("in/a.txt", content),
}  # fmt: skip


@pytest.mark.parametrize("outer", PACKERS)
@pytest.mark.parametrize("inner", PACKERS)
def test_archives_in_archives_are_opened(outer: str, inner: str) -> None:
    packed = PACKERS[outer](PACKERS[inner](b"\n" + TOKEN.line.encode()))
    (finding,) = guard.iter_findings(entry(f"app/data.{outer}", packed), {})
    assert finding.kind == "github-pat"
    assert finding.where.startswith(f"app/data.{outer}")
    assert finding.where.endswith(", line 2")
    assert not found(entry(f"app/data.{outer}", PACKERS[outer](PACKERS[inner](b"\nnothing\n"))))


def test_a_file_of_logins_in_an_archive_is_named() -> None:
    packed = gzip.compress(tarred("home/me/.pgpass", b"nothing"))
    assert found(entry("app/home.tgz", packed)) == ["app/home.tgz!home/me/.pgpass: file of logins"]


def test_archives_without_end_are_left_at_a_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = TOKEN.line.encode()
    for _ in range(guard._MAX_DEPTH):
        packed = gzip.compress(packed)
    assert found(entry("app/deep.gz", packed)) == ["app/deep.gz, line 1: github-pat"]
    assert not found(entry("app/deeper.gz", gzip.compress(packed)))


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
    search = guard.search.search_deeply
    monkeypatch.setattr(
        guard.search, "search_deeply", lambda content, values, path="": read.append(len(content)) or search(b"")
    )
    assert not found(entry("app/bomb.gz", gzip.compress(bytes(64 << 20))))
    assert sum(read) < 2 << 20


def test_a_file_of_logins_stops_the_build_even_where_the_program_names_it() -> None:
    for path in (
        "app/.env", "app/.env.local", "app/conf/.netrc", "app/.aws/config", "app/id_rsa", "app/.pypirc", "app/.my.cnf",
        "app/.kaggle/kaggle.json", "app/.config/gh/hosts.yml", "app/.dockercfg", "app/infra/prod.tfstate",
        "app/prod.tfstate.backup", "app/.bash_history", "app/.python_history", "app/.pgpass", "app/.vault-token",
        "app/keys/me.PFX", "app/me.ppk", "app/.config/gcloud/credentials.db", "app/.git-credentials", "app/x.kdbx",
    ):  # fmt: skip
        assert guard.never_included(path)
        leaking = entry(path, b"nothing here\n")
        assert found(leaking) == [f"{path}: file of logins"]
        guard.check(leaking, {}, allow=[path.removeprefix("app/")])


@dataclasses.dataclass
class Login:
    host: str
    password: str


class Slotted:
    __slots__ = ("api_key",)

    def __init__(self, key: str) -> None:
        self.api_key = key


class Exploding:
    """Ends the process that reads it as a pickle."""

    def __init__(self) -> None:
        self.password = "correct horse 7"

    def __reduce__(self) -> object:
        return (eval, ("__import__('os')._exit(7)",), {"password": "correct horse 7"})


def session() -> requests.Session:
    made = requests.Session()
    made.headers["Authorization"] = "Bearer correct-horse-7"
    return made


def session_with_login() -> requests.Session:
    made = requests.Session()
    made.auth = ("me", "correct horse 7")
    return made


TABLE = pd.DataFrame(
    {"n": [1, 2], "user": ["ann", "bob"], "x": [0.5, 1.5], "password": ["correct horse 7", "battery st"]}
)
VALUES = {
    "password": [
        TABLE, TABLE.astype(object), TABLE.set_index("user"), TABLE["password"], TABLE[["password", "n"]].T.T,
        pd.DataFrame({"user": ["ann"], "password": pd.Categorical(["correct horse 7"])}),
        TABLE.to_dict("records"), {"db": {"password": "correct horse 7"}}, Login("h", "correct horse 7"),
        [("password", "correct horse 7")], np.array([{"password": "correct horse 7"}], dtype=object), Exploding(),
    ],
    "api_key": [Slotted("correct horse 7"), {"api_key": b"correct horse 7"}],
    "Authorization": [session()],
    "auth": [session_with_login()],
}  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(("name", "number"), [(name, n) for name, values in VALUES.items() for n in range(len(values))])
def test_a_snapshot_is_searched_as_values(name: str, number: int, protocol: int) -> None:
    leaking = entry("app/state/snapshot.pickle", pickle.dumps({"it": VALUES[name][number]}, protocol))
    findings = list(guard.iter_findings(leaking, {}))
    assert f"app/state/snapshot.pickle, under {name!r}" in [finding.where for finding in findings]
    with pytest.raises(LeakError) as raised:
        guard.check(leaking, {})
    assert "horse" not in str(raised.value)
    guard.check(leaking, {}, allow=["app/state/snapshot.pickle"])


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("kind", sorted(KINDS & FAKES.keys()))
def test_a_text_in_a_table_is_searched_by_itself(kind: str, protocol: int) -> None:
    texts = ["y", "other", FAKES[kind].value, "z"]
    wide = pd.DataFrame({"a": range(4), "b": texts}).convert_dtypes(dtype_backend="pyarrow")  # no gap between texts
    for table in (wide, wide["b"], wide.iloc[1:], pd.DataFrame({"b": texts})):
        leaking = entry("app/state/snapshot.pickle", pickle.dumps({"it": table}, protocol))
        assert kind in {finding.kind for finding in guard.iter_findings(leaking, {})}, type(table)


def test_an_array_of_objects_in_a_file_of_numpy_is_searched_as_values() -> None:
    out = io.BytesIO()
    np.save(out, np.array([{"password": "correct horse 7"}], dtype=object))
    assert found(entry("app/state/a.npy", out.getvalue())) == ["app/state/a.npy, under 'password': secret by its name"]


@pytest.mark.parametrize(
    "value",
    [pd.DataFrame({"user": ["annabel lee"], "token": ["quickly"], "n": [3]}), TABLE[["n", "user", "x"]],
     {"password": "", "secret": "<not set>", "api_key": None, "password_file": "/run/secrets/database"},
     {"password": "********", "credentials": "changeme"}, {"weights": np.arange(100.0)}, TABLE.dtypes],
)  # fmt: skip
def test_ordinary_values_pass(value: object) -> None:
    for protocol in (2, 4, 5):
        assert not found(entry("app/state/snapshot.pickle", pickle.dumps(value, protocol)))


def test_a_damaged_pickle_is_searched_until_where_it_is_damaged() -> None:
    whole = pickle.dumps({"password": "correct horse 7", "rest": list(range(300))})
    for cut in range(len(whole)):
        list(guard.iter_findings(entry("app/a.pickle", whole[:cut]), {}))
    assert found(entry("app/a.pickle", whole[:-20]))


def test_a_value_that_begins_with_a_slash_is_a_value(tmp_path: Path) -> None:
    secret = "/a7Gk29xQz+8fLw/0PqRtY6uVbN3mC5dE1sJhZ4K"
    with pytest.raises(LeakError, match=r"value of \$AWS_SECRET_KEY"):
        guard.check(plan(f"x = '{secret}'"), {"AWS_SECRET_KEY": secret})
    named = {
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/keys/project.json", "MY_TOKEN_FILE": secret,
        "DOCKER_CREDENTIALS": str(tmp_path),
    }  # fmt: skip
    guard.check(plan("\n".join(f"x = {value!r}" for value in named.values())), named)
    assert found(plan(f'aws_secret_access_key = "{secret[:40]}"\n'))


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
     ("data/in.csv", False), ("data/history.csv", False), ("config/gh.yaml", False), ("env/x.py", False), ("environment.py", False), ("a/.gitignore", False)],
)  # fmt: skip
def test_what_never_goes_in_by_itself(path: str, never: bool) -> None:
    assert guard.never_included(path) is never
