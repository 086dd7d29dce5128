"""What others say of our images: tools that read images, two engines that load, pull and run them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
from docker import APIClient

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.builder.selection import select
from buildr_jupyter.errors import UnknownSpec
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import Requirement
from buildr_jupyter.model.request import Archive, Layout, Push
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.oci.store import Store
from tests import demo
from tests.engines import EngineStartError, gotools, short_folder
from tests.engines.registry import Registry
from tests.integration.oci_images import (
    Podman,
    absent,
    bill_of,
    build,
    make_plan,
    needs,
    podman,
    request_for,
    run,
    said,
)

NAMES = ("six", "markupsafe", "jinja2", "pygments")
SYFT = {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
EXPECTED = f"judged {version('six')} True\n"


@dataclass(frozen=True)
class Made:
    """One image, in every form."""

    result: BuildResult
    archive: Path
    layout: Path
    ref: ImageRef

    @property
    def pinned(self) -> str:
        """The image in the registry by its digest."""
        return f"{self.ref.name}@{self.result.digest}"


@pytest.fixture(scope="module")
def made(warm_store: Path, registry_http: Registry, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An image on this interpreter, with C extensions and a command: archive, layout, and pushed."""
    folder = tmp_path_factory.mktemp("judged")
    ref = ImageRef.parse(f"{registry_http.host}/judged/image:1")
    plan = make_plan("judged", requirements=tuple(Requirement(f"{name}=={version(name)}") for name in NAMES))
    outputs = (Archive(folder / "image.tar"), Layout(folder / "layout"), Push(ref))
    with contextlib.closing(OciBuilder(store=Store(warm_store))) as builder:
        _, result = build(builder, request_for(plan, folder, *outputs, name=str(ref)))
    return Made(result, folder / "image.tar", folder / "layout", ref)


@pytest.fixture(scope="module")
def pod(registry_http: Registry) -> Iterator[Podman]:
    """A podman of our own."""
    with short_folder() as folder, podman(folder, registry_http.host) as running:
        yield running


def installed(site: str) -> str:
    return str(Path(sys.executable).with_name(site))


def test_skopeo(made: Made) -> None:
    needs("skopeo")
    for place in (
        f"oci-archive:{made.archive}", f"docker-archive:{made.archive}", f"oci:{made.layout}", f"docker://{made.ref}",
    ):  # fmt: skip
        plain = ["--tls-verify=false"] if place.startswith("docker://") else []
        seen = json.loads(said("skopeo", "inspect", *plain, place))
        assert (seen["Os"], seen["Created"]) == ("linux", "1970-01-01T00:00:00Z")
        if not place.startswith("docker-archive:"):  # that form has a manifest of its own
            assert seen["Digest"] == made.result.digest


def test_umoci(made: Made, tmp_path: Path) -> None:
    needs("umoci")
    said("umoci", "unpack", "--rootless", "--image", f"{made.layout}:1", tmp_path / "bundle")
    assert (tmp_path / "bundle/rootfs/app/main.py").exists()


def test_crane(made: Made) -> None:
    try:
        crane = gotools.tool("crane")
    except EngineStartError as error:
        absent(error)
    assert said(crane, "digest", "--insecure", str(made.ref)).strip() == made.result.digest
    said(crane, "validate", "--insecure", "--remote", str(made.ref))
    said(crane, "validate", "--tarball", made.archive)


def test_syft_finds_the_packages_of_our_bill(made: Made) -> None:
    seen = json.loads(said(installed("syft"), "-q", f"oci-archive:{made.archive}", "-o", "cyclonedx-json", **SYFT))
    others = {one["purl"].lower().replace("_", "-") for one in seen["components"] if "pkg:pypi" in one.get("purl", "")}
    bill = json.loads(bill_of(made.ref.registry_host, made.ref.registry_path, str(made.result.digest)))
    ours = {one["purl"] for one in bill["components"] if one["type"] == "library"}
    assert ours == others
    assert len(ours) == len(NAMES)


