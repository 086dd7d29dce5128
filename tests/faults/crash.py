"""``make crash``: one sweep whose process is killed and started again at random moments; each input is done once.

A sweep is killed with all that it started in its own session, at a moment that is drawn anew for each round: once so many
runs more were done, and a while later. The judge is outside of it: the journal's rows, the files of the values, and what
the engine itself tells of the containers that ended.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from docker import APIClient

from buildr_jupyter.engine.connection import connect
from buildr_jupyter.journal.journal import Journal
from buildr_jupyter.runner.sweep import KEY_LABEL
from tests.engines import Engines, base

CELL = "%%containerize crash --return out\nimport time\ntime.sleep(0.2)\nout = n * n"
_LOOK_S, _LATER_S, _WAIT_S = 0.05, 1.5, 300.0


@dataclass
class Ended:
    """Programs that ended with status 0, by key, as the engine tells it while it happens."""

    counts: Counter[str] = field(default_factory=Counter)

    def listen(self, events: Iterator[dict[str, object]]) -> None:
        for event in events:
            about = event.get("Actor")
            told = about.get("Attributes") if isinstance(about, dict) else None
            if told and KEY_LABEL in told and str(told.get("exitCode", told.get("containerExitCode"))) == "0":
                self.counts[told[KEY_LABEL]] += 1


@contextlib.contextmanager
def listening(client: APIClient) -> Iterator[Ended]:
    """Count what ends while the body runs."""
    ended = Ended()
    stream = client.events(decode=True, filters={"type": "container", "event": "die"})
    thread = threading.Thread(target=ended.listen, args=(stream,), daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        stream.close()
        thread.join(60)


def write_notebook(folder: Path, *sources: str) -> Path:
    """Write a notebook with these cells."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    nbformat.write(made, folder / "swept.ipynb")
    return folder / "swept.ipynb"


def command(notebook: Path, runs: int, *options: str) -> list[str]:
    """Return the command of the sweep over 1 to ``runs``."""
    build = [sys.executable, "-m", "buildr_jupyter", "build", str(notebook), "--map", f"n=1..{runs}"]
    return [*build, "--jobs", "2", "--json", *options]


def done_of(folder: Path) -> int:
    return sum(row.state == "done" for row in Journal(folder).rows(10_000))


def strike(words: list[str], data: Path, chance: random.Random, more: int) -> bool:
    """Start the sweep and kill it once up to ``more`` runs more are done, and a while later; tell whether it still ran."""
    before, wanted = done_of(data), chance.randint(0, more)
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + _WAIT_S
    while child.poll() is None and done_of(data) < before + wanted and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(chance.uniform(0, _LATER_S))
    running = child.poll() is None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    return running


def wrongs(data: Path, runs: int, ended: Ended | None) -> list[str]:
    """Return what is not as it should be at the end: each input done once, its value there, and run once."""
    rows = [row for row in Journal(data).rows(100_000) if row.state == "done"]
    counts = Counter(row.inputs["n"] for row in rows)
    found = [f"n={n} has {counts[n]} finished runs" for n in range(1, runs + 1) if counts[n] != 1]
    for row in rows:
        path = row.folder / ".buildr" / "returns" / "out.json" if row.folder else None
        if path is None or not path.exists() or json.loads(path.read_text()) != int(str(row.inputs["n"])) ** 2:
            found.append(f"n={row.inputs['n']}: its value is not there")
        if ended is not None and ended.counts[row.key] != 1:
            found.append(f"n={row.inputs['n']}: its program ended {ended.counts[row.key]} times")
    return found


def crash(folder: Path, *, runs: int, kills: int, seed: int, options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Kill a sweep so often and let it end; return how many kills met a sweep at work, and what is wrong.

    The environment names the data folder, ``BUILDR_DATA``, and the engine.
    """
    data, chance = Path(os.environ["BUILDR_DATA"]), random.Random(seed)
    words = command(write_notebook(folder, "n = 1", CELL), runs, *options)
    struck = 0
    for number in range(kills):
        more = 2 * (runs - done_of(data)) // (kills - number + 1)
        struck += strike(words, data, chance, more)
    last = subprocess.run(words, capture_output=True, text=True, check=False)
    if last.returncode:
        return struck, [f"the last one ended with status {last.returncode}: {last.stderr[-2000:]}"]
    told = json.loads(last.stdout.splitlines()[-1])["sweep"]
    wrong = [] if (told["runs"], told["done"]) == (runs, runs) else [f"the last one told {told}"]
    return struck, wrong + wrongs(data, runs, None)


def main() -> int:
    """Kill it and print what came of it; return 1 where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="buildr-crash-") as name, Engines() as engines:
        os.environ.update(
            DOCKER_HOST=engines.docker().host, BUILDR_DATA=f"{name}/data", XDG_CACHE_HOME=f"{name}/cache",
            BUILDR_BASE=base.NAME,
        )  # fmt: skip
        began = time.monotonic()
        with contextlib.closing(connect()) as client, listening(client) as ended:
            struck, wrong = crash(Path(name), runs=args.runs, kills=args.kills, seed=args.seed)
            wrong += wrongs(Path(name) / "data", args.runs, ended)
            wrong += [f"a container is left: {one['Names']} {one['Status']}" for one in client.containers(all=True)]
        states = Counter(row.state for row in Journal(Path(name) / "data").rows(100_000))
        print(f"{args.runs} runs, killed {args.kills} times, {struck} of them at work, seed {args.seed}:", end=" ")
        print(f"{len(wrong)} wrong, {time.monotonic() - began:.0f} s; rows: {dict(states)}")
        print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
