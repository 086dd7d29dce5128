"""What the pane costs: a flood of 100,000 lines of 60 bytes in a real JupyterLab, measured in the page and on the wire.

``python -m tests.benchmarks.bench_pane`` prints each figure with its bound and returns 1 where one is broken;
``bench_pane first`` looks only at the first pane of several kernels. It needs Debian's Chromium; the engine is one that
answers, else one is started.
"""

from __future__ import annotations

import collections
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from buildr_jupyter.events.event import Event, LogLine, StageUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.ui.pane.presenter import PaneDisplay
from tests.e2e.lab import opened, run_cell, running_browser, running_lab, start_cell, wait_cell
from tests.engines import Engines

LINES, WIDTH = 100_000, 60
FIRST_MS = 80.0
"""Bound of the first pane in a kernel, from Shift-Enter to its paint."""
BASE = "python:3.11-slim"
_WATCH = """() => {
    if (window.tasks) return;
    window.tasks = [];
    new PerformanceObserver(list => list.getEntries().forEach(e => tasks.push([e.duration, e.startTime]))).observe({entryTypes: ['longtask']});
}"""
_READY = """index => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    const cell = notebook.widgets.filter(cell => cell.model.type === "code")[index];
    notebook.activeCellIndex = notebook.widgets.indexOf(cell);
    notebook.mode = "edit";
    cell.editor.focus();
    window.painted = window.pressed = null;
    addEventListener("keydown", function shift(event) {
        if (event.key !== "Enter") return;
        removeEventListener("keydown", shift, true);
        pressed = event.timeStamp;
        tasks.length = 0;
        const look = () => {
            if (cell.node.querySelector(".jp-OutputArea-output")) painted = performance.now();
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, true);
}"""
# Asked ten times a second, and of as little as may be: a locator that looks for text reads the whole page each frame.
_DONE = "cell => !!cell.querySelector('.buildr-record')?.shadowRoot?.querySelector('.pane.done')"
_DRAWN = """([cell, folded]) => {
    const pane = cell.querySelector(".buildr-record").shadowRoot, log = pane.querySelector(".log");
    if (log.firstChild.childElementCount < 200 || !pane.textContent.includes(folded)) return false;
    return log.textContent.split("\\n").length === 20001;
}"""
_RSS = """
import os
def rss():
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith('VmRSS'))
"""


class Figures:
    """Prints figures and remembers whether a bound was broken."""

    def __init__(self) -> None:
        self.broken = 0

    def say(self, name: str, value: float, bound: float, unit: str) -> None:
        over = value > bound
        self.broken += over
        print(f"{name:<52} {value:>10.2f} {unit:<10} bound {bound:g}{'   BROKEN' if over else ''}")


class _Null:
    """A surface and a channel that do nothing: what is left is the display's own work."""

    def show(self, view: dict[str, Any], key: str) -> None: ...

    def update(self, view: dict[str, Any], key: str) -> None: ...

    def connect(self, key: str, boot: dict[str, Any], hear: Callable[[dict[str, Any]], None]) -> Any:
        from buildr_jupyter.ui.anywidget_bridge import WidgetChannel

        return WidgetChannel(key, boot, hear)


