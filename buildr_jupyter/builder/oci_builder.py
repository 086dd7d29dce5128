"""Makes an image itself: no engine, no daemon, no root; to a registry, a file, or an engine after all."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from buildr_jupyter.builder.oci.bases import Bases
from buildr_jupyter.builder.oci.exporters import Outputs
from buildr_jupyter.builder.oci.log import logged
from buildr_jupyter.builder.oci.rebase import rebased
from buildr_jupyter.builder.protocol import SeedMethods
from buildr_jupyter.dependencies import uv as wheels
from buildr_jupyter.engine.client import EngineClient, OpenEngine
from buildr_jupyter.engine.connection import connect as connect_engine
from buildr_jupyter.errors import BuildError, BuildRefused, Cancelled, ContextError, PublishError, UnknownSpec
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import HOME, ImagePlan
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import INTERPRETER_BASE, BuildRequest, EngineLoad, Output, Push, Unsupported
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.oci import base_image as base_images
from buildr_jupyter.oci import bytecode, python_layers
from buildr_jupyter.oci.base_image import Base, find_python, is_musl
from buildr_jupyter.oci.image import BASE_NAME, Image, Published, default_platform, image_config, make_image, make_index
from buildr_jupyter.oci.layer import Compressor, Entry, Layer, compressor, write_layer
from buildr_jupyter.oci.push import Work, in_parallel
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.store import DamagedBlob, Store, StoreUnwritable
from buildr_jupyter.registry import keychain
from buildr_jupyter.secretscan.redact import masked_logger

# The client imports requests: an image that no registry is asked for needs none of it.
if TYPE_CHECKING:
    from buildr_jupyter.registry.client import Registry

__all__ = ["OciBuilder"]

logger = masked_logger(logging.getLogger(__name__))

SENDERS = 2
"""So many layers go to a registry at once while others are made."""
FORMAT = 2
"""Part of the key of every image and program layer: another number, and all are made anew."""


class OciBuilder(SeedMethods):
    """Builds without an engine. One builder can serve several threads."""

    name = "oci"
    seed_outputs = ()

    def __init__(
        self,
        *,
        store: Store | None = None,
        find_login: Callable[[str], keychain.Login | None] = keychain.find,
        open_engine: OpenEngine = connect_engine,
        using: Compressor | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], object] | None = None,
        retries: int = 5,
        source_date_epoch: int | None = None,
        sites: Sequence[Path] | None = None,
    ) -> None:
        self.store = store or Store()
        self._using = using or compressor()
        self._find_login, self._clock = find_login, clock
        self._retries, self._sleep = retries, sleep
        epoch = os.environ.get("SOURCE_DATE_EPOCH", "0") if source_date_epoch is None else str(source_date_epoch)
        self._created = dt.datetime.fromtimestamp(int(epoch) if epoch.isdigit() else 0, dt.UTC).strftime("%FT%TZ")
        self._sites = sites
        self._registries: dict[tuple[str, keychain.Login | None], Registry] = {}
        self.bases = Bases(self.store, self._using, self._open_registry, open_engine)
        self.outputs = Outputs(self.store, self.bases, self.registry, open_engine)

    @classmethod
    def of(cls, argument: str) -> OciBuilder:
        """Return the builder of ``oci=gzip`` or ``oci=zstd``: how its own layers are compressed.

        A zstd layer is smaller and packed faster; Docker Engine reads them from 23 on, podman from 4. Raises
        UnknownSpec for another word, BuildError where ``zstandard`` is not installed.
        """
        if argument not in ("gzip", "zstd"):
            raise UnknownSpec(f"Unknown spec oci={argument}", hint="write oci=gzip (as oci alone) or oci=zstd")
        return cls(using=compressor("zstd" if argument == "zstd" else "gzip"))

    # -- the protocol

    def probe(self) -> str:
        """Return what is here: it needs nothing but a folder."""
        return f"needs no engine; its store is {self.store.folder}"

    def capabilities(self) -> Capabilities:
        """Return what it does by itself: images stay in the store; an engine gets one where that is asked for."""
        return Capabilities(in_engine=False)

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what needs an engine: a Dockerfile, system packages, packages that are built from source."""
        able = ("docker", "buildkit")
        plan = request.plan or ImagePlan.from_folder(request.context)
        found = []
        if plan.dockerfile is not None:
            if plan.dockerfile.secrets:
                found.append(Unsupported("build secrets", "nothing is run while an image is made here", ("buildkit",)))
            return [*found, Unsupported("a Dockerfile", "its commands need an engine", able)]
        if request.cache_from or request.cache_to:
            found.append(Unsupported("--cache-from and --cache-to", "they are BuildKit's", ("buildkit",)))
        if plan.system_packages:
            found.append(Unsupported("system packages (--apt)", "apt runs in an engine only", able))
        sources = [r.text for r in plan.requirements if " @ git+" in r.text or " @ hg+" in r.text]
        if sources:
            found.append(Unsupported(f"packages from source ({sources[0]})", "only wheels can be taken here", able))
        found += [
            Unsupported(f"platform {platform}", "no wheels are known for it", able)
            for platform in request.platforms or plan.platforms
            if wheels.uv_platform(platform) is None
        ]
        return found

    def ready_for(self, request: BuildRequest, client: EngineClient) -> bool:
        """Tell whether nothing is to be run for it, and the base is known or its registry answers, for one platform.

        An engine's own image of the base's name must be the same one. Bytecode must be what can be made here, so that
        the image starts as fast as one that was made in the engine.
        """
        plan = request.plan
        if plan is None or self.unsupported(request) or not bytecode.key(plan.python):
            return False
        platforms = request.platforms or plan.platforms or (default_platform(),)
        return platforms == (default_platform(),) and self.bases.at_hand(plan.base, platforms[0], client)

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Find the base; ``kernel`` is this interpreter, which also serves where nobody named a base and none is found.

        Raises BuildError, Cancelled.
        """
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        find = self.bases.find if request.named else self.bases.find_any
        platform = request.platform or default_platform()
        found = yield from find(request.name, platform, python=python, pull=request.pull, cancel=cancel)
        made_here = not request.named and found.name == INTERPRETER_BASE
        return ResolvedBase(INTERPRETER_BASE if made_here else request.name, found.digest)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Make the layers that the store lacks, and bring the image where ``request.outputs`` say.

        Raises BuildRefused before anything is made, BuildError, PublishError and its kinds, Cancelled.
        """
        started = self._clock()
        cancel.check()
        if not request.context.is_dir():
            raise ContextError(f"context {str(request.context)!r} is not a folder")
        plan = request.plan or ImagePlan.from_folder(request.context)
        if refusals := self.unsupported(replace(request, plan=plan)):
            raise BuildRefused(
                f"Image build failed: builder 'oci' cannot build this: {'; '.join(map(str, refusals))}",
                hint=f"take a builder that can: {', '.join(sorted({n for r in refusals for n in r.builders}))}",
            )
        with self.store.in_use():
            result = yield from logged(self._build_whole(request, plan, cancel), logger)
        return replace(result, duration_s=self._clock() - started)

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push one tag of an image in the store. Raises PublishError and its kinds, Cancelled."""
        started = self._clock()
        ref = ref.tagged()
        known = self.store.image(str(ref))
        if known is None or ref.tag is None:
            raise PublishError(
                f"Image push failed: {ref} does not exist locally", hint="build the image first, with this builder"
            )
        with self.store.in_use():
            made, found_bases = image_of(known, self.store)
            yield from self.outputs.push(made, found_bases, ref, cancel)
        return replace(
            _result(made, (ref,), cached=False), digest=made.digest, pushed=(str(ref),),
            duration_s=self._clock() - started,
        )  # fmt: skip

    def stream_load(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Load an image of the store into the engine. Raises BuildError where there is none, EngineError, Cancelled."""
        known = self.store.image(str(ref.tagged()))
        if known is None:
            raise BuildError(f"{ref.tagged()}: the store has no such image", hint="build it with --builder oci")
        with self.store.in_use():
            made, found_bases = image_of(known, self.store)
            result = _result(made, (ref.tagged(),), cached=True)
            return (yield from self.outputs.bring(EngineLoad(), made, found_bases, (ref.tagged(),), result, cancel))

    def stream_rebase(
        self, img: str, base: str, cancel: CancelToken, *, tag: str | None = None, outputs: Sequence[Output] = ()
    ) -> Generator[Event, None, BuildResult]:
        """Put another base of the same Python under an image in the store; it keeps its name, or gets ``tag``.

        Raises BuildError and BuildRefused as ``rebased`` does, PublishError and its kinds, Cancelled.
        """
        started = self._clock()
        ref = ImageRef.parse(img).tagged()
        refs = (ImageRef.parse(tag).tagged() if tag else ref,)
        with self.store.in_use():
            made, found_bases = yield from rebased(ref, base, self.store, self.bases, cancel)
            self._keep(made, found_bases, refs)
            result = _result(made, refs, cached=False)
            for output in outputs:
                result = yield from self.outputs.bring(output, made, found_bases, refs, result, cancel)
        return replace(result, duration_s=self._clock() - started)

    # -- one build

    def _build_whole(
        self, request: BuildRequest, plan: ImagePlan, cancel: CancelToken
    ) -> Generator[Event, None, BuildResult]:
        try:
            return (yield from self._build(request, plan, cancel))
        except DamagedBlob as error:
            logger.warning("%s", error)
            yield BuildWarning(str(error).removeprefix("Image build failed: ") + "; it is made anew")
            self.store.verify()
            return (yield from self._build(request, plan, cancel))  # what was damaged is gone, and is made anew

    def _build(
        self, request: BuildRequest, plan: ImagePlan, cancel: CancelToken
    ) -> Generator[Event, None, BuildResult]:
        platforms = request.platforms or plan.platforms or (default_platform(),)
        images, found_bases, cached = [], [], True
        for platform in platforms:
            base = yield from self._base_for(plan, platform, request, cancel)
            image, had = yield from self._image(request, plan, base, platform, cancel)
            images.append(image)
            found_bases.append(base)
            cached = cached and had
        made = Published(tuple(images), make_index(images, _annotations(plan)) if len(images) > 1 else None)
        self._keep(made, found_bases, request.refs)
        result = replace(
            _result(made, request.refs, cached=cached), content_digest=plan.content_digest, context=request.context
        )
        for output in request.outputs:
            result = yield from self.outputs.bring(output, made, found_bases, request.refs, result, cancel)
        return result

    def _base_for(
        self, plan: ImagePlan, platform: str, request: BuildRequest, cancel: CancelToken
    ) -> Generator[Event, None, Base]:
        known = self.bases.known(plan.base, platform)
        if known is not None and (plan.base_digest is None or known.digest == plan.base_digest):
            return known
        return (yield from self.bases.find(plan.base, platform, python=plan.python, pull=request.pull, cancel=cancel))

    def _image(
        self, request: BuildRequest, plan: ImagePlan, base: Base, platform: str, cancel: CancelToken
    ) -> Generator[Event, None, tuple[Image, bool]]:
        key = [
            "image", FORMAT, plan.content_digest, base.digest, [x.digest for x in base.layers], platform,
            self._using.key, bytecode.key(plan.python), self._created, plan.notebook, plan.cell,
            *(["musl"] if is_musl(base) else []),
        ]  # fmt: skip
        known = None if request.no_cache else self.store.record(key)
        if isinstance(known, dict) and (image := self._remembered(known, base, platform)):
            yield StepUpdate("image", "image", status="cached")
            return image, True
        locate = lambda layer: self.bases.locate(base, layer, cancel)  # noqa: E731
        python = find_python(base, self.store, locate, plan.python, cancel.check)
        own = yield from self._packages(request, plan, base, platform, cancel)
        folders = {plan.workdir: 0o775, f"{plan.workdir}/output": 0o775, HOME: 0o775}
        environment, _ = python_layers.environment_layer(self.store, python.bin, plan.python, self._using, folders)
        own.append(environment)
        own += yield from self._program(plan, cancel)
        layers = [*base.layers, *own]
        config = image_config(
            plan, base.config, [layer.title for layer in layers], platform=platform, created=self._created,
            own_count=len(own), base_name=_base_name(plan),
        )  # fmt: skip
        image = make_image(config, layers, platform=platform, annotations=_annotations(plan))
        self.store.note(key, {"config": self.store.put(image.config), "manifest": self.store.put(image.manifest),
                              "layers": [layer.to_json() for layer in layers]})  # fmt: skip
        return image, False

    def _remembered(self, known: JsonObject, base: Base, platform: str) -> Image | None:
        try:
            layers = tuple(Layer.from_json(one) for one in known["layers"])
            if not all(self.store.has(x.digest, x.size_bytes) for x in layers[len(base.layers) :]):
                return None
            return Image(self.store.read(known["config"]), self.store.read(known["manifest"]), layers, platform)
        except (DamagedBlob, TypeError, KeyError):
            return None

    def _packages(
        self, request: BuildRequest, plan: ImagePlan, base: Base, platform: str, cancel: CancelToken
    ) -> Generator[Event, None, list[Layer]]:
        """Return the layers of the packages: as they were made before, else from what is installed, else by uv.

        What is installed here is for glibc, as this Python is: for a base with musl uv takes the wheels of musl.
        """
        if not plan.requirements:
            return []
        pins, musl = [requirement.text for requirement in plan.requirements], is_musl(base)
        key = ["resolved", FORMAT, pins, [w.sha256 for w in plan.wheels], plan.python, platform, self._using.key,
               bytecode.key(plan.python), *(["musl"] if musl else [])]  # fmt: skip
        noted = None if request.no_cache else self.store.record(key)
        if isinstance(noted, list):
            layers = [Layer.from_json(one) for one in noted]
            if all(self.store.has(layer.digest, layer.size_bytes) for layer in layers):
                for layer in layers:
                    yield StepUpdate(layer.diff_id, f"packages: {layer.title}", status="cached")
                return layers
        here = (
            platform == default_platform()
            and not musl
            and bytecode.key(plan.python)
            and sys.platform.startswith("linux")
        )
        found = python_layers.installed_here(pins, self._own_sites()) if here else None
        if found is not None:
            try:
                layers = yield from self._package_layers(found, plan.python, base, request.outputs, cancel)
            except StoreUnwritable:
                raise
            except BuildError as error:
                yield BuildWarning(f"the packages installed here are not taken: {error}")
                found = None
        if found is None:
            with self.store.scratch() as scratch:
                step = StepUpdate("packages", "packages: wheels by uv", started_at=self._clock())
                yield step
                lines: list[str] = []
                try:
                    site = wheels.install(
                        pins, plan.wheels, scratch, python=plan.python, platform=platform, musl=musl,
                        build_args=request.build_args, cancel=cancel, say=lines.append,
                    )  # fmt: skip
                except BuildError as error:
                    yield from (LogLine(0, line, step.step) for line in lines)
                    error.step = step.title
                    raise
                yield from (LogLine(0, line, step.step) for line in lines)
                yield replace(step, status="done", finished_at=self._clock())
                found = list(python_layers.iter_found(site))
                layers = yield from self._package_layers(found, plan.python, base, request.outputs, cancel)
        self.store.note(key, [layer.to_json() for layer in layers])
        return layers

    def _own_sites(self) -> Sequence[Path]:
        if self._sites is not None:
            return self._sites
        return [Path(one) for one in sys.path if one.endswith(("site-packages", "dist-packages"))]

    def _package_layers(
        self,
        found: list[python_layers.Found],
        python: str,
        base: Base,
        outputs: Sequence[Output],
        cancel: CancelToken,
    ) -> Generator[Event, None, list[Layer]]:
        """Make the layers, as many at once as there are processors; what is there goes to its registry meanwhile."""
        groups = python_layers.group(found)
        made: dict[int, Layer] = {}
        processors = os.cpu_count() or 2
        making, failed = threading.BoundedSemaphore(processors), threading.Event()
        waiting: queue.SimpleQueue[Layer] = queue.SimpleQueue()
        for layer in sorted(base.layers, key=lambda layer: -layer.size_bytes):
            waiting.put(layer)

        def check() -> None:
            cancel.check("the push")
            if failed.is_set():
                raise Cancelled("another layer failed")

        def send(layer: Layer, say: Callable[[Event], None]) -> None:
            try:
                self.outputs.send_ahead(outputs, base, layer, say, cancel, check)
            except Cancelled:
                if not failed.is_set():  # else the other error is what is raised
                    raise

        def one(number: int, title: str, members: list[python_layers.Found], say: Callable[[Event], None]) -> None:
            with making:
                step = StepUpdate(f"packages-{title}", f"packages: {title}", started_at=self._clock())
                say(step)
                try:
                    layer, had = python_layers.make(self.store, title, members, python, self._using, cancel.check)
                except BaseException:
                    failed.set()
                    raise
                made[number] = layer
                say(replace(step, status="cached" if had else "done", finished_at=self._clock()))
            send(layer, say)

        def base_layers(say: Callable[[Event], None]) -> None:
            with contextlib.suppress(queue.Empty):
                while True:
                    send(waiting.get_nowait(), say)

        order = sorted(range(len(groups)), key=lambda number: -sum(f.size_bytes for f in groups[number][1]))
        works: list[Work] = [partial(one, number, *groups[number]) for number in order]
        if any(isinstance(output, Push) for output in outputs):
            works[:0] = [base_layers] * min(SENDERS, len(base.layers))
        yield from in_parallel(works, cancel, workers=processors + 2 * SENDERS)
        return [made[number] for number in range(len(groups))]

    def _program(self, plan: ImagePlan, cancel: CancelToken) -> Generator[Event, None, list[Layer]]:
        """Return the layers of the files, the program's own last."""
        main = [entry for entry in plan.files if entry.path == "app/main.py"]
        data = sorted((*plan.state, *(e for e in plan.files if e not in main)), key=lambda entry: entry.path)
        layers = []
        for title, entries in (("files", data), ("program", main)):
            if not entries:
                continue
            root = plan.workdir.strip("/")
            inside = [Entry.of_plan(f"{root}/{e.path.removeprefix('app/')}", e) for e in entries]
            writable = dict.fromkeys((plan.workdir, plan.program_folder, plan.output_folder))
            inside += [Entry.folder(folder.strip("/"), 0o775) for folder in writable]
            key = [
                "files",
                FORMAT,
                root,
                plan.folder,
                self._using.key,
                [[e.path, e.mode, e.sha256] for e in entries],
                title,
            ]
            step = StepUpdate(title, title, started_at=self._clock())
            yield step
            layer, had = self.store.make_layer(key, partial(_write, inside, self._using, title, cancel.check))
            yield replace(step, status="cached" if had else "done", finished_at=self._clock())
            layers.append(layer)
        return layers

    def _keep(self, made: Published, found_bases: Sequence[Base], refs: Sequence[ImageRef]) -> None:
        """Note in the store which image the references have."""
        for image in made.images:
            self.store.put(image.config)
            self.store.put(image.manifest)
        if made.index is not None:
            self.store.put(made.index)
        record = {
            "manifest": made.digest,
            "index": made.index is not None,
            "images": [
                {"config": image.image_id, "manifest": image.digest, "platform": image.platform,
                 "layers": [layer.to_json() for layer in image.layers], "base": base.to_json()}
                for image, base in zip(made.images, found_bases, strict=True)
            ],
        }  # fmt: skip
        for ref in refs:
            self.store.tag(str(ref), record)

    # -- registries

    def _open_registry(self, location: str, timeout_s: float | None) -> Registry:
        retries = 1 if timeout_s and timeout_s <= 2 else self._retries
        return self._connect(location, self._login(location), retries, timeout_s)

    def _connect(
        self, location: str, login: keychain.Login | None, retries: int, timeout_s: float | None = None
    ) -> Registry:
        from buildr_jupyter.registry.client import connect
        from buildr_jupyter.registry.transport import RetryPolicy

        patience = RetryPolicy(retries, sleep=self._sleep)
        return connect(location.partition("/")[0], login, timeout_s=timeout_s, patience=patience)

    def registry(self, location: str) -> Registry:
        """Return a client for a repository's registry, the same one for each push with the same login."""
        host = location.partition("/")[0]
        login = self._login(location)
        if (host, login) not in self._registries:
            self._registries[host, login] = self._connect(location, login, self._retries)
        return self._registries[host, login]

    def _login(self, location: str) -> keychain.Login | None:
        return self._find_login(location)

    def close(self) -> None:
        """Close the connections; the builder can still be used."""
        registries, self._registries = self._registries, {}
        for registry in registries.values():
            registry.close()


