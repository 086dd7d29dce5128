"""Reading a long stream: lines to documents to events to state, against ``json.loads`` of the same lines.

Run: ``python tests/benchmarks/bench_stream.py``. The bound is a ratio of two times of one run, the best of five each.
"""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from buildr_jupyter.builder.docker.classic_stream import DockerStream
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.engine.json_stream import iter_lines
from buildr_jupyter.events.state import BuildState

LINES = 100_000
BOUND = 6.0
BOUND_BYTES = 32 * 1024 * 1024


def log_lines() -> list[bytes]:
    """Return the engine's documents of a step with 100,000 lines of output."""
    texts = (f"#{n:06d} [install] Collecting package-{n % 977} (from -r requirements.txt)\n" for n in range(LINES))
    return [json.dumps({"stream": text}).encode() + b"\r\n" for text in texts]


def chunks(lines: list[bytes]) -> Iterator[bytes]:
    """Yield them as docker-py hands them out: one line a chunk."""
    yield b'{"stream":"Step 1/1 : RUN install"}\r\n{"stream":"\\n"}\r\n'
    yield from lines


def reduce(lines: list[bytes]) -> BuildState:
    """Decode and reduce the whole stream as a build does."""
    builder, state, stream = DockerBuilder(), BuildState(), DockerStream()
    builder._reading.state = stream
    process, apply = builder._process_stream, state.apply
    for line in iter_lines(chunks(lines)):
        for event in process(line):
            apply(event)
    assert state.log_total == LINES
    return state


def best(call: Callable[[], object]) -> float:
    """Return the shortest of five times, in seconds."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> int:
    """Print the table; return 1 where a bound is broken."""
    lines = log_lines()
    plain = best(lambda: [json.loads(line) for line in lines] and None)
    ours = best(lambda: reduce(lines) and None)
    tracemalloc.start()
    reduce(lines)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{'a stream of 100,000 log lines':40} {'s':>8} {'ratio':>7} {'bound':>7}")
    print(f"{'json.loads of the same lines':40} {plain:8.3f} {1:7.2f}")
    print(f"{'decoding and reducing':40} {ours:8.3f} {ours / plain:7.2f} {BOUND:7.2f}")
    print(f"{'peak memory, MiB':40} {peak / 2**20:8.1f} {'':7} {BOUND_BYTES / 2**20:7.1f}")
    return int(ours / plain > BOUND or peak > BOUND_BYTES)


if __name__ == "__main__":
    sys.exit(main())
