from __future__ import annotations

import gzip
import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildr_jupyter.errors import OptionError
from buildr_jupyter.events.event import Event, Finished, LogLine, RunOutput, StageUpdate, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.ui.pane.eta import Durations
from buildr_jupyter.ui.pane.presenter import SEND_EVERY_S, PaneDisplay


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Notebook:
    """A surface and channel that keep what they get, with the time."""

    def __init__(self, clock: Clock, *, connected: bool = True) -> None:
        self.clock, self.connected = clock, connected
        self.shown: list[dict[str, Any]] = []
        self.records: list[dict[str, Any]] = []
        self.sent: list[tuple[float, dict[str, Any], list[bytes] | None]] = []
        self.greeted: list[tuple[float, dict[str, Any]]] = []
        self.settled = False
        self.file = threading.Event()
        self.hear: Callable[[dict[str, Any]], None] = lambda content: None

    def show(self, view: dict[str, Any], key: str) -> None:
        self.shown.append(view)

    def update(self, view: dict[str, Any], key: str) -> None:
        self.records.append(view)

    def connect(self, key: str, boot: dict[str, Any], hear: Callable[[dict[str, Any]], None]) -> Notebook | None:
        self.hear = hear
        return self if self.connected else None

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.sent.append((self.clock.now, content, buffers))
        if content.get("end"):
            self.file.set()

    came = False

    def newcomers(self) -> bool:
        came, self.came = self.came, False
        return came

    def again(self, boot: dict[str, Any]) -> None:
        self.greeted.append((self.clock.now, boot))

    def settle(self) -> None:
        self.settled = True

    def close(self) -> None:
        pass

    @property
    def batches(self) -> list[dict[str, Any]]:
        return [content["batch"] for _, content, _ in self.sent if "batch" in content]


def pane(**more: Any) -> tuple[PaneDisplay, Notebook, Clock, BuildState]:
    clock = Clock()
    notebook = Notebook(clock, connected=more.pop("connected", True))
    window = PaneDisplay(notebook, key="k", clock=clock, sleep=clock.sleep, **more)
    state = BuildState()
    window.open(state, "app:1")
    return window, notebook, clock, state


def feed(window: PaneDisplay, state: BuildState, events: list[Event]) -> bool:
    state.apply_all(events)
    return window.draw(state, events)


def test_it_is_shown_before_anything_happens() -> None:
    _, notebook, _, _ = pane()
    assert [view["title"] for view in notebook.shown] == ["app:1"]
    assert notebook.sent == []


def test_messages_are_apart_and_bounded_and_all_lines_arrive() -> None:
    window, notebook, clock, state = pane()
    window.hear({"do": "want", "n": 0})
    for turn in range(200):
        clock.now += 0.01
        feed(window, state, [LogLine(turn, f"line {turn} " + "x" * 900)] * 10)
    window.close(state.apply(Finished(BuildResult("app:1"))))
    times = [at for at, _, _ in notebook.sent]
    gaps = [b - a for a, b in itertools.pairwise(times)][:-1]
    assert min(gaps) >= SEND_EVERY_S - 1e-9
    assert all(len(str(batch)) < 64 * 1024 for batch in notebook.batches)
    assert sum(run[2] for batch in notebook.batches for run in batch["runs"]) == 2000
    assert notebook.sent[-1][1]["state"]["status"] == "done"
    assert [record["status"] for record in notebook.records] == ["done"]


def test_it_asks_to_be_called_again_while_lines_wait() -> None:
    window, _, clock, state = pane()
    clock.now += 1
    assert feed(window, state, [LogLine(n, "x" * 1000) for n in range(100)])
    clock.now += 1
    assert not feed(window, state, [])


def test_nothing_new_sends_nothing() -> None:
    window, notebook, clock, state = pane()
    window.hear({"do": "want", "n": 0})
    feed(window, state, [StageUpdate("build", "running")])
    clock.now += 1
    feed(window, state, [])
    before = len(notebook.sent)
    for _ in range(3600):  # no output for an hour
        clock.now += 1
        assert not feed(window, state, [])
    assert len(notebook.sent) == before


def test_a_page_gets_what_it_missed_from_the_thread_that_draws() -> None:
    window, notebook, clock, state = pane()
    for number in range(5):
        clock.now += 1
        feed(window, state, [LogLine(number, f"{number}")])
    seen = len(notebook.sent)
    window.hear({"do": "want", "n": 3})
    assert len(notebook.sent) == seen
    clock.now += 1
    feed(window, state, [])
    again = [content for _, content, _ in notebook.sent[seen:]]
    assert again[0]["first"] == 3
    assert again[0]["state"]["title"] == "app:1"
    assert [content["batch"]["n"] for content in again[1:]] == [3, 4]


