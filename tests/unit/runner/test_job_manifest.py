"""The Job of a run: the same spec, the same manifest; restricted by default; nothing secret in it."""

from __future__ import annotations

import ast
import base64
import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.in_image.launch import PARAMS, inputs_of
from buildr_jupyter.model.request import (
    ClaimMount,
    ClusterPlacement,
    Collection,
    ImageProgram,
    PortBinding,
    RunSpec,
    Standing,
)
from buildr_jupyter.runner.job_manifest import (
    at_rest,
    make_collect_secret,
    make_environment_secret,
    make_grid_job,
    make_input_secrets,
    make_job,
    make_objects,
    make_pull_secret,
    safe_label,
    slug,
    source_of,
)

SPEC = RunSpec(
    f"r.example/a@sha256:{'b' * 64}", "Train_it", environment=(("A", "sesame"),), memory_bytes=1 << 30, cpus=1.5, gpus="2",
    ports=(PortBinding(80),), labels=(("io.buildr.content-digest", f"sha256:{'c' * 64}"),),
    program=ImageProgram(("python", "main.py"), "/app", "/app/nb/output"), placement=ClusterPlacement(queue="q"),
)  # fmt: skip


def test_the_pod_is_restricted() -> None:
    pod = make_job(SPEC, "train-1", owner="me")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert len(pod["containers"]) == 2
    for one in pod["containers"]:
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip


