"""Input made to harm, with the hostile thing in it: it ends in an error that says what, or does nothing."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import logging
import os
import re
import socket
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildr_jupyter import cli
from buildr_jupyter.config.options import make_options
from buildr_jupyter.context import dockerfile as context_dockerfile
from buildr_jupyter.context import folder as context
from buildr_jupyter.engine.json_stream import decode_documents, iter_lines
from buildr_jupyter.errors import BuildError, BuildrError, ContextError, CredentialError, OptionError, PublishError
from buildr_jupyter.events.event import LogLine, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.oci.archive import FileSource, read_archive
from buildr_jupyter.oci.base_image import Base, find_python, from_file
from buildr_jupyter.oci.layer import GZIP, Layer, compressor
from buildr_jupyter.oci.python_layers import iter_entries
from buildr_jupyter.oci.store import Store
from buildr_jupyter.registry import client as registry
from buildr_jupyter.registry import keychain
from buildr_jupyter.ui.plain import TextDisplay, print_error

OUTSIDE = "the content of a file that is none of the image's business\n"
DEEP = b"[" * 200_000
HOSTILE_NAMES = [
    "x\nRUN touch /pwned", 'x"\nUSER root\n#', "x\r\nRUN y", "x\\", 'x" y="z', "$(touch /pwned)", "`id`", "${PATH}", "x\0y",
    "-x", "--privileged", "; rm -rf /", "| sh", "&& sh", "x y", "'", "\x1b]0;owned\x07", "\u202ex", "\u2028RUN z",
]  # fmt: skip


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tar_of(*members: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


# -- images in files


def saved(layers: list[str], config: bytes = b"{}") -> list[tuple[str, bytes]]:
    return [
        ("manifest.json", json.dumps([{"Config": "config.json", "Layers": layers}]).encode()),
        ("config.json", config),
    ]


@pytest.mark.parametrize("how", ["dotdot", "absolute", "symlink", "symlink folder", "digest"])
def test_a_layout_names_files_outside_of_itself(tmp_path: Path, how: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text(OUTSIDE)
    folder = tmp_path / "layout"
    folder.mkdir()
    name = {
        "dotdot": "../outside/secret",
        "absolute": str(tmp_path / "outside" / "secret"),
        "symlink": "link",
        "symlink folder": "folder/secret",
        "digest": "blobs/sha256/../../../outside/secret",
    }[how]
    (folder / "link").symlink_to(tmp_path / "outside" / "secret")
    (folder / "folder").symlink_to(tmp_path / "outside")
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for path, content in saved([name]):
        (folder / path).write_bytes(content)
    source = FileSource(folder)
    _, _, (layer,) = read_archive(source, lambda index: "")
    assert source.open(layer) is None
    with pytest.raises(BuildError, match="lacks its layer"):
        from_file(folder, "linux/amd64", Store(tmp_path / "store"), compressor(), lambda: None)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_an_archive_links_out_of_itself_or_holds_a_device(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "secret").write_text(OUTSIDE)
    trap = tarfile.TarInfo("layer.tar")
    trap.type, trap.linkname = kind, str(tmp_path / "secret")
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(trap, *saved(["layer.tar"])))
    with pytest.raises(BuildError):
        from_file(path, "linux/amd64", Store(tmp_path / "store"), compressor(), lambda: None)
    assert not any(OUTSIDE.encode() in one.read_bytes() for one in tmp_path.glob("store/**/*") if one.is_file())


def test_links_that_go_round_end(tmp_path: Path) -> None:
    first, second = tarfile.TarInfo("a"), tarfile.TarInfo("b")
    first.type = second.type = tarfile.SYMTYPE
    first.linkname, second.linkname = "b", "a"
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(first, second, *saved(["a"])))
    with pytest.raises(BuildError):
        from_file(path, "linux/amd64", Store(tmp_path / "store"), compressor(), lambda: None)


@contextlib.contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """Fail where this process has ever so much more memory while the block runs."""
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: proc(5)
    yield
    assert memory("VmHWM") - before < megabytes << 10


def memory(field: str) -> int:
    """Return a line of this process's status, in KiB."""
    return int(re.search(rf"{field}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def headers(count: int) -> Iterator[bytes]:
    block = tarfile.TarInfo("x").tobuf()
    for _ in range(count // 1000):
        yield block * 1000


def test_an_archive_of_a_million_headers(tmp_path: Path) -> None:
    path = tmp_path / "image.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        for block in headers(1_000_000):
            out.write(block)
    with at_most(64), pytest.raises(BuildError, match="no image"):
        FileSource(path)


def test_a_header_that_claims_gigabytes(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, 512 << 20
        path = tmp_path / "image.tar.gz"
        with gzip.open(path, "wb", compresslevel=1) as out:
            out.write(info.tobuf())
            for _ in range(512):
                out.write(bytes(1 << 20))
        with at_most(64), pytest.raises(BuildError, match="no image"):
            FileSource(path)


def test_a_document_that_unpacks_to_gigabytes(tmp_path: Path) -> None:
    info = tarfile.TarInfo("index.json")
    info.size = 256 << 20
    path = tmp_path / "image.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(info.tobuf())
        for _ in range(256):
            out.write(b" " * (1 << 20))
        out.write(bytes(1024))
    with at_most(64), pytest.raises(BuildError, match="no image"):
        from_file(path, "linux/amd64", Store(tmp_path / "store"), compressor(), lambda: None)


@pytest.mark.parametrize("name", ["index.json", "manifest.json", "config.json"])
def test_deep_documents_in_an_archive(tmp_path: Path, name: str) -> None:
    members = dict(saved([]))
    members[name] = DEEP
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(*members.items()))
    with pytest.raises(BuildError):
        from_file(path, "linux/amd64", Store(tmp_path / "store"), compressor(), lambda: None)


@pytest.mark.parametrize(
    "config",
    [[], {"config": []}, {"config": {"Env": [1]}}, {"config": {"Env": "A=B"}}, {"rootfs": []}, {"os": 7}, {"os": ["linux"]},
     {"config": {"Labels": 3}}, {"history": 3}, {"rootfs": {"diff_ids": 4}}],
)  # fmt: skip
def test_a_config_of_the_wrong_shape(tmp_path: Path, config: object) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(tar_of(*saved([], json.dumps(config).encode())))
    with pytest.raises(BuildrError):
        store = Store(tmp_path / "store")
        base = from_file(path, "linux/amd64", store, compressor(), lambda: None)
        find_python(base, store, lambda layer: store.path(layer.digest), "3.11")


def layer_in(store: Store, content: Iterator[bytes]) -> Layer:
    with store.writing() as (out, keep):
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as stream:
            for block in content:
                stream.write(block)
        out.write(packed.getvalue())
        keep(digest_of(packed.getvalue()))
    return Layer(digest_of(packed.getvalue()), digest_of(b""), len(packed.getvalue()), 0, GZIP)


def test_a_base_layer_of_50_000_headers_is_read_in_level_memory(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    layer = layer_in(store, (*headers(50_000), bytes(1024)))  # type: ignore[arg-type]
    base = Base("b", digest_of(b""), "linux/amd64", {}, (layer,))
    with at_most(24), pytest.raises(BuildrError, match="no Python"):
        find_python(base, store, lambda one: store.path(one.digest), "3.11")


def test_a_base_layer_that_is_a_bomb_of_names(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 256 << 20
    layer = layer_in(store, iter([info.tobuf(), *[bytes(1 << 20)] * 256]))
    base = Base("b", digest_of(b""), "linux/amd64", {}, (layer,))
    with at_most(64), pytest.raises(BuildrError, match="cannot be read"):
        find_python(base, store, lambda one: store.path(one.digest), "3.11")


# -- files of a plan, wheels


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "app/../../evil", "app/./../../evil", "app\\..\\..\\evil\0"])
def test_a_file_of_a_plan_lies_outside(tmp_path: Path, path: str) -> None:
    plan = ImagePlan(base="b", python="3.11", files=(FileEntry.from_bytes(path, b"x"),))
    with pytest.raises((ContextError, ValueError)):
        context.write_folder(plan, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("evil*"))


def test_files_that_differ_in_case_only_are_both_there_or_refused(tmp_path: Path) -> None:
    plan = ImagePlan(
        base="b",
        python="3.11",
        files=(FileEntry.from_bytes("app/A.txt", b"1"), FileEntry.from_bytes("app/a.txt", b"2")),
    )
    folder = context.write_folder(plan, tmp_path / "out")
    assert {(folder / "app" / name).read_bytes() for name in ("A.txt", "a.txt")} == {b"1", b"2"}


def test_a_context_whose_record_names_files_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(OUTSIDE)
    plan = ImagePlan(base="b", python="3.11", files=(FileEntry.from_bytes("app/main.py", b"1"),))
    folder = context.write_folder(plan, tmp_path / "out")
    for trap in ("app/../../secret", str(tmp_path / "secret"), "app/link"):
        (folder / "app" / "link").unlink(missing_ok=True)
        (folder / "app" / "link").symlink_to(tmp_path / "secret")
        record = json.loads((folder / "buildr.json").read_bytes())
        record["files"][0]["path"] = trap
        (folder / "buildr.json").write_text(json.dumps(record))
        with pytest.raises(ContextError):
            for entry in ImagePlan.from_folder(folder).all_files:
                entry.open().close()


def test_a_deep_record(tmp_path: Path) -> None:
    (tmp_path / "buildr.json").write_bytes(DEEP)
    with pytest.raises(ContextError):
        ImagePlan.from_folder(tmp_path)
    with pytest.raises(ContextError):
        context.write_folder(ImagePlan(base="b", python="3.11"), tmp_path)


@pytest.mark.parametrize("row", ["../../../../../../etc/passwd", "/etc/passwd", "a/../../../../../../x"])
def test_a_wheels_record_names_files_outside(tmp_path: Path, row: str) -> None:
    from types import SimpleNamespace

    found: Any = SimpleNamespace(name="x", version="1", site=tmp_path, info="x-1.dist-info", rows=[(row, "", 1)])
    with pytest.raises(BuildError):
        list(iter_entries(found, "3.11"))


# -- Dockerfile, shell and option injection


def instructions(dockerfile: str) -> list[str]:
    """Return the instructions' words in order, as a builder reads them: line ends after a backslash join."""
    joined = dockerfile.replace("\\\n", " ")
    return [line.split()[0] for line in joined.split("\n") if line.strip() and not line.startswith("#")]


PLAIN = ImagePlan(base="b", python="3.11", environment=(("E", "x"),), labels=(("l", "x"),))


@pytest.mark.parametrize("text", HOSTILE_NAMES)
def test_values_labels_and_entrypoints_add_no_instruction(text: str) -> None:
    wanted = instructions(context_dockerfile.render_dockerfile(PLAIN))
    for plan in (
        ImagePlan(base="b", python="3.11", environment=(("E", text),), labels=(("l", "x"),)),
        ImagePlan(base="b", python="3.11", environment=(("E", "x"),), labels=(("l", text),)),
        ImagePlan(
            base="b", python="3.11", environment=(("E", "x"),), labels=(("l", "x"),), entrypoint=("python", text)
        ),
        ImagePlan(base="b", python="3.11", environment=(("E", "x"),), labels=(("l", "x"),), notebook=text, cell=text),
    ):
        try:
            rendered = context_dockerfile.render_dockerfile(plan)
        except (BuildrError, ValueError):
            continue
        assert instructions(rendered) == wanted


@settings(max_examples=300, deadline=None)
@given(st.text(), st.text())
def test_no_value_or_label_adds_an_instruction(value: str, label: str) -> None:
    plan = ImagePlan(base="b", python="3.11", environment=(("E", value),), labels=(("l", label),))
    try:
        rendered = context_dockerfile.render_dockerfile(plan)
    except ValueError:
        return
    assert instructions(rendered) == instructions(context_dockerfile.render_dockerfile(PLAIN))


@pytest.mark.parametrize("text", HOSTILE_NAMES)
def test_hostile_options_are_refused_where_they_come_in(tmp_path: Path, text: str) -> None:
    for values in (
        {"apt": [text]}, {"env": [f"{text}=1"]}, {"run_env": [text]}, {"platform": text}, {"python": text},
        {"name": text}, {"repository": text}, {"secret": [f"id={text}"]}, {"memory": text}, {"tag": [text]},
        {"port": [text]}, {"base": text}, {"builder": text}, {"label": [f"{text}=1"]}, {"user": text},
    ):  # fmt: skip
        try:
            made = make_options(values, base_folder=tmp_path)
            made.refs("x")
            assert not set(values) & {"apt", "env", "run_env", "platform", "python", "secret", "memory", "tag", "port"}
        except OptionError:
            continue
        assert made.base is None or not set(made.base) & set(" \n\r\t\u2028"), "FROM takes one word"


@pytest.mark.parametrize("text", [*HOSTILE_NAMES, "a/../b", "A/b", "x@sha256:" + "g" * 64, "http://x/y", "x:\n"])
def test_image_names(text: str) -> None:
    with pytest.raises(OptionError):
        ImageRef.parse(text)


@pytest.mark.parametrize("helper", ["../../bin/sh", "/bin/sh", "x; id", "-x", "a b", "x\n", "..", ""])
def test_a_credential_helper_with_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helper: str) -> None:
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"credHelpers": {"reg.example": helper}}))
    canary = tmp_path / "ran"
    for name in ("docker-credential-sh", "sh"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("DOCKER_CONFIG", str(config))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("BUILDR_AUTH_FILE", str(tmp_path / "auth.json"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "none.json"))
    with contextlib.suppress(CredentialError):
        assert keychain.find("reg.example") is None
    assert not canary.exists()


# -- streams, terminals


def test_deep_lines_of_an_engines_stream() -> None:
    lines = iter_lines([DEEP + b"\n", b'{"stream": "ok"}\n'])
    documents = [one for line in lines for one in decode_documents(line, logging.getLogger("x"))]
    assert {"stream": "ok"} in documents


@pytest.mark.parametrize(
    "text", ["\x1b]0;owned\x07", "\x1b[2J\x1b[1;1H", "\x9b31m", "\u202eevil", "a\rb\x08c", "\x1bP1$q\x1b\\"]
)
def test_terminal_escapes_of_engine_registry_and_files(text: str) -> None:
    out = io.StringIO()
    window = TextDisplay(out.write)
    state = BuildState()
    events = [
        LogLine(0, f"log {text}"),
        StepUpdate("1", f"step {text}", 1, 1),
        TransferUpdate(f"item {text}", "push", status="done"),
        BuildWarning(f"warned {text}", hint=f"hint {text}"),
    ]
    window.open(state, f"title {text}")
    window.draw(state.apply_all(events), events)
    window.close(state)
    error = BuildError(f"failed {text}", hint=f"do {text}", step=f"RUN {text}", log_tail=(f"tail {text}",))
    print_error(error, out)
    shown = out.getvalue() + "".join(error._render_traceback_())
    assert not set(shown) & set("\x1b\x07\x08\x9b\r\u202e")
    assert all(word in shown for word in ("log", "step", "item", "warned", "hint", "failed", "tail"))


# -- registries


class Raw:
    """Answers each request on a loopback port with the bytes that ``answer`` returns for its first line."""

    def __init__(self, answer: Callable[[str, str], bytes]) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                request = b""
                while b"\r\n\r\n" not in request:
                    piece = connection.recv(65536)
                    if not piece:
                        break
                    request += piece
                    if request[:1] == b"\x16":  # TLS: plain http is tried next
                        break
                if request[:1] not in (b"", b"\x16"):
                    head = request.decode("latin-1")
                    self.asked.append(head)
                    connection.sendall(self._answer(head.split("\r\n")[0], head))

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def answer(status: str, body: bytes = b"", **fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ask(host: str, login: keychain.Login | None = None) -> None:
    with contextlib.closing(registry.connect(host, login)) as asked:
        asked.manifest("team/app", "1")


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data/", "https://169.254.169.254/x", "http://[fd00:ec2::254]/x",
     "http://metadata.google.internal/x", "file:///etc/passwd", "ftp://reg.example/x", "http://10.0.0.1/x",
     "https://[fe80::1]/x", "https://0.0.0.0/x"],
)  # fmt: skip
def test_a_registry_sends_to_a_metadata_address(target: str) -> None:
    with Raw(lambda line, head: answer("307 Temporary Redirect", Location=target)) as hostile:
        with pytest.raises(PublishError, match="sends to"):
            ask(hostile.host)
    with Raw(
        lambda line, head: answer("401 Unauthorized", WWW_Authenticate=f'Bearer realm="{target}",service="x"')
    ) as hostile:
        with pytest.raises(PublishError, match="sends to|login sent"):
            ask(hostile.host)
        with pytest.raises(PublishError, match="sends to|login sent"):
            ask(hostile.host, keychain.Login(hostile.host, "me", "horse staple"))