def test_two_pages_that_ask_at_once_get_what_the_one_with_less_has_missed() -> None:
    window, notebook, clock, state = pane()
    for number in range(5):
        clock.now += 1
        feed(window, state, [LogLine(number, f"{number}")])
    seen = len(notebook.sent)
    window.hear({"do": "want", "n": 0})
    window.hear({"do": "want", "n": 3})
    clock.now += 1
    feed(window, state, [])
    assert notebook.sent[seen][1]["first"] == 0


def test_a_page_that_comes_after_the_end_is_answered_too() -> None:
    window, notebook, _, state = pane()
    feed(window, state, [LogLine(0, "hello", "1")])
    window.close(state.apply(Finished(BuildResult("app:1"))))
    seen = len(notebook.sent)
    window.hear({"do": "want", "n": 0})
    assert notebook.sent[seen][1]["state"]["status"] == "done"
    assert notebook.sent[seen + 1][1]["batch"]["runs"] == [["1", 0, 1, "hello"]]


def test_without_an_answer_from_a_page_the_record_keeps_up() -> None:
    window, notebook, clock, state = pane(connected=False)
    for number in range(10):
        clock.now += 1
        feed(window, state, [StepUpdate(f"{number}", f"RUN {number}")])
    assert 3 <= len(notebook.records) <= 5
    assert len(notebook.records[-1]["steps"]) > 5


def test_buttons() -> None:
    window, _, _, state = pane()
    done: list[object] = []
    window.on_cancel = lambda: done.append("cancel")
    window.actions = {
        "run": lambda values: done.append(("run", values)), "publish": lambda _values: done.append("publish"),
    }  # fmt: skip
    window.hear({"do": "run"})
    window.hear({"do": "cancel"})
    window.hear({"do": "nonsense"})
    window.close(state.apply(Finished(BuildResult("app:1"))))
    window.hear({"do": "cancel"})
    window.hear({"do": "publish"})
    assert done == ["cancel", "publish"]
    done.clear()
    for said in ({"n": "4"}, {"n": 4, "m": ["x"], "k": "v"}, "n=4", None):
        window.hear({"do": "run", "values": said})
    assert done == [("run", {"n": "4"}), ("run", {"k": "v"}), ("run", {}), ("run", {})]


def test_after_a_run_that_failed_there_is_still_an_image_to_run() -> None:
    window, notebook, _, state = pane()
    window.actions = {"run": lambda _values: None}
    window.takes_values = True
    window.close(state.apply(Finished(BuildResult("app:1"))))
    window.open(state.go_on(), "app:1")
    assert notebook.sent[-1][1]["state"]["can"] == {"cancel": False, "publish": False, "run": False, "values": False}
    window.close(state.fail(OptionError("--set n=x: no int")))
    assert notebook.records[-1]["can"] == {"cancel": False, "publish": False, "run": True, "values": True}
    assert notebook.records[-1]["error"]["text"] == "--set n=x: no int"


def test_download_is_the_whole_log() -> None:
    window, notebook, _, state = pane()
    feed(window, state, [LogLine(n, f"line {n}") for n in range(30_000)])
    window.hear({"do": "download", "id": "t"})
    assert notebook.file.wait(20)
    parts = [buffers[0] for _, content, buffers in notebook.sent if content.get("file") == "t" and buffers]
    assert gzip.decompress(b"".join(parts)) == "".join(f"line {n}\n" for n in range(30_000)).encode()


def test_what_the_container_prints_goes_out_or_into_the_log() -> None:
    out: list[str] = []
    window, notebook, clock, state = pane(output=lambda event: out.append(event.text))
    feed(window, state, [RunOutput("stdout", "hello\n")])
    window.logs_output = True
    clock.now += 1
    feed(window, state, [StepUpdate("run x", "run x"), RunOutput("stdout", "world\n"), RunOutput("stdout", "t", "{}")])
    assert out == ["hello\n", "world\n", "t"]
    assert notebook.batches[-1]["runs"] == [["run x", 0, 1, "world"]]
    window.close(state.apply(Finished(BuildResult("app:1"))))
    assert notebook.records[-1]["output"] == ["hello", "world", "t"]


