"""The way to the page: a record in the notebook's output, and an anywidget whose script draws the pane over it.

What is displayed is only the record, text/html and text/plain. The widget's model is told its class and mounts
itself there, so a saved notebook holds no widget that a later reader would miss.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import functools
import re
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from IPython import get_ipython
from IPython.display import Image, display, publish_display_data

from buildr_jupyter.events.event import RunOutput
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.ui.mime import render_html, split_bundle
from buildr_jupyter.ui.pane.static_output import render_record_html, render_record_text
from buildr_jupyter.ui.pane.view_model import View
from buildr_jupyter.ui.plain import write_output

__all__ = ["PageSurface", "ShownObjects", "WidgetChannel", "show_output", "show_pictures"]


_display: Callable[..., object] = display
_image: Callable[..., object] = Image
_publish: Callable[..., object] = publish_display_data


class _Widget(Protocol):
    """A widget of ipywidgets."""

    model_id: str
    comm: object

    def on_msg(self, callback: Callable[[object, JsonObject, object], object]) -> None: ...

    def send(self, content: JsonObject, buffers: list[bytes] | None) -> None: ...

    def close(self) -> None: ...


class _Monitor(Protocol):
    """The socket of zmq's on which it tells what happens to another one."""

    def poll(self, timeout: int) -> int: ...

    def recv_multipart(self) -> list[bytes]: ...

    def close(self, linger: int) -> None: ...


class _OutputSocket(Protocol):
    def get_monitor_socket(self, events: int) -> _Monitor: ...


class _OutputThread(Protocol):
    """The thread of ipykernel's that sends what a kernel writes."""

    socket: _OutputSocket

    def schedule(self, call: Callable[[], object]) -> None: ...


@functools.cache
def _script() -> str:
    """Return the page's script: one module, of two files, without the lines and spaces that only a reader needs."""
    text = "".join(_file(name) for name in ("log.js", "pane.js"))
    return re.sub(r"^\s*//.*\n|^\s+", "", text, flags=re.MULTILINE)


@functools.cache
def _file(name: str) -> str:
    return (Path(__file__).parent / "pane" / name).read_text(encoding="utf-8")


@functools.cache
def _pane_class() -> Callable[..., _Widget]:
    """Return the widget's class; only here is anywidget imported, when the record stands in the page already."""
    import anywidget
    import traitlets

    class Pane(anywidget.AnyWidget):
        mark = traitlets.Unicode().tag(sync=True)
        boot = traitlets.Dict().tag(sync=True)
        look = traitlets.Unicode().tag(sync=True)
        """The style sheet of the pane's shadow root."""
        ident = traitlets.Unicode().tag(sync=True)
        """The widget's own model id, by which the script asks whether the kernel is still there."""

    made: Callable[..., _Widget] = Pane
    return made


class WidgetChannel:
    """Custom messages of one widget, from any thread; ``again`` opens another widget in its place."""

    def __init__(
        self,
        mark: str,
        boot: JsonObject,
        hear: Callable[[JsonObject], None],
        more: Callable[[View], JsonObject] = lambda _view: {},
    ) -> None:
        """``more`` gives what a page needs besides that was not there when the pane was shown."""
        self._mark, self._hear, self._more = mark, hear, more
        self._serial = 0
        self._before: list[_Widget] = []
        self._arrivals = _arrivals()
        self._seen = self._arrivals.count() if self._arrivals else 0
        self.widget = self._open(boot)

    def _open(self, boot: JsonObject) -> _Widget:
        boot = {**boot, "serial": self._serial}
        ident = uuid.uuid4().hex
        look, script = _file("pane.css"), _script()
        widget = _pane_class()(model_id=ident, ident=ident, mark=self._mark, boot=boot, look=look, _esm=script)
        widget.on_msg(lambda _widget, content, _buffers: self._hear(content))
        _hear_while_busy(widget.comm)
        return widget

    def newcomers(self) -> bool:
        """Tell whether a page (or another client of the kernel) has come since this was asked last."""
        count = self._arrivals.count() if self._arrivals else 0
        seen, self._seen = self._seen, count
        return count != seen

    def again(self, boot: JsonObject) -> None:
        """Open another widget, which pages that are there go over to, and let the one before the last go."""
        self._serial += 1
        self._before.append(self.widget)
        self.widget = self._open({**boot, **self._more(boot["state"])})
        self._let_go(1)

    def settle(self) -> None:
        """Keep only the last widget."""
        self._let_go(0)

    def _let_go(self, keep: int) -> None:
        while len(self._before) > keep:
            self._before.pop(0).close()

    def send(self, content: JsonObject, buffers: list[bytes] | None = None) -> None:
        """Send to every page that shows the pane."""
        self.widget.send(content, buffers)

    def close(self) -> None:
        """End the widget; its pages show the record."""
        self.settle()
        self.widget.close()


class _Arrivals:
    """Counts the clients that connect to the kernel's output socket: each page that is opened or loaded anew is one."""

    def __init__(self, thread: _OutputThread) -> None:
        """``thread`` is the kernel's output thread; its socket is touched there alone."""
        self._thread, self._lock = thread, threading.Lock()
        self._monitor: _Monitor | None = None
        self._count = 0
        thread.schedule(self._listen)
        atexit.register(self._close)  # before the kernel ends its sockets' context, which waits for all of them

    def _listen(self) -> None:
        import zmq

        with contextlib.suppress(AttributeError, zmq.ZMQError):
            self._monitor = self._thread.socket.get_monitor_socket(zmq.EVENT_ACCEPTED)

    def count(self) -> int:
        """Return how many came since this object is there."""
        with self._lock:
            while self._monitor is not None and self._monitor.poll(0):
                self._monitor.recv_multipart()
                self._count += 1
            return self._count

    def _close(self) -> None:
        with self._lock:
            if self._monitor is not None:
                self._monitor.close(linger=0)
            self._monitor = None


