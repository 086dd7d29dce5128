"""The seed's decorator on the real cluster: how often its program runs there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kubernetes import watch

from tests.engines.kubernetes import Cluster
from tests.engines.registry import Registry
from tests.integration.cluster.bare import Bare

SCRIPT = """
from buildr_jupyter import Containerize

@Containerize(
    package={"name": "again", "repository": "REPOSITORY", "publish": True, "builder": "oci", "quiet": True},
    runtime={"executor": "metaparticle", "jobSpec": {"iterations": 3}},
)
def main():
    print("ran")

if __name__ == "__main__":
    made = main()
    if made is not None:  # in the image it is the function that was called
        print([(run.state, run.reason, run.log_tail) for run in made.sweep])
"""


def test_iterations_are_the_completions_of_one_job(
    bare: Bare, kubernetes_cluster: Cluster, registry_http: Registry, program_image: str, tmp_path: Path
) -> None:
    script, config = tmp_path / "again.py", tmp_path / "kubeconfig"
    script.write_text(SCRIPT.replace("REPOSITORY", f"{registry_http.host}/decorator"))
    text = kubernetes_cluster.kubeconfig.read_text()
    config.write_text(text.replace('"user": "tests"}', f'"user": "tests", "namespace": "{bare.namespace}"}}'))
    before = bare.batch.list_namespaced_job(bare.namespace).metadata.resource_version
    environment = {
        **os.environ,
        "KUBECONFIG": str(config),
        "DOCKER_HOST": "unix:///nowhere/docker.sock",
        "BUILDR_BASE": f"{registry_http.host}/tests/program:1",
        "BUILDR_DATA": str(tmp_path / "data"),
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{[('done', '', ())] * 3}\n"), done.stderr
    made = [
        change["object"].spec
        for change in watch.Watch().stream(
            bare.batch.list_namespaced_job, bare.namespace, resource_version=before, timeout_seconds=3
        )
        if change["type"] == "ADDED"
    ]
    assert [(one.completions, one.completion_mode) for one in made] == [(3, "Indexed")]
    assert bare.list(bare.batch.list_namespaced_job) == []
