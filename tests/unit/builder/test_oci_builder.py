"""The builder without an engine: whose wheels it takes for which base, and what is sent while layers are made."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.context import folder as context
from buildr_jupyter.errors import PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, TransferUpdate
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan, Requirement
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import BuildRequest, Push
from buildr_jupyter.oci.base_image import opened_layer
from buildr_jupyter.oci.image import default_platform
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.store import Store
from tests.fakes.registry import FakeRegistry
from tests.unit.dependencies.test_uv import wheel

TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """A folder with a wheel for glibc and one for musl."""
    machine = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[default_platform()]
    folder = tmp_path / "links"
    folder.mkdir()
    for library in ("manylinux_2_17", "musllinux_1_2"):
        tag = f"{TAG}-{TAG}-{library}_{machine}"
        (folder / f"demo-1.0-{tag}.whl").write_bytes(wheel(tag=tag))
    return folder


def tag_in(builder: OciBuilder, store: Store, base: Path, links: Path) -> str:
    """Return the C library that the installed wheel of an image on this base is for."""
    plan = ImagePlan(
        base=str(base),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=(Requirement("demo==1.0"),),
    )
    settings = {"environment": {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links)}, "certificates": ""}
    packed = "buildr:" + base64.b64encode(zlib.compress(json.dumps(settings).encode())).decode()
    folder = context.write_folder(plan, base.with_suffix(".context"))
    request = BuildRequest(
        folder, (ImageRef.parse("trial:1"),), plan=plan, outputs=(), build_args={"FTP_PROXY": packed}
    )  # fmt: skip
    drain(builder.stream_build(request, CancelToken()), lambda _event: None)
    known = store.image("trial:1")
    assert known is not None
    for layer in image_of(known, store)[0].images[0].layers:
        with opened_layer(store.path(layer.digest), layer) as tar:
            for member in tar:
                if member.name.endswith("demo-1.0.dist-info/WHEEL"):
                    stream = tar.extractfile(member)
                    assert stream is not None
                    return stream.read().decode().rpartition("-")[2].partition("_")[0]
    raise AssertionError("demo is in no layer")


def installed(folder: Path) -> Path:
    """Return a site-packages folder with one distribution, demo 1.0."""
    site = folder / "lib" / "site-packages"
    site.mkdir(parents=True)
    info = site / "demo-1.0.dist-info"
    info.mkdir()
    (site / "demo.py").write_text("x = 1\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-here_x\n")
    rows = []
    for path in (site / "demo.py", info / "METADATA", info / "WHEEL"):
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).decode().rstrip("=")
        rows.append(f"{path.relative_to(site).as_posix()},sha256={digest},{path.stat().st_size}\n")
    (info / "RECORD").write_text("".join(rows) + "demo-1.0.dist-info/RECORD,,\n")
    return site


def test_a_base_with_musl_gets_the_wheels_of_musl(make_base: Callable[..., Path], links: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with contextlib.closing(OciBuilder(store=store, sites=[])) as builder:
        assert tag_in(builder, store, make_base("debian", history="apt-get install x"), links) == "manylinux"
        assert tag_in(builder, store, make_base("alpine", history="apk add x"), links) == "musllinux"


def test_what_is_installed_here_is_for_no_base_with_musl(
    make_base: Callable[..., Path], links: Path, tmp_path: Path
) -> None:
    """Where the kernel has the package, a base with glibc gets that one."""
    site = installed(tmp_path)
    store = Store(tmp_path / "store")
    with contextlib.closing(OciBuilder(store=store, sites=[site])) as builder:
        assert tag_in(builder, store, make_base("debian", history="apt-get install x"), links) == "here"
        assert tag_in(builder, store, make_base("alpine", history="apk add x"), links) == "musllinux"


def pushed(
    builder: OciBuilder, base: Path, links: Path, fake: FakeRegistry, ref: str = "team/x:1"
) -> list[StepUpdate | TransferUpdate | BuildWarning]:
    """Build an image with a package and a program, push it, and return what was said. Raises as the builder."""
    plan = ImagePlan(
        base=str(base),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=(Requirement("demo==1.0"),),
        files=(FileEntry.from_bytes("app/main.py", b"print(1)\n"),),
    )
    settings = {"environment": {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(links)}, "certificates": ""}
    packed = "buildr:" + base64.b64encode(zlib.compress(json.dumps(settings).encode())).decode()
    name = ImageRef.parse(f"{fake.host}/{ref}")
    request = BuildRequest(
        context.write_folder(plan, base.with_suffix(".context")), (name,), plan=plan, outputs=(Push(name),),
        build_args={"FTP_PROXY": packed},
    )  # fmt: skip
    said: list[StepUpdate | TransferUpdate | BuildWarning] = []

    def keep(event: Event) -> None:
        if isinstance(event, (StepUpdate, TransferUpdate, BuildWarning)):
            said.append(event)

    drain(builder.stream_build(request, CancelToken()), keep)
    return said


def test_layers_go_to_the_registry_while_others_are_made(
    make_base: Callable[..., Path], links: Path, tmp_path: Path
) -> None:
    base = make_base("two", layers=({"a": secrets.token_bytes(1 << 20)}, {"b": secrets.token_bytes(1 << 18)}))
    store = Store(tmp_path / "store")
    with FakeRegistry() as fake, contextlib.closing(OciBuilder(store=store, sites=[installed(tmp_path)])) as builder:
        fake.strict = True
        said = pushed(builder, base, links, fake)
        program = next(n for n, one in enumerate(said) if isinstance(one, StepUpdate) and one.step == "program")
        sent = [n for n, one in enumerate(said) if isinstance(one, TransferUpdate) and one.status == "done"]
        assert len([number for number in sent if number < program]) == 3, "the base's layers and the packages'"
        blobs = [said[number].item for number in sent]  # type: ignore[union-attr]
        assert len(blobs) == len(set(blobs)), "each once"
        assert ("team/x", "1") in fake.manifests


def test_what_cannot_be_sent_ahead_fails_in_the_push(
    make_base: Callable[..., Path], links: Path, tmp_path: Path
) -> None:
    """The image is made and has its name by then."""
    store = Store(tmp_path / "store")
    with (
        FakeRegistry(auth="basic", denied="write") as fake,
        contextlib.closing(OciBuilder(store=store, sites=[installed(tmp_path)])) as builder,
    ):
        with pytest.raises(PublishError, match="^Image push failed: "):
            pushed(builder, make_base("one"), links, fake)
        assert store.image(f"{fake.host}/team/x:1") is not None


def test_a_layer_that_cannot_be_made_ends_what_is_sent_ahead(
    make_base: Callable[..., Path], links: Path, tmp_path: Path
) -> None:
    """The damage is what is told, at once, not that a transfer was ended for it; the wheel is taken then."""
    base = make_base("large", history="apt-get install x", layers=({"a": secrets.token_bytes(24 << 20)},))
    site = installed(tmp_path)
    (site / "demo.py").write_text("x = 2\n")
    store = Store(tmp_path / "store")
    with FakeRegistry() as fake, contextlib.closing(OciBuilder(store=store, sites=[site])) as builder:
        fake.slow_s = 0.01
        said = pushed(builder, base, links, fake)
        warned = next(n for n, one in enumerate(said) if isinstance(one, BuildWarning))
        assert "demo.py is not what was recorded" in said[warned].text  # type: ignore[union-attr]
        before = [one for one in said[:warned] if isinstance(one, TransferUpdate)]
        assert all(one.status == "moving" for one in before), "nothing was waited for"
        assert ("team/x", "1") in fake.manifests
