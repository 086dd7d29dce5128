"""What the faults happen to: engines and a registry of our own behind valves, a small disk, the process under test."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import nbformat
from docker import APIClient
from docker.errors import NotFound

from buildr_jupyter.process.watchdog import descendants
from tests.engines import Engines, containers
from tests.engines._process import Process, start, stop
from tests.engines.base import NAME as BASE
from tests.engines.base import small_tar
from tests.engines.buildkitd import Buildkitd
from tests.engines.gotools import tool
from tests.engines.kubernetes import NODE_IP
from tests.engines.kubernetes.builder_images import buildkit, kaniko, push
from tests.engines.registry import Registry
from tests.faults.valve import Valve

__all__ = [
    "CASES", "IN_CLUSTER", "Case", "Clustered", "Gone", "InCluster", "Kubernetes", "Podman", "World", "wait_until",
]  # fmt: skip

ROOT = Path(__file__).parents[2]
DISK_MB = 700


class Gone(Exception):
    """The process under test was killed before it answered."""


def wait_until(holds: Callable[[], object], timeout_s: float) -> bool:
    """Wait until it holds; tell whether it did in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class World:
    """One for a whole matrix; ``close`` takes everything down."""

    def __init__(self, folder: Path, engines: Engines | None = None) -> None:
        self.folder = folder
        self._ends = contextlib.ExitStack()
        self.engines = engines or self._ends.enter_context(Engines(folder / "e", rootfs=small_tar))
        registry = self.engines.registry_http()
        address, _, port = registry.host.rpartition(":")
        self.valves: list[Valve] = []
        self.registry = self._valve((address, int(port)))
        self.registry_host = registry.host
        """The registry itself, past the valve: what the probe asks."""

    # -- each engine is started where a case first needs it

    @cached_property
    def kaniko(self) -> str:
        return self.engines.kaniko()

    @cached_property
    def docker(self) -> Valve:
        return self._valve(self.engines.docker().host.removeprefix("unix://"), self.folder / "d.sock")

    @cached_property
    def client(self) -> APIClient:
        made = APIClient(self.engines.docker().host, version="auto", timeout=60)
        self._ends.callback(made.close)
        return made

    @cached_property
    def base(self) -> str:
        repository = f"{self.registry.host}/base"
        self.client.tag(BASE, repository, tag="1")
        said = list(self.client.push(repository, tag="1", stream=True, decode=True))
        assert "error" not in said[-1], said[-1]
        return f"{repository}:1"

    @cached_property
    def buildkitd(self) -> Buildkitd:
        return self.engines.buildkitd(Registry(self.registry.host, "http", None, None, None, ()))

    @cached_property
    def buildkit(self) -> Valve:
        return self._valve(self.buildkitd.address.removeprefix("unix://"), self.folder / "b.sock")

    @cached_property
    def containers(self) -> containers.Containers:
        made = self.engines.containers()
        containers.registries(self.folder / "registries.conf", insecure=[self.registry.host])
        return made

    @property
    def podman_socket(self) -> Path:
        return self.folder / "p.sock"

    @cached_property
    def podman(self) -> Valve:
        return self._valve(str(self.podman_socket), self.folder / "pv.sock")

    @cached_property
    def api(self) -> Valve:
        """The way to the API server of a cluster."""
        address, _, port = self.engines.kubernetes().server.removeprefix("https://").rpartition(":")
        return self._valve((address, int(port)))

    def _valve(self, target: str | tuple[str, int], path: Path | None = None) -> Valve:
        made = Valve(target, path)
        self.valves.append(made)
        self._ends.callback(made.close)
        return made

    def close(self) -> None:
        self._ends.close()

    def podman_settings(self) -> dict[str, str]:
        return {
            **self.containers.environment,
            "CONTAINERS_REGISTRIES_CONF": str(self.folder / "registries.conf"),
            "HOME": str(self.folder),
        }

    def start_podman(self) -> Process:
        """Start a podman service that is not ours, behind the valve."""
        self.podman_socket.unlink(missing_ok=True)
        return start(
            "podman", ["podman", "system", "service", "--time=0", f"unix://{self.podman_socket}"],
            log=self.folder / "podman.log", env={**os.environ, **self.podman_settings()},
            ready=self.podman_socket.exists,
        )  # fmt: skip


