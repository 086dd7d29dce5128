"""The result of a sweep: a sequence, a frame, what failed, and running it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.result import Returned, RunResult
from buildr_jupyter.model.sweep import SweepResult


def run(n: int, state: str = "done") -> RunResult:
    returned = (Returned("out", "json", "int", 1, "", Path("x")), Returned("big", "pickle", "object", 1, "", Path("y")))
    values = {"out": n * 2, "big": object()}
    if state != "done":
        return RunResult(1, inputs={"n": n}, state=state)  # type: ignore[arg-type]
    return RunResult(0, inputs={"n": n}, duration_s=0.5, returned=returned, values=values)


def test_it_is_a_sequence_in_the_order_of_the_grid() -> None:
    runs = (run(1), run(2, "failed"), run(3))
    sweep = SweepResult(runs, "x:1")
    assert (len(sweep), sweep[0], sweep[-1], sweep[:2], tuple(sweep)) == (3, runs[0], runs[2], runs[:2], runs)
    assert sweep.values("out") == [2, None, 6]
    assert sweep.failed == (runs[1],)
    assert repr(sweep) == "SweepResult('x:1', 3 runs: 2 done, 1 failed)"


def test_a_frame_has_inputs_state_and_scalars() -> None:
    frame = SweepResult((run(1), run(2, "lost"))).to_frame()
    assert frame.to_dict("list") == {
        "n": [1, 2], "state": ["done", "lost"], "seconds": [0.5, 0.0], "out": [2.0, pytest.approx(float("nan"), nan_ok=True)],
    }  # fmt: skip


def test_running_again_is_for_who_knows_the_cell() -> None:
    other = SweepResult((run(1),))
    assert SweepResult((run(1),), again=lambda: other).rerun_failed() is other
    with pytest.raises(OptionError, match="cannot|no cell"):
        other.rerun_failed()
