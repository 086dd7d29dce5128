"""The client against Debian's registry, killed in mid-push and started again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.errors import RegistryUnreachable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import TransferUpdate
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import Push
from buildr_jupyter.registry.client import Registry
from buildr_jupyter.registry.transport import RetryPolicy
from tests.engines._process import free_port, listens
from tests.integration.oci_images import make_plan, needs, request_for, said


class Mortal:
    """A registry that can be killed and started again on its port, with its files."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self._config = folder / "config.yml"
        self._config.write_text(
            json.dumps(
                {
                    "version": "0.1",
                    "log": {"level": "error", "accesslog": {"disabled": True}},
                    "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
                    "http": {"addr": self.host, "secret": "the same after the restart"},
                }
            )
        )
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it unless it runs; several may ask at once."""
        with self._lock:
            if self._child:
                return
            self._child = subprocess.Popen(
                ["docker-registry", "serve", str(self._config)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", ""), "OTEL_TRACES_EXPORTER": "none"},  # REGISTRY_* would be settings
            )  # fmt: skip
            deadline = time.monotonic() + 20
            while not listens("127.0.0.1", self.port):
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def kill(self) -> None:
        with self._lock:
            if self._child:
                self._child.kill()
                self._child.wait()
                self._child = None


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Mortal]:
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    made = Mortal(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.mark.parametrize("chunk_bytes", [4 << 20, 1 << 30], ids=["chunks", "whole"])
def test_killed_in_the_middle_of_a_push(mortal: Mortal, chunk_bytes: int) -> None:
    content = secrets.token_bytes(1 << 20) * 40
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    kills: list[int] = []

    def progress(done: int) -> None:
        if done > len(content) // 2 and not kills:
            kills.append(done)
            mortal.kill()

    def wait(_seconds: float) -> None:
        if kills and not listens("127.0.0.1", mortal.port):
            mortal.start()

    asked = Registry(mortal.host, patience=RetryPolicy(5, sleep=wait))
    with contextlib.closing(asked):
        asked.ping()
        assert asked.digest("me/x", "1") is None
        how = asked.upload(
            "me/x", digest, len(content), lambda: io.BytesIO(content), progress=progress, chunk_bytes=chunk_bytes
        )
        assert how == "done"
        assert kills
        assert asked.digest("me/x", "1") is None, "no manifest before its blobs"
        assert asked.has_blob("me/x", digest)
        out = io.BytesIO()
        asked.download("me/x", digest, len(content), out)
        assert out.getvalue() == content


def test_a_whole_image_pushed_to_a_registry_that_is_killed(mortal: Mortal, oci: OciBuilder, tmp_path: Path) -> None:
    needs("skopeo")
    ref = ImageRef.parse(f"{mortal.host}/me/whole:1")
    kills, early = [], []

    def wait(_seconds: float) -> None:  # several uploads wait at once
        if not listens("127.0.0.1", mortal.port):
            mortal.start()
            with contextlib.closing(Registry(mortal.host)) as other, contextlib.suppress(RegistryUnreachable):
                early.append(other.digest("me/whole", "1"))

    patient = OciBuilder(store=oci.store, sleep=wait, retries=20)
    stream = patient.stream_build(request_for(make_plan(), tmp_path, Push(ref), name=str(ref)), CancelToken())
    with contextlib.closing(patient):
        while True:
            try:
                event = next(stream)
            except StopIteration as end:
                result = end.value
                break
            moving = isinstance(event, TransferUpdate) and event.verb == "push" and event.status == "moving"
            if moving and len(kills) < 2 and event.current_bytes > (1 + 8 * len(kills)) << 20:
                kills.append(event.current_bytes)
                mortal.kill()
    assert kills
    assert early
    assert set(early) == {None}, "no manifest before its blobs"
    said("skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{ref}", f"oci:{tmp_path}/back:1")
    assert json.loads(said("skopeo", "inspect", f"oci:{tmp_path}/back:1"))["Digest"] == result.digest