def test_our_bill_is_valid(made: Made) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bill = bill_of(made.ref.registry_host, made.ref.registry_path, str(made.result.digest)).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    broken = bill.replace('"bomFormat":"CycloneDX"', '"bomFormat":"other"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


STRUCTURE = {
    "schemaVersion": "2.0.0",
    "fileExistenceTests": [
        {"name": "program", "path": "/app/main.py", "shouldExist": True, "permissions": "-rw-r--r--"},
        {"name": "output", "path": "/app/output", "shouldExist": True, "permissions": "drwxrwxr-x"},
        {"name": "command", "path": "/opt/venv/bin/pygmentize", "shouldExist": True, "isExecutableBy": "any"},
        {"name": "no pip", "path": "/opt/venv/bin/pip", "shouldExist": False},
    ],
    "fileContentTests": [
        {"name": "shebang", "path": "/opt/venv/bin/pygmentize", "expectedContents": ["^#!/opt/venv/bin/python\n"]}
    ],
    "commandTests": [
        {
            "name": "command runs",
            "command": "/opt/venv/bin/pygmentize",
            "args": ["-V"],
            "expectedOutput": [f"version {re.escape(version('pygments'))}"],
        }
    ],
    "metadataTest": {
        "workdir": "/app",
        "user": "1000:0",
        "envVars": [{"key": "HOME", "value": "/home/app"}, {"key": "BUILDR_OUTPUT_DIR", "value": "/app/output"}],
    },
}


def test_container_structure_test(made: Made, client: APIClient, docker_host: str, tmp_path: Path) -> None:
    config = tmp_path / "structure.yaml"
    config.write_text(json.dumps(STRUCTURE))  # JSON is YAML
    client.pull(made.pinned)
    try:
        report = said(
            installed("container-structure-test"), "test", "--image", made.pinned, "--config", config,
            "--output", "json", DOCKER_HOST=docker_host,
        )  # fmt: skip
    finally:
        client.remove_image(made.pinned, force=True)
    seen = json.loads(report)
    assert (seen["Fail"], seen["Pass"]) == (0, 7)


@pytest.mark.parametrize("way", ["archive", "registry"])
def test_docker_runs_it(made: Made, client: APIClient, way: str) -> None:
    name = str(made.ref)
    if way == "archive":
        with made.archive.open("rb") as stream:
            assert not [event for event in client.load_image(stream) if "error" in event]
    else:
        name = made.pinned
        client.pull(name)
    try:
        assert client.inspect_image(name)["Id"] == made.result.image_id
        assert run(client, name) == (0, EXPECTED)
    finally:
        client.remove_image(name, force=True)


@pytest.mark.parametrize("way", ["archive", "registry"])
def test_podman_runs_it(made: Made, pod: Podman, way: str) -> None:
    name = str(made.ref) if way == "archive" else made.pinned
    pod("load", "--input", made.archive) if way == "archive" else pod("pull", name)
    assert f"sha256:{json.loads(pod('image', 'inspect', name))[0]['Id']}" == made.result.image_id
    assert pod.run(name) == EXPECTED
    pod("rmi", "--force", name)


@pytest.mark.usefixtures("docker_engine")  # what can be started for a test can be started by the demo
def test_the_demo_starts_an_engine_where_none_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where podman is installed, which runs images of its own, and not those of the engine."""
    shutil.copytree(demo.NOTEBOOK.parent, tmp_path / "notebooks")
    monkeypatch.setattr(demo, "NOTEBOOK", tmp_path / "notebooks" / demo.NOTEBOOK.name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "JPY_SESSION_NAME", "JPY_PARENT_PID"):
        monkeypatch.setenv(name, "")  # the demo sets one of them, which is taken back afterwards
        monkeypatch.delenv(name)
    assert demo.main() == 0
    assert os.environ["DOCKER_HOST"]
    told = capsys.readouterr().out
    assert told.count("best month: 2026-03") == 1
    assert "The image is in the engine that " in told


def test_the_demo_without_an_engine_loads_and_runs_in_both(
    client: APIClient, pod: Podman, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ``make demo`` does where no engine can be had: the quickstart, through auto, to an archive."""
    shutil.copytree(demo.NOTEBOOK.parent, tmp_path / "notebooks")
    monkeypatch.setattr(demo, "NOTEBOOK", tmp_path / "notebooks" / demo.NOTEBOOK.name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
        assert demo._execute("in the archive named above", run=False) == 0
    printed = re.search(r"^ *archive +(/.+)$", capsys.readouterr().out, re.MULTILINE)
    assert printed
    archive = Path(printed[1])
    names = json.loads(said("tar", "-xOf", archive, "manifest.json"))[0]["RepoTags"]
    name = next(one for one in names if one.endswith(":latest"))
    with archive.open("rb") as stream:
        assert not [event for event in client.load_image(stream) if "error" in event]
    try:
        status, docker = run(client, name)
    finally:
        for one in names:
            client.remove_image(one, force=True)
    assert (status, docker.splitlines()[0]) == (0, "best month: 2026-03")
    pod("load", "--input", archive)
    assert pod.run(f"localhost/{name}") == docker


def test_zstd_layers(
    made: Made, pod: Podman, warm_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for, they are smaller; podman pulls, loads and runs them; an image of them is a base like any other."""
    needs("skopeo")
    monkeypatch.setenv("BUILDR_STORE", str(warm_store))
    with pytest.raises(UnknownSpec, match="oci=brotli"):
        select("oci=brotli")
    ref = ImageRef.parse(f"{made.ref.name}:zstd")
    outputs = (Push(ref), Archive(tmp_path / "zstd.tar"), Layout(tmp_path / "layout"))
    builder = select("oci=zstd")
    assert isinstance(builder, OciBuilder)
    result = build(builder, request_for(make_plan("packed"), tmp_path, *outputs, name=str(ref)))[1]
    builder.close()
    raw = json.loads(said("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{ref}"))
    assert {layer["mediaType"] for layer in raw["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    assert result.size_bytes
    assert made.result.size_bytes
    assert result.size_bytes < made.result.size_bytes
    for way in (["pull", f"{ref.name}@{result.digest}"], ["load", "--input", tmp_path / "zstd.tar"]):
        pod(*way)
        assert pod.run(str(result.image_id)) == EXPECTED.replace("judged", "packed")
        pod("rmi", "--force", str(result.image_id))
    on_it = make_plan("on zstd", base=f"oci:{tmp_path}/layout", requirements=())
    with contextlib.closing(OciBuilder(store=Store(warm_store))) as plain:
        built = build(plain, request_for(on_it, tmp_path, Push(made.ref.with_tag("on")), name="on:1"))[1]
    name = f"{made.ref.name}@{built.digest}"
    pod("pull", name)
    assert pod.run(name) == EXPECTED.replace("judged", "on zstd")
