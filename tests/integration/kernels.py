"""Real kernels for tests: cells run in one, and the program of the last of them runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

_EXPORT = """
def _buildr_export(body, out):
    import json, os
    from pathlib import Path
    from buildr_jupyter.config.options import make_options
    from buildr_jupyter.context.folder import write_folder
    from buildr_jupyter.dependencies.environment import Interpreter
    from buildr_jupyter.notebook.cells import CellRun, transform
    from buildr_jupyter.pipeline.planner import CellSource, assemble
    shell = get_ipython()
    target = CellRun(body, transform(body))
    runs = (*shell._buildr_jupyter[1].runs()[:-1], target)
    source = CellSource(runs, target, Path.cwd(), "nb.ipynb", shell.user_ns)
    made = assemble(source, make_options({}, base_folder=Path.cwd()), Interpreter.current(), os.environ)
    write_folder(made.plan, Path(out))
    record = json.loads((Path(out) / "buildr.json").read_text())
    record["warnings"] = [warning.text for warning in made.warnings]
    record["text"] = made.program.text
    print(json.dumps(record))
"""


@dataclass
class Exported:
    """A program that was written and has run."""

    folder: Path
    record: dict[str, Any] = field(repr=False)
    """buildr.json, with ``warnings`` and the ``text`` of main.py."""
    stdout: str
    stderr: str

    @property
    def names(self) -> dict[str, str]:
        """Return how each name comes."""
        return {note["name"]: note["kind"] for note in self.record["names"]}

    @property
    def files(self) -> dict[str, str]:
        """Return why each file is there, by its path."""
        return {file["path"]: file["why"] for file in self.record["files"]}

    @property
    def requirements(self) -> dict[str, str]:
        """Return why each distribution is there, by its name."""
        return {one["requirement"].partition("==")[0]: one["why"] for one in self.record["requirements"]}


class Kernel:
    """A kernel with the extension, in a folder."""

    def __init__(self, client: Any, folder: Path) -> None:
        self.client = client
        self.folder = folder

    def run(self, code: str, *, fails: bool = False) -> str:
        """Run a cell; return what it printed and the text of its value."""
        return run_cell(self.client, code, fails=fails)

    def export(self, body: str, out: Path, *, env: dict[str, str] | None = None) -> Exported:
        """Export the program of a cell with this text, and run it."""
        self.run(_EXPORT)
        self.run("globals().pop('_', None)")
        said = self.run(f"_buildr_export({body!r}, {str(out)!r})")
        app = out / "app"
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=app, capture_output=True, text=True, timeout=120, check=False, env=env
        )
        return Exported(out, json.loads(said), done.stdout, done.stderr)


def run_cell(client: BlockingKernelClient, code: str, *, fails: bool = False, timeout_s: float = 120) -> str:
    """Run a cell; return what it printed and the text of its value. It must end well, or in an error if it ``fails``."""
    printed: list[str] = []

    def hook(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            printed.append(content["text"])
        elif message["msg_type"] == "execute_result":
            printed.append(content["data"]["text/plain"] + "\n")

    reply = client.execute_interactive(code, output_hook=hook, timeout=timeout_s)
    assert (reply["content"]["status"] == "error") is fails, (code, reply["content"])
    return "".join(printed)


@contextmanager
def client_in(folder: Path, environment: dict[str, str] | None = None) -> Iterator[BlockingKernelClient]:
    """Yield the client of a bare kernel of this interpreter that started in a folder."""
    manager = KernelManager(kernel_name="python3")
    manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager.start_kernel(cwd=str(folder), **({} if environment is None else {"env": environment}))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextmanager
def kernel_in(folder: Path) -> Iterator[Kernel]:
    """Yield a kernel that started in a folder and has loaded the extension."""
    with client_in(folder) as client:
        kernel = Kernel(client, folder)
        kernel.run("%load_ext buildr_jupyter")
        yield kernel
