"""The collector's frame: what is in it, and what it leaves out."""

from __future__ import annotations

import fcntl
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.in_image import collector, launch
from buildr_jupyter.model.request import Collection
from buildr_jupyter.runner.collected import Collected, read_frame


def plan_of(folder: Path, **more: Any) -> dict[str, Any]:
    """Return a plan whose program works in /app, which is a copy in ``folder``."""
    known = {"places": [["/app", str(folder)]], "image": None, "folders": ["/app", "/app", "/app/output"]}
    return {**known, "patterns": [], "nothing": False, "anywhere": False, **more}


def frame_of(plan: dict[str, Any], limit: int = collector.LIMIT) -> Collected:
    out = io.StringIO()
    collector.write(plan, out, limit)
    found = read_frame(line.encode() for line in out.getvalue().splitlines())
    assert found is not None
    return found


def came(found: Collected) -> list[str]:
    return sorted(map(str, found.names.values()))


def put(folder: Path, *names: str, text: str = "1") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_what_fits_is_in_it_and_what_is_returned_comes_first(tmp_path: Path) -> None:
    put(tmp_path, "output/.buildr/returns/n.json", "output/small")
    put(tmp_path, "output/large", text="x" * 5000)
    plan = plan_of(tmp_path)
    everything = [".buildr/returns/n.json", "large", "small"]
    assert came(frame_of(plan)) == everything
    found = frame_of(plan, 4000)
    assert (came(found), found.left_out, found.left_out_count, found.left_out_bytes) == (
        [".buildr/returns/n.json", "small"], ("/app/output/large",), 1, 5000,
    )  # fmt: skip
    found = frame_of(plan, 100)
    assert (came(found), found.left_out_count) == ([], 3)


def test_what_the_program_made_or_changed_comes_wherever_it_works(tmp_path: Path) -> None:
    image, copy = tmp_path / "image", tmp_path / "copy"
    put(image, "main.py", "data.csv", "nb/kept.txt")
    (image / "link").symlink_to("main.py")
    shutil.copytree(image, copy, symlinks=True)
    put(copy, "data.csv", text="2")
    put(copy, "nb/made.txt", "nb/output/o.txt", "nb/__pycache__/x.pyc")
    (copy / "new-link").symlink_to("/etc")
    plan = plan_of(copy, image=str(image), folders=["/app", "/app/nb", "/app/nb/output"])
    found = frame_of(plan)
    assert came(found) == ["data.csv", "made.txt", "o.txt"]
    assert found.others == ("/app/new-link",)
    assert came(frame_of({**plan, "nothing": True})) == []


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("*.csv",), [".buildr/r.json", "a.csv", "deep/b.csv"]),
        (("deep/",), [".buildr/r.json", "deep/b.csv", "deep/c.txt"]),
        (("output/*.txt",), [".buildr/r.json", "o.txt"]),
        (("/tmp/*",), [".buildr/r.json", "tmp/t.csv"]),
        (("[ab].csv",), [".buildr/r.json", "a.csv", "deep/b.csv"]),
        (("[!a].csv", "none"), [".buildr/r.json", "deep/b.csv"]),
    ],
)
def test_patterns(tmp_path: Path, patterns: tuple[str, ...], expected: list[str]) -> None:
    app, tmp = tmp_path / "app", tmp_path / "tmp"
    put(app, "a.csv", "deep/b.csv", "deep/c.txt", "output/o.txt", "output/.buildr/r.json")
    put(tmp, "t.csv", "sub/u.csv")
    wanted = Collection(patterns)
    places = [["/app", str(app)], *([["/tmp", str(tmp)]] if wanted.anywhere else [])]
    plan = plan_of(app, places=places, patterns=wanted.expressions("/app"), anywhere=wanted.anywhere)
    assert came(frame_of(plan)) == expected


def test_it_ends_well_whatever_it_finds(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    source = Path(collector.__file__).read_text()
    for folder in (tmp_path, tmp_path / "absent"):
        plan = json.dumps(plan_of(folder))
        done = subprocess.run([sys.executable, "-c", source, plan], capture_output=True, check=True)
        found = read_frame(done.stdout.splitlines())
        assert found is not None
        assert found.others == (("/app/link",) if folder == tmp_path else ())
    assert max(map(len, done.stdout.splitlines())) < 16384
    failed = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True)
    assert failed.stdout.startswith(b"buildr-output failed IndexError")


