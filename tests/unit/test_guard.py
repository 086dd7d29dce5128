from __future__ import annotations

import secrets
import string

import pytest

from buildr_jupyter import guard
from buildr_jupyter.errors import LeakError
from buildr_jupyter.model import FileEntry, ImagePlan


def letters(count: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(count))


def plan(text: str, **changes: object) -> ImagePlan:
    return ImagePlan(base="b", python="3.11", files=(FileEntry.from_bytes("app/main.py", text.encode()),), **changes)


SECRETS = {
    "private key": lambda: "-----BEGIN RSA PRIVATE KEY-----",
    "AWS access key": lambda: (
        "AKIA" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(16))
    ),
    "GitHub token": lambda: "ghp_" + letters(36),
    "GitLab token": lambda: "glpat-" + letters(20),
    "Slack token": lambda: "xoxb-" + letters(24),
    "Google API key": lambda: "AIza" + letters(35),
    "Hugging Face token": lambda: "hf_" + letters(34),
    "Stripe key": lambda: "sk_live_" + letters(24),
    "login in a URL": lambda: f"postgres://admin:{letters(12)}@db.example/x",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_credential_stops_the_build_and_its_value_is_never_said(kind: str) -> None:
    value = SECRETS[kind]()
    with pytest.raises(LeakError) as raised:
        guard.check(plan(f"x = 1\nkey = {value!r}\n"), {})
    assert f"app/main.py, line 2: {kind}" in str(raised.value)
    assert value not in "\n".join(raised.value.render())
    guard.check(plan(f"key = {value!r}\n"), {}, allow=[kind])
    guard.check(plan(f"key = {value!r}\n"), {}, allow=["app/main.py"])


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
