"""Magics: ``%%containerize`` and ``%containerize``. Parse, make the job, call the pipeline, return."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from traitlets import Bool, HasTraits, List, TraitError, TraitType, Unicode, validate
from traitlets.config import Configurable

from buildr_jupyter.errors import BuildrError, ExportError, LeakError, OptionError
from buildr_jupyter.notebook.executor import executed_notebook
from buildr_jupyter.ui.sessions import Builds

# %load_ext runs in every kernel that has it enabled: what only a build needs is imported when one begins.
if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from buildr_jupyter.config.options import Options
    from buildr_jupyter.config.settings import Setting
    from buildr_jupyter.model.progress import BuildWarning
    from buildr_jupyter.model.result import BuildResult
    from buildr_jupyter.model.sweep import SweepResult
    from buildr_jupyter.notebook.cells import CellRun
    from buildr_jupyter.notebook.kernel_history import KernelHistory
    from buildr_jupyter.pipeline.handle import Build
    from buildr_jupyter.pipeline.job import ExportRequest

__all__ = ["ContainerizeMagics", "register", "unregister"]


def _help() -> str:
    from buildr_jupyter.config.options import make_line_parser

    return make_line_parser().format_help()


class _Switch:
    """The setting ``observe`` where it is read: true or false, and traitlets' method of the same name when called."""

    def __init__(self, value: bool, watch: Callable[..., None]) -> None:
        self._value = value
        self._watch = watch

    def __bool__(self) -> bool:
        return self._value

    def __repr__(self) -> str:
        return repr(self._value)

    def __call__(self, *args: object, **keywords: object) -> None:
        self._watch(*args, **keywords)


class _Observe(Bool[Any, Any]):
    """A Bool under a name that traitlets itself calls."""

    def get(self, obj: HasTraits, cls: type[Any] | None = None) -> Any:
        return _Switch(bool(super().get(obj, cls)), functools.partial(HasTraits.observe, obj))

    def validate(self, obj: Any, value: Any) -> Any:
        return super().validate(obj, bool(value) if isinstance(value, _Switch) else value)


