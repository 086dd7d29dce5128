"""Our build of a context by the classic builder against docker-py's bare ``build`` of the same folder.

Run: ``python tests/benchmarks/bench_build.py``. The bound: at most 1.05 times docker-py's time plus 30 ms, medians of
interleaved rounds of one run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.engine import connection as engine
from tests.engines import Engines, EngineStartError, base

ROUNDS = 9
FACTOR, PLUS_S = 1.05, 0.030


def make_context(folder: Path, *, files: int, file_bytes: int, step: str = "") -> Path:
    """Write a context of that many files into ``folder``."""
    (folder / "app" / "sub").mkdir(parents=True)
    for number in range(files):
        (folder / "app" / "sub" / f"file-{number}.bin").write_bytes(secrets.token_bytes(file_bytes))
    (folder / "Dockerfile").write_text(f"FROM {base.NAME}\nCOPY app /app\n{step}\n")
    (folder / ".dockerignore").write_text("**/__pycache__\n**/*.pyc\n.git\n")
    return folder


def touch(folder: Path) -> None:
    """Make the next build do its COPY again."""
    (folder / "app" / "changed.txt").write_text(secrets.token_hex())


def measure(bare: Callable[[], object], ours: Callable[[], object], folder: Path) -> tuple[float, float]:
    """Return the medians of both, the rounds of one in turn with those of the other."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for call, kept in zip((bare, ours), times, strict=True):
            touch(folder)
            started = time.perf_counter()
            call()
            kept.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> int:
    """Print the table; return 1 where the bound is broken, 0 without an engine (and say so)."""
    for name in [name for name in os.environ if name.startswith("DOCKER_")]:
        del os.environ[name]
    with Engines() as engines, tempfile.TemporaryDirectory() as scratch:
        try:
            os.environ["DOCKER_HOST"] = engines.docker().host
        except EngineStartError as error:
            print(f"no engine, nothing measured: {error}")
            return 0
        builder = DockerBuilder("classic")
        builder.docker_client = engine.connect()
        broken = 0
        print(f"{'build after an edit (median s)':40} {'docker-py':>10} {'ours':>8} {'bound':>8}")
        printing = "RUN python -c \"for n in range(20000): print('a log line', n)\""
        cases = {
            "3 files of 1 kB": {"files": 3, "file_bytes": 1000},
            "1,000 files of 4 kB": {"files": 1000, "file_bytes": 4000},
            "1 file of 64 MB": {"files": 1, "file_bytes": 64_000_000},
            "3 files, 20,000 log lines": {
                "files": 3, "file_bytes": 1000, "step": printing,
            },
        }  # fmt: skip
        for number, (title, options) in enumerate(cases.items()):
            folder = make_context(Path(scratch) / str(number), **options)  # type: ignore[arg-type]
            client = engine.connect()
            with contextlib.closing(client):

                def bare(client: object = client, folder: Path = folder) -> None:
                    for _ in client.build(path=str(folder), tag="bench-bare", rm=True):  # type: ignore[attr-defined]
                        pass

                def ours(folder: Path = folder) -> None:
                    builder.build("bench-ours", str(folder))

                bare()
                ours()
                theirs_s, ours_s = measure(bare, ours, folder)
            bound = theirs_s * FACTOR + PLUS_S
            broken += ours_s > bound
            print(
                f"{title:40} {theirs_s:10.3f} {ours_s:8.3f} {bound:8.3f}{'  over' if ours_s > bound else ''}",
                flush=True,
            )
        builder.docker_client.close()
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
