"""``buildr runs --on kubernetes``: this user's runs in a cluster, found by their labels from any machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from buildr_jupyter.builder.buildkit.daemon import idle_daemons
from buildr_jupyter.builder.in_cluster.place import Place
from buildr_jupyter.builder.kaniko.pod import forgotten_builds
from buildr_jupyter.errors import OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import RunOutput
from buildr_jupyter.events.streams import drain
from buildr_jupyter.journal.journal import data_folder
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.process.locks import private_folder
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from buildr_jupyter.runner.sweep import KEY_LABEL
from buildr_jupyter.ui.sanitize import clean_text, show_count
from buildr_jupyter.ui.table import render_table, show_age

__all__ = ["cancel", "collect", "find", "prune", "render", "show_log", "to_json"]


def find(runner: KubernetesRunner, prefix: str) -> RunGroup:
    """Return the run whose Job, or whose key, begins with ``prefix``; raises OptionError for none or several."""
    found = [
        one
        for one in runner.list()
        if any(name.startswith(prefix) for name in (one.runs[0], one.runs[0].rpartition("/")[2], _key(one)) if name)
    ]
    if len(found) != 1:
        why = "several runs in the cluster begin" if found else "no run in the cluster begins"
        raise OptionError(f"buildr runs: {why} with {prefix!r}", hint="see them: buildr runs list --on kubernetes")
    return found[0]


def render(groups: list[RunGroup], now: float) -> str:
    """Return the runs as a table for a person; ``now`` is seconds since the epoch."""
    if not groups:
        return "no runs in this namespace\n"
    rows = [(one.runs[0], one.state, _age(one, now), one.image, _key(one)[:12]) for one in groups]
    return render_table(("RUN", "STATE", "STARTED", "IMAGE", "KEY"), rows)


def to_json(group: RunGroup) -> dict[str, Any]:
    """Return a run as the JSON that ``--json`` prints."""
    return {
        "schema": 1, "run": group.runs[0], "name": group.name, "state": group.state, "image": group.image,
        "started": group.started, "key": _key(group),
    }  # fmt: skip


def show_log(runner: KubernetesRunner, prefix: str, say: Callable[[str], object]) -> None:
    """Say what a run has written, and what it writes until it ends."""
    (job,) = find(runner, prefix).runs
    drain(
        runner.read_log(job, CancelToken()), lambda event: isinstance(event, RunOutput) and say(clean_text(event.text))
    )


def collect(runner: KubernetesRunner, prefix: str, say: Callable[[str], object]) -> tuple[Path, ...]:
    """Bring the output files of a run here and return their paths; one that still runs is waited for.

    Raises OptionError where the program failed: its files went with it.
    """
    group = find(runner, prefix)
    (job,) = group.runs
    if "/" in job:
        raise OptionError(f"buildr runs values: {job} is no single run and gives nothing back")
    (ended,) = drain(runner.follow(group, CancelToken()))
    if ended.exit_code:
        raise OptionError(
            f"buildr runs values: {job} ended with status {ended.exit_code} and gave nothing back",
            hint=f"read what it wrote: buildr runs logs {job} --on kubernetes",
        )
    place = private_folder(data_folder() / "cluster" / job)
    return drain(
        runner.collect(job, place, CancelToken()),
        lambda event: isinstance(event, BuildWarning) and say(f"warning: {clean_text(event.text)}\n"),
    )


def cancel(runner: KubernetesRunner, prefix: str, say: Callable[[str], object]) -> None:
    """Delete a run with its pod, and wait until both are gone."""
    group = find(runner, prefix)
    runner.stop(group)
    say(f"cancelled {group.runs[0]}\n")


def prune(runner: KubernetesRunner, say: Callable[[str], object], *, older_than_s: float = 0.0) -> None:
    """Delete the runs and builds that ended and were started so long ago, and each buildkitd not used since.

    A build whose process was killed before its pod began ends with that, too.
    """
    gone = [one for one in runner.list() if one.state != "running" and time.time() - _started(one) >= older_than_s]
    for group in gone:
        runner.remove(group)
    place = Place("kubernetes", client=runner.connected())
    forgotten = forgotten_builds(place, time.time(), older_than_s=older_than_s)
    idle = idle_daemons(place, time.time(), older_than_s=older_than_s)
    for job in (*forgotten, *idle):
        place.remove(job)
    daemons = f", and {len(idle)} buildkitd" if idle else ""
    say(f"removed {show_count(len(gone) + len(forgotten), 'run')} from the cluster{daemons}\n")


def _key(group: RunGroup) -> str:
    return group.labels.get(KEY_LABEL, "")


def _started(group: RunGroup) -> float:
    try:
        return datetime.fromisoformat(group.started).timestamp()
    except ValueError:
        return 0.0


def _age(group: RunGroup, now: float) -> str:
    return show_age(now - _started(group)) if group.started else ""
