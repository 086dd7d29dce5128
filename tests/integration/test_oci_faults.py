"""A build at its worst: killed at any moment, two at once, no room left, a wheel that lies about itself."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.plan import FileEntry, Requirement
from buildr_jupyter.oci.store import Store
from tests.fakes import bases
from tests.integration.oci_images import build, make_plan, request_for, said

ROOT = str(Path(__file__).parents[2])
PACKAGES = ("numpy", "pygments", "six")
MAKE = """
import sys
from pathlib import Path
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.oci.store import Store
from tests.integration.oci_images import build
from tests.integration.test_oci_faults import request
store, base, folder = map(Path, sys.argv[1:])
asked = request(base, folder)
print("begins", flush=True)
print(build(OciBuilder(store=Store(store)), asked)[1].image_id)
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return bases.save(tmp_path / "small.tar")


def request(base: Path, folder: Path):  # type: ignore[no-untyped-def]
    """Return a request for an image with packages that take a second or two to pack."""
    folder.mkdir(exist_ok=True)
    pins = tuple(Requirement(f"{name}=={version(name)}") for name in PACKAGES)
    return request_for(make_plan(base=str(base), requirements=pins), folder)


def process(store: Path, base: Path, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(store), str(base), str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": ROOT},
    )  # fmt: skip


def test_two_at_once_and_killed_at_any_moment(base: Path, tmp_path: Path) -> None:
    children = [process(tmp_path / "shared", base, tmp_path / name) for name in ("a", "b")]
    answers = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0, 0], answers
    (image_id,) = {said.split()[1] for said, _ in answers}
    assert Store(tmp_path / "shared").verify() == []

    with process(tmp_path / "alone", base, tmp_path / "c") as child:
        assert child.stdout
        assert child.stdout.readline() == "begins\n"
        started = time.monotonic()
        child.wait()
        length_s = time.monotonic() - started
    killed = 0
    for seed in range(4):  # each in a store of its own: what one left would make the next too quick to be killed
        store = tmp_path / f"store-{seed}"
        with process(store, base, tmp_path / "c") as child:
            assert child.stdout
            assert child.stdout.readline() == "begins\n"
            time.sleep(random.Random(seed).uniform(0, 0.6 * length_s))
            child.kill()
        killed += child.returncode == -9
        assert Store(store).verify() == [], f"seed {seed}"
        assert build(OciBuilder(store=Store(store)), request(base, tmp_path / "d"))[1].image_id == image_id
        assert Store(store).verify() == []
    assert killed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 6 MB."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("mounting a small disk needs root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    said("mount", "-t", "tmpfs", "-o", "size=6m", "buildr-small", folder)
    try:
        yield folder
    finally:
        said("umount", folder)


def test_a_full_disk(base: Path, small_disk: Path, tmp_path: Path) -> None:
    subject = OciBuilder(store=Store(small_disk / "store"))
    asked = request(base, tmp_path / "x")
    for _ in range(2):
        with pytest.raises(BuildError, match="No space left") as caught:
            build(subject, asked)
        assert "buildr cache prune" in str(caught.value.hint)
        assert subject.store.verify() == []
        assert list((small_disk / "store" / "half").iterdir()) == []
    said("mount", "-o", "remount,size=200m", small_disk)
    image_id = build(subject, asked)[1].image_id
    assert image_id == build(OciBuilder(store=Store(tmp_path / "roomy")), asked)[1].image_id


def lying_wheel() -> bytes:
    """Return a wheel whose RECORD has another hash of a module than the module."""
    out, info = io.BytesIO(), "liar-1.0.dist-info"
    other = base64.urlsafe_b64encode(hashlib.sha256(b"x = 2\n").digest()).decode().rstrip("=")
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("liar/__init__.py", "x = 1\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: liar\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"liar/__init__.py,sha256={other},6\n{info}/RECORD,,\n")
    return out.getvalue()


def test_a_wheel_whose_record_does_not_match(base: Path, tmp_path: Path) -> None:
    wheel = FileEntry.from_bytes("wheels/liar-1.0-py3-none-any.whl", lying_wheel())
    plan = make_plan(base=str(base), requirements=(Requirement(f"./{wheel.path}"),), wheels=(wheel,))
    packed = zlib.compress(json.dumps({"environment": {"PIP_NO_INDEX": "1"}, "certificates": ""}).encode())
    arguments = {"FTP_PROXY": "buildr:" + base64.b64encode(packed).decode()}
    store = Store(tmp_path / "store")
    with pytest.raises(BuildError, match=r"liar/__init__.py is not what was recorded"):
        build(OciBuilder(store=store), request_for(plan, tmp_path, build_args=arguments))
    assert store.images() == []
    assert store.verify() == []