def test_a_registry_elsewhere_cannot_send_to_this_machine() -> None:
    connection = registry.connect("reg.example", None)
    try:
        for target in ("http://127.0.0.1:8888/api", "https://localhost/x", "https://[::1]/x"):
            with pytest.raises(PublishError, match="sends to"):
                connection.checked(target) if hasattr(connection, "checked") else connection._http.checked(target)
    finally:
        connection.close()


def test_another_host_gets_no_login() -> None:
    with Raw(lambda line, head: answer("404 Not Found")) as other:

        def first(line: str, head: str) -> bytes:
            if "authorization" not in head.lower():
                return answer("401 Unauthorized", WWW_Authenticate='Basic realm="x"')
            return answer("307 Temporary Redirect", Location=f"http://{other.host}/v2/team/app/manifests/1")

        with Raw(first) as hostile:
            with pytest.raises(PublishError):
                ask(hostile.host, keychain.Login(hostile.host, "me", "horse staple"))
        assert other.asked
        assert not any("authorization" in head.lower() for head in other.asked)


@pytest.mark.parametrize(
    "body",
    [DEEP, b'{"errors": ' + DEEP, b'{"errors": {"code": 1}}', b'{"errors": [1]}', b"\xff" * 100, b'{"token": [1]}'],
    ids=["deep", "deep errors", "errors no list", "errors of numbers", "no text", "token no text"],
)
def test_answers_of_the_wrong_shape(body: bytes) -> None:
    for status in ("200 OK", "400 Bad Request", "500 Oops"):
        with Raw(
            lambda line, head, status=status: answer(
                status, body, Content_Type="application/vnd.oci.image.manifest.v1+json"
            )
        ) as hostile:
            with contextlib.closing(registry.connect(hostile.host, None)) as asked:
                try:
                    assert "layers" not in asked.manifest("team/app", "1").document
                except PublishError:
                    assert status != "200 OK"
    realm = 'Bearer realm="/token",service="x"'
    with Raw(
        lambda line, head: answer("200 OK", body) if "/token" in line else answer("401 No", WWW_Authenticate=realm)
    ) as hostile:
        with pytest.raises(PublishError):
            ask(hostile.host)


