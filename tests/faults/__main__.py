"""``make faults``: every row of the fault matrix, interrupts at any moment, and the guard's false alarms.

Prints the table: stage, builder, fault, what the person sees, what was left, survived or not; or why a row cannot be.
With ``--write`` the counts go into docs/explanation/reliability.md. Exit status 1 where a row did not survive. The
false alarms are looked for where no part is asked for.

With ``--keep FILE`` what survived is written there, and not run again by the next command with that file: the whole
of a builder can be run in pieces, ``--seconds`` each, and only its last piece writes its line.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults import matrix
from tests.faults.rows import FAULTS, STAGES, Row, every_row, impossible
from tests.faults.world import CASES, Case, World
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
    parser.add_argument("--keep", type=Path, help="a file of what survived, which is not run again")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing more after so long")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = [
        row for row in every_row()
        if row.builder in (args.builder or CASES) and row.stage in (args.stage or STAGES)
        and row.fault in (args.fault or FAULTS)
    ]  # fmt: skip
    tallies: dict[str, Counter[str]] = {row.builder: Counter() for row in wanted}
    piece = Piece(args.keep, time.monotonic() + args.seconds)
    with tempfile.TemporaryDirectory(prefix="buildr-faults-") as folder:
        world = World(Path(folder))
        try:
            for builder, tally in tallies.items():
                rows = [row for row in wanted if row.builder == builder]
                whole = run_builder(world, rows, args.interrupts, tally, piece)
                print(line_of(builder, tally), "" if whole else "(not all of it)", flush=True)
                if args.write and whole:
                    PAGE.write_text(with_line(PAGE.read_text(), builder, tally))
        finally:
            world.close()
    hurt = any(tally["run"] != tally["survived"] or tally["hurt"] for tally in tallies.values())
    return int(hurt or (wanted == list(every_row()) and not _is_calm()))


@dataclass
class Piece:
    """A part of the matrix: what earlier ones have done, and until when this one begins anything."""

    path: Path | None
    until: float

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until

    def known(self) -> Counter[str]:
        """Return what is done, a row or the interrupts of a builder by its text, and how often."""
        if self.path is None or not self.path.exists():
            return Counter()
        return Counter(json.loads(line) for line in self.path.read_text().splitlines())

    def keep(self, done: str, times: int = 1) -> None:
        """Write that something survived."""
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(f"{json.dumps(done)}\n" * times)


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


def run_builder(world: World, rows: list[Row], interrupts: int, counts: Counter[str], piece: Piece) -> bool:
    """Run the rows of one builder, printing each; tell whether all of them were run, now or by an earlier piece."""
    known = piece.known()
    calm = f"interrupts · {rows[0].builder}"
    counts["impossible"] = sum(impossible(row) is not None for row in rows)
    counts["run"] = counts["survived"] = sum(not impossible(row) and known[str(row)] > 0 for row in rows)
    counts["interrupts"] = known[calm]
    left = [row for row in rows if impossible(row) or not known[str(row)]]
    if all(impossible(row) for row in left) and counts["interrupts"] >= interrupts:
        return True
    case = matrix.start(world, rows[0].builder)
    try:
        for row in left:
            if why := impossible(row):
                print(f"{row!s:<44} -     cannot be: {why}", flush=True)
                continue
            if piece.is_over:
                return False
            counts["run"] += 1
            if _survives(case, row):
                counts["survived"] += 1
                piece.keep(str(row))
        while counts["interrupts"] < interrupts:
            if piece.is_over:
                return False
            some = min(10, interrupts - counts["interrupts"])
            hurt = matrix.interrupts(case, some, seed=counts["interrupts"])
            counts["interrupts"] += some
            counts["hurt"] += len(hurt)
            piece.keep(calm, 0 if hurt else some)
            print(f"{calm}: {some}, of which {len(hurt)} left something", *hurt, sep="\n  ", flush=True)
    finally:
        case.close()
    return True


def _survives(case: Case, row: Row) -> bool:
    """Run a row and print what came of it."""
    outcome = matrix.run(case, row)
    verdict = "NO" if outcome.wrong else "yes"
    print(f"{row!s:<44} {verdict:<5} {outcome.seen[:150]}", flush=True)
    print(f"{'':<44}       left: {', '.join(outcome.left) or 'nothing'}  ({outcome.seconds:.1f} s)", flush=True)
    for wrong in outcome.wrong:
        print(f"{'':<44}       {wrong}", flush=True)
    return not outcome.wrong


if __name__ == "__main__":
    sys.exit(main())
