"""``buildr``: the same pipeline from a command line, on notebook files. Nothing of a notebook is executed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from buildr_jupyter import __version__, settings
from buildr_jupyter.errors import BuildrError, NotebookError, OptionError
from buildr_jupyter.option import OPTIONS, OptionParser, add_options, make_line_parser, make_options, split_line

__all__ = ["main", "make_parser"]


def make_parser() -> OptionParser:
    """Return the parser of the whole command."""
    parser = OptionParser(prog="buildr", description="From a notebook cell to a container image.")
    parser.add_argument("--version", action="version", version=f"buildr {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=OptionParser)

    export = commands.add_parser("export", help="write a cell's context folder; needs no engine")
    _add_notebook(export)
    export.add_argument("--out", required=True, metavar="DIR", help="the folder to write")
    export.add_argument("--explain", action="store_true", help="show each name, requirement and file with its reason")
    add_options(export, name=False)

    build = commands.add_parser("build", help="build the images of a notebook's cells")
    _add_notebook(build)
    build.add_argument("--json", action="store_true", help="one JSON line for each cell on standard output")
    add_options(build, name=False)

    images = commands.add_parser("images", help="list the images that buildr made")
    images.add_argument("--json", action="store_true", help="one JSON line for each image")
    inspect = commands.add_parser("inspect", help="say what is in an image")
    inspect.add_argument("image")
    inspect.add_argument("--json", action="store_true")
    rebase = commands.add_parser("rebase", help="put another base under an image of builder oci, without a build")
    rebase.add_argument("image")
    rebase.add_argument("--base", required=True, metavar="NEW", help="a base with the same Python")
    rebase.add_argument("--tag", metavar="NAME", help="another name for the result")
    rebase.add_argument("--output", metavar="PATH", help="write it to FILE.tar or into a folder, too")
    rebase.add_argument("--load", action="store_true", help="load it into the engine, too")
    rebase.add_argument("--publish", action="store_true", help="push it, too")
    doctor = commands.add_parser("doctor", help="say what is here, and what to do about what is not")
    doctor.add_argument("--json", action="store_true")
    login = commands.add_parser("login", help="log in to a registry; no docker is needed")
    login.add_argument("host")
    login.add_argument("-u", "--username")
    login.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    commands.add_parser("logout", help="forget a registry's login").add_argument("host")
    cache = commands.add_parser(
        "cache", help="show, verify or prune what is kept: context folders, layers of builder oci"
    )
    cache.add_argument("action", nargs="?", choices=("show", "verify", "prune"), default="show")
    cache.add_argument("--yes", action="store_true", help="prune without a question")
    cache.add_argument("--dry-run", action="store_true", help="say what a prune would remove, and remove nothing")
    cache.add_argument(
        "--older-than", type=_age, default=0.0, metavar="AGE", help="prune what was last written before: 12h, 7d, 2w"
    )
    cache.add_argument("--images", action="store_true", help="prune images, too: they may exist nowhere else")
    for name, text in (("enable", "have the magic in every notebook"), ("disable", "take that back")):
        place = commands.add_parser(name, help=text).add_mutually_exclusive_group()
        place.add_argument("--user", action="store_true", help="for this user's default profile")
        place.add_argument("--sys-prefix", action="store_true", help="for this environment (the default)")
    return parser


def _age(text: str) -> float:
    from buildr_jupyter.upkeep import parse_age

    try:
        return parse_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _add_notebook(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("notebook", metavar="NOTEBOOK")
    parser.add_argument(
        "--cell", metavar="SEL", help="0-based index, id:… or tag:…; without it every %%%%containerize cell"
    )
    parser.add_argument("--kernel", metavar="NAME", help="kernel whose packages count; the notebook's own if none")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 (build, push or run failed), 2 (wrong use), 130 (interrupted)."""
    from buildr_jupyter.display import print_error

    try:
        args = make_parser().parse_args(argv)
        return _COMMANDS[args.command](args)
    except BuildrError as error:
        print_error(error, sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("buildr: interrupted\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left; nothing more to say
        return 1


def _jobs(args: argparse.Namespace) -> list[Any]:
    """Return a job for each chosen cell; what is wrong with one of them is raised before any build."""
    from buildr_jupyter.cell import source as cells

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
                    hint="give each a --name on its line, or choose one with --cell",
                )
            taken[str(ref)] = index
    return jobs


def _has_containerize(notebook: Any) -> bool:
    from buildr_jupyter.cell.source import header_and_body

    return any(header_and_body(run.source)[0] is not None for run in notebook.runs)


def _job(args: argparse.Namespace, notebook: Any, index: int, interpreter: Any, siblings: int) -> Any:
    from buildr_jupyter.assembly import CellSource
    from buildr_jupyter.cell.source import runs_up_to
    from buildr_jupyter.pipeline import Job

    runs = runs_up_to(notebook, index)
    known = {option.field for option in OPTIONS}
    given = {name: value for name, value in vars(args).items() if name in known}
    line = _merge_line(runs[-1].source, given)
    found = settings.gather(
        line=line, environ=os.environ, pyproject=settings.find_pyproject(notebook.folder), site=settings.site_files()
    )
    options = make_options({name: setting.value for name, setting in found.items()}, base_folder=notebook.folder)
    source = CellSource(tuple(runs), runs[-1], notebook.folder, notebook.name, None, siblings)
    return Job(source, options, interpreter, dict(os.environ), notebook_path=notebook.folder / notebook.name)


def _merge_line(source: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the cell's own line under those of the command line.

    The notebook may be a stranger's: what sends or runs something counts only when the command line says it too.
    """
    from buildr_jupyter.cell.source import header_and_body

    header, _ = header_and_body(source)
    words = split_line(header.removeprefix("%%containerize")) if header else []
    said = vars(make_line_parser().parse_args(words))
    careful = {option.field for option in OPTIONS if option.repeat}
    own = {name: value for name, value in said.items() if name not in careful and value is not None}
    own["include"] = [path for path in said.get("include") or () if not _leaves_folder(path)] or None
    if _leaves_folder(said.get("dockerfile") or ""):
        own.pop("dockerfile", None)
    for name in ("help", "login", "notebook", "detach", "keep", "status"):
        own.pop(name, None)
    return own | {name: value for name, value in given.items() if value is not None}


def _leaves_folder(path: str) -> bool:
    parts = Path(path).parts
    return Path(path).is_absolute() or path.startswith("~") or ".." in parts


def _interpreter(kernel: str | None, kernelspec: str | None) -> Any:
    """Return the kernel's interpreter: the named one, else the notebook's where it is installed, else this one."""
    from buildr_jupyter.installed import Interpreter

    name = kernel or kernelspec
    if name is None:
        return Interpreter.current()
    try:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    except ImportError:
        if kernel:
            raise OptionError(
                f"--kernel {kernel}: jupyter_client is not installed here", hint="pip install jupyter_client"
            ) from None
        return Interpreter.current()
    try:
        executable = KernelSpecManager().get_kernel_spec(name).argv[0]
    except NoSuchKernel as error:
        if kernel:
            raise OptionError(
                f"--kernel {kernel}: no such kernel is installed", hint="jupyter kernelspec list shows them"
            ) from error
        return replace(Interpreter.current(), stand_in=True)
    if executable in ("python", "python3", sys.executable) or os.path.realpath(executable) == os.path.realpath(
        sys.executable
    ):
        return Interpreter.current()
    return Interpreter.ask([executable])


def _export(args: argparse.Namespace) -> int:
    from buildr_jupyter import context, pipeline
    from buildr_jupyter.display import clean_text, render_explanation

    jobs = _jobs(args)
    if len(jobs) > 1:
        raise NotebookError(
            f"{args.notebook}: {len(jobs)} cells begin with %%containerize", hint="choose one with --cell"
        )
    assembly = pipeline.prepare(jobs[0])
    folder = context.write_folder(assembly.plan, Path(args.out))
    if args.explain or jobs[0].options.dry_run:
        sys.stdout.write(render_explanation(assembly))
    if jobs[0].options.check:
        from buildr_jupyter.doors import check_program

        sys.stdout.write(check_program(assembly, jobs[0]))
    for warning in (*assembly.warnings, *pipeline.findings(jobs[0], assembly)):
        sys.stderr.write(f"warning: {clean_text(warning.text)}\n")
    sys.stderr.write(f"exported to {folder}\n")
    return 0


def _build(args: argparse.Namespace) -> int:
    from buildr_jupyter import display, pipeline
    from buildr_jupyter.doors import cell_of

    status = 0
    for job in _jobs(args):
        as_json = args.json or job.options.ui == "json"
        started = time.monotonic()
        try:
            if job.options.dry_run:
                sys.stdout.write(display.render_explanation(pipeline.prepare(job)))
                continue
            outcome: Any = pipeline.drive(job, _windows(job, as_json=as_json))
        except (BuildrError, KeyboardInterrupt) as error:
            outcome = error
        if as_json:
            sys.stdout.write(display.make_record(cell_of(job), outcome, duration_s=time.monotonic() - started) + "\n")
            sys.stdout.flush()
        elif not isinstance(outcome, BaseException):
            sys.stdout.write(display.render_result_text(outcome) + "\n")
        if isinstance(outcome, KeyboardInterrupt):
            raise outcome
        if isinstance(outcome, BuildrError):
            display.print_error(outcome, sys.stderr)
            status = max(status, outcome.exit_status)
    return status


def _windows(job: Any, *, as_json: bool) -> list[Any]:
    """Progress goes to standard error; with --json the container's output does, too."""
    from buildr_jupyter.display import QuietWindow, TextWindow, write_output

    output = (lambda event: sys.stderr.write(event.text)) if as_json else write_output
    return [QuietWindow(output) if job.options.quiet else TextWindow(sys.stderr.write, output=output)]


def _images(args: argparse.Namespace) -> int:
    from buildr_jupyter.inspection import list_images, render_listed

    for row in list_images():
        sys.stdout.write((json.dumps(row, ensure_ascii=False) if args.json else render_listed(row)) + "\n")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from buildr_jupyter.inspection import inspect, render

    for number, row in enumerate(inspect(args.image)):
        text = json.dumps(row, ensure_ascii=False) if args.json else ("\n" if number else "") + render(row)
        sys.stdout.write(text + "\n")
    return 0


def _rebase(args: argparse.Namespace) -> int:
    from buildr_jupyter.inspection import rebase

    result = rebase(
        args.image, args.base, tag=args.tag, output=args.output, load=args.load, publish=args.publish,
        say=sys.stderr.write,
    )  # fmt: skip
    sys.stdout.write(f"{result.image} {result.image_id or ''}".rstrip() + "\n")
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from buildr_jupyter.doctor import examine

    report = examine(dict(os.environ))
    sys.stdout.write((json.dumps(report.to_json(), ensure_ascii=False) if args.json else report.render()) + "\n")
    return 0 if report.can_build else 1


def _login(args: argparse.Namespace) -> int:
    from buildr_jupyter.doors import log_in

    password = sys.stdin.readline().rstrip("\r\n") if args.password_stdin else None
    if args.password_stdin and not (password and args.username):
        raise OptionError("login: --password-stdin wants --username and a password on standard input")
    sys.stderr.write(log_in(args.host, args.username, password) + "\n")
    return 0


def _logout(args: argparse.Namespace) -> int:
    from buildr_jupyter import credentials

    removed = credentials.logout(args.host)
    sys.stderr.write(f"logged out of {args.host}\n" if removed else f"there was no login for {args.host}\n")
    return 0


def _cache(args: argparse.Namespace) -> int:
    from buildr_jupyter import upkeep

    if args.action == "verify":
        return upkeep.verify(sys.stdout.write)
    if args.action == "prune":
        upkeep.prune(
            sys.stdout.write, older_than_s=args.older_than, images=args.images, dry_run=args.dry_run, yes=args.yes,
            ask=upkeep.terminal_question(),
        )  # fmt: skip
        return 0
    upkeep.look(sys.stdout.write)
    return 0


def _enable(args: argparse.Namespace) -> int:
    from buildr_jupyter import startup

    sys.stderr.write(f"%%containerize is in every notebook now: {startup.enable(user=args.user)}\n")
    return 0


def _disable(args: argparse.Namespace) -> int:
    from buildr_jupyter import startup

    path = startup.disable(user=args.user)
    sys.stderr.write(f"taken away: {path}\n" if path else "there was nothing of ours to take away\n")
    return 0


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "export": _export,
    "build": _build,
    "images": _images,
    "inspect": _inspect,
    "rebase": _rebase,
    "doctor": _doctor,
    "login": _login,
    "logout": _logout,
    "cache": _cache,
    "enable": _enable,
    "disable": _disable,
}
