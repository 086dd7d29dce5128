"""Reading BuildKit's progress: 100,000 records of a real build, against ``json.loads`` of the documents they are in.

Run: ``python tests/benchmarks/bench_trace.py``. The bound is a ratio of two times of one run, the best of five each.
"""

from __future__ import annotations

import json
import sys
from itertools import count, cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from buildr_jupyter.builder.buildkit.progress import TRACE, BuildkitStream
from buildr_jupyter.builder.buildkit.proto import decode_aux
from buildr_jupyter.events.state import BuildState
from tests.benchmarks.bench_stream import best

RECORDS = 100_000
BOUND = 20.0
CAPTURE = Path(__file__).parents[1] / "fakes" / "engine-build-events.json"


def main() -> int:
    """Print the table; return 1 where the bound is broken."""
    captured = json.loads(CAPTURE.read_text())
    documents = [one for name in ("buildkit_ok", "buildkit_fail") for one in captured[name] if one.get("id") == TRACE]
    lines = [json.dumps(one).encode() for one in islice(cycle(documents), RECORDS)]

    def decode() -> None:
        for line in lines:
            decode_aux(json.loads(line)["aux"])

    def reduce() -> None:
        stream, state = BuildkitStream({}, count()), BuildState()
        for line in lines:
            for event in stream.feed_aux(json.loads(line)["aux"]):
                state.apply(event)

    plain = best(lambda: [json.loads(line) for line in lines] and None)
    decoding, reducing = best(decode), best(reduce)
    print(f"{'100,000 progress records of BuildKit':40} {'s':>8} {'ratio':>7} {'bound':>7}")
    print(f"{'json.loads of their documents':40} {plain:8.3f} {1:7.2f}")
    print(f"{'decoding them':40} {decoding:8.3f} {decoding / plain:7.2f} {BOUND:7.2f}")
    print(f"{'decoding and reducing them to a state':40} {reducing:8.3f} {reducing / plain:7.2f} {BOUND:7.2f}")
    return int(max(decoding, reducing) / plain > BOUND)


if __name__ == "__main__":
    sys.exit(main())