def test_answers_without_end_or_with_a_bomb() -> None:
    bomb = gzip.compress(bytes(256 << 20), 9)
    realm = 'Bearer realm="/token",service="x"'
    for status in ("200 OK", "401 Unauthorized", "500 Oops"):
        with Raw(lambda line, head, status=status: answer(status, bomb, Content_Encoding="gzip")) as hostile:
            with at_most(64), pytest.raises(PublishError):
                ask(hostile.host)
    with Raw(
        lambda line, head: (
            answer("200 OK", bomb, Content_Encoding="gzip")
            if "/token" in line
            else answer("401 Unauthorized", WWW_Authenticate=realm)
        )
    ) as hostile:
        with at_most(64), pytest.raises(PublishError):
            ask(hostile.host)


def test_an_answer_of_a_million_headers() -> None:
    flood = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1_000_000 + b"\r\n"
    with Raw(lambda line, head: flood) as hostile:
        with at_most(64), pytest.raises(PublishError, match="cannot be reached|answered"):
            ask(hostile.host)


def test_header_injection() -> None:
    with Raw(lambda line, head: answer("404 Not Found")) as hostile:
        with contextlib.closing(
            registry.connect(hostile.host, keychain.Login(hostile.host, "a\r\nX-Evil: 1", "b\r\nX-Evil: 2"))
        ) as asked:
            for reference in ("1\r\nX-Evil: 3", "1 HTTP/1.1\r\nX-Evil: 4"):
                with contextlib.suppress(BuildrError, ValueError):
                    asked.manifest("team/app", reference)
        assert not any(line.lower().startswith("x-evil") for head in hostile.asked for line in head.split("\r\n"))


