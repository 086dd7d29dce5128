from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from buildr_jupyter import __version__, cli
from tests.fakes.credentials import fakes

ROOT = Path(__file__).parents[2]
TOKEN = next(fake.value for fake in fakes() if fake.kind == "github-pat")


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(list(argv))
    return status, out.getvalue(), err.getvalue()


def notebook(folder: Path, *cells: str, kernel: str | None = None) -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    if kernel:
        made.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    path = folder / "nb.ipynb"
    nbformat.write(made, path)
    return path


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "cache" / "store"))


def test_an_exported_program_prints_what_the_cell_prints(tmp_path: Path) -> None:
    path = notebook(tmp_path, "base = [1, 2]", "print('not this')", "base.append(3)", "print(len(base))\nsum(base)")
    status, out, err = run("export", str(path), "--cell", "3", "--out", str(tmp_path / "out"))
    assert (status, out) == (0, ""), err
    ran = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path / "out" / "app", capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "3\n6\n")
    record = json.loads((tmp_path / "out" / "buildr.json").read_text())
    assert [name["name"] for name in record["names"]] == ["base"]
    assert "/" not in record["interpreter"]
    assert str(tmp_path) not in (tmp_path / "out" / "buildr.json").read_text()


def test_explain_gives_every_reason(tmp_path: Path) -> None:
    (tmp_path / "helper_one.py").write_text("")
    path = notebook(tmp_path, "import helper_one, pandas as pd", "pd.DataFrame()\nhelper_one")
    status, out, _ = run("export", str(path), "--cell", "1", "--out", str(tmp_path / "out"), "--explain")
    assert status == 0
    assert "pandas in nb.ipynb, cell 0, line 1" in out
    assert "imported by nb.ipynb, cell 0, line 1" in out


def test_exporting_a_credential_is_a_warning_and_building_it_is_refused(tmp_path: Path) -> None:
    path = notebook(tmp_path, f"%%containerize\nprint({TOKEN!r})")
    status, _, err = run("export", str(path), "--out", str(tmp_path / "out"))
    assert status == 0
    assert "a build would stop here: nb.ipynb, cell 0, line 2 (app/main.py, line " in err
    status, _, err = run("build", str(path))
    assert status == 1
    assert "LeakError" in err


@pytest.mark.parametrize(
    ("content", "argv", "word"),
    [
        ("no json", [], "nb.ipynb"),
        ('{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', [], "nb.ipynb"),
        (None, ["--cell", "7"], "7"),
        (None, ["--cell", "tag:none"], "none"),
        (None, ["--kernel", "no-such-kernel"], "no-such-kernel"),
        (None, ["--memory", "lots"], "--memory"),
    ],
)
def test_wrong_use_is_status_2_and_writes_nothing(
    tmp_path: Path, content: str | None, argv: list[str], word: str
) -> None:
    path = notebook(tmp_path, "%%containerize\nprint(1)")
    if content is not None:
        path.write_text(content)
    status, out, err = run("export", str(path), "--out", str(tmp_path / "out"), *argv)
    assert (status, out) == (2, "")
    assert word in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_an_interrupt_while_the_command_is_imported_is_one_line() -> None:
    code = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'buildr_jupyter.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "sys.argv = ['buildr', 'images']\n"
        "from buildr_jupyter.__main__ import main\n"
        "sys.exit(main())"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout, answer.stderr) == (130, "", "buildr: interrupted\n")


