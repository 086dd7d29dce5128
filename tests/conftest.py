"""What every test gets: an environment without this machine's engines, logins and proxies, and a network of its own."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import EngineStartError, dockerd, network

# nbformat imports it through jsonschema, and it reads a grammar for two seconds of a processor, to check addresses with
# letters that are no ASCII (IRI), which no notebook's schema asks for.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
pytest.register_assert_rewrite("tests.runner_contract")  # what failed is told there, too
pytest_plugins = ("tests.engines.fixtures",)

TEST_CACHE = os.environ.get("BUILDR_TEST_CACHE")
_PROXIES = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}
_WITHOUT_ENGINES = ("tests/unit/", "tests/fuzz/")
_TOGETHER = ("tests/integration/cluster/", "tests/e2e/")
"""Folders for one test process each: a second cluster would cost twenty seconds and 650 MiB, a second JupyterLab with a
browser five seconds of a processor."""
_LONGEST = (*_TOGETHER, "tests/faults/test_matrix.py")
"""What takes some five minutes each in one process: begun late, it would be what all wait for at the end."""
_NO_NETWORK = pytest.StashKey[str | None]()
"""Why a test process has no network namespace of its own, None where it has one."""


def pytest_configure(config: pytest.Config) -> None:
    """Give each process that runs tests a network namespace of its own, where that is possible."""
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None and getattr(config.option, "tx", None):  # starts the processes and runs no test itself
        network.sweep()
        config.stash[_NO_NETWORK] = network.try_out()
        return
    if worker is None:
        network.sweep()
        config.stash[_NO_NETWORK] = network.missing()
    else:
        config.stash[_NO_NETWORK] = worker["no_network"]
    if config.stash[_NO_NETWORK] is None:
        try:
            config.add_cleanup(network.enter().close)
        except (EngineStartError, OSError) as error:
            if worker is not None:  # the scheduler relies on it
                raise
            config.stash[_NO_NETWORK] = str(error)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import the tests fast: what pytest compiles of them is kept, and what they are made of is no garbage to look for.

    Each process has eleven thousand tests and the libraries that they name, all there until its end: a search for
    garbage, which the garbage collector and IPython's ``reset`` make again and again, took 0.4 s of a processor.
    """
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = False  # of this process alone; where it is set, every process would compile every test
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        sys.dont_write_bytecode = kept


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a test process whether it gets a network namespace."""
    node.workerinput["no_network"] = node.config.stash[_NO_NETWORK]


def pytest_report_header(config: pytest.Config) -> str:
    """Say how the engines are kept apart."""
    why = config.stash[_NO_NETWORK]
    return f"network: this machine's ({why})" if why else "network: a namespace for each test process"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one process, of unit tests a function's, so that all processes end together.

    Where they share a network and engines can be started, one process has all that asks for an engine: two dockerd
    would disturb each other.
    """
    from xdist.scheduler import LoadScopeScheduling

    together = config.stash[_NO_NETWORK] is not None and dockerd.missing() is None
    config.option.loadscopereorder = False  # pytest_collection_modifyitems has the order

    class ByEngines(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(_WITHOUT_ENGINES):
                return nodeid.partition("[")[0]
            if together:
                return "engines"
            folder = next((name for name in _TOGETHER if nodeid.startswith(name)), None)
            return folder or nodeid.partition("::")[0]

    return ByEngines(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let test processes begin with the long files, which cannot be divided, and end with many short functions."""

    def place(item: pytest.Item) -> int:
        if item.nodeid.startswith(_WITHOUT_ENGINES):
            return len(_LONGEST) + 1
        return next((n for n, name in enumerate(_LONGEST) if item.nodeid.startswith(name)), len(_LONGEST))

    if hasattr(config, "workerinput"):
        items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Clear DOCKER_*, proxy and BUILDR_* variables; logins come from an empty folder. Yields that folder."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it puts into the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tmp_path_factory.mktemp("logins")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("DOCKER_", "BUILDR_", "REGISTRY_AUTH_")) or name.lower() in _PROXIES:
                patch.delenv(name)
        patch.setenv("DOCKER_CONFIG", str(folder / "docker"))
        patch.setenv("REGISTRY_AUTH_FILE", str(folder / "podman-auth.json"))
        patch.setenv("BUILDR_AUTH_FILE", str(folder / "auth.json"))
        patch.setenv("BUILDR_STORE", str(folder / "store"))
        patch.setenv("BUILDR_DATA", str(folder / "data"))
        if TEST_CACHE:
            patch.setenv("BUILDR_TEST_CACHE", TEST_CACHE)
        yield folder
