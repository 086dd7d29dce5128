"""Completions of the magic's line: options, their values, the kernel's names, paths."""

from __future__ import annotations

import math
import sys
import threading
from pathlib import Path

import pytest

from buildr_jupyter.oci.store import Store
from buildr_jupyter.ui import completions
from buildr_jupyter.ui.completions import complete_line, kernel_names, known_images
from tests.fakes.engine import FakeEngine

NAMES = ["data", "model", "n"]


def offered(before: str, folder: Path = Path()) -> list[str]:
    return complete_line(before, names=NAMES, folder=folder, images=lambda: ["ghcr.io/me/base:1", "kernel"])[1]


@pytest.mark.parametrize("option", ["--param", "--snapshot", "--recompute"])
def test_names_of_the_kernel(option: str) -> None:
    assert offered(f"%%containerize x {option} ") == NAMES
    assert offered(f"%%containerize x {option} mo") == ["model"]


def test_options_and_their_values() -> None:
    assert offered("%%containerize x --snap") == ["--snapshot", "--snapshot-limit"]
    assert offered("%%containerize x --ui t") == ["text"]
    assert offered("%%containerize x --builder build") == ["buildah", "buildkit"]
    assert offered("%%containerize x --base k") == ["kernel"]
    assert offered("%%containerize x --base gh") == ["ghcr.io/me/base:1"]
    assert offered("%%containerize x --base py") == [f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim"]
    assert "--publish" in offered("%%containerize x ")
    assert offered("%%containerize nam") == []


def test_images_of_the_store_and_of_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "store"))
    Store().tag("kept:1", {"manifest": "sha256:" + "0" * 64})
    tags = {"1": ["base:3", "base:c-0123456789ab", "<none>:<none>"], "2": None, "3": ["kept:1"]}
    with FakeEngine(images={name: {"Id": name, "RepoTags": tag} for name, tag in tags.items()}) as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        assert known_images() == ["base:3", "kept:1"]
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert known_images() == ["kept:1"]


def test_nobody_waits_for_an_engine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(completions, "_WAIT_S", 0.01)
    monkeypatch.setattr(completions, "_images_here", lambda: (answers.wait(60) and "late:1",))
    assert known_images() == []
    answers.set()


def test_paths_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").touch()
    (tmp_path / "date.txt").touch()
    (tmp_path / ".hidden").touch()
    assert offered("%%containerize x --include da", tmp_path) == ["data/", "date.txt"]
    assert offered("%%containerize x --include data/", tmp_path) == ["data/a.csv"]
    assert offered("%%containerize x --include ", tmp_path) == ["data/", "date.txt"]
    assert offered("%%containerize x --include .h", tmp_path) == [".hidden"]
    assert offered("%%containerize x --include none/", tmp_path) == []
    assert offered(f"%%containerize x --include {tmp_path}/dat", Path("/")) == [
        f"{tmp_path}/data/",
        f"{tmp_path}/date.txt",
    ]


def test_the_word_that_is_replaced() -> None:
    assert complete_line("%%containerize x --param=", names=NAMES, folder=Path())[0] == "--param="
    assert complete_line("%%containerize x --param m", names=NAMES, folder=Path())[0] == "m"


def test_only_values_that_a_person_made() -> None:
    namespace = {"n": 1, "math": math, "area": lambda: 0, "Kind": int, "_": 1, "In": [], "get_ipython": None}
    assert kernel_names(namespace, {"In", "get_ipython"}) == ["n"]
