"""``buildr``: the same pipeline from a command line, on notebook files. Nothing of a notebook is executed."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter import __version__
from buildr_jupyter.commands.completion import SHELLS, render_completion
from buildr_jupyter.commands.failures import ClosedOutput, end_unread, reader_left, report_failure
from buildr_jupyter.config import settings
from buildr_jupyter.config.notebook_line import allowed_part
from buildr_jupyter.config.options import OPTIONS, OptionParser, add_options, make_line_parser, make_options, split_line
from buildr_jupyter.config.parse import parse_strings
from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import BuildrError, NotebookError, OptionError
from buildr_jupyter.model.progress import BuildWarning

if TYPE_CHECKING:
    from buildr_jupyter.dependencies.environment import Interpreter
    from buildr_jupyter.events.event import RunOutput
    from buildr_jupyter.model.result import BuildResult
    from buildr_jupyter.notebook.cells import Notebook
    from buildr_jupyter.pipeline.job import Display, ExportRequest

__all__ = ["main", "make_parser"]


_BUILD_EXAMPLES = """
examples:
  buildr build nb.ipynb                           an image of each %%containerize cell
  buildr build nb.ipynb --cell tag:train --run    one cell, and run it
  buildr build nb.ipynb --publish --repository ghcr.io/me --json
"""


_RUN_EXAMPLES = """
examples:
  buildr run report                               its program, with its defaults
  buildr run report -- --n 4                      another value of an input
  buildr run report --port 8080 --collect '*.csv'
"""
_COMPLETION_EXAMPLES = """
examples:
  source <(buildr completion bash)
  source <(buildr completion zsh)                 after compinit
  buildr completion fish | source
