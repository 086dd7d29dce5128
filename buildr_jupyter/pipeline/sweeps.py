"""Sweeps in the pipeline: rows of the kernel or a file, the grid before the build, its runs after it."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.config.options import Options
from buildr_jupyter.errors import JournalError, OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.export.inputs import plain_value
from buildr_jupyter.in_image import parameters as reader
from buildr_jupyter.journal.journal import Journal, data_folder
from buildr_jupyter.journal.limits import keep_within_daily, limits_of
from buildr_jupyter.model.interface import Interface, Said
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Mount, RunSpec
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.model.sweep import SweepResult
from buildr_jupyter.pipeline.job import BuildOrder
from buildr_jupyter.pipeline.placement import spec_of
from buildr_jupyter.pipeline.values import LazyValues, is_trusted
from buildr_jupyter.process.locks import private_folder, write_private
from buildr_jupyter.process.tempfiles import Scratch
from buildr_jupyter.runner.grid import Point, content_digest, make_grid, read_rows, run_key
from buildr_jupyter.runner.protocol import Runner
from buildr_jupyter.runner.selection import select_grid
from buildr_jupyter.runner.sweep import KEY_LABEL, Sweep, Task

__all__ = ["check_grid", "said_rows", "stream_sweep", "with_rows"]

_SECRET = re.compile(r"(?i)passw|passphrase|secret|token|api_?key|access_?key|private_?key|credential")
_TITLE = 100


def with_rows(options: Options, namespace: Mapping[str, object] | None) -> Options:
    """Return the options with the rows of ``--map-file`` and ``--map-from`` in them; their names are inputs.

    The expression is evaluated in ``namespace``, the kernel's. Raises OptionError.
    """
    rows: list[Mapping[str, Said]] = list(read_rows(options.map_file)) if options.map_file else []
    if options.map_from is not None:
        rows += _rows_of(options.map_from, namespace)
    if not rows and (options.map_file or options.map_from):
        raise OptionError("the grid has no runs: there are no rows", hint="name values on the line: --map NAME=1,2,3")
    known = {name for name, _ in options.params}
    names = dict.fromkeys(name for row in rows for name in row)
    if wrong := [name for name in names if not str(name).isidentifier()]:
        raise OptionError(f"a row names {str(wrong[0])[:60]!r}, and that is no name of a variable")
    params = (*options.params, *((name, None) for name in names if name not in known))
    return replace(options, rows=tuple(rows), params=params)


def _rows_of(expression: str, namespace: Mapping[str, object] | None) -> list[Mapping[str, Said]]:
    if namespace is None:
        raise OptionError(
            "--map-from: there is no kernel that could evaluate it", hint="read rows from a file: --map-file FILE.csv"
        )
    try:
        found = eval(expression, dict(namespace))  # noqa: S307 - the user's own line, in the user's own kernel
    except Exception as error:
        raise OptionError(f"--map-from {expression}: {type(error).__name__}: {error}") from error
    return said_rows(found, f"--map-from {expression}: ")


def said_rows(found: object, origin: str) -> list[Mapping[str, Said]]:
    """Return the rows of a list of dicts or of a DataFrame; raises OptionError, which begins with ``origin``."""
    records = found.to_dict("records") if hasattr(found, "to_dict") and hasattr(found, "columns") else found
    if not isinstance(records, Sequence) or not all(isinstance(row, Mapping) for row in records):
        raise OptionError(f"{origin}it is a {type(found).__name__}", hint="give a list of dicts, or a DataFrame")
    return [{str(name): Said(value=_plain(str(name), value)) for name, value in row.items()} for row in records]


def _plain(name: str, value: object) -> object:
    """Return the plain value of one from a kernel, numpy's scalars included."""
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not getattr(value, "shape", ()):
        value = value.item()
    return plain_value(name, value)[0]


def check_grid(options: Options, interface: Interface, folder: Path, origin: str | None = None) -> list[Point]:
    """Return the points of the grid, in order; raises OptionError for any value that is none, before a build begins.

    Files that it names are taken from ``folder``; an error about an input says ``origin`` before its name, the option
    that gives it where that is None.
    """
    fixed = {name: Said(text) for name, text in options.sets}
    rows = [{**fixed, **row} for row in options.rows] or ([fixed] if fixed or options.iterations else [])
    points = make_grid(
        interface,
        rows,
        options.maps,
        zipped=options.map_zip,
        limit=options.map_limit,
        folder=folder,
        volumes=[one.target for one in options.claims],
        origin=origin or ("--map " if options.sweeps else "--set "),
    )
    if len(points) * options.iterations > options.map_limit:
        raise OptionError(
            f"--iterations {options.iterations}: that is {len(points) * options.iterations:,} runs, "
            f"more than {options.map_limit:,}",
            hint="raise the limit with --map-limit N, if you mean it",
        )
    return [point for point in points for _ in range(options.iterations or 1)]


