"""An artifact as files of this machine: whole, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildr_jupyter.errors import ReturnError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.in_image import upload
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.runner._outputs import Folders
from buildr_jupyter.runner.artifact import stream_artifact
from tests.fakes.registry import FakeRegistry
from tests.runner_contract import collected

FOLDERS = Folders("/app", "/app", "/app/output")


def pushed(registry: FakeRegistry, folder: Path, *paths: str) -> str:
    files = []
    for number, path in enumerate(paths):
        (folder / str(number)).write_text(path)
        files.append((path, str(folder / str(number)), len(path)))
    (folder / "0").chmod(0o755)
    return upload.push(f"http://{registry.host}", "team/app", {}, "run-x", files)


def test_files_come_back_under_their_names(tmp_path: Path) -> None:
    with FakeRegistry() as registry:
        digest = pushed(registry, tmp_path, "/app/run.sh", "/app/output/deep/b", "/tmp/c", "/../../d")
        stream = stream_artifact(f"{registry.host}/team/app", digest, FOLDERS, tmp_path / "out", CancelToken())
        events, written = collected(stream)
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == ["deep/b", "run.sh", "tmp/c"]
    assert [path.read_text() for path in written] == ["/app/output/deep/b", "/app/run.sh", "/tmp/c"]
    assert [bool(path.stat().st_mode & 0o100) for path in written] == [False, True, False]
    assert ["leads out" in event.text for event in events if isinstance(event, BuildWarning)] == [True]
    (title,) = {event.title for event in events if isinstance(event, StepUpdate)}
    assert title.startswith("4 output files, 43 bytes, from ")


@pytest.mark.parametrize("harm", ["gone", "bytes", "layers", "size", "title"])
def test_what_is_missing_or_damaged_is_refused(tmp_path: Path, harm: str) -> None:
    with FakeRegistry() as registry:
        digest = pushed(registry, tmp_path, "/app/a")
        _, content = registry.manifests[("team/app", digest)]
        document = json.loads(content)
        if harm == "gone":
            registry.manifests.clear()
        elif harm == "bytes":
            registry.lie = "x" * len("/app/a")
        else:
            wrong = {"layers": None, "size": [{**document["layers"][0], "size": "1"}], "title": [{}]}
            changed = json.dumps({**document, "layers": wrong[harm]}).encode()
            digest = registry.put("team/app", "run-x", json.loads(changed))
        stream = stream_artifact(f"{registry.host}/team/app", digest, FOLDERS, tmp_path / "out", CancelToken())
        with pytest.raises(ReturnError):
            collected(stream)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
