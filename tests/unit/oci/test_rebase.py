"""Another base under an image: what stays, what changes, what is refused."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter import cli
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.errors import BuildError, BuildRefused
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.store import Store


def result_of(stream: Any) -> Any:
    while True:
        try:
            next(stream)
        except StopIteration as end:
            return end.value


def of(trial_store: Store, name: str) -> tuple[Any, dict[str, Any]]:
    known = trial_store.image(name)
    assert known is not None
    made, _ = image_of(known, trial_store)
    return made.images[0], json.loads(made.images[0].config)


def test_own_layers_stay_and_the_rest_is_the_new_bases(
    trial: OciBuilder, trial_store: Store, make_base: Callable[..., Path]
) -> None:
    before, old = of(trial_store, "trial:1")
    new = make_base("new", environment=("NEW=2", "BOTH=new"))
    result = result_of(trial.stream_rebase("trial:1", str(new), CancelToken()))
    after, config = of(trial_store, "trial:1")
    assert result.image_id == after.image_id != before.image_id
    assert [x.digest for x in after.layers[1:]] == [x.digest for x in before.layers[1:]]
    assert config["rootfs"]["diff_ids"][1:] == old["rootfs"]["diff_ids"][1:]
    assert config["rootfs"]["diff_ids"][0] != old["rootfs"]["diff_ids"][0]
    environment = dict(one.split("=", 1) for one in config["config"]["Env"])
    assert "OLD" not in environment
    assert (environment["NEW"], environment["BOTH"], environment["MINE"]) == ("2", "new", "x")
    assert environment["PATH"] == "/opt/venv/bin:/usr/local/bin:/usr/bin"
    labels, had = config["config"]["Labels"], old["config"]["Labels"]
    assert (labels["of"], labels["who"]) == ("new", "me")
    assert labels["io.buildr.content-digest"] != had["io.buildr.content-digest"]
    assert labels["org.opencontainers.image.base.name"] == "new.tar"
    for name in ("User", "WorkingDir", "Entrypoint", "ExposedPorts"):
        assert config["config"][name] == old["config"][name]
    assert config["history"][0] == {"created_by": "base new"}
    assert config["history"][1:] == old["history"][1:]
    again = result_of(trial.stream_rebase("trial:1", str(new), CancelToken(), tag="trial:again"))
    assert of(trial_store, "trial:again")[1]["rootfs"] == config["rootfs"]
    assert again.tags == ("trial:again",)


def test_there_and_back_has_the_same_layers_and_settings(
    trial: OciBuilder, trial_store: Store, make_base: Callable[..., Path], tmp_path: Path
) -> None:
    _, first = of(trial_store, "trial:1")
    for base in (make_base("new", environment=("NEW=2",)), tmp_path / "old.tar"):
        result_of(trial.stream_rebase("trial:1", str(base), CancelToken()))
    _, last = of(trial_store, "trial:1")
    assert (last["rootfs"], last["history"]) == (first["rootfs"], first["history"])
    assert sorted(last["config"]["Env"]) == sorted(first["config"]["Env"])


def test_refused(trial: OciBuilder, trial_store: Store, make_base: Callable[..., Path]) -> None:
    before = trial_store.image("trial:1")
    with pytest.raises(BuildRefused, match=r"base new\.tar has another C library \(musl or glibc\) than old\.tar"):
        result_of(trial.stream_rebase("trial:1", str(make_base("new", history="RUN apk add python3")), CancelToken()))
    with pytest.raises(BuildRefused, match=r"has Python 3\.8"):
        result_of(trial.stream_rebase("trial:1", str(make_base("other", python="3.8.1")), CancelToken()))
    with pytest.raises(BuildError, match="is for linux/s390x, not for"):
        result_of(trial.stream_rebase("trial:1", str(make_base("far", architecture="s390x")), CancelToken()))
    with pytest.raises(BuildError, match="is not in the store"):
        result_of(trial.stream_rebase("nobody:1", str(make_base("new")), CancelToken()))
    assert trial_store.image("trial:1") == before


def test_the_command(trial: OciBuilder, trial_store: Store, make_base: Callable[..., Path], tmp_path: Path) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        target = tmp_path / "made.tar"
        words = ["rebase", "trial:1", "--base", str(make_base("new")), "--tag", "trial:2", "--output", str(target)]
        assert cli.main(words) == 0
    image, _ = of(trial_store, "trial:2")
    assert out.getvalue() == f"trial:2 {image.image_id}\n"
    assert target.stat().st_size > 1000
    assert cli.main(["rebase", "trial:1", "--base", str(make_base("other", python="3.8.1"))]) == 2
