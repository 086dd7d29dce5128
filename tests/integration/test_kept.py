"""``--keep``: a build whose kernel is killed is finished by its helper; a cancel goes through to the engine."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from docker import APIClient

from buildr_jupyter.errors import BuildError, Cancelled
from buildr_jupyter.events import codec
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.detached import DetachedBuild, _follow, places
from buildr_jupyter.process import locks, tempfiles
from tests.engines.dockerd import Dockerd
from tests.fakes.processes import arguments_with
from tests.faults.load import Kernel


def wait_until(holds: Callable[[], object], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def kernel(docker_engine: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    environment = {
        "DOCKER_HOST": docker_engine.host, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path / "tmp"),
        "IPYTHONDIR": str(tmp_path / "ipython"), "SECRET_TOKEN": "hunter2-hunter2",
    }  # fmt: skip
    made = Kernel(tmp_path, environment)
    yield made
    with contextlib.suppress(Exception):
        made.close()


def start(kernel: Kernel, base: str, options: str, seconds: str) -> str:
    """Start a build whose step sleeps; return the image's name when it does."""
    name = f"kept-{secrets.token_hex(4)}"
    kernel.run(
        f"%%containerize {name} {options} --quiet --builder docker=classic --dockerfile -\nFROM {base}\n"
        f"RUN exec sleep {seconds}\nRUN echo {name}",
        keep=True,
    )
    kernel.run("build = _")
    wait_until(lambda: arguments_with(seconds), 60)
    return name


def seconds_of(whole: int) -> str:
    return f"{whole}.{secrets.randbelow(10**6):06d}"


def kill(kernel: Kernel) -> None:
    os.kill(kernel.pid, signal.SIGKILL)


def test_a_killed_kernels_build_is_finished(
    kernel: Kernel, docker_engine: Dockerd, base_image: str, tmp_path: Path
) -> None:
    kernel.run("import os; before = os.umask(0)")
    name = start(kernel, base_image, "--keep", seconds_of(4))
    assert kernel.run("print(build.status)") == "running\n"
    (place,) = places()
    assert (place.reference, place.said()) == (f"{name}:latest", "running")
    kill(kernel)
    with contextlib.closing(APIClient(docker_engine.host, version="auto")) as client:
        wait_until(lambda: client.images(name), 60)
        wait_until(lambda: not place.running(), 20)
        image_id = client.images(name)[0]["Id"]
        assert client.containers(all=True, filters={"label": locks.OWNER_LABEL}) == []
    assert place.said() == f"done, {image_id}"
    wait_until(lambda: not list((tmp_path / "tmp").glob(f"{tempfiles.TEMPORARY}*")), 10)
    kept = b"".join(path.read_bytes() for path in place.folder.iterdir())
    assert b"hunter2" not in kept
    assert all(path.stat().st_mode & 0o077 == 0 for path in (place.folder, *place.folder.iterdir()))

    later = Kernel(tmp_path, {"XDG_CACHE_HOME": str(tmp_path / "cache"), "IPYTHONDIR": str(tmp_path / "ipython")})
    try:
        assert later.run("%containerize --status") == f"{name}:latest  kept: done, {image_id}\n"
    finally:
        later.close()


def test_a_cancel_ends_the_step_and_the_handle_says_so(kernel: Kernel, base_image: str) -> None:
    seconds = seconds_of(600)
    start(kernel, base_image, "--keep", seconds)
    kernel.run("build.cancel()")
    wait_until(lambda: not arguments_with(seconds), 20)
    kernel.run("import time\nwhile build.status == 'running': time.sleep(0.05)")
    assert kernel.run("print(build.status)") == "cancelled\n"
    (place,) = places()
    wait_until(lambda: not place.running(), 20)
    assert place.said() == "cancelled"


def test_a_failure_is_the_same_error_and_the_result_too(kernel: Kernel, base_image: str) -> None:
    start(kernel, base_image, "--keep", seconds_of(1))
    assert kernel.run("print(build.result(60).image_id[:7])") == "sha256:\n"
    kernel.run(
        f"%%containerize bad --keep --quiet --dockerfile -\nFROM {base_image}\nRUN echo why && exit 7", keep=True
    )
    code = "try: _.result(60)\nexcept Exception as error: print(type(error).__name__, error.exit_code, error.log_tail)"
    assert kernel.run(code) == "BuildError 7 ('why',)\n"


def test_without_keep_a_killed_kernels_build_ends(kernel: Kernel, base_image: str) -> None:
    seconds = seconds_of(600)
    start(kernel, base_image, "--detach", seconds)
    kill(kernel)
    wait_until(lambda: not arguments_with(seconds), 20)
    assert places() == []


WRITER = """
import sys, time
for piece in sys.argv[2:]:
    with open(sys.argv[1], "a") as file: file.write(piece)
    time.sleep(0.05)
"""


def test_a_file_that_grows_by_pieces_and_a_helper_that_dies(tmp_path: Path) -> None:
    place = DetachedBuild(tmp_path)
    (tmp_path / "events.jsonl").touch()
    (tmp_path / "helper.log").write_text("Traceback\nMemoryError: no more\n")
    events = [BuildWarning("one", "hint"), BuildWarning("zwei ü")]
    text = "".join(codec.to_line(value) + "\n" for value in (*events, BuildResult("x")))

    def follow(text: str) -> list[object]:
        (tmp_path / "events.jsonl").write_text("")
        pieces = [text[at : at + 37] for at in range(0, len(text), 37)]
        found: list[object] = []
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "events.jsonl"), *pieces]) as helper:
            stream = _follow(place, helper)
            while True:
                try:
                    found.append(next(stream))
                except StopIteration as end:
                    return [*found, end.value]

    assert follow(text) == [*events, BuildResult("x")]
    with pytest.raises(BuildError, match="the helper process ended with status 0") as caught:
        follow("".join(codec.to_line(event) + "\n" for event in events))
    assert caught.value.hint == "MemoryError: no more"
    (tmp_path / "cancel").touch()
    with pytest.raises(Cancelled):
        follow("")
    assert place.said() == "cancelled"


def test_a_cancel_while_the_helper_is_starting(kernel: Kernel, base_image: str) -> None:
    name = f"kept-{secrets.token_hex(4)}"
    kernel.run(
        f"%%containerize {name} --keep --quiet --builder docker=classic --dockerfile -\nFROM {base_image}\n"
        f"RUN exec sleep {seconds_of(600)}",
        keep=True,
    )
    kernel.run("build = _\nimport time")
    wait_until(places, 20)
    kernel.run("build.cancel()\nwhile build.status == 'running': time.sleep(0.05)", timeout_s=30)
    assert kernel.run("print(build.status)") == "cancelled\n"