def with_inputs(spec: RunSpec, point: Point) -> RunSpec:
    """Return how a container is run that is given these inputs."""
    given = (reader.ALL, json.dumps(dict(point.given)))
    return replace(spec, environment=(*spec.environment, given), mounts=(*spec.mounts, *point.mounts))


def stream_sweep(
    job: BuildOrder,
    result: BuildResult,
    make_runner: Callable[[], Runner],
    cancel: CancelToken,
) -> Generator[Event, None, BuildResult]:
    """Run the image once for each point of the grid and return the result with its ``sweep``.

    Runs that were done before are not done again, unless ``--again``. A run that fails is one of the results. Raises
    Cancelled, EngineError.
    """
    interface = Interface.from_label(result.interface) if result.interface else Interface()
    points = check_grid(job.options, interface, job.folder, job.origin)
    folder, journal = yield from _stream_data()
    image_id = result.image_id or result.content_digest or ""
    tasks: dict[str, Task] = {}
    keys = []
    more = _more(job, folder)
    shared = spec_of(job, result, "sweep", lasting=True)
    for number, point in enumerate(points):
        found = run_key(image_id, point, more) if more is not None else None
        key = found or secrets.token_hex(32)
        keys.append(key)
        if key not in tasks:
            spec = replace(shared, name=f"buildr-{key[:24]}")
            tasks[key] = _task(spec, number, point, key, folder, reusable=found is not None)
    sweep = Sweep(
        make_runner,
        folder,
        journal,
        result.image,
        image_id,
        tuple(one.name for one in interface.returns),
        jobs=job.options.jobs,
        retries=job.options.retries,
        fail_fast=job.options.fail_fast,
        again=job.options.again,
    )
    wanted = list(tasks.values())
    grid = select_grid(job.runs_on) if wanted and all(task.spec.program for task in wanted) else None
    if grid is None:
        ended = yield from sweep.stream(wanted, len(points), cancel)
    else:
        ended = yield from sweep.stream_grid(grid, wanted, len(points), cancel)
    trusted = is_trusted(job, result.image_id)
    known = {run.key: _with_values(run, trusted, job.namespace) for run in ended}
    return replace(result, sweep=SweepResult(tuple(known[key] for key in keys), result.image))


def _with_values(run: RunResult, trusted: bool, namespace: Mapping[str, object] | None) -> RunResult:
    return replace(run, values=LazyValues(run.returned, trusted=trusted, namespace=namespace))


def _stream_data() -> Generator[Event, None, tuple[Path, Journal | None]]:
    """Return the user's data folder and journal; where there is none, a folder of this process, and that is said."""
    folder = data_folder()
    try:
        journal = Journal(folder)
        keep_within_daily(journal, limits_of(os.environ), now=time.time())
        return folder, journal
    except JournalError as error:
        yield BuildWarning(f"{error}: this sweep runs, and a later one does not know of it", error.hint)
    scratch = Scratch(large=True)
    atexit.register(scratch.close)  # the values are read from it as long as this process is there
    return scratch.path, None


def _task(
    spec: RunSpec,
    number: int,
    point: Point,
    key: str,
    folder: Path,
    *,
    reusable: bool,
) -> Task:
    spec = with_inputs(spec, point)
    spec = replace(spec, labels=(*spec.labels, (KEY_LABEL, key)))
    stored = {
        name: {"hmac": _hashed(folder, json.dumps(value))} if _SECRET.search(name) else value
        for name, value in point.inputs.items()
    }
    shown = " ".join(
        f"{name}={'****' if _SECRET.search(name) else reader.shown(point.inputs[name])}" for name in point.given
    )
    return Task(number, point, key, reusable, shown[:_TITLE], stored, spec)


def _more(job: BuildOrder, folder: Path) -> list[str] | None:
    """Return what else makes a run what it is; None where some of it cannot be hashed."""
    options = job.options
    if options.ports or options.gpus or options.claims or options.iterations:
        return None
    found = [f"env {name} {_hashed(folder, text)}" for name, text in job.run_environment]
    for mount in options.mounts:
        digest = _of_mount(mount)
        if digest is None:
            return None
        found.append(f"mount {mount.target} {digest}")
    return found


def _of_mount(mount: Mount) -> str | None:
    return content_digest(mount.source) if mount.read_only else None  # what may be written to is another each time


def _hashed(folder: Path, text: str) -> str:
    """Return the HMAC of a text with this user's key, so that nobody else can try out what it was."""
    path = folder / "key"
    with contextlib.suppress(OSError):
        if not path.exists():
            private_folder(folder)
            half = path.with_name(f"key.{secrets.token_hex(4)}")
            write_private(half, secrets.token_bytes(32))
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(half)  # the first of two processes makes it
            half.unlink()
        return hmac.new(path.read_bytes(), text.encode(), hashlib.sha256).hexdigest()
    return secrets.token_hex(32)
