"""The auth file holds the logins of one build and no others, for its user alone, and goes with the build."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest

from buildr_jupyter.registry.auth_file import auth_json, authfile
from buildr_jupyter.registry.keychain import Login


def auths(logins: dict[str, Login | None]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(auth_json(logins))["auths"]
    return found


def test_a_login_stands_under_its_registrys_address() -> None:
    found = auths({"ghcr.io/team/app": Login("ghcr.io", "user", "pass:wörd"), "quay.io/x": None})
    assert list(found) == ["ghcr.io"]
    assert base64.b64decode(found["ghcr.io"]["auth"]).decode() == "user:pass:wörd"


def test_docker_hubs_address_is_the_old_one() -> None:
    assert list(auths({"docker.io/library/python": Login("docker.io", "u", "p")})) == ["https://index.docker.io/v1/"]


def test_a_login_for_a_part_of_a_registry_stands_under_the_repository() -> None:
    """A file that gave it to the whole registry would send it for other teams' repositories."""
    assert list(auths({"ghcr.io/team/app": Login("ghcr.io", "u", "p", namespace="team")})) == ["ghcr.io/team/app"]
    hub = auths({"docker.io/team/app": Login("docker.io", "u", "p", namespace="team")})
    assert list(hub) == ["docker.io/team/app", "index.docker.io/team/app"]


def test_a_token_is_written_beside_it() -> None:
    found = auths({"ghcr.io/x": Login("ghcr.io", "u", "", identity_token="token")})
    assert found["ghcr.io"]["identitytoken"] == "token"


@pytest.mark.parametrize("logins", [{}, {"ghcr.io/x": None}, {"ghcr.io/x": Login("ghcr.io", "u", "p")}])
def test_the_file_is_for_this_user_and_goes(logins: dict[str, Login | None]) -> None:
    with authfile(logins) as (option, name):
        file = Path(name)
        assert option == "--authfile"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text(encoding="utf-8") == auth_json(logins)
    assert not file.exists()
    assert not file.parent.exists()
