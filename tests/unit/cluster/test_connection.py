"""Where a cluster is found: contexts of a kubeconfig, a pod's account, and what cannot be used."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildr_jupyter.cluster.connection import connect
from buildr_jupyter.errors import ClusterUnavailable, OptionError
from buildr_jupyter.process.tempfiles import TEMPORARY


def write_config(path: Path, user: dict[str, object]) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": "laptop", "context": {"cluster": "c", "user": "u", "namespace": "team"}},
            {"name": "other", "context": {"cluster": "c", "user": "u"}},
            {"name": "arn:aws:eks/mine", "context": {"cluster": "c", "user": "u", "namespace": "n"}},
        ],
        "current-context": "laptop",
    }
    path.write_text(json.dumps(document))
    return path


def test_the_context_and_its_namespace(tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(write_config(tmp_path / "config", {"token": "t"}))}
    found = connect(environ=environ)
    assert (found.context, found.namespace) == ("laptop", "team")
    found = connect("other", environ=environ)
    assert (found.context, found.namespace) == ("other", "default")
    assert connect("other", "mine", environ=environ).namespace == "mine"
    found = connect("arn:aws:eks", "mine", environ=environ)
    assert (found.context, found.namespace) == ("arn:aws:eks/mine", "n")
    found = connect("arn:aws:eks/mine", "x", environ=environ)
    assert (found.context, found.namespace) == ("arn:aws:eks/mine", "x")


def test_a_context_that_does_not_exist(tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(write_config(tmp_path / "config", {"token": "t"}))}
    with pytest.raises(OptionError, match="no such context") as caught:
        connect("laptob", environ=environ)
    assert (
        caught.value.hint == "write laptop if you meant that; choose one that is there: arn:aws:eks/mine, laptop, other"
    )


def test_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnavailable, match="no configuration of a cluster") as caught:
        connect(environ={"HOME": str(tmp_path)})
    assert "KUBECONFIG" in str(caught.value.hint)


def test_a_kubeconfig_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("just text")
    with pytest.raises(ClusterUnavailable, match="cannot be used"):
        connect(environ={"KUBECONFIG": str(tmp_path / "config")})


def test_a_login_command_that_fails(tmp_path: Path) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", "import sys; sys.exit('you are logged out')"],
        "interactiveMode": "Never",
    }
    client = connect(environ={"KUBECONFIG": str(write_config(tmp_path / "config", {"exec": plugin}))})
    with pytest.raises(ClusterUnavailable, match="the login command of kubeconfig .* fails"):
        client.whoami()


def test_the_account_of_a_pod(tmp_path: Path) -> None:
    for name, text in {"token": "t", "ca.crt": "x", "namespace": "hub\n"}.items():
        (tmp_path / name).write_text(text)
    environ = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "9"}
    found = connect(environ=environ, account=tmp_path)
    assert (found.context, found.namespace, found.known) == ("in-cluster", "hub", True)
    (tmp_path / "token").unlink()
    with pytest.raises(ClusterUnavailable, match="account of this pod"):
        connect(environ=environ, account=tmp_path).whoami()


def test_keys_of_a_kubeconfig_are_in_a_folder_that_a_later_command_removes(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    data = base64.b64encode(b"a key").decode()
    config = write_config(tmp_path / "config", {"client-certificate-data": data, "client-key-data": data})
    config.write_text(config.read_text().replace("http://", "https://"))
    code = (
        "import os, sys, time\nfrom buildr_jupyter.cluster.connection import connect\n"
        f"connect(environ={{'KUBECONFIG': {str(config)!r}}})._load(); print(flush=True)\n"
        "sys.stdin.read() if len(sys.argv) > 1 else None"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "waits"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (folder,) = tmp_path.glob(f"{TEMPORARY}*")
        assert folder.stat().st_mode & 0o077 == 0
        assert {one.read_bytes() for one in (folder / "kubernetes").iterdir()} == {b"a key"}
        process.kill()
    sweep = [sys.executable, "-c", "from buildr_jupyter.process.tempfiles import sweep; sweep()"]
    subprocess.run(sweep, env=environ, check=True)
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, stdout=subprocess.DEVNULL)
    assert [*tmp_path.iterdir()] == [config]
