"""Renderer of a program's text: the statements that it carries as blocks, and the chosen cell after them."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Sequence

from buildr_jupyter.analysis.slicer import Statement
from buildr_jupyter.export import snapshot as values
from buildr_jupyter.export.blocks import Block, ends, own_block, statement_text
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.project import Tree
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.export.value_capture import Values

__all__ = ["carried_blocks", "chosen_blocks", "load_blocks"]


def chosen_blocks(given: Given, reading: Reading) -> list[Block]:
    """Return the chosen cell as one block, and behind it a block for each statement whose value the notebook shows."""
    reading.apply_edits(given.last)
    title, body, nodes = given.title(given.last), reading.sources[given.last], reading.bodies[given.last]
    returned = "_" in given.options.returns
    shown = reading.shown()
    if not (shown or returned):
        return [own_block(title, body, 1)]
    end = nodes[-1]
    if shown and shown[-1] is not end:
        return [own_block(title, body, 1), (title, ends(end), f"{ast.unparse(shown[-1])}\n")]
    if len(shown) > 1:
        blocks = [(title, Statement(node, given.last).line, statement_text(body, node)) for node in nodes]
        if returned:
            blocks[-1] = (title, end.lineno, f"(_buildr_value := ({blocks[-1][2].rstrip()}))\n")
        return blocks
    lines = body.splitlines(keepends=True)
    before = lines[end.lineno - 1].encode()[: end.col_offset].decode()
    head = "".join(lines[: end.lineno - 1]) + before
    blocks = [own_block(title, head + "\n", 1)] if len(nodes) > 1 else []
    text = statement_text(body, end)
    if returned:
        text = f"(_buildr_value := ({text.rstrip()}))\n"
    return [*blocks, (title, end.lineno, text)]


def carried_blocks(
    given: Given, reading: Reading, others: Sequence[Statement], names: frozenset[str], load: Sequence[Block]
) -> list[Block]:
    """Return statements of other cells as blocks, those that follow each other in their cell as one.

    ``load`` stands before the first statement that reads one of ``names``, at the end where none does.
    """
    places = {id(node): number for body in reading.bodies.values() for number, node in enumerate(body)}
    reading.apply_edits()
    blocks: list[Block] = []
    previous: tuple[int, int] | None = None
    for statement in others:
        if load and statement.facts is not None and names & statement.facts.reads:
            blocks.extend(load)
            load, previous = [], None
        place, body = places[id(statement.node)], reading.bodies[statement.run]
        text = statement_text(reading.sources[statement.run], body[place])
        line = Statement(body[place], statement.run).line
        if previous == (statement.run, place - 1) and ends(body[place - 1]) < line:
            gap = line - ends(body[place - 1]) - 1
            blocks[-1] = (*blocks[-1][:2], blocks[-1][2] + "\n" * gap + text)
        else:
            blocks.append((given.title(statement.run), line, text))
        previous = (statement.run, place)
    return [*blocks, *load]


def load_blocks(chosen: Values, snapshot: values.Snapshot | None, tree: Tree | None) -> list[Block]:
    """Return the blocks that give the names that come as values: imports, literals, and the snapshot read."""
    blocks: list[Block] = []
    if chosen.known_only_to_kernel:
        lines = (f"{text}\n" for _, (text, _) in sorted(chosen.known_only_to_kernel.items()))
        blocks.append(("imports of the kernel", 1, "".join(lines)))
    if chosen.supplied.literal:
        lines = (f"{name} = {text}\n" for name, (text, _) in sorted(chosen.supplied.literal.items()))
        blocks.append(("values of the kernel", 1, "".join(lines)))
    if snapshot is not None:
        path = posixpath.relpath(values.STATE_PATH, f"app/{tree.inside}" if tree else "app")
        code = f'import pickle\nwith open("{path}", "rb") as _buildr_file:\n'
        blocks.append(("snapshot", 1, code + "    globals().update(pickle.load(_buildr_file))\n"))
    return blocks
