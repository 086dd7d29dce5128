"""The view of a build: what went in, bounded and clean, and how long steps have been running."""

from __future__ import annotations

from buildr_jupyter.events.event import Finished
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.interface import Input, Interface
from buildr_jupyter.model.plan import FileNote, NameNote, Requirement
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.ui.pane.static_output import render_record_html, render_record_text
from buildr_jupyter.ui.pane.view_model import Ages, Rates, make_view


def view_of(state: BuildState, now: float = 0.0, ages: Ages | None = None) -> dict:
    return make_view(
        state, "app:1", line="app:1", elapsed_s=1.0, fraction=None, left_s=None, rates=Rates(), ages=ages or Ages(),
        now=now, can={},
    )  # fmt: skip


def built(**more: tuple) -> BuildState:
    return BuildState().apply_all([Finished(BuildResult("app:1", **more))])


def test_what_went_in_says_how_each_name_comes_and_why() -> None:
    state = built(
        names=(
            NameNote("model", "nb.ipynb, cell 3, line 1", "code", "the cell reads it"),
            NameNote("weights", "nb.ipynb, cell 2, line 1", "snapshot", "it took 9 s"),
            NameNote("n", "nb.ipynb, cell 1, line 1", "parameter", "--param n"),
        ),
        requirements=(Requirement("numpy==2.1.0", "imported by cell 1, line 1"),),
        files=(FileNote("app/data.csv", 1_200_000, "opened by cell 2, line 4"), FileNote("app/main.py", 900, "")),
    )
    names, packages, files = view_of(state)["result"]["went"]
    assert names["title"] == "3 names"
    assert [row[1] for row in names["rows"]] == ["its code runs at each start", "its value of then", "a parameter"]
    assert packages == {"title": "1 package", "rows": [["numpy==2.1.0", "imported by cell 1, line 1"]], "more": 0}
    assert files["title"] == "2 files, 1.2 MB"
    text, page = render_record_text(view_of(state)), render_record_html(view_of(state))
    assert "what went in: 3 names; 1 package; 2 files, 1.2 MB" in text
    for shown in ("its code runs at each start", "numpy==2.1.0", "opened by cell 2, line 4", "<details><summary>what"):
        assert shown in page


def test_inputs_are_fields_with_their_defaults() -> None:
    interface = Interface((
        Input("n", "int", 3, description="how many"), Input("title", "str", "a b"), Input("fast", "bool", False),
        Input("mode", "Literal", None, True, ("x", "y")), Input("tags", "list", ["ä"]),
    ))  # fmt: skip
    fields = view_of(built(interface=interface.to_label()))["result"]["inputs"]
    assert [(one["name"], one["default"], one["choices"], one["required"]) for one in fields] == [
        ("n", "3", [], False), ("title", "a b", [], False), ("fast", "false", ["true", "false"], False),
        ("mode", "", ["x", "y"], True), ("tags", '["ä"]', [], False),
    ]  # fmt: skip
    assert (fields[0]["type"], fields[0]["description"]) == ("int", "how many")
    assert view_of(built(interface="no interface"))["result"]["inputs"] == []
    assert view_of(built())["result"]["inputs"] == []


def test_steps_have_plain_titles_and_the_engines_words_beneath() -> None:
    steps = (StepUpdate("a", "COPY [app/, ./]", 5, 5, "done"), StepUpdate("b", "RUN make", 2, 3, "done"))
    state = BuildState().apply_all([*steps, Finished(BuildResult("app:1", image_id="sha256:" + "a" * 64))])
    view = view_of(state)
    assert [(one["title"], one["said"], one["number"]) for one in view["steps"]] == [
        ("copy the program", "COPY [app/, ./]", ""), ("RUN make", "", "2/3"),
    ]  # fmt: skip
    assert "  image id: sha256:aaa" in render_record_text(view)
    (one,) = (StepUpdate("b", "RUN make", 1, 1, "done"),)
    page = render_record_html(view_of(BuildState().apply_all([one, Finished(BuildResult("app:1"))])))
    assert "<summary>1 step</summary>" in page


def test_what_is_not_known_is_not_shown() -> None:
    view = view_of(built())
    assert view["result"]["went"] == []
    assert "went in" not in render_record_text(view) + render_record_html(view)


def test_it_is_bounded_and_clean() -> None:
    hostile = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
    notes = tuple(NameNote(f"{hostile}{number}", hostile, "code", hostile) for number in range(1000))
    (names,) = view_of(built(names=notes))["result"]["went"]
    assert (len(names["rows"]), names["more"]) == (100, 900)
    page = render_record_html(view_of(built(names=notes)))
    assert "… and 900 more" in page
    assert not {"<img", "\x1b", "\u202e"} & {found for found in ("<img", "\x1b", "\u202e") if found in page}


def test_a_running_step_has_an_age_from_when_it_was_first_seen() -> None:
    ages = Ages()
    state = BuildState().apply_all([StepUpdate("1", "FROM x", 1, 2), StepUpdate("2", "RUN y", 2, 2, "waiting")])
    assert [step["age"] for step in view_of(state, 10.0, ages)["steps"]] == [0, None]
    assert [step["age"] for step in view_of(state, 14.2, ages)["steps"]] == [4, None]
    state.apply_all([StepUpdate("1", "FROM x", 1, 2, "done"), StepUpdate("2", "RUN y", 2, 2)])
    assert [step["age"] for step in view_of(state, 15.0, ages)["steps"]] == [None, 0]
