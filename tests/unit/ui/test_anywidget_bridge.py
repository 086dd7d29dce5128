from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from buildr_jupyter.events.event import RunOutput
from buildr_jupyter.ui import anywidget_bridge
from buildr_jupyter.ui.pane.static_output import render_record_html


class Comm:
    def _reply_subshell_for(self, data: object, default: object) -> object:
        return "the shell that is busy"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    held: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(anywidget_bridge, "_display", lambda bundle, **more: held.append((bundle, more)))
    monkeypatch.setattr(anywidget_bridge, "_publish", lambda bundle, **more: held.append((bundle, more)))
    return held


VIEW = {
    "title": "app:1", "status": "running", "said": "building", "elapsed": 1.0, "steps": [], "more_steps": 0, "warnings": [],
    "error": None, "result": None,
}  # fmt: skip


def test_a_pages_message_is_heard_while_the_cell_runs() -> None:
    comm = Comm()
    anywidget_bridge._hear_while_busy(comm)
    assert comm._reply_subshell_for({}, "the page's shell") == "the page's shell"
    anywidget_bridge._hear_while_busy(None)
    anywidget_bridge._hear_while_busy(object())


def test_the_script_is_in_the_package_and_small() -> None:
    text = anywidget_bridge._script()
    assert "export default" in text
    assert len(text.encode()) < 31_000
    assert "innerHTML" not in text
    assert "insertAdjacentHTML" not in text


def test_messages_reach_who_listens(published: list[Any]) -> None:
    heard: list[dict[str, Any]] = []
    channel = anywidget_bridge.PageSurface().connect("k", {"turn": 0, "state": {}}, heard.append)
    assert channel.widget.mark == "buildr-pane-k"
    assert channel.widget.ident == channel.widget.model_id == channel.widget.comm.comm_id
    channel.widget._handle_custom_msg({"do": "cancel"}, [])
    channel.send({"turn": 0}, [b"x"])
    channel.close()
    assert heard == [{"do": "cancel"}]
    assert published == []


def test_another_widget_takes_the_place_of_the_last_and_carries_the_record(published: list[Any]) -> None:
    heard: list[dict[str, Any]] = []
    channel = anywidget_bridge.PageSurface().connect("k", {"turn": 0, "state": VIEW}, heard.append)
    first = channel.widget
    assert not channel.newcomers()
    channel.again({"turn": 0, "state": VIEW})
    second = channel.widget
    assert (first.boot["serial"], second.boot["serial"]) == (0, 1)
    assert 'class="buildr-record buildr-pane-k"' in second.boot["record"]["text/html"]
    assert "record" not in first.boot
    assert first.comm is not None
    second._handle_custom_msg({"do": "cancel"}, [])
    channel.again({"turn": 0, "state": VIEW})
    assert first.comm is None
    assert second.comm is not None
    channel.settle()
    assert second.comm is None
    channel.close()
    assert channel.widget.comm is None
    assert heard == [{"do": "cancel"}]


def test_clients_of_the_output_socket_are_counted() -> None:
    context = zmq.Context()
    with context.socket(zmq.PUB) as out, context.socket(zmq.SUB) as page:
        port = out.bind_to_random_port("tcp://127.0.0.1")
        thread: Any = SimpleNamespace(socket=out, schedule=lambda work: work())
        arrivals = anywidget_bridge._Arrivals(thread)
        assert arrivals.count() == 0
        page.subscribe(b"")
        page.connect(f"tcp://127.0.0.1:{port}")
        while not page.poll(50):
            out.send(b"x")
        assert arrivals.count() == arrivals.count() == 1
        arrivals._close()
        assert arrivals.count() == 1
    context.term()


def test_the_end_is_told_to_the_script_with_the_record(published: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    surface = anywidget_bridge.PageSurface()
    channel = surface.connect("k", {"turn": 0, "state": VIEW}, lambda _content: None)
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(channel, "send", said.append)
    surface.update(VIEW, "k")
    surface.update({**VIEW, "status": "done"}, "k")
    assert [set(message) for message in said] == [{"record", "cell"}]
    assert said[0]["record"] == published[-1][0]


def test_the_output_is_only_a_record(published: list[Any]) -> None:
    surface = anywidget_bridge.PageSurface()
    surface.show(VIEW, "k")
    surface.update(VIEW, "k")
    assert [set(bundle) for bundle, _ in published] == [{"text/plain", "text/html"}] * 2
    assert published[0][1] == {"raw": True, "display_id": "k"}
    assert published[1][1] == {"transient": {"display_id": "k"}, "update": True}


def test_where_outputs_do_not_share_a_page_the_widget_is_shown_while_it_lives(published: list[Any]) -> None:
    surface = anywidget_bridge.PageSurface(widget_view=True)
    surface.show(VIEW, "k")
    surface.connect("k", {"turn": 0, "state": VIEW}, lambda _content: None).close()
    surface.update({**VIEW, "status": "done"}, "k")
    views = ["application/vnd.jupyter.widget-view+json" in bundle for bundle, _ in published]
    assert views == [False, True, False]


def test_what_a_run_showed_stands_below_the_record_once_it_has_ended(published: list[Any], tmp_path: Path) -> None:
    surface = anywidget_bridge.PageSurface()
    surface.objects = objects = anywidget_bridge.ShownObjects()
    (tmp_path / "a.png").write_bytes(b"png")
    objects.take(RunOutput("stdout", "text is in the log\n"))
    objects.take(RunOutput("stdout", "a table", shown='{"text/html": "<table></table>"}'))
    surface.update(VIEW, "k")
    for _ in range(2):
        objects.finish([tmp_path / "a.png", tmp_path / "gone.png"])
    surface.update({**VIEW, "status": "done"}, "k")
    (running, _), (ended, _) = published
    assert "<table></table>" not in running["text/html"]
    below = ended["text/html"].removeprefix(render_record_html({**VIEW, "status": "done"}, "buildr-pane-k"))
    assert below == '<div><table></table></div><div><img src="data:image/png;base64,cG5n"></div>'
    assert str(tmp_path / "a.png") in ended["text/plain"]


def test_an_object_of_a_run_is_output_of_the_cell(published: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    anywidget_bridge.show_output(RunOutput("stderr", "wrong\n"))
    anywidget_bridge.show_output(RunOutput("stdout", "a table\n", shown='{"text/html": "<script>"}'))
    assert capsys.readouterr() == ("", "wrong\n")
    data = {"text/plain": "a table", "text/html": "<script>"}
    assert published == [(data, {"metadata": {"text/html": {"isolated": True}}})]
