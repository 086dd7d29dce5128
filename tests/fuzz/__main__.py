"""``python -m tests.fuzz TARGET [--seconds N] [--plant]``: atheris on one target, from its kept corpus on.

Exit status 0: nothing found. The fuzzer's own counters are its last lines.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["buildr_jupyter"]):
    from tests.fuzz import targets

from tests.fuzz.mutators import JSON_TARGETS, change_json

CORPUS = Path(__file__).with_name("corpus")
_WARM = 3
"""So many seeds are run before time is measured: what is imported at first use is no input's fault."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=targets.TARGETS)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, help="so many executions, however long they take")
    parser.add_argument("--plant", action="store_true", help="with a bug that is to be found")
    parser.add_argument("--keep", action="store_true", help="add what reaches new code to the corpus")
    args = parser.parse_args()
    seeds = CORPUS / args.target
    seeds.mkdir(parents=True, exist_ok=True)
    for seed in sorted(seeds.iterdir())[:_WARM]:
        targets.TARGETS[args.target](seed.read_bytes())
    if args.plant:
        targets.plant(args.target)
    scratch = tempfile.mkdtemp(prefix="buildr-fuzz-")
    os.chdir(scratch)  # what crashed is written here
    folders = [str(seeds)] if args.keep else [scratch, str(seeds)]
    options = [
        f"-runs={args.runs}" if args.runs else f"-max_total_time={args.seconds}",
        "-timeout=1",
        "-rss_limit_mb=256",
        "-max_len=4096",
        "-print_final_stats=1",
    ]
    more = {"custom_mutator": change_json} if args.target in JSON_TARGETS else {}
    atheris.Setup([sys.argv[0], *folders, *options, "-seed=7"], targets.TARGETS[args.target], **more)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
