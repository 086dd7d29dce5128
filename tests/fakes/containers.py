"""Containers of the fake engine: each says, leaves and ends as it is told; what it was asked for is kept.

Source: Docker Engine API 1.41, and the framing of ``POST /containers/{id}/attach``.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import tarfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Container", "Containers", "Reply"]

_STREAMS = {"stdout": 1, "stderr": 2}
_NEVER = "0001-01-01T00:00:00Z"
_BEGAN, _ENDED = "2026-11-28T10:00:00.5Z", "2026-11-28T10:00:02Z"


@dataclass(frozen=True)
class Reply:
    """What is answered to a request."""

    status: int
    document: Any = None
    """JSON; None for no body."""
    body: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Container:
    """One container."""

    id: str
    name: str
    given: dict[str, Any]
    """The body of the request that made it."""
    state: str = "created"
    """created, running or exited."""
    sent: dict[str, bytes] = field(default_factory=dict)
    """Folder to the tar that was put there."""
    began: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


@dataclass
class Containers:
    """What the engine has of containers, and what each one that is started does."""

    image: Mapping[str, Any] = field(default_factory=dict)
    """The image's configuration: WorkingDir, Env."""
    output: Sequence[tuple[str, bytes]] = ()
    """What a container writes: (``stdout`` or ``stderr``, bytes)."""
    exit_code: int = 0
    before: Mapping[str, bytes] = field(default_factory=dict)
    """Absolute path to content of the image's files."""
    after: Mapping[str, bytes] = field(default_factory=dict)
    """Those that a container made or changed when it has ended."""
    runs_on: bool = False
    """It does not end by itself."""
    out_of_memory: bool = False
    refuses: dict[str, Reply] = field(default_factory=dict)
    """The end of a request's path, as ``/start``, to what is answered instead."""
    ports: Mapping[str, Any] = field(default_factory=dict)
    """What NetworkSettings says once one runs."""
    all: dict[str, Container] = field(default_factory=dict)
    made: list[Container] = field(default_factory=list)
    """Each that was ever made, in order."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(method and what was asked for, id or name), in order: ``POST start``."""

    def find(self, name: str) -> Container | None:
        """Return the container of this id or name."""
        return next((one for one in self.all.values() if name in (one.id, one.name)), None)

    def add(self, name: str, labels: Mapping[str, str], state: str = "exited") -> Container:
        """Have a container that another process made."""
        return self._keep(Container(f"{len(self.made) + 1:064x}", name, {"Labels": dict(labels)}, state))

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Reply:
        """Return what the engine answers; ``path`` begins after ``/containers``."""
        refused = next((reply for ending, reply in self.refuses.items() if path.endswith(ending)), None)
        if refused is not None:
            return refused
        if path == "/create":
            made = self._keep(
                Container(f"{len(self.made) + 1:064x}", query.get("name", [f"c{len(self.made)}"])[0], json.loads(body))
            )
            return Reply(201, {"Id": made.id, "Warnings": []})
        if path == "/json":
            wanted = json.loads(query.get("filters", ["{}"])[0]).get("label", [])
            return Reply(200, [self._listed(one) for one in self.all.values() if _has(one, wanted)])
        name, _, what = path.removeprefix("/").partition("/")
        self.asked.append((f"{method} {what}".strip(), name))
        one = self.find(name)
        if one is None:
            return Reply(404, {"message": f"No such container: {name}"})
        return self._of(one, method, what, query, body)

    def frames(self, one: Container) -> bytes:
        """Return what a container has written, as the engine frames it."""
        return b"".join(struct.pack(">BxxxL", _STREAMS[stream], len(data)) + data for stream, data in self.output)

    def _of(self, one: Container, method: str, what: str, query: dict[str, list[str]], body: bytes) -> Reply:
        if method == "DELETE":
            del self.all[one.id]
            self._end(one)
            return Reply(204)
        if what == "json":
            return Reply(200, self._described(one))
        if what == "start":
            one.state = "running"
            one.began.set()
            if not self.runs_on:
                self._end(one)
            return Reply(204)
        if what in ("stop", "kill"):
            self._end(one)
            return Reply(204)
        if what == "wait":
            if not one.over.wait(1.0):
                return Reply(408, {"message": "it runs on"})
            return Reply(200, {"StatusCode": self.exit_code})
        if what == "changes":
            return Reply(200, [{"Path": path, "Kind": 0 if path in self.before else 1} for path in sorted(self.after)])
        if what == "logs":
            return Reply(200, body=self.frames(one), fields={"Content-Type": "application/vnd.docker.raw-stream"})
        if what == "archive" and method == "PUT":
            one.sent[query["path"][0]] = body
            return Reply(200)
        if what == "archive":
            return self._archive(one, query["path"][0])
        return Reply(404, {"message": "page not found"})

    def _keep(self, one: Container) -> Container:
        self.all[one.id] = one
        self.made.append(one)
        if one.state == "exited":
            one.began.set()
            one.over.set()
        return one

    def _end(self, one: Container) -> None:
        if one.state == "running":
            one.state = "exited"
        one.began.set()
        one.over.set()

    def _listed(self, one: Container) -> dict[str, Any]:
        return {"Id": one.id, "Names": [f"/{one.name}"], "Labels": one.given.get("Labels") or {}, "State": one.state}

    def _described(self, one: Container) -> dict[str, Any]:
        began, ended = one.state != "created", one.state == "exited"
        state = {
            "Running": one.state == "running", "ExitCode": self.exit_code if ended else 0,
            "OOMKilled": self.out_of_memory and ended,
            "StartedAt": _BEGAN if began else _NEVER, "FinishedAt": _ENDED if ended else _NEVER,
        }  # fmt: skip
        given = one.given
        config = {**self.image, "Labels": given.get("Labels") or {}, "Tty": False}
        config["Env"] = [*self.image.get("Env", ()), *(given.get("Env") or ())]
        host = given.get("HostConfig") or {}
        mounts = [{"Destination": mount["Target"]} for mount in host.get("Mounts") or ()]
        return {
            "Id": one.id, "Name": f"/{one.name}", "Image": "sha256:image", "Config": config, "State": state,
            "HostConfig": host, "Mounts": mounts, "NetworkSettings": {"Ports": self.ports if began else {}},
        }  # fmt: skip

    def _archive(self, one: Container, path: str) -> Reply:
        files = {**self.before, **(self.after if one.state == "exited" else {})}
        found = {name: content for name, content in files.items() if name == path or name.startswith(f"{path}/")}
        if not found:
            return Reply(404, {"message": f"Could not find the file {path}"})
        parent = path.rpartition("/")[0]
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            if path not in found:
                folder = tarfile.TarInfo(path.removeprefix(f"{parent}/"))
                folder.type = tarfile.DIRTYPE
                tar.addfile(folder)
            for name, content in sorted(found.items()):
                info = tarfile.TarInfo(name.removeprefix(f"{parent}/"))
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        stat = {
            "name": path.rpartition("/")[2],
            "size": len(found.get(path, b"")),
            "mode": 0 if path in found else 1 << 31,
        }
        said = base64.b64encode(json.dumps(stat).encode()).decode()
        return Reply(200, body=out.getvalue(), fields={"X-Docker-Container-Path-Stat": said})


def _has(one: Container, wanted: Sequence[str]) -> bool:
    labels = one.given.get("Labels") or {}
    return all(
        labels.get(name) == value if sign else name in labels
        for name, sign, value in (label.partition("=") for label in wanted)
    )
