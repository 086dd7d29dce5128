"""Images without an engine against the engines, side by side in one run: same base, context and registry.

Run: ``python -m tests.benchmarks.bench_oci [ENGINE …]``; of podman and buildah each round takes seconds, and
``bench_oci classic buildkit`` does without them and without the layer of 1 GB. Each round edits a fresh nonce, builds and pushes, timed from the call to
the manifest accepted (ours attaches the bill of materials after that: "whole" is with it); at the end ``docker run`` of
the registry's digest prints the last nonce. Ours runs in this warm process, as the second magic in a kernel does; the
engines through their commands, ``buildr build`` as a process of its own; all take turns in each round. Bounds: an edit at
most 0.15 of the fastest engine's, with at most 64 KiB sent; nothing changed at most 5 HEADs plus the hashing; cold at
most 0.16; a container says its first line no later than one of the engine's image (a tenth of noise allowed).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.context import folder as context
from buildr_jupyter.dependencies import index_config
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import TransferUpdate
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan, Requirement
from buildr_jupyter.model.request import BuildRequest, Push
from buildr_jupyter.oci.archive import copy_layer
from buildr_jupyter.oci.base_image import opened_layer
from buildr_jupyter.oci.layer import Entry, compressor, write_layer
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry.client import Registry as RegistryClient
from tests.engines import Engines, EngineStartError, base

ROUNDS, SLOW_ROUNDS = 7, 3
EDIT, COLD = 0.15, 0.16
"""Bounds: the time of an edit and of a first build, of the fastest engine's."""
PINS = ("numpy", "pandas", "python-dateutil", "six", "tzdata")
MORE = ("scikit-learn", "scipy", "joblib", "threadpoolctl")


