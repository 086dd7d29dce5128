"""The manifest of a run: what ``kubectl apply`` needs, no collector, no secret value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from buildr_jupyter import cli
from tests.fakes.registry import FakeRegistry

SECRET = "sesame-opens"


@pytest.fixture
def fake_registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    cells = [
        nbformat.v4.new_code_cell("%%containerize train\nprint(1)"),
        nbformat.v4.new_code_cell("%%containerize two\nprint(2)"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "nb.ipynb")
    return tmp_path / "nb.ipynb"


def documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(text))


def test_a_dry_run_shows_the_job(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["build", str(notebook), "--cell", "0", "--dry-run", "--on", "kubernetes", "--repository", "r.example/me"]
    assert cli.main([*words, "--memory", "1g", "--run-env", f"TOKEN={SECRET}", "--queue", "q"]) == 0
    out = capsys.readouterr().out
    assert SECRET not in out
    (job,) = documents(out.partition("the push will give:\n")[2])
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "q"
    (program,) = job["spec"]["template"]["spec"]["containers"]
    assert program["image"] == f"r.example/me/train@sha256:{'0' * 64}"
    assert program["resources"]["limits"] == {"memory": str(1 << 30)}
    (variable,) = program["env"]
    assert variable["valueFrom"]["secretKeyRef"]["key"] == "TOKEN"
    assert "kubectl create secret generic" in out
    assert cli.main(["build", str(notebook), "--cell", "0", "--dry-run"]) == 0
    assert "kind: Job" not in capsys.readouterr().out


def test_an_image_that_is_not_pushed_has_none(
    notebook: Path, capsys: pytest.CaptureFixture[str], fake_registry: FakeRegistry
) -> None:
    words = ["manifest", str(notebook), "--cell", "0", "--repository", f"{fake_registry.host}/me"]
    assert cli.main(words) == 2
    assert "is not in its registry yet" in capsys.readouterr().err


def test_a_document_for_each_cell(
    notebook: Path, capsys: pytest.CaptureFixture[str], fake_registry: FakeRegistry
) -> None:
    for name in ("train", "two"):
        fake_registry.put(
            f"me/{name}", "latest", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
        )
    assert cli.main(["manifest", str(notebook), "--repository", f"{fake_registry.host}/me"]) == 0
    found = documents(capsys.readouterr().out)
    assert [one["kind"] for one in found] == ["Job", "Job"]
    assert "io.buildr.owner" not in found[0]["metadata"]["labels"]
