"""The builder without an engine: its images read, pulled and run by others."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from docker import APIClient
from docker.errors import APIError

from buildr_jupyter import builder
from buildr_jupyter.builder.auto_builder import suited
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled, EngineUnavailable, PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import TransferUpdate
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, Requirement
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import Archive, EngineLoad, Layout, Push
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry.client import Registry as RegistryClient
from tests.engines.registry import Registry
from tests.fakes.registry import FakeRegistry
from tests.integration.oci_images import build, collect, make_plan, needs, referrers, request_for, run, said


class TestFromThisInterpreter:
    def test_archive_for_docker_skopeo_umoci(self, oci: OciBuilder, client: APIClient, tmp_path: Path) -> None:
        nonce = secrets.token_hex(6)
        target = tmp_path / "image.tar"
        _, result = build(oci, request_for(make_plan(nonce), tmp_path, Archive(target), name=f"t-{nonce}:1"))
        with target.open("rb") as stream:
            assert not [event for event in client.load_image(stream) if "error" in event]
        try:
            assert client.inspect_image(f"t-{nonce}:1")["Id"] == result.image_id
            assert run(client, f"t-{nonce}:1") == (0, f"{nonce} 1.17.0 True\n")
        finally:
            client.remove_image(f"t-{nonce}:1", force=True)
        needs("skopeo", "umoci")
        seen = json.loads(said("skopeo", "inspect", f"oci-archive:{target}"))
        assert seen["Digest"] == result.digest
        assert len(seen["Layers"]) == len(set(seen["Layers"]))
        assert json.loads(said("skopeo", "inspect", f"docker-archive:{target}"))["Created"] == "1970-01-01T00:00:00Z"

    def test_layout(self, oci: OciBuilder, tmp_path: Path) -> None:
        needs("skopeo", "umoci")
        _, result = build(oci, request_for(make_plan(), tmp_path, Layout(tmp_path / "layout")))
        assert json.loads(said("skopeo", "inspect", f"oci:{tmp_path}/layout"))["Digest"] == result.digest
        said("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:1", str(tmp_path / "bundle"))
        root = tmp_path / "bundle" / "rootfs"
        assert (root / "opt/venv/bin/python").readlink().as_posix().startswith("/usr/local/bin/python3.")
        assert oct((root / "app/output").stat().st_mode)[-4:] == "0775"
        assert oct((root / "tmp").stat().st_mode)[-4:] == "1777"
        for path in root.rglob("*.txt"):
            assert sys.base_prefix.encode() not in path.read_bytes(), path
        with pytest.raises(BuildError, match="not empty"):
            build(oci, request_for(make_plan(), tmp_path, Layout(tmp_path / "context")))


class TestInARegistry:
    def test_pushed_pulled_run_and_not_sent_again(
        self, oci: OciBuilder, client: APIClient, base_image: str, registry_http: Registry, tmp_path: Path
    ) -> None:
        nonce = secrets.token_hex(6)
        ref = f"{registry_http.host}/me/{nonce}:1"
        digest = collect(oci.resolve_base(BaseRequest(base_image, None, False), CancelToken()))[1].digest
        assert digest == client.inspect_image(base_image)["Id"]
        plan = make_plan(nonce, base=base_image, base_digest=digest)
        request = request_for(plan, tmp_path, Push(ImageRef.parse(ref)), name=ref)
        events, result = build(oci, request)
        assert not [event for event in events if isinstance(event, BuildWarning)]
        with contextlib.closing(RegistryClient(registry_http.host)) as asked:
            assert asked.digest(f"me/{nonce}", "1") == result.digest
            manifest = asked.manifest(f"me/{nonce}", "1")
        attached = referrers(registry_http.host, f"me/{nonce}", str(result.digest))
        assert [one["artifactType"] for one in attached] == ["application/vnd.cyclonedx+json"]
        assert (manifest.config_digest, manifest.size_bytes) == (result.image_id, result.size_bytes)
        assert result.pushed == (ref,)
        client.pull(ref)
        try:
            assert run(client, ref) == (0, f"{nonce} 1.17.0 True\n")
        finally:
            client.remove_image(ref, force=True)

        events, again = build(oci, request)
        assert again.cached
        assert again.digest == result.digest
        assert [e.status for e in events if isinstance(e, TransferUpdate)] == ["exists"]

        other = make_plan(nonce + "2", base=base_image, base_digest=digest)
        events, edited = build(oci, request_for(other, tmp_path, Push(ImageRef.parse(ref)), name=ref))
        sent = [e for e in events if isinstance(e, TransferUpdate) and e.status == "done"]
        assert sum(e.total_bytes or 0 for e in sent) < 64 * 1024
        assert edited.digest != result.digest

    def test_a_base_in_the_same_registry_is_mounted(self, warm_store: Path, oci: OciBuilder, tmp_path: Path) -> None:
        with FakeRegistry() as fake:
            fake.strict = True
            base = f"{fake.host}/base/x:1"
            build(oci, request_for(make_plan("base"), tmp_path, Push(ImageRef.parse(base)), name=base))
            fake.requests.clear()
            with contextlib.closing(OciBuilder(store=Store(tmp_path / "fresh"), sites=[])) as fresh:
                digest = collect(fresh.resolve_base(BaseRequest(base, None, False), CancelToken()))[1].digest
                ref = f"{fake.host}/me/y:1"
                plan = make_plan("on it", base=base, base_digest=digest, requirements=())
                _, result = build(fresh, request_for(plan, tmp_path, Push(ImageRef.parse(ref)), name=ref))
            assert fake.manifests["me/y", "1"]
            got = [r for r in fake.requests if r[0] == "GET" and "/blobs/sha256" in r[1]]
            assert len(got) == 1, "the base's config alone was read"
            assert result.unpacked_bytes is None
            annotations = json.loads(fake.manifests["me/y", "1"][1])["annotations"]
            assert annotations["org.opencontainers.image.base.digest"] == digest
            assert annotations["org.opencontainers.image.base.name"] == base

    def test_a_blob_that_the_registry_lost_is_sent_again(self, oci: OciBuilder, tmp_path: Path) -> None:
        with FakeRegistry() as fake:
            fake.strict = True
            ref = f"{fake.host}/me/lost:1"
            for nonce in ("first", "second"):
                request = request_for(make_plan(nonce), tmp_path, Push(ImageRef.parse(ref)), name=ref)
                _, result = build(oci, request)
                assert fake.manifests["me/lost", "1"] == fake.manifests["me/lost", str(result.digest)]
                fake.owned.clear()
                fake.blobs.clear()
            assert [r for r in fake.requests if r[0] == "PUT" and "manifests" in r[1]][1:]

    def test_faults_on_the_way(self, oci: OciBuilder, tmp_path: Path) -> None:
        with FakeRegistry(auth="bearer", user="u", password="p") as fake:
            from buildr_jupyter.registry.keychain import Login

            waits: list[float] = []
            login = Login(fake.host, "u", "p")
            with contextlib.closing(
                OciBuilder(store=oci.store, find_login=lambda _host: login, sleep=waits.append)
            ) as troubled:
                fake.strict, fake.break_sends, fake.token_uses = True, 2, 7
                ref = f"{fake.host}/me/z:1"
                _, result = build(troubled, request_for(make_plan(), tmp_path, Push(ImageRef.parse(ref)), name=ref))
                assert fake.manifests["me/z", "1"]
                assert len(waits) >= 2
                assert result.digest in {key[1] for key in fake.manifests}

    def test_damaged_in_the_store_is_made_anew(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "store")
        with contextlib.closing(OciBuilder(store=store)) as oci, FakeRegistry() as fake:
            fake.strict = True
            ref = f"{fake.host}/me/z:1"
            plan = make_plan()
            build(oci, request_for(plan, tmp_path, name=ref))
            for path in (tmp_path / "store" / "blobs" / "sha256").glob("*"):
                content = bytearray(path.read_bytes())
                content[len(content) // 2] ^= 1
                path.write_bytes(content)
            events, result = build(oci, request_for(plan, tmp_path, Push(ImageRef.parse(ref)), name=ref))
            assert fake.manifests["me/z", "1"]
            assert result.digest
            (warning,) = [event.text for event in events if isinstance(event, BuildWarning)]
            assert warning.endswith(" in the store is damaged; it is made anew")


def test_into_the_engine_without_what_it_has(
    oci: OciBuilder, client: APIClient, base_image: str, tmp_path: Path
) -> None:
    nonce = secrets.token_hex(6)
    digest = collect(oci.resolve_base(BaseRequest(base_image, None, False), CancelToken()))[1].digest
    plan = make_plan(nonce, base=base_image, base_digest=digest)
    _, result = build(oci, request_for(plan, tmp_path, EngineLoad(), name=f"t-{nonce}:1"))
    try:
        assert client.inspect_image(f"t-{nonce}:1")["Id"] == result.image_id
        assert run(client, f"t-{nonce}:1")[0] == 0
    finally:
        client.remove_image(f"t-{nonce}:1", force=True)


def test_the_automatic_choice_brings_it_into_the_engine(
    client: APIClient, base_image: str, registry_http: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base is in a registry that answers: the same labels and settings as the engine's own build, told once."""
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "store"))
    nonce, base = secrets.token_hex(6), f"{registry_http.host}/base/auto"
    client.tag(base_image, base, tag="1")
    assert not [line for line in client.push(base, tag="1", stream=True, decode=True) if "error" in line]
    seen, said_by = {}, {}
    for spec in ("auto", "docker=buildkit"):
        subject, name = builder.select(spec), f"t-{spec[:4]}-{nonce}:1"
        plan = make_plan(nonce, base=f"{base}:1", ports=("8080/tcp",), environment=(("A", "b c"),))
        suited(subject, lambda _one, plan=plan, name=name: request_for(plan, tmp_path, EngineLoad(), name=name))
        told, found = collect(subject.resolve_base(BaseRequest(plan.base), CancelToken()))
        plan = replace(plan, base_digest=found.digest)
        events, result = build(subject, request_for(plan, tmp_path, EngineLoad(), name=name))
        said_by[subject.name] = [e.title for e in [*told, *events] if "builder:" in getattr(e, "title", "")]
        try:
            image = client.inspect_image(name)
            assert run(client, name) == (0, f"{nonce} 1.17.0 True\n")
        finally:
            client.remove_image(name, force=True)
        wanted = ("Labels", "Env", "Entrypoint", "Cmd", "User", "WorkingDir", "ExposedPorts")
        seen[result.builder] = {key: image["Config"].get(key) for key in wanted} | {"content": result.content_digest}
    client.remove_image(f"{base}:1", force=True)
    assert said_by == {"oci": ["builder: oci, as it needs no command run, and goes into the engine"], "docker": []}
    for one in seen.values():
        one["Env"], one["Cmd"] = sorted(one["Env"]), one["Cmd"] or None
    assert seen["oci"] == seen["docker"]


