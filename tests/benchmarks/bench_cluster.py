"""Runs in a cluster against the bare client's: the first line, a sweep, and many indexes followed.

Run: ``python -m tests.benchmarks.bench_cluster [ROW[=COUNT] …]``, with fewer indexes where ``COUNT`` says so. It starts the cluster and the registry that it needs. The
bounds are ratios of medians of interleaved rounds of one run. The bare Job has the same image, program and Pod Security
(``restricted``), one container and no volume:

    line     from the accepted image to the first line of the log: at most 1.15 times the same program in a Job that
             the official client makes and ``kubectl logs -f`` follows
    sweep    100 indexes, ten at a time: at most 1.1 times the bare Indexed Job, watched to its end
    silent   the same where no file is to come back (``--no-collect``), so that each pod has one container, too
    indexes  500 real indexes of a program that ends at once: one watch, at most 2 requests a second while nothing
             changes, at most 60 MB of memory more
    fake     5,000 indexes of a cluster in memory: the same
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from kubernetes import client, config

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.cluster.client import ClusterClient
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import RunOutput
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Collection, ImageProgram, Push, RunSpec
from buildr_jupyter.oci.store import Store
from buildr_jupyter.runner.following import iter_grid
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from buildr_jupyter.runner.protocol import PointEnd
from tests.engines import Engines, EngineStartError
from tests.engines.kubernetes import Cluster
from tests.fakes.cluster import FakeCluster
from tests.integration.oci_images import build, request_for

LINE, SWEEP, PER_SECOND, MEGABYTES = 1.15, 1.1, 2.0, 60.0
ROUNDS, SWEEP_ROUNDS, REST_S = 7, 3, 20.0
CODE = "print('first', flush=True)"
PROGRAM = ImageProgram(("python", "main.py"), "/app", "/app/output")


class World:
    """A cluster with a namespace, and an image of this interpreter that runs the Python text that it is given."""

    def __init__(self, engines: Engines, folder: Path) -> None:
        registry = engines.registry_http()
        self.cluster: Cluster = engines.kubernetes()
        os.environ["KUBECONFIG"] = str(self.cluster.kubeconfig)
        settings = client.Configuration()
        config.load_kube_config(str(self.cluster.kubeconfig), client_configuration=settings, persist_config=False)
        self.api = client.ApiClient(settings)
        self.namespace = f"bench-{secrets.token_hex(4)}"
        core = client.CoreV1Api(self.api)
        core.create_namespace({"metadata": {"name": self.namespace}})
        while not core.list_namespaced_service_account(self.namespace).items:
            time.sleep(0.1)
        main = FileEntry.from_bytes("app/main.py", b"import sys\nexec(compile(sys.argv[1], 'code', 'exec'))\n")
        plan = ImagePlan(base="kernel", python=f"{sys.version_info.major}.{sys.version_info.minor}", files=(main,))
        ref = f"{registry.host}/bench/program:1"
        with contextlib.closing(OciBuilder(store=Store(folder / "store"))) as made:
            _, result = build(made, request_for(plan, folder, Push(ImageRef.parse(ref)), name=ref))
        self.image = f"{registry.host}/bench/program@{result.digest}"

    def runner(self) -> KubernetesRunner:
        return KubernetesRunner(f"kubernetes=/{self.namespace}")

    def job(self, **spec: Any) -> str:
        """Make a bare Job of the program, in a pod as restricted as ours, and return its name."""
        name = f"bare-{secrets.token_hex(4)}"
        security = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        main = {"name": "main", "image": self.image, "args": [CODE], "securityContext": security}
        restricted = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False}
        pod |= {"securityContext": restricted, "containers": [main]}
        body = {"backoffLimit": 0, "template": {"spec": pod}, **spec}
        client.BatchV1Api(self.api).create_namespaced_job(self.namespace, {"metadata": {"name": name}, "spec": body})
        return name

    def remove(self, name: str) -> None:
        """Delete a bare Job, and return when its pods are gone."""
        batch, core = client.BatchV1Api(self.api), client.CoreV1Api(self.api)
        batch.delete_namespaced_job(name, self.namespace, propagation_policy="Foreground")
        while core.list_namespaced_pod(self.namespace, label_selector=f"job-name={name}").items:
            time.sleep(0.1)


def bare_line(world: World) -> float:
    """Return the seconds until the bare Job's first line is here."""
    began = time.perf_counter()
    name = world.job()
    follow = [*world.cluster.kubectl, "-n", world.namespace, "logs", "-f", f"job/{name}", "--pod-running-timeout=60s"]
    while True:  # kubectl gives up where the container is being made, and where the pod is not there yet
        with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
        if line:
            break
    took = time.perf_counter() - began
    world.remove(name)
    return took