def test_a_button_keeps_the_builds_record_and_adds_to_it() -> None:
    window, notebook, clock, state = pane()
    clock.now += 5
    feed(window, state, [StepUpdate("1", "RUN x", 1, 1, "done", 0.0, 2.0), LogLine(0, "a")])
    ended: list[str] = []
    window.on_end = lambda state: ended.append(state.status)
    window.close(state.apply(Finished(BuildResult("app:1"))))
    clock.now += 100
    window.logs_output = True
    window.open(state.go_on(), "app:1")
    assert notebook.sent[-1][1]["state"]["status"] == "waiting"
    clock.now += 1
    feed(window, state, [StepUpdate("run app", "run app"), RunOutput("stdout", "it runs\n")])
    window.close(state.apply(Finished(BuildResult("app:1"))))
    record = notebook.records[-1]
    assert [step["key"] for step in record["steps"]] == ["1", "run app"]
    assert record["output"] == ["it runs"]
    assert [run for batch in notebook.batches for run in batch["runs"]] == [
        [None, 0, 1, "a"],
        ["run app", 0, 1, "it runs"],
    ]
    assert 5 < record["elapsed"] < 20
    assert len({content["turn"] for _, content, _ in notebook.sent}) == 1
    assert ended == ["done", "done"]


def test_a_second_build_in_the_pane_begins_anew(tmp_path: Path) -> None:
    window, notebook, _, state = pane(durations=Durations(tmp_path / "d.json"))
    feed(window, state, [StepUpdate("1", "RUN x", 1, 1, "done", 0.0, 2.0), LogLine(0, "a")])
    window.close(state.apply(Finished(BuildResult("app:1"))))
    assert Durations(tmp_path / "d.json").images == window._durations.images != {}  # type: ignore[union-attr]
    again = BuildState()
    window.open(again, "app:1")
    assert len(notebook.shown) == 1
    turns = {content["turn"] for _, content, _ in notebook.sent}
    assert len(turns) == 2
    assert notebook.sent[-1][1]["state"]["status"] == "waiting"
    window.show_again()
    assert len(notebook.shown) == 2


def test_a_page_that_comes_in_mid_build_is_greeted_until_it_answers() -> None:
    window, notebook, clock, state = pane()
    window.hear({"do": "want", "n": 0, "new": True})
    feed(window, state, [StepUpdate("1", "RUN x", 1, 2), LogLine(0, "a")])
    for _ in range(300):
        clock.now += 0.1
        feed(window, state, [])
    assert notebook.greeted == []
    notebook.came = True
    began = clock.now
    while not notebook.greeted or clock.now < notebook.greeted[-1][0] + 20:
        clock.now += 0.1
        feed(window, state, [])
    assert [round(at - began) for at, _ in notebook.greeted] == [1, 2, 4, 7, 11, 16, 24, 40]
    assert notebook.greeted[-1][1]["state"]["steps"][0]["title"] == "RUN x"
    notebook.came = True
    feed(window, state, [])
    for _ in range(15):
        clock.now += 0.1
        feed(window, state, [])
    window.hear({"do": "want", "n": 0, "new": True})
    for _ in range(300):
        clock.now += 0.1
        feed(window, state, [])
    assert len(notebook.greeted) == 9
    window.close(state.apply(Finished(BuildResult("app:1"))))
    assert notebook.settled


def test_a_page_that_comes_after_the_end_gets_the_record_too() -> None:
    window, notebook, _, state = pane()
    window.close(state.apply(Finished(BuildResult("app:1"))))
    window.hear({"do": "want", "n": 0, "new": True})
    assert [record["status"] for record in notebook.records] == ["done", "done"]


def test_an_hour_without_output_goes_by_quietly_and_is_counted() -> None:
    window, notebook, clock, state = pane()
    window.hear({"do": "want", "n": 0, "new": True})
    feed(window, state, [StepUpdate("1", "RUN sleep 3600", 1, 1), LogLine(0, "the last one")])
    clock.now += 1
    feed(window, state, [])
    before = len(notebook.sent)
    for _ in range(7200):  # the driver draws twice a second
        clock.now += 0.5
        feed(window, state, [])
    assert len(notebook.sent) - before <= 1
    window.hear({"do": "want", "n": 0})  # a page still gets its answer
    clock.now += 0.1
    feed(window, state, [])
    assert notebook.sent[before][1]["state"]["elapsed"] >= 3600
    assert notebook.sent[before][1]["state"]["status"] == "running"
    assert notebook.greeted == []


def test_200_layers_at_once_stay_within_the_bounds_of_messages() -> None:
    window, notebook, clock, state = pane()
    window.hear({"do": "want", "n": 0, "new": True})
    for tick in range(100):
        clock.now += 0.05
        feed(
            window, state,
            [TransferUpdate(f"sha256:{layer:064x}", "push", None, tick * 1000 + layer, 100_000_000) for layer in range(200)],
        )  # fmt: skip
    messages = [content for _, content, _ in notebook.sent]
    assert len(messages) <= 5 / SEND_EVERY_S + 2
    assert max(len(json.dumps(message)) for message in messages) < 64 * 1024
    assert messages[-1]["state"]["moved"] == [["push", 0, 200]]
    assert 1 <= len(messages[-1]["state"]["moves"]) <= 40
