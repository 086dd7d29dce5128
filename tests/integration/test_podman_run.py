"""What podman built is run by podman: its images are in no other engine."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from buildr_jupyter.builder.podman import service
from tests.engines import Engines, containers
from tests.engines.fixtures import _or_skip
from tests.engines.registry import Registry
from tests.integration.builders import World
from tests.integration.test_buildah_builder import working_containers
from tests.integration.test_builder_contract import world
from tests.integration.test_docker_pipeline import cli_run, notebook

__all__ = ["world"]


def test_a_program_is_built_and_run(
    world: World, engines: Engines, registry_http: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _or_skip("podman", engines.containers)
    registries = containers.registries(tmp_path / "registries.conf", insecure=[registry_http.host])
    settings = {"CONTAINERS_REGISTRIES_CONF": str(registries), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    for name, value in {**made.environment, **settings, "DOCKER_HOST": "unix:///not/there.sock"}.items():
        monkeypatch.setenv(name, value)
    text = "%%containerize ran\nimport os\nfrom pathlib import Path\nprint('by podman')\n_ = Path(os.environ['BUILDR_OUTPUT_DIR'], 'made.txt').write_text('1')\n_ = Path('beside.txt').write_text('2')"
    path = notebook(tmp_path, text)
    status, out, err = cli_run(["build", str(path), "--builder", "podman", "--base", world.base, "--run", "--json"])
    assert status == 0, err
    record = json.loads(out)
    made_here = tmp_path / "output" / "ran" / "1"
    outputs = [{"path": str(made_here / name), "bytes": 1} for name in ("beside.txt", "made.txt")]
    said = {"exit_code": 0, "stdout_tail": "by podman\n", "log_tail": ["by podman"], "returned": []}
    assert record["run"] == {**said, "folder": str(made_here), "outputs": outputs}
    assert (made_here / "made.txt").read_text() == "1"
    failing = notebook(tmp_path, "%%containerize ran\nraise SystemExit(7)", name="failing.ipynb")
    status, out, _ = cli_run(["build", str(failing), "--builder", "podman", "--base", world.base, "--run", "--json"])
    assert status == 1
    assert "ended with status 7" in json.loads(out)["error"]["message"]
    assert os.environ["DOCKER_HOST"] == "unix:///not/there.sock"


def test_a_build_that_breaks_off_leaves_no_working_container(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _or_skip("podman", engines.containers)
    for name, value in {**made.environment, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG"):  # a file that is named must be there
        monkeypatch.delenv(name)
    store = made.folder / "store"
    before = working_containers(store)
    waiting = service.own()  # of this process too, and it may stay
    with pytest.raises(KeyboardInterrupt), service.leased():
        subprocess.run(["buildah", "from", "scratch"], check=True, stdout=subprocess.PIPE)  # as a build makes one
        assert len(working_containers(store)) == len(before) + 1
        raise KeyboardInterrupt
    assert working_containers(store) == before
    assert waiting is service.own()