def test_what_it_says() -> None:
    job = make_job(SPEC, "train-1", owner="me", suspended=True)
    assert job == make_job(SPEC, "train-1", owner="me", suspended=True)
    assert "sesame" not in json.dumps(job)
    labels = job["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "train-it"
    assert labels["io.buildr.content-digest"] == "c" * 12
    assert labels["kueue.x-k8s.io/queue-name"] == "q"
    assert job["metadata"]["annotations"]["io.buildr.content-digest"] == f"sha256:{'c' * 64}"
    assert (job["spec"]["backoffLimit"], job["spec"]["suspend"]) == (0, True)
    program, collector = job["spec"]["template"]["spec"]["containers"]
    assert program["resources"]["limits"] == {"cpu": "1500m", "memory": str(1 << 30), "nvidia.com/gpu": "2"}
    assert program["command"][4:] == ["/app", "/buildr/app", "python", "main.py"]
    assert collector["command"][-1] == "/buildr/app.lock"
    plan = json.loads(collector["command"][-2])
    assert (plan["places"], plan["image"]) == ([["/app", "/buildr/app"]], "/app")
    assert plan["folders"] == ["/app", "/app/nb", "/app/nb/output"]
    assert "nvidia.com/gpu" not in collector["resources"]["limits"]


@pytest.mark.parametrize(
    "program", [None, ImageProgram((), "/app", "/app/output"), ImageProgram(("./run",), "/app", "/o")]
)
def test_a_collector_that_may_not_begin_comes_after_the_program(program: ImageProgram | None) -> None:
    pod = make_job(replace(SPEC, program=program), "train-1", owner="me")["spec"]["template"]["spec"]
    assert [one["name"] for one in (*pod["initContainers"], *pod["containers"])] == ["program", "collector"]
    assert "/buildr/app.lock" not in pod["containers"][0]["command"]


def test_what_comes_back_is_said_to_the_collector() -> None:
    spec = replace(SPEC, collect=Collection(("*.csv", "/tmp/$(x)")), environment=(("BUILDR_OUTPUT_DIR", "/data/o"),))
    _, collector = make_job(spec, "train-1", owner="me")["spec"]["template"]["spec"]["containers"]
    assert "$(x)" not in collector["command"][-2].replace("$$(", "")
    plan = json.loads(collector["command"][-2].replace("$$(", "$("))
    assert [place for place, _ in plan["places"]] == ["/app", "/data/o", "/tmp", "/home/app"]
    assert (plan["anywhere"], plan["nothing"], len(plan["patterns"])) == (True, False, 2)
    foreign = make_job(replace(spec, program=None, environment=()), "train-1", owner="me")
    (collector,) = foreign["spec"]["template"]["spec"]["containers"]
    assert json.loads(collector["command"][-1].replace("$$(", "$("))["folders"] == ["/buildr"] * 3


def test_the_login_of_a_registry_is_for_the_collector_alone() -> None:
    spec = replace(SPEC, collect=Collection(registry=True), outputs_to="outside:5000/team/app")
    job = make_job(spec, "train-1", owner="me", registry="https://outside:5000/v2/")
    pod = job["spec"]["template"]["spec"]
    program, collector = pod["containers"]
    assert collector["env"][0]["valueFrom"] == {
        "secretKeyRef": {"name": "train-1-collect", "key": "BUILDR_OUTPUT_LOGIN"}
    }
    assert "BUILDR_OUTPUT_LOGIN" not in json.dumps(program)
    assert json.loads(collector["command"][-2])["registry"][:2] == ["https://r.example", "team/app"]
    assert job["metadata"]["annotations"]["io.buildr.outputs"] == "outside:5000/team/app"
    assert max(map(len, collector["command"])) < 100_000  # a word of a command has at most 128 KiB
    job["metadata"]["uid"] = "u"
    secret = make_collect_secret("train-1", job, {"user": "u", "password": "sesame"})
    assert json.loads(base64.b64decode(secret["data"]["BUILDR_OUTPUT_LOGIN"])) == {"user": "u", "password": "sesame"}


def test_all_that_stays_is_for_another_person_to_apply() -> None:
    spec = replace(SPEC, standing=Standing(shards=2, public=True))
    made = make_objects(spec, "web")
    assert [(one["kind"], one["metadata"]["name"]) for one in made] == [
        ("StatefulSet", "web"), ("Service", "web"), ("Service", "web-shards"),
    ]  # fmt: skip
    assert made[1]["spec"]["type"] == "LoadBalancer"
    assert made[0]["spec"]["serviceName"] == made[2]["metadata"]["name"]
    assert all("io.buildr.owner" not in one["metadata"]["labels"] for one in made)
    assert at_rest(made[0])["spec"]["replicas"] == 0


def test_volumes_of_the_cluster() -> None:
    claims = (ClaimMount("data", "/data"), ClaimMount("data", "/again", read_only=True), ClaimMount("models", "/m"))
    spec = replace(SPEC, claims=claims, environment=(("BUILDR_OUTPUT_DIR", "/m/out"),))
    pod = make_job(spec, "train-1", owner="me")["spec"]["template"]["spec"]
    assert pod["volumes"][3:] == [
        {"name": "claim-0", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "claim-1", "persistentVolumeClaim": {"claimName": "models"}},
    ]
    assert pod["containers"][0]["volumeMounts"][3:] == [
        {"name": "claim-0", "mountPath": "/data"}, {"name": "claim-0", "mountPath": "/again", "readOnly": True},
        {"name": "claim-1", "mountPath": "/m"},
    ]  # fmt: skip
    assert pod["containers"][1]["volumeMounts"][1:] == [{"name": "claim-1", "mountPath": "/m", "readOnly": True}]


def test_without_a_collector_the_program_is_all() -> None:
    pod = make_job(SPEC, "train-1", owner="me", collects=False)["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["program"]
    assert "initContainers" not in pod


def test_where_nothing_comes_back_there_is_no_collector() -> None:
    assert SPEC.program is not None
    silent = replace(SPEC, collect=Collection(nothing=True), program=replace(SPEC.program, gives_values=False))
    for spec, count in (
        (silent, 1), (replace(silent, program=SPEC.program), 2), (replace(silent, collect=Collection()), 2)
    ):  # fmt: skip
        pod = make_job(spec, "train-1", owner="me")["spec"]["template"]["spec"]
        assert len(pod["containers"]) == count
        job = make_grid_job([spec, spec], "train-1", owner="me", jobs=2)
        assert len(job["spec"]["template"]["spec"]["containers"]) == count


def test_a_collector_sees_the_volumes_that_it_looks_into() -> None:
    for changed, expected in (
        (SPEC, ["work"]),
        (replace(SPEC, collect=Collection(("/tmp/*",))), ["work", "tmp", "home"]),
        (replace(SPEC, environment=(("BUILDR_OUTPUT_DIR", "/tmp/made"),)), ["work", "tmp"]),
    ):  # fmt: skip
        _, collector = make_job(changed, "train-1", owner="me")["spec"]["template"]["spec"]["containers"]
        assert [one["name"] for one in collector["volumeMounts"]] == expected


def test_the_inputs_of_many_points_are_few_files(tmp_path: Path) -> None:
    """A node writes all files of a volume for each pod: a file for each point would be the square of their number."""
    job = make_job(SPEC, "train-1", owner="me")
    job["metadata"]["uid"] = "u"
    large_text = json.dumps({"x": "\u00e4" * 150_000}, ensure_ascii=False)
    texts = ["{}", '{"n":\n "\\n\u2028\\u0085"}', *([large_text] * 4), '{"n": 5}']
    specs = [replace(SPEC, environment=((PARAMS, text),)) for text in texts]
    made = make_input_secrets(specs, "train", job)
    assert [list(one["data"]) for one in made] == [["0"], ["5"]]
    for one in made:
        for name, value in one["data"].items():
            (tmp_path / name).write_bytes(base64.b64decode(value))
    (tmp_path / "..data").mkdir()
    assert [json.loads(inputs_of(str(tmp_path), index)) for index in range(len(texts))] == list(map(json.loads, texts))
    with pytest.raises(OSError, match="no inputs of point 7"):
        inputs_of(str(tmp_path), 7)
    large = replace(SPEC, environment=((PARAMS, "x" * 1_000_000),))
    with pytest.raises(OptionError, match="inputs of point 1 have 1,000,001 bytes"):
        make_input_secrets([SPEC, large], "train", job)


@pytest.mark.parametrize("module", ["collector", "launch", "sender", "upload"])
def test_what_runs_in_images_goes_without_what_is_for_readers(module: str) -> None:
    """It is the same program: what its parts are called and take, and what they do, but for docstrings."""
    written = ast.parse(resources.files("buildr_jupyter.in_image").joinpath(f"{module}.py").read_text("utf-8"))
    sent = ast.parse(source_of(module))
    assert parts_of(sent) == parts_of(written)
    assert all(
        ast.get_docstring(one) is None for one in ast.walk(sent) if isinstance(one, ast.FunctionDef | ast.Module)
    )


def parts_of(tree: ast.Module) -> list[str]:
    """Return the statements of a program, deepest last, without the constants that stand by themselves."""
    found = [one for one in ast.walk(tree) if isinstance(one, ast.stmt) and not hasattr(one, "body")]
    plain = [one for one in found if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    return [ast.dump(one) for one in plain if not isinstance(one, ast.Pass)]


def test_secrets_go_with_their_job() -> None:
    job = make_job(SPEC, "train-1", owner="me")
    job["metadata"]["uid"] = "u"
    secret = make_environment_secret(SPEC, "train-1", job)
    assert secret["data"] == {"A": "c2VzYW1l"}
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "train-1", "uid": "u"}
    ]
    pull = make_pull_secret("train-1", job, "r.example", "me", "pw")
    assert (pull["metadata"]["name"], pull["type"]) == ("train-1-pull", "kubernetes.io/dockerconfigjson")
    with pytest.raises(OptionError, match="a Secret of a cluster holds 1 MiB"):
        make_environment_secret(replace(SPEC, environment=(("A", "x" * 800_000),)), "train-1", job)


def test_names_and_labels() -> None:
    assert (slug("Ä_b C--", 63), slug("___", 63), slug("x" * 80, 46)) == ("b-c", "run", "x" * 46)
    assert (safe_label("a.b"), safe_label("d" * 64), safe_label("sha256:" + "d" * 64)) == ("a.b", "d" * 12, "d" * 12)
    assert len(safe_label("a b")) == len(safe_label("x" * 70)) == 12
