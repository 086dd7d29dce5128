"""Notebooks of others in live kernels: each printing cell, exported by the magic, beside what the kernel then prints.

``python -m tests.corpus.kernels FOLDER_OR_FILE…`` runs a notebook cell by cell in a kernel with the extension. Before a
cell runs, ``%%containerize --export`` writes its program; then the cell itself runs, and the program in a process of its
own. The lines and the table are those of ``tests.corpus.notebooks``; ``told`` is what the magic had warned of. A cell is
left out if it prints something else in another kernel, for a program cannot print it again either.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from buildr_jupyter.notebook.cells import read_notebook
from tests.corpus.notebooks import Group, look_at, normal, run_program, run_twice, shown
from tests.integration.kernels import client_in

_WARNED = ("warning:", "proof: not proven", "proof: differs", "with the state before the cell's last run")


def execute(client: BlockingKernelClient, code: str, timeout_s: float) -> tuple[str, str, str]:
    """Run a cell; return the status, its text as a program prints it, and all that it said."""
    parts: list[str] = []
    said: list[str] = []

    def hook(message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            said.append(content["text"])
            if content["name"] == "stdout":
                parts.append(content["text"])
        elif kind in ("execute_result", "display_data"):
            said.append(content["data"].get("text/plain", "") + "\n")
            parts.append(shown(kind, content["data"]))
        elif kind == "error":
            said.append("\n".join(content["traceback"]))

    reply = client.execute_interactive(code, allow_stdin=False, output_hook=hook, timeout=timeout_s)
    return reply["content"]["status"], normal("".join(parts)), "".join(said)


def check_cell(client: BlockingKernelClient, text: str, out: Path, group: Group, arguments: Any) -> tuple[str, str]:
    """Export the cell that comes next, run it in the kernel and as a program; return how that ended, and what was wrong."""
    began = time.perf_counter()
    status, _, said = execute(client, f"%%containerize --export {out}\n{text}", arguments.timeout)
    group.exports.append(time.perf_counter() - began)
    ran, expected, _ = execute(client, text, arguments.timeout)
    if status != "ok":
        return "crashed" if "Traceback (most recent" in normal(said) else "refused", normal(said)[-600:]
    warned = any(word in said for word in _WARNED)
    try:
        done = run_program(out / "app", warm=bool(arguments.warm))
    except subprocess.TimeoutExpired:
        return "told" if warned else "failed", "timeout"
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if ran != "ok" or normal(done.stdout) == expected:
        group.warned += warned
        return "same", said.strip()[-600:] if warned else ""
    if done.returncode:
        return "told" if warned else "failed", done.stderr.strip()[-300:] + said
    return "told" if warned else "silent", f"got {normal(done.stdout)[:300]!r}, not {expected[:300]!r}; said {said!r}"


def check_notebook(path: Path, group: Group, arguments: argparse.Namespace) -> None:
    """Go through a notebook in one kernel, and check the cells that print the same in each."""
    with run_twice(path, arguments) as (live, texts), client_in(live.parent) as client:
        execute(client, "%pprint off", arguments.timeout)
        execute(client, "%load_ext buildr_jupyter", arguments.timeout)
        for run in read_notebook(path).runs:
            if not texts or run.index > max(texts):
                break
            try:
                if run.index not in texts or run.source.lstrip().startswith("%%"):
                    execute(client, run.source, arguments.timeout)
                    continue
                kind, detail = check_cell(client, run.source, live.parents[1] / "out", group, arguments)
            except TimeoutError:
                print(
                    f"{path.name} cell {run.index}: took over {arguments.timeout} s, the rest is left out", flush=True
                )
                break
            group.counts[kind] += 1
            if kind != "same" or detail or arguments.all:
                print(f"{path.name} cell {run.index} {kind}: {detail}", flush=True)


def main() -> int:
    """Print the table; the status is 1 if a cell was wrong in silence."""
    return 1 if look_at(check_notebook, __doc__).counts["silent"] else 0


if __name__ == "__main__":
    sys.exit(main())