class Beside:
    """A collector that waits for the program that locks a file."""

    def __init__(self, place: Path, **limits: float) -> None:
        (place / "output").mkdir()
        self.lock = place.with_name(f"{place.name}.lock")
        source = Path(collector.__file__).read_text()
        for name, value in limits.items():
            source = re.sub(rf"(def wait.*{name})=\w+", rf"\1={value}", source)
        command = [sys.executable, "-c", source, json.dumps(plan_of(place)), str(self.lock)]
        term = {signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, term)  # as in a container, where its first process has no handler yet
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, term)

    def frame(self) -> Collected:
        assert self.process.stdout is not None
        found = read_frame(self.process.stdout.read().splitlines())
        self.process.stdout.close()
        assert self.process.wait() == 0
        assert found is not None
        return found


def names_in(found: Collected) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(found.tar)) as tar:
        return tar.getnames()


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_beside_a_program_it_waits_for_the_end(tmp_path: Path, end: str) -> None:
    beside = Beside(tmp_path)
    code = f"import sys\n{Path(launch.__file__).read_text().partition('if __name__')[0].partition('annotations')[2]}\n"
    code += "hold(sys.argv[1]); print('up', flush=True); sys.stdin.read(); open(sys.argv[2], 'w').close()\n"
    code += "print('made', flush=True); sys.stdin.read() if sys.argv[3] == 'exit' else os.kill(os.getpid(), 9)"
    command = [sys.executable, "-c", code, str(beside.lock), str(tmp_path / "output" / "late"), end]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert program.stdout.readline() == b"up\n"
        assert beside.process.poll() is None
        program.stdin.close()
        assert program.stdout.readline() == b"made\n"
    found = beside.frame()
    assert (found.seen, names_in(found)) == (True, ["app/output/late"])


@pytest.mark.parametrize("begun", [False, True])
def test_a_pod_that_is_ended_has_its_files_looked_for_though_the_program_goes_on(tmp_path: Path, begun: bool) -> None:
    beside = Beside(tmp_path, grace_s=0.5)
    with open(beside.lock if begun else tmp_path / "other", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (tmp_path / "output" / "half").touch()
        beside.process.terminate()
        found = beside.frame()
    assert (found.seen, "app/output/half" in names_in(found)) == (False, True)


def test_a_program_that_never_begins_is_given_up(tmp_path: Path) -> None:
    assert Beside(tmp_path, begin_s=0.5).frame().seen is False


def test_files_that_do_not_fit_are_kept_until_they_were_taken(tmp_path: Path) -> None:
    folder, held = tmp_path / "copy", tmp_path / "held"
    put(folder, "output/small")
    put(folder, "output/large", text="x" * collector.LIMIT)
    command = [sys.executable, "-c", Path(collector.__file__).read_text(), json.dumps(plan_of(folder, held=str(held)))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines: list[bytes] = []
        while not lines or not lines[-1].startswith(b"buildr-output end"):
            lines.append(process.stdout.readline())
        found = read_frame(lines)
        assert found is not None
        assert (came(found), found.held, process.poll()) == (["small"], True, None)
        assert json.loads(held.read_text()) == [
            [f"/app/output/{name}", str(folder / "output" / name)] for name in ("large", "small")
        ]
        held.with_name("held.taken").touch()
        assert process.wait(60) == 0
    (folder / "output" / "large").unlink()
    assert frame_of(plan_of(folder, held=str(held))).held is False


def test_files_that_nobody_takes_are_kept_while_somebody_fetches(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.touch()
    waiting = threading.Thread(target=lambda: keep(held))
    with held.open() as listed:
        fcntl.flock(listed, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(1.0)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()


def keep(held: Path) -> None:
    """Wait as the collector does, which masks its own process's signals."""
    collector.keep(str(held), idle_s=0.5)