def _write(entries: list[Entry], using: Compressor, title: str, check: Callable[[], None], out: IO[bytes]) -> Layer:
    return write_layer(entries, out, using, title=title, check=check)


def _base_name(plan: ImagePlan) -> str | None:
    """Return the base's reference; a file has none, and where it is on this machine is nobody's business."""
    return None if base_images.is_file(plan.base) else plan.base


def _annotations(plan: ImagePlan) -> dict[str, str]:
    found = {BASE_NAME: _base_name(plan), "org.opencontainers.image.base.digest": plan.base_digest}
    return {name: value for name, value in found.items() if value}


def _result(made: Published, refs: Sequence[ImageRef], *, cached: bool) -> BuildResult:
    results = tuple(
        BuildResult(
            image=str(refs[0]) if refs else image.image_id, image_id=image.image_id, digest=image.digest,
            size_bytes=image.size_bytes, unpacked_bytes=image.unpacked_bytes, cached=cached, builder="oci",
            tags=tuple(str(ref) for ref in refs),
        )
        for image in made.images
    )  # fmt: skip
    if len(results) == 1:
        return replace(results[0], digest=None)
    sizes = [one.size_bytes or 0 for one in results]
    unpacked = [one.unpacked_bytes for one in results]
    return replace(
        results[0], image_id=None, digest=None, images=results, size_bytes=sum(sizes),
        unpacked_bytes=sum(x or 0 for x in unpacked) if all(unpacked) else None,
    )  # fmt: skip
