"""What was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from buildr_jupyter.process import memory

SCRIPT = """
import re
from pathlib import Path
from buildr_jupyter.process import memory
def resident_kb():
    return int(re.search(r"VmRSS:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
blocks = [bytes(4000) for _ in range(20000)]
held = blocks[::50]
full = resident_kb()
del blocks
freed = resident_kb()
memory.give_back()
print(full, freed, resident_kb())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_freed_pieces_go_back_to_the_system() -> None:
    if memory._trim() is None:
        pytest.skip("another C library")
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    full, freed, left = map(int, done.stdout.split())
    assert left < full - 50_000
    assert left < freed - 50_000


def test_where_there_is_no_way_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_trim", lambda: None)
    assert memory.give_back() is False
