"""One line of JSON tells how a cell ended: the same fields always, and what is not known is null."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildr_jupyter.context.dockerfile import render_dockerfile
from buildr_jupyter.dependencies.index_config import IndexSettings
from buildr_jupyter.errors import BuildError, BuildrError, Cancelled, OptionError
from buildr_jupyter.model.plan import FileEntry, FileNote, ImagePlan, NameNote, Requirement
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.pipeline.planner import Assembly
from buildr_jupyter.ui.json_record import error_fields, make_plan_record, make_record

CELL = {"index": 3, "id": "abc", "tags": ["x"]}
FIELDS = {
    "schema", "cell", "status", "stage", "image", "image_id", "digest", "size_bytes", "unpacked_bytes", "duration_s",
    "cached", "context", "requirements", "names", "files", "pushed", "archive", "run", "sweep", "proof", "error",
}  # fmt: skip


def test_a_good_end() -> None:
    result = BuildResult(
        "app:1", "sha256:a", "sha256:b", 1, 2, 1.23456, cached=True, context=Path("/c"), pushed=("app:1",),
        archive=Path("x.tar"), run=RunResult(0, "out", log_tail=("\x1b[31mred",)), requirements=(Requirement("a==1", "w"),),
        names=(NameNote("n", "o", "code", "y"),), files=(FileNote("app/x", 5, "w"),),
    )  # fmt: skip
    line = make_record(CELL, result)
    assert "\n" not in line
    assert json.loads(line) == {
        "schema": 1, "cell": CELL, "status": "ok", "stage": None, "image": "app:1", "image_id": "sha256:a",
        "digest": "sha256:b", "size_bytes": 1, "unpacked_bytes": 2, "duration_s": 1.235, "cached": True, "context": "/c",
        "requirements": [{"requirement": "a==1", "why": "w"}],
        "names": [{"name": "n", "origin": "o", "kind": "code", "why": "y"}],
        "files": [{"path": "app/x", "bytes": 5, "why": "w"}], "pushed": ["app:1"], "archive": "x.tar",
        "run": {"exit_code": 0, "stdout_tail": "out", "log_tail": ["red"], "returned": [], "folder": None,
                "outputs": []}, "sweep": None, "proof": None,
        "error": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (BuildResult("a"), "ok"), (BuildError("x"), "failed"), (OptionError("x"), "failed"), (ValueError("x"), "failed"),
        (Cancelled("x"), "cancelled"), (KeyboardInterrupt(), "cancelled"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_end_has_every_field(outcome: BuildResult | BaseException, status: str) -> None:
    record = json.loads(make_record(CELL, outcome, duration_s=0.5))
    assert set(record) == FIELDS
    assert record["status"] == status
    assert (record["error"] is None) is (status == "ok")


def test_a_failure_carries_what_was_built_before_it() -> None:
    error = BuildError("push failed", hint="log in")
    error.stage, error.result = "publish", BuildResult("app:1", "sha256:a")  # type: ignore[assignment]
    record = json.loads(make_record(CELL, error))
    assert (record["status"], record["stage"]) == ("failed", "publish")
    assert (record["image"], record["image_id"]) == ("app:1", "sha256:a")
    assert record["error"] == {
        "type": "BuildError", "message": "push failed", "hint": "log in", "step": None, "log_tail": None,
    }  # fmt: skip


def test_an_error_is_shown_without_escapes_and_an_interrupt_has_a_message() -> None:
    error = BuildError("\x1b[31mred\x1b[0m", hint="h")
    error.log_tail = ("\x1b[2Jone", "two")
    assert error_fields(error) | {"hint": "h"} == {
        "type": "BuildError", "message": "red", "hint": "h", "step": None, "log_tail": ["one", "two"],
    }  # fmt: skip
    assert error_fields(KeyboardInterrupt())["message"] == "interrupted"
    assert error_fields(BuildrError("x"))["log_tail"] is None


def test_a_plan_says_what_would_be_built() -> None:
    plan = ImagePlan(
        base="python:3.12-slim", python="3.12", files=(FileEntry.from_bytes("app/main.py", b"1", why="w"),)
    )
    assembly = Assembly(plan, IndexSettings(), None, (BuildWarning("\x1b[1modd"),))
    record = json.loads(make_plan_record(CELL, assembly, context=Path("/c")))
    assert set(record) == FIELDS | {"content_digest", "dockerfile", "warnings", "candidates", "interface"}
    assert (record["status"], record["stage"], record["image"], record["context"]) == ("ok", "export", None, "/c")
    assert record["content_digest"] == plan.content_digest
    assert record["dockerfile"] == render_dockerfile(plan)
    assert record["files"] == [{"path": "app/main.py", "bytes": 1, "why": "w"}]
    assert record["warnings"] == ["odd"]
