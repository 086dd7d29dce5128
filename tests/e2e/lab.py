"""A JupyterLab of our own and a page of Debian's Chromium in it, for tests and for the README's pictures.

``BUILDR_E2E_APP=notebook`` takes Notebook 7 in its place, which ``make matrix`` does: the same page but for its address
and its sign of a kernel that has nothing to do.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.engines._process import free_port

CHROMIUM = "/usr/bin/chromium"
NOTEBOOK_7 = os.environ.get("BUILDR_E2E_APP") == "notebook"
_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip


@contextmanager
def running_lab(root: Path, scratch: Path, environment: dict[str, str]) -> Iterator[str]:
    """Start a JupyterLab that serves ``root``; yield its address with the token ``{address}`` needs filled in."""
    port, token = free_port(), secrets.token_hex(16)
    settings = scratch / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False})
    )
    if tuple(map(int, version("jupyterlab").split(".")[:2])) < (4, 6):
        # these take cells that are out of sight out of the page, and the tests count cells
        tracker = settings.parent / "notebook-extension" / "tracker.jupyterlab-settings"
        tracker.parent.mkdir()
        tracker.write_text(json.dumps({"windowingMode": "none"}))
    env = {
        **os.environ,
        **environment,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "JUPYTER_CONFIG_DIR": str(scratch / "config"),
        "JUPYTER_DATA_DIR": str(scratch / "data"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(scratch / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        "IPYTHONDIR": str(scratch / "ipython"),
    }
    command = [
        sys.executable, "-m", "notebook" if NOTEBOOK_7 else "jupyterlab", "--no-browser", "--allow-root",
        "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with (scratch / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", server, scratch / "lab.log")
            place = "notebooks" if NOTEBOOK_7 else "lab/tree"
            yield f"http://127.0.0.1:{port}/{place}/{{path}}?token={token}&reset"
        finally:
            server.terminate()
            try:
                server.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab does not answer:\n{log.read_text()[-2000:]}")


@contextmanager
def running_browser() -> Iterator[Any]:
    """Start a headless Chromium and yield it."""
    from playwright.sync_api import sync_playwright

    if not shutil.which(CHROMIUM):
        raise RuntimeError("no Chromium: apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Any, address: str, path: str, *, width: int = 1100, height: int = 900, idle: bool = True
) -> Iterator[Any]:
    """Open a notebook in a browser and yield the page; ``idle``: once its kernel has nothing to do."""
    page = browser.new_page(viewport={"width": width, "height": height}, accept_downloads=True)
    try:
        page.goto(address.format(path=path))
        if idle:
            wait_idle(page)
        else:
            page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=90_000)
        yield page
    finally:
        page.close()


def wait_idle(page: Any) -> None:
    """Wait until the notebook is there and its kernel has nothing to do."""
    if NOTEBOOK_7:
        page.wait_for_function(_IDLE, timeout=90_000)
    else:
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=90_000)


_IDLE = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.sessionContext;
    return session?.isReady && session.session?.kernel?.status === "idle";
}"""
_RUN = """async index => {
    const panel = window.jupyterapp.shell.currentWidget;
    await panel.sessionContext.ready;
    const cells = panel.content.widgets;
    const code = cells.filter(cell => cell.model.type === "code")[index];
    panel.content.activeCellIndex = cells.indexOf(code);
    window.jupyterapp.commands.execute("notebook:run-cell");
}"""


def run_cell(page: Any, index: int, *, timeout_s: float = 240.0) -> Any:
    """Run the code cell with this 0-based index, wait until it has a number, and return its locator.

    By Lab's own command and not by keys: a key that comes while the page is still being drawn is lost.
    """
    return wait_cell(page, start_cell(page, index), timeout_s=timeout_s)


def start_cell(page: Any, index: int) -> Any:
    """Run the code cell with this 0-based index and return its locator at once."""
    page.evaluate(_RUN, index)
    return page.locator(".jp-Notebook .jp-CodeCell").nth(index)


def wait_cell(page: Any, cell: Any, *, timeout_s: float = 240.0) -> Any:
    """Wait until a cell that runs has a number, and return it."""
    prompt = cell.locator(".jp-InputPrompt")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if prompt.inner_text().strip("[]: ").isdigit():
            return cell
        page.wait_for_timeout(100)
    raise TimeoutError(f"the cell does not end: {cell.inner_text()[-2000:]}")


def save(page: Any) -> None:
    """Save the notebook that is shown."""
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(300)
