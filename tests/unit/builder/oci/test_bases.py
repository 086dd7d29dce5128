"""Where a base comes from: its registry, the store, a file, an engine; what is remembered, and what is an error."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.oci.bases import Bases
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.errors import BuildError, EngineUnavailable, RegistryUnreachable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import TransferUpdate
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import default_platform
from buildr_jupyter.oci.layer import compressor
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry.client import Registry
from tests.fakes import bases
from tests.fakes.registry import FakeRegistry
from tests.runner_contract import collected

HERE = default_platform()
GONE = "127.0.0.1:1/base/x:1"


class Engine:
    """An engine with one image, as ``docker save`` writes it."""

    def __init__(self, saved: Path, name: str) -> None:
        self.saved, self.name, self.saves = saved, name, 0

    def inspect_image(self, name: str) -> dict[str, Any]:
        from docker.errors import ImageNotFound

        if name != self.name:
            raise ImageNotFound(name)
        return {"Id": "sha256:" + "e" * 64, "RootFS": {"Layers": ["sha256:other"]}}

    def get_image(self, _: str, chunk_size: int) -> Iterator[bytes]:
        self.saves += 1
        with io.BytesIO(self.saved.read_bytes()) as stream:
            yield from iter(lambda: stream.read(min(chunk_size, 1000)), b"")

    def close(self) -> None:
        pass


class Found:
    """The subject, and which registries were opened."""

    def __init__(self, store: Store, engine: Engine | None = None) -> None:
        self.opened: list[str] = []
        self.engine: Any = engine
        self.now_s = 0.0
        self.subject = Bases(store, compressor(), self._registry, self._engine, lambda: self.now_s)

    def _registry(self, location: str, timeout_s: float | None) -> Registry:
        self.opened.append(location)
        return Registry(location.partition("/")[0], timeout_s=timeout_s)

    def _engine(self) -> EngineClient:
        if self.engine is None:
            raise EngineUnavailable("no engine answers")
        found: EngineClient = self.engine
        return found

    def find(self, name: str, *, pull: bool = False, any_: bool = False) -> tuple[Base, list[Any]]:
        ask = self.subject.find_any if any_ else self.subject.find
        events, base = collected(ask(name, HERE, python="3.11", pull=pull, cancel=CancelToken()))
        return base, events


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., Found]:
    return lambda engine=None: Found(Store(tmp_path / "store"), engine)


def test_a_registry_is_asked_once_and_again_where_it_is_told_to_pull(found: Callable[..., Found]) -> None:
    with FakeRegistry() as fake:
        made, name, diff_ids = found(), f"{fake.host}/base/x:1", bases.put(fake)
        base, _ = made.find(name)
        assert [layer.diff_id for layer in base.layers] == diff_ids
        assert (base.name, base.registry) == (name, (fake.host, "base/x"))
        assert made.find(name)[0] == found().find(name)[0] == base, "another process knows it from the store"
        assert made.opened == [f"{fake.host}/base/x"]
        moved = bases.put(fake, content=b"newer")
        assert [layer.diff_id for layer in made.find(name)[0].layers] == diff_ids
        assert [layer.diff_id for layer in made.find(name, pull=True)[0].layers] == moved


def test_layers_come_when_they_are_needed_and_each_once(found: Callable[..., Found]) -> None:
    with FakeRegistry() as fake:
        made = found()
        bases.put(fake)
        base, _ = made.find(f"{fake.host}/base/x:1")
        (layer,) = base.layers
        assert not made.subject.store.has(layer.digest)
        assert collected(made.subject.fetch_all(base, CancelToken(), without=1))[0] == []
        events, _ = collected(made.subject.fetch_all(base, CancelToken()))
        assert [event.status for event in events if isinstance(event, TransferUpdate)][-1] == "done"
        assert made.subject.locate(base, layer, CancelToken()).read_bytes() == fake.blobs[layer.digest]
        asked = len(fake.requests)
        assert collected(made.subject.fetch_all(base, CancelToken()))[0] == []
        made.subject.locate(base, layer, CancelToken())
        assert len(fake.requests) == asked


def test_an_engine_has_what_no_registry_gives_and_is_read_once(found: Callable[..., Found], tmp_path: Path) -> None:
    engine = Engine(bases.save(tmp_path / "saved.tar"), GONE)
    base, events = found(engine).find(GONE)
    assert base.registry is None
    assert next(event.title for event in events if isinstance(event, StepUpdate)) == f"base: {GONE} out of the engine"
    again = found(engine)
    assert again.find(GONE)[0] == base
    assert again.find(GONE, pull=True)[0] == base
    assert engine.saves == 1
    again.subject.store.discard(base.layers[0].digest)
    assert again.find(GONE)[0] == base
    assert engine.saves == 2, "a layer that is gone is read anew"


def test_a_registry_that_is_silent_is_left_alone_for_ten_minutes(found: Callable[..., Found]) -> None:
    made = found()
    for _ in range(3):
        with pytest.raises(BuildError, match="base 127.0.0.1:1/base/x:1: "):
            made.find(GONE)
    assert len(made.opened) == 1
    made.now_s = 601.0
    with pytest.raises(BuildError):
        made.find(GONE)
    assert len(made.opened) == 2


@pytest.mark.parametrize("denied", [True, False])
def test_a_login_that_is_refused_is_an_error_where_the_registry_must_be_asked(
    found: Callable[..., Found], tmp_path: Path, *, denied: bool
) -> None:
    """With ``pull`` the engine's image of that name may be an old one."""
    with FakeRegistry(auth="basic") if denied else FakeRegistry() as fake:
        name = f"{fake.host}/base/x:1"
        made = found(Engine(bases.save(tmp_path / "saved.tar"), name))
        if denied:
            with pytest.raises(BuildError, match="login"):
                made.find(name, pull=True)
        assert made.find(name)[0].name == name


def test_a_file_is_a_base(found: Callable[..., Found], tmp_path: Path) -> None:
    path = bases.save(tmp_path / "base.tar")
    made = found()
    base, _ = made.find(str(path))
    assert (base.name, base.platform, made.opened) == ("base.tar", HERE, [])


def test_this_interpreter_is_the_base_where_there_is_no_other_and_that_is_said(found: Callable[..., Found]) -> None:
    with FakeRegistry() as fake:
        bases.put(fake)
        made = found()
        assert made.find(f"{fake.host}/base/x:1", any_=True)[1] == []
    both = f"base {GONE}: .*; nor can this interpreter be the base: .*2.7"
    with pytest.raises(BuildError, match=both):  # a full disk would be told as a registry that is away otherwise
        collected(made.subject.find_any(GONE, HERE, python="2.7", pull=False, cancel=CancelToken()))


def test_what_is_said_of_this_interpreter(found: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    from buildr_jupyter.builder.oci import bases as module

    def interpreter(store: Store, using: object, python: str, check: object) -> tuple[Base, bool]:
        config = {"os": "linux", "architecture": HERE[6:]}
        return Base("kernel", store.put(b"{}"), HERE, config, ()), False

    monkeypatch.setattr(module, "kernel_base", interpreter)  # the true one packs 100 MB; integration tests do
    base, events = found().find(GONE, any_=True)
    assert base.name == "kernel"
    assert [event.text for event in events if isinstance(event, BuildWarning)] == [
        f"base {GONE} is neither in its registry nor in an engine: this interpreter is the base"
    ]


def test_the_error_of_a_registry_is_kept(found: Callable[..., Found]) -> None:
    with pytest.raises(BuildError) as caught:
        found().find(GONE)
    assert isinstance(caught.value.__cause__, RegistryUnreachable)
    assert caught.value.hint
