"""``buildr runs`` and ``%containerize --runs``: what the journal knows of this user's runs."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from buildr_jupyter.builder.podman_builder import PodmanBuilder
from buildr_jupyter.errors import BuildrError, EngineError, OptionError
from buildr_jupyter.journal.journal import Journal, Row, data_folder
from buildr_jupyter.journal.limits import keep_within, limits_of
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.runner.protocol import Runner
from buildr_jupyter.runner.selection import select
from buildr_jupyter.runner.sweep import KEY_LABEL
from buildr_jupyter.ui.table import render_table, show_age

__all__ = ["cancel", "find", "list_runs", "prune", "render_rows", "to_json"]

_shown = json.JSONEncoder(ensure_ascii=False).encode
_SHOWN = (
    "id", "key", "image", "image_id", "inputs", "state", "attempt", "exit_code", "reason", "log_tail", "duration_s",
    "started", "ended",
)  # fmt: skip


def list_runs(limit: int = 1000) -> list[Row]:
    """Return the last runs, the newest first; raises JournalError."""
    return Journal(data_folder()).rows(limit)


def find(prefix: str) -> Row:
    """Return the last run whose key begins with ``prefix``; raises OptionError where none or several keys do."""
    rows = Journal(data_folder()).rows(prefix=prefix)
    keys = {row.key for row in rows}
    if len(keys) != 1:
        found = "several runs begin" if keys else "no run begins"
        raise OptionError(f"buildr runs: {found} with {prefix!r}", hint="look up their keys: buildr runs list")
    return rows[0]


def to_json(row: Row) -> dict[str, Any]:
    """Return a row as the JSON that ``--json`` prints."""
    return {"schema": 1, **{name: getattr(row, name) for name in _SHOWN}, "folder": row.folder_name}


def render_rows(rows: Sequence[Row], now: float) -> str:
    """Return runs as a table for a person; ``now`` is seconds since the epoch."""
    if not rows:
        return "no runs yet: --map NAME=VALUES runs an image once for each\n"
    return render_table(
        ("RUN", "STATE", "TOOK", "STARTED", "IMAGE", "INPUTS"),
        [
            (
                row.key[:12],
                row.state,
                "" if row.duration_s is None else f"{row.duration_s:.1f} s",
                show_age(now - row.started),
                row.image,
                " ".join(f"{name}={_shown(value)}" for name, value in row.inputs.items())[:100],
            )
            for row in rows
        ],
    )


def cancel(prefix: str, say: Callable[[str], object]) -> None:
    """Stop and remove what an engine runs under a key; raises OptionError where none does, EngineError."""
    found = (
        (runner, [one for one in held if one.labels.get(KEY_LABEL, "").startswith(prefix)]) for runner, held in _held()
    )
    runner, groups = next(((runner, groups) for runner, groups in found if groups), (None, []))
    if runner is None:
        raise OptionError(f"buildr runs: nothing runs under {prefix!r}", hint="see what there is: buildr runs list")
    journal = Journal(data_folder())
    for group in groups:
        runner.stop(group)
        runner.remove(group)
        key = group.labels[KEY_LABEL]
        for row in journal.unfinished(key):
            journal.end(row.id, "cancelled", now=time.time(), reason="it was cancelled")
        say(f"cancelled {key[:12]}\n")


def _held() -> Iterator[tuple[Runner, list[RunGroup]]]:
    """Give what each engine holds that answers here, Docker's before podman's; raises EngineError where none does."""
    refused: list[EngineError] = []
    for make in (_on_docker, _on_podman):
        try:
            runner = make()
            groups = runner.list()
        except EngineError as error:
            refused.append(error)
            continue
        yield runner, groups
    if len(refused) > 1:
        raise refused[0]


def _on_docker() -> Runner:
    return select("docker")


def _on_podman() -> Runner:
    return select("docker", engine=PodmanBuilder().capabilities().engine)


def prune(say: Callable[[str], object], *, older_than_s: float | None = None) -> None:
    """Forget runs until the limits hold, with their files, and remove what no process looks after in the engine.

    ``older_than_s`` (seconds) stands for the limit of the settings. Raises OptionError, JournalError.
    """
    journal = Journal(data_folder())
    limits = limits_of(os.environ)
    gone = keep_within(
        journal, limits if older_than_s is None else replace(limits, age_s=older_than_s), now=time.time()
    )
    removed = 0
    with contextlib.suppress(BuildrError):  # no engine: it holds no run
        for runner, groups in _held():
            for group in groups:
                if group.labels.get(KEY_LABEL) in gone:
                    runner.remove(group)
                    removed += 1
    containers = f", removed {removed} container{'' if removed == 1 else 's'}" if removed else ""
    say(f"forgot {len(gone)} run{'' if len(gone) == 1 else 's'}{containers}\n")
