from __future__ import annotations

from collections.abc import Generator

from buildr_jupyter.builder.buildah_builder import BuildahBuilder
from buildr_jupyter.builder.buildkit_builder import BuildkitBuilder
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.kaniko_builder import KanikoBuilder
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.builder.protocol import SeedMethods
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest, EngineLoad, Unsupported
from buildr_jupyter.model.result import BuildResult


class Asked(SeedMethods):
    """A builder that keeps what it was asked for."""

    name = "asked"

    def __init__(self) -> None:
        self.requests: list[BuildRequest] = []
        self.pushed: list[ImageRef] = []

    def capabilities(self) -> Capabilities:
        return Capabilities()

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        return []

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        yield from ()
        return ResolvedBase(request.name, None)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        yield from ()
        self.requests.append(request)
        return BuildResult(str(request.refs[0]))

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        yield from ()
        self.pushed.append(ref)
        return BuildResult(str(ref))


def test_the_seeds_methods_go_over_the_streams() -> None:
    asked = Asked()
    assert asked.build("reg.example/x", "folder").image == "reg.example/x:latest"
    assert (str(asked.requests[0].context), asked.requests[0].outputs) == ("folder", (EngineLoad(),))
    assert asked.publish("reg.example/x").image == "reg.example/x"
    assert asked.pushed == [ImageRef.parse("reg.example/x")], "a name without a tag is left to the builder"


def test_builders_with_a_store_of_their_own_load_nothing_into_an_engine() -> None:
    assert {one.seed_outputs for one in (BuildahBuilder, BuildkitBuilder, OciBuilder)} == {()}
    assert {one.seed_outputs for one in (DockerBuilder, KanikoBuilder, Asked)} == {(EngineLoad(),)}
