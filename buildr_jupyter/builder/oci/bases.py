"""Where a base comes from without an engine: the store, a registry, a file, this Python; or an engine after all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.engine.client import EngineClient, OpenEngine
from buildr_jupyter.errors import (
    BuildError,
    BuildrError,
    EngineError,
    PublishError,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnreachable,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, TransferUpdate
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.oci import base_image as bases
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.interpreter_base import kernel_base
from buildr_jupyter.oci.layer import Compressor, Layer
from buildr_jupyter.oci.push import in_parallel
from buildr_jupyter.oci.store import Store

# The client imports requests: an image that no registry is asked for needs none of it.
if TYPE_CHECKING:
    from buildr_jupyter.registry.client import Registry

__all__ = ["LOOK_UP_S", "Bases", "layers_in"]

LOOK_UP_S = 2.0
"""How long a registry may take to say what a base is, when other places are left to look."""
_FORGET_S = 600.0


class Bases:
    """Finds bases; remembers in the process which registries did not answer."""

    def __init__(
        self,
        store: Store,
        using: Compressor,
        open_registry: Callable[[str, float | None], Registry],
        open_engine: OpenEngine,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.using = store, using
        self._open_registry, self._open_engine, self._clock = open_registry, open_engine, clock
        self._silent: dict[str, float] = {}
        self._known: dict[tuple[str, str], Base] = {}

    def known(self, name: str, platform: str) -> Base | None:
        """Return a base that was found before and whose local layers are still there."""
        base = self._known.get((name, platform)) or Base.from_json(self.store.record(["base", name, platform]))
        if base and not base.registry and not all(self.store.has(x.digest, x.size_bytes) for x in base.layers):
            return None
        return base

    def _keep(self, name: str, base: Base) -> Base:
        self._known[name, base.platform] = base
        self.store.note(["base", name, base.platform], base.to_json())
        return base

    def at_hand(self, name: str, platform: str, client: EngineClient) -> bool:
        """Tell whether a base is known or its registry gives it now, and no other one of its name is in the engine.

        A registry that did not answer is not asked again for ten minutes, by other processes neither.
        """
        from docker.errors import DockerException

        if name == "kernel" or bases.is_file(name) is not None:
            return False
        ref = ImageRef.parse(name).tagged()
        base = self.known(name, platform)
        if base is None or not base.registry:
            note = ["silent", ref.registry_host]
            since = self.store.record(note)
            if isinstance(since, float) and 0 <= time.time() - since < _FORGET_S:
                return False
            try:
                base = self._keep(name, self._ask_registry(ref, platform, CancelToken()))
            except (PublishError, BuildError) as error:
                if isinstance(error, RegistryUnreachable):
                    self.store.note(note, time.time())
                return False
        found = None
        with contextlib.suppress(DockerException, OSError):
            found = layers_in(client, name)
        return found is None or found == [layer.diff_id for layer in base.layers]

    def find(
        self, name: str, platform: str, *, python: str, pull: bool, cancel: CancelToken
    ) -> Generator[Event, None, Base]:
        """Return the base of this name; where its registry has it not, an engine may.

        With ``pull`` the registry is asked anew, and a login that it refuses is an error whatever an engine has.

        Raises BuildError where it is nowhere, and says where it was looked for.
        """
        check = cancel.check
        if name == "kernel":
            yield StepUpdate("base", "base: this interpreter", status="running")
            base, cached = kernel_base(self.store, self.using, python, check)
            yield StepUpdate("base", "base: this interpreter", status="cached" if cached else "done")
            bases.check_platform(base.config, platform, name)
            self._known[name, platform] = base
            return base
        if (path := bases.is_file(name)) is not None:
            base = bases.from_file(path, platform, self.store, self.using, check)
            self._known[name, platform] = base
            return base
        if not pull and (known := self.known(name, platform)) and known.registry:
            return known
        ref = ImageRef.parse(name).tagged()
        try:
            return self._keep(name, self._ask_registry(ref, platform, cancel))
        except PublishError as error:
            refused = pull and isinstance(error, (RegistryUnauthorized, RegistryDenied))
            found = None if refused else (yield from self._from_engine(name, platform, cancel))
            if found is not None:
                return self._keep(name, found)
            raise bases.explain(error, name) from error

    def find_any(
        self, name: str, platform: str, *, python: str, pull: bool, cancel: CancelToken
    ) -> Generator[Event, None, Base]:
        """Return the base of this name, else the one made from this interpreter; say which."""
        try:
            return (yield from self.find(name, platform, python=python, pull=pull, cancel=cancel))
        except BuildError as error:
            try:
                base = yield from self.find("kernel", platform, python=python, pull=False, cancel=cancel)
            except BuildrError as other:
                why = str(other).removeprefix("Image build failed: ")
                raise BuildError(
                    f"{error}; nor can this interpreter be the base: {why}", hint=other.hint or error.hint
                ) from error
            yield BuildWarning(f"base {name} is neither in its registry nor in an engine: this interpreter is the base")
            return base

    def _ask_registry(self, ref: ImageRef, platform: str, cancel: CancelToken) -> Base:
        host = ref.registry_host
        if self._silent.get(host, -_FORGET_S) > self._clock() - _FORGET_S:
            raise RegistryUnreachable(
                f"registry {host} did not answer a moment ago", hint="check that the network is up"
            )
        with contextlib.closing(self._open_registry(ref.location, LOOK_UP_S)) as registry:
            try:
                found = bases.from_registry(registry.until(cancel), ref, platform, self.store)
                return replace(found, name=str(ref))
            except RegistryUnreachable:
                self._silent[host] = self._clock()
                raise

    def _from_engine(self, name: str, platform: str, cancel: CancelToken) -> Generator[Event, None, Base | None]:
        """Return the base that an engine has, None where none answers or has it."""
        try:
            client = self._open_engine()
        except EngineError:
            return None
        from docker.errors import DockerException

        with contextlib.closing(client):
            try:
                image_id = str(client.inspect_image(name)["Id"])
            except (DockerException, OSError, KeyError):
                return None
            key = ["engine-base", image_id, self.using.key]
            known = Base.from_json(self.store.record(key))
            if known and all(self.store.has(layer.digest, layer.size_bytes) for layer in known.layers):
                return replace(known, name=name)
            step = StepUpdate("base", f"base: {name} out of the engine", status="running")
            yield step
            with self.store.scratch() as scratch:
                saved = scratch / "saved.tar"
                yield from self._save(client, image_id, saved, cancel)
                made = bases.from_saved(saved, name, platform, self.store, self.using, cancel.check)
            base = replace(made, digest=image_id)
            self.store.note(key, base.to_json())
            yield replace(step, status="done")
            return base

    def _save(
        self, client: EngineClient, image_id: str, target: Path, cancel: CancelToken
    ) -> Generator[Event, None, None]:
        check = cancel.check
        done = 0
        with target.open("wb") as out:
            for block in client.get_image(image_id, chunk_size=1 << 20):
                check()
                out.write(block)
                done += len(block)
                yield TransferUpdate(image_id.removeprefix("sha256:")[:12], "pull", "base", done, None, "moving")
        yield TransferUpdate(image_id.removeprefix("sha256:")[:12], "pull", "base", done, done, "done")

    # -- bytes of layers

    def locate(self, base: Base, layer: Layer, cancel: CancelToken) -> Path:
        """Return where the bytes of a layer are; a base's come from its registry when they are first needed."""
        if self.store.has(layer.digest, layer.size_bytes) or base.registry is None:
            return self.store.path(layer.digest)
        with contextlib.closing(self._open_registry("/".join(base.registry), None)) as registry:
            check = cancel.check
            return bases.fetch(registry.until(cancel), base, layer, self.store, progress=lambda _done: check())

    def fetch_all(self, base: Base, cancel: CancelToken, *, without: int = 0) -> Generator[Event, None, None]:
        """Have all layers of the base in the store, those after the first ``without``."""
        missing = [x for x in base.layers[without:] if not self.store.has(x.digest, x.size_bytes)]
        if not missing or base.registry is None:
            return
        check = cancel.check
        with contextlib.closing(self._open_registry("/".join(base.registry), None)) as registry:

            def one(layer: Layer, say: Callable[[Event], None]) -> None:
                item = layer.digest.removeprefix("sha256:")[:12]

                def progress(done: int) -> None:
                    check()
                    say(TransferUpdate(item, "pull", "base", done, layer.size_bytes, "moving"))

                bases.fetch(registry.until(cancel), base, layer, self.store, progress=progress)
                say(TransferUpdate(item, "pull", "base", layer.size_bytes, layer.size_bytes, "done"))

            try:
                yield from in_parallel([partial(one, layer) for layer in missing], cancel)
            except PublishError as error:
                raise bases.explain(error, base.name) from error


def layers_in(client: EngineClient, name: str) -> list[str] | None:
    """Return the diff ids of an image in the engine, None where it has none of the name; raises docker-py's errors."""
    from docker.errors import APIError

    try:
        return list((client.inspect_image(name).get("RootFS") or {}).get("Layers") or [])
    except APIError:
        return None