@magics_class
class ContainerizeMagics(Magics, Configurable):
    """The magics, and their settings for ``%config ContainerizeMagics``."""

    shell: InteractiveShell

    repository = Unicode(None, allow_none=True, help="registry and repository in front of the image's name").tag(
        config=True
    )
    publish = Bool(None, allow_none=True, help="push every image").tag(config=True)
    builder = Unicode(None, allow_none=True, help="what builds the image").tag(config=True)
    base = Unicode(None, allow_none=True, help="base image").tag(config=True)
    allow_base = List(
        Unicode(), None, allow_none=True, help="repositories that a notebook file may take as its base"
    ).tag(config=True)
    python = Unicode(None, allow_none=True, help="Python version in the image").tag(config=True)
    root = Unicode(None, allow_none=True, help="the project's folder, of which files keep their place").tag(config=True)
    snapshot_limit = Unicode(None, allow_none=True, help="how large a snapshot may be: 2g").tag(config=True)
    map_limit = Unicode(None, allow_none=True, help="how many runs a grid may have").tag(config=True)
    jobs = Unicode(None, allow_none=True, help="how many runs of a grid at a time").tag(config=True)
    service_account = Unicode(None, allow_none=True, help="the run's service account in a cluster").tag(config=True)
    queue = Unicode(None, allow_none=True, help="Kueue's local queue that a run in a cluster waits in").tag(config=True)
    pull_secret = Unicode(None, allow_none=True, help="Secret that a cluster pulls the image with").tag(config=True)
    registry_alias = List(
        Unicode(), None, allow_none=True, help="names by which a cluster reaches registries: OUTSIDE=INSIDE"
    ).tag(config=True)
    platform = Unicode(None, allow_none=True, help="platform of the image").tag(config=True)
    check_time = Unicode(None, allow_none=True, help="seconds that a run to prove the program may take").tag(
        config=True
    )
    ui = Unicode(None, allow_none=True, help="auto, widget, text or json").tag(config=True)
    observe = _Observe(True, help="look at what each run of a cell changes, opens and imports").tag(config=True)

    _settings = tuple(name for name, trait in vars().items() if isinstance(trait, TraitType))

    @validate(*_settings)
    def _checked(self, proposal: Any) -> Any:
        """Refuse a value that no build would take when it is set, not when the next image is built."""
        from buildr_jupyter.config.options import make_options

        name, value = proposal["trait"].name, proposal["value"]
        if value is not None and self._loaded:  # a bad value in a file is said by the build, and loading goes on
            try:
                make_options({name: value}, base_folder=self.folder).refs("image")
                if name == "builder" and value != "auto":
                    from buildr_jupyter.builder.selection import select

                    select(value)
            except OptionError as error:
                raise TraitError("\n".join(error.render())) from None
        return value

    def update_config(self, config: Config) -> None:
        """Take what ``%config`` says. Raises TraitError, which IPython shows, for a class that is meant as this one.

        IPython hands every assignment to every object that has settings, and says nothing of one that none takes.
        """
        super().update_config(config)
        for warning in self._misnamed(config):
            raise TraitError(f"{warning.text}\n  hint: {warning.hint}")

    def _misnamed(self, config: Mapping[str, Any]) -> Iterator[BuildWarning]:
        """Yield what is wrong with each section that no object of the shell takes and that is meant as ours."""
        from buildr_jupyter.config.suggestions import nearest
        from buildr_jupyter.model.progress import BuildWarning

        taken = {base.__name__ for one in (self, *self.shell.configurables) for base in type(one).__mro__}
        own = type(self).__name__
        for section, values in config.items():
            if section[:1].isupper() and section not in taken and nearest(section, (own, "Containerize", "Buildr")):
                meant = ", ".join(f"{own}.{name}" for name in values) or own
                yield BuildWarning(f"{section} has no settings, so nothing was set", f"write {meant}")

    def __init__(self, shell: InteractiveShell, history: KernelHistory) -> None:
        self.folder = Path.cwd()
        self._loaded = False
        super().__init__(shell)
        self._loaded = True
        self.history = history
        self._from_files = dict(shell.config.get("ContainerizeMagics", {}))
        self._sections = dict(shell.config)
        self._built: dict[str, str] = {}
        self._named: str | None = None
        self._proofs: dict[str, object] = {}
        self._setting_warnings: tuple[BuildWarning, ...] = ()
        self._made_here: set[str] = set()
        self._returned: dict[int | None, tuple[str, ...]] = {}
        self.builds = Builds(shell, self._write, self._bind)
        HasTraits.observe(self, self.follow_observe, names="observe")

    def follow_observe(self, _change: object = None) -> None:
        """Start or stop the observer as the setting ``observe`` says."""
        if self.history.observer is not None:
            (self.history.observer.start if self.observe else self.history.observer.stop)()

    @no_var_expand
    @line_cell_magic
    def containerize(self, line: str, cell: str | None = None) -> Any:
        """Make a container image of this cell; return a BuildResult, with a grid a SweepResult, detached a Build.

        ``getdoc`` gives IPython the parser's whole help.
        """
        from buildr_jupyter.config.options import make_line_parser, split_line

        try:
            args = vars(make_line_parser().parse_args(split_line(line)))
            if args.pop("help"):
                self._write(make_line_parser().format_help())
                return None
            host = args.pop("login")
            self._named = args.pop("notebook")
            status, keep, out = args.pop("status"), args.pop("keep"), args.pop("export")
            detach = args.pop("detach") or keep
            if args.pop("runs"):
                self._show_runs()
                return None
            if status:
                self.builds.show_status()
                return None
            if cell is None:
                if not host and any(value is not None for value in args.values()):
                    raise OptionError(
                        f"%containerize {line.strip()}: one % makes no image",
                        hint="write %%containerize, with two, as the first line of the cell; "
                        "%containerize alone lists the settings",
                    )
                self._login(host) if host else self._show_settings(args)
                return None
            return self._containerize(args, cell, line, detach=detach, keep=keep, out=out)
        except OptionError as error:
            # the name of the class would stand beside IPython's own, "UsageError: "
            raise UsageError("\n".join(error.render()).removeprefix(f"{type(error).__name__}: ")) from None

    def in_mid_cell(self, line: str = "") -> None:
        """Say how to split a cell that has ``%%containerize`` on another line than its first; IPython calls this."""
        raise UsageError(
            f"%%containerize {line.strip()} is not on the first line of its cell\n"
            "  hint: split the cell above that line: what is above runs here, what is below becomes the image"
        )

    containerize.getdoc = _help  # type: ignore[union-attr]  # IPython asks a magic for it

    def _containerize(
        self, args: dict[str, object], cell: str, line: str, *, detach: bool, keep: bool, out: str | None
    ) -> Any:
        from buildr_jupyter.config.options import make_options

        options = make_options(self._values(args), base_folder=self.folder)
        if options.sweeps:
            from buildr_jupyter.pipeline.sweeps import with_rows

            if keep:
                raise OptionError(
                    "--keep: runs of a sweep outlive the kernel by themselves",
                    hint="take --keep off the line; the same cell, run again, goes on where it stopped",
                )
            options = with_rows(options, self.shell.user_ns)
        if not cell.strip():
            raise OptionError("%%containerize: the cell is empty", hint="write the code below the first line")
        self.history.note_magic(line, cell)
        job = self._job(options)
        if options.here:
            self._run_here(cell)
        if out is not None:
            self._export(job, self.folder / out)
            return None
        try:
            result = self._build(job, line, detach=detach, keep=keep)
            return self._swept(job, line, result) if options.sweeps else result
        except BuildrError as error:
            if not options.fallback_local or isinstance(error, OptionError | LeakError | ExportError):
                raise
            self._write(
                "\n".join(error.render()) + "\nThe build failed; the cell runs here instead (--fallback-local).\n"
            )
            self._run_here(cell)
            return None

    def _build(
        self, job: ExportRequest, line: str, *, detach: bool = False, keep: bool = False
    ) -> BuildResult | Build | None:
        from buildr_jupyter.pipeline import stages as pipeline
        from buildr_jupyter.pipeline.cell_names import CellNames
        from buildr_jupyter.pipeline.driver import drive
        from buildr_jupyter.ui.json_record import make_record
        from buildr_jupyter.ui.plan_report import render_explanation

        options = job.options
        if options.dry_run:
            from buildr_jupyter.commands.manifest import planned_job

            cells = CellNames.of(job)
            try:
                assembly = pipeline.prepare(job)
            except BuildrError as error:
                cells.error(error)
                raise
            self._write(cells.text(render_explanation(assembly)))
            self._write("".join(f"warning: {cells.text(one.text)}\n" for one in pipeline.findings(job, assembly)))
            self._write(planned_job(job.order(), assembly.plan))
            if options.check:
                from buildr_jupyter.pipeline import verify

                self._write("".join(f"{text}\n" for text in verify.iter_said(verify.checked(job, assembly))))
            return None
        self._warn_same_reference(job)
        if options.ui != "json":
            if detach:
                return self.builds.start(job, line, keep=keep)
            try:
                return self.builds.run(job, line)
            except BuildrError as error:
                if error.result is not None:  # made, and what came after failed
                    self._note_made(job)
                raise
        from buildr_jupyter.commands.login import cell_of

        outcome: BuildResult | BaseException
        started = time.monotonic()
        try:
            outcome = drive(job, [])
        except BaseException as error:
            self._write(make_record(cell_of(job), error, duration_s=time.monotonic() - started) + "\n")
            raise
        self._bind(job, outcome)
        self._write(make_record(cell_of(job), outcome) + "\n")
        return outcome

    def _bind(self, job: ExportRequest, result: BuildResult) -> None:
        """Bind the values that a run gave back, all of them or none; ``_`` stays IPython's own."""
        self._note_made(job)
        run = result.run
        if run is None or not run.returned or len(run.values) < len(run.returned):
            return
        named = {name: value for name, value in run.values.items() if name != "_"}
        self.shell.user_ns.update(named)
        self._returned[job.source.target.count] = tuple(named)  # type: ignore[union-attr]

    def _swept(self, job: ExportRequest, line: str, result: Any) -> Any:
        """Return the sweep of a result, which can run what failed once more; a handle and a dry run as they are."""
        sweep = getattr(result, "sweep", None)
        if sweep is None:
            return result
        from buildr_jupyter.pipeline.stages import stream_more

        once = replace(job, options=replace(job.options, again=False))

        def again() -> Any:
            more = self.builds.run(
                once, line, work=lambda job, token: stream_more(job.order(), result, token, run=True)
            )
            return self._swept(once, line, more)

        return replace(sweep, again=again)

    def _show_runs(self) -> None:
        from buildr_jupyter.commands.runs import list_runs, render_rows

        self._write(render_rows(list_runs(50), time.time()))

    def _export(self, job: ExportRequest, out: Path) -> None:
        """Write the context folder, of the program that was proven, and say what ``buildr export`` says."""
        from buildr_jupyter.commands.export import export_folder, iter_lines
        from buildr_jupyter.commands.login import cell_of
        from buildr_jupyter.ui.json_record import make_plan_record

        done = export_folder(job, out)
        if job.options.ui == "json":
            record = make_plan_record(cell_of(job), done.assembly, context=done.folder, proof=done.proof)
            self._write(record + "\n")
            return
        self._write("".join(f"{line}\n" for line in iter_lines(job, done)))

    def _job(self, options: Options) -> ExportRequest:
        from buildr_jupyter.dependencies.environment import Interpreter
        from buildr_jupyter.pipeline.job import ExportRequest
        from buildr_jupyter.pipeline.planner import CellSource

        path, name = self._notebook()
        runs = [
            replace(run, returned=self._returned[run.count]) if self._returned.get(run.count) else run
            for run in self._mark_stale(self.history.runs(), path)
        ]
        folder = path.parent if path else self.folder
        source = CellSource(
            runs=tuple(runs),
            target=runs[-1],
            folder=folder,
            notebook=name,
            namespace=self.shell.user_ns,
        )
        interpreter, warnings = Interpreter.current(), self._setting_warnings
        return ExportRequest(
            source, options, interpreter, dict(os.environ), notebook_path=path, warnings=warnings,
            made_here=self._made_here, proofs=self._proofs, shows_objects=bool(getattr(self.shell, "kernel", None)),
        )  # fmt: skip

    def _mark_stale(self, runs: list[CellRun], path: Path | None) -> list[CellRun]:
        from buildr_jupyter.notebook.cells import mark_stale, read_notebook, with_tags

        if path is None:
            return runs
        try:
            saved = read_notebook(path)
            return with_tags(mark_stale(runs, saved, self.history.ran_at), saved)
        except BuildrError:  # a file that is just being saved: nothing is known of it
            return runs

    def _notebook(self) -> tuple[Path | None, str | None]:
        """Return path and file name of the notebook, as the front end tells them, else as ``--notebook`` does.

        Of a notebook that papermill or nbconvert executes the name alone is known: the kernel's folder is another one.
        """
        said = self.shell.user_ns.get("__vsc_ipynb_file__")
        executed = None if said or self._named else executed_notebook(self.shell.user_ns, os.environ)
        if executed is not None:
            return None, executed
        said = said or os.environ.get("JPY_SESSION_NAME") or self._named
        if self._named and not (self.folder / self._named).is_file():
            raise OptionError(
                f"--notebook {self._named}: no such file", hint=f"give the path as seen from {self.folder}"
            )
        if not said or not str(said).endswith(".ipynb"):
            return None, None
        path = self.folder / str(said)
        name = path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return (path if path.is_file() else None), name

    def _values(self, args: dict[str, object]) -> dict[str, object]:
        return {name: setting.value for name, setting in self._gather(args).items()}

    def _gather(self, args: dict[str, object]) -> dict[str, Setting]:
        from buildr_jupyter.config import settings
        from buildr_jupyter.config.options import SETTINGS

        said = {option.field: getattr(self, option.field) for option in SETTINGS}
        config = {name: value for name, value in said.items() if value != self._from_files.get(name)}
        site = tuple(settings.read_site(path) for path in settings.site_files())
        folder = (self._notebook()[0] or self.folder / "x").parent
        project = settings.read_project(folder, owners=settings.trusted_owners(site))
        self._setting_warnings = (
            *self._misnamed(self._sections),
            *settings.misread(os.environ),
            *(warning for file in (project, *site) for warning in file.warnings),
        )
        return settings.gather(
            line=args, config=config, environ=os.environ, ipython=self._from_files, project=project, site=site
        )

    def _show_settings(self, args: dict[str, object]) -> None:
        from buildr_jupyter.config.options import SETTINGS
        from buildr_jupyter.config.settings import Setting

        found = self._gather(args)
        rows = [found.get(o.field) or Setting(o.field, None, "not set") for o in SETTINGS]
        name, value = (
            max(len(str(text)) for text in column) for column in zip(*((r.name, r.value) for r in rows), strict=True)
        )
        self._write("".join(f"{row.name:<{name}}  {row.value!s:<{value}}  {row.origin}\n" for row in rows))
        self._write("set one by %config ContainerizeMagics.base = 'python:3.12-slim', or by BUILDR_BASE\n")
        for warning in self._setting_warnings:
            self._write(f"warning: {warning.text}\n" + (f"  hint: {warning.hint}\n" if warning.hint else ""))

    def _login(self, host: str) -> None:
        from buildr_jupyter.commands.login import log_in

        self._write(log_in(host, None, None) + "\n")

    def _run_here(self, cell: str) -> None:
        result = self.shell.run_cell(cell, store_history=False)  # type: ignore[no-untyped-call]
        if not result.success:
            raise ExportError("the cell failed, as shown above; nothing was built from it", hint="correct the cell")

    def _note_made(self, job: ExportRequest) -> None:
        if (cell := job.source.target.id) is not None:  # type: ignore[union-attr]
            self._built[str(job.refs[0])] = cell

    def _warn_same_reference(self, job: ExportRequest) -> None:
        reference, cell = str(job.refs[0]), job.source.target.id  # type: ignore[union-attr]
        if cell is not None and self._built.get(reference, cell) != cell:
            self._write(f"warning: {reference} was made by another cell before; this cell takes its name over\n")

    def show_result(self, result: BuildResult) -> None:
        """Show nothing where a pane has just shown this result; NotImplementedError asks for the usual."""
        if not self.builds.take_shown(result):
            raise NotImplementedError

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def _complete(context: Any) -> dict[str, object]:
    from IPython.core.completer import SimpleCompletion
    from IPython.core.getipython import get_ipython

    first = context.full_text.lstrip().split("\n", 1)[0]
    if context.cursor_line != 0 or not first.startswith(("%%containerize", "%containerize")):
        return {"completions": []}
    from buildr_jupyter.ui.completions import complete_line, kernel_names

    shell = get_ipython()
    names = kernel_names(shell.user_ns, shell.user_ns_hidden) if shell else []
    word, found = complete_line(context.text_until_cursor, names=names, folder=Path.cwd())
    return {
        "completions": [SimpleCompletion(text=text, type="param") for text in found],
        "matched_fragment": word,
        "suppress": bool(found),
    }