# -- notebooks


def test_listing_exporting_and_inspecting_a_notebook_runs_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    canary = tmp_path / "ran"
    evil = f"open({str(canary)!r}, 'w').write('x')"
    for name in (
        "helper.py",
        "sitecustomize.py",
        "usercustomize.py",
        "conftest.py",
        "setup.py",
        "json.py",
        "docker.py",
    ):
        (tmp_path / name).write_text(evil + "\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(evil)
    (tmp_path / "pyproject.toml").write_text("[build-system]\nrequires=[]\nbuild-backend='setup'\nbackend-path=['.']\n")
    cells = [
        f"%%containerize\nimport helper, package\n{evil}\nclass A:\n    {evil}\ndef f(x={evil}):\n    pass\nf(A())",
        f"!touch {canary}",
        f"%%bash\ntouch {canary}",
        f"%run helper.py\n%load_ext helper\nimport helper\n{evil}",
        f"get_ipython().system('touch {canary}')",
        f'x = f"{{{evil}}}"\n@{evil}\ndef g(): pass',
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    (tmp_path / "kernel.json").write_text(
        json.dumps({"argv": ["touch", str(canary)], "display_name": "x", "language": "python"})
    )
    notebook.metadata["kernelspec"] = {"name": str(tmp_path), "display_name": "x", "language": "python"}
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": evil}}
    nbformat.write(notebook, tmp_path / "nb.ipynb")
    expected = {
        ("build", "nb.ipynb", "--dry-run"): 0,
        ("build", "nb.ipynb", "--cell", "0", "--builder", "oci", "--base", "kernel"): 0,
        ("inspect", "nb.ipynb"): 2,  # it is no image
        ("list", "nb.ipynb"): 2,  # there is no such command
        **{("export", "nb.ipynb", "--cell", str(n), "--out", f"out{n}", "--explain"): 0 for n in range(len(cells))},
    }
    for argv, status in expected.items():
        found, _, err = run_command(*argv)
        assert found == status, (argv, err)
        assert not canary.exists(), argv
    subprocess.run([sys.executable, "helper.py"], check=True, cwd=tmp_path)
    assert canary.exists(), "what runs is seen"


def run_command(*argv: str) -> tuple[int, str, str]:
    """Return the status of our command line, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(list(argv))
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return status, out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    "content", [DEEP, b'{"cells": ' + DEEP, b'{"nbformat": 4, "cells": 3}', b"\0" * 100, b'{"cells": [[]]}']
)
def test_notebooks_that_are_none(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nb.ipynb").write_bytes(content)
    for argv in (("export", "nb.ipynb", "--out", "out"), ("build", "nb.ipynb"), ("build", "nb.ipynb", "--dry-run")):
        status, _, err = run_command(*argv)
        assert status == 2, (argv, err)
        assert "nb.ipynb" in err
        assert "Traceback" not in err
        assert not (tmp_path / "out").exists()
