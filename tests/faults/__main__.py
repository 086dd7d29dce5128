"""``make faults``: every row of the fault matrix, interrupts at any moment, and the guard's false alarms.

Prints the table: stage, builder, fault, what the person sees, what was left, survived or not; or why a row cannot be.
With ``--write`` the counts go into docs/explanation/reliability.md. Exit status 1 where a row did not survive. The
false alarms are looked for where no part is asked for.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.faults import matrix
from tests.faults.rows import FAULTS, STAGES, Row, every_row, impossible
from tests.faults.world import CASES, World
from tests.unit.secretscan.test_search import false_alarms

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md"
_BLOCK = re.compile(r"(<!-- faults:begin -->)\n(.*?)(<!-- faults:end -->)", re.DOTALL)
_HEAD = (
    "| builder | rows run | survived | cannot be | builds interrupted at random moments | left nothing |",
    "|---|---|---|---|---|---|",
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--builder", action="append", choices=list(CASES), help="this one alone; may be repeated")
    parser.add_argument("--stage", action="append", choices=STAGES)
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    parser.add_argument("--interrupts", type=int, default=50, help="so many for each builder")
    parser.add_argument("--write", action="store_true", help="write the counts into docs/explanation/reliability.md")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [
        row for row in every_row()
        if row.builder in (args.builder or CASES) and row.stage in (args.stage or STAGES)
        and row.fault in (args.fault or FAULTS)
    ]  # fmt: skip
    tallies: dict[str, Counter[str]] = {row.builder: Counter() for row in wanted}
    with tempfile.TemporaryDirectory(prefix="buildr-faults-") as folder:
        world = World(Path(folder))
        try:
            for builder, tally in tallies.items():
                run_builder(world, [row for row in wanted if row.builder == builder], args.interrupts, tally)
                print(line_of(builder, tally), flush=True)
                if args.write:
                    PAGE.write_text(with_line(PAGE.read_text(), builder, tally))
        finally:
            world.close()
    hurt = any(tally["run"] != tally["survived"] or tally["hurt"] for tally in tallies.values())
    return int(hurt or (wanted == list(every_row()) and not _is_calm()))


def _is_calm() -> bool:
    """Print the guard's false alarms over every file; tell whether they are fewer than one in 10,000."""
    files, alarms = false_alarms(1)
    print(f"false alarms of the leak guard: {len(alarms)} in {files} files", *alarms, sep="\n")
    return len(alarms) * 10_000 < files


def line_of(builder: str, tally: Counter[str]) -> str:
    """Return the builder's line of the page's table."""
    calm = tally["interrupts"] - tally["hurt"]
    return f"| `{builder}` | {tally['run']} | {tally['survived']} | {tally['impossible']} | {tally['interrupts']} | {calm} |"


def with_line(readme: str, builder: str, tally: Counter[str]) -> str:
    """Return the page with the builder's line in its table, the other lines as they were."""

    def written(found: re.Match[str]) -> str:
        lines = {line.split("`")[1]: line for line in found[2].splitlines() if line.startswith("| `")}
        lines[builder] = line_of(builder, tally)
        known = [lines[name] for name in CASES if name in lines]
        return "\n".join([found[1], "", *_HEAD, *known, "", found[3]])

    return _BLOCK.sub(written, readme)


def run_builder(world: World, rows: list[Row], interrupts: int, counts: Counter[str]) -> None:
    """Run the rows of one builder, printing each."""
    case = matrix.start(world, rows[0].builder)
    try:
        for row in rows:
            why = impossible(row)
            counts["impossible" if why else "run"] += 1
            if why:
                print(f"{row!s:<44} -     cannot be: {why}", flush=True)
                continue
            outcome = matrix.run(case, row)
            counts["survived"] += not outcome.wrong
            verdict = "NO" if outcome.wrong else "yes"
            print(f"{row!s:<44} {verdict:<5} {outcome.seen[:150]}", flush=True)
            print(f"{'':<44}       left: {', '.join(outcome.left) or 'nothing'}  ({outcome.seconds:.1f} s)", flush=True)
            for wrong in outcome.wrong:
                print(f"{'':<44}       {wrong}", flush=True)
        hurt = matrix.interrupts(case, interrupts)
        counts["interrupts"] += interrupts
        counts["hurt"] += len(hurt)
        print(f"interrupts · {rows[0].builder}: {interrupts}, of which {len(hurt)} left something", *hurt, sep="\n  ")
    finally:
        case.close()


if __name__ == "__main__":
    sys.exit(main())
