from __future__ import annotations

import re
from typing import Any

import pytest

from buildr_jupyter.errors import BuildError, Cancelled, RunError
from buildr_jupyter.events.event import Finished, LogLine, RunUpdate, StageUpdate, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.ui.pane.static_output import render_record_html, render_record_text
from buildr_jupyter.ui.pane.view_model import MAX_RUNS, MAX_STEPS, Ages, Rates, make_view

HOSTILE = "<img src=x onerror=alert(1)>\x1b]8;;http://evil\x07\x1b[31mred\x1b[0m\x1b]0;t\x07\u202eflip\x00"


def view_of(state: BuildState, title: str = "app:1", line: str = "app:1", **more: Any) -> dict[str, Any]:
    facts = {
        "elapsed_s": 61.0,
        "fraction": 0.5,
        "left_s": None,
        "rates": Rates(),
        "ages": Ages(),
        "now": 0.0,
        "can": {},
    }
    return make_view(state, title, line=line, **{**facts, **more})


def done() -> BuildState:
    result = BuildResult(
        "app:1",
        digest="sha256:" + "a" * 64,
        size_bytes=142_000_000,
        duration_s=3.84,
        pushed=("r/app:1",),
        run=RunResult(0),
    )
    events = [
        StepUpdate("1", "FROM x", 1, 2, "cached"),
        StepUpdate("2", "RUN y", 2, 2, "done", 0.0, 3.0),
        LogLine(0, "hi", "2"),
    ]
    return BuildState().apply_all([*events, BuildWarning("odd", "repair it"), Finished(result)])


def failed(error: BaseException | None = None) -> BuildState:
    state = BuildState().apply_all(
        [StageUpdate("build", "running"), StepUpdate("1", "FROM x", 1, 2, "done"), StepUpdate("2", "RUN pip", 2, 2)]
    )
    state.apply_all([LogLine(0, "other", "1"), LogLine(1, "before", "2"), LogLine(2, "gcc: not found", "2")])
    return state.fail(error or BuildError("Image build failed: exit code 1", hint="see the log"))


def test_success_is_one_line_and_the_command() -> None:
    text = render_record_text(view_of(done()))
    assert text.splitlines()[0] == "✓ app:1 · sha256:aaaaaaaaaaaa… · 142 MB · 3.8 s · 1 of 2 steps cached"
    assert "run it: docker run --rm app:1" in text
    assert "pushed: r/app:1" in text
    assert "warning: odd (repair it)" in text
    assert "[2/2] RUN y  3.0 s" in text
    assert f"digest: sha256:{'a' * 64}" in text


def test_where_nothing_was_cached_that_is_not_said() -> None:
    view = view_of(done())
    result = view["result"]
    assert result is not None
    result["cached"] = 0
    assert render_record_text(view).splitlines()[0].endswith(" · 142 MB · 3.8 s")


def test_failure_has_the_error_the_hint_the_line_and_the_end_of_its_step() -> None:
    view = view_of(failed())
    text = render_record_text(view)
    assert text.splitlines()[:4] == [
        "✗ app:1 · failed · 1 min 1 s",
        "BuildError: Image build failed: exit code 1",
        "  hint: see the log",
        "  use instead: %%containerize app:1 --apt build-essential",
    ]
    assert "    | before\n    | gcc: not found" in text
    assert "| other" not in text
    assert view["error"]["key"] == "2"


def test_what_runs_says_that_it_ran_when_it_was_saved() -> None:
    state = BuildState().apply(StageUpdate("build", "running"))
    assert "building when this was saved" in render_record_text(view_of(state))
    assert view_of(BuildState().cancel())["said"] == "cancelled"
    cancelled = view_of(BuildState().apply(StageUpdate("build", "running")).fail(Cancelled("x")))
    assert cancelled["error"] is None


@pytest.mark.parametrize("state", [done(), failed(), BuildState()])
def test_the_record_has_no_script_and_fetches_nothing(state: BuildState) -> None:
    markup = render_record_html(view_of(state), "buildr-pane-x")
    assert markup.startswith('<div class="buildr-record buildr-pane-x">')
    assert not re.search(r"<script|<style|<link|<iframe|http|src=|onclick", markup)