@functools.cache
def _arrivals() -> _Arrivals | None:
    """Return the counter of this kernel, None where there is no kernel."""
    thread: _OutputThread | None = getattr(getattr(get_ipython(), "kernel", None), "iopub_thread", None)
    return _Arrivals(thread) if thread and hasattr(thread, "schedule") and hasattr(thread, "socket") else None


def _hear_while_busy(comm: object) -> None:
    """Let a page's message go to the subshell that the page names, also while a cell runs.

    ipykernel 7.4 sends it to the shell that published last, which is the one that is busy with the cell
    (``BaseComm._reply_subshell_for``); earlier releases have no such method and do as wanted.
    """
    if comm is not None and hasattr(comm, "_reply_subshell_for"):
        vars(comm)["_reply_subshell_for"] = lambda _data, default: default


class PageSurface:
    """The output of the running cell, and afterwards the place that it was given there."""

    def __init__(self, *, widget_view: bool = False) -> None:
        """``widget_view``: show the widget itself while it lives, for front ends whose outputs do not share a page."""
        self._widget_view = widget_view
        self._channel: WidgetChannel | None = None
        self._cell: str | None = None
        self.objects: ShownObjects | None = None
        """What runs showed whose output is in the pane; it stands below the record once they have ended."""

    def show(self, view: View, key: str) -> None:
        """Display the record in the cell that runs now."""
        self._cell = _cell_id()
        _display(self._bundle(view, key), raw=True, display_id=key)

    def update(self, view: View, key: str) -> None:
        """Replace the record wherever it stands, from any thread.

        A page that was loaded after the record was shown knows nothing of where it stands: at the end the script is
        told, which finds it in the notebook.
        """
        bundle = self._bundle(view, key)
        _publish(bundle, transient={"display_id": key}, update=True)
        if self._channel and view["status"] not in ("waiting", "running"):
            self._channel.send({"record": bundle, "cell": self._cell})

    def connect(self, key: str, boot: JsonObject, hear: Callable[[JsonObject], None]) -> WidgetChannel:
        """Open the widget."""

        def more(view: View) -> JsonObject:
            return {"record": self._bundle(view, key), "cell": self._cell}

        self._channel = WidgetChannel(f"buildr-pane-{key}", boot, hear, more)
        if self._widget_view:
            self.update(boot["state"], key)
        return self._channel

    def _bundle(self, view: View, key: str) -> JsonObject:
        over = self.objects if view["status"] not in ("waiting", "running") else None
        bundle: JsonObject = {
            "text/plain": render_record_text(view) + (over.plain() if over else ""),
            "text/html": render_record_html(view, f"buildr-pane-{key}") + (over.markup() if over else ""),
        }
        if self._widget_view and self._channel and view["status"] in ("waiting", "running"):
            bundle["application/vnd.jupyter.widget-view+json"] = {
                "version_major": 2, "version_minor": 0, "model_id": self._channel.widget.model_id,
            }  # fmt: skip
        return bundle


def _cell_id() -> str | None:
    """Return the id of the cell that runs now, None where the front end does not tell."""
    get = getattr(getattr(get_ipython(), "kernel", None), "get_parent", None)
    found = (get() or {}).get("metadata", {}).get("cellId") if get else None
    return found if isinstance(found, str) else None


class ShownObjects:
    """What a run showed besides text, which is in the pane's log: objects as they look and pictures, below the record.

    They are part of the record's output, so that a page which comes later, and the saved notebook, have them too.
    """

    def __init__(self) -> None:
        self._objects: list[RunOutput] = []
        self._pictures: list[Path] = []

    def take(self, event: RunOutput) -> None:
        """Keep what a container shows; from any thread."""
        if event.shown:
            self._objects.append(event)

    def finish(self, pictures: Sequence[Path]) -> None:
        """Take PNG files that a run made."""
        self._pictures += [path for path in pictures if path not in self._pictures]

    def markup(self) -> str:
        """Return all of it as HTML."""
        parts = [render_html(event.shown, event.text) for event in self._objects]
        for path in self._pictures:
            with contextlib.suppress(OSError):  # it was taken away since
                data = base64.b64encode(path.read_bytes()).decode()
                parts.append(f'<div><img src="data:image/png;base64,{data}"></div>')
        return "".join(parts)

    def plain(self) -> str:
        """Return the names of the pictures, a line each; the text of the objects is in the record."""
        return "".join(f"\n{path}" for path in self._pictures)


def show_output(event: RunOutput) -> None:
    """Show what a container printed as output of the running cell; an object as it looks, as if it had run here."""
    if not event.shown:
        write_output(event)
        return
    data, metadata = split_bundle(event.shown, event.text)
    _publish(data, metadata=metadata)


def show_pictures(pictures: Sequence[Path]) -> None:
    """Show PNG files as outputs of the running cell."""
    for path in pictures:
        _display(_image(filename=str(path)))
