"""Trace: what a program asks for is written down, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from buildr_jupyter.process import audit_trace

CODE = """
import glob, os, socket, sqlite3, subprocess
for path in ("data/none.csv", "../beside.csv", "/etc/hostname", "there.txt"):
    try: open(path)
    except OSError: pass
open("made.txt", "w").close()
try: os.listdir("folder")
except OSError: pass
try: import no_such_module_at_all
except ImportError: pass
try: socket.create_connection(("127.0.0.1", 1), timeout=0.1)
except OSError: pass
socket.socketpair()
subprocess.run(["true"])
"""


def test_what_is_asked_for_is_written_down(tmp_path: Path) -> None:
    app = tmp_path / "place" / "app"
    app.mkdir(parents=True)
    (app / "there.txt").touch()
    copy = tmp_path / "buildr_trace.py"
    copy.write_bytes(Path(audit_trace.__file__).read_bytes())
    log = tmp_path / "log"
    inside = [sys.base_prefix, sys.prefix, "/usr", "/dev", str(tmp_path)]
    (tmp_path / "buildr_trace.json").write_text(json.dumps({"log": str(log), "app": str(app), "inside": inside}))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import buildr_trace\n{CODE}"
    subprocess.run([sys.executable, "-c", code], cwd=app, check=True)
    said = [tuple(json.loads(line)) for line in log.read_text().splitlines()]
    assert [what for kind, what in said if kind == "missing"] == ["data/none.csv", "../beside.csv", "folder"]
    assert [what for kind, what in said if kind == "outside"] == ["/etc/hostname"]
    assert ("module", "no_such_module_at_all") in said
    assert ("network", "127.0.0.1:1") in said
    assert ("command", "true") in said
    assert len(said) == len(set(said))


def test_without_its_settings_it_does_nothing() -> None:
    assert audit_trace not in sys.meta_path
    assert not any(type(one).__name__ == "_Trace" for one in sys.meta_path)
