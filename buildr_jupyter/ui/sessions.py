"""The builds of one kernel: each with its pane (or its lines), its handle and its record."""

from __future__ import annotations

import importlib.util
import os
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from buildr_jupyter.errors import BuildrError, OptionError
from buildr_jupyter.ui.sanitize import clean_text

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from buildr_jupyter.events.event import RunOutput
    from buildr_jupyter.model.result import BuildResult
    from buildr_jupyter.pipeline.handle import Build
    from buildr_jupyter.pipeline.job import Display, ExportRequest
    from buildr_jupyter.ui.anywidget_bridge import PageSurface
    from buildr_jupyter.ui.pane.presenter import PaneDisplay

__all__ = ["Builds"]

_MAX_PICTURES = 20
_KEPT = 50
_SHOWN_LINES = 100


class Builds:
    """Starts builds and remembers them; ``shown`` holds the result that a pane has just shown."""

    def __init__(
        self,
        shell: InteractiveShell,
        write: Callable[[str], None],
        bind: Callable[[ExportRequest, BuildResult], None],
    ) -> None:
        """``bind`` is called with what each build came to, for the values that its run gave back."""
        self._shell, self._write, self._bind = shell, write, bind
        self._held: list[tuple[Build, PaneDisplay | None]] = []
        self._said: set[str] = set()
        self._unseen: WeakSet[Build] = WeakSet()
        """Builds without a pane whose output nobody has seen but in ``--status``."""
        self._surfaces: WeakKeyDictionary[PaneDisplay, PageSurface] = WeakKeyDictionary()
        self.shown: BuildResult | None = None

    # -- one build

    def run(self, job: ExportRequest, line: str, **how: Any) -> BuildResult:
        """Build in this thread and return the result; its pictures are shown under it. ``how`` is for ``Build``."""
        from buildr_jupyter.pipeline.handle import Build

        pane = self._pane(job, line)
        build = Build(job, [pane or self._lines(job)], **how)
        self._hold(build, pane)
        try:
            result = build.run()
        except BaseException as error:
            if pane is not None and isinstance(error, BuildrError | KeyboardInterrupt):
                _render_once(error)
            raise
        self._bind(job, result)
        if pane is not None and result.sweep is None:
            self.shown = result
        self._show_pictures(result)
        return result

    def start(self, job: ExportRequest, line: str, *, keep: bool = False) -> Build:
        """Build in a thread of its own and return the handle at once."""
        from buildr_jupyter.pipeline import detached
        from buildr_jupyter.pipeline.handle import Build
        from buildr_jupyter.ui.plain import QuietDisplay

        def finish(build: Build) -> None:
            if build.error is None:
                self._bind(job, build.result(0.0))

        pane = self._pane(job, line)
        display = pane or QuietDisplay(lambda _event: None)
        if keep:
            build = Build(job, [display], after=finish, work=detached.stream, kept=True)
        else:
            build = Build(job, [display], after=finish)
        self._hold(build, pane)
        if pane is None:
            self._unseen.add(build)
        else:
            self._output_into(pane)
            pane.show(build.reference)  # here, and not in its thread: what a thread displays goes to any cell
        return build.start()

    def _output_into(self, pane: PaneDisplay) -> None:
        """Let what a container prints and shows stand in the pane and its record: no cell waits for it."""
        from buildr_jupyter.ui.anywidget_bridge import ShownObjects

        objects = self._surfaces[pane].objects = self._surfaces[pane].objects or ShownObjects()
        pane.logs_output, pane.output = True, objects.take
        pane.on_end = lambda state: objects.finish(_pictures(state.result))

    def _hold(self, build: Build, pane: PaneDisplay | None) -> None:
        self._held = [*self._held[-_KEPT + 1 :], (build, pane)]
        if pane is None:
            return
        pane.on_cancel = build.cancel
        job = replace(build.job, options=replace(build.job.options, publish=True, run=False))
        try:
            job.options.check_publish()
            pane.actions["publish"] = lambda _values: self._more(build, pane, publish=True)
        except OptionError:
            pass  # no registry is named: there is nowhere to publish to
        pane.actions["run"] = lambda values: self._more(build, pane, run=True, values=values)
        pane.takes_values = not build.job.options.sweeps

    def _more(
        self, build: Build, pane: PaneDisplay, *, publish: bool = False, run: bool = False,
        values: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Publish or run the image of a finished build, in its pane; ``values`` are for this run, by name."""
        from buildr_jupyter.pipeline.handle import Build
        from buildr_jupyter.pipeline.stages import stream_more

        known, options = build.result(0.0), build.job.options
        if values:
            options = replace(options, sets=tuple({**dict(options.sets), **values}.items()))
        again = replace(build.job, options=options)

        def finish(more: Build) -> None:
            if more.error is None:
                self._bind(again, more.result(0.0))
            elif more.state.status == "waiting":  # refused before it began
                more.state.fail(more.error)

        more = Build(
            again,
            [pane],
            work=lambda job, token: stream_more(job.order(), known, token, publish=publish, run=run),
            after=finish,
            state=build.state.go_on(),
        )
        pane.on_cancel = more.cancel
        self._output_into(pane)
        more.start()

    # -- displays

    def _pane(self, job: ExportRequest, line: str) -> PaneDisplay | None:
        """Return the pane where a page can draw one, else None."""
        options = job.options
        if options.quiet or options.ui not in ("auto", "widget") or (options.ui == "auto" and not self.has_page()):
            return None
        if not _has_widgets():
            self._say_once("buildr: anywidget is not installed here; plain text serves (pip install anywidget)\n")
            return None
        from platformdirs import user_cache_path

        from buildr_jupyter.ui.anywidget_bridge import PageSurface
        from buildr_jupyter.ui.pane.eta import Durations
        from buildr_jupyter.ui.pane.presenter import PaneDisplay

        surface = PageSurface(widget_view="__vsc_ipynb_file__" in self._shell.user_ns or "google.colab" in sys.modules)
        pane = PaneDisplay(
            surface,
            key=secrets.token_hex(8),
            line=line,
            builder=options.builder if options.builder != "auto" else "",
            publish=options.publish,
            durations=Durations(user_cache_path("buildr") / "durations.json"),
            output=self._shows(),
        )
        self._surfaces[pane] = surface
        return pane

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._write(text)

    def warm_up(self) -> None:
        """Import what a first build needs, in a thread, where a page is there to show it at once."""

        def imports() -> None:
            import anywidget  # noqa: F401

            import buildr_jupyter.config.settings
            import buildr_jupyter.pipeline.handle
            import buildr_jupyter.ui.anywidget_bridge
            import buildr_jupyter.ui.json_record
            import buildr_jupyter.ui.pane.presenter
            import buildr_jupyter.ui.plan_report  # noqa: F401

        if self.has_page() and _has_widgets():
            threading.Thread(target=imports, name="buildr warms up", daemon=True).start()

    def _lines(self, job: ExportRequest) -> Display:
        from buildr_jupyter.ui.plain import QuietDisplay, TextDisplay

        if job.options.quiet:
            return QuietDisplay(self._shows())
        if job.options.ui == "auto" and not getattr(self._shell, "kernel", None) and sys.stdout.isatty():
            try:
                from buildr_jupyter.ui.rich_live import LiveDisplay
            except ImportError:
                pass  # no rich: plain lines
            else:
                return LiveDisplay()
        return TextDisplay(self._write, output=self._shows())

    def _shows(self) -> Callable[[RunOutput], object]:
        """Return what takes the output of a run in the cell that runs now: in a kernel objects as they look."""
        from buildr_jupyter.ui.plain import write_output

        if not getattr(self._shell, "kernel", None):
            return write_output
        from buildr_jupyter.ui.anywidget_bridge import show_output

        return show_output

    def has_page(self) -> bool:
        """Tell whether a front end that draws widgets is there: those that do say which notebook is open."""
        page = "__vsc_ipynb_file__" in self._shell.user_ns or "JPY_SESSION_NAME" in os.environ
        return bool(getattr(self._shell, "kernel", None)) and (page or "google.colab" in sys.modules)

    def _show_pictures(self, result: BuildResult) -> None:
        if getattr(self._shell, "kernel", None) and (pictures := _pictures(result)):
            from buildr_jupyter.ui.anywidget_bridge import show_pictures

            show_pictures(pictures)

    # -- what there was

    def show_status(self) -> None:
        """List the builds of this kernel, oldest first, and show the last pane again."""
        from buildr_jupyter.pipeline import detached

        elsewhere = [
            place for place in detached.places() if place.reference not in {b.reference for b, _ in self._held}
        ]
        for place in elsewhere:
            self._write(f"{place.reference}  kept: {place.said()}\n")
        if not self._held:
            self._write("" if elsewhere else "no builds in this kernel yet\n")
            return
        width = max(len(build.reference) for build, _ in self._held)
        for build, _ in self._held:
            took = f"{build.state.result.duration_s:.1f} s" if build.state.result else ""
            self._write(f"{build.reference:<{width}}  {build.status:<9}  {took}".rstrip() + "\n")
            if build in self._unseen and (lines := clean_text(build.state.run_tail).splitlines()):
                self._write("".join(f"    {line}\n" for line in lines[-_SHOWN_LINES:]))
        if pane := next((pane for _, pane in reversed(self._held) if pane), None):
            pane.show_again()

    def take_shown(self, result: object) -> bool:
        """Tell, once, whether a pane has just shown this very result, so that it need not be shown again."""
        seen = self.shown is not None and result is self.shown
        if seen:
            self.shown = None
        return seen


def _has_widgets() -> bool:
    """Tell whether anywidget and ipywidgets are installed, without importing them."""
    try:
        return all(importlib.util.find_spec(name) for name in ("anywidget", "ipywidgets"))
    except ValueError:  # sys.modules says that it is not to be imported
        return False


def _pictures(result: BuildResult | None) -> list[Path]:
    outputs = result.run.outputs if result and result.run else ()
    return [path for path in outputs if path.suffix.lower() == ".png"][:_MAX_PICTURES]


def _render_once(error: BuildrError | KeyboardInterrupt) -> None:
    """Let IPython show the sentence alone: the pane above has the rest."""
    said = error.render()[0] if isinstance(error, BuildrError) else "KeyboardInterrupt: the build was cancelled"
    lines = [said, "  the pane above says more"]
    error._render_traceback_ = lambda: lines  # type: ignore[union-attr,method-assign]
