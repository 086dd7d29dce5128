"""Exporter: from runs to a program, which is the statements, the values and the files that it carries, and its text."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from buildr_jupyter.analysis.slicer import Need, Slice, Statement, slice_back
from buildr_jupyter.analysis.value_origins import state_of
from buildr_jupyter.config.suggestions import nearest
from buildr_jupyter.errors import ValueRefused
from buildr_jupyter.export.blocks import Block, awaits, choose_mark, hide, join
from buildr_jupyter.export.carried_scripts import script_needs
from buildr_jupyter.export.checks import check_names, display_blocks, shell_use
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.import_folders import ImportFolder
from buildr_jupyter.export.input_choice import InputChoice
from buildr_jupyter.export.needs import find_files, find_imports, find_words
from buildr_jupyter.export.observed_use import observed_warnings
from buildr_jupyter.export.parameters import own_files
from buildr_jupyter.export.pickled_modules import find_pickled
from buildr_jupyter.export.project import Tree
from buildr_jupyter.export.prologue import render_preamble
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.export.renderer import carried_blocks, chosen_blocks, load_blocks
from buildr_jupyter.export.snapshot import Snapshot
from buildr_jupyter.export.value_capture import Values
from buildr_jupyter.model.interface import Candidate, Interface, Return
from buildr_jupyter.model.plan import FileEntry, ImportUse, NameNote
from buildr_jupyter.model.progress import BuildWarning

__all__ = ["Program", "make_program"]

_DRAWING = frozenset(("matplotlib", "seaborn", "pandas", "sklearn", "statsmodels", "pylab", "plotnine", "networkx"))
"""Packages that may draw with matplotlib."""
_ROUNDS = 20


_DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CONSTANT = (str, bytes, int, float, complex, bool)
"""Types of values that cannot change in place, whatever is done with them."""


@dataclass(frozen=True, slots=True)
class Program:
    """What goes into ``app/``, and why."""

    text: str
    """main.py."""
    origins: tuple[str | None, ...] = ()
    """For each line of ``text`` where it comes from: ``nb.ipynb, cell 3, line 1``; None for our own lines."""
    names: tuple[NameNote, ...] = ()
    imports: tuple[ImportUse, ...] = ()
    requirements: tuple[tuple[str, str], ...] = ()
    """(requirement as written after ``%pip install``, origin)."""
    files: tuple[FileEntry, ...] = ()
    state: tuple[FileEntry, ...] = ()
    interface: Interface = field(default_factory=Interface)
    """What it takes and what it gives back."""
    candidates: tuple[Candidate, ...] = ()
    """Plain values that could be inputs and are none."""
    warnings: tuple[BuildWarning, ...] = ()
    carried: int = 0
    """Top-level statements of other cells."""
    before: int = 0
    """Top-level statements in the cells that ran before."""
    tree: Tree | None = None
    """Where the files lie below ``app/``; None where no folder is known."""
    import_folders: tuple[ImportFolder, ...] = ()
    """Folders of the project where it looks for modules, too."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Words of its texts and of the names of its methods, each with where it stands: they may name an engine."""


