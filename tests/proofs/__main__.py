"""``make proofs``: two hundred slices, each without every one of its statements in turn."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from buildr_jupyter.process import confine
from tests.proofs.planted import make_slice, some_faults, try_fault


def main() -> int:
    """Try them all, print what was found, and return 1 where a fault was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs")
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--most", type=int, default=1000, metavar="N", help="at most N statements of each slice")
    asked = parser.parse_args()
    if why := confine.missing():
        sys.stdout.write(f"nothing can be proven here: {why}\n")
        return 1
    began, planted, changed, wrong = time.monotonic(), 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(asked.first, asked.first + asked.slices):
            one = make_slice(seed, Path(folder))
            for fault in some_faults(one.text, asked.most):
                outcome = try_fault(one, fault)
                planted, changed = planted + 1, changed + outcome.changed
                if not outcome.right:
                    wrong.append(f"seed {seed}: without {fault.removed!r} the proof says {outcome.proof}")
    took = time.monotonic() - began
    sys.stdout.write(
        f"{asked.slices} slices, {planted} statements taken out, {changed} of them change the output, "
        f"{len(wrong)} verdicts wrong, {took:.0f} s\n" + "".join(f"{line}\n" for line in wrong)
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
