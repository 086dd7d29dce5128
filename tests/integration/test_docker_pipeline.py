"""The whole way, by the commands and magics that people use, against a real engine and real registries."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pytest
from docker import APIClient

from buildr_jupyter import cli
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.client import connect as connect_registry
from tests.engines import certificates
from tests.engines.registry import Registry
from tests.fakes import index
from tests.integration.notebooks import NOTEBOOKS, ON_THE_CLUSTER, run_notebook


@pytest.fixture
def client(docker_host: str) -> Iterator[APIClient]:
    with contextlib.closing(engine.connect()) as connected:
        yield connected


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def trust_and_login(registry: Registry, tmp_path: Path) -> None:
    assert registry.ca
    target = tmp_path / "config" / "docker" / "certs.d" / registry.host / "ca.crt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(registry.ca.read_bytes())
    assert (
        cli_run(["login", registry.host, "-u", registry.user or "", "--password-stdin"], stdin=registry.password)[0]
        == 0
    )


def cli_run(argv: list[str], *, stdin: str | None = None) -> tuple[int, str, str]:
    """Run the command in this process; return status, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.stdin
    sys.stdin = io.StringIO(f"{stdin}\n") if stdin is not None else before
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(argv)
    finally:
        sys.stdin = before
    return status, out.getvalue(), err.getvalue()


def notebook(folder: Path, *cells: str, name: str = "nb.ipynb") -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    path = folder / name
    nbformat.write(made, path)
    return path


def test_the_quickstart_from_the_command_line_to_the_registry(
    client: APIClient, registry_tls: Registry, tmp_path: Path
) -> None:
    trust_and_login(registry_tls, tmp_path)
    argv = [
        "build",
        str(NOTEBOOKS / "01-quickstart.ipynb"),
        "--publish",
        "--repository",
        f"{registry_tls.host}/team",
        "--json",
    ]
    status, out, err = cli_run(argv)
    assert status == 0, err
    record = json.loads(out.splitlines()[-1])
    assert len(out.splitlines()) == 1
    assert record["status"] == "ok"
    image = f"{registry_tls.host}/team/quickstart:latest"
    assert record["image"] == image
    login = keychain.find(registry_tls.host)
    with contextlib.closing(connect_registry(registry_tls.host, login)) as asked:
        assert asked.digest("team/quickstart", "latest") == record["digest"]
    assert record["size_bytes"] > 1_000_000
    assert record["pushed"][0] == image
    assert {
        "requirement": f"pandas=={__import__('pandas').__version__}",
        "why": "pandas in 01-quickstart.ipynb, cell 2, line 1",
    } in record["requirements"]
    assert "app/sales.py" in [file["path"] for file in record["files"]]
    again = json.loads(cli_run(argv)[1])
    assert (again["cached"], again["digest"]) == (True, record["digest"])
    _runs_locked_down(client, image)


def _runs_locked_down(client: APIClient, image: str) -> None:
    """Any user, a read-only root, no capabilities; and process 1 ends when it is asked to."""
    host = client.create_host_config(read_only=True, cap_drop=["ALL"])
    container = client.create_container(image, user="12345:0", host_config=host)
    client.start(container)
    assert client.wait(container)["StatusCode"] == 0
    assert client.logs(container, stdout=True, stderr=False).decode().startswith("best month: 2026-03\n")
    client.remove_container(container)


def test_stopping_takes_no_time_though_it_is_process_1(client: APIClient, tmp_path: Path, base_image: str) -> None:
    path = notebook(tmp_path, "import time", "%%containerize sleeper\nprint('up')\ntime.sleep(600)")
    assert cli_run(["build", str(path)])[0] == 0
    container = client.create_container("sleeper:latest")
    client.start(container)
    deadline = time.monotonic() + 20
    while b"up" not in client.logs(container) and time.monotonic() < deadline:
        time.sleep(0.1)
    started = time.monotonic()
    client.stop(container, timeout=30)
    assert time.monotonic() - started < 15  # half of what the engine would wait before it kills
    client.remove_container(container)