def display_cpu(flood_s: float, rounds: int = 10) -> float:
    """Return the display's CPU seconds for the flood as a share of its duration: with the pane less without, median."""

    def once(window: PaneDisplay | None) -> float:
        state = BuildState()
        number = 0
        began = time.thread_time()
        if window:
            window.open(state, "flood:1")
            window.hear({"do": "want", "n": 0})
        for _ in range(200):
            batch: list[Event] = [LogLine(number + i, f"{number + i:059d}", "2") for i in range(LINES // 200)]
            number += len(batch)
            state.apply_all([StageUpdate("build", "running"), StepUpdate("2", "RUN flood", 2, 2), *batch])
            if window:
                window.draw(state, batch)
        return time.thread_time() - began

    shares = []
    for turn in range(rounds):
        clock = _Steps(flood_s / 200)
        shares.append((once(PaneDisplay(_Null(), key=f"k{turn}", clock=clock)) - once(None)) / flood_s)
    return statistics.median(shares)


class _Steps:
    """A clock that goes on by the flood's pace with each batch, however often it is read within one."""

    def __init__(self, step_s: float) -> None:
        self._step_s, self._began = step_s / 4, time.monotonic()
        self._reads = 0

    def __call__(self) -> float:
        self._reads += 1
        return self._began + self._reads * self._step_s


def first_panes(browser: Any, address: str, work: Path, figures: Figures, kernels: int = 5) -> None:
    """Say how long after Shift-Enter the first pane of a kernel is painted, beside a text and beside any HTML."""
    first: list[float] = []
    one: list[float] = []
    html: list[float] = []
    for number in range(kernels):
        load = "%load_ext buildr_jupyter\nfrom IPython.display import HTML"
        cells = [load, "1", "1", "HTML('<b>1</b>')", f"%%containerize first:1 --dockerfile -\nFROM {BASE}"]
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, work / f"first-{number}.ipynb")
        with opened(browser, address, f"first-{number}.ipynb") as page:
            for index in range(2):
                run_cell(page, index)
            page.evaluate(_WATCH)
            page.wait_for_timeout(2000)
            for index, times in ((2, one), (3, html), (4, first)):
                wait_cell(page, _press(page, index))
                times.append(page.evaluate("painted - pressed"))
    print(f"for comparison, a cell that is only `1`: first paint {statistics.median(one):.0f} ms", end="; ")
    print(f"one that is only `HTML('<b>1</b>')`: {statistics.median(html):.0f} ms")
    figures.say(f"first paint of the first pane, median of {kernels} kernels", statistics.median(first), FIRST_MS, "ms")


def measure(browser: Any, address: str, work: Path, figures: Figures) -> float:
    """Run the flood in a page; return its duration in seconds."""
    program = f'awk "BEGIN {{ for (i = 0; i < {LINES}; i++) printf \\"%0{WIDTH - 1}d\\\\n\\", i }}"'
    flood = f"%%containerize flood:1 --builder docker=classic --no-cache --dockerfile -\nFROM {BASE}\nRUN {program}"
    warm = f"%%containerize warm:1 --dockerfile -\nFROM {BASE}\nRUN echo warm"
    plain = f"for i in range({LINES}): print(f'{{i:0{WIDTH - 1}d}}')"
    cells = ["%load_ext buildr_jupyter", _RSS, warm, flood, "rss()", f"{warm}; sleep 30".replace("warm:1", "slow:1")]
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in [*cells, "1", plain]])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, work / "bench.ipynb")
    with opened(browser, address, "bench.ipynb") as page:
        wire = page.context.new_cdp_session(page)
        frames: list[tuple[float, int]] = []
        wire.on("Network.webSocketFrameReceived", lambda f: frames.append((time.monotonic(), _size(f["response"]))))
        wire.send("Network.enable")
        for index in range(2):
            run_cell(page, index)
        page.evaluate(_WATCH)
        wait_cell(page, _press(page, 2))
        before = _kernel_kb(page, 4)
        heap = _heap(wire)
        frames.clear()
        browser.start_tracing(page=page, categories=["toplevel"])
        began = time.monotonic()
        cell = _press(page, 3)
        node = cell.element_handle()
        page.wait_for_function(_DONE, arg=node, polling=100, timeout=300_000)
        took = time.monotonic() - began
        cell.locator("details.body > summary").first.click()
        page.wait_for_function(_DRAWN, arg=[node, f"{LINES - 20_000:,} lines above are folded"], polling=100)
        ended = time.monotonic()
        page.wait_for_timeout(1000)
        print(f"flood of {LINES} lines of {WIDTH} bytes: {took:.2f} s from Shift-Enter to the cell's end;", end=" ")
        print(f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        figures.say("last 20,000 and the count of the rest, after the end", ended - began - took, 2.0, "s")
        figures.say("first paint after Shift-Enter", page.evaluate("painted - pressed"), 150.0, "ms")
        figures.say("longest task of the page's main thread", _longest(page), 100.0, "ms")
        _print_tasks(page)
        wall, cpu = _busiest_task(browser.stop_tracing())
        print(
            f"   of which the processor's own time: at most {cpu:.0f} ms, in a task of {wall:.0f} ms; the rest is waiting for one"
        )
        figures.say("bytes on the wire / bytes of the log", sum(size for _, size in frames) / (LINES * WIDTH), 1.3, "")
        figures.say("messages in the busiest second", _busiest([at for at, _ in frames]), 20.0, "")
        figures.say("growth of the page's heap", (_heap(wire) - heap) / 1e6, 60.0, "MB")
        figures.say("growth of the kernel's memory", (_kernel_kb(page, 4) - before) / 1e3, 30.0, "MB")
        cell = start_cell(page, 5)
        cell.get_by_role("region").first.locator(".s-running").wait_for(timeout=30_000)
        page.wait_for_timeout(1000)
        began = time.monotonic()
        cell.get_by_role("button", name="Cancel").click()
        wait_cell(page, cell)
        figures.say("cancel to the cell's end", time.monotonic() - began, 1.0, "s")
        _compare(page)
    return took


def _press(page: Any, index: int) -> Any:
    """Press Shift-Enter in a code cell that was clicked before; return its locator."""
    page.evaluate(_READY, index)
    page.wait_for_timeout(1000)
    page.keyboard.press("Shift+Enter")
    return page.locator(".jp-Notebook .jp-CodeCell").nth(index)


def _longest(page: Any) -> float:
    return max((float(task) for task, _ in page.evaluate("tasks")), default=0.0)


def _busiest_task(trace: bytes) -> tuple[float, float]:
    """Return duration and CPU time, in ms, of the task of the page's main thread that used most of the processor."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        e for e in events if e["name"].endswith("RunTask") and e.get("ph") == "X" and (e["pid"], e["tid"]) in mains
    ]
    total = collections.Counter[int]()
    for task in tasks:
        total[task["pid"]] += task.get("tdur", 0)
    page = total.most_common(1)[0][0]
    most = max((task for task in tasks if task["pid"] == page), key=lambda task: task.get("tdur", 0))
    return most["dur"] / 1000, most.get("tdur", 0) / 1000


def _print_tasks(page: Any) -> None:
    """Print the long tasks with their time after Shift-Enter."""
    pressed = page.evaluate("pressed")
    tasks = [f"{task:.0f} ms at {(at - pressed) / 1000:.1f} s" for task, at in page.evaluate("tasks")]
    print("   tasks over 50 ms:", ", ".join(tasks) or "none")


def _compare(page: Any) -> None:
    """Print what cells without a pane cost in the same page: JupyterLab's own work, and the machine's noise."""
    for name, index in (("a cell that is only `1`", 6), ("the same lines, printed in plain", 7)):
        wait_cell(page, _press(page, index))
        page.wait_for_timeout(3000)
        paint = page.evaluate("painted - pressed")
        print(f"for comparison, {name}: first paint {paint:.0f} ms, longest task {_longest(page):.0f} ms")


def _size(response: dict[str, Any]) -> int:
    text = response["payloadData"]
    return len(text) * 3 // 4 if response["opcode"] == 2 else len(text.encode())


def _busiest(times: list[float]) -> int:
    return max((sum(at <= other < at + 1.0 for other in times) for at in times), default=0)


def _kernel_kb(page: Any, index: int) -> int:
    return int(run_cell(page, index).locator(".jp-OutputArea-output").last.inner_text())


def _heap(wire: Any) -> int:
    wire.send("HeapProfiler.collectGarbage")
    return int(wire.send("Runtime.getHeapUsage")["usedSize"])


def main(only: Sequence[str] = ()) -> int:
    """Measure; return 1 where a bound is broken."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="buildr-bench-") as name:
        scratch = Path(name)
        (scratch / "work").mkdir()
        with Engines(scratch / "engines") as engines:
            host = os.environ.get("DOCKER_HOST") or engines.docker().host
            environment = {"DOCKER_HOST": host, "XDG_CACHE_HOME": str(scratch / "cache")}
            with running_lab(scratch / "work", scratch, environment) as address, running_browser() as browser:
                first_panes(browser, address, scratch / "work", figures)
                if "first" in only:
                    return int(bool(figures.broken))
                took = measure(browser, address, scratch / "work", figures)
    figures.say("display's CPU of the flood's duration, median of 10", display_cpu(took) * 100, 5.0, "%")
    return int(bool(figures.broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
