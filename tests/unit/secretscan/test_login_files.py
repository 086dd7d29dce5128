"""Files that hold logins are known by their names, wherever they lie and however they are capitalised."""

from __future__ import annotations

import pytest

from buildr_jupyter.secretscan.login_files import keeps_logins, matches


@pytest.mark.parametrize(
    "path",
    [
        ".env", "app/.env.production", ".ENV", "home/.ssh/config", ".aws/credentials", ".config/gcloud/x/y.json",
        "deep/containers/auth.json", ".docker/config.json", "keys/server.p12", "id_rsa", "ID_ED25519", ".bash_history",
        ".python_history", "terraform.tfstate.backup", ".kube/config", "Login Data", "Default/Cookies",
        ".config/git/credentials", ".m2/settings-security.xml",
    ],
)  # fmt: skip
def test_files_that_hold_logins(path: str) -> None:
    assert keeps_logins(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "main.py", "env", "environment.env.py", "src/envrc", "auth.json", "containers/other.json", "id_rsa.pub", "ssh/config",
        "git/credentials", "config/gcloud/x", "history.py", "docs/aws", "cookies", "data/key.csv", "settings.xml",
    ],
)  # fmt: skip
def test_files_that_do_not(path: str) -> None:
    assert not keeps_logins(path)


@pytest.mark.parametrize(
    ("path", "pattern", "like"),
    [
        ("a/b/c", "b", True), ("a/b/c", "b/c", True), ("a/b/c", "c/b", False), ("a/b", "b/c", False),
        ("Secret.KEY", "*.key", True), ("secret.key", "*.KEY", False), ("a/x.key/b", "*.key", True),
    ],
)  # fmt: skip
def test_a_pattern_of_parts_is_a_place_and_a_folder_means_all_in_it(path: str, pattern: str, like: bool) -> None:
    assert matches(path, (pattern,)) is like


def test_without_patterns_nothing_matches() -> None:
    assert not matches("a/b", ())
