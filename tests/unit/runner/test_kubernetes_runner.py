"""KubernetesRunner on the fake cluster: the contract of runners, and what goes wrong in a cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import ClusterForbidden, ClusterUnavailable, OptionError, ReturnError, RunError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import RunOutput
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import (
    ClusterPlacement,
    Collection,
    ImageProgram,
    Mount,
    PortBinding,
    RunSpec,
    Standing,
)
from buildr_jupyter.runner import kubernetes_runner
from buildr_jupyter.runner.frames import asking, stream_unframed
from buildr_jupyter.runner.grid import Point
from buildr_jupyter.runner.kubernetes_runner import COLLECTED_S, KubernetesRunner
from buildr_jupyter.runner.protocol import PointEnd
from buildr_jupyter.runner.selection import select
from buildr_jupyter.runner.sweep import Sweep, Task
from tests.fakes.cluster import FakeCluster, FakeImage, until
from tests.fakes.registry import FakeRegistry
from tests.runner_contract import RunnerContract, Subject, collected, text_of

IMAGE = f"registry.example/app@sha256:{'a' * 64}"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[FakeCluster]:
    made = FakeCluster(tmp_path / "pods")
    made.images[IMAGE] = FakeImage()
    yield made
    until(lambda: not made.pods())


@pytest.fixture
def subject(cluster: FakeCluster) -> Subject:
    return Subject(lambda: KubernetesRunner(client=cluster), IMAGE)


class TestContract(RunnerContract):
    pass


def ours(cluster: FakeCluster, place: Path, code: str, **options: Any) -> RunSpec:
    """Return how a program is run of an image that buildr made."""
    folder = place / "image"
    folder.mkdir(exist_ok=True)
    (folder / "main.py").write_text(code)
    cluster.images[IMAGE] = FakeImage((), folder)
    program = ImageProgram(("python", "main.py"), "/app", "/app/output")
    return RunSpec(IMAGE, "ours", program=program, **options)


# -- what breaks on the way


def test_a_log_that_breaks_off_goes_on_where_it_was(subject: Subject, cluster: FakeCluster) -> None:
    cluster.faults.cut_logs = [40, 41, 100, 1000, 1001, 5000]
    cluster.faults.empty_logs = 2
    events, _ = subject.run("import time\nfor i in range(300):\n    print('line', i)\n    time.sleep(0.001)")
    assert text_of(events) == "".join(f"line {i}\n" for i in range(300))


def test_watches_that_break_and_expire(subject: Subject, cluster: FakeCluster) -> None:
    cluster.faults.cut_watches, cluster.faults.expired_watches = 3, 2
    events, ended = subject.run("print(1)")
    assert (text_of(events), ended.exit_code) == ("1\n", 0)


def test_a_clock_that_is_wrong(subject: Subject, cluster: FakeCluster) -> None:
    cluster.faults.skew = timedelta(hours=-5)
    cluster.faults.cut_logs = [60]
    events, ended = subject.run("for i in range(10): print(i)")
    assert text_of(events) == "".join(f"{i}\n" for i in range(10))
    assert 0 <= ended.duration_s < 600


def test_a_right_that_is_missing_is_named(subject: Subject, cluster: FakeCluster) -> None:
    cluster.faults.denied = {("patch", "jobs")}
    with pytest.raises(ClusterForbidden, match=r"may not patch jobs in namespace 'default'"):
        subject.run("print(1)")


def test_no_right_to_read_logs_leaves_no_job(subject: Subject, cluster: FakeCluster) -> None:
    cluster.faults.denied = {("get", "pods/log")}
    with pytest.raises(ClusterForbidden, match="pods/log"):
        subject.run("print(1)")
    assert not cluster.objects


def test_a_secret_that_is_refused_leaves_no_job(subject: Subject, cluster: FakeCluster) -> None:
    cluster.faults.denied = {("patch", "secrets")}
    with pytest.raises(ClusterForbidden, match="secrets"):
        subject.run("print(1)", environment=(("A", "1"),))
    assert not cluster.objects


def test_a_cluster_that_is_away_at_the_end_keeps_the_run(
    subject: Subject, cluster: FakeCluster, tmp_path: Path
) -> None:
    stream = subject.make().stream_run(
        ours(cluster, tmp_path, "print(1); open('output/x', 'w').close()", output_dir=tmp_path / "out"), CancelToken()
    )
    with pytest.raises(ClusterUnavailable, match="was left there") as raised:
        for event in stream:
            if isinstance(event, RunOutput):
                cluster.faults.answers += [("list", 503)] * 2
    runner = subject.make()
    cluster.faults.answers.clear()
    (group,) = runner.list()
    assert raised.value.hint == f"fetch them once it answers: buildr runs values {group.runs[0]} --on kubernetes"
    written = drain(runner.collect(group.runs[0], tmp_path / "later", CancelToken()))
    assert [path.name for path in written] == ["x"]
    runner.remove(group)


# -- why it does not run


def test_an_image_that_is_not_there(subject: Subject, cluster: FakeCluster) -> None:
    cluster.images.clear()
    with pytest.raises(RunError, match=r"cannot start: ImagePullBackOff.*not found") as caught:
        subject.run("print(1)")
    assert "--registry-alias" in str(caught.value.hint)


def test_no_node_has_room(subject: Subject, cluster: FakeCluster) -> None:
    cluster.memory_bytes = 1 << 20
    cancel, said = CancelToken(), []
    stream = KubernetesRunner(client=cluster).stream_run(subject.spec("print(1)", memory_bytes=1 << 30), cancel)
    for event in stream:
        if isinstance(event, BuildWarning):
            said.append(event)
            break
    stream.close()
    assert "no node has enough memory" in said[0].text
    assert "--memory" in str(said[0].hint)


def test_out_of_memory_is_said_with_its_limit(subject: Subject) -> None:
    events, ended = subject.run("import os; os.kill(os.getpid(), 9)", memory_bytes=32 << 20)
    assert ended.exit_code == 137
    (said,) = [event for event in events if isinstance(event, BuildWarning)]
    assert ("32 MiB" in said.text, said.hint) == (True, "give it more with --memory")


def test_an_eviction_is_a_failure_with_its_reason(subject: Subject, cluster: FakeCluster) -> None:
    stream = KubernetesRunner(client=cluster).stream_run(
        subject.spec("import time; print('up', flush=True); time.sleep(600)"), CancelToken()
    )
    with pytest.raises(RunError, match=r"Evicted: The node was low on resource"):
        for event in stream:
            if isinstance(event, RunOutput):
                cluster.evict(cluster.pods()[0])


def test_a_pod_that_somebody_deletes_is_lost(subject: Subject, cluster: FakeCluster) -> None:
    stream = KubernetesRunner(client=cluster).stream_run(
        subject.spec("import time; print('up', flush=True); time.sleep(600)"), CancelToken()
    )
    with pytest.raises(RunLost, match="was deleted"):
        for event in stream:
            if isinstance(event, RunOutput):
                cluster.delete("Pod", cluster.pods()[0])


# -- what is made


def test_secret_values_are_in_the_secret_alone(subject: Subject, cluster: FakeCluster) -> None:
    runner = KubernetesRunner(client=cluster)
    group = drain(runner.start(subject.spec("print(1)", environment=(("TOKEN", "sesame"),)), CancelToken()))
    job, secret = cluster.get("Job", group.runs[0]), cluster.get("Secret", group.runs[0])
    assert "sesame" not in json.dumps(job)
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert job["spec"]["suspend"] is False
    drain(runner.follow(group, CancelToken()))
    runner.remove(group)
    assert not cluster.objects


def test_a_list_tells_which_files_a_run_can_still_give(subject: Subject, cluster: FakeCluster) -> None:
    runner = KubernetesRunner(client=cluster)
    tables = Collection(("*.csv", "/tmp/*"))
    group = drain(runner.start(subject.spec("print(1)", collect=tables), CancelToken()))
    assert [one.collects for one in runner.list()] == [tables]
    del cluster.objects["Job", group.runs[0]]["metadata"]["annotations"]["io.buildr.collect"]
    assert [one.collects for one in runner.list()] == [Collection()]
    runner.remove(group)


def test_time_to_live_begins_when_the_outputs_are_here(subject: Subject, cluster: FakeCluster, tmp_path: Path) -> None:
    runner = KubernetesRunner(client=cluster)
    group = drain(runner.start(subject.spec("print(1)"), CancelToken()))
    drain(runner.follow(group, CancelToken()))
    assert cluster.get("Job", group.runs[0])["spec"]["ttlSecondsAfterFinished"] == 7 * 86400
    drain(runner.collect(group.runs[0], tmp_path / "out", CancelToken()))
    assert cluster.get("Job", group.runs[0])["spec"]["ttlSecondsAfterFinished"] == COLLECTED_S
    runner.remove(group)


def test_a_program_of_ours_works_in_a_copy_of_its_folder(
    subject: Subject, cluster: FakeCluster, tmp_path: Path
) -> None:
    folder = tmp_path / "image"
    (folder / "output").mkdir(parents=True)
    (folder / "main.py").write_text(
        "import os; open('new', 'w').write('1'); open('output/x', 'w').write('2'); print(sorted(os.listdir()))\n"
        "print(os.environ['BUILDR_OUTPUT_DIR'] == os.path.abspath('output'), os.environ['LINES'])"
    )
    cluster.images[IMAGE] = FakeImage((), folder)
    spec = RunSpec(
        IMAGE, "ours", output_dir=tmp_path / "out",
        program=ImageProgram(("python", "main.py"), "/app", "/app/output", (("LINES", "a\nb"),)),
    )  # fmt: skip
    events, ended = collected(KubernetesRunner(client=cluster).stream_run(spec, CancelToken()))
    assert text_of(events) == "['main.py', 'new', 'output']\nTrue a\nb\n"
    assert (tmp_path / "out" / "x").read_text() == "2"
    assert ended.outputs == (tmp_path / "out" / "new", tmp_path / "out" / "x")
    assert sorted(path.name for path in folder.iterdir()) == ["main.py", "output"]


@pytest.mark.parametrize(("end", "status"), [("sys.exit(7)", 7), ("os.kill(os.getpid(), 9)", 137)])
def test_what_a_program_that_fails_has_written_comes_back(
    subject: Subject, cluster: FakeCluster, tmp_path: Path, end: str, status: int
) -> None:
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "main.py").write_text(f"import os, sys; open('output/log.txt', 'w').write('so far'); {end}")
    cluster.images[IMAGE] = FakeImage((), folder)
    program = ImageProgram(("python", "main.py"), "/app", "/app/output")
    spec = RunSpec(IMAGE, "ours", output_dir=tmp_path / "out", program=program)
    _, ended = collected(subject.make().stream_run(spec, CancelToken()))
    assert (ended.exit_code, ended.outputs) == (status, (tmp_path / "out" / "log.txt",))
    assert (tmp_path / "out" / "log.txt").read_text() == "so far"


def test_a_collector_that_fails_does_not_hide_how_the_program_failed(
    subject: Subject, cluster: FakeCluster, tmp_path: Path
) -> None:
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "main.py").write_text("raise SystemExit(1)")
    cluster.images[IMAGE] = FakeImage((), folder)
    program = ImageProgram(("python", "main.py"), "/app", "/app/output")
    spec = RunSpec(IMAGE, "ours", output_dir=tmp_path / "out", program=program)
    cluster.faults.broken_frames = 2  # it is read once for what the pod keeps, and once more for what came
    events, ended = collected(subject.make().stream_run(spec, CancelToken()))
    assert (ended.exit_code, ended.outputs) == (1, ())
    (said,) = [event.text for event in events if isinstance(event, BuildWarning)]
    assert said.startswith("the run's output files came damaged")


def test_a_webhook_may_add_containers_of_its_own(subject: Subject, cluster: FakeCluster, tmp_path: Path) -> None:
    spec = ours(cluster, tmp_path, "print(open('/dev/null').read() + 'up')")
    cluster.faults.injected = ({"name": "mesh", "image": IMAGE, "command": ["python", "-c", "pass"]},)
    events, ended = collected(subject.make().stream_run(spec, CancelToken()))
    assert (text_of(events), ended.exit_code) == ("up\n", 0)
    group = drain(subject.make().start_grid([spec], ["a" * 64], 1, CancelToken()))
    subject.make().remove(group)


def test_a_program_that_failed_without_a_collector_beside_it_is_told_at_once(
    subject: Subject, cluster: FakeCluster, tmp_path: Path
) -> None:
    runner = subject.make()
    group = drain(runner.start(subject.spec("raise SystemExit(3)"), CancelToken()))
    assert drain(runner.follow(group, CancelToken()))[0].exit_code == 3
    with pytest.raises(ReturnError, match="no files come back"):
        drain(runner.collect(group.runs[0], tmp_path, CancelToken()))
    runner.remove(group)


def test_what_comes_back_is_what_the_line_names(subject: Subject, cluster: FakeCluster, tmp_path: Path) -> None:
    code = "import os; os.mkdir('plots')\nfor n in ('a.csv', 'plots/b.png', 'output/c.csv'): open(n, 'w').close()"
    wanted = {Collection(): ["a.csv", "c.csv", "plots/b.png"], Collection(("*.csv",)): ["a.csv", "c.csv"]}
    wanted |= {Collection(("plots/",)): ["plots/b.png"], Collection(nothing=True): []}
    for number, (collect, expected) in enumerate(wanted.items()):
        place = tmp_path / str(number)
        spec = ours(cluster, tmp_path, code, collect=collect, output_dir=place)
        if collect.nothing:
            assert spec.program is not None
            spec = replace(spec, program=replace(spec.program, gives_values=False))
        _, ended = collected(subject.make().stream_run(spec, CancelToken()))
        assert [str(path.relative_to(place)) for path in ended.outputs] == expected


def test_a_program_that_shows_objects_frames_them_without_a_secret(
    subject: Subject, cluster: FakeCluster, tmp_path: Path
) -> None:
    code = "import os, base64, json; print(os.environ['BUILDR_DISPLAYS'])\n"
    code += "code = base64.b64encode(json.dumps({'text/html': '<b>'}).encode()).decode()\n"
    code += "print('\\x1b]buildr;' + code + '\\x07bold\\x1b]buildr;\\x07')"
    spec = asking(ours(cluster, tmp_path, code))
    events, ended = collected(stream_unframed(subject.make().stream_run(spec, CancelToken())))
    shown = [(event.text, event.shown) for event in events if isinstance(event, RunOutput)]
    assert (shown, ended.stdout_tail) == ([("1\n", ""), ("bold", '{"text/html": "<b>"}'), ("\n", "")], "1\nbold\n")
    assert "patch secrets" not in cluster.requests


def through(registry: FakeRegistry, cluster: FakeCluster) -> str:
    """Return an image of that registry which the cluster has."""
    image = f"{registry.host}/team/app@sha256:{'b' * 64}"
    cluster.images[image] = cluster.images[IMAGE]
    return image


LARGE = "open('output/large', 'wb').write(bytes(6 << 20)); open('output/small', 'w').close()"


def test_what_is_larger_than_a_log_comes_through_the_registry(
    subject: Subject, cluster: FakeCluster, tmp_path: Path
) -> None:
    with FakeRegistry() as registry:
        spec = ours(cluster, tmp_path, LARGE, collect=Collection(registry=True), output_dir=tmp_path / "out")
        spec = replace(spec, image=through(registry, cluster))
        events, ended = collected(subject.make().stream_run(spec, CancelToken()))
        assert [path.name for path in ended.outputs] == ["large", "small"]
        assert ended.outputs[0].read_bytes() == bytes(6 << 20)
        assert ["from" in event.title for event in events if isinstance(event, StepUpdate)][-2] is True
        assert not [event for event in events if isinstance(event, BuildWarning)]
        assert not registry.manifests
        registry.deletes = False
        specs = [replace(spec, environment=(("BUILDR_PARAMS", "{}"),))]
        runner = subject.make()
        group = drain(runner.start_grid(specs, ["a" * 64], 1, CancelToken()))
        assert [told.phase for told in runner.follow_grid(group, 1, CancelToken()) if isinstance(told, PointEnd)][
            -1
        ] == "done"
        asked = len(cluster.requests)
        written = drain(runner.collect_point(group, 0, tmp_path / "0", CancelToken()))
        assert [path.name for path in written] == ["large", "small"]
        assert "list pods" not in cluster.requests[asked:]  # who saw the point end knows its pod
        again = drain(subject.make().collect_point(group, 0, tmp_path / "1", CancelToken()))
        assert [path.name for path in again] == ["large", "small"]
        assert "list pods" in cluster.requests[asked:]
        runner.remove(group)
        assert len(registry.manifests) == 2  # under its tag and its digest: the registry does not allow it
        registry.deletes = True
        group = drain(runner.start(replace(spec, name="later"), CancelToken()))
        drain(runner.follow(group, CancelToken()))
        (found,) = subject.make().list()
        kept = len(registry.manifests)
        subject.make().remove(found)
        assert len(registry.manifests) == kept - 2


def test_where_the_registry_takes_nothing_the_log_brings_what_fits(
    subject: Subject, cluster: FakeCluster, tmp_path: Path
) -> None:
    with FakeRegistry(denied="write") as registry:
        spec = ours(cluster, tmp_path, LARGE, collect=Collection(registry=True), output_dir=tmp_path / "out")
        spec = replace(spec, image=through(registry, cluster))
        events, ended = collected(subject.make().stream_run(spec, CancelToken()))
    assert [path.name for path in ended.outputs] == ["small"]
    said = [event.text for event in events if isinstance(event, BuildWarning)]
    assert "6,291,456 bytes stay in the cluster" in said[0]
    assert "were not pushed, and come through its log: Refused" in said[1]


def test_points_that_fail_leave_their_files(subject: Subject, cluster: FakeCluster, tmp_path: Path) -> None:
    code = "import json, os, sys; n = json.loads(os.environ['BUILDR_PARAMS'])['n']\n"
    code += "open('output/log', 'w').write(str(n)); sys.exit(n)"
    given = [Point({"n": n}, {"n": n}, ()) for n in range(3)]
    tasks = []
    for n, point in enumerate(given):
        spec = ours(cluster, tmp_path, code, environment=(("BUILDR_PARAMS", json.dumps({"n": n})),))
        tasks.append(Task(n, point, str(n) * 64, True, "", {}, spec))
    sweep = Sweep(subject.make, tmp_path / "data", None, IMAGE, IMAGE, jobs=2)
    results = drain(sweep.stream_grid(KubernetesRunner(client=cluster), tasks, 3, CancelToken()))
    assert [(one.state, one.exit_code) for one in results] == [("done", 0), ("failed", 1), ("failed", 2)]
    assert [[path.read_text() for path in one.outputs] for one in results] == [["0"], ["1"], ["2"]]


@pytest.mark.parametrize("status", [0, 4])
def test_a_program_that_closes_the_lock_is_told_that_its_files_may_be_incomplete(
    subject: Subject, cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(kubernetes_runner, "_NODE_S", 0.5)
    go_on = tmp_path / "go-on"

    def wait_for_the_collector() -> None:
        until(lambda: any(b"buildr-output end" in line for one in [*cluster._logs.values()] for line in [*one.log]))
        go_on.touch()

    waiting = threading.Thread(target=wait_for_the_collector)
    waiting.start()
    code = f"import os, time; os.closerange(3, 1000)\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.05)\n"
    code += f"time.sleep(1); open('output/late', 'w').close(); raise SystemExit({status})"
    stream = subject.make().stream_run(ours(cluster, tmp_path, code, output_dir=tmp_path / "out"), CancelToken())
    if not status:
        with pytest.raises(ReturnError, match="may be incomplete: the program closed the lock"):
            collected(stream)
    else:
        events, ended = collected(stream)
        assert (ended.exit_code, ended.outputs) == (4, ())
        (said,) = [event.text for event in events if isinstance(event, BuildWarning)]
        assert "may be incomplete" in said
    waiting.join()


def test_more_than_comes_through_a_log_is_told(subject: Subject, tmp_path: Path) -> None:
    code = (
        "import os; out = os.environ['BUILDR_OUTPUT_DIR']; os.makedirs(out + '/.buildr/returns')\n"
        "open(out + '/.buildr/returns/n.json', 'w').write('1'); open(out + '/large', 'wb').write(bytes(5 << 20))"
    )
    events, ended = subject.run(code, output_dir=tmp_path)
    assert ended.outputs == (tmp_path / ".buildr" / "returns" / "n.json",)
    assert ["5,242,880 bytes stay" in event.text for event in events if isinstance(event, BuildWarning)] == [True]


def test_what_a_cluster_cannot_have_is_refused(subject: Subject, tmp_path: Path) -> None:
    runner = subject.make()
    with pytest.raises(OptionError, match="the cluster does not see it"):
        drain(runner.start(subject.spec("", mounts=(Mount(tmp_path, "/data"),)), CancelToken()))
    with pytest.raises(OptionError, match="not in a registry by its digest"):
        drain(runner.start(RunSpec("registry.example/app:1", "x"), CancelToken()))
    with pytest.raises(OptionError, match="GPUs by their number"):
        drain(runner.start(subject.spec("", gpus="all"), CancelToken()))


def test_placement(subject: Subject, cluster: FakeCluster, tmp_path: Path) -> None:
    template = tmp_path / "pod.yaml"
    template.write_text(
        "kind: Pod\nspec:\n  priorityClassName: low\n  restartPolicy: Always\n"
        "  containers: [{name: main, workingDir: /tmp}]\n"
    )
    placement = ClusterPlacement(
        (("disk", "ssd"),), (("gpu", "", "NoSchedule"),), "runner", None, template, "regcred"
    )  # fmt: skip
    runner = subject.make()
    events, group = collected(runner.start(subject.spec("print(1)", placement=placement, cpus=0.5), CancelToken()))
    pod = cluster.get("Job", group.runs[0])["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("runner", [{"name": "regcred"}])
    assert (pod["priorityClassName"], pod["restartPolicy"]) == ("low", "Never")
    assert pod["initContainers"][0]["workingDir"] == "/tmp"
    assert pod["initContainers"][0]["resources"]["limits"] == {"cpu": "500m"}
    assert ["restartPolicy" in event.text for event in events if isinstance(event, BuildWarning)] == [True]
    drain(runner.follow(group, CancelToken()))
    runner.remove(group)


def test_a_long_name_with_an_underscore(subject: Subject, cluster: FakeCluster) -> None:
    runner = subject.make()
    group = drain(runner.start(subject.spec("print(1)", name="Long_" + "x" * 80), CancelToken()))
    assert len(group.runs[0]) <= 55
    assert [one.name for one in runner.list()] == ["Long_" + "x" * 80]
    drain(runner.follow(group, CancelToken()))
    runner.remove(group)


def test_it_is_chosen_by_name() -> None:
    assert isinstance(select("kubernetes=here/team-a"), KubernetesRunner)
    assert isinstance(select("metaparticle"), KubernetesRunner)
    made = KubernetesRunner("kubernetes=arn:aws:eks/mine/team")
    assert (made._context, made._namespace) == ("arn:aws:eks/mine", "team")
    with pytest.raises(OptionError, match="Unknown spec kubernetx"):
        select("kubernetx=a")
    with pytest.raises(OptionError, match="--on kubrnetes=a: this names no cluster") as caught:
        KubernetesRunner("kubrnetes=a")
    assert caught.value.hint == "write kubernetes if you meant that; name it as kubernetes=CONTEXT/NAMESPACE"


# -- what stays


def standing(subject: Subject, **more: object) -> RunSpec:
    return subject.spec("", name="buildr-web", ports=(PortBinding(80), PortBinding(90, 91)), **more)


def test_a_service_is_ready_when_it_is_told(subject: Subject, cluster: FakeCluster) -> None:
    runner = subject.make()
    spec = standing(subject, standing=Standing(replicas=2), environment=(("TOKEN", "sesame"),))
    events, group = collected(runner.deploy(spec, CancelToken()))
    assert [event.title for event in events if isinstance(event, StepUpdate)][-1] == (
        "2 replicas are ready at buildr-web.default.svc:80, buildr-web.default.svc:91"
    )
    deployment, service = cluster.get("Deployment", "buildr-web"), cluster.get("Service", "buildr-web")
    assert (deployment["spec"]["replicas"], service["spec"]["type"]) == (2, "ClusterIP")
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert "sesame" not in json.dumps(deployment)
    assert cluster.get("Secret", "buildr-web")["metadata"]["ownerReferences"][0]["kind"] == "Deployment"
    drain(runner.deploy(replace(spec, standing=Standing(replicas=3, public=True)), CancelToken()))
    assert cluster.get("Deployment", "buildr-web")["spec"]["replicas"] == 3
    assert cluster.get("Service", "buildr-web")["spec"]["type"] == "LoadBalancer"
    assert subject.make().list() == [group]
    runner.remove(group)
    assert not cluster.objects


def test_shards_know_which_they_are(subject: Subject, cluster: FakeCluster) -> None:
    runner = subject.make()
    spec = standing(subject, standing=Standing(shards=3))
    events, group = collected(runner.deploy(spec, CancelToken()))
    assert [event.title for event in events if isinstance(event, StepUpdate)][-1] == (
        "3 shards are ready at buildr-web-N.buildr-web-shards.default.svc:80, "
        "buildr-web-N.buildr-web-shards.default.svc:90, and any of them at buildr-web.default.svc:80, "
        "buildr-web.default.svc:91"
    )
    made = cluster.get("StatefulSet", "buildr-web")["spec"]
    (program,) = made["template"]["spec"]["containers"]
    assert (made["replicas"], made["serviceName"]) == (3, "buildr-web-shards")
    index, count = program["env"][-2:]
    assert index["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert count == {"name": "SHARD_COUNT", "value": "3"}
    assert cluster.get("Service", "buildr-web-shards")["spec"]["clusterIP"] == "None"
    assert runner.list() == [group]
    replicas = drain(runner.deploy(replace(spec, standing=Standing(replicas=1)), CancelToken()))
    assert [kind for kind, _ in cluster.objects] == ["Service", "Deployment"]
    shards = drain(runner.deploy(spec, CancelToken()))
    assert runner.list() == [shards]
    assert replicas != shards
    runner.remove(shards)
    assert not cluster.objects


def test_a_schedule(subject: Subject, cluster: FakeCluster) -> None:
    runner = subject.make()
    spec = standing(
        subject, standing=Standing(schedule="0 6 * * *", timezone="Europe/Berlin"), environment=(("A", "1"),)
    )
    group = drain(runner.deploy(spec, CancelToken()))
    made = cluster.get("CronJob", "buildr-web")["spec"]
    assert (made["schedule"], made["timeZone"], made["suspend"]) == ("0 6 * * *", "Europe/Berlin", False)
    (program,) = made["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert program["name"] == "program"
    assert [one.runs for one in runner.list()] == [("CronJob/buildr-web",)]
    with pytest.raises(OptionError, match="no single run"):
        drain(runner.read_log("CronJob/buildr-web", CancelToken()))
    runner.remove(group)
    assert not cluster.objects


def test_a_service_that_does_not_begin_leaves_nothing(subject: Subject, cluster: FakeCluster) -> None:
    cluster.images.clear()
    with pytest.raises(RunError, match=r"does not become ready: ImagePullBackOff"):
        drain(subject.make().deploy(standing(subject, standing=Standing(replicas=1)), CancelToken()))
    assert not cluster.objects


def test_a_service_of_somebody_else_is_left_alone(subject: Subject, cluster: FakeCluster) -> None:
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "buildr-web"}, "spec": {}})
    with pytest.raises(RunError, match="Service 'buildr-web' .* is somebody else's"):
        drain(subject.make().deploy(standing(subject, standing=Standing(replicas=1)), CancelToken()))
    assert list(cluster.objects) == [("Service", "buildr-web")]


def test_a_collector_that_did_not_see_the_end_is_told(
    subject: Subject, cluster: FakeCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = KubernetesRunner._frame_of

    def unseen(self: KubernetesRunner, pod: str, run: str, cancel: CancelToken) -> Any:
        frame, written = real(self, pod, run, cancel)
        return replace(frame, seen=False), written

    monkeypatch.setattr(KubernetesRunner, "_frame_of", unseen)
    spec = ours(cluster, tmp_path, "open('output/x', 'w').close()", output_dir=tmp_path / "out")
    with pytest.raises(ReturnError, match="before it saw the program end"):
        collected(subject.make().stream_run(spec, CancelToken()))