def test_without_an_engine(oci: OciBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    build(oci, request_for(make_plan(), tmp_path))
    with pytest.raises(EngineUnavailable):
        build(oci, request_for(make_plan(), tmp_path, EngineLoad()))
    found = collect(oci.resolve_base(BaseRequest("127.0.0.1:9/python:3.11-slim", named=False), CancelToken()))[1]
    assert found.name == "kernel"
    with pytest.raises(BuildError, match=r"base 127.0.0.1:9/python"):
        collect(oci.resolve_base(BaseRequest("127.0.0.1:9/python:3", None, False), CancelToken()))


def test_refused_before_anything_is_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    oci = builder.select("oci")
    assert isinstance(oci, builder.Builder)
    own = OciBuilder(store=store)
    for plan in (
        make_plan(dockerfile=CustomDockerfile("FROM x", secrets=("s",))),
        make_plan(system_packages=("git",)),
        make_plan(requirements=(Requirement("x @ git+https://example.org/x@1"),)),
        make_plan(platforms=("linux/s390x",)),
    ):
        with pytest.raises(BuildRefused) as caught:
            build(own, request_for(plan, tmp_path))
        assert "buildkit" in str(caught.value.hint)
    assert not store.folder.exists()
    with pytest.raises(PublishError, match="does not exist locally"):
        own.publish("127.0.0.1:9/x")
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        list(own.stream_build(request_for(make_plan(), tmp_path), cancel))


def test_steps_and_the_seeds_door(oci: OciBuilder, tmp_path: Path) -> None:
    plan = make_plan(secrets.token_hex(4))
    request = request_for(plan, tmp_path)
    events, result = build(oci, request)
    assert {e.step: e.status for e in events if isinstance(e, StepUpdate)}["program"] == "done"
    again = oci.build("trial:2", str(request.context))
    assert (again.image_id, again.cached) == (result.image_id, True)
    assert result.unpacked_bytes is not None
    assert result.size_bytes is not None
    assert 0 < result.size_bytes < result.unpacked_bytes


ELF_MACHINES = {"linux/amd64": 62, "linux/arm64": 183}


def test_two_platforms_are_an_index(oci: OciBuilder, tmp_path: Path) -> None:
    """Bases of both architectures stand in a registry as one index; the wheels are each platform's own."""
    import gzip
    import hashlib
    import io
    import tarfile

    needs("skopeo")
    with FakeRegistry() as fake:
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("marker"))
        layer = gzip.compress(plain.getvalue(), mtime=0)
        entries = []
        for platform in ELF_MACHINES:
            config = {
                "architecture": platform[6:], "os": "linux",
                "config": {"Env": ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.11.9"]},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain.getvalue()).hexdigest()]},
            }  # fmt: skip
            blobs = [json.dumps(config).encode(), layer]
            digests = ["sha256:" + hashlib.sha256(blob).hexdigest() for blob in blobs]
            fake.blobs |= dict(zip(digests, blobs, strict=True))
            kind = "application/vnd.docker.distribution.manifest.v2+json"
            manifest = {
                "schemaVersion": 2, "mediaType": kind,
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digests[0],
                           "size": len(blobs[0])},
                "layers": [{"digest": digests[1], "size": len(layer),
                            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}],
            }  # fmt: skip
            digest = fake.put("base/python", platform[6:], manifest)
            entries.append({"mediaType": kind, "digest": digest, "size": len(json.dumps(manifest)),
                            "platform": {"os": "linux", "architecture": platform[6:]}})  # fmt: skip
        kind = "application/vnd.oci.image.index.v1+json"
        fake.put("base/python", "3.11", {"schemaVersion": 2, "mediaType": kind, "manifests": entries})
        base = f"{fake.host}/base/python:3.11"
        digest = collect(oci.resolve_base(BaseRequest(base, None, False), CancelToken()))[1].digest
        plan = make_plan(
            base=base, base_digest=digest, python="3.11", requirements=(Requirement("markupsafe==3.0.2"),),
            platforms=tuple(ELF_MACHINES),
        )  # fmt: skip
        ref = f"{fake.host}/me/both:1"
        request = request_for(
            plan, tmp_path, Layout(tmp_path / "layout"), Push(ImageRef.parse(ref)), platforms=plan.platforms, name=ref
        )
        _, result = build(oci, request)
        assert [one.image_id is not None for one in result.images] == [True, True]
        assert fake.manifests["me/both", "1"][0] == kind
        with pytest.raises(BuildError, match="not there for linux/s390x") as caught:
            collect(oci.resolve_base(BaseRequest(base, "linux/s390x", True), CancelToken()))
        assert "linux/amd64, linux/arm64" in str(caught.value.hint)
    for (platform, machine), image in zip(ELF_MACHINES.items(), result.images, strict=True):
        seen = json.loads(
            said("skopeo", "--override-arch", platform[6:], "inspect", "--config", f"oci:{tmp_path}/layout")
        )
        assert seen["architecture"] == platform[6:]
        manifest = json.loads((tmp_path / "layout/blobs/sha256" / str(image.digest)[7:]).read_bytes())
        machines = []
        for part in manifest["layers"]:
            with tarfile.open(tmp_path / "layout/blobs/sha256" / part["digest"][7:]) as tar:
                for member in tar:
                    if member.name.endswith(".so"):
                        head = tar.extractfile(member)
                        assert head
                        machines.append(int.from_bytes(head.read(20)[18:20], "little"))
        assert machines == [machine]


