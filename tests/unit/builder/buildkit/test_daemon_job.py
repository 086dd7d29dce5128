"""The Job of a buildkitd, and what it is told of registries."""

from __future__ import annotations

import tomllib
from typing import Any

from buildr_jupyter.builder.buildkit.daemon_job import IMAGE, ROLE, DaemonWish, make_job, make_settings
from buildr_jupyter.builder.in_cluster.aliases import Aliases
from buildr_jupyter.runner.job_manifest import PROGRAM


def pod_of(wish: DaemonWish) -> Any:
    return make_job({"name": "n", "labels": {"a": "b"}, "annotations": {}}, wish)["spec"]["template"]


def test_registries_by_their_names_in_the_cluster() -> None:
    aliases = Aliases({"localhost:5000": "registry.svc:5000"})
    files = make_settings(["localhost:5000", "ghcr.io", "own.example"], aliases, {"own.example": "PEM"})
    assert tomllib.loads(files["buildkitd.toml"]) == {
        "registry": {
            "localhost:5000": {"mirrors": ["registry.svc:5000"]},
            "registry.svc:5000": {"http": True},
            "own.example": {"ca": ["/buildr/authority-2.crt"]},
        }
    }
    assert files["authority-2.crt"] == "PEM"
    assert make_settings(["ghcr.io", "docker.io"], aliases, {}) == {"buildkitd.toml": ""}


def test_the_same_wish_is_the_same_daemon_and_another_users_is_not() -> None:
    wish = DaemonWish(IMAGE, files={"buildkitd.toml": ""})
    assert wish.name("me") == DaemonWish(IMAGE, files={"buildkitd.toml": ""}).name("me")
    others = {wish.name("you"), DaemonWish("other").name("me"), DaemonWish(IMAGE, privileged=True).name("me")}
    assert len({wish.name("me"), *others}) == 4


def test_rootless_is_no_root_anywhere() -> None:
    template = pod_of(DaemonWish(IMAGE, files={"buildkitd.toml": "x", "authority-0.crt": "PEM"}))
    (container,) = template["spec"]["containers"]
    assert container["name"] == PROGRAM  # so that buildr runs logs reads it
    assert container["securityContext"]["runAsUser"] == 1000
    assert "privileged" not in container["securityContext"]
    assert "--oci-worker-no-process-sandbox" in container["args"]
    assert not any("0.0.0.0" in word for word in container["args"])
    assert template["metadata"]["labels"][ROLE] == "buildkitd"
    (settings, _) = template["spec"]["volumes"]
    assert [item["path"] for item in settings["downwardAPI"]["items"]] == ["buildkitd.toml", "authority-0.crt"]
    assert template["metadata"]["annotations"]["io.buildr.file-authority-0.crt"] == "PEM"


def test_privileged_is_said_by_the_user() -> None:
    (container,) = pod_of(DaemonWish(IMAGE, privileged=True))["spec"]["containers"]
    assert container["securityContext"] == {"privileged": True}
    assert "--oci-worker-no-process-sandbox" not in container["args"]
