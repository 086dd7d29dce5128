"""The bill of materials: what is in it, that it is the same each time, that it gets to the image."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.context import folder as context
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan, Requirement
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import BuildRequest, Push
from buildr_jupyter.oci.sbom import SBOM_TYPE, purl
from buildr_jupyter.oci.store import Store
from tests.fakes.registry import FakeRegistry


def push(fake: FakeRegistry, store: Path, base: Path, folder: Path) -> tuple[list[Event], Any]:
    plan = ImagePlan(
        base=str(base), python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=(Requirement("six==1.17.0"),), files=(FileEntry.from_bytes("app/main.py", b"print(1)\n"),),
        notebook="nb.ipynb", cell="3",
    )  # fmt: skip
    made = context.write_folder(plan, folder / "context")
    ref = ImageRef.parse(f"{fake.host}/me/x:1")
    events: list[Event] = []
    with contextlib.closing(OciBuilder(store=Store(store))) as builder:
        stream = builder.stream_build(BuildRequest(made, (ref,), plan=plan, outputs=(Push(ref),)), CancelToken())
        while True:
            try:
                events.append(next(stream))
            except StopIteration as end:
                return events, end.value


def bill_of(fake: FakeRegistry, digest: str) -> tuple[bytes, dict[str, Any]]:
    """Return the one bill that is listed under the subject's tag, and its manifest."""
    listed = json.loads(fake.manifests["me/x", digest.replace(":", "-")][1])["manifests"]
    (entry,) = [one for one in listed if one["artifactType"] == SBOM_TYPE]
    manifest = json.loads(fake.manifests["me/x", entry["digest"]][1])
    return fake.blobs[manifest["layers"][0]["digest"]], manifest


def test_attached_to_what_is_pushed(tmp_path: Path, small_base: Path) -> None:
    bills = []
    for number in range(2):
        with FakeRegistry() as fake:
            fake.strict = True
            events, result = push(fake, tmp_path / f"store{number}", small_base, tmp_path)
            assert not [event for event in events if isinstance(event, BuildWarning)]
            everything = (*fake.blobs.values(), *(content for _, content in fake.manifests.values()))
            assert not [one for one in everything if str(tmp_path).encode() in one], "where the base's file is"
            content, manifest = bill_of(fake, result.digest)
            image = fake.manifests["me/x", "1"][1]
            assert manifest["subject"]["digest"] == f"sha256:{hashlib.sha256(image).hexdigest()}"
            assert manifest["subject"]["size"] == len(image)
            begun = len(fake.requests)
            push(fake, tmp_path / f"store{number}", small_base, tmp_path)
            assert {request[0] for request in fake.requests[begun:]} <= {"HEAD", "GET"}, "nothing is sent again"
            bills.append(content)
    assert bills[0] == bills[1]
    bill = json.loads(bills[0])
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert "timestamp" not in bill["metadata"]
    base, six = bill["components"]
    assert (base["type"], base["name"]) == ("container", "small.tar")
    assert six == {
        "type": "library", "name": "six", "version": "1.17.0", "purl": "pkg:pypi/six@1.17.0",
        "bom-ref": "pkg:pypi/six@1.17.0",
    }  # fmt: skip
    refs = {one["bom-ref"] for one in (*bill["components"], bill["metadata"]["component"])}
    assert {one for entry in bill["dependencies"] for one in (entry["ref"], *entry["dependsOn"])} == refs
    assert bill["metadata"]["tools"]["components"][0]["name"] == "buildr_jupyter"
    assert str(tmp_path) not in bills[0].decode()


def test_a_registry_that_takes_no_bill_keeps_the_image(
    tmp_path: Path, small_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from buildr_jupyter.errors import PublishError
    from buildr_jupyter.registry.client import Registry

    def refuse(*_: object) -> str:
        raise PublishError("no artifacts here", hint="none")

    monkeypatch.setattr(Registry, "put_referrer", refuse)
    with FakeRegistry() as fake:
        events, result = push(fake, tmp_path / "store", small_base, tmp_path)
        assert fake.manifests["me/x", "1"]
        assert result.pushed
    assert ["no artifacts here" in event.text for event in events if isinstance(event, BuildWarning)] == [True]


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("ruamel.yaml", "0.18.6", "pkg:pypi/ruamel-yaml@0.18.6"),
        ("Torch_X", "2.1+cpu", "pkg:pypi/torch-x@2.1%2Bcpu"),
        ("a", "1!2.0", "pkg:pypi/a@1%212.0"),
    ],
)
def test_purl(name: str, version: str, expected: str) -> None:
    assert purl(name, version) == expected
