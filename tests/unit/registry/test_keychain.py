"""Login files, helpers and logins of our own."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import CredentialError, RegistryUnauthorized
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.keychain import Login

SECRET = "s3:cret ü%"


def auth(user: str = "u", password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "podman.json"))
    monkeypatch.setenv("BUILDR_AUTH_FILE", str(tmp_path / "own" / "auth.json"))
    (tmp_path / "docker").mkdir()
    return tmp_path


@pytest.fixture
def docker(files: Path) -> Callable[..., None]:
    return lambda **config: (files / "docker" / "config.json").write_text(json.dumps(config)) and None


@pytest.fixture
def helper(files: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a credential helper on PATH that is a Python text; it sees ``verb`` and ``given``; return its log."""

    def make(code: str, name: str = "fake") -> Path:
        folder = files / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / f"docker-credential-{name}"
        log = files / "helper.log"
        program.write_text(
            f"#!{sys.executable}\nimport json, sys\nverb, given = sys.argv[1], sys.stdin.read()\n"
            f"open({str(log)!r}, 'a').write(verb + ' ' + given + '\\n')\n{code}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        return log

    return make


def test_nobody_knows() -> None:
    assert keychain.find("reg.example") is None
    assert keychain.hosts() == []


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("reg.example:5000", "reg.example:5000"),
        ("https://reg.example/v2/", "reg.example"),
        ("http://reg.example/", "reg.example"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "index.docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
def test_docker_config(docker: Callable[..., None], key: str, host: str) -> None:
    docker(auths={key: auth()})
    found = keychain.find(host)
    assert found
    assert (found.user, found.password, found.source) == ("u", SECRET, "docker's config.json")
    assert keychain.find("other.example") is None


@pytest.mark.parametrize(
    ("keys", "name", "wanted"),
    [
        (["reg.example/team"], "reg.example/team/app", "reg.example/team"),
        (["reg.example/team"], "reg.example/teams/app", None),
        (["reg.example/team"], "reg.example", None),
        (["reg.example", "reg.example/team", "reg.example/team/app"], "reg.example/team/app", "reg.example/team/app"),
        (["reg.example/team/app", "reg.example/team", "reg.example"], "reg.example/team/other", "reg.example/team"),
        (["reg.example/team", "reg.example"], "reg.example/else/app", "reg.example"),
        (["reg.example:5000/team/"], "reg.example:5000/team/app", "reg.example:5000/team"),
        (["docker.io/team", "https://index.docker.io/v1/"], "docker.io/team/app", "docker.io/team"),
        (["docker.io/team", "https://index.docker.io/v1/"], "docker.io/library/x", "docker.io"),
        (["index.docker.io/v1/"], "docker.io/library/x", "docker.io"),
        (["https://reg.example/team"], "reg.example/other/app", "reg.example"),
        (["https://reg.example/v1/some/path"], "reg.example", "reg.example"),
        (["HTTPS://Reg.Example"], "reg.example/x", "reg.example"),
        (["[::1]:5000/team"], "[::1]:5000/team/x", "[::1]:5000/team"),
    ],
)
@pytest.mark.parametrize("podman", [True, False])
def test_the_longest_key_wins(
    files: Path, docker: Callable[..., None], keys: list[str], name: str, wanted: str | None, podman: bool
) -> None:
    auths = {key: auth(key.replace(":", "-")) for key in keys}
    if podman:
        (files / "podman.json").write_text(json.dumps({"auths": auths}))
    else:
        docker(auths=auths)
    found = keychain.find(name)
    assert (found and "/".join(filter(None, (found.host, found.namespace)))) == wanted
    if found and wanted and wanted in keys:
        assert found.user == wanted.replace(":", "-")


def test_an_empty_entry_of_a_namespace_is_none(docker: Callable[..., None]) -> None:
    docker(auths={"reg.example/team": {}, "reg.example": auth("whole")})
    found = keychain.find("reg.example/team/app")
    assert found
    assert (found.user, found.namespace) == ("whole", "")


def test_a_namespace_and_logout(docker: Callable[..., None], files: Path) -> None:
    keychain.login("reg.example", "own", "x")
    own = json.loads((files / "own" / "auth.json").read_text())
    own["auths"]["reg.example/team"] = auth("team")
    (files / "own" / "auth.json").write_text(json.dumps(own))
    assert keychain.hosts() == [("reg.example", "buildr login"), ("reg.example/team", "buildr login")]
    assert keychain.logout("reg.example")
    assert keychain.find("reg.example") is None
    assert keychain.find("reg.example/team/x")


def test_logins_for_other_tools() -> None:
    from buildr_jupyter.registry.auth_file import auth_json

    logins = {
        "reg.example/team/app": Login("reg.example", "t", "p", namespace="team"),
        "reg.example/other/app": Login("reg.example", "u", "p"),
        "docker.io/me/x": Login("docker.io", "h", "p", namespace="me"),
        "none.example/x": None,
    }
    assert sorted(json.loads(auth_json(logins))["auths"]) == [
        "docker.io/me/x",
        "index.docker.io/me/x",
        "reg.example",
        "reg.example/team/app",
    ]


def test_identity_token(docker: Callable[..., None]) -> None:
    docker(auths={"reg.example": {**auth("00000000-0000", ""), "identitytoken": SECRET}})
    found = keychain.find("reg.example")
    assert found
    assert (found.identity_token, found.password) == (SECRET, "")


def test_podman(files: Path) -> None:
    (files / "podman.json").write_text(json.dumps({"auths": {"reg.example": auth("pod")}}))
    found = keychain.find("reg.example")
    assert found
    assert (found.user, found.source) == ("pod", "podman's auth.json")


def test_podman_in_the_runtime_folder(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGISTRY_AUTH_FILE")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(files / "run"))
    (files / "run" / "containers").mkdir(parents=True)
    (files / "run" / "containers" / "auth.json").write_text(json.dumps({"auths": {"reg.example": auth("pod")}}))
    assert keychain.find("reg.example")


def test_order(files: Path, docker: Callable[..., None]) -> None:
    docker(auths={"reg.example": auth("docker")})
    (files / "podman.json").write_text(json.dumps({"auths": {"reg.example": auth("pod"), "pod.example": auth()}}))
    keychain.login("reg.example", "own", "x")
    found = keychain.find("reg.example")
    assert found
    assert found.user == "own"
    assert keychain.hosts() == [("pod.example", "podman's auth.json"), ("reg.example", "buildr login")]


class TestHelper:
    NOTHING = (
        "credentials not found in native keychain", "No stored credential for https://reg.example", "Credentials not found",
        "The specified item could not be found in the keychain.", "Element not found.", "no credentials found for reg.example",
        "No such secret item at path: /org/freedesktop/secrets", "no stored credentials", "The credential could not be found",
        "registry reg.example is not supported by this helper", "Item does not exist", "not logged in to reg.example",
        "error getting credentials - err: exit status 1, out: `credentials not found`", "no matching credentials",
        "Unsupported registry: reg.example", "credential for reg.example not found", "There is no login for this server", "password entry was not found",
    )  # fmt: skip
    FAILURES = (
        'exec: "pass": executable file not found in $PATH', "gpg: decryption failed: No secret key", "pass store is uninitialized",
        "Cannot autolaunch D-Bus without X11 $DISPLAY", "The keychain is locked", "connection refused", "", "NoCredentialProviders: no valid providers",
        "User interaction is not allowed.", "gpg: command not found",
        "docker-credential-other: executable not found",
    )  # fmt: skip

    @pytest.mark.parametrize("said", NOTHING)
    @pytest.mark.parametrize("stream", ["stdout", "stderr"])
    def test_nothing_is_stored(
        self, docker: Callable[..., None], helper: Callable[..., Path], said: str, stream: str
    ) -> None:
        helper(f"print({said!r}, file=sys.{stream}); sys.exit(1)")
        docker(credsStore="fake")
        assert keychain.find("reg.example/team/app") is None

    @pytest.mark.parametrize("said", FAILURES)
    def test_a_failure_is_one(self, docker: Callable[..., None], helper: Callable[..., Path], said: str) -> None:
        helper(f"print({said!r}); sys.exit(1)")
        docker(credsStore="fake")
        with pytest.raises(CredentialError, match="failed for reg.example"):
            keychain.find("reg.example")

    @pytest.mark.parametrize(
        "code", ["", "print()", "print('{}')", "print(json.dumps({'Username': '', 'Secret': ''}))"]
    )
    def test_an_empty_answer_is_none(self, docker: Callable[..., None], helper: Callable[..., Path], code: str) -> None:
        helper(code)
        docker(credsStore="fake")
        assert keychain.find("reg.example") is None

    @pytest.mark.parametrize("named", [None, "", 7, ["x"]])
    def test_a_helper_that_is_no_name(self, docker: Callable[..., None], named: object) -> None:
        docker(credHelpers={"reg.example": named}, credsStore=named, auths={"reg.example": auth("u")})
        found = keychain.find("reg.example")
        assert found
        assert found.user == "u"

    GOOD = f"print(json.dumps({{'ServerURL': given, 'Username': 'h', 'Secret': {SECRET!r}}}))"

    def test_for_the_host(self, docker: Callable[..., None], helper: Callable[[str], Path]) -> None:
        log = helper(self.GOOD)
        docker(credHelpers={"reg.example": "fake"}, auths={"reg.example": auth()})
        found = keychain.find("reg.example")
        assert found
        assert (found.user, found.password, found.source) == ("h", SECRET, "docker-credential-fake")
        assert log.read_text() == "get reg.example\n"
        assert keychain.hosts() == [("reg.example", "docker's config.json")]

    def test_for_all(self, docker: Callable[..., None], helper: Callable[[str], Path]) -> None:
        log = helper(self.GOOD)
        docker(credsStore="fake", auths={"https://index.docker.io/v1/": {}})
        assert keychain.find("docker.io")
        assert log.read_text() == "get https://index.docker.io/v1/\n"
        assert ("*", "docker-credential-fake") in keychain.hosts()

    def test_token(self, docker: Callable[..., None], helper: Callable[[str], Path]) -> None:
        helper("print(json.dumps({'Username': '<token>', 'Secret': 't'}))")
        docker(credsStore="fake")
        found = keychain.find("reg.example")
        assert found
        assert (found.user, found.identity_token) == ("", "t")

    def test_knows_none(self, docker: Callable[..., None], helper: Callable[[str], Path]) -> None:
        helper("print('credentials not found in native keychain'); sys.exit(1)")
        docker(credsStore="fake")
        assert keychain.find("reg.example") is None

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            (
                f"print({SECRET!r}); print({SECRET!r}, file=sys.stderr); sys.exit(1)",
                "failed for reg.example (exit status 1)",
            ),
            (f"print({SECRET!r})", "gave no login that can be read"),
            ("print('[]')", "gave no login that can be read"),
            ("import time; time.sleep(9)", "did not answer"),
        ],
    )
    def test_failures_hold_no_secret(
        self,
        docker: Callable[..., None],
        helper: Callable[[str], Path],
        monkeypatch: pytest.MonkeyPatch,
        code: str,
        says: str,
    ) -> None:
        monkeypatch.setattr(keychain, "HELPER_TIMEOUT_S", 1.0)
        helper(code)
        docker(credsStore="fake")
        with pytest.raises(CredentialError) as caught:
            keychain.find("reg.example")
        assert says in str(caught.value)
        assert SECRET not in repr(caught.value) + str(caught.value.hint)

    @pytest.mark.parametrize("name", ["../evil", "/bin/sh", "a b", "-x", "a;b", "ü"])
    def test_odd_names_are_refused(self, docker: Callable[..., None], name: str) -> None:
        docker(credHelpers={"reg.example": name})
        with pytest.raises(CredentialError, match="is refused"):
            keychain.find("reg.example")

    def test_missing(self, docker: Callable[..., None]) -> None:
        docker(credsStore="nothing-of-that-name")
        with pytest.raises(
            CredentialError, match="docker-credential-nothing-of-that-name for reg.example is not installed"
        ):
            keychain.find("reg.example")

    def test_login_and_logout_go_through_it(
        self, docker: Callable[..., None], helper: Callable[[str], Path], files: Path
    ) -> None:
        log = helper(f"if verb == 'get': {self.GOOD}")
        docker(credsStore="fake")
        made = keychain.login("reg.example", "u", SECRET)
        assert made.source == "docker-credential-fake"
        stored = json.loads(log.read_text().removeprefix("store "))
        assert stored == {"ServerURL": "reg.example", "Username": "u", "Secret": SECRET}
        assert not (files / "own").exists()
        assert keychain.logout("reg.example")
        assert log.read_text().splitlines()[-1] == "erase reg.example"


class TestLogin:
    def test_kept_for_this_user_alone(self, files: Path) -> None:
        made = keychain.login("docker.io", "u", SECRET)
        path = files / "own" / "auth.json"
        assert made.source == "buildr login"
        assert json.loads(path.read_text()) == {"auths": {"https://index.docker.io/v1/": auth()}}
        if os.name == "posix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [entry.name for entry in path.parent.iterdir()] == ["auth.json"]
        found = keychain.find("docker.io")
        assert found
        assert found.password == SECRET

    def test_logout(self) -> None:
        keychain.login("a.example", "u", "p")
        keychain.login("b.example", "u", "p")
        assert keychain.logout("a.example")
        assert not keychain.logout("a.example")
        assert keychain.hosts() == [("b.example", "buildr login")]

    def test_verified_first(self, files: Path) -> None:
        seen: list[Login] = []

        def refuse(made: Login) -> None:
            seen.append(made)
            raise RegistryUnauthorized("no")

        with pytest.raises(RegistryUnauthorized):
            keychain.login("reg.example", "u", SECRET, verify=refuse)
        assert (seen[0].host, seen[0].user, seen[0].password) == ("reg.example", "u", SECRET)
        assert not (files / "own").exists()

    @pytest.mark.parametrize(("host", "user", "password"), [("", "u", "p"), ("a b", "u", "p"), ("-x", "u", "p"), ("h", "", "p"), ("h", "u", ""), ("h", "a:b", "p")])  # fmt: skip
    def test_bad_input(self, host: str, user: str, password: str) -> None:
        with pytest.raises(CredentialError):
            keychain.login(host, user, password)

    def test_a_folder_that_cannot_be_written(self, files: Path) -> None:
        (files / "own").write_text("a file")
        with pytest.raises(CredentialError, match="cannot be written"):
            keychain.login("reg.example", "u", SECRET)


@pytest.mark.parametrize("text", ["no json", "[]", "7", "[" * 100_000, "\x00"])
def test_a_broken_file_is_named(files: Path, text: str) -> None:
    path = files / "docker" / "config.json"
    path.write_text(text)
    with pytest.raises(CredentialError, match=r"config\.json"):
        keychain.find("reg.example")
    assert keychain.hosts() == []


@pytest.mark.parametrize(
    "config",
    [
        {"auths": []},
        {"auths": {"reg.example": None}},
        {"auths": {"reg.example": {}}},
        {"credsStore": 7},
        {"credHelpers": "x"},
    ],
)
def test_odd_tables_are_empty(docker: Callable[..., None], config: dict[str, Any]) -> None:
    docker(**config)
    assert keychain.find("reg.example") is None


def test_a_broken_entry_is_named_without_its_text(docker: Callable[..., None]) -> None:
    docker(auths={"reg.example": {"auth": "/////w=="}})
    with pytest.raises(
        CredentialError, match=r"^the login for reg\.example in docker's config\.json cannot be decoded$"
    ):
        keychain.find("reg.example")


def test_no_secret_is_shown() -> None:
    made = Login("h", "u", SECRET, SECRET, "x")
    assert SECRET not in f"{made!r} {made}"
    assert repr(made) == "Login(host='h', user='u', source='x')"