@functools.cache
def pinned(names: tuple[str, ...]) -> tuple[Requirement, ...]:
    """Return pins at the versions installed here; a name that is not installed is left out.

    They are read once: to read the metadata of nine packages takes longer than an edit, and no builder does it.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in sorted(names):
        with contextlib.suppress(PackageNotFoundError):
            found.append(Requirement(f"{name}=={version(name)}"))
    return tuple(found)


def make_plan(nonce: str, names: tuple[str, ...], digest: str | None) -> ImagePlan:
    """Return a plan whose program prints the nonce after its imports."""
    code = f"import pandas\nprint({nonce!r})\n"
    return ImagePlan(
        base=base.NAME, base_digest=digest, python=base.PYTHON, requirements=pinned(names),
        files=(FileEntry.from_bytes("app/main.py", code.encode()),),
    )  # fmt: skip


class Ours:
    """The builder without an engine, in this process."""

    title = "oci"

    def __init__(self, folder: Path, repository: str, names: tuple[str, ...], args: dict[str, str]) -> None:
        self.builder = OciBuilder(store=Store(folder / "store"))
        self.folder, self.ref, self.names, self.args = folder, ImageRef.parse(f"{repository}:1"), names, args
        self.digest = drain(self.builder.resolve_base(BaseRequest(base.NAME), CancelToken())).digest
        self.sent_bytes, self.whole_s = 0, 0.0

    def run(self, nonce: str) -> float:
        """Build and push; return the seconds until the manifest was accepted. Counts what was sent."""
        started = time.perf_counter()
        plan = make_plan(nonce, self.names, self.digest)
        made = context.write_folder(plan, self.folder / "ours")
        request = BuildRequest(made, (self.ref,), plan=plan, outputs=(Push(self.ref),), build_args=self.args)
        self.sent_bytes, accepted = 0, started
        for event in self.builder.stream_build(request, CancelToken()):
            if isinstance(event, TransferUpdate) and event.verb == "push" and event.status in ("done", "exists"):
                self.sent_bytes += (event.total_bytes or 0) if event.status == "done" else 0
                if event.item == self.ref.local_tag:
                    accepted = time.perf_counter()
        self.whole_s = time.perf_counter() - started
        assert accepted > started
        return accepted - started


class Command:
    """An engine through its command."""

    def __init__(
        self, title: str, folder: Path, repository: str, names: tuple[str, ...], args: dict[str, str],
        environment: dict[str, str], build: list[str], push: list[str],
    ) -> None:  # fmt: skip
        self.title, self.folder, self.names, self.build, self.push = title, folder, names, build, push
        self.image, self.environment = f"{repository}:1", {**os.environ, **environment}
        self.arguments = [part for name, value in args.items() for part in ("--build-arg", f"{name}={value}")]

    def run(self, nonce: str) -> float:
        """Build and push; return the seconds that took. Raises CalledProcessError."""
        started = time.perf_counter()
        made = context.write_folder(make_plan(nonce, self.names, None), self.folder / self.title)
        for command in ([*self.build, "-t", self.image, *self.arguments, str(made)], [*self.push, self.image]):
            subprocess.run(command, check=True, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return time.perf_counter() - started


def commands(
    scratch: Path, repository: str, names: tuple[str, ...], args: dict[str, str], docker: str, wanted: Sequence[str]
) -> Iterator[Command]:
    """Yield the engines that are here: docker's two builders, then podman and buildah with storage of their own."""
    for title, kit in (("classic", "0"), ("buildkit", "1")):
        if wanted and title not in wanted:
            continue
        environment = {"DOCKER_HOST": docker, "DOCKER_BUILDKIT": kit}
        build, push = ["/usr/bin/docker", "build", "-q"], ["/usr/bin/docker", "push", "-q"]
        yield Command(title, scratch, f"{repository}/{title}", names, args, environment, build, push)
    for title, options in (("podman", ["--cgroup-manager", "cgroupfs"]), ("buildah", [])):
        if shutil.which(title) and (title in wanted or not wanted):
            storage = scratch / title
            environment = {"CONTAINERS_REGISTRIES_CONF": str(storage / "registries.conf")}
            program = [title, "--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "overlay"]
            program += options
            if not storage.exists():
                storage.mkdir()
                _give_base(program, storage, repository.partition("/")[0], docker, {**os.environ, **environment})
            build = [*program, "build", "--isolation", "chroot", "--layers", "--quiet"]
            push = [*program, "push", "--quiet"]
            yield Command(title, storage, f"{repository}/{title}", names, args, environment, build, push)


def _give_base(program: list[str], storage: Path, registry: str, docker: str, environment: dict[str, str]) -> None:
    """Let an engine with storage of its own know the base under its name, and the registry as one without TLS."""
    (storage / "registries.conf").write_text(f"[[registry]]\nlocation = {json.dumps(registry)}\ninsecure = true\n")
    saved = storage / "base.tar"
    save = ["/usr/bin/docker", "save", "-o", str(saved), base.NAME]
    subprocess.run(save, check=True, env={**os.environ, "DOCKER_HOST": docker})
    pulled = subprocess.run(
        [*program, "pull", "--quiet", f"docker-archive:{saved}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    tag = [*program, "tag", pulled.stdout.strip(), f"localhost/{base.NAME}"]
    subprocess.run(tag, check=True, env=environment)
    saved.unlink()


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that the call took."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(subjects: Sequence[Ours | Command]) -> dict[str, tuple[float, float, float]]:
    """Return for each the seconds of the first build and push, and the medians after an edit and with nothing changed.

    They take turns in each round, so that what else the machine does meets all of them.
    """
    firsts = {one.title: one.run(secrets.token_hex(8)) for one in subjects}
    edits: dict[str, list[float]] = {one.title: [] for one in subjects}
    same: dict[str, list[float]] = {one.title: [] for one in subjects}
    for number in range(ROUNDS):
        for one in subjects:
            if number >= SLOW_ROUNDS and one.title in ("podman", "buildah"):
                continue  # they take seconds
            nonce = secrets.token_hex(8)
            edits[one.title].append(one.run(nonce))
            same[one.title].append(one.run(nonce))
    return {
        one: (firsts[one], statistics.median(edits[one]), statistics.median(same[one])) for one in firsts
    }  # fmt: skip


def compare(
    title: str, names: tuple[str, ...], scratch: Path, docker: str, registry: str, wanted: Sequence[str]
) -> int:
    """Print one table, of the engines in ``wanted`` or of all; return how many bounds are broken."""
    args = index_config.read_settings(os.environ, home=Path.home()).build_args()
    run = secrets.token_hex(3)
    print(f"{title:28} {'cold':>8} {'edit':>8} {'same':>8}   (seconds, to the manifest accepted)")
    folder = scratch / run
    folder.mkdir()
    ours = Ours(folder, f"{registry}/{run}/oci", names, args)
    rows = measure([*commands(scratch, f"{registry}/{run}", names, args, docker, wanted), ours])
    cold, edit, same = rows.pop(ours.title)
    for name, taken in rows.items():
        print(f"  {name:26} " + " ".join(f"{s:8.3f}" for s in taken), flush=True)
    nonce = secrets.token_hex(8)
    ours.run(nonce)
    sent, whole = ours.sent_bytes, ours.whole_s
    other = make_plan(secrets.token_hex(8), names, ours.digest)
    other_request = BuildRequest(
        context.write_folder(replace(other, notebook="other.ipynb"), folder / "other"),
        (ImageRef.parse(f"{registry}/{run}/other:1"),), plan=other, build_args=args,
        outputs=(Push(ImageRef.parse(f"{registry}/{run}/other:1")),),
    )  # fmt: skip
    another = timed(lambda: list(ours.builder.stream_build(other_request, CancelToken())))
    with contextlib.closing(RegistryClient(registry)) as asked:
        asked.ping()
        head = statistics.median(timed(lambda: asked.digest(f"{run}/oci", "1")) for _ in range(ROUNDS))
        digest = asked.digest(f"{run}/oci", "1")
    said = subprocess.run(
        ["/usr/bin/docker", "run", "--rm", f"{registry}/{run}/oci@{digest}"], capture_output=True, text=True,
        check=False, env={**os.environ, "DOCKER_HOST": docker},
    )  # fmt: skip
    print(
        f"  {'oci':26} {cold:8.3f} {edit:8.3f} {same:8.3f}   {sent} bytes sent, whole {whole:.3f}, HEAD {head * 1000:.1f} ms"
    )
    for builder in ("docker", "oci"):
        processes = whole_process(scratch / f"notebook-{builder}", builder, f"{registry}/{run}/process", docker)
        print(f"  {'buildr build, ' + builder:26} {'':8} {processes:8.3f}", flush=True)
    starts = first_lines([f"{registry}/{run}/buildkit:1", f"{registry}/{run}/oci@{digest}"], docker)
    ours.builder.close()
    fastest = [min(row[column] for row in rows.values()) for column in range(3)]
    checks = {
        "edit, of the fastest engine's": (edit / fastest[1], EDIT),
        "cold, of the fastest engine's": (cold / fastest[0], COLD),
        "nothing changed at most 5 HEADs plus the hashing": (same, 5 * head + 0.005),
        "another notebook at most 3 edits": (another, 3 * edit),
        "an edit sends at most 64 KiB": (sent, 65536),
        "start to the first line as the engine's image": (starts[1], 1.1 * starts[0]),
    }
    broken = 0
    for what, (value, bound) in checks.items():
        broken += value > bound
        print(f"  {what:52} {value:10.3f} of {bound:10.3f}{'  over' if value > bound else ''}")
    if said.stdout.strip() != nonce:
        print(f"  docker run of the digest did not print the nonce: {said.stdout!r} {said.stderr[-300:]!r}")
        broken += 1
    print(flush=True)
    return broken


def first_lines(images: Sequence[str], docker: str) -> list[float]:
    """Return for each image the median seconds from ``docker run`` to its first line, taken in turns."""
    environment = {**os.environ, "DOCKER_HOST": docker}
    taken: list[list[float]] = [[] for _ in images]
    for number in range(ROUNDS + 1):
        for image, times in zip(images, taken, strict=True):
            started = time.perf_counter()
            command = ["/usr/bin/docker", "run", "--rm", image]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as child:
                assert child.stdout
                assert child.stdout.readline()
                if number:  # the first may pull it
                    times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in taken]


def whole_process(folder: Path, builder: str, repository: str, docker: str) -> float:
    """Return the median seconds of ``buildr build`` as a process of its own, from an edit to the end."""
    import nbformat

    folder.mkdir(exist_ok=True)
    path, taken = folder / "edit.ipynb", []
    for number in range(4):
        code = f"%%containerize edit\nimport pandas\nprint({secrets.token_hex(8)!r})"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code, id="one")]), path)
        command = [
            sys.executable, "-m", "buildr_jupyter", "build", str(path), "--builder", builder, "--base", base.NAME,
            "--publish", "--repository", f"{repository}-{builder}", "--json",
        ]  # fmt: skip
        environment = {**os.environ, "DOCKER_HOST": docker, "BUILDR_STORE": str(folder / "store")}
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise RuntimeError(done.stdout[-500:] + done.stderr[-500:])
        if number:  # the first is cold
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def memory() -> int:
    """Print how much memory a layer of 1 GB takes, out and in again; return 1 where that is over 150 MB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big"
        with path.open("wb") as out:
            for _ in range(256):
                out.write(secrets.token_bytes(1 << 16) * 64)
        packed = Path(folder) / "layer"
        with packed.open("wb") as out:
            layer = write_layer([Entry.of_file("big", path)], out, compressor())
        with opened_layer(packed, layer) as tar:
            assert [member.size for member in tar] == [path.stat().st_size]
        path.unlink()
        with packed.open("rb") as stream, (Path(folder) / "copy").open("wb") as out:
            assert copy_layer(stream, out, compressor().start, check=lambda: None)[:2] == (layer.digest, layer.diff_id)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"a layer of 1 GB, out and in: {more:.0f} MB more of memory (bound 150)")
    return int(more > 150)


def main(wanted: Sequence[str] = ()) -> int:
    """Print the tables; return 1 where a bound is broken, 0 without an engine (and say so)."""
    for name in [name for name in os.environ if name.startswith("DOCKER_")]:
        del os.environ[name]
    broken = 0 if wanted else memory()
    with Engines() as engines, tempfile.TemporaryDirectory() as scratch:
        try:
            docker, registry = engines.docker().host, engines.registry_http().host
        except EngineStartError as error:
            print(f"no engine, nothing compared: {error}")
            return broken
        os.environ["DOCKER_HOST"] = docker
        with contextlib.closing(engine.connect()):
            broken += compare("numpy + pandas", PINS, Path(scratch), docker, registry, wanted)
            broken += compare("and scikit-learn", PINS + MORE, Path(scratch), docker, registry, wanted)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
