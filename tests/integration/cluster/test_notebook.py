"""The notebook of the repository that runs on a cluster."""

from __future__ import annotations

import os
from pathlib import Path

from tests.engines.kubernetes import Cluster
from tests.engines.registry import Registry
from tests.integration.cluster.bare import Bare
from tests.integration.notebooks import ON_THE_CLUSTER, run_notebook


def test_the_notebook_runs(
    bare: Bare, kubernetes_cluster: Cluster, registry_http: Registry, program_image: str, tmp_path: Path
) -> None:
    """As on a laptop without an engine: the image is made there, on a base of the registry."""
    config = tmp_path / "kubeconfig"
    text = kubernetes_cluster.kubeconfig.read_text()
    config.write_text(text.replace('"user": "tests"}', f'"user": "tests", "namespace": "{bare.namespace}"}}'))
    run_notebook(
        ON_THE_CLUSTER,
        {
            **os.environ,
            "KUBECONFIG": str(config),
            "DOCKER_HOST": "unix:///nowhere/docker.sock",
            "BUILDR_BASE": f"{registry_http.host}/tests/program:1",
            "BUILDR_REPOSITORY": f"{registry_http.host}/notebook",
            "BUILDR_DATA": str(tmp_path / "data"),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "PYTHONWARNINGS": "ignore",
        },
    )
    assert bare.list(bare.batch.list_namespaced_job) == []
