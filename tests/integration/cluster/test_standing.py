"""What stays in the real cluster: a service that answers, and a schedule that the cluster takes."""

from __future__ import annotations

import pytest
from kubernetes.client.exceptions import ApiException

from buildr_jupyter.errors import ClusterRefused
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.request import PortBinding, RunSpec, Standing
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.engines.kubernetes import Cluster
from tests.integration.cluster.bare import Bare

SERVER = (
    "import os\nfrom http.server import *\n"
    "class H(BaseHTTPRequestHandler):\n"
    "    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(os.environ['SAID'].encode())\n"
    "ThreadingHTTPServer(('', 8080), H).serve_forever()"
)


@pytest.fixture
def runner(bare: Bare, kubernetes_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> KubernetesRunner:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
    return KubernetesRunner(f"kubernetes=/{bare.namespace}")


def test_a_service_answers_and_is_changed_in_place(runner: KubernetesRunner, program_image: str, bare: Bare) -> None:
    for said in ("first", "second"):
        spec = RunSpec(
            program_image, "buildr-web", (SERVER,), environment=(("SAID", said),), ports=(PortBinding(8080, 80),),
            standing=Standing(replicas=1),
        )  # fmt: skip
        group = drain(runner.deploy(spec, CancelToken()))
        # Pods of the first roll-out may still be ending: the Service sends to those that are ready.
        bare.until(lambda said=said: asked(bare) == said)  # type: ignore[misc]
    assert [one.runs for one in runner.list()] == [("Deployment/buildr-web",)]
    runner.remove(group)
    assert runner.list() == []


def test_each_shard_knows_which_it_is(runner: KubernetesRunner, program_image: str, bare: Bare) -> None:
    server = SERVER.replace("os.environ['SAID']", 'f\'{os.environ["SHARD_INDEX"]} of {os.environ["SHARD_COUNT"]}\'')
    spec = RunSpec(
        program_image, "buildr-web", (server,), ports=(PortBinding(8080, 80),), standing=Standing(shards=2)
    )  # fmt: skip
    group = drain(runner.deploy(spec, CancelToken()))
    answers = set()

    def look() -> bool:
        answers.add(asked(bare))
        return answers >= {"0 of 2", "1 of 2"}

    bare.until(look)
    assert [one.runs for one in runner.list()] == [("StatefulSet/buildr-web",)]
    runner.remove(group)
    assert runner.list() == []
    assert bare.list(bare.core.list_namespaced_service) == []


def asked(bare: Bare) -> str:
    """Return what the service says, through the API server's proxy; nothing while that knows no pod of it."""
    try:
        answer = bare.core.connect_get_namespaced_service_proxy_with_path("buildr-web:80", bare.namespace, "/")
    except ApiException as error:
        if error.status not in (500, 502, 503):
            raise
        return ""
    return str(answer)


def test_a_schedule_is_taken_and_a_wrong_one_refused(runner: KubernetesRunner, program_image: str, bare: Bare) -> None:
    standing = Standing(schedule="0 6 * * *", timezone="Europe/Berlin")
    spec = RunSpec(program_image, "buildr-nightly", ("print(1)",), environment=(("A", "1"),), standing=standing)
    group = drain(runner.deploy(spec, CancelToken()))
    (made,) = bare.list(bare.batch.list_namespaced_cron_job)
    assert (made["spec"]["schedule"], made["spec"].get("suspend", False)) == ("0 6 * * *", False)
    runner.remove(group)
    with pytest.raises(ClusterRefused, match="schedule"):
        drain(runner.deploy(RunSpec(program_image, "bad", standing=Standing(schedule="99 6 * * *")), CancelToken()))
    assert runner.list() == []
