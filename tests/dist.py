"""``make dist``: the sdist and the wheel, checked, installed in a fresh environment, and an image built with them.

Usage: ``python -m tests.dist FOLDER``. Exit status 1 where a step fails; the folder then keeps what was made.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Make, check, install and try; return an exit status."""
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    python = [sys.executable, "-m"]
    try:
        _run([*python, "build", "--installer", "uv", "--outdir", str(folder), str(ROOT)])
        made = sorted(folder.glob("buildr_jupyter-*"))
        _run([*python, "twine", "check", "--strict", *map(str, made)])
        [wheel] = folder.glob("*.whl")
        missing = _missing(wheel)
        if missing:
            print(f"not in {wheel.name}: {', '.join(missing)}")
            return 1
        with tempfile.TemporaryDirectory(prefix="buildr-dist-") as scratch:
            _try(wheel, Path(scratch))
    except subprocess.CalledProcessError as error:
        print(f"failed: {error}")
        return 1
    print(f"ready: {', '.join(path.name for path in made)}")
    return 0


def _missing(wheel: Path) -> list[str]:
    """Return the package's files that git knows and the wheel lacks."""
    tracked = subprocess.run(
        ["git", "ls-files", "buildr_jupyter"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    packed = set(zipfile.ZipFile(wheel).namelist())
    return [name for name in tracked if name not in packed and (ROOT / name).exists()]


def _try(wheel: Path, scratch: Path) -> None:
    """Install the wheel where nothing else is, and build the quickstart's cell without an engine."""
    uv = str(Path(sys.executable).with_name("uv"))
    environment = scratch / "environment"
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(environment)])
    python = environment / "bin" / "python"
    _run([uv, "pip", "install", "--quiet", "--python", str(python), str(wheel), "ipykernel", "pandas"])
    for name in ("01-quickstart.ipynb", "sales.py"):
        shutil.copy(ROOT / "notebooks" / name, scratch)
    said = subprocess.run(
        [
            environment / "bin" / "buildr", "build", "01-quickstart.ipynb", "--builder", "oci", "--base", "kernel",
            "--output", "quickstart.tar", "--json",
        ],
        cwd=scratch, check=False, capture_output=True, text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(scratch / "cache"), "BUILDR_STORE": str(scratch / "store")},
    )  # fmt: skip
    record = json.loads(said.stdout)
    if record["status"] != "ok":
        print(record["error"]["message"])
        raise subprocess.CalledProcessError(said.returncode, "buildr build")
    print(f"built with the wheel: {record['image']} {record['image_id'][:19]}, {record['size_bytes']:,} bytes")


def _run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
