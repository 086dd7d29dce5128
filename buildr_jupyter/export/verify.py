"""Proof of a program: run it behind a barrier and compare what it prints with what the cell printed.

The program runs in a copy of its folder, with the environment that the image has. It can read the copy, the
interpreter, and the files of the planned distributions, so that one that the plan lacks is missing here as it would be
in the image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.dependencies.planned_site import PlannedSite, interpreter_paths, site_folder, write_environment
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.process.barrier import Confinement, Ended, NoBarrier, run_confined
from buildr_jupyter.process.system_files import devices, system_paths
from buildr_jupyter.process.tempfiles import Scratch

__all__ = ["Subject", "Trial", "judge", "run_trial", "same_text"]

BARRIER = "Landlock with seccomp"
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
_SHOWN = 80
_KINDS = ("missing", "outside", "network", "command", "module")


@dataclass(frozen=True, slots=True)
class Subject:
    """A program that is to be tried, and what it runs with."""

    folder: Path
    """Its ``app`` folder, which is copied."""
    site: PlannedSite
    interpreter: Interpreter
    environment: tuple[tuple[str, str], ...] = ()
    """Of the plan."""
    system_packages: tuple[str, ...] = ()
    output: str = "output"
    """The folder for its outputs, relative to ``app``."""
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a program."""

    exit_code: int
    stdout: str
    stderr: str
    stopped: str = ""
    """Which limit it went over: time, memory, output; asked where the work was cancelled."""
    missing: tuple[str, ...] = ()
    """Files and folders that it asked for and that are not there, relative to ``app``, in order."""
    outside: tuple[str, ...] = ()
    """Absolute paths elsewhere that it asked for."""
    network: tuple[str, ...] = ()
    """Where it wanted to connect to."""
    command: tuple[str, ...] = ()
    """Other programs that it wanted to run."""
    module: tuple[str, ...] = ()
    """Modules that it, or what it imports, looked for and that are not there."""
    took_s: float = 0.0

    @property
    def last_words(self) -> str:
        """The last line of standard error."""
        lines = self.stderr.strip().splitlines()
        return lines[-1][:300] if lines else ""


def run_trial(subject: Subject, cancel: CancelToken | None = None) -> Trial | NoBarrier:
    """Run ``main.py`` of a copy of the subject's folder behind a barrier. Raises OSError where it cannot be copied."""
    executable = Path(os.path.realpath(subject.interpreter.executable or ""))
    with Scratch(large=True) as scratch:
        place = Path(os.path.realpath(scratch))
        app, home, temporary, trace = (place / name for name in ("app", "home", "tmp", "trace"))
        shutil.copytree(subject.folder, app)
        for folder in (home, temporary, trace, app / subject.output):
            folder.mkdir(parents=True, exist_ok=True)
        python = write_environment(subject.site, place / "venv", subject.interpreter, executable)
        own = interpreter_paths(subject.interpreter, executable)
        _write_trace(site_folder(place / "venv", subject.interpreter), place, own)
        linked = [Path(os.path.realpath(source)) for _, source in subject.site.links]
        ended = run_confined(
            [python, "main.py"],
            environment=_environment(subject, place, python),
            cwd=app,
            confinement=Confinement(
                (place / "venv", *own, *linked, *system_paths(subject.system_packages)),
                (app, home, temporary, trace, *devices()),
                listable=tuple(Path(os.path.realpath(folder)) for folder in subject.interpreter.stdlib),
                timeout_s=subject.timeout_s,
                memory_bytes=_memory_bytes(),
            ),
            cancel=cancel,
        )
        if isinstance(ended, NoBarrier):
            return ended
        return _trial(ended, _read_trace(trace / "log"))


def _environment(subject: Subject, place: Path, python: Path) -> dict[str, str]:
    """Return what the image sets, with the folders of this run in place of the image's."""
    return {
        "PATH": f"{python.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BUILDR_IN_CONTAINER": "1",
        **dict(subject.environment),
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "BUILDR_OUTPUT_DIR": str(place / "app" / subject.output),
    }


