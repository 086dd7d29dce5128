"""The API that the project grew from, row by row, by behaviour: ``builder.select``, ``DockerBuilder``, ``@Containerize``."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient

from buildr_jupyter import Containerize, builder, runner
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.config.options import PackageOptions
from buildr_jupyter.containerize import write_dockerfile
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import BuildError, OptionError, PublishError
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.engines.registry import Registry


@pytest.fixture
def client(docker_host: str) -> Iterator[APIClient]:
    with contextlib.closing(engine.connect()) as connected:
        yield connected


@pytest.fixture
def folder(tmp_path: Path, base_image: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Dockerfile").write_text(f"FROM {base_image}\nRUN echo from the build # {secrets.token_hex(4)}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(*documents: object) -> list[bytes]:
    return [json.dumps(document).encode() + b"\r\n" for document in documents]


class TestSelect:
    def test_docker(self) -> None:
        assert type(builder.select("docker")) is DockerBuilder

    def test_an_unknown_spec_is_a_plain_exception_that_lists_the_known_names(self) -> None:
        with pytest.raises(Exception, match=r"^Unknown spec steam") as raised:
            builder.select("steam")
        assert "docker" in "\n".join(raised.value.render())

    @pytest.mark.parametrize("name", ["kubernetes", "metaparticle"])
    def test_a_cluster_has_both_its_names_and_is_asked_nothing_yet(self, name: str) -> None:
        assert isinstance(runner.select(name), KubernetesRunner)
        with pytest.raises(Exception, match="^Unknown spec nomad$"):
            runner.select("nomad")


class TestLazyClient:
    def test_making_one_needs_no_docker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        assert DockerBuilder().docker_client is None

    def test_it_connects_on_first_use_and_honours_docker_host(self, folder: Path, docker_host: str) -> None:
        made = DockerBuilder()
        made.build("seed-lazy")
        assert made.docker_client is not None
        assert made.docker_client.buildr_address.url == docker_host

    def test_a_preset_client_is_used_as_it_is(
        self, folder: Path, docker_host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        made = DockerBuilder()
        with contextlib.closing(APIClient(base_url=docker_host, version="auto")) as preset:
            made.docker_client = preset
            assert made.build("seed-preset").image_id
            assert made.docker_client is preset


class TestBuildAndPublish:
    def test_the_path_is_the_working_directory_by_default(self, folder: Path, client: APIClient) -> None:
        DockerBuilder().build("seed-default")
        assert client.images("seed-default")

    @pytest.mark.parametrize("protocol", [None, "classic"])
    def test_each_line_goes_through_process_stream(
        self, folder: Path, docker_host: str, protocol: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The same over BuildKit, which an engine offers, and over the builder that the seed knew."""
        seen: list[bytes] = []
        read: list[str] = []

        class Watching(DockerBuilder):
            def _process_stream(self, line: bytes) -> list:
                seen.append(line)
                events = super()._process_stream(line)
                read.extend(event.text for event in events if isinstance(event, LogLine))
                return events

        with caplog.at_level("DEBUG", "buildr_jupyter.builder.docker_builder"):
            Watching(protocol).build(f"seed-lines-{protocol or 'default'}", str(folder))
        documents = [json.loads(line) for line in seen if line.strip()]
        assert "from the build" in read
        assert "Build output: from the build" in caplog.messages
        assert any("aux" in document for document in documents)

    def test_without_a_tag_latest_is_pushed_and_nothing_else(
        self, folder: Path, client: APIClient, registry_http: Registry
    ) -> None:
        name = f"{registry_http.host}/seed/tags"
        made = DockerBuilder()
        for tag in ("latest", "two", "three"):
            made.build(f"{name}:{tag}")
        made.publish(name)
        import urllib.request

        with urllib.request.urlopen(f"http://{registry_http.host}/v2/seed/tags/tags/list") as answer:
            assert json.load(answer)["tags"] == ["latest"]

    def test_a_failing_build_logs_raises_and_stops(
        self, folder: Path, base_image: str, docker_host: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        (folder / "Dockerfile").write_text(f"FROM {base_image}\nRUN exit 7\n")
        with (
            caplog.at_level(logging.DEBUG, "buildr_jupyter.builder.docker_builder"),
            pytest.raises(Exception, match=r"^Image build failed: "),
        ):
            DockerBuilder().build("seed-failing")
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1
        assert errors[0].startswith("Build failed: ")
        assert "7" in errors[0]


class TestProcessStream:
    @pytest.mark.parametrize(
        ("document", "level", "text"),
        [
            ({"stream": "Step 1/4 : FROM x\n"}, "DEBUG", "Build output: Step 1/4 : FROM x"),
            (
                {"status": "Pushing", "progress": "[=> ] 1kB/4kB", "id": "abc"},
                "DEBUG",
                "Push output: Pushing [=> ] 1kB/4kB",
            ),
            ({"status": "Preparing", "id": "abc"}, "DEBUG", "Push output: Preparing None"),
            ({"aux": {"Tag": "latest"}}, "DEBUG", "Push finished: {'Tag': 'latest'}"),
            ({"other": 1}, "DEBUG", "{'other': 1}"),
        ],
    )
    def test_what_is_logged(self, document: dict, level: str, text: str, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, "buildr_jupyter.builder.docker_builder"):
            DockerBuilder()._process_stream(lines(document)[0])
        assert [(record.levelname, record.getMessage()) for record in caplog.records] == [(level, text)]

    def test_rubbish_is_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, "buildr_jupyter.builder.docker_builder"):
            assert DockerBuilder()._process_stream(b"no json\n") == []
        assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("WARNING", "JSON decode error: no json")]

    @pytest.mark.parametrize(
        "document",
        [
            {"error": "no file"},
            {"errorDetail": {"message": "no file"}},
            {"error": "no file", "errorDetail": {"message": "no file"}},
        ],
    )
    def test_an_error_raises_in_both_spellings(self, document: dict, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(BuildError, match=r"^Image build failed: no file"):
            DockerBuilder()._process_stream(lines(document)[0])
        assert "Build failed: no file" in caplog.text

    def test_two_events_in_one_chunk_are_two_events(self) -> None:
        """The ancestor took a chunk for a line and let a failed build pass."""
        chunk = b"".join(lines({"stream": "ok"}, {"error": "late"}))
        with pytest.raises(BuildError, match="late"):
            DockerBuilder()._process_stream(chunk)

    def test_a_push_that_fails_says_push(self, docker_host: str, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(PublishError, match=r"^Image push failed: "):
            DockerBuilder().publish("127.0.0.1:1/nobody/there")
        assert "Push failed: " in caplog.text


class TestCredentials:
    def test_docker_config_is_honoured_with_helpers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from buildr_jupyter.registry import keychain

        helper = tmp_path / "docker-credential-seedtest"
        helper.write_text('#!/bin/sh\nread host\nprintf \'{"ServerURL":"%s","Username":"u","Secret":"p"}\' "$host"\n')
        helper.chmod(0o755)
        config = {"auths": {"plain.example": {"auth": "bWU6c2VjcmV0"}}, "credHelpers": {"helped.example": "seedtest"}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        plain, helped = keychain.find("plain.example"), keychain.find("helped.example")
        assert plain
        assert helped
        assert (plain.user, plain.password) == ("me", "secret")
        assert (helped.user, helped.password) == ("u", "p")


SCRIPT = """
from buildr_jupyter import Containerize
import words

@Containerize(package={options}, runtime={runtime})
def main():
    print("hello from", words.WHERE)

assert main.__wrapped__ is not None
if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        print("fallback:", type(error).__name__)
        main.__wrapped__()
"""


def run_script(folder: Path, options: dict, runtime: dict | None = None) -> subprocess.CompletedProcess:
    (folder / "words.py").write_text(
        "import os\nWHERE = 'the image' if os.environ.get('BUILDR_IN_CONTAINER') else 'here'\n"
    )
    text = SCRIPT.replace("{options}", repr(options)).replace("{runtime}", repr(runtime or {}))
    (folder / "sub dir").mkdir(exist_ok=True)
    (folder / "app.py").write_text(text)
    return subprocess.run([sys.executable, "app.py"], cwd=folder, capture_output=True, text=True, check=False)


class TestContainerize:
    def test_attributes_are_set_when_it_decorates(self) -> None:
        package = {"name": "x", "repository": "ghcr.io/me", "builder": "docker"}
        made = Containerize(package=package, runtime={"ports": [8080]})
        assert made.package.name == "x"
        assert made.package.repository == "ghcr.io/me"
        assert made.runtime.ports == (8080,)
        assert type(made.builder) is DockerBuilder
        assert made.image == "ghcr.io/me/x:latest"

    @pytest.mark.parametrize(
        ("package", "word"),
        [
            ({"name": "x", "builder": "steam"}, "Unknown spec steam"),
            ({"name": "X Y"}, "white space"),
            ({"nmae": "x"}, "nmae"),
            ({}, "neither name nor repository"),
            ({"name": "x", "publish": True}, "no registry or repository"),
        ],
    )
    def test_mistakes_fail_there_as_plain_exceptions(self, package: dict, word: str) -> None:
        with pytest.raises(Exception, match=word) as raised:
            Containerize(package=package)
        assert not isinstance(raised.value, SystemExit)

    def test_inside_an_image_a_program_with_inputs_gives_the_arguments(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from buildr_jupyter.in_image import function, parameters

        monkeypatch.setenv("BUILDR_IN_CONTAINER", "1")

        @Containerize(package={"name": "x"})
        def work(n: int = 3) -> int:
            return n

        assert work() == 3
        work.__wrapped__.__module__ = "__main__"
        spec = {"name": work.__wrapped__.__qualname__, "baked": [], "makers": {}}
        monkeypatch.setitem(sys.modules, function.MODULE, None)  # type: ignore[arg-type]
        function.install({}, vars(parameters), {"inputs": []}, spec, {"n": 5})
        assert (work(), work(4)) == (5, 5)

    @pytest.mark.parametrize(
        ("text", "alone"),
        [
            ("f()", True), ("made = f(3)", True), ("f(n=1)\n", True), ("f(); g()", False), ("g()", False), ("f", False),
            ("f() + 1", False), ("?f", False), ("a.f()", False), ("", False),
        ],
    )  # fmt: skip
    def test_a_cell_that_only_calls_it_is_left_out(self, text: str, *, alone: bool) -> None:
        from buildr_jupyter.containerize import _is_call

        assert _is_call(text, "f") is alone

    def test_a_script_is_built_and_run(self, tmp_path: Path, docker_host: str, base_image: str) -> None:
        ran = run_script(tmp_path, {"name": "seed-script"})
        assert (ran.returncode, ran.stdout) == (0, "hello from the image\n"), ran.stderr
        assert "copy the program" in ran.stderr

    def test_it_publishes(self, tmp_path: Path, docker_host: str, base_image: str, registry_http: Registry) -> None:
        ran = run_script(tmp_path, {"name": "seed-pub", "repository": f"{registry_http.host}/seed", "publish": True})
        assert ran.stdout == "hello from the image\n", ran.stderr
        import urllib.request

        with urllib.request.urlopen(f"http://{registry_http.host}/v2/seed/seed-pub/tags/list") as answer:
            assert "latest" in json.load(answer)["tags"]

    def test_the_pages_try_except_fallback_works(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        ran = run_script(tmp_path, {"name": "seed-fallback"})
        assert (ran.returncode, ran.stdout) == (0, "fallback: EngineUnavailable\nhello from here\n")

    def test_fallback_local_does_it_by_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        ran = run_script(tmp_path, {"name": "seed-fallback", "fallback_local": True})
        assert (ran.returncode, ran.stdout) == (0, "hello from here\n")
        assert "runs here instead" in ran.stderr

    def test_inside_an_image_of_ours_the_function_is_just_called(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BUILDR_IN_CONTAINER", "1")
        monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
        ran = run_script(tmp_path, {"name": "seed-inside"})
        assert (ran.returncode, ran.stdout) == (0, "hello from the image\n"), ran.stderr

    def test_the_users_files_are_left_alone(self, tmp_path: Path, docker_host: str, base_image: str) -> None:
        (tmp_path / "Dockerfile").write_text("FROM mine\n")
        assert run_script(tmp_path, {"name": "seed-own"}).returncode == 0
        assert (tmp_path / "Dockerfile").read_text() == "FROM mine\n"
        own = run_script(tmp_path, {"name": "seed-own", "dockerfile": "Dockerfile"})
        assert own.stdout.startswith("fallback: BuildError"), "the option is taken at its word, never dropped"


class TestWriteDockerfile:
    def test_it_creates_one_that_builds(
        self, tmp_path: Path, client: APIClient, base_image: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "app.py").write_text("print('from a sub folder')\n")
        (tmp_path / "requirements.txt").write_text("")
        (tmp_path / "junk.pyc").write_text("x")
        path = write_dockerfile(PackageOptions.load({"name": "x"}), "sub/app.py")
        assert path == Path("Dockerfile")
        text = path.read_text()
        assert text.index("requirements.txt") < text.index('COPY ["."'), "dependencies are a layer before the code"
        ignore = (tmp_path / ".dockerignore").read_text()
        for name in ("__pycache__", "*.pyc", ".git", ".venv", "*.egg-info", ".pytest_cache"):
            assert name in ignore
        DockerBuilder().build("seed-written")
        container = client.create_container("seed-written")
        client.start(container)
        assert client.wait(container)["StatusCode"] == 0
        assert client.logs(container) == b"from a sub folder\n"
        client.remove_container(container)
        write_dockerfile(PackageOptions.load({"name": "x"}), "sub/app.py")

    def test_the_users_own_is_never_overwritten(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "Dockerfile").write_text("FROM mine\n")
        with pytest.raises(Exception, match="not ours") as raised:
            write_dockerfile(PackageOptions.load({"name": "x"}), "app.py")
        assert "'dockerfile'" in "\n".join(raised.value.render())
        assert (tmp_path / "Dockerfile").read_text() == "FROM mine\n"


def test_a_library_never_leaves_the_process() -> None:
    with pytest.raises(OptionError):
        PackageOptions.load({"unknown": 1})
