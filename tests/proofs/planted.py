"""Planted faults: small notebooks from a grammar, their exported programs, and each of these with one statement less.

The oracle is a plain run of the crippled program, without a barrier and without a proof: where that prints what the
notebook prints, the statement was not needed after all, and the proof has to say *proven*; else it must not.
"""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from buildr_jupyter.config.options import Options
from buildr_jupyter.context import folder as context
from buildr_jupyter.dependencies.environment import Installed, Interpreter
from buildr_jupyter.dependencies.planned_site import find_planned
from buildr_jupyter.export.verify import Subject, Trial, judge, run_trial
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline.planner import CellSource, assemble

__all__ = ["Fault", "Outcome", "Slice", "iter_faults", "make_slice", "some_faults", "try_fault"]

_MARK = "\n# %% "
_TIME_S = 60.0

# What a cell may do with the names that are there: {n} a number, {old} a name that is bound, {new} a fresh one.
_MAKERS = (
    "{new} = {n}",
    "{new} = [{n}, {n} + 1]",
    "{new} = {{'k': {n}}}",
    "{new} = '{n}' * 2",
    "{new} = open('data.txt').read().strip() + '{n}'",
)
_CHANGERS = {
    "list": ("{old}.append({n})", "{old}[0] = {n}", "{old} += [{n}]", "grow({old}, {n})", "keep = {old}\nkeep.append({n})"),
    "dict": ("{old}['k'] = {n}", "{old}.update(x={n})", "{old}.setdefault('l', []).append({n})"),
    "int": ("{old} = {old} + {n}", "{old} *= 2"),
    "str": ("{old} = {old}.replace('1', '<')", "{old} += '{n}'"),
}  # fmt: skip
_HELPERS = (
    "import math, random, collections",
    "def grow(items, n):\n    items.append(scale(n))",
    "FACTOR = 3",
    "def scale(n):\n    return n * FACTOR",
    "class Box:\n    total = 0\n    def put(self, n):\n        Box.total += n\n        return self",
    "box = Box()",
    "random.seed({n})",
)
_USES = {
    "list": "print(sum({old}), {old})",
    "dict": "print(sorted(map(str, {old}.items())))",
    "int": "print({old} + math.floor(2.5))",
    "str": "print({old}, len({old}))",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """A notebook's last cell as a program."""

    cells: tuple[str, ...]
    printed: str
    """What the last cell prints in the notebook."""
    subject: Subject
    """Its context folder is kept by who made it."""
    text: str
    """main.py."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A program with one statement less."""

    text: str
    removed: str
    """The statement."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the oracle and the proof say of a fault."""

    changed: bool
    """Whether the program prints something else now, or fails."""
    proof: Proof

    @property
    def right(self) -> bool:
        """Tell whether the proof noticed what changed the output, and nothing else."""
        return (self.proof.status == "proven") != self.changed


def write_cells(seed: int) -> list[str]:
    """Return the cells of a notebook; the last one prints."""
    draw = random.Random(seed)
    cells = [text.format(n=draw.randint(2, 9)) for text in _HELPERS]
    kinds: dict[str, str] = {}
    for number in range(draw.randint(2, 4)):
        maker = draw.randrange(len(_MAKERS))
        name = f"v{number}"
        kinds[name] = ("int", "list", "dict", "str", "str")[maker]
        cells.append(_MAKERS[maker].format(new=name, n=draw.randint(1, 9)))
    for _ in range(draw.randint(2, 5)):
        name = draw.choice(list(kinds))
        cells.append(draw.choice(_CHANGERS[kinds[name]]).format(old=name, n=draw.randint(1, 9)))
    if draw.random() < 0.5:
        cells.append(f"box.put({draw.randint(1, 9)}).put(1)")
    lines = [_USES[kinds[name]].format(old=name) for name in draw.sample(list(kinds), k=min(2, len(kinds)))]
    extra = ("print(Box.total)", "print(random.randint(1, 10**6))", "print(collections.Counter('aab'))")
    return [*cells, "\n".join([*lines, draw.choice(extra)])]


def make_slice(seed: int, folder: Path) -> Slice:
    """Return the slice of this seed, with its context written into ``folder``."""
    work = folder / f"nb{seed}"
    work.mkdir(parents=True)
    (work / "data.txt").write_text("from a file\n")
    cells = write_cells(seed)
    runs = tuple(CellRun(text, text, index=number, status="ok") for number, text in enumerate(cells))
    target = replace(runs[-1], stdout=_printed(cells, work))
    source = CellSource((*runs[:-1], target), target, work, "nb.ipynb")
    current = Interpreter.current()
    plan = assemble(source, Options(name="x"), current, {"PIP_CONFIG_FILE": "/dev/null"}).plan
    written = context.write_folder(plan, folder / f"context{seed}")
    subject = Subject(
        written / "app", find_planned(plan.requirements, Installed(current)), current, timeout_s=_TIME_S
    )  # fmt: skip
    return Slice(tuple(cells), target.stdout or "", subject, (written / "app" / "main.py").read_text())


def _printed(cells: list[str], work: Path) -> str:
    """Return what the last cell prints after all the others ran."""
    code = (
        "import contextlib, io, sys\n*before, last = eval(sys.stdin.read())\nscope = {'__name__': '__main__'}\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n    for cell in before: exec(cell, scope)\nexec(last, scope)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], input=repr(cells), cwd=work, capture_output=True, text=True, check=True
    )  # fmt: skip
    return ran.stdout


def iter_faults(text: str) -> Iterator[Fault]:
    """Yield the program without each of the statements that it carries from other cells, one at a time."""
    head, *blocks = text.split(_MARK)
    own = re.search(r"block not in blocks\[-(\d+):\]|if block is blocks\[-(\d+)\]", head)
    assert own is not None
    carried = len(blocks) - int(own[1] or own[2])
    for place, block in enumerate(blocks[:carried]):
        title, _, code = block.partition("\n")
        lines = code.splitlines(keepends=True)
        for node in ast.parse(code).body:
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
            removed = lines[first - 1 : node.end_lineno]
            left = [*lines[: first - 1], *["\n"] * len(removed), *lines[node.end_lineno :]]
            crippled = [*blocks[:place], f"{title}\n{''.join(left)}", *blocks[place + 1 :]]
            yield Fault(_MARK.join([head, *crippled]), "".join(removed))


def some_faults(text: str, most: int) -> list[Fault]:
    """Return at most so many of the faults, from all over the program."""
    faults = list(iter_faults(text))
    return faults[:: -(-len(faults) // most)] if faults else []


def try_fault(one: Slice, fault: Fault) -> Outcome:
    """Run the crippled program plainly and by a proof; ``one``'s folder has the crippled program then."""
    main = one.subject.folder / "main.py"
    main.write_text(fault.text)
    plain = subprocess.run(
        [sys.executable, "main.py"], cwd=one.subject.folder, capture_output=True, text=True, check=False, timeout=_TIME_S
    )  # fmt: skip
    changed = plain.returncode != 0 or plain.stdout.rstrip("\n") != one.printed.rstrip("\n")
    trial = run_trial(one.subject)
    if not isinstance(trial, Trial):
        return Outcome(changed, Proof("not proven", f"no barrier: {trial.why}"))
    return Outcome(changed, judge(trial, one.printed, _TIME_S))
