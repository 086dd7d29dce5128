"""The store under 20 writing processes, some of them killed at random moments: what it has is whole, and one makes each."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from buildr_jupyter.oci.store import Store

WRITER = """
import random, sys
from pathlib import Path
from buildr_jupyter.oci.layer import Entry, compressor, write_layer
from buildr_jupyter.oci.store import Store

store, number = Store(Path(sys.argv[1])), int(sys.argv[2])
chosen = random.Random(number)
print("ready", flush=True)
for _ in range(30):
    which = chosen.randrange(40)
    content = random.Random(which).randbytes(50_000 + which)
    def make(out):
        with open(sys.argv[3], "a") as made:
            made.write(f"{which}\\n")
        return write_layer([Entry.of("data", content)], out, compressor())
    layer, _ = store.make_layer(["load", which], make)
    assert store.sound(layer.digest).is_file()
    store.note(["seen", which], {"by": number, "digest": layer.digest})
    store.put(content[:1000])
"""


def start(folder: Path, number: int, made: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(number), str(made)], stdout=subprocess.PIPE, text=True
    )


def test_twenty_writers_of_which_five_are_killed(tmp_path: Path) -> None:
    folder, made = tmp_path / "store", tmp_path / "made"
    children = [start(folder, number, made) for number in range(20)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    chosen = random.Random(5)
    killed = chosen.sample(children, 5)
    for child in killed:
        time.sleep(chosen.random() * 0.05)
        child.kill()
    for child in children:
        with child:
            child.wait(timeout=120)
    assert all(child.returncode == 0 for child in children if child not in killed)
    store = Store(folder)
    assert store.verify() == []
    layers = [store.layer(["load", which]) for which in range(40)]
    there = [layer for layer in layers if layer is not None]
    assert len(there) > 30
    assert all(store.has(layer.digest, layer.size_bytes) for layer in there)
    times = made.read_text().split()
    again = len(times) - len(set(times))
    assert again <= len(killed), "a layer is made once, but where its maker was killed"

    # The probe sees what it looks for: a blob that is not what its name says.
    victim = store.path(there[0].digest)
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1])
    assert store.verify() == [there[0].digest]
    child = start(folder, 99, made)  # and the next build is whole again
    with child:
        assert child.wait(timeout=120) == 0
    assert store.verify() == []