"""
_RUN_OPTIONS = (
    "builder", "run-env", "port", "mount", "collect", "no-collect", "memory", "cpus", "gpus", "quiet",
)  # fmt: skip


def make_parser() -> OptionParser:
    """Return the parser of the whole command."""
    parser = OptionParser(prog="buildr", description="From a notebook cell to a container image.")
    parser.add_argument("--version", action="version", version=f"buildr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OptionParser)

    export = commands.add_parser("export", help="write a cell's context folder; needs no engine")
    _add_notebook(export)
    export.add_argument("--out", required=True, metavar="DIR", help="the folder to write")
    export.add_argument("--json", action="store_true", help="one JSON line on standard output")
    export.add_argument("--explain", action="store_true", help="show each name, requirement and file with its reason")
    add_options(export, name=False)

    manifest = commands.add_parser("manifest", help="print what --on kubernetes would apply, to be kept and applied")
    _add_notebook(manifest)
    add_options(manifest, name=False)

    build = commands.add_parser(
        "build", help="build the images of a notebook's cells, or a context folder", epilog=_BUILD_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _add_notebook(build, optional=True)
    build.add_argument(
        "--from-context", metavar="DIR", help="build what stands in this context folder, instead of a notebook"
    )
    build.add_argument("--json", action="store_true", help="one JSON line for each cell on standard output")
    add_options(build, name=False)

    run = commands.add_parser(
        "run", help="run an image and bring back the files that it makes", epilog=_RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    run.add_argument("image")
    run.add_argument("args", nargs="*", default=[], metavar="-- ARGS", help="what the program is given, behind --")
    run.add_argument("--json", action="store_true", help="one JSON line; the program's output goes to standard error")
    add_options(run, name=False, only=_RUN_OPTIONS)
    push = commands.add_parser("push", help="push an image to the registry that its name says")
    push.add_argument("image")
    push.add_argument("--json", action="store_true")
    remove = commands.add_parser("rm", help="remove images that buildr made, from the engine and the store")
    remove.add_argument("images", nargs="+", metavar="IMAGE")
    remove.add_argument("--json", action="store_true", help="one JSON line")
    images = commands.add_parser("images", help="list the images that buildr made")
    images.add_argument("--json", action="store_true", help="one JSON line for each image")
    inspect = commands.add_parser("inspect", help="say what is in an image")
    inspect.add_argument("image", help="a name, an id, or the path of a tar or of a folder with an OCI layout")
    inspect.add_argument("--json", action="store_true")
    rebase = commands.add_parser("rebase", help="put another base under an image of builder oci, without a build")
    rebase.add_argument("image")
    rebase.add_argument("--base", required=True, metavar="NEW", help="a base with the same Python")
    rebase.add_argument("--tag", metavar="NAME", help="another name for the result")
    rebase.add_argument("--output", metavar="PATH", help="write it to FILE.tar or into a folder, too")
    rebase.add_argument("--load", action="store_true", help="load it into the engine, too")
    rebase.add_argument("--publish", action="store_true", help="push it, too")
    rebase.add_argument("--json", action="store_true")
    runs = commands.add_parser("runs", help="the runs of sweeps that the journal knows")
    runs.add_argument(
        "action", nargs="?", choices=("list", "show", "logs", "values", "cancel", "prune"), default="list"
    )
    runs.add_argument("key", nargs="?", help="the beginning of a run's key, as the list shows it")
    runs.add_argument(
        "--on",
        metavar="kubernetes[=CONTEXT[/NAMESPACE]]",
        help="the runs that this cluster has, from any machine",
    )
    runs.add_argument("--json", action="store_true", help="one JSON line for each run")
    runs.add_argument(
        "--older-than", type=_age, metavar="AGE", help="prune runs that ended before: BUILDR_RUNS_AGE, 30d if none"
    )
    doctor = commands.add_parser("doctor", help="say what is here, and what to do about what is not")
    doctor.add_argument("--on", metavar="kubernetes[=CONTEXT[/NAMESPACE]]", help="look at this cluster, too")
    doctor.add_argument("--json", action="store_true")
    login = commands.add_parser("login", help="log in to a registry; no docker is needed")
    login.add_argument("host")
    login.add_argument("-u", "--username")
    login.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    login.add_argument("--json", action="store_true")
    logout = commands.add_parser("logout", help="forget a registry's login")
    logout.add_argument("host")
    logout.add_argument("--json", action="store_true")
    cache = commands.add_parser(
        "cache", help="show, verify or prune what is kept: context folders, layers of builder oci"
    )
    cache.add_argument("action", nargs="?", choices=("show", "verify", "prune"), default="show")
    cache.add_argument("--json", action="store_true", help="one JSON line")
    cache.add_argument("--yes", action="store_true", help="prune without a question")
    cache.add_argument("--dry-run", action="store_true", help="say what a prune would remove, and remove nothing")
    cache.add_argument(
        "--older-than", type=_age, default=0.0, metavar="AGE", help="prune what was last written before: 12h, 7d, 2w"
    )
    cache.add_argument("--images", action="store_true", help="prune images, too: they may exist nowhere else")
    completion = commands.add_parser(
        "completion", help="print the script by which a shell completes this command", epilog=_COMPLETION_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    completion.add_argument("shell", choices=SHELLS)
    for name, text in (("enable", "have the magic in every notebook"), ("disable", "take that back")):
        switch = commands.add_parser(name, help=text)
        switch.add_argument("--json", action="store_true")
        place = switch.add_mutually_exclusive_group()
        place.add_argument("--user", action="store_true", help="for this user's default profile")
        place.add_argument("--sys-prefix", action="store_true", help="for this environment (the default)")
    return parser


def _age(text: str) -> float:
    from buildr_jupyter.config.parse import parse_age

    try:
        return parse_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _add_notebook(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument("notebook", metavar="NOTEBOOK", nargs="?" if optional else None)
    parser.add_argument(
        "--cell", metavar="SEL", help="0-based index, id:… or tag:…; without it every %%%%containerize cell"
    )
    parser.add_argument("--kernel", metavar="NAME", help="kernel whose packages count; the notebook's own if none")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 (build, push or run failed), 2 (wrong use), 130 (interrupted).

    Standard output that cannot be written is status 1, like every other failure; where nobody reads it any more
    (``buildr images | head -1``), the command ends without a word, and its status is that of SIGPIPE, 141.
    """
    try:
        return _main(argv)
    except BrokenPipeError:
        return end_unread()


