"""What is particular to buildah: a plain user, outputs without a daemon, secrets, and what a broken command does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter import builder
from buildr_jupyter.builder.buildah.storage import unfinished
from buildr_jupyter.errors import BuildError, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import LogLine
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import Requirement
from buildr_jupyter.model.request import Archive, BuildRequest, EngineLoad, Layout, Push, Secret
from tests.engines import containers
from tests.fakes.escape import compiled
from tests.integration.builders import BuildahHarness, World
from tests.integration.test_builder_contract import build, wait_until, world

__all__ = ["world"]


@pytest.fixture
def harness(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildahHarness:
    made = BuildahHarness(world, tmp_path)
    for name, value in made.prepare().items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def user() -> Iterator[pwd.struct_passwd]:
    """A plain user with a range of ids of its own, removed afterwards."""
    name = f"buildr-{secrets.token_hex(4)}"
    subprocess.run(["useradd", "--create-home", "--base-dir", tempfile.gettempdir(), name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)


def as_user(user: pwd.struct_passwd, work: Callable[[], str]) -> str:
    """Run ``work`` in a process of this user and return what it returns; modules are those that root imported."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            os.chdir(user.pw_dir)
            said = work()
        except BaseException as error:  # noqa: BLE001 - told to the parent
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode()[:60_000])
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode()


def test_a_plain_user_builds_and_pushes(harness: BuildahHarness, world: World, user: pwd.struct_passwd) -> None:
    build(harness.builder(), harness.program("print('by root')"))  # everything is imported: root's files are closed
    home = Path(user.pw_dir)
    request = harness.program("import os; print('by a plain user')")
    settings = containers.set_up(home / "containers", driver="vfs").environment
    runtime = home / "run"
    runtime.mkdir()
    moved = home / "context"
    subprocess.run(["cp", "-r", str(request.context), str(moved)], check=True)
    subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", str(home)], check=True)

    def work() -> str:
        os.environ.update(settings, HOME=user.pw_dir, USER=user.pw_name, XDG_RUNTIME_DIR=str(runtime))
        os.environ.update(TMPDIR=user.pw_dir, DOCKER_CONFIG=f"{home}/docker", BUILDR_AUTH_FILE=f"{home}/auth.json")
        tempfile.tempdir = user.pw_dir
        os.environ.pop("REGISTRY_AUTH_FILE", None)
        _, result = build(builder.select("buildah"), replace(request, context=moved))
        return json.dumps([os.getuid(), result.image, list(result.pushed)])

    try:
        said = as_user(user, work)
        uid, image, pushed = json.loads(said) if said.startswith("[") else pytest.fail(said)
        assert (uid, pushed) == (user.pw_uid, [image])
        assert world.run(image) == "by a plain user\n"
    finally:  # its files belong to ids of its own range
        subprocess.run(["rm", "-rf", str(home / "containers")], check=True)