def make_program(given: Given) -> Program:
    """Return the program of the chosen cell; raises what ``program.export`` raises."""
    reading = Reading(given)
    statements, values = reading.statements(), Values(given, reading)
    sliced, snapshot = _settle(given, reading, values, statements)
    inputs = InputChoice(given, reading, sliced)
    check_names(given, reading, sliced, values, inputs)
    shell, own_shell = shell_use(given, reading, sliced, inputs.given_statements())
    inputs.make()
    others = [statement for statement in sliced.kept if statement.run != given.last]
    supplied = values.supplied.names() | frozenset(values.known_only_to_kernel)
    kernels = [use for _, use in values.known_only_to_kernel.values()]
    asked = [*kernels, *([shell] if shell else []), *(snapshot.imports if snapshot else ())]
    imports = find_imports(given, reading, sliced, asked)
    folders = reading.import_folders
    files, tree = find_files(given, sliced, inputs, imported=imports, folders=folders, kept=values.files)
    beside, asked = script_needs(files, tree) if tree is not None else ([], [])
    files = sorted([*files, *beside], key=lambda entry: entry.path)
    imports = tuple(dict.fromkeys((*imports, *asked, *find_pickled(files))))
    own = chosen_blocks(given, reading)
    load = load_blocks(values, snapshot, tree)
    displays, frames = display_blocks(reading, sliced, imports, tree)
    blocks = [
        *inputs.blocks(tree),
        *displays,
        *own_shell,
        *carried_blocks(given, reading, others, supplied, load),
        *inputs.late,
        *own,
    ]
    text, origins = _render(given, reading, sliced, imports, blocks, own=len(own), tree=tree)
    _warn_of_stale(given, others)
    _warn_of_absent(given, reading)
    _warn_of_half_done(given, reading, sliced)
    _warn_of_measured(given, sliced)
    given.warnings += given.options.function.warnings if given.options.function else ()
    given.warnings += observed_warnings(given, reading.evidence, sliced, values.uncarried)
    given.warnings += values.changed.warnings(sliced, imports, files)
    notes = _notes(given, sliced, values, inputs)
    _warn_of_unread(given, notes)
    interface = Interface(inputs.inputs, tuple(Return(name) for name in given.options.returns))
    return Program(
        text,
        origins,
        names=notes,
        imports=imports,
        requirements=tuple(reading.requirements),
        files=(*files, *own_files(interface, function=given.options.function is not None), *frames),
        state=(snapshot.entry,) if snapshot else (),
        interface=interface,
        candidates=inputs.candidates,
        warnings=tuple(dict.fromkeys(given.warnings)),
        carried=len(others),
        before=sum(1 for statement in statements if statement.run != given.last and not statement.left_out),
        tree=tree,
        import_folders=folders,
        words=find_words(given, sliced),
    )


def _warn_of_unread(given: Given, notes: Sequence[NameNote]) -> None:
    """Say which names of ``--recompute`` the program does not read: a mistyped one would stay a value unseen."""
    known = [one.name for one in notes]
    for name in given.options.recompute:
        if name not in known:
            near = nearest(name, known)
            given.warn(f"--recompute {name}: the program reads no such name{f'; it reads {near}' if near else ''}")


def _settle(
    given: Given, reading: Reading, values: Values, statements: Sequence[Statement]
) -> tuple[Slice, Snapshot | None]:
    """Return the slice, and the snapshot of what it needs, once it is settled which names come as values."""
    if given.options.widening.everything:
        _read_everything(given, statements)
    while True:
        for _ in range(_ROUNDS):
            sliced = _slice(given, reading, values, statements)
            if not values.choose(sliced):
                break
        try:
            snapshot = values.snapshot(sliced)
            break
        except ValueRefused:
            if not values.leave_uncarried():
                raise
    if snapshot is not None and snapshot.classes:
        sliced = _slice(given, reading, values, statements, snapshot.classes)
    for need in (one for one in sliced.conflicts if one.name not in values.files):
        raise ValueRefused(
            f"{given.where(need.by)}: reads {need.name!r} as it was before it changed, "
            "but a snapshot holds the value of now",
            hint=f"take what that statement makes by --snapshot too, or recompute: --recompute {need.name}",
        )
    return sliced, snapshot


def _slice(
    given: Given, reading: Reading, values: Values, statements: Sequence[Statement], classes: Sequence[str] = ()
) -> Slice:
    widening, supplied, namespace = given.options.widening, values.supplied.names(), given.namespace or {}
    return slice_back(
        reading.flow,
        statements,
        given.last,
        supplied=supplied | values.files,
        extra=(*classes, *widening.names),
        unchanged={} if widening.everything else reading.evidence.unchanged,
        constant=frozenset(name for name in supplied if type(namespace.get(name)) in _CONSTANT),
    )


def _read_everything(given: Given, statements: Sequence[Statement]) -> None:
    """Have every statement before the cell carried: the cell is taken to be able to read any name."""
    for statement in statements:
        if statement.run == given.last and statement.facts is not None:
            statement.facts.everything = statement.facts.everything or statement.line