_KEY = "_buildr_jupyter"
_IN_MID_CELL = "%containerize"


def register(ipython: InteractiveShell) -> None:
    """Put magics, completion, history and formatters on a shell; a second call does nothing."""
    if getattr(ipython, _KEY, None):
        return
    from IPython.core.completer import context_matcher

    from buildr_jupyter.notebook.kernel_history import KernelHistory
    from buildr_jupyter.notebook.observer import Observer

    history = KernelHistory(ipython)
    magics = ContainerizeMagics(ipython, history)
    history.observer = Observer(ipython.user_ns, ipython.user_ns_hidden)
    history.install()
    magics.follow_observe()
    ipython.register_magics(magics)
    # IPython reads %%NAME below a cell's first line as a line magic that is called "%NAME".
    ipython.magics_manager.magics["line"][_IN_MID_CELL] = magics.in_mid_cell
    configurables: list[Any] = ipython.configurables
    if magics not in configurables:
        configurables.append(magics)
    matcher = context_matcher(priority=50, identifier="buildr_jupyter")(_complete)
    ipython.Completer.custom_matchers.append(matcher)
    for (module, name), shown in _SHOWN.items():
        for mime, render in shown.items():
            _formatters(ipython)[mime].for_type_by_name(module, name, render)
    _own_display(ipython).for_type_by_name(*_RESULT, magics.show_result)
    setattr(ipython, _KEY, (magics, history, matcher))
    magics.builds.warm_up()