def test_nothing_from_outside_is_markup_or_steers() -> None:
    events = [
        StepUpdate("1", HOSTILE),
        LogLine(0, HOSTILE, "1"),
        TransferUpdate(HOSTILE, "push"),
        BuildWarning(HOSTILE, HOSTILE),
    ]
    state = BuildState().apply_all(events).fail(BuildError(HOSTILE, hint=HOSTILE))
    view = view_of(state, title=HOSTILE, line=HOSTILE)
    markup = render_record_html(view)
    assert "<img" not in markup
    assert markup.count("&lt;img") >= 7
    for text in (markup, render_record_text(view), repr(view)):
        assert not re.search("[\x00\x1b\u202e]", text)


def test_lists_are_bounded_and_counted() -> None:
    state = BuildState().apply_all(StepUpdate(str(n), f"RUN {n}") for n in range(MAX_STEPS + 50))
    state.apply_all(TransferUpdate(f"l{n}", "push", status="done" if n % 2 else "moving") for n in range(200))
    view = view_of(state)
    assert (len(view["steps"]), view["more_steps"]) == (MAX_STEPS, 50)
    assert len(view["moves"]) <= 40
    assert view["moved"] == [["push", 100, 200]]


def test_rates_are_of_the_last_moments_and_begin_anew_where_bytes_go_back() -> None:
    rates = Rates()
    assert rates.rate(TransferUpdate("a", "push", current_bytes=0), 0.0) == 0.0
    assert rates.rate(TransferUpdate("a", "push", current_bytes=1000), 1.0) == 1000.0
    assert rates.rate(TransferUpdate("a", "push", current_bytes=3000), 2.0) == pytest.approx(1600.0)
    assert rates.rate(TransferUpdate("a", "push", current_bytes=10), 3.0) == 0.0


def test_a_run_that_failed_shows_what_it_said() -> None:
    state = BuildState(run_tail="Traceback\nboom\n").fail(RunError("ended with status 1", exit_code=1))
    assert view_of(state)["error"]["tail"] == ["Traceback", "boom"]


def swept(count: int = 3) -> BuildState:
    state = BuildState().apply(StageUpdate("run", "running"))
    for n in range(count):
        state.apply(RunUpdate(f"{n:064d}", n, count, "waiting", f"n={n}"))
    state.apply(
        RunUpdate(f"{0:064d}", 0, count, "done", "n=0", "", 1.0, 2.5, reused=True, returned=(("score", "<0.5>"),))
    )
    state.apply(RunUpdate(f"{1:064d}", 1, count, "failed", "n=1", "status 1", 1.0, 2.0, log_tail=(HOSTILE,)))
    return state


def test_a_sweep_is_a_table_in_the_record_and_its_runs_are_the_progress() -> None:
    view = view_of(swept())
    assert view["said"] == "2 of 3 runs ended"
    assert view["runs"]["counts"] == {"done": 1, "failed": 1, "waiting": 1}
    assert [(row["number"], row["phase"], row["took"]) for row in view["runs"]["rows"]] == [
        (1, "done", 1.5), (2, "failed", 1.0), (3, "waiting", None),
    ]  # fmt: skip
    assert "\x1b" not in view["runs"]["rows"][1]["tail"][0]
    text, page = render_record_text(view), render_record_html(view)
    assert "  3 runs: 1 done, 1 failed, 1 waiting\n  1  n=0  done, before  1.5 s  <0.5>\n" in text
    assert '<td style="text-align:left">&lt;0.5&gt;</td>' in page
    assert "<0.5>" not in page
    cancelled = view_of(swept().cancel())
    assert cancelled["runs"]["rows"][2]["phase"] == "cancelled"


def test_a_sweep_of_many_runs_shows_those_that_failed_or_run_and_says_how_many_there_are() -> None:
    state = swept(1000)
    state.apply(RunUpdate(f"{900:064d}", 900, 1000, "running", "n=900", started_at=1.0))
    runs = view_of(state)["runs"]
    assert (runs["total"], len(runs["rows"])) == (1000, MAX_RUNS)
    assert {2, 901} <= {row["number"] for row in runs["rows"]}
    assert "1000 runs: 1 done, 1 failed, 1 running, 997 waiting; 200 of them are shown" in render_record_text(
        view_of(state)
    )
