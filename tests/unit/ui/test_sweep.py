"""A sweep as text, table and lines: every text escaped, many rows cut, one line of JSON a run."""

from __future__ import annotations

import json
from pathlib import Path

from buildr_jupyter.events.event import RunUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.result import Returned, RunResult
from buildr_jupyter.ui.sweep import JsonRuns, render_run_line, render_sweep_html, render_sweep_text, sweep_record


def run(n: object, **changes: object) -> RunResult:
    returned = (Returned("out", "json", "int", 1, "", Path("x")),)
    return RunResult(0, inputs={"n": n}, duration_s=1.25, returned=returned, values={"out": 7}, **changes)  # type: ignore[arg-type]


BAD = RunResult(1, inputs={"n": "<b>"}, state="failed", reason="status \x1b[31m1")


def test_text_and_table() -> None:
    assert render_sweep_text([run(1), run(2, reused=True), BAD]).splitlines() == [
        "n    state   time   out",
        "1    done    1.2 s  7",
        "2    done    1.2 s  7",
        "<b>  failed              status 1",
        "3 runs: 2 done, 1 failed, 1 of them before",
    ]
    page = render_sweep_html([run(1), BAD])
    assert "<td>&lt;b&gt;</td>" in page
    assert "<b>" not in page
    assert "\x1b" not in page


def test_many_runs_are_cut_and_that_is_said() -> None:
    page = render_sweep_html([run(n) for n in range(500)])
    assert page.count("<tr>") == 201
    assert "500 runs: 500 done; the first 200 are shown" in page


def test_lines_while_it_runs() -> None:
    going = RunUpdate("k", 0, 3, "running", "n=1", started_at=1.0)
    ended = RunUpdate("k", 0, 3, "failed", "n=1", "status 1", 1.0, 2.5, log_tail=("boom",))
    kept = RunUpdate("l", 1, 3, "done", "n=2", finished_at=2.5, reused=True)
    assert render_run_line(going) is None
    assert render_run_line(ended) == "run 1/3 failed (1.5 s)  n=1: status 1\n    boom"
    assert render_run_line(kept) == "run 2/3 done, done before  n=2"
    lines: list[str] = []
    JsonRuns(lines.append).draw(BuildState(), [going, ended, kept])
    assert [(json.loads(one)["run"]["state"], json.loads(one)["run"]["reused"]) for one in lines] == [
        ("failed", False), ("done", True),
    ]  # fmt: skip


def test_the_state_counts_runs_as_progress() -> None:
    state = BuildState().apply_all(
        [RunUpdate(str(n), n, 4, "done" if n < 3 else "running", finished_at=1.0 if n < 3 else None) for n in range(4)]
    )
    assert state.fraction == 0.75
    assert state.runs["3"].phase == "running"


def test_the_record() -> None:
    assert sweep_record([run(1), run(2, reused=True), BAD]) == {"runs": 3, "done": 2, "failed": 1, "reused": 1}
