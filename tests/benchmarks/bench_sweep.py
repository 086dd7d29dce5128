"""Sweeps against a shell loop, and what they cost in memory; returned values against ``docker cp``; what is known already.

Run: ``python -m tests.benchmarks.bench_sweep [ROW …]``. Each bound is of two figures of one run: a sweep of 200 runs
takes at most 1.2 times a shell loop of as many ``docker run`` of the same image with the same concurrency; 1,000 runs
take no more than 20 MB over 100 runs; a frame of 100 MB comes back in at most twice the time of ``docker cp`` and
reading it; a run that is in the journal already takes under 5 ms; 10,000 rows of the journal are listed in at most twice the time
that sqlite3 alone takes for them (100 ms were asked for; on an idle machine it is 28 ms).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from buildr_jupyter import image
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.in_image.returns import FOLDER, read_value
from buildr_jupyter.journal.journal import Journal
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.model.sweep import SweepResult
from buildr_jupyter.runner.protocol import Runner
from buildr_jupyter.runner.selection import select
from buildr_jupyter.runner.values import check_returned, read_returned
from tests.engines import Engines, base
from tests.faults.crash import write_notebook

FACTOR, BYTES_MORE, FRAME_FACTOR, KNOWN_S, LIST_FACTOR = 1.2, 20 << 20, 2.0, 0.005, 2.0
RUNS, JOBS, ROUNDS = 200, 2, 3
SMALL = "%%containerize small --param n --return out\nout = n * n"
FRAME = "%%containerize frame --return frame\nimport numpy as np\nimport pandas as pd\n"
FRAME += "frame = pd.DataFrame(np.arange(12_500_000.0).reshape(-1, 10), columns=list('abcdefghij'))"


def build(folder: Path, *cells: str) -> None:
    """Build what the last cell says, in a folder of its own."""
    folder.mkdir()
    notebook = write_notebook(folder, *cells)
    words = [sys.executable, "-m", "buildr_jupyter", "build", str(notebook), "--no-check"]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def swept(runs: int, first: int = 0) -> SweepResult:
    """Run the small image for so many inputs that it was not run for before."""
    found = image("small").map([{"n": n} for n in range(first, first + runs)], jobs=JOBS)
    assert found.values("out") == [n * n for n in range(first, first + runs)]
    return found


def seconds(work: Callable[[], object]) -> float:
    """Return how long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def row(title: str, figure: str, other: str, bound: str, *, over: bool) -> bool:
    """Print one line of the table; return whether its bound is broken."""
    print(f"{title:52} {figure:>10} {other:>10} {bound:>10}{'  over' if over else ''}", flush=True)
    return over


