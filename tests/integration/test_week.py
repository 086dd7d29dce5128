"""The week of docs/howto/week.md, block by block: cells in a kernel, commands in a shell, a registry with a login."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.dockerd import Dockerd
from tests.engines.registry import Registry
from tests.integration.kernels import client_in, run_cell
from tests.integration.test_document_blocks import blocks, commands

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "week.md"
DATA = "area,price\n" + "".join(f"{number / 4},{number / 2}\n" for number in range(1, 9))


@pytest.fixture
def environment(docker_engine: Dockerd, base_image: str, registry_tls: Registry, tmp_path: Path) -> dict[str, str]:
    assert registry_tls.ca
    trusted = tmp_path / "config" / "docker" / "certs.d" / registry_tls.host / "ca.crt"
    trusted.parent.mkdir(parents=True)
    trusted.write_bytes(registry_tls.ca.read_bytes())
    return {
        **{name: text for name, text in os.environ.items() if name != "JPY_SESSION_NAME"},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DOCKER_HOST": docker_engine.host,
        "BUILDR_BUILDER": "oci",
        "BUILDR_BASE": base_image,
        "BUILDR_STORE": str(tmp_path / "store"),
        "BUILDR_DATA": str(tmp_path / "user"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "DOCKER_CONFIG": str(tmp_path / "login"),
    }


def test_a_week(environment: dict[str, str], registry_tls: Registry, tmp_path: Path) -> None:
    (tmp_path / "work" / "data").mkdir(parents=True)
    (tmp_path / "work" / "data" / "prices.csv").write_text(DATA)
    (tmp_path / "work" / "pyproject.toml").touch()
    folder = tmp_path / "work" / "notebooks"
    folder.mkdir()
    (folder / "password").write_text(registry_tls.password or "")
    printed: list[str] = []
    with client_in(folder, environment) as client:
        for block in blocks(PAGE, ""):
            block = block.replace("ghcr.io", registry_tls.host).replace("-u me", f"-u {registry_tls.user}")
            for command, _ in commands(block):
                if "buildr run" in command:  # the colleague's machine has none of it
                    environment["BUILDR_STORE"] = str(tmp_path / "colleague")
                done = subprocess.run(
                    ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
                printed.append(done.stdout)
            if not block.startswith("$ "):
                printed.append(run_cell(client, block, timeout_s=600))
        slope = run_cell(client, "round(slope, 2)")
    assert slope == "2.0\n"
    assert "slope 2.0\n" in printed[-2]
    assert "removed" in printed[-1]
    report = folder / "output" / "report" / "1"
    assert sorted(path.name for path in report.iterdir()) == ["figure-1.png", "report.csv"]
    assert (report / "figure-1.png").read_bytes()[:4] == b"\x89PNG"
    assert "count" in (report / "report.csv").read_text()
    assert "0\n" in printed