def test_the_notebook_on_a_machine_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    source = Path(__file__).parents[2] / "notebooks" / "05-no-engine.ipynb"
    notebook = nbformat.read(source, as_version=4)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("BUILDR_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv"))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "output" / "sales.tar").stat().st_size > 10_000_000
    assert "'sales.tar'" in notebook.cells[-1].outputs[0].data["text/plain"]


def test_rebased_and_run(oci: OciBuilder, client: APIClient, base_image: str, tmp_path: Path) -> None:
    nonce = secrets.token_hex(6)
    name = f"t-{nonce}:1"
    patched = f"t-base-{nonce}:1"
    container = client.create_container(base_image, ["true"])["Id"]
    digest = collect(oci.resolve_base(BaseRequest(base_image, None, False), CancelToken()))[1].digest
    target = tmp_path / "rebased.tar"
    try:
        client.commit(container, *patched.split(":"), changes=["ENV PATCHED=yes"])
        plan = make_plan(nonce, base=base_image, base_digest=digest)
        _, first = build(oci, request_for(plan, tmp_path, name=name))
        _, result = collect(oci.stream_rebase(name, patched, CancelToken(), outputs=[Archive(target)]))
        assert result.image_id != first.image_id
        with target.open("rb") as stream:
            assert not [event for event in client.load_image(stream) if "error" in event]
        seen = client.inspect_image(name)
        assert seen["Id"] == result.image_id
        assert "PATCHED=yes" in seen["Config"]["Env"]
        assert run(client, name) == (0, f"{nonce} 1.17.0 True\n")
    finally:
        client.remove_container(container, force=True)
        for image in (name, patched):
            with contextlib.suppress(APIError):
                client.remove_image(image, force=True)