@dataclass
class Case:
    """One builder, its process under test, and what that has on the disk."""

    world: World
    name: str
    folder: Path
    spec: str = ""
    program: ClassVar = False
    """It takes no Dockerfile: cells are programs."""
    engine: ClassVar[str | None] = "dockerd"
    """The process that builds, by the name in ``Engines``; None where a child process does."""
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    version: int = 0
    threads: list[str] = field(default_factory=list)
    descriptors: list[str] = field(default_factory=list)
    """What the process had after its last good build."""
    good_s: float = 0.0
    """So long its last good build took."""
    idle_s: int = 120
    """For the first build, in which a base is fetched without a word."""

    def __post_init__(self) -> None:
        self.spec = self.spec or self.name
        self.mark = secrets.token_hex(8)
        self.disk = self.folder / "disk"
        self.disk.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "buildr-faults", self.disk], check=True)
        for name in ("tmp", "cache", "work", "home"):
            (self.disk / name).mkdir()
        self.time = self.folder / "time"
        self.time.write_text("0")
        self.lines: queue.Queue[str] = queue.Queue()
        self.heard: list[str] = []
        self.answers: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.prepare()

    # -- what is particular to a builder

    def prepare(self) -> None:
        """Set ``environment`` and what else leads to the builder."""

    @property
    def valve(self) -> Valve | None:
        """Between us and what builds; None where nothing is between."""
        return self.world.docker

    def base(self) -> str:
        """Return what programs are built on."""
        return self.world.base

    def docker_host(self) -> str:
        """Return where the engine is."""
        return f"unix://{self.world.docker.path}"

    def engine_image(self) -> str | None:
        """Return the id of the image that has the user's name in the engine now, None for none."""
        with contextlib.suppress(NotFound):
            return str(self.world.client.inspect_image(self.image)["Id"])
        return None

    def runs(self) -> Iterator[str]:
        """Yield the containers that there are, each as a few words."""
        for container in self.world.client.containers(all=True):
            yield f"container of {container['Image'][:40]} ({container['State']})"

    # -- the process

    def environ(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        own = {
            "HOME": str(self.disk / "home"), "TMPDIR": str(self.disk / "tmp"), "XDG_CACHE_HOME": str(self.disk / "cache"),
            "XDG_CONFIG_HOME": str(self.disk / "home"), "BUILDR_STORE": str(self.disk / "cache" / "store"),
            "BUILDR_AUTH_FILE": str(self.disk / "home" / "auth.json"), "DOCKER_CONFIG": str(self.disk / "home" / "docker"),
            "DOCKER_HOST": self.docker_host(), "BUILDR_FAULTS": self.mark,
            "BUILDR_CONNECT_TIMEOUT": "5", "BUILDR_READ_TIMEOUT": "5", "BUILDR_IDLE_TIMEOUT": str(self.idle_s),
            "BUILDR_FAULTS_CLOCK": str(self.time),
            "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        return {**passed, **own, **self.environment}

    def begin(self, *, lowered: bool = False) -> None:
        """Start the process; ``lowered``: as root whom modes of files bind, too (the children that it starts are free)."""
        self.end()
        command = [sys.executable, "-m", "tests.faults.subject", *(["lowered"] if lowered else [])]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environ(), cwd=self.disk / "work",
        )  # fmt: skip
        threads = (self._read_answers, self._read_lines)
        for work in threads:
            threading.Thread(target=work, args=(self.process,), daemon=True).start()
        assert self.answers.get(timeout=60) == {"ready": True}

    def _read_answers(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        for line in process.stdout:
            self.answers.put({"ready": True} if line == b"ready\n" else json.loads(line))
        self.answers.put(None)

    def _read_lines(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr
        for line in process.stderr:
            self.lines.put(line.decode("utf-8", "replace").rstrip("\n"))

    def end(self) -> None:
        """End the process where it runs."""
        if self.process is None:
            return
        assert self.process.stdin
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        self.process = None
        self.answers = queue.Queue()

    def close(self) -> None:
        """End all of it and give the disk back."""
        self.end()
        subprocess.run(["umount", "-l", self.disk], check=True)

    # -- one build

    @property
    def image(self) -> str:
        return f"{self.world.registry.host}/{self.name}/x:latest"

    def words(self, *more: str) -> list[str]:
        registry = f"{self.world.registry.host}/{self.name}"
        base = ("--base", self.base()) if self.program else ("--dockerfile", "-")
        return [
            "build",
            "nb.ipynb",
            "--builder",
            self.spec,
            "--repository",
            registry,
            "--publish",
            "--run",
            "--json",
            *base,
            *more,
        ]

    def write(self, stage: str, seconds: float, *, cells: int = 0) -> str:
        """Write a notebook whose cell is new, slow in ``stage`` for so long; return what it says when it is there."""
        self.version += 1
        nonce = secrets.token_hex(6)
        self.seconds = f"{seconds + secrets.randbelow(9) / 10:.1f}{secrets.randbelow(10**6):06d}"
        """The argument of its ``sleep``, found in /proc."""
        blob = self.disk / "work" / "blob.bin"
        blob.write_bytes(secrets.token_bytes(6_000_000 if stage == "publish" else 1000))
        names = [f"a{number} = a{number - 1} + 1" if number else "a0 = 0" for number in range(cells)]
        text = self._program(stage, nonce) if self.program else self._dockerfile(stage, nonce)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in (*names, text)])
        nbformat.write(notebook, self.disk / "work" / "nb.ipynb")
        return f"at-42-{nonce}"

    def _program(self, stage: str, nonce: str) -> str:
        wait = self.seconds if stage == "run" else "0"
        return (
            f"%%containerize x --include blob.bin\nimport os, time\nfrom pathlib import Path\n"
            f'print("at-" + str(42) + "-{nonce}", flush=True)\ntime.sleep({wait})\n'
            'Path(os.environ["BUILDR_OUTPUT_DIR"], "out.bin").write_bytes(os.urandom(2_000_000))'
        )

    def _dockerfile(self, stage: str, nonce: str) -> str:
        work = f"echo at-$((40+2))-{nonce}; exec sleep {self.seconds}"
        build = f"RUN {work}" if stage == "build" else f"RUN echo version {nonce}"
        blob = "RUN head -c 6000000 /dev/urandom > /blob" if stage == "publish" else "RUN true"
        made = "mkdir -p /app/output; head -c 2000000 /dev/urandom > /app/output/out.bin"
        run = f"{made}; {work}" if stage == "run" else made
        return "\n".join(
            ["%%containerize x", f"FROM {self.world.base}", build, blob, f"CMD {json.dumps(['sh', '-c', run])}"]
        )  # fmt: skip

    def say(self, words: list[str]) -> None:
        """Have the process do it."""
        assert self.process
        assert self.process.stdin
        self.heard = []
        while not self.lines.empty():
            self.lines.get()
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()

    def hears(self, text: str) -> bool:
        """Tell whether it wrote a line with this text since ``say``; what begins with it counts, a quotation does not."""
        while not self.lines.empty():
            self.heard.append(self.lines.get())
        return any(line.strip().startswith(text) for line in self.heard)

    def answer(self, timeout_s: float) -> dict[str, Any]:
        """Return what it answers; raises Gone where it died, TimeoutError where it goes on."""
        try:
            found = self.answers.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None
        self.hears("")
        if found is None:
            raise Gone
        return found

    def good(self) -> dict[str, Any]:
        """Build a version without a fault; return the record. Raises AssertionError where it fails."""
        self.write("none", 0)
        began = time.monotonic()
        self.say(self.words())
        said = self.answer(120)
        self.good_s = time.monotonic() - began
        assert said["status"] == 0, "\n".join(self.heard[-15:])
        self.threads, self.descriptors = said["threads"], said["descriptors"]
        record: dict[str, Any] = said["record"]
        return record

    def kill(self) -> None:
        """SIGKILL, as a kernel that ran out of memory gets it."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room on its disk while the block runs."""
        filler = self.disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as out:
            while True:
                out.write(bytes(1 << 20))
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as out:
            while True:
                out.write(bytes(4096))
        try:
            yield
        finally:
            filler.unlink()


class Docker(Case):
    """The engine's classic builder."""


class Buildkit(Case):
    """A daemon of its own."""

    engine = "buildkitd"

    def prepare(self) -> None:
        path = f"{self.world.buildkitd.buildctl.parent}:{os.environ['PATH']}"
        self.environment = {"BUILDKIT_HOST": f"unix://{self.world.buildkit.path}", "PATH": path}

    @property
    def valve(self) -> Valve:
        return self.world.buildkit


class Buildah(Case):
    """A child process builds."""

    engine = None

    def prepare(self) -> None:
        self.environment = self.world.containers.environment

    @property
    def valve(self) -> None:
        return None


class Oci(Case):
    """Our own process builds."""

    engine = None
    program = True

    @property
    def valve(self) -> None:
        return None


class Podman(Case):
    """A service of our own, unless ``serve`` names one behind the valve."""

    engine = "podman"
    service: Process | None = None

    def prepare(self) -> None:
        self.environment = {**self.world.podman_settings(), "XDG_RUNTIME_DIR": str(self.disk)}

    def serve(self, *, outside: bool) -> None:
        """Have the process use a service that it did not start, or its own."""
        if outside and self.service is None:
            self.service = self.world.start_podman()
            self.environment["CONTAINER_HOST"] = f"unix://{self.world.podman.path}"
        elif not outside and self.service is not None:
            stop(self.service)
            self.service = None
            del self.environment["CONTAINER_HOST"]

    @property
    def valve(self) -> Valve:
        return self.world.podman

    def close(self) -> None:
        super().close()
        self.serve(outside=False)


class Clustered(Case):
    """Something of it is done in a cluster, in a namespace of its own."""

    def prepare(self) -> None:
        self.cluster = self.world.engines.kubernetes()
        known = json.loads(self.cluster.kubeconfig.read_text())
        known["clusters"][0]["cluster"]["server"] = f"https://{self.world.api.host}"
        self.namespace = f"faults-{self.mark[:8]}"
        known["contexts"][0]["context"]["namespace"] = self.namespace
        config = self.folder / "kubeconfig"
        config.write_text(json.dumps(known))
        self.environment = {"KUBECONFIG": str(config)}
        self.kubectl("create", "namespace", self.namespace)
        assert wait_until(lambda: self.names("serviceaccounts"), 120)

    @property
    def valve(self) -> Valve:
        return self.world.api

    def kubectl(self, *words: str) -> str:
        """Return what kubectl says, past the valve; empty where the API server does not answer."""
        command = [*self.cluster.kubectl, "--namespace", self.namespace, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout

    def names(self, kinds: str) -> list[str]:
        """Return what there is of these kinds, as ``KIND/NAME``."""
        return self.kubectl("get", kinds, "--output=name").split()

    def close(self) -> None:
        super().close()
        self.kubectl("delete", "namespace", self.namespace, "--wait=false")


class Kubernetes(Clustered):
    """Our own process builds, and a cluster runs."""

    engine = None
    program = True

    def base(self) -> str:
        return "kernel"

    def docker_host(self) -> str:
        return f"unix://{self.folder}/no-engine.sock"

    def engine_image(self) -> None:
        return None

    def words(self, *more: str) -> list[str]:
        alias = f"{self.world.registry.host}={self.world.registry_host}"
        return super().words("--on", "kubernetes", "--registry-alias", alias, *more)

    def runs(self) -> Iterator[str]:
        yield from self.names("jobs,pods,secrets")

    def programs(self) -> list[int]:
        """Return the processes of programs in pods, as this machine numbers them."""
        first = int((self.cluster.folder / "first.pid").read_text())
        return [pid for pid in descendants(first) if _arguments(pid)[1:] == [b"main.py"]]


class InCluster(Clustered):
    """A pod builds and pushes."""

    engine = None

    def prepare(self) -> None:
        super().prepare()
        name = self.spec.partition("=")[0]
        registry = self.world.engines.registry_http()
        ref = f"{registry.host}/faults/{name}:1"
        push({"kaniko": kaniko, "buildkit": buildkit}[name](), ref, self.folder / "image", registry)
        self.environment[f"BUILDR_{name.upper()}_IMAGE"] = ref
        self.environment["PATH"] = f"{tool('buildctl').parent}:{os.environ['PATH']}"

    def words(self, *more: str) -> list[str]:
        inside = f"{NODE_IP}:{self.world.registry_host.rpartition(':')[2]}"
        words = super().words("--registry-alias", f"{self.world.registry.host}={inside}", *more)
        return [word for word in words if word != "--run"]  # the image is in the registry alone

    def engine_image(self) -> None:
        return None

    def runs(self) -> Iterator[str]:
        yield from (one for one in self.names("jobs,pods,secrets") if "/buildkitd-" not in one)  # that one stays

    def give_up(self) -> None:
        """Delete the builds of a process that was killed, which their labels find."""
        found = "--selector=app.kubernetes.io/managed-by=buildr,app.kubernetes.io/component=builder"
        for job in self.kubectl("get", "jobs", found, "--output=name").split():
            if "/buildkitd-" not in job:
                self.kubectl("delete", job, "--cascade=foreground")


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []


CASES: dict[str, Callable[[World, Path], Case]] = {
    "docker": lambda world, folder: Docker(world, "docker", folder, "docker=classic"),
    "docker-buildkit": lambda world, folder: Docker(world, "docker-buildkit", folder, "docker=buildkit"),
    "buildkit": lambda world, folder: Buildkit(world, "buildkit", folder),
    "buildah": lambda world, folder: Buildah(world, "buildah", folder),
    "podman": lambda world, folder: Podman(world, "podman", folder),
    "kaniko": lambda world, folder: Docker(world, "kaniko", folder, f"kaniko={world.kaniko}"),
    "oci": lambda world, folder: Oci(world, "oci", folder),
    "kaniko-kubernetes": lambda world, folder: InCluster(world, "kaniko-kubernetes", folder, "kaniko=kubernetes"),
    "buildkit-kubernetes": lambda world, folder: InCluster(world, "buildkit-kubernetes", folder, "buildkit=kubernetes"),
    "kubernetes": lambda world, folder: Kubernetes(world, "kubernetes", folder, "oci"),
}
"""The rows of the builders' contract, each under test; and a cluster, which runs what ``oci`` has built."""
IN_CLUSTER = ("kaniko-kubernetes", "buildkit-kubernetes", "kubernetes")
"""Those that need a cluster."""
