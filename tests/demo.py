"""``make demo``: execute the quickstart notebook, show its build as it goes, and say where the image is."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from buildr_jupyter.commands import doctor
from tests.engines import Engines, EngineStartError

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "01-quickstart.ipynb"


_ENDS_WITH_IT = (
    "in the engine that was started for this demo, and ends with it now. To keep one, start Docker or podman and run "
    "make demo again, or write it to a file from the notebook: --output image.tar"
)


def say(text: str) -> None:
    """Write a line at once, also where a pipe reads it."""
    print(text, flush=True)


def shown(message: dict[str, Any], source: str) -> str:
    """Return what a terminal shows of a kernel's message: all that comes under the cell of the image, nothing else.

    The notebook's last cell prints the result again, for the test that compares it.
    """
    kind, content = message["msg_type"], message["content"]
    if not source.startswith("%%containerize"):
        return ""
    if kind == "stream":
        return str(content["text"])
    text = content["data"].get("text/plain", "") if kind in ("display_data", "execute_result") else ""
    return f"{text}\n\n" if text else ""


class Streaming(NotebookClient):
    """Executes a notebook and writes what stands under the cell of its image as it comes."""

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if text := shown(msg, cell.source):
            sys.stdout.write(text)
            sys.stdout.flush()
        return super().process_message(msg, cell, cell_index)


def main() -> int:
    """Run the demo; return an exit status."""
    say("looking for an engine …")
    with ExitStack() as stack:
        report = doctor.examine(dict(os.environ))
        place, can_run = "in the engine that answered", report.has_engine
        if not report.has_engine:
            engine = _private_engine(stack)
            if engine is None and not report.can_build:
                say(report.render())
                return 1
            if engine is None:
                place = "in the archive named above, built and not run: docker load, podman load and skopeo take it"
            else:
                os.environ["DOCKER_HOST"] = engine
                place = _ENDS_WITH_IT
                can_run = True
        for name in ("JPY_SESSION_NAME", "JPY_PARENT_PID"):
            os.environ.pop(name, None)
        return _execute(place, run=can_run)


def _private_engine(stack: ExitStack) -> str | None:
    """Start an engine of our own where this machine can; return its address."""
    say("no engine answers: starting one for this demo (the first time its base image is made, a minute or two) …")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="buildr-demo-")))
    try:
        engines = stack.enter_context(Engines(folder))
        return engines.docker().host
    except EngineStartError as error:
        say(f"none can be started here: {error}")
        return None


def _execute(place: str, *, run: bool) -> int:
    say(f"executing {NOTEBOOK.name} …")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    if not run:
        for cell in notebook.cells:
            if cell.source.startswith("%%containerize"):
                cell.source = cell.source.replace(" --run", "", 1)
    client = Streaming(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    try:
        client.execute()
    except CellExecutionError as error:
        say(f"{error.ename}: {error.evalue}")
        return 1
    say(f"The image is {place}. Open it in JupyterLab with: make lab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