def _render(
    given: Given,
    reading: Reading,
    sliced: Slice,
    imports: Sequence[ImportUse],
    blocks: Sequence[Block],
    *,
    own: int,
    tree: Tree | None,
) -> tuple[str, tuple[str | None, ...]]:
    """Return the text of main.py, and the origin of each line; the last ``own`` blocks are the chosen cell's."""
    mark = choose_mark(blocks)
    written, hidden = hide(blocks)
    tops = {use.module.partition(".")[0] for use in imports}
    preamble = render_preamble(
        title=given.title(given.last),
        own=own,
        shown=len(reading.shown()),
        mark=mark,
        hidden=hidden,
        captured=reading.captured,
        tolerant=any(given.runs[one.run].status is None for one in sliced.kept if one.run != given.last),
        awaits=any(awaits(statement.node) for statement in sliced.kept) or "asyncio" in tops,
        folder=tree.inside if tree else "",
        returns=given.options.returns,
        figures=not _DRAWING.isdisjoint(tops),
        documented=any("__doc__" in text for _, _, text in written),
        moves=bool(reading.import_folders) and any("chdir" in text for _, _, text in written),
    )
    return join(preamble, written, mark)


def _warn_of_stale(given: Given, others: Sequence[Statement]) -> None:
    for number in sorted({statement.run for statement in others}):
        if stale := given.runs[number].stale:
            given.warn(f"{given.title(number)} was {stale} since it ran", "the program is what ran; run it again")


def _warn_of_absent(given: Given, reading: Reading) -> None:
    """Say which runs are taken to have failed because a module is not there."""
    runs: dict[str, list[int]] = {}
    for number, module in sorted(reading.flow.missed.items()):
        runs.setdefault(module, []).append(number)
    for module, numbers in runs.items():
        more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
        given.warn(
            f"{given.title(numbers[0])}{more}: module {module} is not installed, so its import is taken to have "
            "failed, and the rest of the cell not to have run",
            "install it, or save the notebook with its outputs",
        )


def _warn_of_half_done(given: Given, reading: Reading, sliced: Slice) -> None:
    """Say which names a statement may have changed before it failed, where nobody saw what it did."""
    for number, half in sorted(reading.half_done.items()):
        if given.runs[number].observed is not None:
            continue
        needed, anew = set[str](), set[str]()
        for statement in sliced.kept:
            needed |= {need.name for need in sliced.why.get(statement.number, ())}
            if statement.facts is not None and (statement.run > number or isinstance(statement.node, _DEFINITIONS)):
                anew |= statement.facts.binds
        if names := sorted((half.names & needed) - anew):
            given.warn(
                f"{given.title(number)} failed within the statement of line {half.line}: what that had done to "
                f"{', '.join(names)} until then is left out",
                "correct the cell, and run it again",
            )


def _warn_of_measured(given: Given, sliced: Slice) -> None:
    """Say what a statement that was measured, and is left out, may have changed, where nobody saw what it did."""
    for statement, needs in sliced.missed:
        if statement.run != given.last and given.runs[statement.run].observed is not None:
            continue
        names = sorted({state_of(name[5:]) if name.startswith("@rng:") else name for name in
                        (need.name for need in needs) if name.isidentifier() or name.startswith("@rng:")})  # fmt: skip
        if names:
            given.warn(
                f"{given.where(statement)}: %timeit runs what may change {', '.join(names)}, "
                "and the program leaves it out",
                "write that statement once more without %timeit, if what it changes counts",
            )


def _notes(given: Given, sliced: Slice, values: Values, inputs: InputChoice) -> tuple[NameNote, ...]:
    """Return where each name that is carried comes from, and why, by name."""
    notes: dict[str, NameNote] = {}
    for statement in sliced.kept:
        for need in sliced.why.get(statement.number, ()):
            if not need.name.startswith(("@", "*")):
                notes[need.name] = _note(given, statement, need)
    supplied = values.supplied
    for name, why in (*supplied.snapshot.items(), *((n, w) for n, (_, w) in supplied.literal.items())):
        kind = "snapshot" if name in supplied.snapshot else "literal"
        made = sliced.supplied_by.get(name)
        notes[name] = NameNote(name, given.where(made[-1]) if made else given.title(given.last), kind, why)
    for name in values.known_only_to_kernel:
        notes[name] = NameNote(name, given.title(given.last), "import", "the kernel has it; no run that is known did")
    for name in inputs.params:
        old = notes.get(name)
        notes[name] = NameNote(name, old.origin if old else given.title(given.last), "parameter", "--param")
    return tuple(notes[name] for name in sorted(notes))


def _note(given: Given, statement: Statement, need: Need) -> NameNote:
    is_import = isinstance(statement.node, (ast.Import, ast.ImportFrom))
    kind = "import" if is_import else ("recompute" if need.name in given.options.recompute else "code")
    return NameNote(need.name, given.where(statement), kind, f"read by {given.where(need.by)}")
