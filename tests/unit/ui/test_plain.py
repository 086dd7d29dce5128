from __future__ import annotations

import json
from dataclasses import replace

import pytest

from buildr_jupyter.errors import BuildError, Cancelled
from buildr_jupyter.events.event import LogLine, RunOutput, StageUpdate, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.ui import json_record, plain, result, sanitize

HOSTILE = "<script>alert(1)</script>\x1b]8;;http://evil\x07link\x1b]8;;\x07\x1b[31mred\x1b[0m\x1b]0;title\x07\u202eflip\x00\x07"
RESULT = BuildResult(
    image="app:latest",
    image_id="sha256:" + "a" * 64,
    unpacked_bytes=142_000_000,
    duration_s=1.25,
    run=RunResult(0, "hi\n"),
)


def test_text_from_outside_cannot_steer_a_terminal() -> None:
    assert sanitize.clean_text(HOSTILE) == "<script>alert(1)</script>linkredflip"
    assert sanitize.clean_text("a\r\nb\tc") == "a\nb\tc"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (None, "-"),
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (188_000_000, "188 MB"),
        (2_500_000_000_000, "2500 GB"),
    ],
)
def test_sizes(size: int | None, shown: str) -> None:
    assert sanitize.show_size(size) == shown


def test_each_step_is_one_line_and_the_log_stands_under_it() -> None:
    written: list[str] = []
    output: list[str] = []
    window = plain.TextDisplay(written.append, output=lambda event: output.append(event.text))
    state = BuildState()
    window.open(state, "app:latest")
    window.draw(
        state,
        [StepUpdate("1", "FROM x", 1, 2), StepUpdate("1", "FROM x", 1, 2, "cached"), StepUpdate("2", "RUN\ty", 2, 2)],
    )
    window.draw(
        state,
        [LogLine(0, "out"), LogLine(1, "  "), StepUpdate("2", "RUN y", 2, 2, "done"), BuildWarning("odd", "repair it")],
    )
    window.draw(
        state, [TransferUpdate("abc", "push", total_bytes=10, status="done")] * 2 + [RunOutput("stdout", "hello")]
    )
    state.apply(StageUpdate("build", "running")).fail(ValueError())
    window.close(state)
    assert "".join(written).splitlines() == [
        "buildr: app:latest",
        "start from x  (cached)",
        "[2/2] RUN y",
        "    out",
        "warning: odd (repair it)",
        "    push abc: done 10 bytes",
        "buildr: failed in stage build",
    ]
    assert output == ["hello"]


def test_a_line_that_comes_in_parts_is_written_whole() -> None:
    """uv writes a line in several parts, and an engine sends each as it comes."""
    written: list[str] = []
    window = plain.TextDisplay(written.append)
    state = BuildState()
    window.draw(state, [StepUpdate("1", "RUN x"), LogLine(0, "Installed 6 packages", "1", partial=True)])
    window.draw(state, [LogLine(1, "other step", "2"), LogLine(2, " in 654ms", "1")])
    window.draw(state, [LogLine(3, "10%\r", "1", partial=True), LogLine(4, "20%", "1", partial=True)])
    window.draw(
        state, [LogLine(5, "", "1"), LogLine(6, "no end", "1", partial=True), StepUpdate("1", "RUN x", status="done")]
    )
    window.draw(state, [LogLine(7, "the last", "2", partial=True)])
    window.close(state)
    assert "".join(written).splitlines() == [
        "RUN x",
        "    other step",
        "    Installed 6 packages in 654ms",
        "    20%",
        "    no end",
        "    the last",
    ]


def test_no_stage_is_named_where_none_had_begun() -> None:
    """An option was wrong: the error is shown by the one who raises it, and the build has no end to be told."""
    written: list[str] = []
    window = plain.TextDisplay(written.append)
    window.close(BuildState().fail(ValueError()))
    assert written == []


def test_the_result_reads_well_and_is_escaped() -> None:
    text = result.render_result_text(RESULT)
    assert "app:latest" in text
    assert "142 MB unpacked" in text
    assert "docker run --rm app:latest" in text
    assert "digest" not in text.replace("image id", "")
    hostile = BuildResult(image=HOSTILE)
    markup = result.render_result_html(hostile)
    assert "<script" not in markup
    assert "&lt;script&gt;" in markup
    assert "\x1b" not in markup


def test_the_record_has_every_field_in_every_case() -> None:
    cell = {"index": 3, "id": "abc", "tags": []}
    ok = json.loads(json_record.make_record(cell, RESULT))
    error = BuildError("Image build failed: x", hint="repair", step="RUN y", log_tail=("a", "b"))
    error.stage = "build"
    failed = json.loads(json_record.make_record(cell, error, duration_s=2.0))
    cancelled = json.loads(json_record.make_record(cell, Cancelled("stopped")))
    assert ok.keys() == failed.keys() == cancelled.keys()
    assert set(ok) == {
        "schema", "cell", "status", "stage", "image", "image_id", "digest", "size_bytes", "unpacked_bytes", "duration_s",
        "cached", "context", "requirements", "names", "files", "pushed", "archive", "run", "sweep", "proof", "error",
    }  # fmt: skip
    assert (ok["status"], failed["status"], cancelled["status"]) == ("ok", "failed", "cancelled")
    proven = json.loads(json_record.make_record(cell, replace(RESULT, proof=Proof("differs", "why", ("x: why",)))))
    assert (ok["proof"], proven["proof"]) == (
        None,
        {"status": "differs", "why": "why", "widened": ["x: why"], "barrier": ""},
    )
    assert ok["run"] == {
        "exit_code": 0,
        "stdout_tail": "hi\n",
        "log_tail": [],
        "returned": [],
        "folder": None,
        "outputs": [],
    }
    assert failed["error"] == {
        "type": "BuildError", "message": "Image build failed: x", "hint": "repair", "step": "RUN y", "log_tail": ["a", "b"],
    }  # fmt: skip
    assert (failed["stage"], failed["duration_s"]) == ("build", 2.0)
    assert "\n" not in json_record.make_record(cell, error)
