"""``make fuzz``: ten million executions over all targets, and a table of the fuzzer's own counters.

Each target is a process of its own, from its kept corpus on, on one processor. ``--write`` puts the table into the
page docs/explanation/reliability.md. Exit status 1 where something was found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "reliability.md"
SHARES = {
    "image_reference": 0.47, "trace": 0.30, "registry_answer": 0.14, "stream": 0.03, "dockerfile": 0.03,
    "notebook_file": 0.01, "command_line": 0.02,
}  # fmt: skip
"""By what an execution takes: the quick ones get more."""
_BLOCK = re.compile(r"(<!-- fuzz:begin -->)\n(.*?)(<!-- fuzz:end -->)", re.DOTALL)
_HEAD = (
    "| target | executions | a second | edges | features | peak memory | found |",
    "|---|---|---|---|---|---|---|",
)


def run(target: str, runs: int) -> str:
    """Fuzz one target and return its line of the table."""
    command = [sys.executable, "-m", "tests.fuzz", target, "--runs", str(runs)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "TMPDIR": folder}, capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
    counted = dict(re.findall(r"stat::(\w+):\s*(\d+)", done.stderr))
    reached = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
    edges, features = reached[-1] if reached else ("-", "-")
    return (
        f"| {target} | {int(counted.get('number_of_executed_units', 0)):,} | {counted.get('average_exec_per_sec', '-')} "
        f"| {edges} | {features} | {counted.get('peak_rss_mb', '-')} MB | {'something' if done.returncode else 'nothing'} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000_000, help="over all targets together")
    parser.add_argument("--target", action="append", choices=list(SHARES), help="this one alone; may be repeated")
    parser.add_argument("--write", action="store_true", help="write the table into docs/explanation/reliability.md")
    args = parser.parse_args()
    assert SHARES.keys() == TARGETS.keys()
    lines = {}
    for target in args.target or SHARES:
        lines[target] = run(target, round(args.runs * SHARES[target]))
        print(lines[target], flush=True)
    if args.write:
        PAGE.write_text(with_lines(PAGE.read_text(), lines))
    return int(any("something" in line for line in lines.values()))


def with_lines(readme: str, lines: dict[str, str]) -> str:
    """Return the page with these targets' lines in its table, those of others as they were."""

    def written(found: re.Match[str]) -> str:
        known = {line.split(" | ")[0].strip("| "): line for line in found[2].splitlines() if line.startswith("| ")}
        merged = {**known, **lines}
        table = [merged[target] for target in SHARES if target in merged]
        return "\n".join([found[1], "", *_HEAD, *table, "", found[3]])

    return _BLOCK.sub(written, readme)


if __name__ == "__main__":
    sys.exit(main())