def our_line(world: World) -> float:
    """Return the seconds until the first line of a run is told."""
    runner = world.runner()
    began = time.perf_counter()
    spec = RunSpec(world.image, "bench", (CODE,), program=PROGRAM)
    took = 0.0
    for event in runner.stream_run(spec, CancelToken()):
        if isinstance(event, RunOutput) and not took:
            took = time.perf_counter() - began
    return took


def bare_sweep(world: World, count: int) -> float:
    """Return the seconds until a bare Indexed Job is complete."""
    from kubernetes import watch

    began = time.perf_counter()
    name = world.job(completions=count, parallelism=10, completionMode="Indexed")
    watching, batch = watch.Watch(), client.BatchV1Api(world.api)
    for event in watching.stream(batch.list_namespaced_job, world.namespace, field_selector=f"metadata.name={name}"):
        if event["object"].status.completion_time:
            watching.stop()
    took = time.perf_counter() - began
    world.remove(name)
    return took


def our_sweep(world: World, count: int, *, silent: bool = False) -> float:
    """Return the seconds until all points of a grid have ended; their files are not brought."""
    runner = world.runner()
    began = time.perf_counter()
    with grid(world, runner, count, silent=silent) as group:
        ended = [told for told in runner.follow_grid(group, count, CancelToken()) if _is_end(told)]
        took = time.perf_counter() - began
    assert [told.phase for told in ended] == ["done"] * count, ended
    return took


def _is_end(told: object) -> bool:
    return isinstance(told, PointEnd) and told.result is not None


@contextlib.contextmanager
def grid(
    world: World, runner: KubernetesRunner, count: int, code: str = CODE, *, silent: bool = False
) -> Iterator[Any]:
    """Start a grid, ten points at a time; remove it at the end."""
    program = replace(PROGRAM, gives_values=not silent)
    specs = [
        RunSpec(
            world.image, "grid", (code,), program=program, collect=Collection(nothing=silent),
            environment=(("BUILDR_PARAMS", json.dumps({"n": n})),),
        )
        for n in range(count)
    ]  # fmt: skip
    group = drain(runner.start_grid(specs, [f"{n:064d}" for n in range(count)], 10, CancelToken()))
    try:
        yield group
    finally:
        runner.remove(group)


class Counted:
    """A client that counts what is asked through it."""

    def __init__(self, inner: ClusterClient) -> None:
        self._inner = inner
        self.requests: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("list", "get", "watch", "read_log", "apply", "patch", "delete"):
            return found

        def asked(*words: Any, **more: Any) -> Any:
            self.requests.append(name)
            return found(*words, **more)

        return asked


