"""The builder without an engine: whose wheels it takes for which base."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.context import folder as context
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import ImagePlan, Requirement
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.oci.base_image import opened_layer
from buildr_jupyter.oci.image import default_platform
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.store import Store
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


def test_a_base_with_musl_gets_the_wheels_of_musl(make_base: Callable[..., Path], links: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with contextlib.closing(OciBuilder(store=store, sites=[])) as builder:
        assert tag_in(builder, store, make_base("debian", history="apt-get install x"), links) == "manylinux"
        assert tag_in(builder, store, make_base("alpine", history="apk add x"), links) == "musllinux"


def test_what_is_installed_here_is_for_no_base_with_musl(
    make_base: Callable[..., Path], links: Path, tmp_path: Path
) -> None:
    """Where the kernel has the package, a base with glibc gets that one."""
    site = tmp_path / "lib" / "site-packages"
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
    store = Store(tmp_path / "store")
    with contextlib.closing(OciBuilder(store=store, sites=[site])) as builder:
        assert tag_in(builder, store, make_base("debian", history="apt-get install x"), links) == "here"
        assert tag_in(builder, store, make_base("alpine", history="apk add x"), links) == "musllinux"
