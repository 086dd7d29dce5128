from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from buildr_jupyter.dependencies.environment import Distribution
from buildr_jupyter.dependencies.repack import local_wheel, pack
from buildr_jupyter.errors import RequirementError

WHEEL = "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n"


@pytest.fixture
def installed(tmp_path: Path) -> Distribution:
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (tmp_path / "own.py").write_text("x = 1\n")
    (info / "METADATA").write_text("Name: own\nVersion: 1.0\n")
    (info / "WHEEL").write_text(WHEEL)
    names = ["own.py", "own-1.0.dist-info/METADATA", "own-1.0.dist-info/WHEEL", "own-1.0.dist-info/INSTALLER",
             "own-1.0.dist-info/RECORD", "__pycache__/own.cpython-311.pyc", "../../bin/own", "/etc/own.conf"]  # fmt: skip
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    return Distribution("own", "1.0", info)


def test_installed_files_are_a_wheel_again_the_same_bytes_each_time(installed: Distribution) -> None:
    name, content = pack(installed)
    assert name == "own-1.0-py2.py3-none-any.whl"
    assert pack(installed) == (name, content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        record = archive.read("own-1.0.dist-info/RECORD").decode()
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(record))}
        assert sorted(rows) == sorted(archive.namelist())
        for path, (digest, size) in rows.items():
            data = archive.read(path)
            if path.endswith("RECORD"):
                assert (digest, size) == ("", "")
            else:
                made = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={made}", str(len(data)))
    assert set(rows) == {
        "own.py", "own-1.0.dist-info/METADATA", "own-1.0.dist-info/WHEEL", "own-1.0.dist-info/RECORD",
    }  # fmt: skip


def test_a_wheel_that_is_still_there_is_taken_as_it_is(installed: Distribution, tmp_path: Path) -> None:
    source = tmp_path / "own-1.0-py3-none-any.whl"
    source.write_bytes(b"the wheel")
    entry = local_wheel(installed, source)
    assert entry.path == "wheels/own-1.0-py3-none-any.whl"
    with entry.open() as stream:
        assert stream.read() == b"the wheel"
    assert local_wheel(installed, tmp_path / "folder").path == "wheels/own-1.0-py2.py3-none-any.whl"


def test_without_a_record_or_a_file_there_is_nothing_to_pack(installed: Distribution) -> None:
    (installed.site / "own.py").unlink()
    with pytest.raises(RequirementError, match=r"own 1.0: its file own.py cannot be read"):
        pack(installed)
    (installed.info / "RECORD").unlink()
    with pytest.raises(RequirementError, match="left no RECORD to pack it from"):
        pack(Distribution("own", "1.0", installed.info))
