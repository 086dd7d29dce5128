"""Pod templates: what is read, what is taken, and which of its fields are the run's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.runner.job_manifest import make_job
from buildr_jupyter.runner.pod_template import merge_template, read_template


def test_the_template_fills_what_the_run_leaves_open() -> None:
    job = make_job(RunSpec("r.example/a@sha256:" + "b" * 64, "n"), "n-1", owner="me")
    template = {
        "kind": "Pod",
        "metadata": {"labels": {"team": "x", "app.kubernetes.io/managed-by": "argo"}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"fsGroup": 5, "runAsNonRoot": False},
            "volumes": [{"name": "data"}, {"name": "tmp"}],
            "initContainers": [{"name": "before"}],
            "containers": [
                {"name": "program", "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                {"name": "beside"},
            ],
        },
    }
    merged, conflicts = merge_template(job, template)
    pod = merged["spec"]["template"]
    assert pod["metadata"]["labels"]["team"] == "x"
    assert pod["spec"]["securityContext"]["fsGroup"] == 5
    assert [one["name"] for one in pod["spec"]["volumes"]] == ["work", "tmp", "home", "data"]
    assert [one["name"] for one in pod["spec"]["initContainers"]] == ["before", "program"]
    assert [one["name"] for one in pod["spec"]["containers"]] == ["collector", "beside"]
    assert pod["spec"]["initContainers"][1]["volumeMounts"][-1] == {"name": "data", "mountPath": "/data"}
    assert [text.partition(": ")[2].split()[0] for text in conflicts] == [
        "metadata.labels.app.kubernetes.io/managed-by", "spec.securityContext.runAsNonRoot", "spec.volumes",
    ]  # fmt: skip
    assert "team" not in job["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("text", ["kind: Service\nspec: {}", "a: [", "- 1", "kind: Pod"])
def test_a_file_without_a_pod(text: str, tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(text)
    with pytest.raises(OptionError, match="--pod-template"):
        read_template(tmp_path / "pod.yaml")
    with pytest.raises(OptionError, match="No such file"):
        read_template(tmp_path / "none.yaml")
