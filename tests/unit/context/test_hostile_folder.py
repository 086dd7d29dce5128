"""A context folder of a stranger: its buildr.json is checked, and it gets nothing of this user's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.context.folder import read_folder, write_folder
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.plan import CustomDockerfile, FileEntry, ImagePlan, Requirement
from buildr_jupyter.pipeline.planner import Assembly, ContextSource, assemble

GOOD = ImagePlan(
    base="python:3.12-slim",
    python="3.12",
    files=(FileEntry.from_bytes("app/main.py", b"print(1)\n"),),
    requirements=(Requirement("tqdm==4.67.1", "x"),),
    environment=(("A", "b\nc"),),
    labels=(("org.example.x", "y"),),
    ports=("8080/tcp",),
    system_packages=("git",),
    platforms=("linux/amd64",),
    folder="notebooks/täglich 1",
)
BAD: list[tuple[str, Any]] = [
    ("labels", [["a\nRUN evil", "b"]]), ("labels", [["x", 1]]),
    ("entrypoint", "sh"), ("entrypoint", [1]),
    ("user", "0:0\nRUN evil"), ("user", 0), ("user", None), ("user", "../../x"),
    ("workdir", "/app\nRUN evil"), ("workdir", "../../etc"), ("workdir", "/app/../../etc"), ("workdir", "/app$(id)"),
    ("workdir", "/app; id"), ("workdir", 5), ("workdir", "/"),
    ("folder", "../../etc"), ("folder", "/etc"), ("folder", 5), ("folder", "a\nb"), ("folder", "a/../../b"),
    ("environment", [["A B", "x"]]), ("environment", [["A=1\nRUN x", "x"]]), ("environment", [[1, 2]]),
    ("ports", ["80;x"]), ("ports", [5]), ("ports", ["80\nRUN x"]),
    ("base", "a\nRUN evil"), ("base", 5), ("base", None), ("base", "--evil"),
    ("base_digest", "x"), ("base_digest", 5),
    ("python", "3.11;evil"), ("python", "../.."), ("python", 5), ("python", "3.11\n"),
    ("system_packages", ["git; evil"]), ("system_packages", [5]), ("system_packages", ["a\nb"]),
    ("platforms", ["linux/amd64 --x"]), ("platforms", "linux/amd64"),
    ("notebook", 5), ("cell", ["x"]), ("notebook", "x\nRUN e"), ("interpreter", 5),
    ("names", [{"name": [], "origin": {}, "kind": 1, "why": 2}]),
    ("files", [{"path": "app/x", "mode": "0", "bytes": 1, "sha256": "x"}]),
    ("files", [{"path": "app/x", "mode": 0o4755, "bytes": 1, "sha256": "x"}]),
    ("files", [{"path": "app/../../x", "mode": 0o644, "bytes": 1, "sha256": "x"}]),
    ("dockerfile", {"text": 5, "build_args": [], "secrets": [], "target": None}),
    ("dockerfile", {"text": "FROM x", "build_args": [["A", 1]], "secrets": [], "target": None}),
]  # fmt: skip


def written(folder: Path, /, **changes: Any) -> Path:
    place = write_folder(GOOD, folder / "context")
    record = json.loads((place / "buildr.json").read_text())
    (place / "buildr.json").write_text(json.dumps(record | changes))
    return place


def test_what_we_write_is_read(tmp_path: Path) -> None:
    found = read_folder(written(tmp_path))
    assert replace(found, files=GOOD.files) == GOOD


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda one: repr(one)[:40])
def test_a_value_that_no_plan_has_is_refused_by_name(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ContextError, match=r"buildr\.json is not ours or is damaged"):
        read_folder(written(tmp_path, **{name: value}))


def assembled(folder: Path, *bases: str) -> Assembly:
    environ = {"PIP_INDEX_URL": "https://me:secret@index.example/simple", "PIP_CONFIG_FILE": "/dev/null"}
    return assemble(ContextSource(folder, bases), Options(), Interpreter.current(), environ)


def test_the_login_of_the_index_goes_to_no_step_of_a_stranger(tmp_path: Path) -> None:
    assert "secret" in str(assembled(written(tmp_path)).settings.environment), "the control: our own steps get it"
    own = written(tmp_path)
    (own / "Dockerfile").write_text("FROM python:3.12-slim\nRUN echo $FTP_PROXY\n")
    assert assembled(own).plan.dockerfile == CustomDockerfile("FROM python:3.12-slim\nRUN echo $FTP_PROXY\n", kept=True)
    for found in (assembled(own), assembled(own, "python")):
        assert not found.settings.environment
        assert "stay here" in found.warnings[0].text


def test_the_login_of_the_index_goes_to_no_base_that_is_on_no_list(tmp_path: Path) -> None:
    place = write_folder(replace(GOOD, base="evil.example/python:3.12"), tmp_path / "context")
    found = assembled(place)
    assert not found.settings.environment
    assert "evil.example" in found.warnings[0].text
    assert assembled(place, "evil.example/python").settings.environment, "unless the user's settings list it"