def test_what_a_builder_logs_is_not_told_beside_the_error() -> None:
    """Without logging set up Python writes to standard error what no handler takes; pytest has set it up."""
    code = (
        "from buildr_jupyter.builder import oci_builder\n"
        "from buildr_jupyter.builder.oci.log import logged\n"
        "from buildr_jupyter.errors import BuildError\n"
        "def fails():\n"
        "    yield from ()\n"
        "    raise BuildError('Image build failed: why')\n"
        "try:\n"
        "    list(logged(fails(), oci_builder.logger))\n"
        "except BuildError as error:\n"
        "    print(error)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (answer.stdout, answer.stderr) == ("Image build failed: why\n", "")


def test_an_empty_cell_is_no_program(tmp_path: Path) -> None:
    status, _, err = run("build", str(notebook(tmp_path, "x = 1", "%%containerize one\n  \n")))
    assert (status, "nb.ipynb, cell 1: the cell is empty" in err) == (2, True), err
    assert "hint: write the code below its first line" in err


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize\nprint(1)")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    status, _, err = run("export", str(path), "--out", str(tmp_path / "mine"))
    assert status == 1
    assert "not empty" in err


def test_json_goes_on_after_a_failed_cell_and_prints_one_line_for_each(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize one\nprint(1)", "%%containerize two\nprint(nowhere)")
    status, out, _ = run("build", str(path), "--json", "--builder", "docker")
    records = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [record["status"] for record in records] == ["failed", "failed"]
    assert [record["error"]["type"] for record in records] == ["EngineUnavailable", "UnboundName"]
    assert [record["stage"] for record in records] == ["build", "export"]
    assert [record["cell"]["index"] for record in records] == [0, 1]


def test_a_kernel_that_is_not_installed_is_replaced_and_said(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize\nimport not_installed_anywhere\nprint(1)", kernel="someones-kernel")
    status, _, err = run("export", str(path), "--out", str(tmp_path / "out"))
    assert status == 1
    assert "module 'not_installed_anywhere' is not installed in" in err
    assert "or name it with --requirement, or name the notebook's kernel with --kernel" in err
    status, _, err = run("export", str(path), "--out", str(tmp_path / "out"), "--requirement", "the-dist")
    assert status == 0
    assert "not_installed_anywhere is not installed here; it is taken to come from the-dist" in err
    assert (tmp_path / "out" / "requirements.txt").read_text() == "the-dist\n"


def test_doctor_says_what_is_missing_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{tmp_path}/no-podman.sock")
    status, out, _ = run("doctor")
    assert status == 0
    assert "none.sock" in out
    assert "to do: start Docker" in out
    assert "without an engine (builder oci); nothing here can run them yet" in out
    report = json.loads(run("doctor", "--json")[1])
    assert (report["can_build"], report["can_run"]) == (True, False)


def test_logins_need_no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from buildr_jupyter.registry import keychain
    from tests.fakes.registry import FakeRegistry

    monkeypatch.setenv("BUILDR_AUTH_FILE", str(tmp_path / "auth.json"))
    with FakeRegistry(auth="basic", user="me", password="open sesame") as registry:
        monkeypatch.setattr(sys, "stdin", io.StringIO("wrong\n"))
        assert run("login", registry.host, "-u", "me", "--password-stdin")[0] == 1
        assert keychain.find(registry.host) is None
        monkeypatch.setattr(sys, "stdin", io.StringIO("open sesame\n"))
        status, out, err = run("login", registry.host, "-u", "me", "--password-stdin")
    assert (status, out) == (0, ""), err
    assert "open sesame" not in err
    assert oct((tmp_path / "auth.json").stat().st_mode & 0o777) == "0o600"
    assert run("logout", registry.host)[0] == 0
    assert keychain.find(registry.host) is None


def test_the_cache_is_shown_and_pruned(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize\nprint(1)")
    assert run("build", str(path), "--builder", "docker")[0] == 1
    assert run("cache") == (0, "nothing is kept yet\n", "")
    kept = tmp_path / "cache" / "buildr" / "contexts" / "nb-1"
    kept.mkdir(parents=True)
    (kept / "x").write_text("12345")
    assert "5 bytes" in run("cache")[1]
    status, out, err = run("cache", "prune")
    assert (status, "context " in out) == (2, True)
    assert "nobody can be asked" in err
    assert "--yes" in err
    assert kept.exists()
    assert run("cache", "prune", "--dry-run") == (
        0,
        f"context {kept}  5 bytes\nwould be removed: 5 bytes; 0 images stay (--images)\n",
        "",
    )
    assert kept.exists()
    assert run("cache", "prune", "--older-than", "1d", "--yes")[:2] == (0, "there is nothing to prune\n")
    assert run("cache", "prune", "--older-than", "tomorrow", "--yes")[0] == 2
    assert kept.exists()
    status, out, err = run("cache", "prune", "--yes")
    assert (status, out.splitlines()[-1]) == (0, "removed: 5 bytes; 0 images stay (--images)")
    assert not kept.exists()
    assert run("cache", "prune") == (0, "there is nothing to prune\n", "")


def test_a_reader_that_leaves_is_no_crash(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize\nprint(1)")
    buildr = f"{sys.executable} -m buildr_jupyter build {path} --dry-run"
    for reader, statuses in (("cat", "0 0"), ("true", "141 0")):
        command = f"{buildr} | {reader} > /dev/null; echo ${{PIPESTATUS[@]}}"
        ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=dict(os.environ))
        assert "Traceback" not in ran.stderr
        assert ran.stdout.split() in (statuses.split(), ["0", "0"]), ran.stderr  # it may have written all before


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_that_did_not_happen_is_no_success(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize app\nprint(1)")
    status, out, _ = run("build", str(path), "--run", "--json", "--base", "kernel")
    (record,) = records(out)
    assert (status, record["status"], record["stage"], record["run"]) == (1, "failed", "run", None)
    assert record["image"] == "app:latest"
    assert Path(record["archive"]).is_file()
    assert "was built and not run: no engine answers here" in record["error"]["message"]
    assert record["archive"] in record["error"]["hint"]


def test_the_check_runs_before_a_build_and_stops_it(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize app\nprint(1)\nraise SystemExit(3)")
    status, out, err = run("build", str(path), "--check", "--json", "--base", "kernel")
    (record,) = records(out)
    assert (status, record["stage"], record["image"]) == (1, "proof", None)
    assert "--check: the program is not proven: it ended with status 3" in record["error"]["message"]
    path = notebook(tmp_path, "%%containerize app\nprint(1)")
    status, out, err = run("build", str(path), "--check", "--base", "kernel")
    assert status == 0, err
    assert "check: proof: ran, not compared: no run of this cell is known" in err


def test_json_is_all_there_is_on_standard_output(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize app\nprint(1)")
    status, out, _ = run("build", str(path), "--dry-run", "--json")
    (record,) = records(out)
    assert (status, record["status"], record["image"], record["context"]) == (0, "ok", None, None)
    assert record["dockerfile"].startswith("# Made by buildr_jupyter")
    assert [file["path"] for file in record["files"]] == ["app/main.py"]
    status, out, _ = run("export", str(path), "--json", "--out", str(tmp_path / "out"), "--check")
    (record,) = records(out)
    assert (status, record["context"]) == (0, str(tmp_path / "out"))
    for argv in (["doctor"], ["logout", "reg.example"], ["cache", "show"], ["cache", "prune", "--dry-run"]):
        status, out, _ = run(*argv, "--json")
        assert status == 0
        assert all(record for record in records(out))


@pytest.mark.parametrize(
    ("argv", "kind", "status"),
    [
        (["build", "gone.ipynb"], "NotebookError", 2),
        (["export", "gone.ipynb", "--out", "x"], "NotebookError", 2),
        (["build", "gone.ipynb", "--no-such-option"], "OptionError", 2),
        (["build"], "OptionError", 2),
        (["inspect", "Not An Image"], "ImageRefError", 2),
        (["rebase", "app", "--base", "x"], None, None),
        (["login", "https://reg.example/x"], "OptionError", 2),
        (["nonsense"], "OptionError", 2),
    ],
)
def test_every_failure_is_one_line_of_json(argv: list[str], kind: str | None, status: int | None) -> None:
    got, out, err = run(*argv, "--json")
    (record,) = records(out)
    assert got == (status or got) != 0
    assert record["status"] == "failed"
    assert record["error"]["type"] == (kind or record["error"]["type"])
    assert record["error"]["message"]
    assert record["error"]["message"].splitlines()[0] in err
    assert "Traceback" not in err


def test_an_edited_dockerfile_is_kept_and_built(tmp_path: Path) -> None:
    path, out = notebook(tmp_path, "%%containerize app\nprint(1)"), tmp_path / "out"
    assert run("export", str(path), "--out", str(out))[0] == 0
    dockerfile = out / "Dockerfile"
    lines = dockerfile.read_text().splitlines(keepends=True)
    assert "Remove this line to keep your own changes" in lines[0]
    dockerfile.write_text("".join(lines) + "# with the first line there, this goes\n")
    assert run("export", str(path), "--out", str(out))[0] == 0
    assert dockerfile.read_text() == "".join(lines)
    dockerfile.write_text("".join(lines[1:]) + "ENV MINE=1\n")
    status, _, err = run("export", str(path), "--out", str(out))
    assert status == 0
    assert dockerfile.read_text().endswith("ENV MINE=1\n")
    assert "is your own, for its first line is gone" in err
    status, out_text, _ = run("build", str(path), "--context", str(out), "--builder", "oci", "--json")
    assert "a Dockerfile: its commands need an engine" in records(out_text)[0]["error"]["message"]
    assert dockerfile.read_text().endswith("ENV MINE=1\n")


def test_a_dockerfile_that_an_option_named_is_for_this_once(tmp_path: Path) -> None:
    path, out = notebook(tmp_path, "%%containerize app\nprint(1)"), tmp_path / "out"
    (tmp_path / "Mine").write_text("FROM scratch\n")
    words = ["export", str(path), "--out", str(out)]
    assert run(*words, "--dockerfile", "Mine")[0] == 0
    assert (out / "Dockerfile").read_text() == "FROM scratch\n"
    assert "is your own" not in run(*words)[2]
    assert "main.py" in (out / "Dockerfile").read_text()
    assert run(*words, "--dockerfile", "Mine")[0] == 0
    (out / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    for _ in range(2):
        assert "is your own" in run(*words)[2], "it was changed in the folder, and so it is kept"
        assert (out / "Dockerfile").read_text() == "FROM scratch\nLABEL a=b\n"


def test_a_dockerfile_is_kept_where_the_record_beside_it_is_damaged(tmp_path: Path) -> None:
    path, out = notebook(tmp_path, "%%containerize app\nprint(1)"), tmp_path / "out"
    assert run("export", str(path), "--out", str(out))[0] == 0
    (out / "Dockerfile").write_text("FROM scratch\n")
    (out / "buildr.json").write_text("{")
    run("export", str(path), "--out", str(out))
    assert (out / "Dockerfile").read_text() == "FROM scratch\n"


def test_a_context_folder_is_built_as_it_stands(tmp_path: Path) -> None:
    path, folder = notebook(tmp_path, "%%containerize app\nprint(1)"), tmp_path / "ctx"
    assert run("export", str(path), "--out", str(folder), "--base", "kernel")[0] == 0
    before = json.loads((folder / "buildr.json").read_text())["content_digest"]
    (folder / "app" / "main.py").write_text("print('edited')\n")
    (folder / "app" / "extra.txt").write_text("new")
    status, out, err = run("build", "--from-context", str(folder), "--name", "mine", "--json")
    (record,) = records(out)
    assert (status, record["image"]) == (0, "mine:latest"), err
    assert {file["path"]: file["bytes"] for file in record["files"]} == {"app/main.py": 16, "app/extra.txt": 3}
    assert (folder / "app" / "main.py").read_text() == "print('edited')\n"
    inspected = json.loads(run("inspect", "mine", "--json")[1])
    assert inspected["labels"]["io.buildr.content-digest"] != before
    (folder / "requirements.txt").write_text("-e .\n")
    status, _, err = run("build", "--from-context", str(folder))
    assert status == 2
    assert "is an option of an installer" in err
    assert run("build", "--from-context", str(tmp_path / "none"))[0] == 2
    assert run("build", "--from-context", str(folder), "--apt", "git")[0] == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["login", "registry.example"], 1),
        (["build", "nb.ipynb", "--dry-run", "--include", os.fsdecode(b"gone-\xff")], 1),
        (["build", "größe.ipynb", "--dry-run"], 2),
        (["build", "nb.ipynb", "--dry-run", "--env", "A=größe"], 0),
        (["build", "nb.ipynb", "--nope"], 2),
    ],
)
def test_standard_output_is_json_whatever_is_in_it(tmp_path: Path, words: list[str], status: int) -> None:
    notebook(tmp_path, "%%containerize x\nprint('größe')")
    done = subprocess.run(
        [sys.executable, "-m", "buildr_jupyter", *words, "--json"],
        cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "ascii"}, stdin=subprocess.DEVNULL,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    (line,) = done.stdout.decode("ascii").splitlines()
    assert json.loads(line)["schema"] == 1
    assert b"Traceback" not in done.stderr


def test_a_cell_of_a_file_is_a_dockerfile_only_where_the_command_says_so(tmp_path: Path) -> None:
    path = notebook(tmp_path, "%%containerize x --dockerfile -\nFROM debian:bookworm-slim\nRUN echo 12ab")
    status, _, err = run("build", str(path), "--dry-run")
    assert status
    assert "may not set --dockerfile" in err
    assert "does not parse" not in err
    status, out, err = run("build", str(path), "--dry-run", "--dockerfile", "-")
    assert (status, "  Dockerfile" in out) == (0, True), err


def test_the_command_line_starts_without_the_pipeline() -> None:
    code = (
        "import buildr_jupyter.cli, sys\n"
        "heavy = ('packaging', 'requests', 'buildr_jupyter.analysis', 'buildr_jupyter.export', 'buildr_jupyter.pipeline')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_image_that_needs_no_registry_is_made_without_an_http_client() -> None:
    code = (
        "import buildr_jupyter.builder.oci_builder, buildr_jupyter.commands.manifest, buildr_jupyter.ui.plain, sys\n"
        "buildr_jupyter.builder.oci_builder.OciBuilder()\n"
        "print([name for name in ('requests', 'urllib3', 'docker') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_kernel_is_found_where_jupyter_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_client.kernelspec import KernelSpecManager

    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    for name, text in {
        "mine": '{"argv": ["/opt/python"], "display_name": "x", "language": "python"}',
        "odd": "[1]",
    }.items():
        (tmp_path / "kernels" / name).mkdir(parents=True)
        (tmp_path / "kernels" / name / "kernel.json").write_text(text)
    for name in ("mine", "Mine"):
        assert cli._installed_kernel(name) == KernelSpecManager().get_kernel_spec(name).argv[0] == "/opt/python"
    for name in ("odd", "../mine", "none-of-this-name"):
        assert cli._installed_kernel(name) is None


def test_the_version_is_said_before_anything_is_imported() -> None:
    code = "import sys; from buildr_jupyter.__main__ import main; sys.argv = ['buildr', '--version']; status = main(); "
    code += "assert not {'argparse', 'typing', 'buildr_jupyter.cli'} & set(sys.modules), sys.modules; sys.exit(status)"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (ended.returncode, ended.stdout) == (0, f"buildr {__version__}\n"), ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "the following arguments are required: image\n"),
        (("build", "nb.ipynb", "--kernel", "pythn3"), "write python3 if you meant that"),
        (("logout", "a b"), "logout: 'a b' is not a registry host"),
        (("login", "a b"), "login: 'a b' is not a registry host"),
        (("build", "--from-context", "nb.ipynb"), "is a file, and no folder"),
        (("build", "--from-context", "."), "it has no Dockerfile, so it is no context folder"),
        (("build", "nb.ipynb", "--output", "out.txt"), "'out.txt' is neither a FILE.tar nor a folder that is there"),
        (("rebase", "x", "--base", "y", "--output", "out.txt"), "neither a FILE.tar nor a folder that is there"),
    ],
)
def test_a_wrong_word_is_told(
    words: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebook(tmp_path, "%%containerize\nprint(1)")
    monkeypatch.chdir(tmp_path)
    assert cli.main([*words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out.txt").exists()