def _main(argv: Sequence[str] | None) -> int:
    """Return the exit status; raises BrokenPipeError where the reader of what is written here left."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words[: words.index("--")] if "--" in words else "--json" in words
    if sys.stdout is None:  # closed by the shell: >&-
        sys.stdout = ClosedOutput()
    try:
        args = _parse(words or ["--help"])
        status = _COMMANDS[args.command](args)
        sys.stdout.flush()
        return status
    except SystemExit as stop:  # --help and --version
        return _flushed(int(stop.code or 0))
    except KeyboardInterrupt:
        sys.stderr.write("buildr: interrupted\n")
        return 130
    except Exception as error:  # whatever it is, a person gets a sentence
        if isinstance(error, BrokenPipeError) and reader_left():
            raise
        return report_failure(error, as_json=as_json, command=words[0] if words else "")


def _parse(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; what is none is refused by the command's own parser, whose help lists its options."""
    parser = make_parser()
    args: argparse.Namespace
    args, unknown = parser.parse_known_args(words)
    if unknown:
        commands = next(one.choices for one in parser._actions if isinstance(one, argparse._SubParsersAction))
        commands[args.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return args


def _flushed(status: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        return report_failure(error, as_json=False, command="")
    return status


def _jobs(args: argparse.Namespace) -> list[ExportRequest]:
    """Return a job for each chosen cell; what is wrong with one of them is raised before any build."""
    from buildr_jupyter.notebook import cells

    if getattr(args, "from_context", None):
        return [_context_job(args)]
    if args.notebook is None:
        raise OptionError(
            "buildr build: no notebook is named",
            hint="name what to build: buildr build NOTEBOOK, or --from-context DIR",
        )
    notebook = cells.read_notebook(args.notebook)
    indices = cells.select_cells(notebook, args.cell)
    containerized = cells.select_cells(notebook, None) if len(indices) == 1 and _has_containerize(notebook) else indices
    interpreter = _interpreter(args.kernel, notebook.kernelspec)
    jobs = [_job(args, notebook, index, interpreter, max(1, len(containerized))) for index in indices]
    taken: dict[str, int] = {}
    for index, job in zip(indices, jobs, strict=True):
        for ref in job.refs:
            if str(ref) in taken:
                raise OptionError(
                    f"{notebook.name}: cells {taken[str(ref)]} and {index} would both make {ref}",
                    hint="write a name behind %%containerize on one of the lines, or choose one cell with --cell",
                )
            taken[str(ref)] = index
    return jobs


def _context_job(args: argparse.Namespace) -> ExportRequest:
    """Return the job that builds a context folder as it stands, by options and settings of this user alone."""
    from buildr_jupyter.dependencies.environment import Interpreter
    from buildr_jupyter.pipeline.job import ExportRequest
    from buildr_jupyter.pipeline.planner import ContextSource

    if args.notebook is not None or args.cell is not None:
        raise OptionError(
            f"--from-context {args.from_context}: a notebook or cell is named as well",
            hint="build the one or the other",
        )
    folder = Path.cwd() / args.from_context
    found = settings.gather(line=_given(args), environ=os.environ, site=_site())
    options = make_options({name: setting.value for name, setting in found.items()}, base_folder=Path.cwd())
    if options.sweeps:
        from buildr_jupyter.pipeline.sweeps import with_rows

        # The folder says what its inputs are; what a map names is none of its own.
        named = dict(options.maps)
        own = tuple(one for one in options.params if one[0] not in named)
        options = replace(with_rows(options, None), params=own)
    bases = found.get("allow_base")
    source = ContextSource(folder, parse_strings(bases.value if bases else ()))
    return ExportRequest(
        source, options, Interpreter.current(), dict(os.environ), warnings=settings.misread(os.environ)
    )


def _given(args: argparse.Namespace) -> dict[str, object]:
    known = {option.field for option in OPTIONS}
    return {name: value for name, value in vars(args).items() if name in known and value is not None}


def _site() -> tuple[settings.SettingsFile, ...]:
    return tuple(settings.read_site(path) for path in settings.site_files())


def _has_containerize(notebook: Notebook) -> bool:
    return any(run.header is not None for run in notebook.runs)


def _job(
    args: argparse.Namespace, notebook: Notebook, index: int, interpreter: Interpreter, siblings: int
) -> ExportRequest:
    from buildr_jupyter.notebook.cells import runs_up_to
    from buildr_jupyter.pipeline.job import ExportRequest
    from buildr_jupyter.pipeline.planner import CellSource

    runs = runs_up_to(notebook, index)
    given, site = _given(args), _site()
    project = settings.read_project(notebook.folder, owners=settings.trusted_owners(site))
    bases = settings.gather(line=given, environ=os.environ, site=site).get("allow_base")
    said = _said(runs[-1].header)
    line, left_out = allowed_part(said, bases.value if bases else ())
    if "name" not in line and "image" in line:
        line["name"] = line.pop("image")
    found = settings.gather(line=line | given, project=project, environ=os.environ, site=site)
    options = make_options({name: setting.value for name, setting in found.items()}, base_folder=notebook.folder)
    if options.sweeps:
        from buildr_jupyter.pipeline.sweeps import with_rows

        options = with_rows(options, None)
    source = CellSource(tuple(runs), runs[-1], notebook.folder, notebook.name, None, siblings)
    warnings = [*settings.misread(os.environ), *(warning for file in (project, *site) for warning in file.warnings)]
    if options.dockerfile is None and said["dockerfile"] == "-":
        # Without the option the cell's text would be read as a program, which it need not be.
        raise OptionError(
            f"{notebook.name}, cell {index}: its line is read from a file and may not set --dockerfile",
            hint="give it on the command line, if you trust the notebook; --dockerfile - takes the cell's own text",
        )
    if options.dockerfile is None and not runs[-1].body.strip():
        raise OptionError(
            f"{notebook.name}, cell {index}: the cell is empty", hint="write the code below its first line"
        )
    if left_out:
        warnings.append(
            BuildWarning(
                f"{notebook.name}, cell {index}: its line is read from a file and may not set "
                + ", ".join(str(one) for one in left_out),
                hint="give them on the command line, if you want them",
            )
        )
    path = Path.cwd() / args.notebook
    return ExportRequest(source, options, interpreter, dict(os.environ), notebook_path=path, warnings=tuple(warnings))


def _said(header: str | None) -> dict[str, object]:
    """Return every option of the cell's own line by its field."""
    words = split_line(header.removeprefix("%%containerize")) if header else []
    return vars(make_line_parser().parse_args(words))


def _interpreter(kernel: str | None, kernelspec: str | None) -> Interpreter:
    """Return the kernel's interpreter: the named one, else the notebook's where it is installed, else this one."""
    from buildr_jupyter.dependencies.environment import Interpreter

    name = kernel or kernelspec
    if name is None:
        return Interpreter.current()
    if (known := _installed_kernel(name)) is not None:
        return _of_executable(known)
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        if kernel:
            raise OptionError(
                f"--kernel {kernel}: jupyter_client is not installed here", hint="run pip install jupyter_client"
            ) from None
        return Interpreter.current()
    try:
        executable = KernelSpecManager().get_kernel_spec(name).argv[0]
    except NoSuchKernel as error:
        if kernel:
            raise OptionError(
                f"--kernel {kernel}: no such kernel is installed",
                hint=nearest_hint(
                    kernel, KernelSpecManager().find_kernel_specs(), "see which there are: jupyter kernelspec list"
                ),
            ) from error
        return replace(Interpreter.current(), stand_in=True)
    return _of_executable(executable)


def _installed_kernel(name: str) -> str | None:
    """Return the program of a kernel that is installed under this name, None where that is to be asked of Jupyter.

    jupyter_client takes as long to import as the rest of an export; it looks into these folders first, too.
    """
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return None
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        return None
    for folder in jupyter_path("kernels"):
        place = Path(folder) / name.lower()
        if place.is_dir():
            try:
                return str(json.loads((place / "kernel.json").read_bytes())["argv"][0])
            except (OSError, ValueError, KeyError, IndexError, TypeError):
                return None
    return None


def _of_executable(executable: str) -> Interpreter:
    from buildr_jupyter.dependencies.environment import Interpreter

    if executable in ("python", "python3", sys.executable) or os.path.realpath(executable) == os.path.realpath(
        sys.executable
    ):
        return Interpreter.current()
    return Interpreter.ask([executable])


def _export(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.export import export_folder, iter_lines
    from buildr_jupyter.commands.login import cell_of
    from buildr_jupyter.ui.json_record import make_plan_record
    from buildr_jupyter.ui.plan_report import render_explanation

    jobs = _jobs(args)
    if len(jobs) > 1:
        raise NotebookError(
            f"{args.notebook}: {len(jobs)} cells begin with %%containerize", hint="choose one with --cell"
        )
    (job,) = jobs
    done = export_folder(job, Path.cwd() / args.out)
    explain = args.explain or job.options.dry_run
    if args.json or job.options.ui == "json":
        record = make_plan_record(cell_of(job), done.assembly, context=done.folder, proof=done.proof)
        sys.stdout.write(record + "\n")
    elif explain:
        sys.stdout.write(render_explanation(done.assembly))
    sys.stderr.write("".join(f"{line}\n" for line in iter_lines(job, done)))
    return 0


def _manifest(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.manifest import render

    jobs = _jobs(args)
    sys.stdout.write("---\n".join(render(job) for job in jobs))
    return 0


def _build(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.login import cell_of
    from buildr_jupyter.model.result import BuildResult
    from buildr_jupyter.pipeline.driver import drive
    from buildr_jupyter.ui import plain
    from buildr_jupyter.ui.json_record import make_record
    from buildr_jupyter.ui.result import render_result_text

    status = 0
    for job in _jobs(args):
        as_json = args.json or job.options.ui == "json"
        started = time.monotonic()
        try:
            if job.options.dry_run:
                _explain(job, as_json=as_json)
                continue
            outcome: BuildResult | BuildrError | KeyboardInterrupt = drive(job, _windows(job, as_json=as_json))
        except (BuildrError, KeyboardInterrupt) as error:
            outcome = error
        if as_json:
            sys.stdout.write(make_record(cell_of(job), outcome, duration_s=time.monotonic() - started) + "\n")
            sys.stdout.flush()
        elif not isinstance(outcome, BaseException):
            sys.stdout.write(render_result_text(outcome) + "\n")
            if outcome.sweep is not None:
                from buildr_jupyter.ui.sweep import render_sweep_text

                sys.stdout.write(render_sweep_text(outcome.sweep) + "\n")
        if isinstance(outcome, BuildResult) and any(run.state != "done" for run in outcome.sweep or ()):
            status = max(status, 1)
        if isinstance(outcome, KeyboardInterrupt):
            raise outcome
        if isinstance(outcome, BuildrError):
            plain.print_error(outcome, sys.stderr)
            status = max(status, outcome.exit_status)
    return status


def _explain(job: ExportRequest, *, as_json: bool) -> None:
    """Write what would be built, and the Job that would be made of it."""
    from buildr_jupyter.commands.login import cell_of
    from buildr_jupyter.commands.manifest import planned_job
    from buildr_jupyter.pipeline.preparation import prepare
    from buildr_jupyter.ui.json_record import make_plan_record
    from buildr_jupyter.ui.plan_report import render_explanation

    assembly = prepare(job)
    if as_json:
        sys.stdout.write(make_plan_record(cell_of(job), assembly) + "\n")
    else:
        sys.stdout.write(render_explanation(assembly) + planned_job(job.order(), assembly.plan))


def _windows(job: ExportRequest, *, as_json: bool) -> list[Display]:
    """Progress goes to standard error; with --json the container's output does, too."""
    from buildr_jupyter.ui.plain import QuietDisplay, TextDisplay, write_output

    output = (lambda event: sys.stderr.write(event.text)) if as_json else write_output
    if as_json and job.options.sweeps:
        from buildr_jupyter.ui.sweep import JsonRuns

        return [TextDisplay(sys.stderr.write, output=output), JsonRuns(sys.stdout.write)]
    return [QuietDisplay(output) if job.options.quiet else TextDisplay(sys.stderr.write, output=output)]


def _run(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.actions import run_image
    from buildr_jupyter.errors import RunError
    from buildr_jupyter.events.state import BuildState
    from buildr_jupyter.ui import json_record, plain
    from buildr_jupyter.ui.result import describe_files

    options = make_options(_given(args), base_folder=Path.cwd())
    output: Callable[[RunOutput], object] = (
        (lambda event: sys.stderr.write(event.text)) if args.json else plain.write_output
    )
    display = plain.QuietDisplay(output) if options.quiet else plain.TextDisplay(sys.stderr.write, output=output)
    state = BuildState()
    variables = [
        (name, os.environ.get(name, "") if value is None else value) for name, value in options.run_environment
    ]
    ended = run_image(args.image, args.args, options, variables, Path.cwd(), lambda event: display.draw(state, [event]))
    if files := describe_files(ended):
        sys.stderr.write(f"files: {files}\n")
    if ended.exit_code:
        raise RunError(
            f"the container of {args.image} ended with status {ended.exit_code}",
            hint="read its output above: it says why",
            exit_code=ended.exit_code,
            log_tail=ended.log_tail,
        )
    return _done(args, image=args.image, run=json_record.run_fields(ended))


def _push(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.actions import push_image
    from buildr_jupyter.events.state import BuildState
    from buildr_jupyter.ui.plain import TextDisplay

    display, state = TextDisplay(sys.stderr.write), BuildState()
    pushed = push_image(args.image, lambda event: display.draw(state, [event]))
    if not args.json:
        sys.stdout.write(f"{args.image} {pushed.digest or ''}".rstrip() + "\n")
    return _done(args, image=args.image, digest=pushed.digest)


def _rm(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.actions import remove_image

    removed = {}
    for name in args.images:
        removed[name] = remove_image(name)
        if not args.json:
            sys.stdout.write(f"removed {name} ({', '.join(removed[name])})\n")
    return _done(args, removed=removed)


def _completion(args: argparse.Namespace) -> int:
    sys.stdout.write(render_completion(make_parser(), args.shell))
    return 0


def _images(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.images import list_images, render_listed

    rows = list_images()
    text = "".join(f"{json.dumps(row)}\n" for row in rows) if args.json else render_listed(rows, time.time())
    sys.stdout.write(text)
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.images import inspect, render

    for number, row in enumerate(inspect(args.image)):
        text = json.dumps(row) if args.json else ("\n" if number else "") + render(row)
        sys.stdout.write(text + "\n")
    return 0


def _runs(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands import runs
    from buildr_jupyter.runner.values import returned_folder
    from buildr_jupyter.ui.sanitize import clean_text

    if args.action not in ("list", "prune") and not args.key:
        raise OptionError(f"buildr runs {args.action}: no run is named", hint="look up their keys: buildr runs list")
    if args.on and args.on != "docker":
        return _cluster_runs(args)
    if args.action == "list":
        rows = runs.list_runs()
    elif args.action in ("show", "logs", "values"):
        rows = [runs.find(args.key)]
    else:
        lines: list[str] = []
        if args.action == "cancel":
            runs.cancel(args.key, lines.append)
        else:
            runs.prune(lines.append, older_than_s=args.older_than)
        if not args.json:
            sys.stdout.write("".join(lines))
        return _done(args, action=args.action, lines=[line.rstrip("\n") for line in lines])
    if args.action == "list" and not args.json:
        sys.stdout.write(runs.render_rows(rows, time.time()))
        return 0
    for row in rows:
        if args.json:
            sys.stdout.write(json.dumps(runs.to_json(row)) + "\n")
        elif args.action == "logs":
            sys.stdout.write("".join(f"{line}\n" for line in row.log_tail))
        elif args.action == "values":
            found = sorted(returned_folder(row.folder).glob("*")) if row.folder else []
            sys.stdout.write("".join(f"{path}\n" for path in found))
        else:
            reason = f"    {clean_text(row.reason)}\n" if row.reason else ""
            sys.stdout.write(runs.render_rows([row], time.time()) + reason)
    return 0


def _cluster_runs(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands import cluster_runs as runs
    from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner

    runner = KubernetesRunner(args.on, user=os.environ.get("JUPYTERHUB_USER"))
    said: list[str] = []
    if args.action in ("list", "show"):
        groups = runner.list() if args.action == "list" else [runs.find(runner, args.key)]
        lines = "".join(json.dumps(runs.to_json(group)) + "\n" for group in groups)
        sys.stdout.write(lines if args.json else runs.render(groups, time.time()))
        return 0
    if args.action == "logs":
        runs.show_log(runner, args.key, sys.stdout.write)
        return 0
    if args.action == "values":
        said += [f"{path}\n" for path in runs.collect(runner, args.key, sys.stderr.write)]
    elif args.action == "cancel":
        runs.cancel(runner, args.key, said.append)
    else:
        runs.prune(runner, said.append, older_than_s=args.older_than or 0.0)
    if not args.json:
        sys.stdout.write("".join(said))
    return _done(args, action=args.action, lines=[line.rstrip("\n") for line in said])


def _rebase(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.images import rebase

    result = rebase(
        args.image, args.base, tag=args.tag, output=args.output, load=args.load, publish=args.publish,
        say=sys.stderr.write,
    )  # fmt: skip
    if args.json:
        return _done(args, image=result.image, image_id=result.image_id, digest=result.digest)
    sys.stdout.write(f"{result.image} {result.image_id or ''}".rstrip() + "\n")
    return 0


def _done(args: argparse.Namespace, **facts: object) -> int:
    """Print the JSON line of a command that succeeded, where one is wanted; return status 0."""
    if args.json:
        record = {"schema": 1, "command": args.command, "status": "ok", **facts, "error": None}
        sys.stdout.write(json.dumps(record) + "\n")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.doctor import examine

    report = examine(dict(os.environ), on=args.on)
    sys.stdout.write((json.dumps(report.to_json()) if args.json else report.render()) + "\n")
    return 0 if report.can_build else 1


def _ask(prompt: str) -> str:
    """Return a line that a person types; the question goes to standard error, for standard output may be JSON."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return input()


def _login(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.login import log_in

    password = sys.stdin.readline().rstrip("\r\n") if args.password_stdin else None
    if args.password_stdin and not (password and args.username):
        raise OptionError("login: --password-stdin wants --username and a password on standard input")
    sys.stderr.write(log_in(args.host, args.username, password, ask=_ask) + "\n")
    return _done(args, host=args.host)


def _logout(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands.login import check_host
    from buildr_jupyter.registry import keychain

    check_host("logout", args.host.rpartition("://")[2].partition("/")[0])
    removed = keychain.logout(args.host)
    sys.stderr.write(f"logged out of {args.host}\n" if removed else f"there was no login for {args.host}\n")
    return _done(args, host=args.host, removed=bool(removed))


def _cache(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands import cache as upkeep

    lines: list[str] = []
    say: Callable[[str], object] = lines.append if args.json else sys.stdout.write
    status = 0
    if args.action == "verify":
        status = upkeep.verify(say)
    elif args.action == "prune":
        upkeep.prune(
            say, older_than_s=args.older_than, images=args.images, dry_run=args.dry_run, yes=args.yes,
            ask=upkeep.terminal_question(),
        )  # fmt: skip
    else:
        upkeep.look(say)
    _done(args, action=args.action, sound=not status, lines=[line.rstrip("\n") for line in lines])
    return status


def _enable(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands import enable

    path = enable.enable(user=args.user)
    sys.stderr.write(f"%%containerize is in every notebook now: {path}\n")
    return _done(args, file=str(path))


def _disable(args: argparse.Namespace) -> int:
    from buildr_jupyter.commands import enable

    path = enable.disable(user=args.user)
    sys.stderr.write(f"removed: {path}\n" if path else "there was nothing to remove\n")
    return _done(args, file=str(path) if path else None)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "export": _export,
    "manifest": _manifest,
    "build": _build,
    "run": _run,
    "push": _push,
    "rm": _rm,
    "completion": _completion,
    "images": _images,
    "inspect": _inspect,
    "runs": _runs,
    "rebase": _rebase,
    "doctor": _doctor,
    "login": _login,
    "logout": _logout,
    "cache": _cache,
    "enable": _enable,
    "disable": _disable,
}
