"""Trees are kept within bounds: a kernel that exports ever new cells does not grow."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import export
from buildr_jupyter.notebook import parse_cache
from buildr_jupyter.notebook.cells import CellRun, transform

ROOT = Path(__file__).parents[3]


def export_new_cells(first: int, last: int) -> None:
    for number in range(first, last):
        text = "".join(f"v{number}_{line} = [{line}] + [{number}]\n" for line in range(40))
        run = CellRun(text, transform(text), index=0)
        export([run], run, ExportOptions(), folder=None, notebook="nb.ipynb")


MEMORY = """
import gc, tracemalloc
from tests.unit.notebook.test_parse_cache import export_new_cells
export_new_cells(0, 80)
tracemalloc.start()
export_new_cells(100, 200)
gc.collect()
before = tracemalloc.get_traced_memory()[0]
export_new_cells(200, 300)
gc.collect()
print(tracemalloc.get_traced_memory()[0] - before)
"""


def test_memory_is_level_over_ever_new_cells() -> None:
    """In a process of its own: threads of other tests allocate, too."""
    done = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, capture_output=True, text=True, check=True)
    grown = int(done.stdout)
    assert grown < 100 * 10_000, f"{grown / 100:.0f} bytes an export"


def test_the_last_trees_are_kept() -> None:
    parse_cache.forget(0)
    old, new = parse_cache.parsed("x = 1"), parse_cache.parsed("y = 2")
    parse_cache.forget(7)
    assert parse_cache.parsed("y = 2") is new
    assert parse_cache.parsed("x = 1") is not old
    parse_cache.forget(0)


def test_what_dies_before_a_short_pause_is_found_soon_after() -> None:
    class Node:
        itself: object = None

    node = Node()
    node.itself, gone = node, weakref.ref(node)
    del node
    with parse_cache.collector_paused():
        pass
    gc.collect(1)  # the young: a round over all that is old comes late, and later the more is old
    assert gone() is None


@pytest.fixture
def nothing_frozen() -> Iterator[None]:
    """As in a kernel: a test process keeps what its tests are made of out of the collector's way."""
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


def test_many_that_came_in_a_pause_are_not_looked_at(nothing_frozen: None) -> None:
    gc.collect()
    with parse_cache.collector_paused():
        many: list[list[object]] = [[] for _ in range(2 * parse_cache._MANY)]
    young = len(gc.get_objects(0)) + len(gc.get_objects(1))
    assert young < len(many)