def _memory_bytes() -> int:
    """Return half of this machine's memory, at least 2 GiB."""
    return max(2 << 30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


def _write_trace(packages: Path, place: Path, own: tuple[Path, ...]) -> None:
    source = Path(__file__).parents[1] / "process" / "audit_trace.py"
    shutil.copyfile(source, packages / "buildr_trace.py")
    inside = [str(path) for path in (place, *own, *system_paths(), *devices())]
    config = {"log": str(place / "trace" / "log"), "app": str(place / "app"), "inside": [*inside, "/proc/self"]}
    (packages / "buildr_trace.json").write_text(json.dumps(config))
    (packages / "buildr_trace.pth").write_text("import buildr_trace\n")


def _read_trace(log: Path) -> Mapping[str, list[str]]:
    """Return what the trace says, by kind. The program could write it, so that it explains and decides nothing."""
    found: dict[str, list[str]] = {}
    try:
        lines = log.read_bytes()[: 1 << 20].splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            kind, what = json.loads(line)
            found.setdefault(str(kind), []).append(str(what)[:1000])
        except (ValueError, TypeError):
            continue
    return found


def _trial(ended: Ended, trace: Mapping[str, list[str]]) -> Trial:
    return Trial(
        ended.status,
        ended.stdout.decode("utf-8", "replace"),
        ended.stderr.decode("utf-8", "replace"),
        ended.stopped,
        took_s=ended.took_s,
        **{kind: tuple(trace.get(kind, ())) for kind in _KINDS},
    )


# -- what it comes to


def same_text(got: str, wanted: str) -> bool:
    """Tell whether two outputs are the same; line ends at the end and the addresses of objects do not count."""
    return _plain(got) == _plain(wanted)


def _plain(text: str) -> str:
    return _ADDRESS.sub("at 0x", text).rstrip("\n")


def judge(trial: Trial, expected: str | None, timeout_s: float) -> Proof:
    """Return what one run shows; ``expected`` is what the cell's last run printed, None where there is none."""
    if trial.stopped == "time":
        why = f"it took longer than {timeout_s:g} s (--check-time)"
        return Proof("not proven", why, (), BARRIER, trial.took_s)
    if trial.stopped:
        limits = {"memory": "it used more memory than it may", "output": "it printed more than 16 MiB"}
        return Proof("not proven", limits.get(trial.stopped, "it was cancelled"), (), BARRIER, trial.took_s)
    if expected is not None and not trial.exit_code and same_text(trial.stdout, expected):
        return Proof("proven", "", (), BARRIER, trial.took_s)
    if expected is None and not trial.exit_code:
        return Proof("ran, not compared", "no run of this cell is known", (), BARRIER, trial.took_s)
    if reached := _reached(trial):
        return Proof("not proven", f"it reached outside: {reached}", (), BARRIER, trial.took_s)
    if trial.exit_code:
        failed = f"it ended with status {trial.exit_code}" + (f": {trial.last_words}" if trial.last_words else "")
        return Proof("not proven" if expected is None else "differs", failed, (), BARRIER, trial.took_s)
    return Proof("differs", first_difference(trial.stdout, expected or ""), (), BARRIER, trial.took_s)


def _reached(trial: Trial) -> str:
    """Return what it wanted of the world outside of the barrier, where that explains how it ended."""
    if trial.network:
        said = [what for what in trial.network if what != "a socket"] or list(trial.network)
        return f"the network ({said[0]})"
    refused = re.findall(r"(?:PermissionError|Permission denied)[^\n]*'([^'\n]+)'", trial.stderr[-4000:])
    if outside := next((path for path in trial.outside if trial.exit_code and path in refused), None):
        return outside
    if trial.command and "Permission denied" in trial.stderr:
        return f"the command {trial.command[-1][:_SHOWN]}"
    return ""


def first_difference(got: str, wanted: str) -> str:
    """Return in words where two outputs part."""
    there, before = _plain(got).splitlines(), _plain(wanted).splitlines()
    for number, (now, then) in enumerate(zip(there, before, strict=False), 1):
        if now != then:
            return f"line {number} is {now[:_SHOWN]!r} and was {then[:_SHOWN]!r}"
    return f"it printed {len(there)} lines, and the cell printed {len(before)}"