def most_held() -> int:
    """Return the most bytes that this process held; what ``getrusage`` says is at least what its parent held."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def loop(scratch: Path) -> bool:
    """A sweep against a shell loop, round for round."""
    build(scratch / "small", "n = 1", SMALL)
    shell = f"seq {RUNS // 2} | xargs -P {JOBS} -I{{}} docker run --rm -e BUILDR_PARAM_N={{}} small >/dev/null"
    ours, others = [], []
    for number in range(2):
        others.append(seconds(lambda: subprocess.run(shell, shell=True, check=True)))
        ours.append(seconds(lambda first=number * RUNS // 2: swept(RUNS // 2, first)))  # type: ignore[misc]
    taken, other = sum(ours), sum(others)
    return row(
        f"{RUNS} runs, {JOBS} at a time; a shell loop (s)", f"{taken:.1f}", f"{other:.1f}", f"{other * FACTOR:.1f}",
        over=taken > other * FACTOR,
    )  # fmt: skip


def memory(scratch: Path) -> bool:
    """The most that a process held that swept 1,000 inputs, against one that swept 100."""
    if not (scratch / "small").exists():
        build(scratch / "small", "n = 1", SMALL)
    held = []
    for runs, first in ((100, 10_000), (1000, 20_000)):
        words = [sys.executable, "-m", "tests.benchmarks.bench_sweep", "--peak", str(runs), str(first)]
        held.append(int(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout))
    less, more = held
    return row(
        "1,000 runs; 100 runs (the most held, MB)", f"{more / 1e6:.1f}", f"{less / 1e6:.1f}",
        f"{(less + BYTES_MORE) / 1e6:.1f}", over=more > less + BYTES_MORE,
    )  # fmt: skip


def frame(scratch: Path) -> bool:
    """A frame of 100 MB out of a container that has ended, as a run brings it back and as a person would."""
    build(scratch / "frame", FRAME)
    runner, cancel = select("docker"), CancelToken()
    group = drain(runner.start(RunSpec("frame", "bare"), cancel))
    (ended,) = drain(runner.follow(group, cancel))
    assert ended.exit_code == 0
    bare, ours = [], []
    try:
        for number in range(ROUNDS + 1):  # the first one imports pandas
            bare.append(seconds(partial(copied, scratch / f"bare-{number}")))
            ours.append(seconds(partial(brought, runner, group.runs[0], scratch / f"ours-{number}")))
    finally:
        runner.remove(group)
    taken, copy = statistics.median(ours[1:]), statistics.median(bare[1:])
    return row(
        "a frame of 100 MB; docker cp and reading it (s)", f"{taken:.2f}", f"{copy:.2f}", f"{copy * FRAME_FACTOR:.2f}",
        over=taken > copy * FRAME_FACTOR,
    )  # fmt: skip


def brought(runner: Runner, container: str, place: Path) -> None:
    """Collect the files of a container that ended, check the values among them, and read these."""
    place.mkdir()
    written = drain(runner.collect(container, place, CancelToken()))
    values, kept = read_returned(check_returned(place, ["frame"], written), trusted=True)
    assert (values["frame"].shape, kept) == ((1_250_000, 10), ())  # type: ignore[attr-defined]


def copied(place: Path) -> None:
    """Copy the frame out of the container as a person would, and read it."""
    place.mkdir()
    file = f"/app/output/{FOLDER}/frame.pickle"
    subprocess.run(["docker", "cp", "--quiet", f"bare:{file}", str(place)], check=True)
    assert read_value(str(place / "frame.pickle"), "pickle").shape == (1_250_000, 10)


def known(scratch: Path) -> bool:
    """What each run of a sweep takes that was all done before, less what a sweep of one run takes."""
    if not (scratch / "small").exists():
        build(scratch / "small", "n = 1", SMALL)
    swept(101, 30_000)
    many = min(seconds(lambda: swept(101, 30_000)) for _ in range(ROUNDS))
    one = min(seconds(lambda: swept(1, 30_000)) for _ in range(ROUNDS))
    each = (many - one) / 100
    return row(
        "a run that is in the journal (ms)", f"{each * 1e3:.2f}", "", f"{KNOWN_S * 1e3:.2f}", over=each > KNOWN_S
    )


def listed(scratch: Path) -> bool:
    """The last 10,000 rows of a journal."""
    journal = Journal(scratch / "journal")
    rows = ((f"{n:064x}", f'{{"n": {n}}}', '["a", "b"]', str(scratch)) for n in range(10_000))
    with (
        contextlib.closing(sqlite3.connect(journal.path)) as connection,
        connection,
    ):  # two transactions a row take long
        connection.executemany(
            "INSERT INTO runs (key, image, image_id, inputs, state, attempt, log_tail, duration_s, started, ended, folder)"
            " VALUES (?, 'i:1', 'sha256:1', ?, 'done', 1, ?, 1.0, 1.0, 2.0, ?)",
            rows,
        )
    assert len(journal.rows(10_000)) == 10_000
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: journal.rows(10_000)))
        bare.append(seconds(partial(selected, journal.path)))
    taken, other = min(ours), min(bare)
    return row(
        "10,000 rows of the journal; sqlite3 alone (ms)", f"{taken * 1e3:.1f}", f"{other * 1e3:.1f}",
        f"{other * LIST_FACTOR * 1e3:.1f}", over=taken > other * LIST_FACTOR,
    )  # fmt: skip


def selected(path: Path) -> list[object]:
    """Read the same rows with sqlite3 and nothing else."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM runs ORDER BY id DESC LIMIT 10000").fetchall()


ROWS: dict[str, Callable[[Path], bool]] = {
    "loop": loop, "known": known, "frame": frame, "listed": listed, "memory": memory,
}  # fmt: skip
"""Name to what prints a line and tells whether its bound is broken."""


def main(words: list[str]) -> int:
    """Print the table; return 1 where a bound is broken."""
    if words[:1] == ["--peak"]:
        swept(int(words[1]), int(words[2]))
        print(most_held())
        return 0
    with Engines() as engines, tempfile.TemporaryDirectory(prefix="bench-sweep-") as name:
        os.environ.update(
            DOCKER_HOST=engines.docker().host, BUILDR_DATA=f"{name}/data", XDG_CACHE_HOME=f"{name}/cache",
            BUILDR_BASE=base.NAME,
        )  # fmt: skip
        os.chdir(name)  # what the runs write comes back into the folder that they are started in
        print(f"{'':52} {'ours':>10} {'other':>10} {'bound':>10}")
        broken = [one for one in words or list(ROWS) if ROWS[one](Path(name))]
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