def _own_display(ipython: InteractiveShell) -> Any:
    """Return the formatter that lets an object show itself; what it has shown is not shown again."""
    assert ipython.display_formatter is not None
    return ipython.display_formatter.ipython_display_formatter


def _formatters(ipython: InteractiveShell) -> Any:
    assert ipython.display_formatter is not None
    return ipython.display_formatter.formatters


def unregister(ipython: InteractiveShell) -> None:
    """Take off all that ``register`` put on."""
    if not (held := getattr(ipython, _KEY, None)):
        return
    magics, history, matcher = held
    history.uninstall()
    for kind in ("line", "cell"):
        ipython.magics_manager.magics[kind].pop("containerize", None)
    ipython.magics_manager.magics["line"].pop(_IN_MID_CELL, None)
    ipython.magics_manager.registry.pop("ContainerizeMagics", None)
    if magics in ipython.configurables:
        ipython.configurables.remove(magics)
    if matcher in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.remove(matcher)
    for (module, name), shown in _SHOWN.items():
        for formatter in (*(_formatters(ipython)[mime] for mime in shown), _own_display(ipython)):
            formatter.deferred_printers.pop((module, name), None)
            if module in sys.modules:
                formatter.type_printers.pop(getattr(sys.modules[module], name), None)
    delattr(ipython, _KEY)


def _print_result(result: BuildResult, printer: Any, _cycle: bool) -> None:
    from buildr_jupyter.ui.result import render_result_text

    printer.text(render_result_text(result))


def _result_html(result: BuildResult) -> str:
    from buildr_jupyter.ui.result import render_result_html

    return render_result_html(result)


def _print_sweep(sweep: SweepResult, printer: Any, _cycle: bool) -> None:
    from buildr_jupyter.ui.sweep import render_sweep_text

    printer.text(render_sweep_text(sweep))


def _sweep_html(sweep: SweepResult) -> str:
    from buildr_jupyter.ui.sweep import render_sweep_html

    return render_sweep_html(sweep)


_RESULT = ("buildr_jupyter.model.result", "BuildResult")
_SHOWN: dict[tuple[str, str], dict[str, Callable[..., object]]] = {
    _RESULT: {"text/plain": _print_result, "text/html": _result_html},
    ("buildr_jupyter.model.sweep", "SweepResult"): {"text/plain": _print_sweep, "text/html": _sweep_html},
}
"""Module and name of each class that a cell may end in, to what renders it; none is imported for that."""
