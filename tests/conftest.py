"""What every test gets: an environment without this machine's engines, logins and proxies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ("tests.engines.fixtures",)

TEST_CACHE = os.environ.get("BUILDR_TEST_CACHE")
_PROXIES = {"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}


_WITHOUT_ENGINES = ("tests/unit/", "tests/fuzz/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep in one process what asks an engine: one of each is started, and two dockerd would disturb each other."""
    from xdist.scheduler import LoadScopeScheduling

    class ByEngines(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.partition("::")[0] if nodeid.startswith(_WITHOUT_ENGINES) else "engines"

    return ByEngines(config, log)


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
        if TEST_CACHE:
            patch.setenv("BUILDR_TEST_CACHE", TEST_CACHE)
        yield folder