def memory_mb() -> float:
    """Return the resident memory of this process."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000


def followed(
    counted: Counted, job: str, count: int, end_last: Callable[[], None] = lambda: None
) -> tuple[float, float, int]:
    """Follow a Job to its end; return the requests a second at rest, the megabytes more, and the watches.

    It rests while all but the last of its indexes have ended; ``end_last`` is called some time after that.
    """
    before, over = memory_mb(), 0
    most, since, asked = before, 0.0, 0
    for told in iter_grid(counted, job, count, CancelToken()):  # type: ignore[arg-type]
        if isinstance(told, BuildWarning) or not told[2].is_over:
            continue
        over += 1
        if over % 100 == 0:
            most = max(most, memory_mb())
        if over == count - 1:
            since, asked = time.perf_counter(), len(counted.requests)
            threading.Timer(REST_S, end_last).start()
    rested = time.perf_counter() - since
    assert over == count
    assert rested > REST_S / 2, f"it rested for {rested:.1f} s only"
    per_second = (len(counted.requests) - asked) / rested
    return per_second, max(most, memory_mb()) - before, counted.requests.count("watch")


def report(name: str, found: tuple[float, float, int]) -> bool:
    per_second, megabytes, watches = found
    good = per_second <= PER_SECOND and megabytes <= MEGABYTES
    print(
        f"{name:24} {per_second:6.2f} requests/s at rest   {megabytes:6.1f} MB more   {watches} watches"
        f"   {'ok' if good else 'BROKEN'}",
        flush=True,
    )
    return good


def ratio(name: str, bound: float, bare: list[float], ours: list[float]) -> bool:
    first, second = statistics.median(bare), statistics.median(ours)
    good = second <= bound * first
    print(
        f"{name:24} bare {first:7.2f} s   ours {second:7.2f} s   {second / first:5.2f} (at most {bound})"
        f"   {'ok' if good else 'BROKEN'}",
        flush=True,
    )
    return good


def row_line(world: World, count: int) -> bool:
    rounds = [(bare_line(world), our_line(world)) for _ in range(count + 1)][1:]
    return ratio("first line", LINE, [one for one, _ in rounds], [one for _, one in rounds])


def row_sweep(world: World, count: int) -> bool:
    rounds = [(bare_sweep(world, count), our_sweep(world, count)) for _ in range(SWEEP_ROUNDS)]
    return ratio(f"sweep of {count}", SWEEP, [one for one, _ in rounds], [one for _, one in rounds])


def row_silent(world: World, count: int) -> bool:
    rounds = [(bare_sweep(world, count), our_sweep(world, count, silent=True)) for _ in range(SWEEP_ROUNDS)]
    return ratio(f"silent sweep of {count}", SWEEP, [one for one, _ in rounds], [one for _, one in rounds])


def row_indexes(world: World, count: int) -> bool:
    runner = world.runner()
    counted = Counted(runner.connected())
    code = f"import os, time; time.sleep({REST_S} if os.environ['JOB_COMPLETION_INDEX'] == '{count - 1}' else 0)"
    with grid(world, runner, count, code) as group:
        return report(f"{count} real indexes", followed(counted, group.runs[0], count))


def row_fake(count: int) -> bool:
    """Pods of a fake cluster, as the API has them; none of them runs."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = FakeCluster(Path(folder))
        about = {"name": "grid", "uid": "u"}
        cluster.objects["Job", "grid"] = {"kind": "Job", "metadata": about, "spec": {}}
        pods = [
            {
                "kind": "Pod",
                "metadata": {
                    "name": f"grid-{n}", "uid": f"u{n}",
                    "labels": {
                        "batch.kubernetes.io/job-name": "grid",
                        "batch.kubernetes.io/job-completion-index": str(n),
                    },
                },
                "spec": {"nodeName": "node", "containers": [{"name": "program"}]},
                "status": {"phase": "Running", "containerStatuses": [{"name": "program", "state": {"running": {}}}]},
            }
            for n in range(count)
        ]  # fmt: skip
        with cluster._moved:
            for pod in pods:
                cluster._put("ADDED", pod)

        def end(*ending: dict[str, Any]) -> None:
            state = {"terminated": {"exitCode": 0}}
            status = {"phase": "Succeeded", "containerStatuses": [{"name": "program", "state": state}]}
            for pod in ending:
                with cluster._moved:
                    cluster._put("MODIFIED", {**pod, "status": status})

        threading.Thread(target=end, args=pods[:-1]).start()
        found = followed(Counted(cluster), "grid", count, lambda: end(pods[-1]))
        return report(f"{count:,} indexes (fake)", found)


ROWS: dict[str, tuple[Callable[[World, int], bool], int]] = {
    "line": (row_line, ROUNDS), "sweep": (row_sweep, 100), "silent": (row_silent, 100), "indexes": (row_indexes, 500),
}  # fmt: skip
FAKE = 5000


def main(words: list[str]) -> int:
    """Print the rows; return 1 where a bound is broken, or a row is none."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is taken down
    wanted = {name: int(count or 0) for name, _, count in (word.partition("=") for word in words)}
    if wrong := [name for name in wanted if name not in (*ROWS, "fake")]:
        print(f"no such row: {wrong[0]}; there are {', '.join((*ROWS, 'fake'))}")
        return 1
    wanted = wanted or dict.fromkeys((*ROWS, "fake"), 0)
    good = row_fake(wanted["fake"] or FAKE) if "fake" in wanted else True
    real = [name for name in ROWS if name in wanted]
    if not real:
        return 0 if good else 1
    with Engines() as engines, tempfile.TemporaryDirectory() as folder:
        try:
            world = World(engines, Path(folder))
        except EngineStartError as error:
            print(f"left out: {', '.join(real)}: {error}")
            return 0 if good else 1
        for name in real:
            row, usual = ROWS[name]
            good = row(world, wanted[name] or usual) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
