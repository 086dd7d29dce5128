"""Checks of what a program reads: names that nothing supplies, and what only a running kernel has."""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Sequence

from buildr_jupyter.analysis.slicer import Slice, Statement, is_given_later
from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import DialectError, OptionError, UnboundName
from buildr_jupyter.export.blocks import Block
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.input_choice import InputChoice
from buildr_jupyter.export.ipython_syntax import kernel_name_hint
from buildr_jupyter.export.parameters import DISPLAYS_PATH, displays_block, displays_file
from buildr_jupyter.export.project import Tree
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.export.value_capture import Values, asks_kernel
from buildr_jupyter.model.plan import FileEntry, ImportUse

__all__ = ["check_names", "display_blocks", "shell_use"]

_WITHOUT_FRAMES = frozenset(("numpy", "scipy", "matplotlib", "mpl_toolkits", "PIL"))
"""Packages that never import pandas."""
_DISPLAY = '''\
def display(*objects, **_):
    """Print the text form of each object."""
    for one in objects:
        print(repr(one))
'''
_SHELL = '''\
def get_ipython(made=[]):
    """Return IPython's shell, which works on the names of this program."""
    if not made:
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        hooks = sys.excepthook, sys.displayhook
        InteractiveShell.enable_gui = lambda self, gui=None: None
        made.append(InteractiveShell.instance(user_module=sys.modules["__main__"], user_ns=globals()))
        made[0].history_manager.enabled = False
        sys.excepthook, sys.displayhook = hooks
    return made[0]
get_ipython()
'''


def check_names(given: Given, reading: Reading, sliced: Slice, values: Values, inputs: InputChoice) -> None:
    """Look at each name that no statement gives: warn of what may be missing.

    Raises UnboundName where the chosen cell surely reads it, DialectError for what only a kernel has, OptionError where
    it should be returned.
    """
    for name, need in sorted(sliced.unresolved.items()):
        if name in values.known_only_to_kernel:
            continue
        line = need.by.facts.direct.get(name) if need.by.facts is not None else None
        if name in given.options.returns and need.by.node not in reading.bodies[need.by.run]:
            raise OptionError(
                f"--return {name}: nothing in the program gives {name} a value",
                hint=nearest_hint(
                    name, reading.flow.env, f"name a variable that the cell or one before it assigns, not {name}"
                ),
            )
        where = f"{given.title(need.by.run)}, line {line or need.by.line}"
        hint = kernel_name_hint(name)
        if name == "get_ipython":
            continue  # shell_use brings it
        if hint is not None and name != "__":
            raise DialectError(f"{where}: {name!r} is there only in a running kernel", hint=hint)
        if name == "display" or reading.flow.star or sliced.everything is not None:
            continue
        if line is not None and need.by.run == given.last and name not in inputs.params:
            raise UnboundName(
                f"{where}: nothing supplies the name {name!r}: no cell that ran before gives it a value",
                hint=nearest_hint(
                    name, reading.flow.env, f"run the cell that does, or make it an input of the image: --param {name}"
                ),
            )
        if name not in inputs.params and not is_given_later(sliced, name, need.by):
            given.warn(f"{where}: nothing supplies the name {name!r}")
    if sliced.everything is not None and not given.options.widening.everything:
        given.warn(f"{given.where(sliced.everything)}: may read any name, so every earlier statement is carried")


def display_blocks(
    reading: Reading, sliced: Slice, imports: Sequence[ImportUse], tree: Tree | None
) -> tuple[list[Block], list[FileEntry]]:
    """Return what shows objects, and the file that it needs: in a notebook that runs the image as a kernel does.

    Where all objects are Python's own, that is a definition of ``display`` for a program which reads the kernel's own.
    What is unresolved does not tell: a kernel has it among its builtins, an image's Python has not.
    """
    reads = any(
        "display" in statement.facts.reads and reading.flow.before("display", statement.number) is None
        for statement in sliced.kept
        if statement.facts is not None
    )
    tops = {use.module.partition(".")[0] for use in imports}
    others = not tops <= sys.stdlib_module_names or any("_repr_" in text for text in reading.sources.values())
    # Any other package may bring pandas, which writes its frames as in a notebook then, also by print().
    shows = reads or "IPython" in tops or bool(reading.shown()) or not tops <= sys.stdlib_module_names | _WITHOUT_FRAMES
    if others and shows and not (reading.captured or reading.display_captured):
        path = posixpath.relpath(DISPLAYS_PATH, f"app/{tree.inside}" if tree else "app")
        return [("display", 1, displays_block(path, shell="IPython" in tops, display=reads))], [displays_file()]
    return [("display", 1, _DISPLAY)] if reads else [], []


def _check_input(given: Given, reading: Reading, statement: Statement, replaced: Sequence[Statement]) -> None:
    """Raise DialectError where the chosen cell asks ``input()``, and no input of the image takes its place."""
    facts = statement.facts
    if (
        facts is not None
        and "input" in facts.reads
        and statement.run == given.last
        and statement not in replaced
        and reading.flow.before("input", statement.number) is None
    ):
        line = facts.direct.get("input", statement.line)
        raise DialectError(
            f"{given.title(statement.run)}, line {line}: input() has nobody to ask in an image",
            hint=kernel_name_hint("input"),
        )


def shell_use(
    given: Given, reading: Reading, sliced: Slice, replaced: Sequence[Statement]
) -> tuple[ImportUse | None, list[Block]]:
    """Return the import of IPython and what makes its shell, where a statement needs it; ``None, []`` where none does.

    ``replaced`` are the assignments whose values inputs take the place of. Raises DialectError where the chosen cell
    asks ``input()``.
    """
    use: ImportUse | None = None
    for statement in sliced.kept:
        if statement.facts is None:
            continue
        _check_input(given, reading, statement, replaced)
        if use is None and asks_kernel(statement.node):
            where = given.where(statement)
            use = ImportUse("IPython", (), where)
            given.warn(f"{where}: this line is IPython's own: the image runs it with IPython")
    return use, [("IPython", 1, _SHELL)] if use else []
