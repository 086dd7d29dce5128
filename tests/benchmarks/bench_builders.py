"""Each builder against the bare tool that does the same, on the same context, on private engines.

Run: ``python -m tests.benchmarks.bench_builders [ROW …]``. The bound: at most 1.05 times the bare tool's time plus
50 ms, medians of interleaved rounds of one run. A new builder is one function and one line of ``ROWS``: it gives two
callables, the bare tool's build of a folder and ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from buildr_jupyter import builder
from buildr_jupyter.engine import connection as engine
from tests.benchmarks.bench_build import make_context, measure
from tests.engines import Engines, EngineStartError

FACTOR, PLUS_S = 1.05, 0.050
Build = Callable[[Path], object]


def run(command: list[str], folder: Path, **environment: str) -> None:
    """Run a bare tool in the folder, its output unread; a failure is one of the benchmark."""
    subprocess.run(
        command, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )  # fmt: skip


def docker_buildkit(engines: Engines) -> tuple[Build, Build]:
    """BuildKit in the engine: Debian's docker command, which has its own client of it."""
    os.environ["DOCKER_HOST"] = engines.docker().host
    command = ["/usr/bin/docker", "build", "--quiet", "--tag", "bench-bare", "."]
    subject = builder.select("docker=buildkit")
    subject.docker_client = engine.connect()  # type: ignore[attr-defined]
    return (lambda folder: run(command, folder, DOCKER_BUILDKIT="1")), (lambda folder: subject.build("b", str(folder)))


def buildkit(engines: Engines) -> tuple[Build, Build]:
    """A buildkitd: buildctl as a person would call it."""
    daemon = engines.buildkitd()
    os.environ.update(BUILDKIT_HOST=daemon.address, PATH=f"{daemon.buildctl.parent}:{os.environ['PATH']}")
    command = [
        "buildctl", "build", "--frontend", "dockerfile.v0", "--local", "context=.", "--local", "dockerfile=.",
        "--output", "type=image,name=bench-bare", "--progress", "rawjson",
    ]  # fmt: skip
    subject = builder.select("buildkit")
    return (lambda folder: run(command, folder)), (lambda folder: subject.build("bench-ours", str(folder)))


def buildah(engines: Engines) -> tuple[Build, Build]:
    """The same command, as a person would call it."""
    os.environ.update(engines.containers().environment)
    command = ["buildah", "bud", "--layers", "--force-rm", "--tag", "bench-bare", "."]
    subject = builder.select("buildah")
    return (lambda folder: run(command, folder)), (lambda folder: subject.build("bench-ours", str(folder)))


def podman(engines: Engines) -> tuple[Build, Build]:
    """podman's own command, which needs no service."""
    os.environ.update(engines.containers().environment)
    command = ["podman", "build", "--layers", "--tag", "bench-bare", "."]
    subject = builder.select("podman")
    return (lambda folder: run(command, folder)), (lambda folder: subject.build("bench-ours", str(folder)))


def kaniko(engines: Engines) -> tuple[Build, Build]:
    """The executor's image, run by hand with the folder mounted, its archive loaded into the engine."""
    os.environ["DOCKER_HOST"] = engines.docker().host
    image = engines.kaniko()
    script = (
        f"docker run --rm -v $PWD:/workspace:ro -v $OUT:/out {image} --force --context dir:///workspace"
        " --destination example.com/bench/bare:1 --no-push --tar-path /out/i.tar && docker load -qi $OUT/i.tar"
    )
    subject = builder.select(f"kaniko={image}")

    def bare(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as out:
            run(["sh", "-c", script], folder, OUT=out)

    return bare, (lambda folder: subject.build("example.com/bench/ours:1", str(folder)))


ROWS: dict[str, Callable[[Engines], tuple[Build, Build]]] = {
    "docker-buildkit": docker_buildkit,
    "buildkit": buildkit,
    "buildah": buildah,
    "podman": podman,
    "kaniko": kaniko,
}
"""Name to what gives the bare tool's build and ours."""
CASES = {
    "3 files of 1 kB": {"files": 3, "file_bytes": 1000},
    "1,000 files of 4 kB": {"files": 1000, "file_bytes": 4000},
}


def main(wanted: list[str]) -> int:
    """Print the table; return 1 where a bound is broken; a row whose engine is not here says so."""
    for name in [name for name in os.environ if name.startswith(("DOCKER_", "BUILDKIT_"))]:
        del os.environ[name]
    broken = 0
    with Engines() as engines, tempfile.TemporaryDirectory() as scratch:
        print(f"{'build after an edit (median s)':40} {'bare tool':>10} {'ours':>8} {'bound':>8}")
        for row in wanted or list(ROWS):
            try:
                bare, ours = ROWS[row](engines)
            except EngineStartError as error:
                print(f"{row}: not measured: {error}")
                continue
            for number, (title, options) in enumerate(CASES.items()):
                folder = make_context(Path(scratch) / f"{row}-{number}", **options)
                (folder / "Dockerfile").write_text("FROM scratch\nCOPY app /app\n")
                bare(folder)
                ours(folder)
                theirs_s, ours_s = measure(partial(bare, folder), partial(ours, folder), folder)
                bound = theirs_s * FACTOR + PLUS_S
                broken += ours_s > bound
                over = "  over" if ours_s > bound else ""
                print(f"{row + ', ' + title:40} {theirs_s:10.3f} {ours_s:8.3f} {bound:8.3f}{over}", flush=True)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
