from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.events.event import StageUpdate, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.ui.pane.eta import Durations, Progress


@pytest.fixture
def durations(tmp_path: Path) -> Durations:
    return Durations(tmp_path / "cache" / "durations.json")


def steps(*statuses: str, total: int = 3) -> list[StepUpdate]:
    return [StepUpdate(str(i), f"RUN {i}", i + 1, total, status) for i, status in enumerate(statuses)]  # type: ignore[arg-type]


def test_nothing_known_is_said_so(durations: Durations) -> None:
    progress = Progress(durations, "app")
    assert progress.update(BuildState(), 0.0) is None
    assert progress.left_s is None
    assert progress.update(BuildState(status="done"), 1.0) == 1.0


def test_steps_count_alike_where_nothing_is_remembered(durations: Durations) -> None:
    progress = Progress(durations, "app")
    assert progress.update(BuildState().apply_all(steps("done", "running")), 0.0) == pytest.approx(1 / 3)
    assert progress.left_s is None


def test_what_steps_took_before_weighs_and_tells_the_rest(durations: Durations) -> None:
    took = [9.0, 1.0, 10.0]
    learned = [StepUpdate(str(i), f"RUN {i}", i + 1, 3, "done", 0.0, s) for i, s in enumerate(took)]
    durations.learn("app", learned)
    again = Progress(Durations(durations.path), "app")
    state = BuildState().apply_all(steps("done"))
    assert again.update(state, 0.0) == pytest.approx(0.45)
    assert again.left_s == pytest.approx(11.0)
    state.apply_all(steps("done", "done", "running"))
    again.update(state, 10.0)
    assert again.update(state, 15.0) == pytest.approx(0.75)
    assert again.left_s == pytest.approx(5.0)
    assert again.update(state, 500.0) < 1.0  # type: ignore[operator]


def test_bytes_move_the_bar_within_a_step_and_in_the_push(durations: Durations) -> None:
    progress = Progress(durations, "app", publish=True)
    state = BuildState().apply_all([StepUpdate("1", "FROM x", 1, 1), TransferUpdate("l", "pull", "1", 50, 100)])
    first = progress.update(state, 0.0)
    assert first == pytest.approx(0.95 / 2 / 4)
    state.apply_all(
        [StepUpdate("1", "FROM x", 1, 1, "done"), StageUpdate("build", "done"), StageUpdate("publish", "running")]
    )
    assert progress.update(state, 1.0) == pytest.approx(0.25)
    state.apply(TransferUpdate("l", "push", None, 50, 100))
    assert progress.update(state, 1.0) == pytest.approx(2.5 / 4)
    state.apply(TransferUpdate("m", "push", None, 0, 900))
    assert progress.update(state, 1.0) == pytest.approx(2.5 / 4)  # it does not go back


@pytest.mark.parametrize("text", ["", "{", "[]", '{"steps": 3}', '{"steps": {"a": "x"}, "images": {}}'])
def test_a_damaged_file_counts_as_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "durations.json"
    path.write_text(text)
    held = Durations(path)
    held.learn("app", steps("done"))
    assert json.loads(path.read_text())["images"]["app"]


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Durations(tmp_path / "file" / "durations.json").learn("app", steps("done"))


def test_the_file_stays_small(durations: Durations) -> None:
    for image in range(300):
        durations.learn(
            f"i{image}", [StepUpdate(f"{n}", f"RUN {image} {n}", n + 1, 10, "done", 0.0, 1.0) for n in range(10)]
        )
    held = json.loads(durations.path.read_text())
    assert (len(held["steps"]), len(held["images"])) == (2000, 200)
    assert [path.name for path in durations.path.parent.iterdir()] == ["durations.json"]


STEP = st.builds(
    StepUpdate, st.sampled_from("123"), st.just("RUN"), st.integers(1, 4), st.integers(1, 9),
    st.sampled_from(["waiting", "running", "done", "cached", "failed"]),
)  # fmt: skip
MOVE = st.builds(
    TransferUpdate,
    st.sampled_from("ab"),
    st.sampled_from(["pull", "push"]),
    st.sampled_from(["1", None]),
    st.integers(0, 99),
    st.integers(0, 50) | st.none(),
)
STAGE = st.builds(StageUpdate, st.sampled_from(["build", "publish"]), st.sampled_from(["running", "done"]))


@given(st.lists(st.tuples(STEP | MOVE | STAGE, st.floats(0, 100)), max_size=30), st.booleans())
def test_it_never_goes_back_and_is_full_only_at_the_end(said: list, publish: bool) -> None:
    progress, state, last, now = (
        Progress(Durations(Path("/nowhere/x.json")), "app", publish=publish),
        BuildState(),
        0.0,
        0.0,
    )
    for event, passed in said:
        now += passed
        value = progress.update(state.apply(event), now)
        assert value is None or last <= value < 1.0
        last = value or last
