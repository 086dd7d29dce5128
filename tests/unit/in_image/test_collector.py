"""The collector's frame: what is in it, and what it leaves out."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from buildr_jupyter.in_image import collector
from buildr_jupyter.runner.collected import read_frame


def frame_of(folder: Path, limit: int = collector.LIMIT) -> tuple[str, list[str]]:
    out = io.StringIO()
    collector.write(str(folder), out, limit)
    found = read_frame(line.encode() for line in out.getvalue().splitlines())
    assert found is not None
    with tarfile.open(fileobj=io.BytesIO(found.tar)) as tar:
        return ",".join(sorted(found.left_out)), sorted(tar.getnames())


def test_what_fits_is_in_it_and_what_is_returned_comes_first(tmp_path: Path) -> None:
    (tmp_path / ".buildr" / "returns").mkdir(parents=True)
    (tmp_path / ".buildr" / "returns" / "n.json").write_text("1")
    (tmp_path / "large").write_bytes(bytes(5000))
    assert frame_of(tmp_path) == ("", ["output/.buildr/returns/n.json", "output/large"])
    assert frame_of(tmp_path, 4000) == ("large", ["output/.buildr/returns/n.json"])
    assert frame_of(tmp_path, 100) == (".buildr/returns/n.json,large", [])


def test_it_ends_well_whatever_it_finds(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    source = Path(collector.__file__).read_text()
    for folder in (tmp_path, tmp_path / "absent"):
        done = subprocess.run([sys.executable, "-c", source, folder], capture_output=True, check=True)
        found = read_frame(done.stdout.splitlines())
        assert found is not None
        assert found.others == (("link",) if folder == tmp_path else ())
    assert max(map(len, done.stdout.splitlines())) < 16384
    failed = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True)
    assert failed.stdout.startswith(b"buildr-output failed IndexError")


@pytest.mark.parametrize("by", ["file", "signal", "both"])
def test_beside_a_program_it_waits_for_the_end(tmp_path: Path, by: str) -> None:
    folder, ended = tmp_path / "output", tmp_path / "ended"
    folder.mkdir()
    source = f"print('up', flush=True)\n{Path(collector.__file__).read_text().partition('from __future__ import annotations')[2]}"
    source = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGTERM}})\n{source}"
    with subprocess.Popen([sys.executable, "-c", source, folder, ended], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        (folder / "late").write_text("1")
        if by != "signal":
            ended.touch()
        if by != "file":
            process.terminate()
        found = read_frame(process.stdout.read().splitlines())
    assert process.returncode == 0
    assert found is not None
    with tarfile.open(fileobj=io.BytesIO(found.tar)) as tar:
        assert tar.getnames() == ["output/late"]
