"""Where the engine is, and what its errors mean."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import EngineError, EnginePermission, EngineUnavailable, EngineVersion
from tests.engines import certificates
from tests.fakes.engine import FakeEngine


def context(folder: Path, name: str, meta: Any, **pems: str) -> dict[str, str]:
    key = hashlib.sha256(name.encode()).hexdigest()
    (folder / "contexts" / "meta" / key).mkdir(parents=True)
    (folder / "contexts" / "meta" / key / "meta.json").write_text(json.dumps(meta))
    tls = folder / "contexts" / "tls" / key / "docker"
    tls.mkdir(parents=True)
    for part, text in pems.items():
        (tls / f"{part}.pem").write_text(text)
    return {"DOCKER_CONFIG": str(folder)}


def docker_host(url: str) -> dict[str, str]:
    return {"DOCKER_HOST": url}


class TestAddress:
    def test_default(self, tmp_path: Path) -> None:
        found = engine.find_address({"DOCKER_CONFIG": str(tmp_path)})
        assert (found.origin, found.tls) == ("the default", False)

    def test_docker_host_wins(self, tmp_path: Path) -> None:
        found = engine.find_address(
            {"DOCKER_HOST": "tcp://h:1", "DOCKER_CONTEXT": "nothing", "DOCKER_CONFIG": str(tmp_path)}
        )
        assert (found.url, found.origin, found.tls) == ("tcp://h:1", "DOCKER_HOST", False)

    def test_docker_host_with_tls(self, tmp_path: Path) -> None:
        env = {"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
        found = engine.find_address(env)
        assert (found.tls, found.verify, found.ca, found.key) == (True, True, tmp_path / "ca.pem", tmp_path / "key.pem")

    @pytest.mark.parametrize("how", ["variable", "file"])
    def test_context(self, tmp_path: Path, how: str) -> None:
        meta = {"Name": "far", "Endpoints": {"docker": {"Host": "tcp://far:2376", "SkipTLSVerify": True}}}
        env = context(tmp_path, "far", meta, ca="1", cert="2", key="3")
        if how == "variable":
            env["DOCKER_CONTEXT"] = "far"
        else:
            (tmp_path / "config.json").write_text('{"currentContext": "far"}')
        found = engine.find_address(env)
        assert (found.url, found.origin, found.tls, found.verify) == ("tcp://far:2376", "context far", True, False)
        assert found.certificate
        assert found.certificate.read_text() == "2"

    @pytest.mark.parametrize("text", ["", "no json", "[]", '{"currentContext": 7}', '{"currentContext": "default"}'])
    def test_a_config_without_a_context(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "config.json").write_text(text)
        assert engine.find_address({"DOCKER_CONFIG": str(tmp_path)}).origin == "the default"

    @pytest.mark.parametrize("host", ["foo", "localhost:2375", "ftp://x", "unix://", "://"])
    def test_no_address(self, host: str) -> None:
        with pytest.raises(EngineUnavailable, match=r"^DOCKER_HOST='.*' is not the address of an engine$") as caught:
            engine.find_address(docker_host(host))
        assert "unix://" in str(caught.value.hint)

    def test_context_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(EngineUnavailable, match="docker context 'gone' is not there"):
            engine.find_address({"DOCKER_CONTEXT": "gone", "DOCKER_CONFIG": str(tmp_path)})

    @pytest.mark.parametrize("meta", [[], {}, {"Endpoints": {"docker": {"Host": 7}}}])
    def test_context_that_is_broken(self, tmp_path: Path, meta: Any) -> None:
        env = context(tmp_path, "odd", meta)
        with pytest.raises(EngineUnavailable, match="docker context 'odd' cannot be read"):
            engine.find_address({**env, "DOCKER_CONTEXT": "odd"})


class TestConnect:
    def test_no_socket(self, tmp_path: Path) -> None:
        url = f"unix://{tmp_path}/gone.sock"
        with pytest.raises(EngineUnavailable) as caught:
            engine.connect(docker_host(url))
        assert str(caught.value) == f"no engine at {url} (DOCKER_HOST): No such file or directory"
        assert caught.value.hint

    def test_nobody_listens(self, tmp_path: Path) -> None:
        path = tmp_path / "dead.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        with pytest.raises(EngineUnavailable, match="Connection refused"):
            engine.connect(docker_host(f"unix://{path}"))
        with pytest.raises(EngineUnavailable, match="Connection refused") as caught:
            engine.connect(docker_host("tcp://127.0.0.1:9"))
        assert "DOCKER_HOST" in str(caught.value.hint)

    def test_no_such_host(self) -> None:
        with pytest.raises(EngineUnavailable, match="there is no such host"):
            engine.connect(docker_host("tcp://nothing.invalid:2375"))

    @pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="another user is needed")
    def test_permission(self, tmp_path: Path) -> None:
        code = (
            "import os, sys, docker, encodings.idna; from buildr_jupyter.engine import connection as engine\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: engine.connect({'DOCKER_HOST': sys.argv[1], 'DOCKER_CONFIG': '/nonexistent'})\n"
            "except Exception as error: print(type(error).__name__, error, error.hint, sep='|')"
        )
        with FakeEngine() as fake:
            path = Path(fake.host.removeprefix("unix://"))
            path.parent.chmod(0o755)
            path.chmod(0o600)
            env = {**os.environ, "HOME": "/nonexistent"}
            done = subprocess.run(
                [sys.executable, "-c", code, fake.host], capture_output=True, text=True, env=env, check=True
            )
        kind, message, hint = done.stdout.strip().split("|")
        assert kind == "EnginePermission"
        assert message == f"the engine at {fake.host} (DOCKER_HOST) is there, but this user may not talk to it"
        assert "group" in hint

    def test_a_certificate_that_nobody_known_has_signed(self, tmp_path: Path) -> None:
        served, known = certificates.make(tmp_path / "served"), certificates.make(tmp_path / "known")
        for name, path in (("ca", known.ca), ("cert", known.certificate), ("key", known.key)):
            (tmp_path / f"{name}.pem").write_bytes(path.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(served.certificate, served.key)

        def answer(listening: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    asking, _ = listening.accept()
                    with contextlib.suppress(ssl.SSLError), asking:
                        context.wrap_socket(asking, server_side=True).close()

        with socket.create_server(("127.0.0.1", 0)) as listening:
            threading.Thread(target=answer, args=(listening,), daemon=True).start()
            env = docker_host(f"tcp://127.0.0.1:{listening.getsockname()[1]}")
            with pytest.raises(EngineUnavailable, match="TLS failed: CERTIFICATE_VERIFY_FAILED") as caught:
                engine.connect({**env, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)})
            listening.shutdown(socket.SHUT_RDWR)
        assert "DOCKER_CERT_PATH" in str(caught.value.hint)

    def test_silence(self, tmp_path: Path) -> None:
        path = tmp_path / "mute.sock"
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(path))
            mute.listen()
            with pytest.raises(EngineUnavailable, match="does not answer in time"):
                engine.connect(docker_host(f"unix://{path}"), connect_timeout_s=0.2)

    def test_ssh_without_paramiko(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "paramiko", None)
        with pytest.raises(EngineUnavailable, match="ssh://me@far") as caught:
            engine.connect(docker_host("ssh://me@far"))
        assert "ssh -NL" in str(caught.value.hint)

    def test_tls_without_certificates(self, tmp_path: Path) -> None:
        env = {"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
        with pytest.raises(EngineUnavailable) as caught:
            engine.connect(env)
        assert "DOCKER_CERT_PATH" in str(caught.value.hint)

    def test_too_old(self) -> None:
        with FakeEngine(api_version="1.12") as fake, pytest.raises(EngineVersion, match=r"below 1\.\d+"):
            engine.connect(docker_host(fake.host))

    def test_no_engine_at_all(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            import threading

            def answer() -> None:
                with server.accept()[0] as client:
                    client.recv(9999)
                    client.sendall(b"SSH-2.0-OpenSSH\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            with pytest.raises(EngineUnavailable, match="no engine at"):
                engine.connect(docker_host(f"tcp://127.0.0.1:{port}"))
            thread.join()


class TestTranslate:
    def test_answers(self) -> None:
        with FakeEngine() as fake:
            client = engine.connect(docker_host(fake.host))
            with pytest.raises(EngineError, match=r"answered 404: No such image"), engine.translate(client):
                client.inspect_image("nothing")
            client.close()

    @pytest.mark.parametrize("error", [ValueError("x"), KeyError("y"), EnginePermission("z")])
    def test_others_pass(self, error: Exception) -> None:
        with pytest.raises(type(error)) as caught, engine.translate("somewhere"):
            raise error
        assert caught.value is error

    def test_version_in_the_answer(self) -> None:
        import requests
        from docker.errors import APIError

        response = requests.Response()
        response.status_code = 400
        text = "client version 1.24 is too old. Minimum supported API version is 1.44"
        with pytest.raises(EngineVersion, match="too old"), engine.translate("x"):
            raise APIError("400", response=response, explanation=text)


@pytest.mark.parametrize("name", ["engine", "registry.keychain", "engine.json_stream", "runner"])
def test_importing_costs_no_docker(name: str) -> None:
    code = f"import buildr_jupyter.{name}, sys; print([m for m in ('docker', 'requests') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "name", ["engine", "registry.keychain", "builder.docker_builder", "runner.docker_runner", "registry.client"]
)
def test_importing_needs_no_posix(name: str) -> None:
    code = f"import sys; sys.modules.update(dict.fromkeys(('fcntl', 'pwd', 'grp', 'resource', 'termios'))); import buildr_jupyter.{name}"
    subprocess.run([sys.executable, "-c", code], check=True)
