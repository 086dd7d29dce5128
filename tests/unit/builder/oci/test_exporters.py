"""Where a finished image goes: what a registry is sent and asked, one file, and the layers that an engine has."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from buildr_jupyter.builder.oci import exporters
from buildr_jupyter.builder.oci.bases import Bases
from buildr_jupyter.builder.oci.exporters import Outputs, common_layers
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.errors import EngineUnavailable, PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import TransferUpdate
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CONTENT_LABEL
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Archive, Push
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.oci.archive import write_archive
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import MANIFEST, Published, default_platform, make_image
from buildr_jupyter.oci.layer import Entry, compressor, write_layer
from buildr_jupyter.oci.sbom import SBOM_TYPE
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry.client import Registry
from tests.fakes import bases
from tests.fakes.registry import FakeRegistry
from tests.runner_contract import collected


class Trial:
    """An image of one layer on a base of one, in a store, and what brings it to its outputs."""

    def __init__(self, folder: Path, fake: FakeRegistry) -> None:
        self.store, self.host = Store(folder / "store"), fake.host
        self.bases = Bases(self.store, compressor(), self._registry, self._engine)
        self.subject = Outputs(self.store, self.bases, self._registry, self._engine)
        bases.put(fake)
        found = self.bases.find(
            f"{fake.host}/base/x:1", default_platform(), python="3.11", pull=False, cancel=CancelToken()
        )
        self.base: Base = collected(found)[1]
        layer, _ = self.store.make_layer(
            "own", lambda out: write_layer([Entry.of("app/main.py", b"print(1)\n")], out, compressor())
        )
        config = {"os": "linux", "architecture": default_platform()[6:], "config": {"Labels": {}}}
        image = make_image(config, [*self.base.layers, layer], platform=default_platform())
        self.store.put(image.config)
        self.made = Published((image,))

    def _registry(self, location: str, timeout_s: float | None = None) -> Registry:
        return Registry(location.partition("/")[0], timeout_s=timeout_s)

    def _engine(self) -> EngineClient:
        raise EngineUnavailable("no engine answers")

    def push(self, name: str = "me/x:1", **more: bool) -> list[Any]:
        ref = ImageRef.parse(f"{self.host}/{name}")
        return collected(self.subject.push(self.made, [self.base], ref, CancelToken(), **more))[0]


@pytest.fixture
def trial(tmp_path: Path) -> Callable[[FakeRegistry], Trial]:
    return lambda fake: Trial(tmp_path, fake)


def test_blobs_come_first_and_the_tag_last(trial: Callable[[FakeRegistry], Trial]) -> None:
    with FakeRegistry() as fake:
        fake.strict = True  # a manifest is refused before its blobs
        made = trial(fake)
        events = made.push()
        assert fake.manifests["me/x", "1"] == (MANIFEST, made.made.top)
        assert (events[-1].item, events[-1].status) == ("1", "done")
        mounted = [event.status for event in events if isinstance(event, TransferUpdate) and event.status == "mounted"]
        assert len(mounted) == 1, "the base's layer is in that registry"
        artifacts = [json.loads(content) for _, content in fake.manifests.values() if b"artifactType" in content]
        assert [(one["artifactType"], one["subject"]["digest"]) for one in artifacts[:1]] == [
            (SBOM_TYPE, made.made.images[0].digest)
        ]


def test_the_bill_of_materials_waits_for_the_image_s_own_blobs(trial: Callable[[FakeRegistry], Trial]) -> None:
    with FakeRegistry() as fake:
        made = trial(fake)
        made.push()
        puts = [unquote(path) for method, path, _ in fake.requests if method == "PUT" and "/blobs/" in path]
        image = made.made.images[0]
        own = [any(digest in path for digest in (image.image_id, image.layers[-1].digest)) for path in puts]
        assert own == [True, True, False, False], "config and program; then what the bill consists of"


def test_what_is_there_is_not_sent_again(trial: Callable[[FakeRegistry], Trial]) -> None:
    with FakeRegistry() as fake:
        made = trial(fake)
        made.push()
        asked = len(fake.requests)
        (event,) = made.push()
        assert (event.status, len(fake.requests) - asked) == ("exists", 1)
        made.push("me/x:2", ask_first=False)
        sent = [method for method, path, _ in fake.requests[asked + 1 :] if "/blobs/" in path and method != "HEAD"]
        assert sent == [], "each blob was seen in that repository a moment ago"
        assert fake.manifests["me/x", "2"] == fake.manifests["me/x", "1"]


def test_a_blob_that_the_registry_lost_is_sent_again(trial: Callable[[FakeRegistry], Trial]) -> None:
    with FakeRegistry() as fake:
        fake.strict = True
        made = trial(fake)
        made.push()
        own = made.made.images[0].layers[-1].digest
        del fake.blobs[own]
        fake.owned.discard(("me/x", own))
        made.push("me/x:2")
        assert own in fake.blobs
        assert ("me/x", "2") in fake.manifests


def test_a_push_that_is_refused_leaves_no_tag_and_says_where_it_failed(
    trial: Callable[[FakeRegistry], Trial],
) -> None:
    with FakeRegistry(denied="write") as fake:
        made = trial(fake)
        with pytest.raises(PublishError, match=r"^Image push failed: "):
            made.push()
        assert [key for key in fake.manifests if key[0] == "me/x"] == []


def test_a_bill_of_materials_that_is_refused_is_a_warning(trial: Callable[[FakeRegistry], Trial]) -> None:
    with FakeRegistry() as fake:
        made = trial(fake)

        def refuse_artifacts(handler: Any) -> bool:
            """An artifact is put by its digest, an image by its tag."""
            if handler.command == "PUT" and "/manifests/sha256:" in handler.path:
                handler.answer(400, b'{"errors": [{"code": "MANIFEST_INVALID", "message": "no artifacts here"}]}')
                return True
            return False

        fake.rule = refuse_artifacts
        events = made.push()
        (warning,) = [event for event in events if isinstance(event, BuildWarning)]
        assert "the image is pushed, its bill of materials (SBOM) is not: " in warning.text
        assert ("me/x", "1") in fake.manifests


def test_each_output_adds_what_came_of_it(trial: Callable[[FakeRegistry], Trial], tmp_path: Path) -> None:
    with FakeRegistry() as fake:
        made = trial(fake)
        result, names = BuildResult(image="x:1"), [ImageRef.parse("x:1")]
        target = tmp_path / "image.tar"
        for output in (Push(ImageRef.parse(f"{fake.host}/me/x:1")), Archive(target)):
            bringing = made.subject.bring(output, made.made, [made.base], names, result, CancelToken())
            _, result = collected(bringing)
        assert (result.digest, result.pushed, result.archive) == (made.made.digest, (f"{fake.host}/me/x:1",), target)
        with tarfile.open(target) as tar:
            layers = {layer.digest.removeprefix("sha256:") for layer in made.made.images[0].layers}
            assert layers <= {name.rpartition("/")[2] for name in tar.getnames()}, "those of the base came, too"


class Engine:
    """An engine that has images of these layers: a letter is a layer, and ``!`` marks one that buildr made."""

    def __init__(self, *images: str, name: str = "Engine") -> None:
        self._images, self._name = images, name
        self.asked: list[str] = []

    def version(self) -> dict[str, Any]:
        return {"Components": [{"Name": self._name}]}

    def images(self) -> list[dict[str, Any]]:
        return [{"Id": one.strip("!"), "Labels": {CONTENT_LABEL: "x"} if "!" in one else None} for one in self._images]

    def inspect_image(self, name: str) -> dict[str, Any]:
        from docker.errors import ImageNotFound

        self.asked.append(name)
        if name not in [one.strip("!") for one in self._images] or name == "gone":
            raise ImageNotFound(name)
        return {"RootFS": {"Layers": list(name)} if name else None}


def test_an_archive_that_is_there_is_not_written_again(
    trial: Callable[[FakeRegistry], Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written again where it was touched, and for another name."""
    written = []

    def noted(*given: Any, **named: Any) -> None:
        written.append(given[3])
        write_archive(*given, **named)

    monkeypatch.setattr(exporters, "write_archive", noted)
    path = tmp_path / "x.tar"
    with FakeRegistry() as fake:
        subject = trial(fake)

        def bring(*names: str) -> bytes:
            refs = [ImageRef.parse(name) for name in names]
            result = BuildResult(names[0])
            list(subject.subject.bring(Archive(path), subject.made, [subject.base], refs, result, CancelToken()))
            return path.read_bytes()

        first = bring("x:1")
        os.utime(path, ns=(0, 0))
        assert bring("x:1") == first
        assert len(written) == 2, "it was touched"
        before = path.stat().st_mtime_ns
        assert bring("x:1") == first
        assert len(written) == 2
        assert path.stat().st_mtime_ns > before, "who looks at times sees that it is of now"
        assert bring("x:1") == first
        assert len(written) == 2
        assert bring("x:2") != first
        path.write_bytes(path.read_bytes()[:-1])
        assert len(bring("x:2")) == len(first)
        path.unlink()
        assert len(bring("x:2")) == len(first)
        assert len(written) == 5


@pytest.mark.parametrize(
    ("engine", "common"),
    [
        (Engine(), 0),
        (Engine("abc"), 3),
        (Engine("ab", "abx", "xabc"), 2),
        (Engine("xbc"), 0),  # a chain is known from its first layer on
        (Engine("abcd"), 3),
        (Engine("", "a"), 1),
        (Engine("gone", "ab"), 2),
        (Engine("abc", name="Podman Engine"), 0),
    ],
)
def test_layers_that_an_engine_has(engine: Any, common: int) -> None:
    assert common_layers(engine, ["a", "b", "c"], of_base=3) == common


def test_an_engine_with_many_images_is_asked_for_few() -> None:
    """The base's own name and the last version of the image say most; strangers only have to have the base."""
    strangers = [f"x{number}" for number in range(1000)]
    for images, asked, common in (
        (["ab", "abc!"], ["ab", "last", "abc"], 3),
        (["ab", "abx!"], ["ab", "last", "abx"], 2),
        (["last", "ab"], ["ab", "last"], 2),
    ):
        engine: Any = Engine(*images, *strangers)
        assert common_layers(engine, ["a", "b", "c"], of_base=2, names=("ab", "last")) == common
        assert engine.asked == asked