def test_values_of_any_shape_reach_the_container(client: APIClient, tmp_path: Path) -> None:
    values = {
        "A": "a b",
        "B": 'it\'s "quoted"',
        "C": "$HOME ${PATH} \\ `x`",
        "D": "two\nlines\n",
        "E": "ünïcode ✓",
        "F": "#no",
        "G": "",
    }
    path = notebook(
        tmp_path,
        f"%%containerize odd\nimport json, os\nprint(json.dumps({{k: os.environ[k] for k in {sorted(values)!r}}}))",
        name='odd $name\'s "nb".ipynb',
    )
    argv = ["build", str(path), "--run", "--json"]
    for name, value in values.items():
        argv += ["--env", f"{name}={value}"]
    status, out, err = cli_run(argv)
    assert status == 0, err
    assert json.loads(json.loads(out)["run"]["stdout_tail"]) == values
    labels = client.inspect_image("odd:latest")["Config"]["Labels"]
    assert labels["io.buildr.notebook"] == path.name


def test_a_private_index_is_reached_and_leaves_no_trace(
    client: APIClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base_image: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    user, password = "reader", "secret/pass:word%"
    made = certificates.make(tmp_path / "certs")
    name, content = index.wheel("corplib", "1.5", "VALUE = 'from the private index'\n")
    path = notebook(
        tmp_path, "%%containerize private\nimport importlib\nprint(importlib.import_module('corp' + 'lib').VALUE)"
    )
    with index.serving({name: content}, user, password, made.certificate, made.key) as (port, asked):
        monkeypatch.setenv("PIP_INDEX_URL", f"https://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{port}/simple")
        monkeypatch.setenv("PIP_CERT", str(made.ca))
        monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
        status, out, err = cli_run(["build", str(path), "--requirement", "corplib==1.5", "--run", "--json"])
    assert status == 0, err
    record = json.loads(out)
    assert record["run"]["stdout_tail"] == "from the private index\n"
    assert any(path.endswith(".whl") for path in asked)
    authority = made.ca.read_text().split()[2]
    traces = [password, quote(password, safe=""), authority, "buildr:eJ"]
    everything = (
        out
        + err
        + "".join(
            f.read_text(errors="replace")
            for f in Path(record["context"]).rglob("*")
            if f.is_file() and f.name != "install.py"
        )
    )
    for image in client.images(all=True):
        everything += json.dumps([client.history(image["Id"]), client.inspect_image(image["Id"])])
    archive = b"".join(client.get_image("private:latest"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as saved:
        for member in saved.getmembers():
            if member.isfile() and member.size < 40_000_000:
                stream = saved.extractfile(member)
                assert stream
                everything += stream.read().decode("latin-1")
    assert [trace for trace in traces if trace in everything] == []


def test_images_and_inspect_show_what_buildr_made(client: APIClient, tmp_path: Path, base_image: str) -> None:
    path = notebook(tmp_path, "%%containerize seen\nprint(1)", name="seen.ipynb")
    assert cli_run(["build", str(path)])[0] == 0
    _, listed, _ = cli_run(["images"])
    assert listed.startswith("IMAGE ")
    (line,) = [line for line in listed.splitlines() if "seen:latest" in line]
    assert "just now" in line
    assert "seen.ipynb" in line
    status, shown, _ = cli_run(["inspect", "seen", "--json"])
    row = json.loads(shown)
    assert status == 0
    assert row["labels"]["io.buildr.notebook"] == "seen.ipynb"
    assert row["user"] == "1000:0"
    assert row["entrypoint"] == ["python", "main.py"]
    assert cli_run(["inspect", "never-made"])[0] == 2


def test_the_image_itself_is_checked_before_it_is_pushed(
    client: APIClient, registry_tls: Registry, tmp_path: Path, base_image: str
) -> None:
    """From files, beside the outputs that the notebook was saved with."""
    trust_and_login(registry_tls, tmp_path)
    path = tmp_path / "nb.ipynb"

    def build(code: str, printed: str | None) -> tuple[int, dict[str, Any], str]:
        cell = nbformat.v4.new_code_cell(f"%%containerize checked\n{code}", execution_count=1)
        if printed is not None:
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)]
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
        argv = ["build", str(path), "--publish", "--repository", f"{registry_tls.host}/me", "--check=image", "--json"]
        status, out, err = cli_run(argv)
        return status, json.loads(out), err

    where = "import os; print(os.getcwd(), os.getuid())"
    status, record, _ = build(where, "/app 1000\n")
    assert (status, record["proof"]["status"], record["proof"]["barrier"]) == (
        0, "proven", "a container without a network",
    )  # fmt: skip
    assert record["pushed"]
    status, record, _ = build(where, "/home/me 1000\n")
    assert status == 1
    assert "differs: line 1 is '/app 1000' and was '/home/me 1000'" in record["error"]["message"]
    assert "leave --check out" in record["error"]["hint"]
    status, record, _ = build("import socket; socket.create_connection(('203.0.113.7', 80), 5)", "ok\n")
    assert status == 1
    assert "is not proven: it reached outside: the network (Network is unreachable)" in record["error"]["message"]
    status, record, _ = build(where, None)
    assert (status, record["proof"]["status"]) == (0, "ran, not compared")
    assert [one for one in client.containers(all=True) if "checked" in str(one["Names"])] == []


def test_each_bad_thing_is_one_sentence_and_the_right_status(
    client: APIClient, tmp_path: Path, base_image: str
) -> None:
    before = {tag for image in client.images() for tag in image["RepoTags"] or ()}
    containers = {c["Id"] for c in client.containers(all=True)}
    good = notebook(tmp_path, "%%containerize good\nprint(1)", name="good.ipynb")
    failing = notebook(tmp_path, "%%containerize good\n1 / 0", name="failing.ipynb")
    cases: list[tuple[list[str], int, str]] = [
        (["build", str(tmp_path / "none.ipynb")], 2, "none.ipynb"),
        (["build", str(good), "--cell", "9"], 2, "9"),
        (["build", str(good), "--base", "no-such-base:1"], 1, "no-such-base"),
        (["build", str(good), "--builder", "steam"], 2, "Unknown spec steam"),
        (["build", str(good), "--publish"], 2, "no registry or repository"),
        (["build", str(good), "--publish", "--repository", "127.0.0.1:1/x"], 1, "127.0.0.1:1"),
        (["build", str(good), "--requirement", "no-such-dist-at-all==1"], 1, "no-such-dist-at-all"),
        (["build", str(failing), "--run"], 1, "status 1"),
        (["bild"], 2, "bild"),
    ]
    for argv, status, word in cases:
        got, out, err = cli_run(argv)
        assert (got, word in err, 'Traceback (most recent call last):\n  File "/' in err) == (status, True, False), (
            argv,
            got,
            err,
        )
        assert out == ""
    after = {tag for image in client.images() for tag in image["RepoTags"] or ()}
    assert {tag.rpartition(":")[0] for tag in after - before} <= {"good", "127.0.0.1:1/x/good"}
    assert {c["Id"] for c in client.containers(all=True)} == containers


def test_two_cells_with_one_name_are_refused_before_any_build(client: APIClient, tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize twin\nprint(1)", "%%containerize twin\nprint(2)")
    status, _, err = cli_run(["build", str(path)])
    assert status == 2
    assert "cells 0 and 1 would both make twin:latest" in err
    assert cli_run(["inspect", "twin"])[0] == 2


def test_a_strangers_notebook_cannot_send_or_run_anything(
    client: APIClient, tmp_path: Path, registry_http: Registry
) -> None:
    line = f"%%containerize lone --publish --run --repository {registry_http.host}/stolen --include ../secret.txt --dockerfile ../evil --context {tmp_path}/made"
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "sub").mkdir()
    path = notebook(tmp_path / "sub", f"{line}\nprint(1)")
    status, out, err = cli_run(["build", str(path), "--json"])
    assert status == 0, err
    record = json.loads(out)
    assert (record["image"], record["pushed"], record["run"]) == ("lone:latest", [], None)
    assert [file["path"] for file in record["files"]] == ["app/main.py"]
    assert not (tmp_path / "made").exists()


def test_the_context_folder_builds_by_itself(client: APIClient, tmp_path: Path, base_image: str) -> None:
    """What ``export`` writes is what any builder takes."""
    from buildr_jupyter import builder

    path = notebook(tmp_path, "%%containerize\nprint('by itself')")
    assert cli_run(["export", str(path), "--out", str(tmp_path / "out")])[0] == 0
    result = builder.select("docker").build("by-itself", str(tmp_path / "out"))
    assert result.image_id
    container = client.create_container("by-itself")
    client.start(container)
    client.wait(container)
    assert client.logs(container) == b"by itself\n"
    client.remove_container(container)


def test_a_dockerfile_of_the_users_own(client: APIClient, tmp_path: Path, base_image: str) -> None:
    (tmp_path / "Mine").write_text(f'FROM {base_image}\nCOPY app/ /there/\nWORKDIR /there\nCMD ["python", "main.py"]\n')
    path = notebook(tmp_path, "%%containerize own\nprint('mine')")
    status, out, err = cli_run(["build", str(path), "--dockerfile", "Mine", "--run", "--json"])
    assert status == 0, err
    assert json.loads(out)["run"]["stdout_tail"] == "mine\n"
    cell = notebook(
        tmp_path,
        f'%%containerize cell\nFROM {base_image}\nCMD ["echo", "a cell that is a Dockerfile"]',
        name="d.ipynb",
    )
    status, out, err = cli_run(["build", str(cell), "--dockerfile", "-", "--run", "--json"])
    assert status == 0, err
    assert json.loads(out)["run"]["stdout_tail"] == "a cell that is a Dockerfile\n"


def test_a_secret_for_a_dockerfile(
    client: APIClient, tmp_path: Path, base_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read by the step, and stands in no record, image or output; a notebook's own line cannot name one."""
    held = secrets.token_hex(12)
    monkeypatch.setenv("HELD", held)
    text = f"FROM {base_image}\nRUN --mount=type=secret,id=held sha256sum /run/secrets/held > /sum\nCMD cat /sum\n"
    path = notebook(tmp_path, f"%%containerize sec\n{text}")
    status, out, err = cli_run(
        ["build", str(path), "--dockerfile", "-", "--secret", "id=held,env=HELD", "--run", "--json"]
    )
    assert status == 0, err
    record = json.loads(out)
    assert record["run"]["stdout_tail"].startswith(hashlib.sha256(held.encode()).hexdigest())
    everything = out + err + "".join(file.read_text() for file in Path(record["context"]).rglob("*") if file.is_file())
    everything += json.dumps([client.history(record["image_id"]), client.inspect_image(record["image_id"])])
    assert held not in everything
    status, out, _ = cli_run(
        [
            "build",
            str(path),
            "--dockerfile",
            "-",
            "--secret",
            "id=held,env=HELD",
            "--builder",
            "docker=classic",
            "--json",
        ]
    )
    assert status == 2
    assert "take a builder that can: buildkit" in json.loads(out)["error"]["hint"]
    plain = notebook(tmp_path, "%%containerize plain\nprint(1)", name="plain.ipynb")
    status, out, _ = cli_run(["build", str(plain), "--secret", "id=held,env=HELD", "--json"])
    assert "only steps of a Dockerfile of your own" in json.loads(out)["error"]["message"]
    text = text.replace("sha256sum", "md5sum")  # a step of its own: what a secret holds is in no cache key
    line = notebook(tmp_path, f"%%containerize sec2 --secret id=held,env=HELD\n{text}", name="s.ipynb")
    status, out, _ = cli_run(["build", str(line), "--dockerfile", "-", "--json"])
    assert status == 1
    assert json.loads(out)["error"]["step"].startswith("RUN --mount=type=secret,id=held")


@pytest.mark.parametrize("name", sorted({path.name for path in NOTEBOOKS.glob("*.ipynb")} - {ON_THE_CLUSTER}))
def test_the_notebooks_run(name: str, docker_host: str, registry_tls: Registry, tmp_path: Path) -> None:
    """nbval executes each in a kernel of its own, and compares the outputs of the cells that ask for it."""
    trust_and_login(registry_tls, tmp_path)
    environment = {
        **os.environ,
        "BUILDR_REPOSITORY": f"{registry_tls.host}/notebooks" if name.startswith("02") else "",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "BUILDR_DATA": str(tmp_path / "data"),
        "PYTHONWARNINGS": "ignore",
    }
    if name.startswith("05"):  # a machine with no engine in reach
        environment["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    run_notebook(name, environment)


def test_the_decorator_builds_from_inside_a_container_that_is_not_ours(
    client: APIClient, docker_host: str, tmp_path: Path, base_image: str
) -> None:
    """A hub runs notebooks in containers; only buildr's marker says that the program is in its own image."""
    (tmp_path / "app.py").write_text(
        "from buildr_jupyter import Containerize\n\n\n"
        "@Containerize(package={'name': 'nested', 'quiet': True})\n"
        "def main():\n    print('inside' if __import__('os').environ.get('BUILDR_IN_CONTAINER') else 'outside')\n\n\n"
        "if __name__ == '__main__':\n    main()\n"
    )
    site = next(path for path in sys.path if path.endswith("site-packages"))
    package = Path(cli.__file__).parents[1]
    socket = docker_host.removeprefix("unix://")
    volumes = {site: "/site", str(package): "/repo", str(tmp_path): "/work", socket: "/engine.sock"}
    host = client.create_host_config(
        binds={source: {"bind": target, "mode": "rw"} for source, target in volumes.items()}
    )
    environment = {
        "PYTHONPATH": "/repo:/site",
        "DOCKER_HOST": "unix:///engine.sock",
        "HOME": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    inside = {**environment, "BUILDR_IN_CONTAINER": "1"}
    for variables, printed in ((environment, b"inside\n"), (inside, b"inside\n")):
        container = client.create_container(
            base_image, ["python3", "app.py"], environment=variables, host_config=host, working_dir="/work"
        )
        client.start(container)
        status = client.wait(container)["StatusCode"]
        logs = client.logs(container, stdout=True, stderr=False), client.logs(container, stdout=False, stderr=True)
        client.remove_container(container)
        assert (status, logs[0]) == (0, printed), logs
        assert bool(client.images("nested")) is (variables is environment), "inside, it is just called"
        if client.images("nested"):
            for tag in client.images("nested")[0]["RepoTags"]:
                client.remove_image(tag, force=True)


def test_an_interrupt_ends_everything_and_leaves_nothing(
    client: APIClient, docker_host: str, tmp_path: Path, base_image: str
) -> None:
    """SIGINT in the middle of a step: status 130, one record, no container, no name, and the process's sleep is gone."""
    import secrets
    import signal

    from tests.fakes.processes import arguments_with

    nonce = f"10{secrets.randbelow(10**8):08d}"
    (tmp_path / "Slow").write_text(f"FROM {base_image}\nRUN sleep {nonce}\n")
    path = notebook(tmp_path, "%%containerize interrupted\nprint(1)")
    command = [sys.executable, "-m", "buildr_jupyter", "build", str(path), "--dockerfile", "Slow", "--json"]
    before = {one["Id"] for one in client.containers(all=True)}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not arguments_with(nonce) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert arguments_with(nonce)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130, err
    assert json.loads(out)["status"] == "cancelled"
    deadline = time.monotonic() + 5
    while arguments_with(nonce) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not arguments_with(nonce)
    assert {one["Id"] for one in client.containers(all=True)} == before
    assert not client.images("interrupted")
    assert cli_run(["build", str(path)])[0] == 0
