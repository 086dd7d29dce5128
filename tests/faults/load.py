"""``make load``: many builds at once in several kernels, and a thousand in one; an outside probe counts what grows.

The kernels are Jupyter's own, before one engine and one store. Memory, threads and descriptors are read from /proc,
the disk from the folders of cache, store and temporary files. ``--write`` puts the figures into docs/explanation/reliability.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

from tests.engines import Engines

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "reliability.md"
_BLOCK = re.compile(r"(<!-- load:begin -->)\n.*?(<!-- load:end -->)", re.DOTALL)
BASE = "python:3.11-slim"


@dataclass(frozen=True)
class Level:
    """What a kernel holds, seen from outside."""

    memory_kb: int
    threads: int
    descriptors: int
    disk_kb: int

    @classmethod
    def of(cls, pid: int, folder: Path) -> Level:
        status = Path(f"/proc/{pid}/status").read_text()
        found = dict(re.findall(r"^(VmRSS|Threads):\s*(\d+)", status, re.MULTILINE))
        sizes = [path.stat().st_blocks // 2 for path in folder.rglob("*") if path.is_file()]
        return cls(int(found["VmRSS"]), int(found["Threads"]), len(os.listdir(f"/proc/{pid}/fd")), sum(sizes))

    def __str__(self) -> str:
        return f"{self.memory_kb / 1e3:.0f} MB, {self.threads} threads, {self.descriptors} descriptors, {self.disk_kb / 1e3:.1f} MB on disk"


class Kernel:
    """A Jupyter kernel with the extension loaded; what it prints is checked by who asks."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(folder), env={**os.environ, **environment})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        self.run("%load_ext buildr_jupyter")

    @property
    def pid(self) -> int:
        provisioner: Any = self.manager.provisioner
        return int(provisioner.pid)

    def run(self, code: str, timeout_s: float = 600, *, keep: bool = False) -> str:
        """Run a cell and return what it prints; ``keep`` its value as ``_``. Raises RuntimeError with its error."""
        said: list[str] = []

        def take(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                said.append(content["text"])

        reply = self.client.execute_interactive(code, timeout=timeout_s, output_hook=take, store_history=keep)
        if reply["content"]["status"] != "ok":
            raise RuntimeError("\n".join(reply["content"].get("traceback", ["aborted"])))
        return "".join(said)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@contextlib.contextmanager
def kernels(count: int, host: str, folder: Path) -> Iterator[list[Kernel]]:
    """Give kernels that share an engine, a cache and a store."""
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {
        "DOCKER_HOST": host, "XDG_CACHE_HOME": str(folder / "cache"), "BUILDR_STORE": str(folder / "cache" / "store"),
        "TMPDIR": str(folder / "tmp"), "IPYTHONDIR": str(folder / "ipython"), "BUILDR_UI": "text",
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(Kernel(folder, environment))
            stack.callback(made[-1].close)
        yield made


def at_once(host: str, folder: Path, *, count: int, each: int) -> list[str]:
    """Start ``each`` detached builds in ``count`` kernels and wait for all; return what went wrong."""
    with kernels(count, host, folder) as made:
        for number, kernel in enumerate(made):
            for turn in range(each):
                name = f"load-{number}-{turn}"
                builder = f"oci --output {name}.tar" if turn % 2 else "docker=classic"
                line = f"%%containerize {name} --detach --quiet --base {BASE} --builder {builder}"
                kernel.run(f"{line}\nprint({number}, {turn})", keep=True)
                kernel.run(f"build{turn} = _")
        wrong = []
        for number, kernel in enumerate(made):
            for turn in range(each):
                try:
                    said = kernel.run(f"print(build{turn}.result(900).image_id)")
                    if not said.startswith("sha256:"):
                        wrong.append(f"{number}/{turn}: {said}")
                except RuntimeError as error:
                    wrong.append(f"{number}/{turn}: {str(error)[-300:]}")
        return wrong


def one_after_another(host: str, folder: Path, *, builds: int, leak: bool = False) -> tuple[Level, Level]:
    """Build so often in one kernel; return what it held after the first tenth, and at the end."""
    first = max(10, builds // 10)
    with kernels(1, host, folder) as (kernel,):
        levels = []
        for start, end in ((0, first), (first, builds)):
            for number in range(start, end):
                builder = "oci --output level.tar" if number % 2 else "docker=classic"
                kernel.run(f"%%containerize level --quiet --base {BASE} --builder {builder}\nprint({number})")
            if leak and start:
                kernel.run(LEAK)
            time.sleep(1)
            levels.append(Level.of(kernel.pid, folder))
        return levels[0], levels[1]


LEAK = """
import tempfile, threading, time
held = [tempfile.NamedTemporaryFile(delete=False) for _ in range(50)]
for file in held:
    file.write(bytes(200_000)); file.flush()
memory = bytearray(120_000_000); memory[::4096] = bytes([1]) * len(memory[::4096])
for _ in range(20): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""


def grown(before: Level, after: Level, builds: int) -> list[str]:
    """Return what is not level: more than some slack, whatever the number of builds.

    The disk has one context folder and archive of the last build, and in the store a layer and a record of each.
    """
    wrong = []
    if after.memory_kb - before.memory_kb > 30_000:
        wrong.append(f"memory: {before.memory_kb} kB, then {after.memory_kb}")
    if after.threads > before.threads + 3:
        wrong.append(f"threads: {before.threads}, then {after.threads}")
    if after.descriptors > before.descriptors + 5:
        wrong.append(f"descriptors: {before.descriptors}, then {after.descriptors}")
    if after.disk_kb - before.disk_kb > 60 * builds:
        wrong.append(f"disk: {before.disk_kb} kB, then {after.disk_kb}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--builds", type=int, default=1000)
    parser.add_argument("--kernels", type=int, default=10)
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write the figures into docs/explanation/reliability.md")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="buildr-load-") as name, Engines() as engines:
        folder, host = Path(name), engines.docker().host
        began = time.monotonic()
        wrong = at_once(host, folder, count=args.kernels, each=args.each)
        took_s = time.monotonic() - began
        said = [
            f"{args.kernels * args.each} builds at once in {args.kernels} kernels: {len(wrong)} failed, {took_s:.0f} s."
        ]
        print(said[-1], *wrong, sep="\n", flush=True)
        before, after = one_after_another(host, folder, builds=args.builds)
        found = grown(before, after, args.builds)
        said.append(f"{args.builds} builds in one kernel: after a tenth {before}; at the end {after}.")
        print(said[-1], *found, sep="\n", flush=True)
    if args.write:
        PAGE.write_text(_BLOCK.sub(lambda block: "\n".join([block[1], *said, block[2]]), PAGE.read_text()))
    return int(bool(wrong or found))


if __name__ == "__main__":
    sys.exit(main())
