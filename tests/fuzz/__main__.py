"""``python -m tests.fuzz TARGET [--seconds N] [--plant]``: atheris on one target, from its kept corpus on.

Exit status 0: nothing found. The fuzzer's own counters are its last lines. ``python -m tests.fuzz serve`` reads such
arguments line by line, each a JSON list after a folder for what is written, and prints each exit status: what is fuzzed
takes five seconds to instrument, and is so once.
"""

from __future__ import annotations

import argparse
import json
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


def serve() -> None:
    for line in sys.stdin:
        folder, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            for descriptor, name in ((1, "stdout"), (2, "stderr")):
                os.dup2(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY), descriptor)
            tempfile.tempdir = folder
            fuzz(arguments)  # the fuzzer ends the process
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def fuzz(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=targets.TARGETS)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--runs", type=int, help="so many executions, however long they take")
    parser.add_argument("--plant", action="store_true", help="with a bug that is to be found")
    parser.add_argument("--keep", action="store_true", help="add what reaches new code to the corpus")
    args = parser.parse_args(arguments)
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
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        fuzz(sys.argv[1:])