def test_archive_layout_and_engine(harness: BuildahHarness, world: World, tmp_path: Path) -> None:
    request = harness.program("print('everywhere')")
    archive, layout = tmp_path / "out" / "image.tar", tmp_path / "out" / "layout"
    _, result = build(harness.builder(), replace(request, outputs=(EngineLoad(), Archive(archive), Layout(layout))))
    assert world.client.inspect_image(result.image)["Id"]
    said = subprocess.run(["skopeo", "inspect", f"docker-archive:{archive}"], capture_output=True, check=True)
    assert json.loads(said.stdout)["Labels"]["io.buildr.content-digest"] == result.content_digest
    said = subprocess.run(["skopeo", "inspect", f"oci:{layout}"], capture_output=True, check=True)
    assert json.loads(said.stdout)["Architecture"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["image.tar", "layout"]
    world.client.remove_image(result.image, force=True)


def test_a_folder_with_other_things_is_no_layout(harness: BuildahHarness, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("1")
    with pytest.raises(BuildError, match="is not empty and no OCI layout"):
        build(harness.builder(), replace(harness.program("1"), outputs=(Layout(tmp_path / "mine"),)))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_secrets_are_seen_by_the_step_and_by_nobody_else(
    harness: BuildahHarness, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELD", "s3cr3t-by-variable")
    (tmp_path / "file").write_text("s3cr3t-by-file")
    mounts = "--mount=type=secret,id=one --mount=type=secret,id=two"
    request = harness.steps(
        f"RUN {mounts} cat /run/secrets/one /run/secrets/two | sha256sum > /sum", 'CMD ["cat", "/sum"]'
    )
    held = (Secret("one", variable="HELD"), Secret("two", source=tmp_path / "file"))
    _, result = build(harness.builder(), replace(request, secrets=held))
    assert world.run(result.image).split()[0] == hashlib.sha256(b"s3cr3t-by-variables3cr3t-by-file").hexdigest()
    said = json.dumps(world.client.history(result.image)) + json.dumps(world.client.inspect_image(result.image))
    assert "s3cr3t" not in said


def test_here_documents_are_refused_where_they_are_not_known(harness: BuildahHarness) -> None:
    request = harness.steps("RUN <<EOF\necho hi\nEOF")
    subject = harness.builder()
    refused = [refusal.what for refusal in subject.unsupported(request)]
    assert refused == ([] if subject.version >= (1, 33) else ["here-documents"])  # type: ignore[attr-defined]


def test_no_container_is_left(harness: BuildahHarness, world: World) -> None:
    failing = harness.failing()
    with pytest.raises(BuildError):
        build(harness.builder(), failing.request)
    assert subprocess.run(["buildah", "containers", "-q"], capture_output=True, check=True).stdout == b""


def script(folder: Path, text: str) -> builder.Builder:
    """Return the builder over a command that does as it is told, but answers for its version."""
    path = folder / "buildah-like"
    path.write_text(f"#!/bin/sh\ncase $1 in --version) echo 'buildah version 1.28.2'; exit;; esac\n{text}\n")
    path.chmod(0o755)
    return builder.select(f"buildah={path}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("exit 0", "ended well without an image id"),
        ("kill -9 $$", "buildah was killed by signal 9"),
        ("exit 9", "ended with status 9 and said nothing"),
        ("echo 'STEP 1/1: RUN x'; echo out; echo 'Error: it broke' >&2; exit 125", "it broke"),
        ("head -c 30000000 /dev/zero; printf '\\377\\376\\n'; echo 'Error: enough' >&2; exit 1", "enough"),
    ],
)
def test_a_command_that_goes_wrong_is_one_error(harness: BuildahHarness, tmp_path: Path, text: str, says: str) -> None:
    subject = script(tmp_path, f'case $1 in bud) ;; *) exec buildah "$@";; esac\n{text}')
    request = replace(harness.program("1"), outputs=(Push(harness.world.ref("x")),), no_cache=True)
    with pytest.raises(BuildError, match=says) as caught:
        build(subject, request)
    assert str(caught.value).startswith("Image build failed: ")
    with contextlib.suppress(IndexError):
        assert len(caught.value.log_tail[-1]) <= 64 * 1024


_STOPS_EARLY = """#!/bin/sh
[ "$1" = bud ] || exec buildah "$@"
made=$(buildah commit --quiet "$(buildah from scratch)")
python3 -c '
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
records = json.loads((folder / "images.json").read_text())
for record in records:
    if record["id"] == sys.argv[2]:
        record["big-data-names"] = []
        (folder / record["id"] / "manifest").unlink(missing_ok=True)
(folder / "images.json").write_text(json.dumps(records))
' "$IMAGES" "$made"
touch "$STOPPED"
echo stopped
exec sleep 600
"""


@pytest.fixture
def stopped_early(
    harness: BuildahHarness, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A buildah that ends at SIGTERM with a container and half an image, as the real one does while it commits.

    Nothing of either is left after the test.
    """
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG"):  # a file that is named must be there
        monkeypatch.delenv(name, raising=False)
    store = world.engines.containers().folder / "store"
    images = store / "overlay-images"
    monkeypatch.setenv("IMAGES", str(images))
    monkeypatch.setenv("STOPPED", str(tmp_path / "stopped"))
    command = tmp_path / "stops-early"
    command.write_text(_STOPS_EARLY)
    command.chmod(0o755)
    before = working_containers(store)
    yield str(command)
    wait_until(lambda: working_containers(store) == before, 20)
    wait_until(lambda: unfinished(images) == [], 20)


def working_containers(store: Path) -> list[str]:
    """Return the ids of buildah's containers, from the disk: a buildah that lists them is one at work in the store."""
    return sorted(record.parts[-3] for record in (store / "overlay-containers").glob("*/userdata/buildah.json"))


def test_a_cancelled_build_leaves_nothing_half_made(harness: BuildahHarness, stopped_early: str) -> None:
    store, cancel = Path(os.environ["IMAGES"]).parent, CancelToken()
    before = working_containers(store)
    stream = builder.select(f"buildah={stopped_early}").stream_build(harness.steps("RUN true"), cancel)
    with pytest.raises(Cancelled):
        for event in stream:
            if isinstance(event, LogLine) and event.text == "stopped":
                assert len(working_containers(store)) == len(before) + 1
                assert len(unfinished(Path(os.environ["IMAGES"]))) == 1
                cancel.set()


def test_a_killed_process_leaves_nothing_half_made(harness: BuildahHarness, stopped_early: str) -> None:
    request = harness.steps("RUN true")
    script = (
        "import sys\nfrom buildr_jupyter import builder\n"
        "builder.select('buildah=' + sys.argv[1]).build('127.0.0.1/x', sys.argv[2])"
    )
    child = subprocess.Popen([sys.executable, "-c", script, stopped_early, str(request.context)])
    try:
        wait_until(Path(os.environ["STOPPED"]).exists, 20)  # before that, a commit of its own looks unfinished, too
        assert len(unfinished(Path(os.environ["IMAGES"]))) == 1
    finally:
        child.kill()
        child.wait()


def test_a_step_stays_in_its_root(harness: BuildahHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a chroot as isolation root walks out of it: buildah by itself is the control."""
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    folder = tmp_path / "context"
    folder.mkdir()
    compiled(folder)
    (folder / "Dockerfile").write_text(f'FROM scratch\nCOPY escape /escape\nRUN ["/escape", "{canary}"]\n')
    request = BuildRequest(folder, (ImageRef.parse("escape:1"),), outputs=(), no_cache=True)
    with pytest.raises(BuildError):
        build(harness.builder(), request)
    assert canary.read_text() == "untouched"
    subprocess.run(["buildah", "bud", "--no-cache", str(folder)], check=True, capture_output=True)
    assert canary.read_text() == "escaped"


PIN = (Requirement("six==1.16.0"),)


def test_a_base_that_sends_packages_elsewhere(harness: BuildahHarness, world: World) -> None:
    elsewhere = "ENV PIP_USER=1 PIP_TARGET=/elsewhere PIP_NO_DEPS=1"
    _, made = build(harness.builder(), harness.steps(elsewhere, base=world.base_with_pip()))
    request = harness.program("import six; print(six.__version__)", requirements=PIN, base=made.image)
    _, result = build(harness.builder(), request)
    assert world.run(result.image) == "1.16.0\n"


def test_a_base_without_pip(harness: BuildahHarness) -> None:
    with pytest.raises(BuildError, match=f"base {harness.world.base} has no pip") as caught:
        build(harness.builder(), harness.program("import six", requirements=PIN))
    assert caught.value.hint == "take one with pip, or --base python:3.11-slim"
